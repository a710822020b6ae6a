//! Values sealed with the vault's key: AES-256-GCM, bound to the record they belong to.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Vault;
use crate::store::Id;

/// First byte of every sealed value, so that another cipher can be told apart later.
const FORMAT: u8 = 1;

/// What a sealed value is and whose. It is authenticated with the value, so a value copied to another row does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The known text that proves that store and key belong together.
    KeyCheck,
    /// The server administrator's password hash.
    ServerAdmin,
    /// The two hashes of a hub's administrator password.
    HubAdmin(Id),
    /// A user's standard password hash.
    StandardPassword(Id),
    /// A user's password hash from an imported file, until there is an Argon2 record of it.
    ImportedPassword(Id),
    /// The private key of the server's certificate.
    ServerKey,
    /// A cascade's password, hash or key.
    Cascade(Id),
    /// The password that a cascade gives to its proxy.
    CascadeProxy(Id),
    /// What a hub shares with its RADIUS servers.
    RadiusSecret(Id),
}

impl Identity {
    fn to_bytes(self) -> Vec<u8> {
        let (name, id): (&str, Option<Id>) = match self {
            Self::KeyCheck => ("key-check", None),
            Self::ServerAdmin => ("server-admin", None),
            Self::HubAdmin(hub) => ("hub-admin", Some(hub)),
            Self::StandardPassword(user) => ("standard-password", Some(user)),
            Self::ImportedPassword(user) => ("imported-password", Some(user)),
            Self::ServerKey => ("server-key", None),
            Self::Cascade(cascade) => ("cascade", Some(cascade)),
            Self::CascadeProxy(cascade) => ("cascade-proxy", Some(cascade)),
            Self::RadiusSecret(hub) => ("radius-secret", Some(hub)),
        };
        let mut bytes = format!("hubward/{FORMAT}/{name}/").into_bytes();
        if let Some(id) = id {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes
    }
}

/// A value as it lies in the store: format byte, nonce, cipher text and tag.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Vec<u8>);

impl Sealed {
    /// The bytes to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes that were kept. They are judged when they are opened.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// Why a value could not be sealed or opened.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SealError {
    /// The cipher failed to seal.
    #[error("the cryptographic library failed")]
    Crypto,
    /// Another key, another record, or damaged bytes.
    #[error(
        "a sealed value does not open: secret.key is not the key it was sealed with, or the store was altered"
    )]
    DoesNotOpen,
}

impl Vault {
    /// Seals `plain` for the record that `identity` names.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, identity: &Identity, plain: &[u8]) -> Result<Sealed, SealError> {
        let mut text = Zeroizing::new(plain.to_vec());
        // The tag is appended in place: room for it now keeps the plain text from being copied by a growing vector.
        text.reserve_exact(AES_256_GCM.tag_len());
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(identity.to_bytes()), &mut *text)
            .map_err(|_| SealError::Crypto)?;
        let mut bytes = Vec::with_capacity(1 + NONCE_LEN + text.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(nonce.as_ref());
        bytes.extend_from_slice(&text);
        Ok(Sealed(bytes))
    }

    /// The value that was sealed for `identity`.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] when the key, the record or the bytes are not those it was sealed with.
    pub fn open_sealed(&self, identity: &Identity, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let body = sealed.0.strip_prefix(&[FORMAT]).ok_or(SealError::DoesNotOpen)?;
        let (nonce, text) = body.split_at_checked(NONCE_LEN).ok_or(SealError::DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::DoesNotOpen)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .key
            .open_in_place(nonce, Aad::from(identity.to_bytes()), &mut text)
            .map_err(|_| SealError::DoesNotOpen)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_its_record() {
        let vault = Vault::ephemeral().unwrap();
        let (alice, bob) = (Id::random(), Id::random());
        let sealed = vault.seal(&Identity::StandardPassword(alice), b"hash").unwrap();
        assert_eq!(
            vault
                .open_sealed(&Identity::StandardPassword(alice), &sealed)
                .unwrap()
                .as_slice(),
            b"hash"
        );
        assert_eq!(
            vault.open_sealed(&Identity::StandardPassword(bob), &sealed),
            Err(SealError::DoesNotOpen)
        );
        assert_eq!(
            vault.open_sealed(&Identity::HubAdmin(alice), &sealed),
            Err(SealError::DoesNotOpen)
        );
    }

    #[test]
    fn every_altered_or_cut_value_is_refused() {
        let vault = Vault::ephemeral().unwrap();
        let sealed = vault.seal(&Identity::ServerAdmin, b"hash").unwrap();
        for at in 0..sealed.0.len() {
            let mut altered = sealed.clone();
            altered.0[at] ^= 1;
            assert_eq!(
                vault.open_sealed(&Identity::ServerAdmin, &altered),
                Err(SealError::DoesNotOpen),
                "byte {at}"
            );
            let cut = Sealed(sealed.0[..at].to_vec());
            assert_eq!(
                vault.open_sealed(&Identity::ServerAdmin, &cut),
                Err(SealError::DoesNotOpen),
                "cut at {at}"
            );
        }
    }

    #[test]
    fn another_key_does_not_open() {
        let sealed = Vault::ephemeral()
            .unwrap()
            .seal(&Identity::ServerAdmin, b"hash")
            .unwrap();
        let other = Vault::ephemeral().unwrap();
        assert_eq!(
            other.open_sealed(&Identity::ServerAdmin, &sealed),
            Err(SealError::DoesNotOpen)
        );
    }

    #[test]
    fn debug_shows_no_bytes() {
        let sealed = Sealed(vec![0xAB; 3]);
        assert_eq!(format!("{sealed:?}"), "Sealed(3 bytes)");
    }
}
