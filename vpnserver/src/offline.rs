//! Commands on the data folder itself, whether a server is running on it or not: a running one follows the store.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use protocol::error::ErrorCode;
use zeroize::Zeroizing;

use crate::audit::{Audit, Doing, Who};
use crate::cli;
use crate::config::{self, ImportError, Report};
use crate::data_dir::{DataDir, DataDirError, write_durably};
use crate::run::{add_listeners, usual_ports};
use crate::store::{Backup, OpenError, Opened, SqliteStore, Store, StoreError};

/// The largest configuration file that is read.
const MAX_FILE: u64 = 256 << 20;

/// Why a command on the data folder failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] DataDirError),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no room for the line of the audit log without which nothing is changed.
    #[error("the audit log cannot be written, so nothing was changed: {0}")]
    Audit(std::io::Error),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a configuration that can be taken.
    #[error("{path}: {error}; nothing was changed")]
    Refused {
        /// The file.
        path: String,
        /// The line, the key and what is wrong there.
        error: ImportError,
    },
}

/// Takes a configuration file; says what was taken and what was left.
///
/// # Errors
/// When the file or the folder cannot be used.
pub fn import(options: &cli::Import) -> Result<Report, OfflineError> {
    let path = options.file.display().to_string();
    let file = read(&options.file)?;
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    let ports = usual_ports();
    folder.act_as_owner()?;
    let Opened { store, vault, fresh } = SqliteStore::open(folder.path())?;
    if fresh {
        add_listeners(&store, ports)?;
    }
    let how = config::Options {
        allow_standard_password: options.allow_standard_password,
        dry_run: options.dry_run,
    };
    let take = || {
        config::import(&store, &vault, &file, how).map_err(|error| OfflineError::Refused {
            path: path.clone(),
            error,
        })
    };
    if options.dry_run {
        return take();
    }
    audited(&folder, "SetConfig", &path, || {
        store.back_up()?; // so that there is a way back
        take()
    })
}

/// Makes a change whose line is in the audit log when this returns, whatever came of it. Without room for the line there is
/// no change.
fn audited<T>(
    folder: &DataDir,
    method: &str,
    name: &str,
    change: impl FnOnce() -> Result<T, OfflineError>,
) -> Result<T, OfflineError> {
    let slot = Audit::of(folder.path())
        .reserve_now()
        .map_err(OfflineError::Audit)?;
    let outcome = change();
    slot.write_now(Doing {
        who: Who::Tool("vpnserver".to_owned()),
        from: "local".to_owned(),
        transport: "local",
        method: method.to_owned(),
        hub: None,
        name: Some(name.to_owned()),
        result: outcome.as_ref().map(drop).map_err(OfflineError::code),
        left_out: 0,
    });
    outcome
}

impl OfflineError {
    /// The number that the same failure has over RPC.
    fn code(&self) -> ErrorCode {
        match self {
            Self::Store(error) => error.code(),
            Self::Refused { error, .. } => error.code(),
            Self::Folder(_) | Self::Open(_) | Self::Audit(_) | Self::File { .. } => ErrorCode::Internal,
        }
    }
}

/// Writes the settings as a configuration file, to standard output without a path; says what it cannot hold.
///
/// # Errors
/// When the folder or the file cannot be used.
pub fn export(options: &cli::Export) -> Result<Vec<String>, OfflineError> {
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    let Opened { store, vault, .. } = folder.as_owner(|| SqliteStore::open(folder.path()))??;
    let export = config::export(&store, &vault)?;
    let written = match &options.file {
        Some(path) => write_durably(path, export.text.as_bytes(), 0o600),
        None => std::io::stdout().lock().write_all(export.text.as_bytes()),
    };
    written.map_err(|source| OfflineError::File {
        path: options
            .file
            .as_deref()
            .map_or_else(|| "standard output".to_owned(), |path| path.display().to_string()),
        source,
    })?;
    Ok(export.notes)
}

/// The former states that are kept, newest first.
///
/// # Errors
/// When the folder cannot be used.
pub fn backups(folder: &cli::Folder) -> Result<Vec<Backup>, OfflineError> {
    let folder = DataDir::locate(folder.data_dir.as_deref())?;
    folder.act_as_owner()?;
    Ok(SqliteStore::open(folder.path())?.store.backups()?)
}

/// Puts a former state back.
///
/// # Errors
/// When there is none of this number or the folder cannot be used.
pub fn restore(folder: &cli::Folder, number: u64) -> Result<(), OfflineError> {
    let folder = DataDir::locate(folder.data_dir.as_deref())?;
    folder.act_as_owner()?;
    let store = SqliteStore::open(folder.path())?.store;
    audited(&folder, "RestoreBackup", &number.to_string(), || {
        Ok(store.restore(number)?)
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, OfflineError> {
    let failed = |source| OfflineError::File {
        path: path.display().to_string(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
