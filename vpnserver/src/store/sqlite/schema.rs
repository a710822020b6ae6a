//! The tables, and the way from one version of them to the next.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours (SQLite's `application_id`): "HWRD".
pub(super) const APPLICATION_ID: u32 = 0x4857_5244;

/// One step: entry `n` leads from version `n` to version `n + 1`. Released entries are never edited.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
    include_str!("v5.sql"),
    include_str!("v6.sql"),
    include_str!("v7.sql"),
];

/// Why the schema could not be brought up to date.
#[derive(Debug)]
pub(super) enum MigrateError {
    Newer(u32),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for MigrateError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The version that `migrations` lead to.
pub(super) fn newest(migrations: &[&str]) -> u32 {
    u32::try_from(migrations.len()).unwrap_or(u32::MAX)
}

/// The version of an open database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Runs the steps that are missing, each in its own transaction. Before the first step away from a version that held
/// data, a copy of the database is left beside it as `NAME.vN`.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), MigrateError> {
    let found = version(connection)?;
    let known = newest(migrations);
    if found > known {
        return Err(MigrateError::Newer(found));
    }
    if found == known {
        return Ok(());
    }
    if found > 0 {
        back_up(connection, path, found)?;
    }
    bring_forward(connection, migrations)?;
    // Into the file's header, where the next start reads the version before it opens anything.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// The steps alone, for a database that is a copy itself.
pub(super) fn bring_forward(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let found = version(connection)?;
    for (to, step) in (1..).zip(migrations).skip(found as usize) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", to)?;
        transaction.commit()?;
    }
    Ok(())
}

fn back_up(connection: &Connection, path: &Path, version: u32) -> rusqlite::Result<()> {
    let mut copy = path.as_os_str().to_owned();
    copy.push(format!(".v{version}"));
    let copy = Path::new(&copy);
    if copy.exists() {
        return Ok(()); // from an attempt that was cut off; it holds the same
    }
    // VACUUM INTO takes the umask's mode for its file; an empty file of ours is accepted as target and keeps 0600.
    super::open::create_private(copy).map_err(|_| rusqlite::Error::InvalidPath(copy.into()))?;
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    Ok(())
}
