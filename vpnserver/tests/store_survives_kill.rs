//! Whatever moment a server is killed at: what it acknowledged is there afterwards, and the store opens.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use vpnserver::store::{Hub, HubName, Opened, SqliteStore, Store, User, UserAuth, UserName};

/// Tells the child what to do; it is this test binary, run again.
const FOLDER: &str = "HUBWARD_TEST_STORE";
const ROUNDS: usize = 12;

#[test]
fn acknowledged_changes_outlive_kill_9() {
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path();
    let Opened { store, .. } = SqliteStore::open(folder).unwrap();
    store
        .add_hub(&Hub::new(HubName::parse("office").unwrap()))
        .unwrap();
    drop(store);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        // The round says after how many acknowledgements the blow falls; the next write is under way then.
        acknowledged += kill_after(folder, 1 + round * 3);
        let Opened { store, .. } = SqliteStore::open(folder).unwrap();
        let users = store.users("office").unwrap();
        // One more than was told may be there: it was durable before it could be told.
        assert!(
            (acknowledged..=acknowledged + round + 1).contains(&users.len()),
            "{acknowledged} acknowledged, {} there",
            users.len()
        );
        assert_eq!(
            usize::try_from(store.revision().unwrap()).unwrap(),
            users.len() + 1
        );
        acknowledged = users.len();
    }
}

/// Starts a writer, reads `count` acknowledgements, kills it, and returns how many it had given by then.
fn kill_after(folder: &Path, count: usize) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--include-ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = 0;
    let is_ack = |line: &String| line.starts_with("ack ");
    while told < count {
        let line = lines
            .next()
            .expect("the writer goes on until it is killed")
            .unwrap();
        told += usize::from(is_ack(&line));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    told + lines.map_while(Result::ok).filter(is_ack).count()
}

/// The child's part: adds users until it is killed. Run as an ordinary test it has nothing to do.
#[test]
fn writer() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let Opened { store, .. } = SqliteStore::open(&folder).unwrap();
    let mut out = std::io::stdout();
    for number in store.users("office").unwrap().len().. {
        let name = UserName::parse(&format!("user{number}")).unwrap();
        store
            .add_user("office", &User::new(name, UserAuth::Anonymous))
            .unwrap();
        writeln!(out, "\nack {number}").unwrap();
        out.flush().unwrap();
    }
}
