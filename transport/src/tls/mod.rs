//! TLS as Hubward uses it: versions 1.2 and 1.3 by rustls with aws-lc-rs, and what a client believes of a server.
//!
//! A VPN server usually shows a certificate that it made itself, so beside the system's roots a client can be given
//! an authority of its own or the fingerprint ("pin") of the one certificate it expects.

mod description;
mod distrust;
mod handshake;
mod keys;
mod record;
#[cfg(test)]
mod record_tests;
pub(crate) mod scratch;
mod stream;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

pub use description::Description;
pub use distrust::Distrust;
pub(crate) use handshake::{accept, connect};
pub(crate) use record::{Answer, Sealed, Sealer};
pub use stream::TlsStream;
pub(crate) use stream::{Intake, Parts, ReadError};

/// The SHA-256 of a certificate's DER encoding; written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a pin.
#[derive(Debug, thiserror::Error)]
#[error("a pin is written sha256: and 64 hexadecimal digits (colons between them are allowed)")]
pub struct NotAFingerprint;

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text).replace(':', "");
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(NotAFingerprint);
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).map_err(|_| NotAFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// Whom a client believes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The authorities of the operating system, and the name must match.
    System,
    /// These authorities alone, and the name must match.
    Authorities(Vec<CertificateDer<'static>>),
    /// Exactly this certificate, whatever it says of itself.
    Pin(Fingerprint),
    /// The certificate that somebody said yes to once, or one that [`System`](Self::System) believes.
    Remembered(Fingerprint),
    /// Anyone. The caller said so in as many words.
    Insecure,
}

/// Why certificates or keys could not be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be read or holds no PEM of the kind asked for.
    #[error("cannot read {what} from {path}: {reason}; give a file in PEM format")]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: String,
        /// What went wrong.
        reason: String,
    },
    /// rustls refused the material.
    #[error("the certificate or key cannot be used: {0}")]
    Rejected(#[from] rustls::Error),
}

impl Trust {
    /// Trusts the authorities of a PEM file alone.
    ///
    /// # Errors
    /// When the file cannot be read or holds no certificate.
    pub fn from_file(path: &Path) -> Result<Self, CertificateError> {
        certificates_from_file(path).map(Self::Authorities)
    }
}

/// All certificates of a PEM file, in their order; at least one.
///
/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn certificates_from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let wrong = |reason: String| CertificateError::File {
        what: "a certificate",
        path: path.display().to_string(),
        reason,
    };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    if found.is_empty() {
        return Err(wrong("there is none in it".into()));
    }
    Ok(found)
}

/// The first private key of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds no private key.
pub fn key_from_file(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| CertificateError::File {
        what: "a private key",
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

/// The TLS settings of a server that shows this certificate chain.
///
/// # Errors
/// When key and certificate do not belong together or cannot be used.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Stock clients never resume; tickets would be bytes and work for nothing.
    config.send_tls13_tickets = 0;
    // For the record layer, which is ours: see `record`.
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}

/// What a handshake showed: kept so that a refusal can name the certificate it refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Shown {
    pub(crate) fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// TLS settings of a client for one connection, and the place where the shown certificate will be found.
pub(crate) fn client_config(trust: &Trust) -> Result<(Arc<ClientConfig>, Shown), CertificateError> {
    let shown = Shown::default();
    let verifier = Verifier {
        judge: Judge::new(trust)?,
        shown: shown.clone(),
        provider: crypto(),
    };
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_secret_extraction = true; // as in `server_config`
    Ok((Arc::new(config), shown))
}

pub(crate) fn crypto() -> Arc<CryptoProvider> {
    Arc::new(provider::default_provider())
}

#[derive(Debug)]
enum Judge {
    Verifier(Arc<dyn ServerCertVerifier>),
    Pin(Fingerprint),
    Either(Fingerprint, Option<Arc<dyn ServerCertVerifier>>),
    /// There is no authority on this machine.
    Nobody,
    Anyone,
}

impl Judge {
    fn new(trust: &Trust) -> Result<Self, CertificateError> {
        Ok(match trust {
            Trust::System => system().map_or(Self::Nobody, Self::Verifier),
            Trust::Authorities(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities {
                    roots.add(authority.clone())?;
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto())
                    .build()
                    .map_err(|error| rustls::Error::General(error.to_string()))?;
                Self::Verifier(verifier)
            }
            Trust::Pin(pin) => Self::Pin(*pin),
            Trust::Remembered(pin) => Self::Either(*pin, system()),
            Trust::Insecure => Self::Anyone,
        })
    }
}

/// The system's authorities. A bare machine has none, which is no error: a certificate can be believed in other ways.
fn system() -> Option<Arc<dyn ServerCertVerifier>> {
    match rustls_platform_verifier::Verifier::new(crypto()) {
        Ok(verifier) => Some(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(%error, "this machine knows no certificate authorities (package ca-certificates)");
            None
        }
    }
}

/// Asks the judge about the certificate; the proof that the server holds its key is asked for always.
#[derive(Debug)]
struct Verifier {
    judge: Judge,
    shown: Shown,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        let fault = |fault| Err(rustls::Error::InvalidCertificate(fault));
        let ask = |verifier: &Arc<dyn ServerCertVerifier>| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.judge {
            Judge::Verifier(verifier) => ask(verifier),
            Judge::Pin(pin) | Judge::Either(pin, _) if *pin == Fingerprint::of(end_entity) => {
                Ok(ServerCertVerified::assertion())
            }
            Judge::Either(_, Some(verifier)) => ask(verifier),
            Judge::Pin(_) => fault(rustls::CertificateError::ApplicationVerificationFailure),
            Judge::Either(_, None) | Judge::Nobody => fault(rustls::CertificateError::UnknownIssuer),
            Judge::Anyone => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back_as_it_is_written() {
        let pin = Fingerprint::of(&CertificateDer::from(vec![1, 2, 3]));
        assert_eq!(pin.to_string().parse::<Fingerprint>().unwrap(), pin);
        let with_colons = pin.to_string().as_bytes()["sha256:".len()..]
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .collect::<Vec<_>>()
            .join(":");
        assert_eq!(with_colons.parse::<Fingerprint>().unwrap(), pin);
    }

    #[test]
    fn a_text_that_is_no_pin_is_refused() {
        for text in [
            "",
            "sha256:",
            "sha256:zz",
            "md5:00",
            &"é".repeat(32),
            &"0".repeat(63),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
