//! Frames to send and a hub to send them through.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};
use hub_core::frame::{Checksum, SegmentKind, Segmentation};
use hub_core::hub::{Counters, DropReason, IpEntry, MacEntry};
use hub_core::{Frame, Hub, HubConfig, MacAddr, Offload, PortConfig, PortId, PortKind, Verdict};

/// Station `n`'s address.
pub(crate) fn mac(n: u32) -> MacAddr {
    let [a, b, c, d] = n.to_be_bytes();
    MacAddr::new([0x02, 0, a, b, c, d])
}

/// A frame of no protocol the hub knows, which says `body`.
pub(crate) fn frame(source: MacAddr, destination: MacAddr, body: &[u8]) -> Frame {
    let header = [&destination.octets()[..], &source.octets(), &[0x88, 0xb5]].concat();
    Frame::new([&header, body].concat())
}

/// The same with an 802.1Q tag.
pub(crate) fn tagged(source: MacAddr, destination: MacAddr, tag: u16, body: &[u8]) -> Frame {
    let plain = frame(source, destination, body);
    let tag = [&[0x81, 0x00][..], &tag.to_be_bytes()].concat();
    Frame::new([&plain.bytes[..12], &tag, &plain.bytes[12..]].concat())
}

/// A UDP datagram to everybody.
pub(crate) fn udp4(source: MacAddr, from: Ipv4Addr) -> Frame {
    let packet = PacketBuilder::ethernet2(source.octets(), MacAddr::BROADCAST.octets())
        .ipv4(from.octets(), [255; 4], 64)
        .udp(40_000, 7);
    let mut bytes = Vec::new();
    packet.write(&mut bytes, b"ping").unwrap();
    Frame::new(bytes)
}

/// A UDP datagram to everybody.
pub(crate) fn udp6(source: MacAddr, from: Ipv6Addr) -> Frame {
    let everybody: Ipv6Addr = "ff02::1".parse().unwrap();
    let packet = PacketBuilder::ethernet2(source.octets(), [0x33, 0x33, 0, 0, 0, 1])
        .ipv6(from.octets(), everybody.octets(), 64)
        .udp(40_000, 7);
    let mut bytes = Vec::new();
    packet.write(&mut bytes, b"ping").unwrap();
    Frame::new(bytes)
}

/// An ARP request by `source`, in the name of `claimed`.
pub(crate) fn arp(source: MacAddr, claimed: MacAddr, sender: Ipv4Addr, target: Ipv4Addr) -> Frame {
    let request = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        ArpOperation::REQUEST,
        &claimed.octets(),
        &sender.octets(),
        &[0; 6],
        &target.octets(),
    )
    .unwrap();
    let packet = PacketBuilder::ethernet2(source.octets(), MacAddr::BROADCAST.octets()).arp(request);
    let mut bytes = Vec::new();
    packet.write(&mut bytes).unwrap();
    Frame::new(bytes)
}

/// A DHCP message of type `kind` from a server at 10.0.0.1.
pub(crate) fn dhcp_reply(kind: u8, server: MacAddr, client: MacAddr, address: Ipv4Addr) -> Frame {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[16..20].copy_from_slice(&address.octets());
    message[28..34].copy_from_slice(&client.octets());
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend_from_slice(&[53, 1, kind, 0, 54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0x1c, 0x20, 255]);
    let packet = PacketBuilder::ethernet2(server.octets(), client.octets())
        .ipv4([10, 0, 0, 1], address.octets(), 64)
        .udp(67, 68);
    let mut bytes = Vec::new();
    packet.write(&mut bytes, &message).unwrap();
    Frame::new(bytes)
}

/// What a station with offload leaves to be cut: TCP with `payload` bytes, in pieces of `size`. IPv4 and TCP
/// headers without options, 54 bytes with Ethernet's.
pub(crate) fn train4(source: MacAddr, destination: MacAddr, payload: usize, size: u16) -> Frame {
    let packet = PacketBuilder::ethernet2(source.octets(), destination.octets())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 80, 1, 1000)
        .ack(1);
    let mut bytes = Vec::new();
    packet.write(&mut bytes, &vec![7; payload]).unwrap();
    Frame {
        bytes: bytes.into(),
        offload: Offload {
            segmentation: Some(Segmentation {
                kind: SegmentKind::TcpV4,
                size,
                header_len: 54,
                ecn: false,
            }),
            checksum: Checksum::Partial {
                start: 34,
                offset: 16,
            },
        },
    }
}

/// A hub and its clock.
pub(crate) struct Lan {
    pub(crate) hub: Hub,
    pub(crate) now: Instant,
}

impl Lan {
    pub(crate) fn new() -> Self {
        Self::with_config(|_| {})
    }

    pub(crate) fn with_config(configure: impl FnOnce(&mut HubConfig)) -> Self {
        let mut config = HubConfig::new(7);
        configure(&mut config);
        Self {
            hub: Hub::new(config),
            now: Instant::now(),
        }
    }

    /// Ports without restrictions.
    pub(crate) fn ports<const N: usize>(&mut self) -> [PortId; N] {
        std::array::from_fn(|_| self.port(|_| {}))
    }

    pub(crate) fn port(&mut self, configure: impl FnOnce(&mut PortConfig)) -> PortId {
        let mut config = PortConfig::new(PortKind::Session, "SID-TEST-1");
        configure(&mut config);
        self.hub.attach(self.now, config)
    }

    pub(crate) fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    pub(crate) fn forward(&mut self, from: PortId, frame: &Frame) -> (Verdict, Vec<(PortId, Frame)>) {
        let mut deliveries = Vec::new();
        let mut deliver = |to, frame: &Frame| deliveries.push((to, frame.clone()));
        let verdict = self.hub.forward(self.now, from, frame, &mut deliver);
        (verdict, deliveries)
    }

    /// The ports that a frame reaches.
    pub(crate) fn send(&mut self, from: PortId, frame: &Frame) -> Vec<PortId> {
        self.forward(from, frame)
            .1
            .into_iter()
            .map(|(to, _)| to)
            .collect()
    }

    /// The ports that a frame between two stations reaches.
    pub(crate) fn say(&mut self, from: PortId, source: MacAddr, destination: MacAddr) -> Vec<PortId> {
        self.send(from, &frame(source, destination, b"hello"))
    }

    /// Makes a station known, by a frame to everybody.
    pub(crate) fn announce(&mut self, port: PortId, station: MacAddr) -> Verdict {
        self.forward(port, &frame(station, MacAddr::BROADCAST, b"")).0
    }

    pub(crate) fn counters(&self, port: PortId) -> Counters {
        *self.hub.port_counters(port).unwrap()
    }

    pub(crate) fn dropped(&self, port: PortId, reason: DropReason) -> u64 {
        self.counters(port).dropped.of(reason)
    }

    pub(crate) fn mac_table(&self) -> Vec<MacEntry> {
        self.hub.mac_table(self.now)
    }

    pub(crate) fn ip_table(&self) -> Vec<IpEntry> {
        self.hub.ip_table(self.now)
    }
}
