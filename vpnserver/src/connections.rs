//! The TCP connections of this moment, for the list of connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

/// What a connection is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It has not said yet.
    Negotiating,
    /// It administers.
    Administration,
}

/// One connection that belongs to no session.
#[derive(Clone, Debug)]
pub struct Connection {
    /// `CID-n`.
    pub name: String,
    /// From where.
    pub peer: SocketAddr,
    /// Our own end.
    pub local: SocketAddr,
    /// When it came.
    pub since: SystemTime,
    /// What for.
    pub purpose: Purpose,
    /// What the peer calls itself, once it has said so.
    pub client: String,
    /// Its version and build number; 0 where it does not say.
    pub version: (u32, u32),
    hang_up: Arc<Notify>,
}

impl Connection {
    /// Ends it.
    pub fn hang_up(&self) {
        self.hang_up.notify_one();
    }
}

/// All connections that belong to no session; clones share them.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<BTreeMap<u32, Connection>>>);

/// Keeps a connection in the list until it is dropped.
pub struct Listed {
    connections: Connections,
    number: u32,
    hang_up: Arc<Notify>,
}

impl Connections {
    /// Puts a connection into the list.
    #[must_use]
    pub fn enter(&self, number: u32, peer: SocketAddr, local: SocketAddr) -> Listed {
        let hang_up = Arc::new(Notify::new());
        let connection = Connection {
            name: name_of(number),
            peer,
            local,
            since: SystemTime::now(),
            purpose: Purpose::Negotiating,
            client: String::new(),
            version: (0, 0),
            hang_up: hang_up.clone(),
        };
        self.lock().insert(number, connection);
        Listed {
            connections: self.clone(),
            number,
            hang_up,
        }
    }

    /// The list.
    #[must_use]
    pub fn all(&self) -> Vec<Connection> {
        self.lock().values().cloned().collect()
    }

    /// The connection of this name, without regard to case.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<Connection> {
        self.lock()
            .values()
            .find(|connection| connection.name.eq_ignore_ascii_case(name))
            .cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    /// `CID-n`.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(self.number)
    }

    /// Notes that it administers, what the peer calls itself, and its version and build number.
    pub fn administers(&self, client: &str, version: (u32, u32)) {
        if let Some(connection) = self.connections.lock().get_mut(&self.number) {
            connection.purpose = Purpose::Administration;
            client.clone_into(&mut connection.client);
            connection.version = version;
        }
    }

    /// Waits until somebody wants it ended.
    pub async fn hung_up(&self) {
        self.hang_up.notified().await;
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.number);
    }
}

/// Connections are numbered server-wide (protocol §9).
fn name_of(number: u32) -> String {
    format!("CID-{number}")
}
