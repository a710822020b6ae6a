//! The tap: copies of forwarded frames for whoever logs them.
//!
//! Frames wait in the hub itself until they are [taken](Hub::take_tapped), so that logging costs forwarding one copy of the
//! frames that are wanted, and no lock or waking of its own. What finds no room is dropped and counted.

use std::time::Instant;

use super::admit::{Admitted, Route};
use super::{Hub, PortId};
use crate::Frame;
use crate::frame::{Network, Transport};

/// Bytes that wait to be taken.
const TAP_BYTES: usize = 2 << 20;
/// What a waiting frame costs beside its bytes.
const FRAME_COST: usize = 160;
/// Bytes copied of a frame of which only the headers are wanted: room for a question for a name or the first line of HTTP.
const HEADER_BYTES: usize = 512;

/// Classes of frames; one frame can be of several. The order is that of administration (policies §6).
const CLASSES: usize = 8;
const TCP_CONNECTION: usize = 0;
const TCP: usize = 1;
const DHCP: usize = 2;
const UDP: usize = 3;
const ICMP: usize = 4;
const IP: usize = 5;
const ARP: usize = 6;
const ETHERNET: usize = 7;

/// FIN, SYN and RST: a segment with one of them begins or ends a connection.
const CONNECTION_FLAGS: u8 = 0x07;
const DHCP_PORTS: [u16; 2] = [67, 68];
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;

/// What is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapConfig {
    /// Per class (TCP connections, TCP, DHCP, UDP, ICMP, IP, ARP, Ethernet): 0 nothing, 1 the headers, 2 the whole frame. Of a
    /// frame of several classes as much as the most curious of them wants.
    pub levels: [u8; CLASSES],
    /// Nothing of IPv4 (hub option `NoIPv4PacketLog`).
    pub no_ipv4: bool,
    /// Nothing of IPv6 (hub option `NoIPv6PacketLog`).
    pub no_ipv6: bool,
}

/// A frame that was forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tapped {
    /// When.
    pub at: Instant,
    /// The port it came from, by name.
    pub from: String,
    /// The one port it went to, by name; none if it was flooded.
    pub to: Option<String>,
    /// Its length in bytes.
    pub length: usize,
    /// Whether all of it is wanted, and so in `bytes`.
    pub whole: bool,
    /// The frame, or as much as its headers can take.
    pub bytes: Box<[u8]>,
}

/// What has been tapped since the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The frames, oldest first.
    pub frames: Vec<Tapped>,
    /// How many more there were that found no room.
    pub lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tap {
    config: Option<TapConfig>,
    waiting: Taken,
    cost: usize,
}

impl Hub {
    /// Begins to tap, or stops. What waits can still be taken.
    pub fn set_tap(&mut self, config: Option<TapConfig>) {
        self.tap.config = config.filter(|config| config.levels.iter().any(|level| *level > 0));
    }

    /// Takes what was tapped since the last time.
    pub fn take_tapped(&mut self) -> Taken {
        self.tap.cost = 0;
        std::mem::take(&mut self.tap.waiting)
    }

    /// Keeps a copy of an admitted frame, if it is of a class that is wanted.
    pub(super) fn tap(&mut self, now: Instant, admitted: &Admitted, frame: &Frame) {
        let Some(config) = &self.tap.config else {
            return;
        };
        let level = config.level(admitted);
        if level == 0 {
            return;
        }
        let whole = level > 1;
        let copied = if whole {
            frame.len()
        } else {
            frame.len().min(HEADER_BYTES)
        };
        if self.tap.cost + copied + FRAME_COST > TAP_BYTES {
            self.tap.waiting.lost += 1;
            return;
        }
        self.tap.cost += copied + FRAME_COST;
        let name = |id: PortId| self.ports.get(id).map(|port| port.config.name.clone());
        let tapped = Tapped {
            at: now,
            from: name(admitted.from).unwrap_or_default(),
            to: match admitted.route {
                Route::Port(to) => name(to),
                Route::Flood => None,
            },
            length: frame.len(),
            whole,
            bytes: frame.bytes[..copied].into(),
        };
        self.tap.waiting.frames.push(tapped);
    }
}

impl TapConfig {
    fn level(&self, admitted: &Admitted) -> u8 {
        let most = |classes: &[usize]| classes.iter().map(|class| self.levels[*class]).max().unwrap_or(0);
        let protocol = match &admitted.view.network {
            Network::Arp(_) => return most(&[ARP, ETHERNET]),
            Network::Other => return most(&[ETHERNET]),
            Network::Ipv4(_) if self.no_ipv4 => return 0,
            Network::Ipv6(_) if self.no_ipv6 => return 0,
            Network::Ipv4(ip) => ip.protocol,
            Network::Ipv6(ip) => ip.protocol,
        };
        match admitted.transport {
            Transport::Tcp { flags, .. } if flags.bits() & CONNECTION_FLAGS != 0 => {
                most(&[TCP_CONNECTION, TCP, IP, ETHERNET])
            }
            Transport::Tcp { .. } => most(&[TCP, IP, ETHERNET]),
            Transport::Udp { ports }
                if DHCP_PORTS.contains(&ports.source) && DHCP_PORTS.contains(&ports.destination) =>
            {
                most(&[DHCP, UDP, IP, ETHERNET])
            }
            Transport::Udp { .. } => most(&[UDP, IP, ETHERNET]),
            Transport::Icmpv6 { .. } => most(&[ICMP, IP, ETHERNET]),
            _ if protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6 => most(&[ICMP, IP, ETHERNET]),
            Transport::Other | Transport::Broken => most(&[IP, ETHERNET]),
        }
    }
}
