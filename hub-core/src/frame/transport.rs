//! What stands behind the IP header, read when somebody asks.

use super::view::{Ports, chunk, is_extension_header};
use super::{FrameView, Network};

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;

/// The transport header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A TCP segment.
    Tcp {
        /// Its ports.
        ports: Ports,
        /// Its flags.
        flags: TcpFlags,
    },
    /// A UDP datagram.
    Udp {
        /// Its ports.
        ports: Ports,
    },
    /// An ICMPv6 message.
    Icmpv6 {
        /// Its type.
        kind: u8,
    },
    /// Another protocol, no IP at all, or a later piece of a packet.
    Other,
    /// A packet that hides what it is: its transport header is cut short or behind more headers than anybody has use for,
    /// or it is a piece that would overwrite the flags of a TCP header (RFC 1858, RFC 7112).
    Broken,
}

/// The flags of a TCP segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(u8);

impl TcpFlags {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    /// The byte of the header.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether SYN is set.
    pub const fn syn(self) -> bool {
        self.0 & Self::SYN != 0
    }

    /// Whether ACK is set.
    pub const fn ack(self) -> bool {
        self.0 & Self::ACK != 0
    }

    /// Whether the segment asks for a new connection.
    pub const fn is_first(self) -> bool {
        self.syn() && !self.ack()
    }

    /// Whether the segment grants a new connection.
    pub const fn is_grant(self) -> bool {
        self.syn() && self.ack()
    }
}

impl Transport {
    /// Reads the header in `frame`, which must be the bytes that `view` was read from.
    pub fn read(view: &FrameView, frame: &[u8]) -> Self {
        let (protocol, ports, at, offset) = match &view.network {
            Network::Ipv4(ip) => (ip.protocol, ip.ports, ip.transport_offset, ip.fragment_offset),
            Network::Ipv6(ip) => (ip.protocol, ip.ports, ip.transport_offset, ip.fragment_offset),
            Network::Arp(_) | Network::Other => return Self::Other,
        };
        let v6 = matches!(view.network, Network::Ipv6(_));
        if offset != 0 {
            let over_flags = protocol == TCP && offset == 1;
            return if over_flags { Self::Broken } else { Self::Other };
        }
        let at = usize::from(at);
        match protocol {
            TCP => ports
                .zip(chunk::<20>(frame, at))
                .map(|(ports, header)| Self::Tcp {
                    ports,
                    flags: TcpFlags(header[13]),
                }),
            UDP => ports
                .filter(|_| chunk::<8>(frame, at).is_some())
                .map(|ports| Self::Udp { ports }),
            ICMP if !v6 => chunk::<4>(frame, at).map(|_| Self::Other),
            ICMPV6 if v6 => frame.get(at).map(|kind| Self::Icmpv6 { kind: *kind }),
            other if v6 && is_extension_header(other) => None,
            _ => Some(Self::Other),
        }
        .unwrap_or(Self::Broken)
    }

    /// The ports of TCP and UDP.
    pub const fn ports(self) -> Option<Ports> {
        match self {
            Self::Tcp { ports, .. } | Self::Udp { ports } => Some(ports),
            Self::Icmpv6 { .. } | Self::Other | Self::Broken => None,
        }
    }
}
