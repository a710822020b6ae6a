//! The certificate that the server shows: given in files, or kept in the store, where the first start puts one it made
//! and administrators put others.

use std::path::Path;
use std::sync::Arc;

use rand::RngExt;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};
use transport::cipher::{self, Cipher};
use transport::tls::{self, CertificateError, Fingerprint};
use zeroize::Zeroizing;

use crate::data_dir::DataDir;
use crate::secret::{self, SealError, Vault};
use crate::store::{ServerCertificate, Store, StoreError};

/// How long a certificate of our own making is valid: nobody renews it, clients pin it.
const VALIDITY: Duration = Duration::days(3650);
/// Clocks of clients may be behind.
const BACKDATE: Duration = Duration::days(1);
/// The longest name of a certificate (RFC 5280, ub-common-name).
const MAX_COMMON_NAME: usize = 64;

/// Why the server has no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The material cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The key is not one.
    #[error("the private key cannot be read: {0}")]
    Key(&'static str),
    /// The name is not one.
    #[error("the name of a certificate has 1 to {MAX_COMMON_NAME} bytes")]
    Name,
    /// The key could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Files that the command line names. Whoever wants another changes those.
    Files,
    /// The store.
    Store,
}

/// What the server shows in TLS.
#[derive(Clone)]
pub struct Identity {
    /// The settings for the listeners.
    pub tls: Arc<ServerConfig>,
    /// The certificate itself, the first of its chain.
    pub certificate: CertificateDer<'static>,
    /// Where it comes from.
    pub source: Source,
}

/// A certificate with its chain and key, as they travel and are kept.
pub struct Material {
    /// X.509 in DER, the server's own first.
    pub chain: Vec<Vec<u8>>,
    /// The private key in DER.
    pub key: Zeroizing<Vec<u8>>,
}

impl Material {
    /// A self-signed ECDSA certificate for this name.
    ///
    /// # Errors
    /// When the name is none, or the certificate cannot be made.
    pub fn self_signed(name: &str) -> Result<Self, IdentityError> {
        if name.is_empty() || name.len() > MAX_COMMON_NAME || name.contains(char::is_control) {
            return Err(IdentityError::Name);
        }
        // A name that is no host's stands in the subject alone.
        let mut params =
            CertificateParams::new(vec![name.to_owned()]).or_else(|_| CertificateParams::new([]))?;
        params.distinguished_name.push(DnType::CommonName, name);
        // Said, since the stock tool warns of certificates that do not say it.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = OffsetDateTime::now_utc() - BACKDATE;
        params.not_after = OffsetDateTime::now_utc() + VALIDITY;
        let pair = KeyPair::generate()?;
        let made = params.self_signed(&pair)?;
        Ok(Self {
            chain: vec![made.der().to_vec()],
            key: Zeroizing::new(pair.serialize_der()),
        })
    }

    /// A random name: that of the machine is nobody's business.
    #[must_use]
    pub fn random_name() -> String {
        format!("vpn-{:08x}.invalid", rand::rng().random::<u32>())
    }

    /// The material of PEM files.
    fn of_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = tls::certificates_from_file(certificate)?;
        let key = tls::key_from_file(key)?;
        Ok(Self {
            chain: chain.iter().map(|der| der.to_vec()).collect(),
            key: Zeroizing::new(key.secret_der().to_vec()),
        })
    }

    /// As the store keeps it.
    ///
    /// # Errors
    /// When the key cannot be sealed.
    pub fn seal(&self, vault: &Vault) -> Result<ServerCertificate, SealError> {
        Ok(ServerCertificate {
            chain: self.chain.clone(),
            key: vault.seal(&secret::Identity::ServerKey, &self.key)?,
        })
    }

    /// As the store kept it.
    ///
    /// # Errors
    /// When the key does not open.
    pub fn unseal(kept: &ServerCertificate, vault: &Vault) -> Result<Self, SealError> {
        Ok(Self {
            chain: kept.chain.clone(),
            key: vault.open_sealed(&secret::Identity::ServerKey, &kept.key)?,
        })
    }

    /// What TLS makes of it.
    ///
    /// # Errors
    /// When chain and key do not belong together or cannot be used.
    pub fn identity(&self, source: Source) -> Result<Identity, IdentityError> {
        let chain: Vec<_> = self.chain.iter().cloned().map(CertificateDer::from).collect();
        let certificate = chain
            .first()
            .cloned()
            .ok_or(IdentityError::Key("there is no certificate"))?;
        let key = PrivateKeyDer::try_from(self.key.as_slice()).map_err(IdentityError::Key)?;
        Ok(Identity {
            tls: tls::server_config(chain, key.clone_key())?,
            certificate,
            source,
        })
    }
}

impl Identity {
    /// Reads chain and key from PEM files.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        Material::of_files(certificate, key)?.identity(Source::Files)
    }

    /// The identity kept in the store; one is made when there is none. What earlier versions kept in files of the state folder is
    /// taken over, since clients have pinned it.
    ///
    /// # Errors
    /// When it can be neither read nor made.
    pub fn kept(store: &dyn Store, vault: &Vault, folder: &DataDir) -> Result<Self, IdentityError> {
        if let Some(kept) = store.server()?.certificate {
            return Material::unseal(&kept, vault)?.identity(Source::Store);
        }
        let (certificate, key) = (folder.file("server.crt"), folder.file("server.key"));
        let material = if certificate.exists() && key.exists() {
            Material::of_files(&certificate, &key)?
        } else {
            Material::self_signed(&Material::random_name())?
        };
        let identity = material.identity(Source::Store)?;
        let sealed = material.seal(vault)?;
        store.update_server(&|server| {
            server.certificate = Some(sealed.clone());
            Ok(())
        })?;
        Ok(identity)
    }

    /// The same with a preferred cipher, by its name, or without one.
    ///
    /// # Errors
    /// When TLS refuses.
    pub fn preferring(mut self, cipher: Option<&str>) -> Result<Self, IdentityError> {
        self.tls =
            cipher::prefer(&self.tls, cipher.and_then(Cipher::named)).map_err(CertificateError::from)?;
        Ok(self)
    }

    /// What clients pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::Fixture;

    #[test]
    fn a_certificate_is_made_once_and_kept() {
        let Fixture { store, vault, dir } = Fixture::new();
        let folder = DataDir::locate(Some(dir.path())).unwrap();
        let first = Identity::kept(&store, &vault, &folder).unwrap();
        let second = Identity::kept(&store, &vault, &folder).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
    }

    #[test]
    fn the_certificate_of_an_older_release_is_taken_over() {
        let Fixture { store, vault, dir } = Fixture::new();
        let folder = DataDir::locate(Some(dir.path())).unwrap();
        let pair = KeyPair::generate().unwrap();
        let made = CertificateParams::new(vec!["old.example".to_owned()])
            .unwrap()
            .self_signed(&pair)
            .unwrap();
        std::fs::write(folder.file("server.crt"), made.pem()).unwrap();
        std::fs::write(folder.file("server.key"), pair.serialize_pem()).unwrap();
        let taken = Identity::kept(&store, &vault, &folder).unwrap();
        assert_eq!(taken.fingerprint(), Fingerprint::of(made.der()));
        std::fs::remove_file(folder.file("server.key")).unwrap();
        let kept = Identity::kept(&store, &vault, &folder).unwrap();
        assert_eq!(kept.fingerprint(), taken.fingerprint());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (
            Material::self_signed("one.example").unwrap(),
            Material::self_signed("other.example").unwrap(),
        );
        let mixed = Material {
            chain: one.chain,
            key: other.key,
        };
        assert!(mixed.identity(Source::Store).is_err());
    }
}
