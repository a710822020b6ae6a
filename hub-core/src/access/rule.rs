//! One rule of an access list, as an administrator writes it.

use std::cmp::Ordering;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::MacAddr;

/// The longest [`Rule::delay_ms`]: ten seconds.
pub const MAX_DELAY_MS: u32 = 10_000;

/// One rule of a hub's access list (policies §4). All conditions that are set must hold.
///
/// It keeps what was written, sensible or not: [`AccessList::compile`](super::AccessList::compile) makes something
/// to match frames with of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For people.
    pub note: String,
    /// Whether the rule counts at all.
    pub active: bool,
    /// Lower ones are tried first.
    pub priority: u32,
    /// What happens to a frame that matches: it is dropped, or it passes.
    pub discard: bool,
    /// The version of IP that the rule is about, and the addresses.
    pub addresses: Addresses,
    /// Protocol number of the IP packet; 0 is any.
    pub protocol: u32,
    /// Source ports of TCP and UDP.
    pub source_ports: PortRange,
    /// Destination ports of TCP and UDP.
    pub destination_ports: PortRange,
    /// User or group of the sending session, or `include:FILE` or `exclude:FILE`; empty is anybody.
    pub source_user: String,
    /// User or group of the receiving session, likewise. A rule that has it is asked for every receiver.
    pub destination_user: String,
    /// Source Ethernet addresses.
    pub source_mac: Option<Masked<MacAddr>>,
    /// Destination Ethernet addresses.
    pub destination_mac: Option<Masked<MacAddr>>,
    /// The state that a TCP segment belongs to.
    pub tcp_state: Option<TcpState>,
    /// Milliseconds that a frame which passes is held back, at most [`MAX_DELAY_MS`].
    pub delay_ms: u32,
    /// By how many percent the delay varies, up and down.
    pub jitter_percent: u32,
    /// How many percent of the frames that pass are lost.
    pub loss_percent: u32,
    /// Where a web browser whose TCP flow matches is sent; empty is nowhere.
    pub redirect_url: String,
}

/// The addresses of a rule, which make it a rule about one version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// IPv4.
    V4 {
        /// Of the sender.
        source: Masked<Ipv4Addr>,
        /// Of the receiver.
        destination: Masked<Ipv4Addr>,
    },
    /// IPv6.
    V6 {
        /// Of the sender.
        source: Masked<Ipv6Addr>,
        /// Of the receiver.
        destination: Masked<Ipv6Addr>,
    },
}

/// Addresses that agree with one where the mask has ones. Address and mask both zero are any address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Masked<A> {
    /// The address.
    pub address: A,
    /// The bits of it that count; not always the first ones.
    pub mask: A,
}

/// Ports from `start` to `end`; both 0 is any, and an `end` of 0 is the same as `start`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The first port.
    pub start: u32,
    /// The last port. Less than `start`, but not 0, holds for none.
    pub end: u32,
}

/// The state of a TCP connection, as one segment shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TcpState {
    /// The segment belongs to a connection that exists.
    Established,
    /// The segment asks for a new connection.
    Unestablished,
}

impl Rule {
    /// A rule without conditions, about `addresses`' version of IP.
    pub fn new(priority: u32, discard: bool, addresses: Addresses) -> Self {
        Self {
            note: String::new(),
            active: true,
            priority,
            discard,
            addresses,
            protocol: 0,
            source_ports: PortRange::default(),
            destination_ports: PortRange::default(),
            source_user: String::new(),
            destination_user: String::new(),
            source_mac: None,
            destination_mac: None,
            tcp_state: None,
            delay_ms: 0,
            jitter_percent: 0,
            loss_percent: 0,
            redirect_url: String::new(),
        }
    }

    /// The order in which rules are listed and tried: by priority, and of the same priority those that pass first.
    /// What is equal here stays in the order in which it was made: sort with a stable sort.
    pub fn order(&self, other: &Self) -> Ordering {
        (self.priority, self.discard).cmp(&(other.priority, other.discard))
    }
}

impl Addresses {
    /// Any IPv4 address.
    pub const ANY_V4: Self = Self::V4 {
        source: Masked {
            address: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::UNSPECIFIED,
        },
        destination: Masked {
            address: Ipv4Addr::UNSPECIFIED,
            mask: Ipv4Addr::UNSPECIFIED,
        },
    };

    /// Any IPv6 address.
    pub const ANY_V6: Self = Self::V6 {
        source: Masked {
            address: Ipv6Addr::UNSPECIFIED,
            mask: Ipv6Addr::UNSPECIFIED,
        },
        destination: Masked {
            address: Ipv6Addr::UNSPECIFIED,
            mask: Ipv6Addr::UNSPECIFIED,
        },
    };
}

impl PortRange {
    /// Whether it holds for every port, and for packets without ports.
    pub fn is_any(self) -> bool {
        self == Self::default()
    }

    /// Whether it holds for `port`.
    pub fn contains(self, port: u16) -> bool {
        let end = if self.end == 0 { self.start } else { self.end };
        self.is_any() || (self.start..=end).contains(&u32::from(port))
    }
}
