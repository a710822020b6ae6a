//! Certificate login: an RSA PKCS#1 v1.5 signature with SHA-1 over the challenge (protocol §4.3).
//!
//! Here it is real SHA-1, unlike the SHA-0 of passwords. The protocol allows nothing better; the signature holds for
//! one challenge of one TLS connection. aws-lc verifies such signatures but refuses to make them, so that the client's
//! half is the `rsa` crate's.

use std::fmt;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rand::CryptoRng;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Sizes of RSA keys that both sides accept, in bits.
pub const KEY_BITS: [usize; 5] = [1024, 1536, 2048, 3072, 4096];

/// ASN.1 of `DigestInfo` up to the digest itself (RFC 8017 section 9.2).
const DIGEST_INFO_SHA1: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14,
];

/// Why a certificate or key cannot be used, or a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No X.509 certificate in DER.
    #[error("this is not an X.509 certificate")]
    Malformed,
    /// Another kind of key, or a size outside [`KEY_BITS`].
    #[error("the protocol takes certificates with RSA keys of 1024, 1536, 2048, 3072 or 4096 bits only")]
    KeyNotSupported,
    /// No RSA private key in DER, PKCS#8 or PKCS#1.
    #[error("this is not an RSA private key (PKCS#8 or PKCS#1)")]
    NotPrivateKey,
    /// The key could not sign.
    #[error("the private key is inconsistent")]
    CannotSign,
    /// The signature is not this certificate's over this challenge.
    #[error("the signature does not match the certificate")]
    WrongSignature,
}

/// A client's private key.
pub struct SigningKey(rsa::PrivateKey);

impl SigningKey {
    /// Reads a key in DER, either PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// [`CertificateError::NotPrivateKey`], [`CertificateError::KeyNotSupported`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let key = rsa::PrivateKey::from_pkcs8_der(der)
            .or_else(|_| rsa::PrivateKey::from_pkcs1_der(der))
            .map_err(|_| CertificateError::NotPrivateKey)?;
        if KEY_BITS.contains(&(8 * key.size())) {
            Ok(Self(key))
        } else {
            Err(CertificateError::KeyNotSupported)
        }
    }

    /// Signs a challenge. `rng` blinds the computation; the signature does not depend on it.
    ///
    /// # Errors
    /// [`CertificateError::CannotSign`].
    pub fn sign<R: CryptoRng>(&self, random: &[u8; 20], rng: &mut R) -> Result<Vec<u8>, CertificateError> {
        let padding = rsa::Pkcs1v15Sign {
            hash_len: Some(20),
            prefix: DIGEST_INFO_SHA1.into(),
        };
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, random);
        self.0
            .sign_with_rng(rng, padding, digest.as_ref())
            .map_err(|_| CertificateError::CannotSign)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Whether `signature` is that of the key in `cert` (DER) over the challenge. Whether the certificate is a user's is
/// another question.
///
/// # Errors
/// [`CertificateError`]: it is not, or the certificate cannot be used.
pub fn verify(cert: &[u8], random: &[u8; 20], signature: &[u8]) -> Result<(), CertificateError> {
    let (_, cert) = X509Certificate::from_der(cert).map_err(|_| CertificateError::Malformed)?;
    let key = cert.public_key();
    let modulus = match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => rsa.key_size(),
        _ => return Err(CertificateError::KeyNotSupported),
    };
    if !KEY_BITS.contains(&modulus) {
        return Err(CertificateError::KeyNotSupported);
    }
    if signature.len() != modulus / 8 {
        return Err(CertificateError::WrongSignature);
    }
    UnparsedPublicKey::new(
        &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        &key.subject_public_key.data,
    )
    .verify(random, signature)
    .map_err(|_| CertificateError::WrongSignature)
}
