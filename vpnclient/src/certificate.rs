//! Files with a user's certificate and its key: PEM, its keys encrypted or not, and PKCS#12.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use p12_keystore::Pkcs12Archive;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::SecretDocument;
use protocol::certificate::{self, CertificateError, SigningKey};
use transport::tls;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::login::Proof;

/// No file of this kind is larger.
const MAX_BYTES: u64 = 1 << 20;

/// Who gives the password of a file, when it turns out that it needs one.
pub type Unlock<'a> = &'a mut dyn FnMut() -> Result<Zeroizing<String>, Failure>;

/// The proof in a PEM certificate and a PEM key (PKCS#8, encrypted or not, or PKCS#1).
///
/// # Errors
/// [`Failure::Usage`]: a file is not what it should be, the password is wrong, or the two do not belong together.
pub fn from_pem(cert: &Path, key: &Path, unlock: Unlock<'_>) -> Result<Proof, Failure> {
    let chain = tls::certificates_from_file(cert).map_err(|e| Failure::Usage(e.to_string()))?;
    let certificate = chain.first().map(|first| first.to_vec()).unwrap_or_default();
    let signing = key_in(key, unlock)?;
    matching(certificate, signing, &key.display().to_string())
}

/// The proof in a PKCS#12 file. One without a password is opened without asking.
///
/// # Errors
/// As [`from_pem`].
pub fn from_pkcs12(file: &Path, unlock: Unlock<'_>) -> Result<Proof, Failure> {
    let name = file.display();
    let bytes = contents(file)?;
    let archive = match Pkcs12Archive::from_pkcs12(&bytes, "") {
        Ok(archive) => archive,
        Err(_) if !looks_like_der(&bytes) => {
            return Err(Failure::Usage(format!(
                "{name} is not a PKCS#12 file; PEM files go to --cert and --key"
            )));
        }
        Err(_) => Pkcs12Archive::from_pkcs12(&bytes, &unlock()?)
            .map_err(|error| unopened(&name.to_string(), &error))?,
    };
    let Some(key) = archive.keys.first() else {
        return Err(Failure::Usage(format!("there is no private key in {name}")));
    };
    let signing = signing_key(key.key.as_der(), &name.to_string())?;
    let id = key.local_key_id.as_ref().map(AsRef::as_ref);
    // Their own, by the mark that binds them; of files that set none, the one that the key signs for.
    let marked = archive
        .certs
        .iter()
        .filter(|bag| id.is_some() && bag.local_key_id.as_deref() == id);
    let found = marked
        .chain(&archive.certs)
        .map(|bag| bag.cert.as_der().to_vec())
        .find(|der| belong_together(der, &signing));
    match found {
        Some(certificate) => Ok(Proof::Certificate {
            certificate,
            key: Box::new(signing),
        }),
        None => Err(Failure::Usage(format!(
            "there is no certificate in {name} that its key belongs to"
        ))),
    }
}

fn unopened(name: &str, error: &p12_keystore::error::Error) -> Failure {
    use p12_keystore::error::Error;
    Failure::Usage(match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            format!("{name} does not open with this password; check it, or --key-password-file")
        }
        other => format!(
            "{name} is not a PKCS#12 file that can be read: {other}; `openssl pkcs12 -in FILE | openssl pkcs12 -export` writes \
             a modern one"
        ),
    })
}

/// The private key in a PEM file.
fn key_in(path: &Path, unlock: Unlock<'_>) -> Result<SigningKey, Failure> {
    const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    let name = path.display().to_string();
    let text = Zeroizing::new(String::from_utf8_lossy(&contents(path)?).into_owned());
    if let Some(at) = text.find(ENCRYPTED) {
        let wrong = |error: &dyn std::fmt::Display| Failure::Usage(format!("{name} cannot be read: {error}"));
        let end = text[at..].find("-----END").and_then(|end| {
            let line = text[at + end + 8..].find("-----")?;
            Some(at + end + 8 + line + 5)
        });
        let block = end
            .map(|end| &text[at..end])
            .ok_or_else(|| wrong(&"its end is missing"))?;
        let (_, document) = SecretDocument::from_pem(block).map_err(|e| wrong(&e))?;
        let sealed = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|e| wrong(&e))?;
        let opened = sealed.decrypt(unlock()?.as_bytes()).map_err(|error| {
            Failure::Usage(format!(
                "{name} does not open with this password ({error}); check it, or --key-password-file"
            ))
        })?;
        return signing_key(opened.as_bytes(), &name);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(Failure::Usage(format!(
            "{name} is encrypted in the way of before PKCS#8; `openssl pkcs8 -topk8 -in {name} -out NEW` writes one that can be \
             read"
        )));
    }
    let der = tls::key_from_file(path).map_err(|e| Failure::Usage(e.to_string()))?;
    signing_key(der.secret_der(), &name)
}

fn signing_key(der: &[u8], name: &str) -> Result<SigningKey, Failure> {
    SigningKey::from_der(der).map_err(|error| {
        let hint = match error {
            CertificateError::NotPrivateKey => "; give an RSA key",
            _ => "",
        };
        Failure::Usage(format!("{name}: {error}{hint}"))
    })
}

fn matching(certificate: Vec<u8>, key: SigningKey, name: &str) -> Result<Proof, Failure> {
    if !belong_together(&certificate, &key) {
        return Err(Failure::Usage(format!(
            "the key in {name} is not that of the certificate, or the certificate is not an RSA one"
        )));
    }
    Ok(Proof::Certificate {
        certificate,
        key: Box::new(key),
    })
}

/// Whether what the key signs holds for the certificate.
fn belong_together(certificate: &[u8], key: &SigningKey) -> bool {
    let challenge = [7; 20];
    key.sign(&challenge, &mut rand::rng())
        .is_ok_and(|signature| certificate::verify(certificate, &challenge, &signature).is_ok())
}

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let wrong =
        |error: &dyn std::fmt::Display| Failure::Usage(format!("cannot read {}: {error}", path.display()));
    // A pipe, or a device, does not say how much it holds. As long as it may get, so that no copy stays behind when it grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 1));
    let file = File::open(path).map_err(|e| wrong(&e))?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| wrong(&e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(wrong(&"it is too large for a certificate or key"));
    }
    Ok(bytes)
}

/// Whether bytes begin like a sequence in DER, as PKCS#12 files do.
fn looks_like_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x80..=0x84, ..])
}

#[cfg(test)]
mod tests;
