//! IPv6 packets that the virtual host reads and writes itself: ICMPv6 and UDP on one link.

use std::net::{Ipv6Addr, SocketAddrV6};

use hub_core::MacAddr;
use hub_core::frame::{self, Checksum, Frame, FrameView, Network};

const ETHERTYPE: [u8; 2] = [0x86, 0xdd];
/// Bytes of an Ethernet header, of an IPv6 header, and of a fragment's (RFC 8200 §4.5).
const ETHERNET: usize = 14;
const HEADER: usize = 40;
const FRAGMENT_HEADER: usize = 8;
const FRAGMENT: u8 = 44;
const UDP_HEADER: usize = 8;

pub(super) const UDP: u8 = 17;
pub(super) const ICMP: u8 = 58;
const UDP_CHECKSUM_AT: usize = 6;
const ICMP_CHECKSUM_AT: usize = 2;

/// Hops of what must not have passed a router (RFC 4861 §6.1.1), and of what may.
pub(super) const ON_LINK: u8 = 255;
pub(super) const HOPS: u8 = 64;

/// All nodes and all routers of a link (RFC 4291 §2.7.1), and its DHCP servers (RFC 8415 §7.1).
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
pub(super) const ALL_DHCP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// A whole packet of a station, whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    /// Which station sent the frame.
    pub(super) mac: MacAddr,
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
    /// The protocol behind extension headers.
    pub(super) protocol: u8,
    /// What is behind them, without padding.
    pub(super) payload: &'a [u8],
    /// The packet from its header on.
    pub(super) whole: &'a [u8],
}

impl<'a> Packet<'a> {
    /// The packet in a frame that holds one; none for pieces of packets (RFC 6980 §5), wrong lengths and wrong checksums.
    pub(super) fn read(frame: &'a Frame, view: &FrameView) -> Option<Self> {
        let Network::Ipv6(ip) = &view.network else {
            return None;
        };
        let at = usize::from(view.network_offset);
        let header = frame.bytes.get(at..)?.first_chunk::<HEADER>()?;
        let end = at + HEADER + usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = Packet {
            mac: view.source,
            source: ip.source,
            destination: ip.destination,
            hop_limit: header[7],
            protocol: ip.protocol,
            payload: frame.bytes.get(usize::from(ip.transport_offset)..end)?,
            whole: &frame.bytes[at..end],
        };
        let sound = !ip.fragment && (frame.offload.checksum != Checksum::Complete || packet.sum_is_right());
        sound.then_some(packet)
    }

    fn sum_is_right(&self) -> bool {
        match self.protocol {
            ICMP | UDP => checksum(self.source, self.destination, self.protocol, self.payload) == 0,
            _ => true,
        }
    }

    /// Ports and content of a UDP datagram.
    pub(super) fn udp(&self) -> Option<(u16, u16, &'a [u8])> {
        let &[s0, s1, d0, d1, l0, l1, ..] = self.payload.first_chunk::<UDP_HEADER>()?;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let data = self.payload.get(UDP_HEADER..length)?;
        let port = |high, low| u16::from_be_bytes([high, low]);
        (self.protocol == UDP).then_some((port(s0, s1), port(d0, d1), data))
    }
}

/// A packet that the virtual host writes.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) source: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    pub(super) hop_limit: u8,
    protocol: u8,
    payload: Vec<u8>,
}

impl Written {
    /// An ICMPv6 message, whose checksum is still zero.
    pub(super) fn icmp(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: Vec<u8>) -> Self {
        Self::sealed(source, destination, hop_limit, ICMP, message, ICMP_CHECKSUM_AT)
    }

    /// A UDP datagram.
    pub(super) fn udp(from: SocketAddrV6, to: SocketAddrV6, data: &[u8]) -> Self {
        let length = u16::try_from(UDP_HEADER + data.len()).unwrap_or(u16::MAX);
        let mut datagram = Vec::with_capacity(UDP_HEADER + data.len());
        for number in [from.port(), to.port(), length, 0] {
            datagram.extend_from_slice(&number.to_be_bytes());
        }
        datagram.extend_from_slice(&data[..usize::from(length) - UDP_HEADER]);
        Self::sealed(*from.ip(), *to.ip(), HOPS, UDP, datagram, UDP_CHECKSUM_AT)
    }

    fn sealed(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        hop_limit: u8,
        protocol: u8,
        mut payload: Vec<u8>,
        checksum_at: usize,
    ) -> Self {
        let sum = match checksum(source, destination, protocol, &payload) {
            // Zero means "none" to UDP (RFC 8200 §8.1).
            0 if protocol == UDP => 0xffff,
            sum => sum,
        };
        if let Some(place) = payload.get_mut(checksum_at..checksum_at + 2) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        Written {
            source,
            destination,
            hop_limit,
            protocol,
            payload,
        }
    }

    /// The frames that carry it to the station `to` over a link of `mtu`; groups have their own address on the link
    /// (RFC 2464 §7). `ident` tells the pieces of a longer packet from others'.
    pub(super) fn into_frames(self, from: MacAddr, to: MacAddr, mtu: usize, ident: u32) -> Vec<Frame> {
        let to = if self.destination.is_multicast() {
            group(self.destination)
        } else {
            to
        };
        if HEADER + self.payload.len() <= mtu {
            return vec![self.frame(from, to, self.protocol, &[], &self.payload)];
        }
        // Pieces but for the last are multiples of eight bytes long.
        let size = (mtu.saturating_sub(HEADER + FRAGMENT_HEADER) / 8 * 8).max(8);
        let last = (self.payload.len() - 1) / size;
        let piece = |(number, piece): (usize, &[u8])| {
            let offset = u16::try_from(number * size).unwrap_or(u16::MAX) & !7;
            let more = u16::from(number < last);
            let mut header = [self.protocol, 0, 0, 0, 0, 0, 0, 0];
            header[2..4].copy_from_slice(&(offset | more).to_be_bytes());
            header[4..].copy_from_slice(&ident.to_be_bytes());
            self.frame(from, to, FRAGMENT, &header, piece)
        };
        self.payload.chunks(size).enumerate().map(piece).collect()
    }

    fn frame(&self, from: MacAddr, to: MacAddr, next: u8, extension: &[u8], payload: &[u8]) -> Frame {
        let length = u16::try_from(extension.len() + payload.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(ETHERNET + HEADER + usize::from(length));
        bytes.extend_from_slice(&to.octets());
        bytes.extend_from_slice(&from.octets());
        bytes.extend_from_slice(&ETHERTYPE);
        bytes.extend_from_slice(&[0x60, 0, 0, 0]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[next, self.hop_limit]);
        bytes.extend_from_slice(&self.source.octets());
        bytes.extend_from_slice(&self.destination.octets());
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(payload);
        Frame::new(bytes)
    }
}

/// The Ethernet address of an IPv6 group.
pub(super) fn group(address: Ipv6Addr) -> MacAddr {
    let [.., a, b, c, d] = address.octets();
    MacAddr::new([0x33, 0x33, a, b, c, d])
}

/// The group in which the owner of an address listens for questions about it (RFC 4291 §2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low)
}

/// The link-local address of a hardware address (RFC 4291, appendix A).
pub fn link_local(mac: MacAddr) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.octets();
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        word(a ^ 2, b),
        word(c, 0xff),
        word(0xfe, d),
        word(e, f),
    )
}

/// The checksum over pseudo-header and payload (RFC 8200 §8.1); 0 if the payload holds the right one already.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, payload: &[u8]) -> u16 {
    let length = (payload.len() as u32).to_be_bytes();
    frame::checksum(&[
        &source.octets(),
        &destination.octets(),
        &length,
        &[0, 0, 0, protocol],
        payload,
    ])
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);
    const US: MacAddr = MacAddr::new([0x5e, 1, 2, 3, 4, 5]);

    fn read(frame: &Frame) -> Option<Packet<'_>> {
        Packet::read(frame, &FrameView::parse(&frame.bytes).unwrap())
    }

    fn at(text: &str) -> SocketAddrV6 {
        text.parse().unwrap()
    }

    #[test]
    fn a_link_local_address_is_made_of_the_hardware_address() {
        assert_eq!(link_local(US).to_string(), "fe80::5c01:2ff:fe03:405");
        assert_eq!(solicited_node(link_local(US)).to_string(), "ff02::1:ff03:405");
        assert_eq!(group(ALL_DHCP).octets(), [0x33, 0x33, 0, 1, 0, 2]);
    }

    #[test]
    fn a_datagram_is_what_others_write_too() {
        let written = Written::udp(at("[fd00::1]:53"), at("[fd00::9]:5000"), b"an answer");
        let ours = written.into_frames(US, STATION, 1500, 1).remove(0);
        let mut theirs = Vec::new();
        PacketBuilder::ethernet2(US.octets(), STATION.octets())
            .ipv6(
                at("[fd00::1]:0").ip().octets(),
                at("[fd00::9]:0").ip().octets(),
                HOPS,
            )
            .udp(53, 5000)
            .write(&mut theirs, b"an answer")
            .unwrap();
        assert_eq!(ours.bytes, theirs);
        assert_eq!(read(&ours).unwrap().udp(), Some((53, 5000, &b"an answer"[..])));
    }

    #[test]
    fn a_wrong_checksum_or_length_is_no_packet() {
        let written = Written::udp(at("[fd00::9]:5000"), at("[fd00::1]:53"), b"a question");
        let sound = written.into_frames(STATION, US, 1500, 1).remove(0);
        let with = |at: usize, to: u8| {
            let mut bytes = sound.bytes.to_vec();
            bytes[at] = to;
            Frame::new(bytes)
        };
        assert!(read(&sound).is_some());
        assert!(
            read(&with(62, b'x')).is_none(),
            "the content does not fit the checksum"
        );
        assert!(read(&with(18, 1)).is_none(), "longer than the frame");
    }

    #[test]
    fn a_long_datagram_travels_in_pieces_that_fit_together() {
        let data: Vec<u8> = (0..4000u32).map(|n| n as u8).collect();
        let frames =
            Written::udp(at("[fd00::1]:53"), at("[fd00::9]:5000"), &data).into_frames(US, STATION, 1280, 7);
        assert_eq!(frames.len(), 4);
        let mut whole = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            assert!(frame.len() <= 14 + 1280);
            let Network::Ipv6(ip) = FrameView::parse(&frame.bytes).unwrap().network else {
                panic!("no IPv6")
            };
            assert!(
                ip.fragment && usize::from(ip.fragment_offset) * 8 == whole.len(),
                "piece {number}"
            );
            assert_eq!(
                frame.bytes[57] & 1 == 1,
                number < 3,
                "piece {number} tells whether more follow"
            );
            whole.extend_from_slice(&frame.bytes[14 + 40 + 8..]);
        }
        assert_eq!(whole[8..], data);
    }
}
