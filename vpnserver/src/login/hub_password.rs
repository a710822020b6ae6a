//! Administrator passwords: kept as the hashes that the protocol's challenge response needs, sealed.

use protocol::password::{PasswordHash, admin_hash, user_hash};
use zeroize::Zeroizing;

use crate::secret::{Identity, SealError, Sealed, Vault};
use crate::store::{Hub, Id, Result, Server, StoreError};

/// The user name of a hub's administrator in VPN sessions (protocol §4.3).
pub(super) const ADMINISTRATOR: &str = "administrator";

/// The server administrator's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPassword(PasswordHash);

impl AdminPassword {
    /// From the hash that an administration tool sends.
    #[must_use]
    pub fn from_hash(hash: PasswordHash) -> Self {
        Self(hash)
    }

    /// From the password itself.
    #[must_use]
    pub fn from_text(password: &str) -> Self {
        Self(admin_hash(password.as_bytes()))
    }

    /// The password of the server, if it has one.
    ///
    /// # Errors
    /// When the sealed value does not open.
    pub fn of(vault: &Vault, server: &Server) -> Result<Option<Self>> {
        let Some(sealed) = &server.admin_password else {
            return Ok(None);
        };
        let bytes = vault.open_sealed(&Identity::ServerAdmin, sealed)?;
        let hash =
            <[u8; 20]>::try_from(bytes.as_slice()).map_err(|_| StoreError::Damaged("admin_password"))?;
        Ok(Some(Self(hash.into())))
    }

    /// What the store keeps; nothing for the empty password, which counts as none.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, vault: &Vault) -> std::result::Result<Option<Sealed>, SealError> {
        if *self == Self::from_text("") {
            return Ok(None);
        }
        vault.seal(&Identity::ServerAdmin, self.0.as_bytes()).map(Some)
    }

    /// What proofs are checked against.
    pub fn hash(&self) -> &PasswordHash {
        &self.0
    }
}

/// A hub administrator's password in its two shapes (admin RPC §1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubPassword {
    /// For administration: `SHA0(password)`.
    pub admin: PasswordHash,
    /// For sessions of the user `administrator`: `SHA0(password ‖ "ADMINISTRATOR")`.
    pub session: PasswordHash,
}

impl HubPassword {
    /// From the password itself.
    #[must_use]
    pub fn from_text(password: &str) -> Self {
        let bytes = password.as_bytes();
        Self {
            admin: admin_hash(bytes),
            session: user_hash(bytes, ADMINISTRATOR),
        }
    }

    /// The empty password.
    #[must_use]
    pub fn empty() -> Self {
        Self::from_text("")
    }

    /// The password of a hub, if it has one.
    ///
    /// # Errors
    /// When the sealed value does not open.
    pub fn of(vault: &Vault, hub: &Hub) -> Result<Option<Self>> {
        let Some(sealed) = &hub.password else {
            return Ok(None);
        };
        let bytes = vault.open_sealed(&Identity::HubAdmin(hub.id), sealed)?;
        let damaged = || StoreError::Damaged("hub password");
        let (admin, session) = bytes.split_first_chunk::<20>().ok_or_else(damaged)?;
        let session = <[u8; 20]>::try_from(session).map_err(|_| damaged())?;
        Ok(Some(Self {
            admin: (*admin).into(),
            session: session.into(),
        }))
    }

    /// What the store keeps for the hub with this identity; nothing for the empty password, which counts as none.
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub fn seal(&self, vault: &Vault, hub: Id) -> std::result::Result<Option<Sealed>, SealError> {
        if self.admin == Self::empty().admin {
            return Ok(None);
        }
        let both = Zeroizing::new([self.admin.as_bytes().as_slice(), self.session.as_bytes()].concat());
        vault.seal(&Identity::HubAdmin(hub), &both).map(Some)
    }
}
