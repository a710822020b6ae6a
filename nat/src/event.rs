//! What happens on a SecureNAT, for logs, audits and meters.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use hub_core::MacAddr;

use crate::dhcp::PoolUse;

/// The protocol of a translated flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowProtocol {
    /// A TCP connection.
    Tcp,
    /// Datagrams of one client socket with one peer.
    Udp,
    /// Echo requests of one client with one peer; ports are the ICMP identifier.
    Icmp,
    /// A question to the virtual host's name service.
    Dns,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client got an address.
    LeaseGiven {
        /// The client.
        mac: MacAddr,
        /// Its address.
        ip: Ipv4Addr,
        /// What it calls itself, made harmless; may be empty.
        host_name: String,
    },
    /// A client goes on with its address.
    LeaseRenewed {
        /// The client.
        mac: MacAddr,
        /// Its address.
        ip: Ipv4Addr,
    },
    /// A client gave its address back.
    LeaseReleased {
        /// The client.
        mac: MacAddr,
        /// Its former address.
        ip: Ipv4Addr,
    },
    /// A lease ran out.
    LeaseExpired {
        /// The client.
        mac: MacAddr,
        /// Its former address.
        ip: Ipv4Addr,
    },
    /// A client found somebody else using the address; it is set aside for a time.
    LeaseDeclined {
        /// The client.
        mac: MacAddr,
        /// The address.
        ip: Ipv4Addr,
    },
    /// An address was to be offered and somebody answered for it; it is set aside for a time.
    AddressInUse {
        /// Who uses it.
        mac: MacAddr,
        /// The address.
        ip: Ipv4Addr,
    },
    /// A client does not take messages that are long enough for the routes that it asked for.
    RoutesLeftOut {
        /// The client.
        mac: MacAddr,
        /// Bytes that it takes.
        limit: usize,
    },
    /// A client found the pool used up. Told once until an address can be given again.
    PoolExhausted {
        /// The client.
        mac: MacAddr,
        /// How the pool is used.
        pool: PoolUse,
    },
    /// The pool was used up, and a new client got an address again.
    PoolAvailable {
        /// Requests that were not answered meanwhile.
        turned_away: u64,
    },
    /// A client reached something outside (user mode).
    FlowOpened {
        /// The protocol.
        protocol: FlowProtocol,
        /// The client.
        client: SocketAddrV4,
        /// Whom it meant to reach.
        destination: SocketAddrV4,
    },
    /// A flow ended (user mode).
    FlowClosed {
        /// The protocol.
        protocol: FlowProtocol,
        /// The client.
        client: SocketAddrV4,
        /// Whom it reached.
        destination: SocketAddrV4,
        /// Payload bytes from the client.
        sent: u64,
        /// Payload bytes to the client.
        received: u64,
    },
    /// A client may not open more flows (user mode). Told once until one of its flows ends.
    FlowLimit {
        /// The protocol.
        protocol: FlowProtocol,
        /// The client.
        client: Ipv4Addr,
    },
}

impl Event {
    /// Whether somebody has to look after it, whatever is said about logs.
    pub(crate) fn is_trouble(&self) -> bool {
        matches!(
            self,
            Event::LeaseDeclined { .. }
                | Event::AddressInUse { .. }
                | Event::RoutesLeftOut { .. }
                | Event::PoolExhausted { .. }
                | Event::PoolAvailable { .. }
                | Event::FlowLimit { .. }
        )
    }
}

/// Where events go. It must not block.
#[derive(Clone)]
pub struct Events(Arc<dyn Fn(Event) + Send + Sync>);

impl Events {
    /// Events go to `listener`, which is called from the tasks in which they happen.
    pub fn new(listener: impl Fn(Event) + Send + Sync + 'static) -> Self {
        Events(Arc::new(listener))
    }

    /// Nobody listens.
    pub fn ignored() -> Self {
        Events::new(|_| {})
    }

    pub(crate) fn tell(&self, event: Event) {
        (self.0)(event);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Events")
    }
}
