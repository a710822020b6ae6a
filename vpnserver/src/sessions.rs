//! The sessions that are open, by the secret that lets connections join them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::session::Session;

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<HashMap<[u8; 20], Arc<Session>>>,
    opened: AtomicU64,
}

impl Sessions {
    /// Adds one.
    pub fn insert(&self, session: Arc<Session>) {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(*session.key(), session);
    }

    /// Takes one away.
    pub fn remove(&self, key: &[u8; 20]) {
        self.lock().remove(key);
    }

    /// The session with this secret.
    #[must_use]
    pub fn with_key(&self, key: &[u8; 20]) -> Option<Arc<Session>> {
        self.lock().get(key).cloned()
    }

    /// The session of this name on a hub; both without regard to case.
    #[must_use]
    pub fn named(&self, hub: &str, name: &str) -> Option<Arc<Session>> {
        let found = |session: &&Arc<Session>| {
            session.origin.hub.eq_ignore_ascii_case(hub) && session.origin.name.eq_ignore_ascii_case(name)
        };
        self.lock().values().find(found).cloned()
    }

    /// Those of a hub, in the order of their names.
    #[must_use]
    pub fn of_hub(&self, hub: &str) -> Vec<Arc<Session>> {
        let mut found: Vec<_> = self
            .lock()
            .values()
            .filter(|session| session.origin.hub.eq_ignore_ascii_case(hub))
            .cloned()
            .collect();
        found.sort_by_key(|session| session.origin.opened);
        found
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends those of a hub that `which` picks.
    pub fn end(&self, hub: &str, why: &'static str, which: impl Fn(&Session) -> bool) {
        for session in self.of_hub(hub).iter().filter(|session| which(session)) {
            session.end(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 20], Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
