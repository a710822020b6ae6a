//! The certificate that the server shows: given in files, or made at the first start and kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::RngExt;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};
use transport::tls::{self, CertificateError, Fingerprint};

use crate::data_dir::{DataDir, write_durably};

/// How long a certificate of our own making is valid: nobody renews it, clients pin it.
const VALIDITY: Duration = Duration::days(3650);
/// Clocks of clients may be behind.
const BACKDATE: Duration = Duration::days(1);

/// Why the server has no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The files cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The one that was made could not be kept.
    #[error("cannot write {path}: {source}")]
    Keeping {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// What the server shows in TLS.
#[derive(Clone)]
pub struct Identity {
    /// The settings for the listeners.
    pub tls: Arc<ServerConfig>,
    /// The certificate itself, the first of its chain.
    pub certificate: CertificateDer<'static>,
}

impl Identity {
    /// Reads chain and key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = tls::certificates_from_file(certificate)?;
        let key = tls::key_from_file(key)?;
        let shown = chain[0].clone();
        Ok(Self {
            tls: tls::server_config(chain, key)?,
            certificate: shown,
        })
    }

    /// The identity kept in the state folder; one is made when there is none.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn of(folder: &DataDir) -> Result<Self, IdentityError> {
        let (certificate, key) = (folder.file("server.crt"), folder.file("server.key"));
        if !certificate.exists() || !key.exists() {
            make(&certificate, &key)?;
        }
        Self::from_files(&certificate, &key)
    }

    /// What clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

/// A self-signed ECDSA certificate for a random name: the name of the machine is nobody's business.
fn make(certificate: &Path, key: &Path) -> Result<(), IdentityError> {
    let name = format!("vpn-{:08x}.invalid", rand::rng().random::<u32>());
    let mut params = CertificateParams::new(vec![name.clone()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = OffsetDateTime::now_utc() - BACKDATE;
    params.not_after = OffsetDateTime::now_utc() + VALIDITY;
    let pair = KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    // The certificate goes last: a key alone is replaced at the next start, a certificate alone would be too.
    for (path, pem, mode) in [
        (key, pair.serialize_pem(), 0o600),
        (certificate, made.pem(), 0o644),
    ] {
        write_durably(path, pem.as_bytes(), mode).map_err(|source| IdentityError::Keeping {
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let path = std::env::temp_dir().join(format!("hubward-identity-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = DataDir::locate(Some(&path)).unwrap();
        let first = Identity::of(&folder).unwrap().fingerprint();
        let second = Identity::of(&folder).unwrap().fingerprint();
        assert_eq!(first, second);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
