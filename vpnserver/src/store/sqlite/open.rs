//! Opening a data folder: look first, change nothing until all is well.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use nix::unistd::{AccessFlags, eaccess, geteuid};
use rusqlite::{Connection, OpenFlags, params};
use tokio::sync::watch;

use super::schema::{self, APPLICATION_ID, MIGRATIONS, MigrateError};
use super::{DATABASE_FILE, KEY_FILE, SqliteStore};
use crate::secret::{Identity, KeyError, Sealed, Vault};
use crate::store::{Id, OpenError};

/// How long a change waits for another process that is writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const KEY_CHECK: &[u8] = b"hubward";

/// An opened data folder.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SqliteStore,
    /// The key that belongs to it.
    pub vault: Vault,
    /// Whether the store was made by this call, and so is empty.
    pub fresh: bool,
}

pub(super) fn open(folder: &Path) -> Result<Opened, OpenError> {
    make_folder(folder)?;
    let path = folder.join(DATABASE_FILE);
    if !inspect(&path)? {
        create_private(&path).map_err(|source| not_writable(&path, source))?;
    }
    let failed = |source| OpenError::Database {
        path: path.clone(),
        source,
    };
    let mut connection = connect(&path).map_err(failed)?;
    let fresh = match contents(&connection).map_err(failed)? {
        Contents::None => true,
        Contents::Ours => false,
        Contents::Foreign => return Err(OpenError::Foreign { path }),
    };
    let key_path = folder.join(KEY_FILE);
    let vault = vault(&key_path, fresh)?;
    schema::migrate(&mut connection, &path, MIGRATIONS).map_err(|error| match error {
        MigrateError::Newer(found) => newer(&path, found),
        MigrateError::Sqlite(source) => failed(source),
    })?;
    let key_check = vault
        .seal(&Identity::KeyCheck, KEY_CHECK)
        .map_err(|_| KeyError::Crypto)?;
    seed(&connection, &key_check).map_err(failed)?;
    if !key_belongs(&connection, &vault).map_err(failed)? {
        return Err(OpenError::KeyMismatch { path: key_path });
    }
    let revision = super::last_revision(&connection).map_err(failed)?;
    let store = SqliteStore {
        path: path.clone(),
        connection: Mutex::new(connection),
        revision: watch::Sender::new(revision),
    };
    Ok(Opened { store, vault, fresh })
}

/// A file that only its owner can read, on the disk by name as well.
pub(super) fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Whether the file exists. Refuses one that is not ours to open; looks with plain reads, because opening it with SQLite
/// could already change it.
fn inspect(path: &Path) -> Result<bool, OpenError> {
    let unusable = |source| not_writable(path, source);
    let mut head = [0; 100];
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(error)),
    };
    let about = file.metadata().map_err(unusable)?;
    if !about.is_file() {
        return Err(OpenError::Foreign { path: path.into() });
    }
    if about.mode() & 0o077 != 0 {
        return Err(OpenError::Mode {
            path: path.into(),
            mode: about.mode() & 0o7777,
        });
    }
    eaccess(path, AccessFlags::R_OK | AccessFlags::W_OK).map_err(|errno| unusable(errno.into()))?;
    if about.len() == 0 {
        return Ok(true); // made by a start that was cut off
    }
    if file.read_exact(&mut head).is_err() || !head.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::Foreign { path: path.into() });
    }
    // Offsets from SQLite's file format, section 1.3.
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    match (word(68), word(60)) {
        (APPLICATION_ID, version) if version > schema::newest(MIGRATIONS) => Err(newer(path, version)),
        (APPLICATION_ID, _) | (0, 0) => Ok(true), // 0: perhaps a start that was cut off; `contents` tells
        _ => Err(OpenError::Foreign { path: path.into() }),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // FULL: a commit is acknowledged after the log reached the disk. secure_delete: deleted secrets are overwritten.
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;")?;
    connection.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
    Ok(connection)
}

enum Contents {
    None,
    Ours,
    Foreign,
}

fn contents(connection: &Connection) -> rusqlite::Result<Contents> {
    let application: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: bool = connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| {
        row.get(0)
    })?;
    Ok(match (application, tables) {
        (APPLICATION_ID, _) => Contents::Ours,
        (0, false) => Contents::None,
        _ => Contents::Foreign,
    })
}

fn vault(path: &Path, fresh: bool) -> Result<Vault, OpenError> {
    if fresh {
        return Ok(Vault::open_or_create(path)?);
    }
    // A new key would not open what the old one sealed: only a backup helps.
    match Vault::open(path) {
        Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::KeyMissing { path: path.into() })
        }
        other => Ok(other?),
    }
}

fn seed(connection: &Connection, key_check: &Sealed) -> rusqlite::Result<()> {
    let id = Id::random();
    let name = format!("hubward-{}", &format!("{id:?}")[..8]);
    connection.execute(
        "INSERT INTO server (one, id, name, key_check) VALUES (1, ?1, ?2, ?3) ON CONFLICT DO NOTHING",
        params![id.as_bytes(), name, key_check.as_bytes()],
    )?;
    Ok(())
}

fn key_belongs(connection: &Connection, vault: &Vault) -> rusqlite::Result<bool> {
    let sealed = connection.query_row("SELECT key_check FROM server", [], |row| row.get(0))?;
    let text = vault.open_sealed(&Identity::KeyCheck, &Sealed::from_bytes(sealed));
    Ok(text.is_ok_and(|text| text.as_slice() == KEY_CHECK))
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let unusable = |source| not_writable(folder, source);
    if !folder.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(unusable)?;
    }
    let wanted = AccessFlags::W_OK | AccessFlags::X_OK;
    eaccess(folder, wanted).map_err(|errno| unusable(errno.into()))
}

fn not_writable(path: &Path, source: io::Error) -> OpenError {
    OpenError::NotWritable {
        path: path.into(),
        user: geteuid().as_raw(),
        source,
    }
}

fn newer(path: &Path, found: u32) -> OpenError {
    OpenError::Newer {
        path: path.into(),
        found,
        known: schema::newest(MIGRATIONS),
    }
}
