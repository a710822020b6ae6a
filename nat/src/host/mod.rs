//! The virtual host of a hub, sans-IO: it answers ARP and ping, hands DHCP to the server, and passes on the IPv4
//! packets that stations send through it.

pub(crate) mod neighbours;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

use hub_core::MacAddr;
use hub_core::frame::{Arp, Checksum, Frame, FrameView, Network};

use crate::config::SecureNatConfig;
use crate::dhcp::message::Message;
use crate::dhcp::{
    self, Arrival, CLIENT_PORT, Changes, KeptLease, Lease, Link, Moment, PoolUse, SERVER_PORT, Station,
    Stations,
};
use crate::event::Event;
use crate::fragment::{self, Reassembly};
use crate::ipv6::{Duties, Router};
use crate::net::Ipv4Net;
use crate::packet::{ICMP, Outgoing, Packet, UDP};
use neighbours::{Neighbours, Resolution};

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

/// A packet for the NAT, with what its frame said about its transport checksum.
pub type Passed = (Packet, Checksum);

/// The virtual host. Frames of the hub go in by [`handle_frame`](Self::handle_frame) and out by
/// [`poll_frame`](Self::poll_frame).
#[derive(Debug)]
pub struct VirtualHost {
    config: SecureNatConfig,
    network: Ipv4Net,
    /// Serves while the settings say so; what it knows stays meanwhile.
    dhcp: dhcp::Server,
    neighbours: Neighbours,
    stations: Stations,
    reassembly: Reassembly,
    router: Router,
    out: VecDeque<Frame>,
    ident: u16,
    foreign: u64,
}

/// What the host knows of the hub, for the DHCP server.
struct View<'a> {
    now: Instant,
    neighbours: &'a Neighbours,
    stations: &'a Stations,
}

impl Link for View<'_> {
    fn owner(&self, ip: Ipv4Addr, since: Option<Instant>) -> Option<MacAddr> {
        match since {
            Some(since) => self.neighbours.owner_since(since, ip),
            None => self.neighbours.owner(self.now, ip),
        }
    }

    fn station(&self, mac: MacAddr) -> Option<Station> {
        self.stations.find(mac)
    }
}

impl VirtualHost {
    /// A host with these settings, which have been validated, on a hub whose stations are found by `stations`.
    pub fn new(config: &SecureNatConfig, stations: Stations) -> Self {
        VirtualHost {
            config: config.clone(),
            network: config.network(),
            dhcp: dhcp::Server::new(config),
            neighbours: Neighbours::default(),
            stations,
            reassembly: Reassembly::default(),
            router: Router::default(),
            out: VecDeque::new(),
            ident: 1,
            foreign: 0,
        }
    }

    /// Takes other settings; leases that still fit stay.
    pub fn set_config(&mut self, config: &SecureNatConfig) {
        self.dhcp.set_config(config);
        let moved = (self.config.ip, self.config.mac_address) != (config.ip, config.mac_address);
        self.network = config.network();
        self.config = config.clone();
        if moved {
            self.announce();
        }
    }

    /// Tells the hub who the host is, once: a gratuitous ARP (RFC 5227 §2.3).
    pub fn announce(&mut self) {
        let own = self.config.ip;
        self.send_arp(ARP_REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, own, own);
    }

    /// Its other half: IPv6. It takes its settings by [`Router::apply`].
    pub fn router(&mut self) -> &mut Router {
        &mut self.router
    }

    /// Takes a frame of the hub. What comes back is a packet for the NAT: one for elsewhere, or a TCP or UDP
    /// packet for the host itself.
    pub fn handle_frame(&mut self, now: Instant, frame: &Frame) -> Option<Passed> {
        let view = FrameView::parse(&frame.bytes)?;
        if matches!(view.network, Network::Ipv6(_)) && !self.is_foreign(&view) {
            self.router.handle_frame(now, frame, &view, Duties::All);
            return None;
        }
        let to_us = view.destination == self.config.mac_address;
        if !(to_us || view.destination.is_broadcast()) || self.is_foreign(&view) {
            return None;
        }
        match view.network {
            Network::Arp(arp) => {
                self.handle_arp(now, &arp);
                None
            }
            Network::Ipv4(_) if self.is_dhcp_request(&view) => {
                self.handle_dhcp(now, frame, &view);
                None
            }
            Network::Ipv4(_) if to_us => {
                let packet = self.accept(now, frame, &view)?;
                self.handle_packet(now, packet)
                    .map(|packet| (packet, frame.offload.checksum))
            }
            _ => None,
        }
    }

    /// Takes a frame if it is for the DHCP server or asks for a router, and only then: what is left is for another host with this
    /// address (the kernel's, in kernel mode). Whether it was taken.
    pub fn handle_dhcp_frame(&mut self, now: Instant, frame: &Frame) -> bool {
        let Some(view) = FrameView::parse(&frame.bytes) else {
            return false;
        };
        if self.is_foreign(&view) {
            return false;
        }
        match view.network {
            Network::Arp(arp) => self.learn(now, arp.sender, arp.sender_mac),
            Network::Ipv6(_) => return self.router.handle_frame(now, frame, &view, Duties::Announcing),
            Network::Ipv4(_) | Network::Other => {}
        }
        let taken = self.is_dhcp_request(&view);
        if taken {
            self.handle_dhcp(now, frame, &view);
        }
        taken
    }

    /// Tagged frames belong to other networks on the same hub; our own address as the source is somebody's lie.
    fn is_foreign(&self, view: &FrameView) -> bool {
        let tagged = view.vlan.is_some_and(|tag| tag.id() != 0);
        tagged || !view.source.is_unicast() || view.source == self.config.mac_address
    }

    fn handle_arp(&mut self, now: Instant, arp: &Arp) {
        self.learn(now, arp.sender, arp.sender_mac);
        if arp.operation == ARP_REQUEST && arp.target == self.config.ip && arp.sender != self.config.ip {
            self.send_arp(
                ARP_REPLY,
                arp.sender_mac,
                arp.sender_mac,
                self.config.ip,
                arp.sender,
            );
        }
    }

    fn learn(&mut self, now: Instant, ip: Ipv4Addr, mac: MacAddr) {
        if self.network.is_host(ip) && ip != self.config.ip && mac.is_unicast() {
            for packet in self.neighbours.heard(now, ip, mac) {
                self.out
                    .push_back(packet.into_frame(mac.octets(), self.config.mac_address.octets()));
            }
        }
    }

    fn ask_for(&mut self, ip: Ipv4Addr) {
        self.send_arp(ARP_REQUEST, MacAddr::BROADCAST, MacAddr::ZERO, self.config.ip, ip);
    }

    fn send_arp(
        &mut self,
        operation: u16,
        to: MacAddr,
        target_mac: MacAddr,
        sender: Ipv4Addr,
        target: Ipv4Addr,
    ) {
        self.out.push_back(arp(
            self.config.mac_address,
            sender,
            operation,
            to,
            target_mac,
            target,
        ));
    }

    fn is_dhcp_request(&self, view: &FrameView) -> bool {
        let Network::Ipv4(ip) = &view.network else {
            return false;
        };
        let to_server = ip.ports.is_some_and(|ports| ports.destination == SERVER_PORT);
        let for_us = ip.destination.is_broadcast() || ip.destination == self.config.ip;
        self.config.use_dhcp && ip.protocol == UDP && to_server && for_us && !ip.fragment
    }

    fn handle_dhcp(&mut self, now: Instant, frame: &Frame, view: &FrameView) -> Option<()> {
        let packet = Packet::from_frame(frame, view)?;
        let request = Message::decode(packet.udp(frame.offload.checksum)?)?;
        let arrival = Arrival {
            to: packet.destination,
            source: view.source,
        };
        let link = View {
            now,
            neighbours: &self.neighbours,
            stations: &self.stations,
        };
        self.dhcp.handle_message(now, &request, arrival, &link);
        self.send_dhcp();
        Some(())
    }

    /// Sends what the DHCP server has to say and to ask.
    fn send_dhcp(&mut self) {
        while let Some(ip) = self.dhcp.poll_question() {
            // Without a sender, as of a host that has no address yet: nobody's table changes by it (RFC 5227 §1.1).
            self.send_arp(
                ARP_REQUEST,
                MacAddr::BROADCAST,
                MacAddr::ZERO,
                Ipv4Addr::UNSPECIFIED,
                ip,
            );
        }
        let from = SocketAddrV4::new(self.config.ip, SERVER_PORT);
        while let Some(reply) = self.dhcp.poll_reply() {
            let to = SocketAddrV4::new(reply.to_ip, CLIENT_PORT);
            let answer = Outgoing::udp(from, to, &reply.encode());
            self.ident = self.ident.wrapping_add(1);
            for piece in fragment::cut(answer, self.config.mtu as usize, self.ident) {
                self.out
                    .push_back(piece.into_frame(reply.to_mac.octets(), self.config.mac_address.octets()));
            }
        }
    }

    /// The whole packet, if its sender may use us: nobody outside the hub's network is served, because answers
    /// would not find them and their address is a lie.
    fn accept(&mut self, now: Instant, frame: &Frame, view: &FrameView) -> Option<Packet> {
        let packet = Packet::from_frame(frame, view)?;
        if !self.network.is_host(packet.source) || packet.source == self.config.ip {
            self.foreign += 1;
            return None;
        }
        self.learn(now, packet.source, view.source);
        self.reassembly.take(now, packet)
    }

    fn handle_packet(&mut self, now: Instant, packet: Packet) -> Option<Packet> {
        if packet.destination == self.config.ip {
            if packet.protocol != ICMP {
                return self.config.use_nat.then_some(packet);
            }
            let echo = packet.echo_request()?;
            self.send_packet(now, Outgoing::echo_reply(self.config.ip, packet.source, &echo));
            return None;
        }
        // Stations of the hub reach each other without us, and an address of everybody is no place to go to.
        let elsewhere = !self.network.contains(packet.destination)
            && !packet.destination.is_broadcast()
            && !packet.destination.is_multicast();
        if !elsewhere || !self.config.use_nat {
            return None;
        }
        if packet.hop_limit <= 1 {
            self.send_packet(now, Outgoing::time_exceeded(self.config.ip, &packet));
            return None;
        }
        Some(packet)
    }

    /// Sends a packet of the NAT to its station, asking for the hardware address first if it is not known.
    pub(crate) fn send_packet(&mut self, now: Instant, packet: Outgoing) {
        let ip = packet.destination();
        if !self.network.is_host(ip) {
            return;
        }
        let mtu = self.config.mtu as usize;
        if packet.ip().len() > mtu && !packet.is_train() {
            self.ident = self.ident.wrapping_add(1);
        }
        for piece in fragment::cut(packet, mtu, self.ident) {
            match self.neighbours.resolve(now, ip, piece) {
                Resolution::Known(mac, piece) => {
                    self.out
                        .push_back(piece.into_frame(mac.octets(), self.config.mac_address.octets()));
                }
                Resolution::Ask => self.ask_for(ip),
                Resolution::Wait => {}
            }
        }
    }

    /// The next frame for the hub.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.out.pop_front().or_else(|| self.router.poll_frame())
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.dhcp.poll_event()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.dhcp.poll_timeout(),
            self.neighbours.poll_timeout(),
            self.router.poll_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let link = View {
            now,
            neighbours: &self.neighbours,
            stations: &self.stations,
        };
        self.dhcp.handle_timeout(now, &link);
        self.send_dhcp();
        self.router.handle_timeout(now);
        for ip in self.neighbours.handle_timeout(now) {
            self.ask_for(ip);
        }
    }

    /// The leases in force, by address, while the DHCP server is on.
    pub fn leases(&self) -> Vec<Lease> {
        match self.config.use_dhcp {
            true => self.dhcp.leases(),
            false => Vec::new(),
        }
    }

    /// How the pool of addresses is used, while the DHCP server is on, and how many requests have found it used up.
    pub fn pool(&self) -> Option<(PoolUse, u64)> {
        let pool = || (self.dhcp.pool_use(), self.dhcp.turned_away());
        self.config.use_dhcp.then(pool)
    }

    /// Takes over leases that were kept over a restart, and has new ones wait until they are kept.
    pub fn restore_leases(&mut self, kept: Vec<KeptLease>, moment: Moment) {
        self.dhcp.restore(kept, moment);
        self.dhcp.expect_keeping();
    }

    /// Whether leases are to be kept, and whether a client waits for it.
    pub(crate) fn has_lease_changes(&self) -> Option<bool> {
        self.dhcp.has_changes()
    }

    /// What has become of leases since the last call; see [`dhcp::Server::take_changes`].
    pub(crate) fn take_lease_changes(&mut self, moment: Moment) -> Changes {
        self.dhcp.take_changes(moment)
    }

    /// Whether these changes have been kept.
    pub(crate) fn settle_lease_changes(&mut self, now: Instant, changes: &Changes, kept: bool) {
        if kept {
            self.dhcp.have_kept(now, changes);
        } else {
            self.dhcp.have_not_kept(now, changes);
        }
        self.send_dhcp();
    }

    /// The settings in force.
    pub fn config(&self) -> &SecureNatConfig {
        &self.config
    }

    /// Packets refused because their source is no station of the hub's network.
    pub fn foreign_sources(&self) -> u64 {
        self.foreign
    }
}

/// An ARP message about IPv4 over Ethernet (RFC 826) from `mac`, who has `ip`.
pub(crate) fn arp(
    mac: MacAddr,
    ip: Ipv4Addr,
    operation: u16,
    to: MacAddr,
    target_mac: MacAddr,
    target: Ipv4Addr,
) -> Frame {
    let mut bytes = Vec::with_capacity(42);
    bytes.extend_from_slice(&to.octets());
    bytes.extend_from_slice(&mac.octets());
    bytes.extend_from_slice(&[0x08, 0x06, 0, 1, 0x08, 0, 6, 4]);
    bytes.extend_from_slice(&operation.to_be_bytes());
    bytes.extend_from_slice(&mac.octets());
    bytes.extend_from_slice(&ip.octets());
    bytes.extend_from_slice(&target_mac.octets());
    bytes.extend_from_slice(&target.octets());
    Frame::new(bytes)
}

#[cfg(test)]
mod tests;
