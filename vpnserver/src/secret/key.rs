//! The key file: 32 random bytes that only the server's user may read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use thiserror::Error;
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

/// Why the key file cannot be used; each text says how to mend it.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could have read the key.
    #[error(
        "{path}: mode {mode:04o} lets others read the key; run `chmod 600 {path}` and change every password that it sealed"
    )]
    Mode {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another user owns the key and could replace it.
    #[error(
        "{path}: owned by user {owner}, but the server runs as user {runs_as}; run `chown {runs_as} {path}`"
    )]
    Owner {
        /// The key file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        runs_as: u32,
    },
    /// Not a regular file of 32 bytes.
    #[error("{path}: not a key of {KEY_BYTES} bytes; restore it from a backup of the data folder")]
    Damaged {
        /// The key file.
        path: PathBuf,
    },
    /// The random source failed, or the cipher refused the key.
    #[error("the cryptographic library failed")]
    Crypto,
}

/// The key of one data folder. Seals and opens [`super::Sealed`] values. Clones share the key.
#[derive(Clone)]
pub struct Vault {
    pub(super) key: Arc<RandomizedNonceKey>,
}

impl Vault {
    /// The key in `path`, made when it is missing.
    ///
    /// # Errors
    /// See [`KeyError`]; a key that others could read or replace is refused.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyError> {
        match Self::create(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Self::open(path)
            }
            made => made,
        }
    }

    /// The key in `path`, which must exist.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.into(),
            source,
        };
        // O_NOFOLLOW: a link would let its target's owner choose the key.
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_CLOEXEC)
            .open(path)
            .map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.len() != KEY_BYTES as u64 {
            return Err(KeyError::Damaged { path: path.into() });
        }
        let runs_as = nix::unistd::geteuid().as_raw();
        if about.uid() != runs_as {
            return Err(KeyError::Owner {
                path: path.into(),
                owner: about.uid(),
                runs_as,
            });
        }
        let mode = about.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Mode {
                path: path.into(),
                mode,
            });
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        file.read_exact(&mut *bytes).map_err(failed)?;
        Self::from_bytes(&bytes)
    }

    /// A vault that lives in memory only, for tests.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn ephemeral() -> Result<Self, KeyError> {
        Self::from_bytes(&*random_key()?)
    }

    fn create(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.into(),
            source,
        };
        let bytes = random_key()?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_CLOEXEC)
            .open(path)
            .map_err(failed)?;
        file.write_all(&*bytes)
            .and_then(|()| file.sync_all())
            .map_err(failed)?;
        // The name must survive a power cut as well as the bytes.
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        Self::from_bytes(&bytes)
    }

    fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Result<Self, KeyError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| KeyError::Crypto)?;
        Ok(Self { key: Arc::new(key) })
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

fn random_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, KeyError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| KeyError::Crypto)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    use super::super::Identity;
    use super::*;

    #[test]
    fn key_is_made_once_and_private() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("secret.key");
        let sealed = Vault::open_or_create(&path)
            .unwrap()
            .seal(&Identity::ServerAdmin, b"secret")
            .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let again = Vault::open_or_create(&path).unwrap();
        assert_eq!(
            again
                .open_sealed(&Identity::ServerAdmin, &sealed)
                .unwrap()
                .as_slice(),
            b"secret"
        );
    }

    #[test]
    fn readable_key_is_refused_with_the_remedy() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("secret.key");
        Vault::open_or_create(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let text = Vault::open_or_create(&path).unwrap_err().to_string();
        assert!(text.contains("mode 0640") && text.contains("chmod 600"), "{text}");
    }

    #[test]
    fn short_key_and_link_are_refused() {
        let dir = TempDir::new().unwrap();
        let (path, link) = (dir.path().join("secret.key"), dir.path().join("link.key"));
        fs::write(&path, b"short").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(
            Vault::open_or_create(&path),
            Err(KeyError::Damaged { .. })
        ));
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Vault::open_or_create(&link), Err(KeyError::Io { .. })));
    }
}
