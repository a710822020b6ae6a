//! What can go wrong in the store.

use std::io;
use std::path::PathBuf;

use protocol::error::ErrorCode;
use thiserror::Error;

use super::name::NameError;
use crate::secret::{KeyError, SealError};

/// Why a read or a change failed. Nothing was changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// No hub of this name.
    #[error("there is no hub {0:?}")]
    HubNotFound(String),
    /// A hub of this name exists.
    #[error("a hub {0:?} exists already")]
    HubExists(String),
    /// No user of this name on the hub.
    #[error("there is no user {user:?} on hub {hub:?}")]
    UserNotFound {
        /// The hub.
        hub: String,
        /// The user that was asked for.
        user: String,
    },
    /// A user of this name exists on the hub.
    #[error("a user {0:?} exists already")]
    UserExists(String),
    /// No group of this name on the hub.
    #[error("there is no group {0:?}")]
    GroupNotFound(String),
    /// A group of this name exists on the hub.
    #[error("a group {0:?} exists already")]
    GroupExists(String),
    /// No listener on this port.
    #[error("there is no listener on port {0}")]
    ListenerNotFound(u16),
    /// A listener on this port exists.
    #[error("a listener on port {0} exists already")]
    ListenerExists(u16),
    /// No local bridge between this hub and this device.
    #[error("hub {hub:?} has no local bridge to {device:?}")]
    BridgeNotFound {
        /// The hub.
        hub: String,
        /// The device.
        device: String,
    },
    /// The hub is bridged to this device already.
    #[error("a local bridge to {0:?} exists already")]
    BridgeExists(String),
    /// No published host of this name.
    #[error("there is no DNAT rule {0:?}")]
    RuleNotFound(String),
    /// A published host of this name exists.
    #[error("a DNAT rule {0:?} exists already")]
    RuleExists(String),
    /// No cascade of this name on the hub.
    #[error("hub {hub:?} has no cascade {name:?}")]
    CascadeNotFound {
        /// The hub.
        hub: String,
        /// The cascade that was asked for.
        name: String,
    },
    /// A cascade of this name exists on the hub.
    #[error("a cascade {0:?} exists already")]
    CascadeExists(String),
    /// No layer 3 switch of this name.
    #[error("there is no layer 3 switch {0:?}")]
    SwitchNotFound(String),
    /// A layer 3 switch of this name exists.
    #[error("a layer 3 switch {0:?} exists already")]
    SwitchExists(String),
    /// The hub has no access rule at this position or of this key.
    #[error("there is no access rule {0}")]
    AccessRuleNotFound(u32),
    /// The hub trusts no authority of this key.
    #[error("there is no trusted authority with the key {0}")]
    AuthorityNotFound(u32),
    /// The hub has no revocation of this key.
    #[error("there is no revocation with the key {0}")]
    RevocationNotFound(u32),
    /// There is no room for more.
    #[error("the hub may have {most} {what} at most")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there may be.
        most: usize,
        /// The number that tools know for it.
        code: ErrorCode,
    },
    /// No former state of this number is kept.
    #[error("there is no backup {0}; BackupList shows them all")]
    BackupNotFound(u64),
    /// The folder of former states cannot be used.
    #[error("{path}: {source}; the state was neither kept nor put back")]
    Backup {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that names may not be.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A value out of its range; the text says which and what is allowed.
    #[error("{0}")]
    Invalid(String),
    /// The caller's edit refused the record as it found it.
    #[error("{0}")]
    Refused(ErrorCode),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database failed: disk full, I/O error, damage.
    #[error("the store failed: {0}; the change was not made")]
    Database(#[from] rusqlite::Error),
    /// A stored value cannot be read back.
    #[error("the store holds an unreadable value in {0}; restore the data folder from a backup")]
    Damaged(&'static str),
    /// The task that held the request was ended (the server is going down).
    #[error("the request was given up because the server is stopping")]
    Interrupted,
}

impl StoreError {
    /// The number a client or administrator is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::HubNotFound(_) => ErrorCode::HubNotFound,
            Self::HubExists(_) => ErrorCode::HubExists,
            Self::CascadeExists(_) => ErrorCode::LinkExists,
            Self::SwitchNotFound(_) => ErrorCode::L3SwitchNotFound,
            Self::SwitchExists(_) => ErrorCode::L3SwitchExists,
            Self::UserNotFound { .. }
            | Self::BridgeNotFound { .. }
            | Self::RuleNotFound(_)
            | Self::BackupNotFound(_)
            | Self::CascadeNotFound { .. }
            | Self::AccessRuleNotFound(_)
            | Self::AuthorityNotFound(_)
            | Self::RevocationNotFound(_) => ErrorCode::ObjectNotFound,
            Self::TooMany { code, .. } => *code,
            Self::UserExists(_) => ErrorCode::UserExists,
            Self::GroupNotFound(_) => ErrorCode::GroupNotFound,
            Self::GroupExists(_) => ErrorCode::GroupExists,
            Self::ListenerNotFound(_) => ErrorCode::ListenerNotFound,
            Self::ListenerExists(_) => ErrorCode::ListenerExists,
            Self::BridgeExists(_) | Self::RuleExists(_) => ErrorCode::ObjectExists,
            Self::Name(_) | Self::Invalid(_) => ErrorCode::InvalidParameter,
            Self::Refused(code) => *code,
            Self::Seal(_)
            | Self::Backup { .. }
            | Self::Database(_)
            | Self::Damaged(_)
            | Self::Interrupted => ErrorCode::Internal,
        }
    }
}

/// Why the store cannot be opened. Nothing in the data folder was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Written by a later release.
    #[error(
        "{path}: written by a newer Hubward (schema {found}, this one knows up to {known}); run that release or a later one"
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// A database of something else, or no database at all.
    #[error("{path}: not a Hubward store; move it away or give another --data-dir")]
    Foreign {
        /// The database file.
        path: PathBuf,
    },
    /// The folder or the file cannot be written.
    #[error(
        "{path}: not writable by user {user} ({source}); run `chown -R {user} {path}` or give another --data-dir"
    )]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The user of this process.
        user: u32,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read or change the store.
    #[error("{path}: mode {mode:04o} opens the store to others; run `chmod 600 {path}`")]
    Mode {
        /// The database file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a store but no key for it.
    #[error(
        "{path}: missing, but the store beside it was sealed with it; restore it from a backup of the data folder"
    )]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The key is not the one that sealed the store.
    #[error(
        "{path}: not the key that the store beside it was sealed with; restore both from the same backup"
    )]
    KeyMismatch {
        /// The key file.
        path: PathBuf,
    },
    /// The key file cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database failed.
    #[error("{path}: {source}")]
    Database {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}
