//! A session: one user's port on one hub, reached through a tunnel of TLS connections.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hub_core::frame::Frame;
use hub_core::relay::Relay;
use hub_core::switch::Port;
use nat::device::Finisher;
use protocol::handshake::{Auth, Login};
use protocol::policy::Policy;
use protocol::tunnel::{ConnectionId, Direction, Side};
use transport::cipher::Cipher;
use transport::tls::TlsStream;
use transport::tunnel::{Terms, Tunnel};

use crate::enforcement::port_of_session;
use crate::hubs::VirtualHub;
use crate::login::Standing;
use crate::store::{Id, UsageReport};
use crate::usage::Meter;

/// TCP connections of one session at most (protocol §6).
const MAX_CONNECTIONS: u32 = 32;
/// What a session's tunnel takes from its hub at once.
const BATCH_BYTES: usize = 256 * 1024;
/// Bytes that may wait for one connection, shared out as the stock server does (protocol §7.2).
const QUEUE_BYTES: usize = 2_560_000;
const MIN_QUEUE_BYTES: usize = 320_000;
/// Bytes that may wait between hub and tunnel; they are handed on at once, so this is room for bursts.
const PORT_QUEUE_BYTES: usize = 1 << 20;

/// Why sessions end, for the log.
pub mod reason {
    /// The peer closed its connections and did not come back in time.
    pub const GONE: &str = "the client is gone";
    /// An administrator disconnected it.
    pub const DISCONNECTED: &str = "disconnected by an administrator";
    /// Its hub went offline.
    pub const HUB_OFFLINE: &str = "its hub went offline";
    /// Its hub was deleted.
    pub const HUB_DELETED: &str = "its hub was deleted";
    /// Its user was deleted.
    pub const USER_REVOKED: &str = "its user was deleted";
    /// What it rested on holds no more: the user may not come, logs in otherwise, or comes from where nobody may.
    pub const ACCESS_REVOKED: &str = "its user may not come any more";
    /// The server ends.
    pub const SHUTDOWN: &str = "the server ends";
}

/// Who a session belongs to and where it came from; never changes.
#[derive(Debug)]
pub struct Origin {
    /// `SID-USER-n`.
    pub name: String,
    /// `CID-n` of its first connection.
    pub connection: String,
    /// The hub, as it is written there.
    pub hub: String,
    /// The user's name as recorded.
    pub user: String,
    /// The user's identity; none for the hub's administrator.
    pub user_id: Option<Id>,
    /// The group, if any.
    pub group: Option<String>,
    /// From where.
    pub peer: SocketAddr,
    /// Our own end of its first connection.
    pub local: SocketAddr,
    /// The cipher suite of its first connection.
    pub cipher: Option<Cipher>,
    /// What it logged in with; the secrets are gone from it.
    pub login: Login,
    /// What it may do.
    pub policy: Policy,
    /// What it rests on.
    pub standing: Standing,
    /// When it began, on the wall.
    pub opened_at: SystemTime,
    /// When it began, for durations.
    pub opened: Instant,
}

impl Origin {
    /// Whether it asked to bridge or route.
    #[must_use]
    pub fn is_bridging(&self) -> bool {
        self.login.options.bridge || self.login.client.is_bridge()
    }
}

/// One session.
pub struct Session {
    /// Who and from where.
    pub origin: Origin,
    /// The tunnel to the peer.
    pub tunnel: Tunnel,
    key: [u8; 20],
    port: Port,
    ended: OnceLock<&'static str>,
    meter: Meter,
    last_seen: Mutex<SystemTime>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("name", &self.origin.name)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Plugs a logged-in peer into its hub. The tunnel has no connection before [`Session::join`].
    #[must_use]
    pub fn open(origin: Origin, key: [u8; 20], port: Port) -> Arc<Self> {
        let terms = terms(origin.name.clone(), &origin.login, &origin.policy);
        let ingress = port.clone();
        let tunnel = Tunnel::start(
            terms,
            Arc::new(move |frames: &mut Vec<Frame>| {
                ingress.send(Instant::now(), &mut frames.drain(..));
            }),
        );
        let meter = Meter::new(origin.user_id);
        Arc::new(Self {
            origin,
            tunnel,
            key,
            port,
            ended: OnceLock::new(),
            meter,
            last_seen: Mutex::new(SystemTime::now()),
        })
    }

    /// Gives the session a connection that has reached its data stage, in place of those that are dead.
    pub fn join(&self, dead: &[ConnectionId], stream: TlsStream, early: &[u8], direction: Direction) {
        *self.last_seen.lock().unwrap_or_else(PoisonError::into_inner) = SystemTime::now();
        self.tunnel.add_in_place_of(dead, stream, early, direction);
    }

    /// Moves frames from the hub to the peer until the session is over.
    pub async fn run(&self) {
        let tunnel = self.tunnel.clone();
        let mut finisher = Finisher::default();
        let relay = Relay::new(self.port.clone(), BATCH_BYTES, move |batch: &mut Vec<Frame>| {
            // A stock peer, and a datagram, knows frames of ordinary length only.
            if !tunnel.takes_super_frames() {
                finisher.finish(batch);
            }
            tunnel.send(&mut batch.drain(..));
        });
        tokio::select! {
            () = relay => self.tunnel.close(),
            () = self.tunnel.ended() => {}
        }
    }

    /// Ends it; the first reason given is the one that counts.
    pub fn end(&self, why: &'static str) {
        let _ = self.ended.set(why);
        self.tunnel.close();
        self.port.close();
    }

    /// Why it ended, or would if it did now.
    #[must_use]
    pub fn why_ended(&self) -> &'static str {
        self.ended.get().copied().unwrap_or(reason::GONE)
    }

    /// The secret that lets a connection join.
    #[must_use]
    pub fn key(&self) -> &[u8; 20] {
        &self.key
    }

    /// Its port on the hub.
    #[must_use]
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// When a connection last joined.
    #[must_use]
    pub fn last_joined(&self) -> SystemTime {
        *self.last_seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something was last heard from the peer.
    #[must_use]
    pub fn last_heard(&self) -> SystemTime {
        SystemTime::now() - self.tunnel.last_heard().elapsed()
    }

    /// What its user has used since the last call.
    #[must_use]
    pub fn usage(&self) -> Option<UsageReport> {
        self.meter.read(&self.port.counters())
    }

    /// Ethernet bytes from and to the peer.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        let traffic = self.tunnel.traffic();
        (traffic.bytes_in.load(Relaxed), traffic.bytes_out.load(Relaxed))
    }
}

/// What a session is granted of what it asked for (protocol §5.1).
#[must_use]
pub fn terms(name: String, login: &Login, policy: &Policy) -> Terms {
    let asked = &login.options;
    let qos = asked.qos && !policy.no_qos && !asked.monitor;
    let least = match (asked.half_connection, qos) {
        (true, true) => 4,
        (true, false) | (false, true) => 2,
        (false, false) => 1,
    };
    let granted = asked
        .max_connection
        .min(policy.max_connection)
        .clamp(1, MAX_CONNECTIONS);
    // One connection asked for, without half duplex, is one connection: priority needs a second one.
    let max_connections = if asked.half_connection || granted > 1 {
        granted.max(least)
    } else {
        granted
    };
    Terms {
        name,
        side: Side::Server,
        timeout: Duration::from_secs(u64::from(policy.timeout.clamp(5, 60))),
        max_connections,
        half_duplex: asked.half_connection,
        qos: qos && max_connections > 1,
        compress: asked.use_compress,
        // A compressed session carries none (protocol §14.3).
        super_frames: asked.super_frames && !asked.use_compress,
        queue_bytes: (QUEUE_BYTES / max_connections as usize).max(MIN_QUEUE_BYTES),
    }
}

/// Plugs a session into its hub, with what its policy and its login make of the port.
#[must_use]
pub fn plug(hub: &VirtualHub, origin: &Origin) -> Port {
    hub.plug(port_of_session(origin), PORT_QUEUE_BYTES)
}

/// The policy of a session that asked for this: one that did not ask to bridge may neither bridge nor route, and is told
/// so (protocol §5.1).
#[must_use]
pub fn effective_policy(mut policy: Policy, login: &Login) -> Policy {
    if !login.options.bridge {
        policy.no_bridge = true;
        policy.no_routing = true;
    }
    policy
}

/// A login without what proved it, for as long as the session is listed.
#[must_use]
pub fn without_secrets(mut login: Login) -> Login {
    match &mut login.auth {
        Auth::Challenge(proof) => *proof = [0; 20],
        Auth::Plain(password) => password.clear(),
        Auth::Certificate { signature, .. } => signature.clear(),
        Auth::Ticket(ticket) => *ticket = [0; 20],
        Auth::Anonymous => {}
    }
    login
}
