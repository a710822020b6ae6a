//! One session's TCP connections: which one carries what, when to send a keep-alive, and when one of them or all
//! are gone (protocol §6, §7.4, §7.7).
//!
//! A [`Tunnel`] only keeps books: it is told what happened and answers what to do. The same for both sides.

mod direction;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use direction::Direction;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Which end of the session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The server.
    Server,
    /// The client.
    Client,
}

/// Names a connection within its tunnel; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelEvent {
    /// Send a keep-alive on this connection.
    KeepAlive(ConnectionId),
    /// Close this connection: the peer was silent for too long, or it goes the same way as all the others. It is out
    /// of the books already.
    Lost(ConnectionId),
    /// The session is over; nothing follows.
    Over,
}

/// The connections of one session.
#[derive(Debug)]
pub struct Tunnel {
    side: Side,
    timeout: Duration,
    max_connections: usize,
    half: bool,
    qos: bool,
    rng: StdRng,
    next_id: u64,
    /// In the order in which they were added.
    connections: Vec<Connection>,
    /// When something was last sent or received, or the last connection went.
    alive_at: Instant,
    events: VecDeque<TunnelEvent>,
    over: bool,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    direction: Direction,
    received_at: Instant,
    keepalive_at: Instant,
}

impl Tunnel {
    /// The books of a new session, without any connection yet. `timeout` is the welcome's; `seed` decides the
    /// intervals of keep-alives.
    #[must_use]
    pub fn new(
        side: Side,
        timeout: Duration,
        max_connections: u32,
        half: bool,
        qos: bool,
        now: Instant,
        seed: u64,
    ) -> Self {
        Self {
            side,
            timeout,
            max_connections: usize::try_from(max_connections.clamp(1, 32)).unwrap_or(32),
            half,
            qos,
            rng: StdRng::seed_from_u64(seed),
            next_id: 0,
            connections: Vec::new(),
            alive_at: now,
            events: VecDeque::new(),
            over: false,
        }
    }

    /// The direction of the first connection, the one that logged in: in half-duplex mode it goes to the server.
    #[must_use]
    pub fn first_direction(&self) -> Direction {
        if self.half {
            Direction::ClientToServer
        } else {
            Direction::Both
        }
    }

    /// The server's choice for an additional connection: the way that fewer go (protocol §6.1). Those in `dead` do not count.
    #[must_use]
    pub fn next_direction(&self, dead: &[ConnectionId]) -> Direction {
        if !self.half {
            return Direction::Both;
        }
        let alive = self.connections.iter().filter(|c| !dead.contains(&c.id));
        let (to_client, to_server): (Vec<_>, Vec<_>) =
            alive.partition(|c| c.direction == Direction::ServerToClient);
        if to_client.len() > to_server.len() {
            Direction::ClientToServer
        } else {
            Direction::ServerToClient
        }
    }

    /// Whether a server should refuse a further connection: like the stock server it tolerates one more than
    /// granted, since a client may replace one before the server has noticed its end (protocol §6).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.connections.len() > self.max_connections
    }

    /// Whether a client should open a further connection.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        !self.over && self.connections.len() < self.max_connections
    }

    /// Number of connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// Whether the session is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in a connection that has just entered the data stage. The first keep-alive is due at once.
    pub fn add(&mut self, now: Instant, direction: Direction) -> ConnectionId {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.connections.push(Connection {
            id,
            direction,
            received_at: now,
            keepalive_at: now,
        });
        self.alive_at = self.alive_at.max(now);
        if direction.sends(self.side) {
            self.keepalive_due(now, id);
        }
        self.rebalance(now, id);
        id
    }

    /// Forgets a connection that ended. Unknown ones are ignored, so that [`TunnelEvent::Lost`] may be followed by
    /// this. From the last one on the session lives for the timeout and can be resumed.
    pub fn remove(&mut self, now: Instant, id: ConnectionId) {
        let before = self.connections.len();
        self.connections.retain(|c| c.id != id);
        if self.connections.len() < before {
            self.alive_at = self.alive_at.max(now);
        }
    }

    /// A whole block or keep-alive came in on a connection.
    pub fn received(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            connection.received_at = connection.received_at.max(now);
            self.alive_at = self.alive_at.max(now);
        }
    }

    /// Something was handed to a connection's socket, which took it. Its next keep-alive is a random interval away.
    pub fn sent(&mut self, now: Instant, id: ConnectionId) {
        let interval = self.keepalive_interval();
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            connection.keepalive_at = now + interval;
            self.alive_at = self.alive_at.max(now);
        }
    }

    /// The connection for a frame, `None` while there is none to send on.
    ///
    /// All frames of a flow (equal `flow_hash`) take the same connection while it lives, since order is kept only
    /// within one; a connection that comes or goes moves only the flows it gains or loses. With `qos` the newest
    /// connection is for priority frames alone (protocol §6.2).
    #[must_use]
    pub fn choose(&self, priority: bool, flow_hash: u32) -> Option<ConnectionId> {
        let mut candidates = self
            .connections
            .iter()
            .rev()
            .filter(|c| c.direction.sends(self.side));
        let newest = candidates.next()?;
        let (first, rest) = match candidates.next() {
            None => return Some(newest.id),
            Some(_) if self.qos && priority => return Some(newest.id),
            Some(second) if self.qos => (second, candidates),
            Some(second) => {
                // Both compete: weigh the second here, the rest below.
                let best = heavier(newest, second, flow_hash);
                (best, candidates)
            }
        };
        Some(rest.fold(first, |best, next| heavier(best, next, flow_hash)).id)
    }

    /// When to call [`Tunnel::handle_timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let ends = self.alive_at + self.timeout;
        self.connections
            .iter()
            .flat_map(|c| {
                let keepalive = c.direction.sends(self.side).then_some(c.keepalive_at);
                let silence = c
                    .direction
                    .receives(self.side)
                    .then_some(c.received_at + self.timeout);
                [keepalive, silence]
            })
            .flatten()
            .chain([ends])
            .min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        let (side, timeout) = (self.side, self.timeout);
        let silent = |c: &Connection| c.direction.receives(side) && now >= c.received_at + timeout;
        let due = |c: &Connection| c.direction.sends(side) && now >= c.keepalive_at;
        let lost = self
            .connections
            .iter()
            .filter(|c| silent(c))
            .map(|c| c.id)
            .collect::<Vec<_>>();
        for id in lost {
            self.lose(now, id);
        }
        if now >= self.alive_at + self.timeout {
            self.over = true;
            self.connections.clear();
            self.events.push_back(TunnelEvent::Over);
            return;
        }
        let due = self
            .connections
            .iter()
            .filter(|c| due(c))
            .map(|c| c.id)
            .collect::<Vec<_>>();
        for id in due {
            self.keepalive_due(now, id);
        }
    }

    /// What to do next.
    pub fn poll_event(&mut self) -> Option<TunnelEvent> {
        while let Some(event) = self.events.pop_front() {
            match event {
                TunnelEvent::KeepAlive(id) if !self.connections.iter().any(|c| c.id == id) => {}
                event => return Some(event),
            }
        }
        None
    }

    /// The next one is scheduled whether or not this one can be sent.
    fn keepalive_due(&mut self, now: Instant, id: ConnectionId) {
        let interval = self.keepalive_interval();
        if let Some(connection) = self.connections.iter_mut().find(|c| c.id == id) {
            connection.keepalive_at = now + interval;
            self.events.push_back(TunnelEvent::KeepAlive(id));
        }
    }

    /// Between a fifth and a half of the timeout, as protocol §7.4 draws it: the short end is the likeliest.
    fn keepalive_interval(&mut self) -> Duration {
        let half = (self.timeout / 2).as_millis().max(1);
        let drawn = self.rng.random_range(0..u64::try_from(half).unwrap_or(u64::MAX));
        Duration::from_millis(drawn).max(self.timeout / 5)
    }

    fn lose(&mut self, now: Instant, id: ConnectionId) {
        self.remove(now, id);
        self.events.push_back(TunnelEvent::Lost(id));
    }

    /// A half-duplex client whose connections all go one way gives up the newest, so that the server chooses again
    /// (protocol §6.1).
    fn rebalance(&mut self, now: Instant, newest: ConnectionId) {
        let full = self.connections.len() >= self.max_connections.max(2);
        if self.side == Side::Client && self.half && full {
            let first = self.connections[0].direction;
            if self.connections.iter().all(|c| c.direction == first) {
                self.lose(now, newest);
            }
        }
    }
}

/// Rendezvous hashing: of two connections the one that weighs more for a flow.
fn heavier<'a>(a: &'a Connection, b: &'a Connection, flow_hash: u32) -> &'a Connection {
    if weight(b.id, flow_hash) > weight(a.id, flow_hash) {
        b
    } else {
        a
    }
}

/// The finaliser of splitmix64.
fn weight(id: ConnectionId, flow_hash: u32) -> u64 {
    let mut x = (id.0 << 32 ^ u64::from(flow_hash)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests;
