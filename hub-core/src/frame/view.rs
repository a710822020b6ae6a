//! What a frame's headers say, read once.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::transport::{ICMP, TCP, UDP};
use super::{DhcpAck, DhcpSide, MIN_FRAME};
use crate::MacAddr;
use crate::hash::mix;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// Tag protocol identifiers of 802.1Q, 802.1ad, and the one vendors used before 802.1ad.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Tags read through on the way to the network header: one of the provider, one of the customer.
const MAX_VLAN_TAGS: usize = 2;

/// IPv6 extension headers read through; real packets have at most three or four.
const MAX_EXTENSION_HEADERS: usize = 8;

/// The headers of one frame: a small copy that is valid as long as the bytes it was read from do not change.
///
/// Parsing never fails for a frame that has an Ethernet header. A network header that does not hold together
/// (a length beyond the frame, a wrong version) is [`Network::Other`], with the ethertype telling what it
/// claimed to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameView {
    /// Who should get the frame.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// The outermost VLAN tag.
    pub vlan: Option<VlanTag>,
    /// The type of the payload, behind all VLAN tags.
    pub ethertype: u16,
    /// Where the payload begins, in bytes from the start of the frame.
    pub network_offset: u16,
    /// The network header.
    pub network: Network,
    /// The length of the frame in bytes.
    pub length: u32,
}

/// The control field of an 802.1Q tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanTag(u16);

impl VlanTag {
    /// The VLAN's number; 0 means that the tag only carries a priority.
    pub const fn id(self) -> u16 {
        self.0 & 0x0fff
    }

    /// The priority code point, 0 to 7.
    pub const fn priority(self) -> u8 {
        (self.0 >> 13) as u8
    }
}

/// A frame's network header, if it is one that a hub looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// ARP for IPv4 over Ethernet (RFC 826).
    Arp(Arp),
    /// IPv4 (RFC 791).
    Ipv4(Ipv4),
    /// IPv6 (RFC 8200).
    Ipv6(Ipv6),
    /// Something else, or a broken header.
    Other,
}

/// An ARP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 for a request, 2 for a reply.
    pub operation: u16,
    /// The Ethernet address that the sender claims.
    pub sender_mac: MacAddr,
    /// The IPv4 address that the sender claims; 0.0.0.0 in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// The IPv4 address asked for.
    pub target: Ipv4Addr,
}

/// An IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// The type-of-service byte (DSCP and ECN).
    pub tos: u8,
    /// Whether this is a piece of a fragmented packet, the first one included.
    pub fragment: bool,
    /// Where in the packet a piece belongs, in units of eight bytes; 0 for a first piece and a whole packet.
    pub fragment_offset: u16,
    /// Where the payload begins, in bytes from the start of the frame.
    pub transport_offset: u16,
    /// Ports of a TCP or UDP header, which later fragments do not have.
    pub ports: Option<Ports>,
}

/// An IPv6 header with its extension headers read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
    /// Protocol number behind the extension headers, or of the extension header that could not be read
    /// through.
    pub protocol: u8,
    /// Whether this is a piece of a fragmented packet, the first one included.
    pub fragment: bool,
    /// Where in the packet a piece belongs, in units of eight bytes; 0 for a first piece and a whole packet.
    pub fragment_offset: u16,
    /// Where that protocol's header begins, in bytes from the start of the frame.
    pub transport_offset: u16,
    /// Ports of a TCP or UDP header, which later fragments do not have.
    pub ports: Option<Ports>,
}

/// The ports of a TCP segment or UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl FrameView {
    /// Reads the headers of `frame`, or `None` if it is shorter than an Ethernet header.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        Self::parse_tagged(frame, VLAN_TAGS[0])
    }

    /// The same where VLAN tags may have one more protocol identifier.
    pub(crate) fn parse_tagged(frame: &[u8], vlan_type: u16) -> Option<Self> {
        let header: &[u8; MIN_FRAME] = frame.first_chunk()?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
        let mut ethertype = u16::from_be_bytes([t0, t1]);
        let mut vlan = None;
        let mut at = MIN_FRAME;
        for _ in 0..MAX_VLAN_TAGS {
            if !VLAN_TAGS.contains(&ethertype) && ethertype != vlan_type {
                break;
            }
            let Some(&[c0, c1, t0, t1]) = chunk(frame, at) else {
                break;
            };
            vlan = vlan.or(Some(VlanTag(u16::from_be_bytes([c0, c1]))));
            ethertype = u16::from_be_bytes([t0, t1]);
            at += 4;
        }
        let network = match ethertype {
            ETHERTYPE_IPV4 => Ipv4::parse(frame, at).map(Network::Ipv4),
            ETHERTYPE_IPV6 => Ipv6::parse(frame, at).map(Network::Ipv6),
            ETHERTYPE_ARP => Arp::parse(frame, at).map(Network::Arp),
            _ => None,
        };
        Some(Self {
            destination: MacAddr::new([d0, d1, d2, d3, d4, d5]),
            source: MacAddr::new([s0, s1, s2, s3, s4, s5]),
            vlan,
            ethertype,
            network_offset: at as u16,
            network: network.unwrap_or(Network::Other),
            length: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        })
    }

    /// Whether this is ARP that a hub looks at.
    pub(crate) fn is_arp(&self) -> bool {
        matches!(self.network, Network::Arp(_))
    }

    /// Whether the frame claims to carry IP and its header does not hold together.
    pub(crate) fn is_broken_ip(&self) -> bool {
        matches!(self.ethertype, ETHERTYPE_IPV4 | ETHERTYPE_IPV6) && self.network == Network::Other
    }

    /// Where the payload of an IP packet begins, in bytes from the start of the frame.
    pub(crate) fn transport_offset(&self) -> Option<u16> {
        match &self.network {
            Network::Ipv4(ip) => Some(ip.transport_offset),
            Network::Ipv6(ip) => Some(ip.transport_offset),
            Network::Arp(_) | Network::Other => None,
        }
    }

    /// A number that is equal for all frames of a flow and spread evenly over flows, so that a choice made by
    /// it keeps each flow in order: by addresses, protocol and ports for IP, else by Ethernet addresses and
    /// type.
    ///
    /// Fragments carry no ports, so a fragmented packet's pieces are one flow with each other.
    pub fn flow_hash(&self) -> u32 {
        let fold = |words: &[u64]| words.iter().fold(0, |sum: u64, word| mix(sum ^ word));
        let hash = match &self.network {
            Network::Ipv4(ip) => {
                let addresses = u64::from(ip.source.to_bits()) << 32 | u64::from(ip.destination.to_bits());
                fold(&[addresses, flow_word(ip.protocol, ip.ports, ip.fragment)])
            }
            Network::Ipv6(ip) => {
                let (source, destination) = (ip.source.to_bits(), ip.destination.to_bits());
                fold(&[
                    (source >> 64) as u64,
                    source as u64,
                    (destination >> 64) as u64,
                    destination as u64,
                    flow_word(ip.protocol, ip.ports, ip.fragment),
                ])
            }
            Network::Arp(_) | Network::Other => fold(&[
                self.source.to_u64() << 16 | u64::from(self.ethertype),
                self.destination.to_u64(),
            ]),
        };
        (hash >> 32) as u32
    }

    /// Whether the frame goes ahead of others where the session has QoS (protocol §6.2): IPv4 with a type of
    /// service other than normal or bulk, or a short IPv4 ping.
    pub fn is_priority(&self) -> bool {
        let Network::Ipv4(ip) = &self.network else {
            return false;
        };
        !matches!(ip.tos, 0x00 | 0x08) || (ip.protocol == ICMP && (34..=128).contains(&self.length))
    }

    /// Who says something in DHCP for IPv4 with `frame`, which must be the bytes this view was read from. The first piece of
    /// a fragmented message counts as one, for the rest of it cannot be seen.
    pub fn dhcp_side(&self, frame: &[u8]) -> Option<DhcpSide> {
        const SERVER_PORT: u16 = 67;
        const CLIENT_PORT: u16 = 68;
        let Network::Ipv4(ip) = &self.network else {
            return None;
        };
        let ports = ip.ports.filter(|_| ip.protocol == UDP)?;
        let of_dhcp = |port| matches!(port, SERVER_PORT | CLIENT_PORT);
        if !of_dhcp(ports.source) && !of_dhcp(ports.destination) {
            return None;
        }
        if ip.fragment {
            let server = ports.source == SERVER_PORT;
            return Some(if server {
                DhcpSide::Server
            } else {
                DhcpSide::Client
            });
        }
        DhcpSide::of(frame.get(usize::from(ip.transport_offset) + 8..)?)
    }

    /// The address that a DHCP server confirms to a client in `frame`, which must be the bytes this view was
    /// read from.
    pub fn dhcp_ack(&self, frame: &[u8]) -> Option<DhcpAck> {
        const SERVER_PORT: u16 = 67;
        let Network::Ipv4(ip) = &self.network else {
            return None;
        };
        if ip.protocol != UDP || ip.fragment || ip.ports?.source != SERVER_PORT {
            return None;
        }
        DhcpAck::parse(frame.get(usize::from(ip.transport_offset) + 8..)?)
    }
}

impl Arp {
    fn parse(frame: &[u8], at: usize) -> Option<Self> {
        /// Ethernet, IPv4, address lengths 6 and 4.
        const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
        let message: &[u8; 28] = chunk(frame, at)?;
        if !message.starts_with(&ETHERNET_IPV4) {
            return None;
        }
        Some(Self {
            operation: u16_at(message, 6)?,
            sender_mac: MacAddr::read(message, 8)?,
            sender: Ipv4Addr::from(*chunk::<4>(message, 14)?),
            target: Ipv4Addr::from(*chunk::<4>(message, 24)?),
        })
    }
}

impl Ipv4 {
    fn parse(frame: &[u8], at: usize) -> Option<Self> {
        let header: &[u8; 20] = chunk(frame, at)?;
        let header_len = usize::from(header[0] & 0x0f) * 4;
        let total_len = usize::from(u16_at(header, 2)?);
        if header[0] >> 4 != 4 || header_len < 20 || total_len < header_len {
            return None;
        }
        // What follows the packet is padding up to the shortest frame of a real wire.
        let packet = frame.get(at..at + total_len)?;
        let fragment_field = u16_at(header, 6)?;
        let fragment_offset = fragment_field & 0x1fff;
        let more_fragments = fragment_field & 0x2000 != 0;
        let protocol = header[9];
        Some(Self {
            source: Ipv4Addr::from(*chunk::<4>(header, 12)?),
            destination: Ipv4Addr::from(*chunk::<4>(header, 16)?),
            protocol,
            tos: header[1],
            fragment: fragment_offset != 0 || more_fragments,
            fragment_offset,
            transport_offset: (at + header_len) as u16,
            ports: if fragment_offset != 0 {
                None
            } else {
                Ports::parse(protocol, packet, header_len)
            },
        })
    }
}

impl Ipv6 {
    fn parse(frame: &[u8], at: usize) -> Option<Self> {
        let header: &[u8; 40] = chunk(frame, at)?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let packet = frame.get(at..at + 40 + usize::from(u16_at(header, 4)?))?;
        let chain = ExtensionChain::read(header[6], packet);
        Some(Self {
            source: Ipv6Addr::from(*chunk::<16>(header, 8)?),
            destination: Ipv6Addr::from(*chunk::<16>(header, 24)?),
            protocol: chain.protocol,
            fragment: chain.fragment,
            fragment_offset: chain.fragment_offset,
            transport_offset: (at + chain.end) as u16,
            ports: if chain.fragment_offset != 0 {
                None
            } else {
                Ports::parse(chain.protocol, packet, chain.end)
            },
        })
    }
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// Whether a protocol number is one of the headers that IPv6 puts before the payload.
pub(super) fn is_extension_header(protocol: u8) -> bool {
    matches!(
        protocol,
        HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM6
    )
}

/// Where the extension headers of an IPv6 packet lead.
struct ExtensionChain {
    protocol: u8,
    end: usize,
    fragment: bool,
    fragment_offset: u16,
}

impl ExtensionChain {
    /// Walks from the fixed header to the first header that is none of IPv6's own (RFC 8200 §4, RFC 7045).
    fn read(protocol: u8, packet: &[u8]) -> Self {
        let mut chain = Self {
            protocol,
            end: 40,
            fragment: false,
            fragment_offset: 0,
        };
        for _ in 0..MAX_EXTENSION_HEADERS {
            let Some(&[next, len, f0, f1]) = chunk(packet, chain.end) else {
                break;
            };
            let skip = match chain.protocol {
                HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY | HOST_IDENTITY | SHIM6 => {
                    (usize::from(len) + 1) * 8
                }
                // RFC 4302 §2.2: counted in words of four bytes, less two.
                AUTHENTICATION => (usize::from(len) + 2) * 4,
                FRAGMENT => 8,
                _ => break,
            };
            if chain.end + skip > packet.len() {
                break;
            }
            if chain.protocol == FRAGMENT {
                let field = u16::from_be_bytes([f0, f1]);
                chain.fragment_offset = field >> 3;
                chain.fragment = field & !0b110 != 0;
            }
            chain.protocol = next;
            chain.end += skip;
            if chain.fragment_offset != 0 {
                break;
            }
        }
        chain
    }
}

impl Ports {
    /// The ports at `at` in `packet`, if `protocol` has any.
    fn parse(protocol: u8, packet: &[u8], at: usize) -> Option<Self> {
        if !matches!(protocol, TCP | UDP) {
            return None;
        }
        Some(Self {
            source: u16_at(packet, at)?,
            destination: u16_at(packet, at + 2)?,
        })
    }
}

/// Protocol and ports of a flow in one word.
fn flow_word(protocol: u8, ports: Option<Ports>, fragment: bool) -> u64 {
    let ports = ports
        .filter(|_| !fragment)
        .map_or(0, |p| u64::from(p.source) << 16 | u64::from(p.destination));
    u64::from(protocol) << 32 | ports
}

pub(super) fn chunk<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    chunk(bytes, at).map(|word| u16::from_be_bytes(*word))
}
