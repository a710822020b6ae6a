//! The host itself, sans-IO: it answers ARP and ping for its address and finds the next hop of what it sends.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Instant;

use hub_core::MacAddr;
use hub_core::frame::{Arp, Checksum, Frame, FrameView, Network};

use crate::fragment::{self, Reassembly};
use crate::host::neighbours::{Neighbours, Resolution};
use crate::net::Ipv4Net;
use crate::packet::{ICMP, Outgoing, Packet};

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// What a station is called and how it reaches others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Its own.
    pub ip: Ipv4Addr,
    /// The network that it is in.
    pub network: Ipv4Net,
    /// Networks behind routers; a router of `None` is on the link.
    pub routes: Vec<(Ipv4Net, Option<Ipv4Addr>)>,
    /// The longest packet that the segment carries, bytes.
    pub mtu: usize,
}

impl Address {
    /// Whom to ask to carry a packet to `to`: the longest match, as everywhere (RFC 1812 §5.2.4.3). `None` if nobody does.
    fn next_hop(&self, to: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.network.contains(to) {
            return Some(to);
        }
        let (_, router) = self
            .routes
            .iter()
            .filter(|(network, _)| network.contains(to))
            .max_by_key(|(network, _)| network.prefix())?;
        Some(router.unwrap_or(to))
    }
}

/// The host.
#[derive(Debug)]
pub(super) struct Host {
    mac: MacAddr,
    address: Option<Address>,
    neighbours: Neighbours,
    reassembly: Reassembly,
    out: VecDeque<Frame>,
    ident: u16,
}

impl Host {
    pub(super) fn new(mac: MacAddr) -> Self {
        Self {
            mac,
            address: None,
            neighbours: Neighbours::default(),
            reassembly: Reassembly::default(),
            out: VecDeque::new(),
            ident: 1,
        }
    }

    pub(super) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Takes another address, or none; the hub is told of a new one (RFC 5227 §2.3).
    pub(super) fn set_address(&mut self, address: Option<Address>) {
        let ip = address.as_ref().map(|address| address.ip);
        self.neighbours = Neighbours::default();
        self.address = address;
        if let Some(ip) = ip {
            self.send_arp(ip, ARP_REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, ip);
        }
    }

    /// Takes a frame of the hub; what comes back is a packet for this host with what its frame says of its checksum.
    pub(super) fn handle_frame(&mut self, now: Instant, frame: &Frame) -> Option<(Packet, Checksum)> {
        let own = self.address.as_ref()?.ip;
        let view = FrameView::parse(&frame.bytes)?;
        let to_us = view.destination == self.mac;
        let tagged = view.vlan.is_some_and(|tag| tag.id() != 0);
        if tagged || view.source == self.mac || !(to_us || view.destination.is_broadcast()) {
            return None;
        }
        match view.network {
            Network::Arp(arp) => {
                self.handle_arp(now, own, &arp);
                None
            }
            Network::Ipv4(ip) if to_us && ip.destination == own => {
                let packet = Packet::from_frame(frame, &view)?;
                let packet = self.reassembly.take(now, packet)?;
                if packet.protocol != ICMP {
                    return Some((packet, frame.offload.checksum));
                }
                if let Some(echo) = packet.echo_request() {
                    self.send_packet(now, Outgoing::echo_reply(own, packet.source, &echo));
                    return None;
                }
                Some((packet, frame.offload.checksum))
            }
            _ => None,
        }
    }

    fn handle_arp(&mut self, now: Instant, own: Ipv4Addr, arp: &Arp) {
        let on_link = self
            .address
            .as_ref()
            .is_some_and(|address| address.network.is_host(arp.sender) || address.routes_by(arp.sender));
        if on_link && arp.sender != own && arp.sender_mac.is_unicast() {
            for packet in self.neighbours.heard(now, arp.sender, arp.sender_mac) {
                self.out
                    .push_back(packet.into_frame(arp.sender_mac.octets(), self.mac.octets()));
            }
        }
        if arp.operation == ARP_REQUEST && arp.target == own && arp.sender != own {
            self.send_arp(own, ARP_REPLY, arp.sender_mac, arp.sender_mac, arp.sender);
        }
    }

    fn send_arp(
        &mut self,
        own: Ipv4Addr,
        operation: u16,
        to: MacAddr,
        target_mac: MacAddr,
        target: Ipv4Addr,
    ) {
        let frame = crate::host::arp(self.mac, own, operation, to, target_mac, target);
        self.out.push_back(frame);
    }

    /// Sends a packet by its next hop, asking for the hardware address first if it is not known; whether there is a way.
    pub(super) fn send_packet(&mut self, now: Instant, packet: Outgoing) -> bool {
        let Some(address) = &self.address else {
            return false;
        };
        let (own, mtu) = (address.ip, address.mtu);
        let Some(hop) = address.next_hop(packet.destination()) else {
            return false;
        };
        if packet.ip().len() > mtu && !packet.is_train() {
            self.ident = self.ident.wrapping_add(1);
        }
        for piece in fragment::cut(packet, mtu, self.ident) {
            match self.neighbours.resolve(now, hop, piece) {
                Resolution::Known(mac, piece) => {
                    self.out
                        .push_back(piece.into_frame(mac.octets(), self.mac.octets()));
                }
                Resolution::Ask => self.send_arp(own, ARP_REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, hop),
                Resolution::Wait => {}
            }
        }
        true
    }

    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        self.out.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.neighbours.poll_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Some(own) = self.address.as_ref().map(|address| address.ip) else {
            return;
        };
        for ip in self.neighbours.handle_timeout(now) {
            self.send_arp(own, ARP_REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, ip);
        }
    }
}

impl Address {
    fn routes_by(&self, router: Ipv4Addr) -> bool {
        self.routes.iter().any(|(_, by)| *by == Some(router))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 10);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
    const MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 10]);
    const ROUTER_MAC: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);

    fn host() -> Host {
        let mut host = Host::new(MAC);
        host.set_address(Some(Address {
            ip: OWN,
            network: Ipv4Net::new(OWN, 24),
            routes: vec![
                (Ipv4Net::ANY, Some(ROUTER)),
                (
                    "10.9.0.0/16".parse().unwrap(),
                    Some(Ipv4Addr::new(192, 168, 30, 2)),
                ),
                ("10.9.9.0/24".parse().unwrap(), None),
            ],
            mtu: 1500,
        }));
        assert!(host.poll_frame().is_some(), "it announces itself");
        host
    }

    fn arp_target(frame: &Frame) -> Ipv4Addr {
        match FrameView::parse(&frame.bytes).unwrap().network {
            Network::Arp(arp) => arp.target,
            _ => panic!("no ARP"),
        }
    }

    fn datagram(to: [u8; 4]) -> Outgoing {
        let to = std::net::SocketAddrV4::new(to.into(), 53);
        Outgoing::udp(std::net::SocketAddrV4::new(OWN, 4000), to, b"x")
    }

    #[test]
    fn the_longest_route_says_who_is_asked() {
        for (to, asked) in [
            ([192, 168, 30, 77], [192, 168, 30, 77]),
            ([1, 1, 1, 1], [192, 168, 30, 1]),
            ([10, 9, 1, 1], [192, 168, 30, 2]),
            ([10, 9, 9, 9], [10, 9, 9, 9]),
        ] {
            let mut host = host();
            assert!(host.send_packet(Instant::now(), datagram(to)));
            assert_eq!(arp_target(&host.poll_frame().unwrap()), Ipv4Addr::from(asked));
        }
    }

    #[test]
    fn a_packet_for_elsewhere_leaves_by_its_router_once_that_has_answered() {
        let (mut host, now) = (host(), Instant::now());
        host.send_packet(now, datagram([1, 1, 1, 1]));
        host.poll_frame().unwrap();
        let answer = crate::host::arp(ROUTER_MAC, ROUTER, ARP_REPLY, MAC, MAC, OWN);
        assert_eq!(host.handle_frame(now, &answer), None);
        let frame = host.poll_frame().unwrap();
        assert_eq!(FrameView::parse(&frame.bytes).unwrap().destination, ROUTER_MAC);
    }

    #[test]
    fn nothing_is_sent_or_answered_without_an_address() {
        let mut host = host();
        host.set_address(None);
        assert!(!host.send_packet(Instant::now(), datagram([1, 1, 1, 1])));
        let question = crate::host::arp(
            ROUTER_MAC,
            ROUTER,
            ARP_REQUEST,
            MacAddr::BROADCAST,
            MacAddr::ZERO,
            OWN,
        );
        host.handle_frame(Instant::now(), &question);
        assert_eq!(host.poll_frame(), None);
    }

    #[test]
    fn who_asks_for_the_address_is_answered_and_nobody_else_is() {
        let mut host = host();
        let ask = |target| {
            crate::host::arp(
                ROUTER_MAC,
                ROUTER,
                ARP_REQUEST,
                MacAddr::BROADCAST,
                MacAddr::ZERO,
                target,
            )
        };
        host.handle_frame(Instant::now(), &ask(Ipv4Addr::new(192, 168, 30, 11)));
        assert_eq!(host.poll_frame(), None);
        host.handle_frame(Instant::now(), &ask(OWN));
        let answer = host.poll_frame().unwrap();
        assert_eq!(FrameView::parse(&answer.bytes).unwrap().destination, ROUTER_MAC);
    }
}
