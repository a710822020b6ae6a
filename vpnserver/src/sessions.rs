//! The sessions that are open, by the secret that lets connections join them, and by hub, name and user: a login asks how many
//! there are of its kind, and what that costs does not depend on how many there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::error::ErrorCode;

use crate::session::Session;
use crate::store::folded;

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

/// All open sessions.
#[derive(Default)]
pub struct Sessions {
    books: Mutex<Books<Session>>,
}

/// What a session is found and counted by.
#[derive(Clone, Copy)]
struct Place<'a> {
    key: &'a [u8; 20],
    hub: &'a str,
    name: &'a str,
    user: &'a str,
    /// The client program's random identity.
    client: Option<&'a [u8; 16]>,
    bridging: bool,
}

trait Booked {
    fn place(&self) -> Place<'_>;
}

impl Booked for Session {
    fn place(&self) -> Place<'_> {
        let origin = &self.origin;
        Place {
            key: self.key(),
            hub: &origin.hub,
            name: &origin.name,
            user: &origin.user,
            client: origin.login.node.as_ref().map(|node| &node.unique_id),
            bridging: origin.is_bridging(),
        }
    }
}

/// The books. Names are folded in them.
struct Books<S> {
    open: HashMap<[u8; 20], Arc<S>>,
    /// No hub here is without sessions.
    hubs: HashMap<String, OfHub<S>>,
}

struct OfHub<S> {
    by_name: HashMap<String, Arc<S>>,
    /// No user here is without sessions.
    by_user: HashMap<String, Vec<Arc<S>>>,
    bridging: usize,
}

impl<S> Default for Books<S> {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            hubs: HashMap::new(),
        }
    }
}

impl<S> Default for OfHub<S> {
    fn default() -> Self {
        Self {
            by_name: HashMap::new(),
            by_user: HashMap::new(),
            bridging: 0,
        }
    }
}

impl<S: Booked> Books<S> {
    fn book(&mut self, session: &Arc<S>, room: Room) -> Result<(), ErrorCode> {
        let place = session.place();
        if room.of_hub != 0 && self.of_hub(place.hub) >= room.of_hub {
            return Err(ErrorCode::TooManySessions);
        }
        if room.of_kind != 0 && self.of_kind(place.hub, place.bridging) >= room.of_kind {
            return Err(ErrorCode::TooManySessions);
        }
        if room.of_user != 0 && self.of_user(place.hub, place.user, place.client) >= room.of_user {
            return Err(ErrorCode::TooManyUserSessions);
        }
        let hub = self.hubs.entry(folded(place.hub)).or_default();
        hub.by_name.insert(folded(place.name), session.clone());
        hub.by_user
            .entry(folded(place.user))
            .or_default()
            .push(session.clone());
        hub.bridging += usize::from(place.bridging);
        self.open.insert(*place.key, session.clone());
        Ok(())
    }

    fn remove(&mut self, key: &[u8; 20]) {
        let Some(session) = self.open.remove(key) else {
            return;
        };
        let place = session.place();
        let Entry::Occupied(mut hub) = self.hubs.entry(folded(place.hub)) else {
            return;
        };
        let books = hub.get_mut();
        books.by_name.remove(&folded(place.name));
        books.bridging -= usize::from(place.bridging);
        if let Entry::Occupied(mut user) = books.by_user.entry(folded(place.user)) {
            user.get_mut().retain(|other| !Arc::ptr_eq(other, &session));
            if user.get().is_empty() {
                user.remove();
            }
        }
        if books.by_name.is_empty() {
            hub.remove();
        }
    }

    fn hub(&self, hub: &str) -> Option<&OfHub<S>> {
        self.hubs.get(&folded(hub))
    }

    fn named(&self, hub: &str, name: &str) -> Option<&Arc<S>> {
        self.hub(hub)?.by_name.get(&folded(name))
    }

    fn of_hub(&self, hub: &str) -> u32 {
        count(self.hub(hub).map_or(0, |hub| hub.by_name.len()))
    }

    fn of_kind(&self, hub: &str, bridging: bool) -> u32 {
        let of_kind = |hub: &OfHub<S>| {
            if bridging {
                hub.bridging
            } else {
                hub.by_name.len() - hub.bridging
            }
        };
        count(self.hub(hub).map_or(0, of_kind))
    }

    /// A client that comes back before its old session is over is not a second one (protocol §4.3, node info).
    fn of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32 {
        let sessions = self.hub(hub).and_then(|hub| hub.by_user.get(&folded(user)));
        let counts = |session: &&Arc<S>| {
            let client = session.place().client;
            client.is_none() || client != except
        };
        count(sessions.map_or(0, |sessions| sessions.iter().filter(counts).count()))
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

impl Sessions {
    /// Adds one if there is room for it; of two that ask for the last place at once, one gets it.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn book(&self, session: &Arc<Session>, room: Room) -> Result<(), ErrorCode> {
        self.lock().book(session, room)
    }

    /// Takes one away.
    pub fn remove(&self, key: &[u8; 20]) {
        self.lock().remove(key);
    }

    /// The session with this secret.
    #[must_use]
    pub fn with_key(&self, key: &[u8; 20]) -> Option<Arc<Session>> {
        self.lock().open.get(key).cloned()
    }

    /// The session of this name on a hub; both without regard to case.
    #[must_use]
    pub fn named(&self, hub: &str, name: &str) -> Option<Arc<Session>> {
        self.lock().named(hub, name).cloned()
    }

    /// Those of a hub, in the order in which they began.
    #[must_use]
    pub fn of_hub(&self, hub: &str) -> Vec<Arc<Session>> {
        let mut found: Vec<Arc<Session>> = match self.lock().hub(hub) {
            Some(books) => books.by_name.values().cloned().collect(),
            None => Vec::new(),
        };
        found.sort_by_key(|session| session.origin.opened);
        found
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.lock().open.values().cloned().collect()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().open.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many a hub has.
    #[must_use]
    pub fn count_of_hub(&self, hub: &str) -> u32 {
        self.lock().of_hub(hub)
    }

    /// How many a user has, those of the client program with this identity not counted.
    #[must_use]
    pub fn count_of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32 {
        self.lock().of_user(hub, user, except)
    }

    /// How many a hub has that bridge or route, or that do not.
    #[must_use]
    pub fn count_of_kind(&self, hub: &str, bridging: bool) -> u32 {
        self.lock().of_kind(hub, bridging)
    }

    /// Ends those of a hub that `which` picks.
    pub fn end(&self, hub: &str, why: &'static str, which: impl Fn(&Session) -> bool) {
        for session in self.of_hub(hub).iter().filter(|session| which(session)) {
            session.end(why);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books<Session>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    struct Visit {
        key: [u8; 20],
        hub: String,
        name: String,
        user: String,
        client: Option<[u8; 16]>,
        bridging: bool,
    }

    impl Booked for Visit {
        fn place(&self) -> Place<'_> {
            Place {
                key: &self.key,
                hub: &self.hub,
                name: &self.name,
                user: &self.user,
                client: self.client.as_ref(),
                bridging: self.bridging,
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Come(u8, u8, u8, bool, bool),
        Go(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        let come = (0u8..2, 0u8..3, 0u8..3, any::<bool>(), any::<bool>());
        prop_oneof![
            3 => come.prop_map(|(hub, user, client, bridging, upper)| Step::Come(hub, user, client, bridging, upper)),
            2 => any::<prop::sample::Index>().prop_map(Step::Go),
        ]
    }

    fn visit(number: usize, [hub, user, client]: [u8; 3], bridging: bool, upper: bool) -> Visit {
        let cased = |text: String| if upper { text.to_uppercase() } else { text };
        let mut key = [0; 20];
        key[..8].copy_from_slice(&number.to_be_bytes());
        Visit {
            key,
            hub: cased(format!("hub{hub}")),
            name: format!("SID-user{user}-{number}"),
            user: cased(format!("user{user}")),
            client: (client > 0).then_some([client; 16]),
            bridging,
        }
    }

    proptest! {
        /// Against a plain list that is searched from end to end.
        #[test]
        fn counts_are_those_of_a_plain_list(steps in vec(step(), 1..60), most in 0u32..4) {
            let mut books = Books::default();
            let mut list: Vec<Arc<Visit>> = Vec::new();
            let room = Room { of_hub: 0, of_kind: 0, of_user: most };
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Come(hub, user, client, bridging, upper) => {
                        let visit = Arc::new(visit(number, [hub, user, client], bridging, upper));
                        let others = list.iter().filter(|other| {
                            other.hub.eq_ignore_ascii_case(&visit.hub)
                                && other.user.eq_ignore_ascii_case(&visit.user)
                                && (other.client.is_none() || other.client != visit.client)
                        });
                        let full = most != 0 && others.count() >= most as usize;
                        prop_assert_eq!(books.book(&visit, room).is_err(), full);
                        if !full {
                            list.push(visit);
                        }
                    }
                    Step::Go(which) if !list.is_empty() => {
                        let gone = list.swap_remove(which.index(list.len()));
                        books.remove(&gone.key);
                        books.remove(&gone.key);
                        prop_assert!(books.named(&gone.hub, &gone.name).is_none());
                    }
                    Step::Go(_) => {}
                }
                for hub in ["hub0", "HUB1"] {
                    let of_hub: Vec<_> = list.iter().filter(|visit| visit.hub.eq_ignore_ascii_case(hub)).collect();
                    prop_assert_eq!(books.of_hub(hub) as usize, of_hub.len());
                    for bridging in [false, true] {
                        let of_kind = of_hub.iter().filter(|visit| visit.bridging == bridging).count();
                        prop_assert_eq!(books.of_kind(hub, bridging) as usize, of_kind);
                    }
                }
                for visit in &list {
                    let found = books.named(&visit.hub.to_lowercase(), &visit.name.to_uppercase());
                    prop_assert!(found.is_some_and(|found| Arc::ptr_eq(found, visit)));
                }
                prop_assert_eq!(books.open.len(), list.len());
            }
            list.iter().for_each(|visit| books.remove(&visit.key));
            prop_assert!(books.open.is_empty() && books.hubs.is_empty());
        }
    }
}
