//! What the tests of this crate share: a folder that goes away, and a store in it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of its own for one test, removed at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hubward-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// An empty store with its key, in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) store: super::SqliteStore,
    pub(crate) vault: crate::secret::Vault,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new();
        let super::Opened { store, vault, .. } = super::SqliteStore::open(dir.path()).unwrap();
        Self { store, vault, dir }
    }
}

pub(crate) fn hub(name: &str) -> super::Hub {
    super::Hub::new(super::HubName::parse(name).unwrap())
}

pub(crate) fn user(name: &str, auth: super::UserAuth) -> super::User {
    super::User::new(super::UserName::parse(name).unwrap(), auth)
}
