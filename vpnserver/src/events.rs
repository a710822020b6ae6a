//! Everything that happens, as one typed stream. The log is its first reader; audit and metrics are to be others.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use hub_core::mac::MacAddr;
use nat::PoolUse;
use nat::dnat::HealthChange;
use protocol::error::ErrorCode;
use transport::tls::Fingerprint;

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A TCP port is served.
    ListenerOpened {
        /// Where.
        address: SocketAddr,
    },
    /// A TCP port could not be opened.
    ListenerFailed {
        /// Where.
        address: SocketAddr,
        /// Why, and what to do.
        reason: String,
    },
    /// A TCP port is served no more.
    ListenerClosed {
        /// Where.
        address: SocketAddr,
    },
    /// A connection ended before it asked for anything we grant.
    StrangerLeft {
        /// From where.
        peer: SocketAddr,
        /// How.
        reason: String,
    },
    /// Connections of one source are turned away for now.
    Flooded {
        /// From where.
        source: IpAddr,
        /// Which limit it ran into.
        limit: &'static str,
    },
    /// A login was refused.
    LoginRefused {
        /// Name of the connection.
        connection: String,
        /// From where.
        peer: SocketAddr,
        /// The hub that was asked for.
        hub: String,
        /// The name that was given.
        user: String,
        /// What the peer was told.
        code: ErrorCode,
        /// What the administrator is told.
        reason: String,
    },
    /// A user changed the password.
    PasswordChanged {
        /// From where.
        peer: SocketAddr,
        /// The user's hub.
        hub: String,
        /// The name that was given.
        user: String,
    },
    /// A user wanted to change the password and was refused.
    PasswordRefused {
        /// From where.
        peer: SocketAddr,
        /// The hub that was named.
        hub: String,
        /// The name that was given.
        user: String,
        /// What the peer was told.
        code: ErrorCode,
        /// What the administrator is told.
        reason: String,
    },
    /// A session began.
    SessionOpened {
        /// Its name.
        session: String,
        /// Name of its first connection.
        connection: String,
        /// Its hub.
        hub: String,
        /// Whose.
        user: String,
        /// From where.
        peer: SocketAddr,
        /// What the peer calls itself.
        client: String,
        /// TCP connections granted.
        max_connections: u32,
    },
    /// A session got another TCP connection.
    SessionJoined {
        /// Its name.
        session: String,
        /// From where.
        peer: SocketAddr,
        /// TCP connections now.
        connections: usize,
    },
    /// A session ended.
    SessionEnded {
        /// Its name.
        session: String,
        /// Its hub.
        hub: String,
        /// Whose.
        user: String,
        /// From where.
        peer: SocketAddr,
        /// Ethernet bytes from the peer.
        bytes_in: u64,
        /// Ethernet bytes to the peer.
        bytes_out: u64,
        /// How long it was.
        duration: Duration,
        /// Why it ended.
        reason: &'static str,
    },
    /// A client got an address from SecureNAT, or from another DHCP server on the hub.
    LeaseGiven {
        /// The hub.
        hub: String,
        /// The session behind the client's MAC address, where it is known.
        session: Option<String>,
        /// The client.
        mac: MacAddr,
        /// The address.
        address: Ipv4Addr,
        /// The name the client gave; empty when it is not known.
        host_name: String,
    },
    /// SecureNAT has no address left.
    PoolExhausted {
        /// The hub.
        hub: String,
        /// Who got none.
        mac: MacAddr,
        /// How its addresses are used.
        pool: PoolUse,
    },
    /// SecureNAT has addresses again.
    PoolAvailable {
        /// The hub.
        hub: String,
        /// Requests that were not answered meanwhile.
        turned_away: u64,
    },
    /// Somebody on a hub uses an address that SecureNAT leases, without a lease.
    AddressInUse {
        /// The hub.
        hub: String,
        /// The session behind the MAC address, where it is known.
        session: Option<String>,
        /// Who uses it, or noticed it.
        mac: MacAddr,
        /// The address.
        address: Ipv4Addr,
    },
    /// A client takes no message that is long enough for the pushed routes.
    RoutesLeftOut {
        /// The hub.
        hub: String,
        /// The session behind the client's MAC address, where it is known.
        session: Option<String>,
        /// The client.
        mac: MacAddr,
        /// Bytes that it takes.
        limit: usize,
    },
    /// A hub takes sessions.
    HubOnline {
        /// Which.
        hub: String,
    },
    /// A hub takes no sessions any more.
    HubOffline {
        /// Which.
        hub: String,
    },
    /// A part of a hub (SecureNAT, a bridge) or the published hosts began to work.
    PartStarted {
        /// The hub, if it belongs to one.
        hub: Option<String>,
        /// Which part, in words.
        part: String,
    },
    /// Such a part cannot work.
    PartFailed {
        /// The hub, if it belongs to one.
        hub: Option<String>,
        /// Which part, in words.
        part: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A published host that is looked at began or ceased to answer.
    HealthChanged(HealthChange),
    /// Log lines found no room on their way to the files.
    LogLinesLost {
        /// How many.
        lines: u64,
    },
    /// Old log files were deleted because the disk was short of room.
    LogsDeleted {
        /// How many.
        files: usize,
    },
    /// An administrator logged in.
    AdminOpened {
        /// From where; nothing for the local socket.
        peer: Option<SocketAddr>,
        /// The hub, if it is a hub's administrator.
        hub: Option<String>,
    },
    /// An administrator was refused.
    AdminRefused {
        /// From where.
        peer: SocketAddr,
        /// The hub that was asked for.
        hub: Option<String>,
        /// What the peer was told.
        code: ErrorCode,
        /// What the administrator is told.
        reason: String,
    },
    /// Another certificate is shown from now on.
    CertificateChanged {
        /// What clients pin.
        fingerprint: Fingerprint,
    },
    /// A change was made and is durable.
    Changed {
        /// From where; nothing for the local socket.
        peer: Option<SocketAddr>,
        /// The hub it is about, if any.
        hub: Option<String>,
        /// The method of the administration protocol.
        method: &'static str,
    },
}

type Reader = Box<dyn Fn(&Event) + Send + Sync>;

/// The stream. Readers are called in order, at once, by whoever reports: they must be quick.
#[derive(Clone, Default)]
pub struct Events(Arc<RwLock<Vec<Reader>>>);

impl Events {
    /// A stream that is written to the log.
    #[must_use]
    pub fn logged() -> Self {
        let events = Self::default();
        events.read_with(crate::log::write);
        events
    }

    /// Adds a reader.
    pub fn read_with(&self, reader: impl Fn(&Event) + Send + Sync + 'static) {
        self.0
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(Box::new(reader));
    }

    /// Tells every reader.
    pub fn report(&self, event: &Event) {
        let readers = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        readers.iter().for_each(|reader| reader(event));
    }
}
