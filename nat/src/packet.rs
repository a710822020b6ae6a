//! IPv4 packets on their way between the hub and the outside (user mode), and the few kinds we write ourselves.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use bytes::Bytes;
use hub_core::frame::{Checksum, Frame, FrameView, Network, Offload, SegmentKind, Segmentation};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Packet, Icmpv4Repr, Icmpv4TimeExceeded, IpAddress, IpProtocol, Ipv4Packet,
    Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber, UdpPacket, UdpRepr,
};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
/// Lifetime of packets that we write.
const HOP_LIMIT: u8 = 64;
/// Bytes of an offending packet's payload that an ICMP error quotes (RFC 792).
const QUOTED: usize = 8;

/// Bytes of an IPv4 header as we write it, and of a TCP header without options; where in that the checksum is.
const IPV4_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const TCP_CHECKSUM: usize = 16;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// A whole IPv4 packet that a station of the hub sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// Protocol number of the payload.
    pub protocol: u8,
    /// Hops it may still travel.
    pub hop_limit: u8,
    /// The packet from its IPv4 header on, without padding.
    pub bytes: Bytes,
    /// Where the payload begins in `bytes`.
    pub payload_at: usize,
}

impl Packet {
    /// The IPv4 packet in a frame that holds one; `None` also for a header whose checksum is wrong.
    pub(crate) fn from_frame(frame: &Frame, view: &FrameView) -> Option<Self> {
        let Network::Ipv4(ip) = &view.network else {
            return None;
        };
        let at = usize::from(view.network_offset);
        let header = Ipv4Packet::new_checked(frame.bytes.get(at..)?).ok()?;
        if !header.verify_checksum() {
            return None;
        }
        Some(Packet {
            source: ip.source,
            destination: ip.destination,
            protocol: ip.protocol,
            hop_limit: header.hop_limit(),
            bytes: frame.bytes.slice(at..at + usize::from(header.total_len())),
            payload_at: usize::from(ip.transport_offset) - at,
        })
    }

    /// What the IPv4 header is followed by.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// Source and destination ports of TCP or UDP, 0 if the payload is too short for any.
    pub(crate) fn ports(&self) -> (u16, u16) {
        match self.payload() {
            [a, b, c, d, ..] => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
            _ => (0, 0),
        }
    }

    /// The sender's socket address.
    pub(crate) fn client(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.source, self.ports().0)
    }

    /// The socket address it is for.
    pub(crate) fn target(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.destination, self.ports().1)
    }

    /// The TCP segment, if it is one and whole. `checksum` is what its frame says about it.
    pub(crate) fn tcp(&self, checksum: Checksum) -> Option<TcpPacket<&[u8]>> {
        let segment = TcpPacket::new_checked(self.payload()).ok()?;
        let true_sum = || segment.verify_checksum(&self.source.into(), &self.destination.into());
        (checksum != Checksum::Complete || true_sum()).then_some(segment)
    }

    /// The UDP payload, if it is a datagram and whole.
    pub(crate) fn udp(&self, checksum: Checksum) -> Option<&[u8]> {
        let datagram = UdpPacket::new_checked(self.payload()).ok()?;
        let true_sum = || datagram.verify_checksum(&self.source.into(), &self.destination.into());
        (checksum != Checksum::Complete || true_sum()).then(|| datagram.payload())
    }

    /// The echo request in it, if it is one and whole.
    pub(crate) fn echo_request(&self) -> Option<Echo<'_>> {
        let message = Icmpv4Packet::new_checked(self.payload()).ok()?;
        match Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).ok()? {
            Icmpv4Repr::EchoRequest { ident, seq_no, data } => Some(Echo {
                ident,
                sequence: seq_no,
                data,
            }),
            _ => None,
        }
    }

    /// The flow of ours that somebody says does not arrive, if this is such an error.
    pub(crate) fn unreachable_flow(&self) -> Option<Unreachable> {
        let message = Icmpv4Packet::new_checked(self.payload()).ok()?;
        let repr = Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).ok()?;
        let Icmpv4Repr::DstUnreachable { reason, header, data } = repr else {
            return None;
        };
        let [a, b, c, d, ..] = *data else { return None };
        let kind = match reason {
            Icmpv4DstUnreachable::PortUnreachable | Icmpv4DstUnreachable::ProtoUnreachable => {
                io::ErrorKind::ConnectionRefused
            }
            Icmpv4DstUnreachable::NetUnreachable | Icmpv4DstUnreachable::NetUnreachToS => {
                io::ErrorKind::NetworkUnreachable
            }
            Icmpv4DstUnreachable::FragRequired => return None,
            _ => io::ErrorKind::HostUnreachable,
        };
        Some(Unreachable {
            from: SocketAddrV4::new(header.src_addr, u16::from_be_bytes([a, b])),
            to: SocketAddrV4::new(header.dst_addr, u16::from_be_bytes([c, d])),
            protocol: header.next_header.into(),
            kind,
        })
    }

    fn quoted(&self) -> (Ipv4Repr, &[u8]) {
        let payload = self.payload();
        let header = Ipv4Repr {
            src_addr: self.source,
            dst_addr: self.destination,
            next_header: IpProtocol::from(self.protocol),
            payload_len: payload.len(),
            hop_limit: self.hop_limit,
        };
        (header, &payload[..payload.len().min(QUOTED)])
    }
}

/// A flow that does not arrive, as an ICMP error tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable {
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    pub(crate) protocol: u8,
    pub(crate) kind: io::ErrorKind,
}

/// An ICMP echo request or reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo<'a> {
    pub(crate) ident: u16,
    pub(crate) sequence: u16,
    pub(crate) data: &'a [u8],
}

/// An IPv4 packet of ours with room for its Ethernet header in front, so that it is written once, and what is left to do
/// in it for whoever cannot take it as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    offload: Offload,
}

impl Outgoing {
    /// Room for a packet of `len` bytes, all zero.
    pub(crate) fn zeroed(len: usize) -> Self {
        let mut bytes = vec![0; ETHERNET + len];
        bytes[12..14].copy_from_slice(&ETHERTYPE_IPV4);
        Outgoing {
            bytes,
            offload: Offload::NONE,
        }
    }

    /// Leaves the checksum of a TCP segment to whoever needs it, and the cutting into segments of `size` bytes if it is
    /// a train of them. What stands in the checksum's place then is the sum of the pseudo-header (virtio 1.2, §5.1.6.2).
    pub(crate) fn leave_tcp_unfinished(&mut self, size: Option<NonZeroU16>) {
        const START: usize = ETHERNET + IPV4_HEADER;
        let is_tcp = self.bytes.get(ETHERNET + 9) == Some(&TCP);
        let segment = self
            .bytes
            .get(START..)
            .filter(|bytes| is_tcp && bytes.len() >= TCP_HEADER);
        let Some(segment) = segment else { return };
        let header_len = START + usize::from(segment[12] >> 4) * 4;
        let addresses = &self.bytes[ETHERNET + 12..START];
        let mut sum = u32::from(TCP) + segment.len() as u32;
        for word in addresses.chunks_exact(2) {
            sum += u32::from(u16::from_be_bytes([word[0], word[1]]));
        }
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let at = START + TCP_CHECKSUM;
        self.bytes[at..at + 2].copy_from_slice(&(sum as u16).to_be_bytes());
        self.offload = Offload {
            segmentation: size.map(|size| Segmentation {
                kind: SegmentKind::TcpV4,
                size: size.get(),
                header_len: header_len as u16,
                ecn: false,
            }),
            checksum: Checksum::Partial {
                start: START as u16,
                offset: TCP_CHECKSUM as u16,
            },
        };
    }

    /// The sequence number and the length of the payload, of a TCP segment with any.
    pub(crate) fn tcp_payload(&self) -> Option<(u32, u32)> {
        let packet = self.ip();
        let segment = packet.get(IPV4_HEADER..).filter(|_| packet[9] == TCP)?;
        let &[a, b, c, d] = segment.get(4..8)? else {
            return None;
        };
        let header = usize::from(segment.get(12)? >> 4) * 4;
        let length = segment.len().checked_sub(header).filter(|length| *length > 0)?;
        Some((u32::from_be_bytes([a, b, c, d]), length as u32))
    }

    /// Whether it is to be cut by segments, and so never into fragments.
    pub(crate) fn is_train(&self) -> bool {
        self.offload.segmentation.is_some()
    }

    /// The packet.
    pub(crate) fn ip(&self) -> &[u8] {
        &self.bytes[ETHERNET..]
    }

    /// The packet, to be written.
    pub(crate) fn ip_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[ETHERNET..]
    }

    /// Whom it is for.
    pub(crate) fn destination(&self) -> Ipv4Addr {
        match self.ip().get(16..20) {
            Some(&[a, b, c, d]) => Ipv4Addr::new(a, b, c, d),
            _ => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The frame that carries it.
    pub(crate) fn into_frame(mut self, to: [u8; 6], from: [u8; 6]) -> Frame {
        self.bytes[..6].copy_from_slice(&to);
        self.bytes[6..12].copy_from_slice(&from);
        Frame {
            bytes: self.bytes.into(),
            offload: self.offload,
        }
    }

    /// A packet with this payload length, its header written; `fill` writes the payload.
    fn build(
        from: Ipv4Addr,
        to: Ipv4Addr,
        protocol: IpProtocol,
        payload_len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Self {
        let mut packet = Outgoing::zeroed(20 + payload_len);
        let (header, payload) = packet.ip_mut().split_at_mut(20);
        let repr = Ipv4Repr {
            src_addr: from,
            dst_addr: to,
            next_header: protocol,
            payload_len,
            hop_limit: HOP_LIMIT,
        };
        repr.emit(
            &mut Ipv4Packet::new_unchecked(header),
            &ChecksumCapabilities::default(),
        );
        fill(payload);
        packet
    }

    /// A UDP datagram.
    pub(crate) fn udp(from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Self {
        let repr = UdpRepr {
            src_port: from.port(),
            dst_port: to.port(),
        };
        let (source, destination) = (IpAddress::Ipv4(*from.ip()), IpAddress::Ipv4(*to.ip()));
        Outgoing::build(*from.ip(), *to.ip(), IpProtocol::Udp, 8 + data.len(), |payload| {
            let mut datagram = UdpPacket::new_unchecked(payload);
            let copy = |room: &mut [u8]| room.copy_from_slice(data);
            repr.emit(
                &mut datagram,
                &source,
                &destination,
                data.len(),
                copy,
                &ChecksumCapabilities::default(),
            );
        })
    }

    /// An answer to an echo request.
    pub(crate) fn echo_reply(from: Ipv4Addr, to: Ipv4Addr, echo: &Echo<'_>) -> Self {
        let Echo {
            ident,
            sequence,
            data,
        } = *echo;
        Outgoing::icmp(
            from,
            to,
            &Icmpv4Repr::EchoReply {
                ident,
                seq_no: sequence,
                data,
            },
        )
    }

    /// The news to its sender that a packet cannot be delivered.
    pub(crate) fn unreachable(from: Ipv4Addr, about: &Packet, reason: Icmpv4DstUnreachable) -> Self {
        let (header, data) = about.quoted();
        Outgoing::icmp(
            from,
            about.source,
            &Icmpv4Repr::DstUnreachable { reason, header, data },
        )
    }

    /// The news to its sender that a packet has travelled too far.
    pub(crate) fn time_exceeded(from: Ipv4Addr, about: &Packet) -> Self {
        let (header, data) = about.quoted();
        let reason = Icmpv4TimeExceeded::TtlExpired;
        Outgoing::icmp(
            from,
            about.source,
            &Icmpv4Repr::TimeExceeded { reason, header, data },
        )
    }

    fn icmp(from: Ipv4Addr, to: Ipv4Addr, message: &Icmpv4Repr<'_>) -> Self {
        Outgoing::build(from, to, IpProtocol::Icmp, message.buffer_len(), |payload| {
            message.emit(
                &mut Icmpv4Packet::new_unchecked(payload),
                &ChecksumCapabilities::default(),
            );
        })
    }

    /// The refusal of a segment that belongs to no connection (RFC 9293 §3.5.2).
    pub(crate) fn reset(about: &Packet, segment: &TcpPacket<&[u8]>) -> Self {
        let beyond = segment.seq_number() + segment.segment_len();
        let (seq_number, ack_number) = if segment.ack() {
            (segment.ack_number(), None)
        } else {
            (TcpSeqNumber(0), Some(beyond))
        };
        let repr = TcpRepr {
            src_port: segment.dst_port(),
            dst_port: segment.src_port(),
            control: TcpControl::Rst,
            seq_number,
            ack_number,
            window_len: 0,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let (source, destination) = (IpAddress::Ipv4(about.destination), IpAddress::Ipv4(about.source));
        Outgoing::build(
            about.destination,
            about.source,
            IpProtocol::Tcp,
            repr.buffer_len(),
            |payload| {
                let mut packet = TcpPacket::new_unchecked(payload);
                repr.emit(
                    &mut packet,
                    &source,
                    &destination,
                    &ChecksumCapabilities::default(),
                );
            },
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};
    use hub_core::MacAddr;

    pub(crate) const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

    /// A frame from a station of the hub, made by another library than the one under test.
    pub(crate) fn frame(builder: impl FnOnce(&mut Vec<u8>)) -> Frame {
        let mut bytes = Vec::new();
        builder(&mut bytes);
        Frame::new(bytes)
    }

    pub(crate) fn packet(frame: &Frame) -> Packet {
        Packet::from_frame(frame, &FrameView::parse(&frame.bytes).unwrap()).unwrap()
    }

    fn udp_frame(data: &[u8]) -> Frame {
        frame(|out| {
            etherparse::PacketBuilder::ethernet2(STATION.octets(), [0x5e; 6])
                .ipv4([192, 168, 30, 9], [1, 1, 1, 1], 7)
                .udp(5000, 53)
                .write(out, data)
                .unwrap();
        })
    }

    #[test]
    fn a_packet_is_cut_out_of_its_frame_without_padding() {
        let mut padded = udp_frame(b"hi").bytes.to_vec();
        padded.extend_from_slice(&[0; 16]);
        let packet = packet(&Frame::new(padded));
        assert_eq!(packet.client().to_string(), "192.168.30.9:5000");
        assert_eq!(packet.target().to_string(), "1.1.1.1:53");
        assert_eq!(
            (packet.hop_limit, packet.udp(Checksum::Complete)),
            (7, Some(&b"hi"[..]))
        );
        assert_eq!(packet.bytes.len(), 20 + 8 + 2);
    }

    #[test]
    fn a_wrong_checksum_is_noticed_unless_it_is_still_to_be_made() {
        let mut broken = udp_frame(b"hi").bytes.to_vec();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        let packet = packet(&Frame::new(broken.clone()));
        assert_eq!(packet.udp(Checksum::Complete), None);
        assert!(packet.udp(Checksum::Partial { start: 34, offset: 6 }).is_some());
        broken[ETHERNET + 8] ^= 1;
        let frame = Frame::new(broken);
        assert_eq!(
            Packet::from_frame(&frame, &FrameView::parse(&frame.bytes).unwrap()),
            None,
            "header"
        );
    }

    #[test]
    fn what_we_write_is_read_by_an_independent_decoder() {
        let (us, them) = (
            "1.1.1.1:53".parse().unwrap(),
            "192.168.30.9:5000".parse().unwrap(),
        );
        let frame = Outgoing::udp(us, them, b"answer").into_frame(STATION.octets(), [0x5e; 6]);
        let sliced = SlicedPacket::from_ethernet(&frame.bytes).unwrap();
        let Some(NetSlice::Ipv4(ip)) = sliced.net else {
            panic!("no IPv4")
        };
        assert_eq!(ip.header().destination_addr(), Ipv4Addr::new(192, 168, 30, 9));
        let Some(TransportSlice::Udp(udp)) = sliced.transport else {
            panic!("no UDP")
        };
        assert_eq!(
            (udp.source_port(), udp.destination_port(), udp.payload()),
            (53, 5000, &b"answer"[..])
        );
        let sum = udp
            .to_header()
            .calc_checksum_ipv4(&ip.header().to_header(), b"answer")
            .unwrap();
        assert_eq!(udp.checksum(), sum);
    }

    #[test]
    fn a_reset_answers_the_sequence_number_it_was_asked_with() {
        let syn = frame(|out| {
            etherparse::PacketBuilder::ethernet2(STATION.octets(), [0x5e; 6])
                .ipv4([192, 168, 30, 9], [10, 0, 0, 1], 64)
                .tcp(4000, 80, 1000, 8192)
                .syn()
                .write(out, &[])
                .unwrap();
        });
        let packet = packet(&syn);
        let reset = Outgoing::reset(&packet, &packet.tcp(Checksum::Complete).unwrap());
        let segment = TcpPacket::new_checked(&reset.ip()[20..]).unwrap();
        assert!(segment.rst() && segment.ack());
        assert_eq!(
            (segment.ack_number(), segment.src_port(), segment.dst_port()),
            (TcpSeqNumber(1001), 80, 4000)
        );
        assert!(segment.verify_checksum(&packet.destination.into(), &packet.source.into()));
    }

    #[test]
    fn an_error_quotes_what_it_is_about() {
        let packet = packet(&udp_frame(b"question"));
        let error = Outgoing::unreachable(
            Ipv4Addr::new(192, 168, 30, 1),
            &packet,
            Icmpv4DstUnreachable::PortUnreachable,
        );
        assert_eq!(error.destination(), packet.source);
        let message = &error.ip()[20..];
        assert_eq!((message[0], message[1]), (3, 3));
        assert_eq!(message[8 + 20..8 + 24], packet.payload()[..4], "the ports");
    }
}
