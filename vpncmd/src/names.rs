//! The names of a server's things, for completion: asked for when somebody presses a key, and remembered for a moment.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use protocol::{
    error::ErrorCode,
    pack::Pack,
    rpc::{
        HubRequest, Nothing, RpcMessage,
        method::{EnumGroup, EnumHub, EnumSession, EnumUser, Method},
    },
};

use crate::shell::Server;

/// What a parameter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Names {
    /// A hub.
    Hub,
    /// A user of the selected hub.
    User,
    /// A group of the selected hub.
    Group,
    /// A session of the selected hub.
    Session,
}

/// How long a list is believed.
const FRESH: Duration = Duration::from_secs(10);

/// A server that the shell and completion share.
#[derive(Clone)]
pub struct Shared(Rc<RefCell<Box<dyn Server>>>);

impl Shared {
    /// A server to be shared.
    #[must_use]
    pub fn new(server: Box<dyn Server>) -> Shared {
        Shared(Rc::new(RefCell::new(server)))
    }
}

impl Server for Shared {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        self.0.borrow_mut().call(method, request)
    }
}

/// A list and when it came.
type Known = (Instant, Vec<String>);

/// The names that a server has.
pub struct Directory {
    server: Shared,
    hub: Option<String>,
    known: RefCell<HashMap<(Names, Option<String>), Known>>,
}

impl Directory {
    /// The names of this server.
    #[must_use]
    pub fn new(server: Shared) -> Directory {
        Directory {
            server,
            hub: None,
            known: RefCell::default(),
        }
    }

    /// The hub whose users and groups are meant from now on.
    pub fn select(&mut self, hub: Option<&str>) {
        self.hub = hub.map(str::to_owned);
    }

    /// The names of a kind; none when the server does not say.
    #[must_use]
    pub fn list(&self, names: Names) -> Vec<String> {
        let hub = if names == Names::Hub {
            None
        } else {
            self.hub.clone()
        };
        if names != Names::Hub && hub.is_none() {
            return Vec::new();
        }
        let key = (names, hub);
        if let Some((_, list)) = self
            .known
            .borrow()
            .get(&key)
            .filter(|(at, _)| at.elapsed() < FRESH)
        {
            return list.clone();
        }
        let list = self.ask(names).unwrap_or_default();
        self.known
            .borrow_mut()
            .insert(key, (Instant::now(), list.clone()));
        list
    }

    fn ask(&self, names: Names) -> Option<Vec<String>> {
        let request = HubRequest {
            hub_name: self.hub.clone().unwrap_or_default(),
        };
        Some(match names {
            Names::Hub => {
                let hubs = self.call::<EnumHub>(&Nothing {})?.hubs;
                hubs.into_iter().map(|hub| hub.hub_name).collect()
            }
            Names::User => {
                let users = self.call::<EnumUser>(&request)?.users;
                users.into_iter().map(|user| user.name).collect()
            }
            Names::Group => {
                let groups = self.call::<EnumGroup>(&request)?.groups;
                groups.into_iter().map(|group| group.name).collect()
            }
            Names::Session => {
                let sessions = self.call::<EnumSession>(&request)?.sessions;
                sessions.into_iter().map(|session| session.name).collect()
            }
        })
    }

    fn call<M: Method>(&self, request: &M::Request) -> Option<M::Response> {
        let answer = self.server.clone().call(M::NAME, &request.to_pack()).ok()?;
        M::Response::from_pack(&answer).ok()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A server of two hubs, one of which has users.

    use protocol::rpc::{
        hub::{HubList, HubRow},
        user::{UserList, UserRow},
    };

    use super::*;

    pub(crate) struct TwoHubs(pub(crate) Rc<RefCell<usize>>);

    impl Server for TwoHubs {
        fn call(&mut self, method: &str, _: &Pack) -> Result<Pack, ErrorCode> {
            *self.0.borrow_mut() += 1;
            let hub = |name: &str| HubRow {
                hub_name: name.to_owned(),
                ..HubRow::default()
            };
            let user = |name: &str| UserRow {
                name: name.to_owned(),
                ..UserRow::default()
            };
            match method {
                "EnumHub" => Ok(HubList {
                    hubs: vec![hub("office"), hub("warehouse")],
                }
                .to_pack()),
                "EnumUser" => Ok(UserList {
                    hub_name: "office".to_owned(),
                    users: vec![user("anna"), user("anna maria"), user("bob")],
                }
                .to_pack()),
                _ => Err(ErrorCode::NotSupported),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_asked_for_once_in_a_while_and_lacking_ones_are_none() {
        let calls = Rc::new(RefCell::new(0));
        let mut directory = Directory::new(Shared::new(Box::new(testing::TwoHubs(calls.clone()))));
        assert_eq!(directory.list(Names::Hub), ["office", "warehouse"]);
        assert_eq!(directory.list(Names::Hub).len(), 2);
        assert_eq!(directory.list(Names::User), [""; 0]);
        assert_eq!(*calls.borrow(), 1);
        directory.select(Some("office"));
        assert_eq!(directory.list(Names::User), ["anna", "anna maria", "bob"]);
        assert_eq!(directory.list(Names::Group), [""; 0]);
        assert_eq!(directory.list(Names::Group), [""; 0]);
        assert_eq!(*calls.borrow(), 3);
    }
}
