//! The sessions that are open, by the secret that lets connections join them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::error::ErrorCode;

use crate::session::Session;

/// How many sessions there may be; 0 is any number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// On the hub.
    pub of_hub: u32,
    /// On the hub that bridge or route, or that do not, as the one that asks.
    pub of_kind: u32,
    /// Of the user.
    pub of_user: u32,
}

type Open = HashMap<[u8; 20], Arc<Session>>;

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    open: Mutex<Open>,
}

impl Sessions {
    /// Adds one if there is room for it; of two that ask for the last place at once, one gets it.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn book(&self, session: Arc<Session>, room: Room) -> Result<(), ErrorCode> {
        let origin = &session.origin;
        let mut open = self.lock();
        if room.of_hub != 0 && count_of_hub(&open, &origin.hub) >= room.of_hub {
            return Err(ErrorCode::TooManySessions);
        }
        if room.of_kind != 0 && count_of_kind(&open, &origin.hub, origin.is_bridging()) >= room.of_kind {
            return Err(ErrorCode::TooManySessions);
        }
        let client = origin.login.node.as_ref().map(|node| &node.unique_id);
        if room.of_user != 0 && count_of_user(&open, &origin.hub, &origin.user, client) >= room.of_user {
            return Err(ErrorCode::TooManyUserSessions);
        }
        open.insert(*session.key(), session);
        Ok(())
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

    /// How many a hub has.
    #[must_use]
    pub fn count_of_hub(&self, hub: &str) -> u32 {
        count_of_hub(&self.lock(), hub)
    }

    /// How many a user has, those of the client program with this identity not counted.
    #[must_use]
    pub fn count_of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32 {
        count_of_user(&self.lock(), hub, user, except)
    }

    /// How many a hub has that bridge or route, or that do not.
    #[must_use]
    pub fn count_of_kind(&self, hub: &str, bridging: bool) -> u32 {
        count_of_kind(&self.lock(), hub, bridging)
    }

    /// Ends those of a hub that `which` picks.
    pub fn end(&self, hub: &str, why: &'static str, which: impl Fn(&Session) -> bool) {
        for session in self.of_hub(hub).iter().filter(|session| which(session)) {
            session.end(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_of_hub(open: &Open, hub: &str) -> u32 {
    count(open, |session| session.origin.hub.eq_ignore_ascii_case(hub))
}

fn count_of_kind(open: &Open, hub: &str, bridging: bool) -> u32 {
    count(open, |session| {
        session.origin.hub.eq_ignore_ascii_case(hub) && session.origin.is_bridging() == bridging
    })
}

/// A client that comes back before its old session is over is not a second one (protocol §4.3, node info).
fn count_of_user(open: &Open, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32 {
    count(open, |session| {
        let origin = &session.origin;
        let node = origin.login.node.as_ref();
        let same_client = node.is_some_and(|node| Some(&node.unique_id) == except);
        origin.hub.eq_ignore_ascii_case(hub) && origin.user.eq_ignore_ascii_case(user) && !same_client
    })
}

fn count(open: &Open, which: impl Fn(&Session) -> bool) -> u32 {
    let found = open.values().filter(|session| which(session)).count();
    u32::try_from(found).unwrap_or(u32::MAX)
}
