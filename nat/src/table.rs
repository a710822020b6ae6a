//! What SecureNAT shows of itself: its state, its leases and its flows.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Instant, SystemTime};

use hub_core::MacAddr;

use crate::dhcp::{Lease, PoolUse};
use crate::event::FlowProtocol;

/// How packets of the hub reach the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By sockets of this process.
    User,
    /// By the kernel.
    Kernel,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::User => "user",
            Mode::Kernel => "kernel",
        })
    }
}

/// The state in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The mode in use.
    pub mode: Mode,
    /// TCP connections.
    pub tcp: u32,
    /// UDP flows.
    pub udp: u32,
    /// Hosts being pinged.
    pub icmp: u32,
    /// Questions to the name service being answered.
    pub dns: u32,
    /// Leases in force.
    pub dhcp_clients: u32,
    /// How the pool of addresses is used; all zero while the DHCP server is off.
    pub pool: PoolUse,
    /// Requests that found the pool used up; none while there are addresses.
    pub turned_away: u64,
}

/// A row of the lease table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEntry {
    /// The address.
    pub ip: Ipv4Addr,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// What the client calls itself, made harmless; may be empty.
    pub host_name: String,
    /// When it was first given.
    pub since: SystemTime,
    /// When it ends unless renewed.
    pub until: SystemTime,
}

impl LeaseEntry {
    /// The row of a lease, seen at a moment given on both clocks.
    pub(crate) fn new(lease: Lease, now: Instant, wall: SystemTime) -> Self {
        LeaseEntry {
            ip: lease.ip,
            mac: lease.mac,
            host_name: lease.host_name,
            since: wall - now.saturating_duration_since(lease.since),
            until: wall + lease.until.saturating_duration_since(now),
        }
    }
}

/// How far a TCP connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpState {
    /// Waiting for the destination.
    Connecting = 0,
    /// Open both ways.
    Established = 1,
    /// One side has finished.
    Closing = 2,
}

/// A row of the NAT table. In kernel mode the kernel does not tell everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatEntry {
    /// A number that names the row as long as it exists.
    pub id: u64,
    /// The protocol.
    pub protocol: FlowProtocol,
    /// The client.
    pub client: SocketAddrV4,
    /// Whom it meant to reach.
    pub destination: SocketAddrV4,
    /// When it began.
    pub opened: Option<SystemTime>,
    /// When payload last passed.
    pub last_active: Option<SystemTime>,
    /// Bytes from the client: payload in user mode, whole packets in kernel mode.
    pub sent: Option<u64>,
    /// Bytes to the client, likewise.
    pub received: Option<u64>,
    /// How far a TCP connection is.
    pub tcp_state: Option<TcpState>,
}
