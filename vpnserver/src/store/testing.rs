//! What the tests of this crate share: a folder that goes away, and a store in it.
#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

/// An empty store with its key, in a folder of its own.
pub(crate) struct Fixture {
    pub(crate) store: super::SqliteStore,
    pub(crate) vault: crate::secret::Vault,
    pub(crate) dir: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
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
