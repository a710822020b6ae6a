//! Former states of the store, as copies of its file in a folder beside it.
//!
//! A copy is made under another name and renamed when it is on the disk, so that what has a number is whole. Putting one back is one
//! transaction on the store itself: whoever uses it goes on doing so, and followers read everything anew.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::access::Write;
use super::open::create_private;
use super::schema::{self, APPLICATION_ID, MIGRATIONS};
use super::{SqliteStore, last_revision};
use crate::store::{Action, Backup, Id, Noun, Result, StoreError, Timestamp};

/// Copies that are kept, and the bytes of all of them; the newest is kept whatever its size.
const KEPT: usize = 30;
const MAX_BYTES: u64 = 1 << 30;

const FOLDER: &str = "backups";
const ENDING: &str = ".db";
/// How the name of a copy begins that is not whole yet, and when one was left behind by a process that was killed.
const UNFINISHED: &str = "new-";
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// Tables that are no settings: a state that is put back leaves them.
const LASTING: [&str; 5] = ["change", "usage", "group_usage", "lease", "audit"];

impl SqliteStore {
    pub(super) fn list_backups(&self) -> Result<Vec<Backup>> {
        let mut backups = Vec::new();
        for (number, path) in numbered(&self.backup_folder())? {
            // One that another process has just removed is no error.
            if let Ok(about) = fs::metadata(&path) {
                let (hubs, users) = contents(&path)?;
                backups.push(Backup {
                    number,
                    at: about
                        .modified()
                        .ok()
                        .and_then(timestamp)
                        .unwrap_or_else(Timestamp::now),
                    bytes: about.len(),
                    hubs,
                    users,
                });
            }
        }
        Ok(backups)
    }

    /// Copies the state as it is, unless it is there already; says whether.
    pub(super) fn make_backup(&self) -> Result<bool> {
        let folder = self.backup_folder();
        let failed = |source| failed(&folder, source);
        if !folder.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(failed)?;
        }
        // A connection of its own: others read and write meanwhile.
        let source = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        if named(&folder, last_revision(&source)?).exists() {
            return Ok(false);
        }
        sweep(&folder).map_err(failed)?;
        let copy = Unfinished::new(&folder).map_err(failed)?;
        source.execute("VACUUM INTO ?1", [copy.0.to_string_lossy()])?;
        let revision = settle(&copy.0)?;
        fs::rename(&copy.0, named(&folder, revision)).map_err(failed)?;
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)?;
        prune(&folder)?;
        Ok(true)
    }

    /// Puts the state of this number back.
    pub(super) fn restore_backup(&self, number: u64) -> Result<()> {
        let folder = self.backup_folder();
        let path = named(&folder, number);
        if !path.exists() {
            return Err(StoreError::BackupNotFound(number));
        }
        // Of an older release it is brought up to date first, and the original stays as it is.
        let copy = Unfinished::new(&folder).map_err(|source| failed(&folder, source))?;
        fs::copy(&path, &copy.0).map_err(|source| failed(&path, source))?;
        let mut old = Connection::open(&copy.0)?;
        let foreign = || StoreError::Invalid(format!("backup {number} is not one of this installation"));
        if application_id(&old)? != APPLICATION_ID || schema::version(&old)? > schema::newest(MIGRATIONS) {
            return Err(foreign());
        }
        schema::bring_forward(&mut old, MIGRATIONS)?;
        let owner = installation(&old)?;
        drop(old);
        self.make_backup()?;

        let mut connection = self.lock();
        if installation(&connection)? != owner {
            return Err(foreign());
        }
        connection.execute("ATTACH DATABASE ?1 AS old", [copy.0.to_string_lossy()])?;
        let outcome = replace(&mut connection);
        let detached = connection.execute_batch("DETACH DATABASE old");
        let revision = outcome?;
        detached?;
        drop(connection);
        self.tell(revision);
        Ok(())
    }

    fn backup_folder(&self) -> PathBuf {
        self.path.with_file_name(FOLDER)
    }
}

/// A file that goes when it is not renamed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{UNFINISHED}{:016x}", rand::random::<u64>()));
        create_private(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0); // renamed, as a rule
    }
}

fn named(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}{ENDING}"))
}

/// The copies, newest first.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(folder, source)),
    };
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number: u64 = path.file_name()?.to_str()?.strip_suffix(ENDING)?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found)
}

/// Removes what killed processes left.
fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if is_unfinished && age > LEFT_BEHIND {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes a copy a file without companions that is on the disk; says which state it is.
fn settle(path: &Path) -> Result<u64> {
    let copy = Connection::open(path)?;
    copy.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    let revision = last_revision(&copy)?;
    drop(copy);
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| failed(path, source))?;
    Ok(revision)
}

fn prune(folder: &Path) -> Result<()> {
    let mut bytes = 0;
    for (index, (_, path)) in numbered(folder)?.into_iter().enumerate() {
        bytes += fs::metadata(&path).map_or(0, |about| about.len());
        if index > 0 && (index >= KEPT || bytes > MAX_BYTES) {
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}

/// Hubs and users of a copy.
fn contents(path: &Path) -> Result<(u32, u32)> {
    let copy = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let counts = copy.query_row(
        "SELECT (SELECT count(*) FROM hub), (SELECT count(*) FROM user)",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(counts)
}

fn application_id(connection: &Connection) -> Result<u32> {
    Ok(connection.pragma_query_value(None, "application_id", |row| row.get(0))?)
}

fn installation(connection: &Connection) -> Result<Id> {
    Ok(connection.query_row("SELECT id FROM main.server", [], |row| super::row::id(row, "id"))?)
}

/// Replaces the settings with those of the attached `old`, in one transaction.
fn replace(connection: &mut Connection) -> Result<u64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Rows refer to each other across tables: what counts is how it is at the end.
    transaction.execute_batch(
        "PRAGMA defer_foreign_keys = ON;
         CREATE TEMP TABLE kept_usage AS SELECT * FROM main.usage;
         CREATE TEMP TABLE kept_group_usage AS SELECT * FROM main.group_usage;
         CREATE TEMP TABLE kept_lease AS SELECT * FROM main.lease;",
    )?;
    let tables = tables(&transaction)?;
    for table in &tables {
        transaction.execute(&format!("DELETE FROM main.{table}"), [])?;
    }
    for table in &tables {
        let columns = columns(&transaction, table)?;
        transaction.execute(
            &format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM old.{table}"),
            [],
        )?;
    }
    // What users have used is no setting: who is there now goes on counting, who comes back has what they had.
    transaction.execute_batch(
        "INSERT INTO main.usage SELECT * FROM temp.kept_usage WHERE user IN (SELECT id FROM main.user);
         INSERT OR IGNORE INTO main.usage SELECT * FROM old.usage WHERE user IN (SELECT id FROM main.user);
         INSERT INTO main.group_usage SELECT * FROM temp.kept_group_usage
             WHERE member_group IN (SELECT id FROM main.member_group);
         INSERT OR IGNORE INTO main.group_usage SELECT * FROM old.group_usage
             WHERE member_group IN (SELECT id FROM main.member_group);
         INSERT INTO main.lease SELECT * FROM temp.kept_lease WHERE hub IN (SELECT id FROM main.hub);
         DROP TABLE temp.kept_usage;
         DROP TABLE temp.kept_group_usage;
         DROP TABLE temp.kept_lease;",
    )?;
    start_feed_anew(&Write::of(&transaction))?;
    let revision = last_revision(&transaction)?;
    transaction.commit()?;
    Ok(revision)
}

/// Two changes of which one is forgotten: whoever follows finds a gap, and reads everything.
fn start_feed_anew(write: &Write<'_>) -> Result<()> {
    write.note(Noun::Server, Action::Changed, "", "")?;
    write.note(Noun::Server, Action::Changed, "", "")?;
    write.execute(
        "DELETE FROM change WHERE revision < ?1",
        params![super::row::signed(last_revision(write)?)],
    )?;
    Ok(())
}

/// The tables that hold settings, in the store and in the old state.
fn tables(connection: &Connection) -> Result<Vec<String>> {
    let mut query = connection.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names = query.query_map([], |row| row.get(0))?;
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
    Ok(names
        .into_iter()
        .filter(|name| !LASTING.contains(&name.as_str()))
        .collect())
}

fn columns(connection: &Connection, table: &str) -> Result<String> {
    let mut query = connection.prepare("SELECT name FROM pragma_table_info(?1, 'main')")?;
    let names = query.query_map([table], |row| row.get(0))?;
    let names: Vec<String> = names.collect::<rusqlite::Result<_>>()?;
    Ok(names.join(", "))
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Timestamp::from_millis(u64::try_from(since.as_millis()).ok()?)
}

fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::Backup {
        path: path.into(),
        source,
    }
}
