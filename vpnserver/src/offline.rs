//! Commands on the data folder itself, whether a server is running on it or not: a running one follows the store.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::cli;
use crate::config::{self, ImportError, Report};
use crate::data_dir::{DataDir, DataDirError, write_durably};
use crate::run::add_usual_listeners;
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
    let Opened { store, vault, fresh } = SqliteStore::open(folder.path())?;
    if fresh {
        add_usual_listeners(&store)?;
    }
    let how = config::Options {
        allow_standard_password: options.allow_standard_password,
        dry_run: options.dry_run,
    };
    if !options.dry_run {
        store.back_up()?; // so that there is a way back
    }
    config::import(&store, &vault, &file, how).map_err(|error| OfflineError::Refused { path, error })
}

/// Writes the settings as a configuration file, to standard output without a path; says what it cannot hold.
///
/// # Errors
/// When the folder or the file cannot be used.
pub fn export(options: &cli::Export) -> Result<Vec<String>, OfflineError> {
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    let Opened { store, vault, .. } = SqliteStore::open(folder.path())?;
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
    Ok(store(folder)?.backups()?)
}

/// Puts a former state back.
///
/// # Errors
/// When there is none of this number or the folder cannot be used.
pub fn restore(folder: &cli::Folder, number: u64) -> Result<(), OfflineError> {
    Ok(store(folder)?.restore(number)?)
}

fn store(folder: &cli::Folder) -> Result<SqliteStore, OfflineError> {
    let folder = DataDir::locate(folder.data_dir.as_deref())?;
    Ok(SqliteStore::open(folder.path())?.store)
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
