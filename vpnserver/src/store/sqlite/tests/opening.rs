//! What opening a data folder promises.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;

use super::super::{DATABASE_FILE, KEY_FILE, SqliteStore, schema};
use crate::store::testing::{Fixture, hub};
use crate::store::{OpenError, Opened, Store};

/// Every file of a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .collect()
}

fn refused(folder: &Path) -> OpenError {
    let before = contents(folder);
    let error = SqliteStore::open(folder).unwrap_err();
    assert_eq!(contents(folder), before, "a refused folder is as it was");
    error
}

/// A closed data folder with one hub.
fn folder() -> TempDir {
    let Fixture { store, dir, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    drop(store);
    dir
}

#[test]
fn a_store_is_made_private_and_found_again() {
    let dir = TempDir::new().unwrap();
    let inside = dir.path().join("state");
    let Opened { store, fresh, .. } = SqliteStore::open(&inside).unwrap();
    assert!(fresh);
    let identity = store.server().unwrap().id;
    for name in [DATABASE_FILE, KEY_FILE, "hubward.db-wal", "hubward.db-shm"] {
        assert_eq!(
            fs::metadata(inside.join(name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    drop(store);
    let Opened { store, fresh, .. } = SqliteStore::open(&inside).unwrap();
    assert!(!fresh);
    assert_eq!(store.server().unwrap().id, identity);
}

#[test]
fn a_newer_schema_is_refused_and_untouched() {
    let dir = folder();
    let connection = Connection::open(dir.path().join(DATABASE_FILE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let error = refused(dir.path());
    let newest = schema::newest(schema::MIGRATIONS);
    assert!(
        matches!(error, OpenError::Newer { found: 99, known, .. } if known == newest),
        "{error}"
    );
    assert!(error.to_string().contains("newer Hubward"), "{error}");
}

#[test]
fn other_peoples_files_are_refused_and_untouched() {
    let dir = folder();
    let path = dir.path().join(DATABASE_FILE);
    fs::write(&path, "not a database, but long enough to look at: ".repeat(9)).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::Foreign { .. }));
    fs::remove_file(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    drop(other);
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(
        SqliteStore::open(dir.path()),
        Err(OpenError::Foreign { .. })
    ));
}

#[test]
fn a_store_that_others_can_read_is_refused() {
    let dir = folder();
    fs::set_permissions(dir.path().join(DATABASE_FILE), Permissions::from_mode(0o644)).unwrap();
    let error = refused(dir.path()).to_string();
    assert!(error.contains("0644") && error.contains("chmod 600"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let blocked = dir.path().join("a-file");
    fs::write(&blocked, "").unwrap();
    let error = SqliteStore::open(&blocked).unwrap_err().to_string();
    assert!(
        error.contains("a-file") && error.contains("--data-dir"),
        "{error}"
    );
}

#[test]
fn a_store_without_its_key_is_refused_and_gets_no_new_one() {
    let dir = folder();
    fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
    assert!(matches!(refused(dir.path()), OpenError::KeyMissing { .. }));
}

#[test]
fn a_store_with_another_key_is_refused() {
    let (dir, other) = (folder(), folder());
    fs::copy(other.path().join(KEY_FILE), dir.path().join(KEY_FILE)).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::KeyMismatch { .. }), "{error}");
}

#[test]
fn a_start_that_was_cut_off_is_finished() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(DATABASE_FILE), "").unwrap();
    fs::set_permissions(dir.path().join(DATABASE_FILE), Permissions::from_mode(0o600)).unwrap();
    assert!(SqliteStore::open(dir.path()).unwrap().fresh);
}

#[test]
fn migrations_go_forward_keep_the_data_and_leave_a_copy() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("test.db");
    let mut connection = Connection::open(&path).unwrap();
    let steps = [
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)",
        "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 8",
    ];
    schema::migrate(&mut connection, &path, &steps[..1]).unwrap();
    schema::migrate(&mut connection, &path, &steps).unwrap();
    let row = connection
        .query_row("SELECT x, y FROM a", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(row, (7, 8));
    assert_eq!(schema::version(&connection).unwrap(), 2);
    let copy = dir.path().join("test.db.v1");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(schema::version(&Connection::open(copy).unwrap()).unwrap(), 1);
}

#[test]
fn a_migration_that_fails_leaves_the_version_it_found() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("test.db");
    let mut connection = Connection::open(&path).unwrap();
    schema::migrate(&mut connection, &path, &["CREATE TABLE a (x)"]).unwrap();
    let steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"];
    assert!(schema::migrate(&mut connection, &path, &steps).is_err());
    assert_eq!(schema::version(&connection).unwrap(), 1);
    assert!(
        connection.prepare("SELECT * FROM b").is_err(),
        "half a step is no step"
    );
}
