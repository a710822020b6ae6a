//! What may not pass, by kind of packet: the policies and hub options that need no memory (policies §1, §2).

mod mss;
mod ndp;

use crate::DropReason;
use crate::frame::{DhcpSide, FrameView, Network, Ports, Transport};

pub(crate) use mss::with_segment_size;
pub(crate) use ndp::without_default_router;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const PPPOE_DISCOVERY: u16 = 0x8863;
const PPPOE_SESSION: u16 = 0x8864;
const OSPF: u8 = 89;
/// The address that bridges send spanning tree frames to (802.1D §7.12.3).
const SPANNING_TREE: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00];

const DHCPV6_CLIENT: u16 = 546;
const DHCPV6_SERVER: u16 = 547;

/// Which families of protocols are kept out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// IPv4 and ARP (policy and hub option `FilterIPv4`).
    pub ipv4: bool,
    /// IPv6 (`FilterIPv6`).
    pub ipv6: bool,
    /// Everything else (`FilterNonIP`).
    pub other: bool,
}

/// What nobody on a hub may send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubFilters {
    /// Families of protocols.
    pub families: Families,
    /// PPP over Ethernet (`FilterPPPoE`).
    pub pppoe: bool,
    /// OSPF (`FilterOSPF`).
    pub ospf: bool,
    /// Spanning tree frames (`FilterBPDU`).
    pub bpdu: bool,
}

/// What the stations behind one port may not send, and in part not receive either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// Families of protocols, both ways.
    pub families: Families,
    /// DHCP for IPv4, of clients and servers, both ways (`DHCPFilter`).
    pub dhcp: bool,
    /// What DHCP servers for IPv4 say (`DHCPNoServer`).
    pub dhcp_server: bool,
    /// DHCP for IPv6, both ways (`DHCPv6Filter`).
    pub dhcpv6: bool,
    /// What DHCP servers for IPv6 say (`DHCPv6NoServer`).
    pub dhcpv6_server: bool,
    /// Router solicitations and advertisements of IPv6, both ways (`RSandRAFilter`).
    pub router_messages: bool,
    /// Router advertisements of IPv6 (`RAFilter`).
    pub router_advertisements: bool,
    /// The grant of a TCP connection over IPv4 (`NoServer`).
    pub tcp_server: bool,
    /// The grant of a TCP connection over IPv6 (`NoServerV6`).
    pub tcp_server_v6: bool,
    /// Frames to groups other than ARP, DHCP and ICMPv6, both ways (`ArpDhcpOnly`).
    pub broadcasts: bool,
}

impl Families {
    /// Whether frames of this type are kept out.
    fn keep_out(self, ethertype: u16) -> bool {
        match ethertype {
            IPV4 | ARP => self.ipv4,
            IPV6 => self.ipv6,
            _ => self.other,
        }
    }
}

impl HubFilters {
    /// Refuses what the hub's options keep out.
    pub(crate) fn check(self, view: &FrameView) -> Result<(), DropReason> {
        let ospf = || matches!(&view.network, Network::Ipv4(ip) if ip.protocol == OSPF);
        let kept_out = self.families.keep_out(view.ethertype)
            || self.pppoe && matches!(view.ethertype, PPPOE_DISCOVERY | PPPOE_SESSION)
            || self.bpdu && view.destination.octets() == SPANNING_TREE
            || self.ospf && ospf();
        refuse(kept_out, DropReason::Family)
    }
}

impl Guards {
    /// Refuses what the stations behind the port may not send.
    pub(crate) fn check_sent(
        &self,
        view: &FrameView,
        transport: Transport,
        frame: &[u8],
    ) -> Result<(), DropReason> {
        self.check_both(view, transport, frame)?;
        match transport {
            Transport::Udp { .. } if self.dhcp_server && view.dhcp_side(frame) == Some(DhcpSide::Server) => {
                Err(DropReason::Dhcp)
            }
            Transport::Udp { ports } if self.dhcpv6_server && is_ipv6(view) => {
                let from_server = ports.source == DHCPV6_SERVER || ports.destination == DHCPV6_CLIENT;
                refuse(from_server, DropReason::Dhcp)
            }
            Transport::Tcp { flags, .. } if flags.is_grant() => {
                let refused = if is_ipv6(view) {
                    self.tcp_server_v6
                } else {
                    self.tcp_server
                };
                refuse(refused, DropReason::TcpServer)
            }
            Transport::Icmpv6 { kind } => refuse(
                self.router_advertisements && kind == ndp::ROUTER_ADVERTISEMENT,
                DropReason::RouterMessage,
            ),
            _ => Ok(()),
        }
    }

    /// Refuses what they may neither send nor receive.
    pub(crate) fn check_both(
        &self,
        view: &FrameView,
        transport: Transport,
        frame: &[u8],
    ) -> Result<(), DropReason> {
        refuse(self.families.keep_out(view.ethertype), DropReason::Family)?;
        match transport {
            Transport::Udp { .. } if self.dhcp && view.dhcp_side(frame).is_some() => {
                return Err(DropReason::Dhcp);
            }
            Transport::Udp { ports } if self.dhcpv6 && is_ipv6(view) => {
                refuse(is_dhcpv6(ports), DropReason::Dhcp)?;
            }
            Transport::Icmpv6 { kind } => {
                let of_routers = matches!(kind, ndp::ROUTER_SOLICITATION | ndp::ROUTER_ADVERTISEMENT);
                refuse(self.router_messages && of_routers, DropReason::RouterMessage)?;
            }
            _ => {}
        }
        refuse(
            self.broadcasts && view.destination.is_multicast() && !is_needed(view, transport, frame),
            DropReason::Broadcast,
        )
    }
}

/// Whether a frame to a group is one that stations cannot do without.
fn is_needed(view: &FrameView, transport: Transport, frame: &[u8]) -> bool {
    match (&view.network, transport) {
        (Network::Arp(_), _) | (_, Transport::Icmpv6 { .. }) => true,
        (Network::Ipv6(_), Transport::Udp { ports }) => is_dhcpv6(ports),
        _ => view.dhcp_side(frame).is_some(),
    }
}

/// Whether a datagram goes to where DHCP for IPv6 listens.
fn is_dhcpv6(ports: Ports) -> bool {
    matches!(ports.destination, DHCPV6_CLIENT | DHCPV6_SERVER)
}

fn is_ipv6(view: &FrameView) -> bool {
    matches!(view.network, Network::Ipv6(_))
}

fn refuse(refused: bool, reason: DropReason) -> Result<(), DropReason> {
    if refused { Err(reason) } else { Ok(()) }
}
