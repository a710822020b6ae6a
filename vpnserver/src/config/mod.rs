//! The stock server's configuration file: read into the store, and written from it.
//!
//! One file per noun, with both directions in it; `place` walks a file that is read, `report` says what was left of it
//! and why. The text format itself is `protocol::config`.
//!
//! A file is taken whole or not at all, in one transaction ([`Store::together`]). It replaces what the server has, but for
//! what such a file cannot hold: published hosts, leases, options of our own. Hubs, users and cascades of the same name keep
//! their identity, so that sessions live on.

mod access;
mod bridge;
mod cascade;
mod group;
mod hub;
mod layer3;
mod listener;
mod nat;
mod option;
mod place;
mod policy;
mod report;
mod server;
#[cfg(test)]
mod tests;
mod trust;
mod user;

use protocol::config::{ConfigError, Folder, ROOT};
use protocol::error::ErrorCode;
use zeroize::Zeroizing;

use self::place::{Place, Seen};
pub use self::report::{Left, Report};
use crate::secret::{SealError, Vault};
use crate::store::{Store, StoreError};

/// The name of the file, as the stock server calls it.
pub const FILE_NAME: &str = "vpn_server.config";

/// Why a file was not taken. The server is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is wrong, at the line and the key that the text names.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SealError> for ImportError {
    fn from(error: SealError) -> Self {
        Self::Store(error.into())
    }
}

impl ImportError {
    /// The number an administrator is told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::File(_) => ErrorCode::InvalidParameter,
            Self::Store(error) => error.code(),
        }
    }
}

/// How a file is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Switches the extended option `AllowStandardPassword` on in every hub, so that stock clients log in with the standard
    /// password type as they did.
    pub allow_standard_password: bool,
    /// Says what would be taken and changes nothing.
    pub dry_run: bool,
}

/// Takes a configuration file in place of what the store has.
///
/// # Errors
/// When the file is wrong or the store fails; nothing is changed then.
pub fn import(
    store: &dyn Store,
    vault: &Vault,
    file: &[u8],
    options: Options,
) -> Result<Report, ImportError> {
    let root = Folder::parse(file)?;
    let mut outcome = None;
    let done = store.together(&mut |store| {
        let mut import = Import {
            store,
            vault,
            options,
            report: Report::default(),
        };
        let taken = import.take(&root).map(|()| import.report);
        let commit = taken.is_ok() && !options.dry_run;
        outcome = Some(taken);
        // Any error takes everything back; `outcome` has the one to tell.
        if commit {
            Ok(())
        } else {
            Err(StoreError::Interrupted)
        }
    });
    match (outcome, done) {
        (Some(Ok(report)), Err(_)) if options.dry_run => Ok(report),
        (Some(Ok(_)), Err(error)) | (None, Err(error)) => Err(error.into()),
        (Some(outcome), _) => outcome,
        (None, Ok(())) => Err(StoreError::Interrupted.into()),
    }
}

/// A file that is being taken.
struct Import<'a> {
    store: &'a dyn Store,
    vault: &'a Vault,
    options: Options,
    report: Report,
}

impl Import<'_> {
    fn take(&mut self, root: &Folder) -> Result<(), ImportError> {
        let seen = Seen::default();
        let place = Place::root(root, &seen);
        self.server(&place)?;
        self.hubs(&place)?;
        self.bridges(&place)?;
        self.layer3_switches(&place)?;
        self.listeners(&place)?;
        self.report.leave_unseen(root, &seen);
        Ok(())
    }

    fn taken(&mut self, what: impl Into<String>) {
        self.report.taken.push(what.into());
    }
}

/// A configuration file of the store's settings.
#[derive(Debug)]
pub struct Export {
    /// The file. It holds hashes and keys.
    pub text: Zeroizing<String>,
    /// What such a file cannot say, which is also in the comments at its beginning.
    pub notes: Vec<String>,
}

/// Writes the settings as a file that the stock server loads.
///
/// # Errors
/// When the store cannot be read, or a sealed value does not open.
pub fn export(store: &dyn Store, vault: &Vault) -> Result<Export, StoreError> {
    let mut exporter = Exporter {
        store,
        vault,
        notes: Vec::new(),
    };
    let mut root = Folder::new(ROOT);
    exporter.server(&mut root)?;
    exporter.listeners(&mut root)?;
    exporter.hubs(&mut root)?;
    exporter.bridges(&mut root)?;
    exporter.layer3_switches(&mut root)?;
    let mut head = String::from(
        "# Configuration of a Hubward server, in the format of vpn_server.config.\n\
         # It holds hashes of passwords and private keys: keep it where you keep passwords.\n\
         # \"vpnserver import\" and \"vpncmd ... ConfigSet\" take it; so does the stock server, which leaves out the\n\
         # keys that begin with Hubward.\n",
    );
    for note in &exporter.notes {
        head.push_str("#\n# ");
        head.push_str(&note.replace(['\r', '\n'], " "));
        head.push('\n');
    }
    Ok(Export {
        text: root.to_text(&head),
        notes: exporter.notes,
    })
}

/// A file that is being written.
struct Exporter<'a> {
    store: &'a dyn Store,
    vault: &'a Vault,
    notes: Vec<String>,
}

/// A value that nobody knows the password of, for where the stock format must have a hash. Zeros would not do: whoever
/// knows a hash can log in with it.
fn nobodys_hash() -> Zeroizing<[u8; 20]> {
    Zeroizing::new(rand::random())
}

/// "1 user", "2 users".
fn count(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
