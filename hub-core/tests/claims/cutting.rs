//! It makes no difference where a super-frame is cut: before the hub or behind it. That holds for everything that does not
//! go by time, and for redirections, which answer a super-frame once and its pieces one by one, it need not.

use std::collections::BTreeMap;

use hub_core::access::{AccessList, Addresses, PortRange, Rule};
use hub_core::frame::{Checksum, SegmentKind, Segmentation};
use hub_core::guard::{Families, Guards};
use hub_core::hub::VlanId;
use hub_core::{Frame, MacAddr, Offload, PortConfig, PortId};
use proptest::prelude::*;

use crate::support::{Lan, mac};

/// What a station sends: a train of segments or datagrams.
#[derive(Clone, Debug)]
struct Train {
    from: usize,
    /// A station's number, or everybody.
    to: Option<u32>,
    tag: Option<u16>,
    v6: bool,
    udp: bool,
    ports: (u16, u16),
    flags: u8,
    payload: usize,
    size: u16,
}

const PORTS: usize = 6;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

impl Train {
    fn frame(&self) -> Frame {
        let station = self.from as u32 + 1;
        let destination = self.to.map_or(MacAddr::BROADCAST, mac);
        let mut bytes = [destination.octets(), mac(station).octets()].concat();
        if let Some(tag) = self.tag {
            bytes.extend([0x81, 0]);
            bytes.extend(tag.to_be_bytes());
        }
        let (header, checksum) = if self.udp {
            (UDP_HEADER, 6)
        } else {
            (TCP_HEADER, 16)
        };
        let length = (header + self.payload) as u16;
        let protocol = if self.udp { 17 } else { 6 };
        let peer = self.to.unwrap_or(255) as u8;
        if self.v6 {
            bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            bytes.extend(length.to_be_bytes());
            bytes.extend([protocol, 64]);
            for host in [station as u8, peer] {
                bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
        } else {
            bytes.extend([0x08, 0x00, 0x45, 0]);
            bytes.extend((length + 20).to_be_bytes());
            bytes.extend([
                0x12,
                0x34,
                0x40,
                0,
                64,
                protocol,
                0,
                0,
                10,
                0,
                0,
                station as u8,
                10,
                0,
                0,
                peer,
            ]);
        }
        let start = bytes.len();
        bytes.extend(self.ports.0.to_be_bytes());
        bytes.extend(self.ports.1.to_be_bytes());
        if self.udp {
            bytes.extend(length.to_be_bytes());
            bytes.extend([0, 0]);
        } else {
            bytes.extend([
                0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1, 0x50, self.flags, 1, 0, 0, 0, 0, 0,
            ]);
        }
        let header_len = bytes.len() as u16;
        bytes.extend((0..self.payload).map(|n| n as u8));
        let kind = match (self.udp, self.v6) {
            (true, _) => SegmentKind::Udp,
            (false, true) => SegmentKind::TcpV6,
            (false, false) => SegmentKind::TcpV4,
        };
        Frame {
            bytes: bytes.into(),
            offload: Offload {
                segmentation: Some(Segmentation {
                    kind,
                    size: self.size,
                    header_len,
                    ecn: false,
                }),
                checksum: Checksum::Partial {
                    start: start as u16,
                    offset: checksum,
                },
            },
        }
    }
}

/// Cuts a frame of [`Train`], tagged or not. Checksums stay empty: the hub does not look at them.
fn cut(frame: &Frame) -> Vec<Vec<u8>> {
    let Offload {
        segmentation: Some(segmentation),
        checksum: Checksum::Partial { start, .. },
    } = frame.offload
    else {
        return vec![frame.bytes.to_vec()];
    };
    let start = usize::from(start);
    let v6 = start >= 54;
    let udp = segmentation.kind == SegmentKind::Udp;
    let ip = start - if v6 { 40 } else { 20 };
    let headers = start + if udp { UDP_HEADER } else { TCP_HEADER };
    let size = usize::from(segmentation.size);
    let last = (frame.len() - headers).div_ceil(size) - 1;
    let piece = |(n, part): (usize, &[u8])| {
        let mut bytes = [&frame.bytes[..headers], part].concat();
        let length = (bytes.len() - start) as u16;
        if v6 {
            bytes[ip + 4..ip + 6].copy_from_slice(&length.to_be_bytes());
        } else {
            bytes[ip + 2..ip + 4].copy_from_slice(&(length + 20).to_be_bytes());
            let id = u16::from_be_bytes([bytes[ip + 4], bytes[ip + 5]]).wrapping_add(n as u16);
            bytes[ip + 4..ip + 6].copy_from_slice(&id.to_be_bytes());
        }
        if udp {
            bytes[start + 4..start + 6].copy_from_slice(&length.to_be_bytes());
        } else {
            let sequence = 0xffff_ff00_u32.wrapping_add((n * size) as u32);
            bytes[start + 4..start + 8].copy_from_slice(&sequence.to_be_bytes());
            if n < last {
                bytes[start + 13] &= !0x09;
            }
        }
        bytes
    };
    frame.bytes[headers..]
        .chunks(size)
        .enumerate()
        .map(piece)
        .collect()
}

fn train() -> impl Strategy<Value = Train> {
    let flow = (
        0..PORTS,
        prop::option::weighted(0.9, 1..=PORTS as u32 + 1),
        prop::option::weighted(0.3, prop::sample::select(&[0_u16, 10, 20, 0xe00a][..])),
        any::<bool>(),
        prop::bool::weighted(0.3),
    );
    let inside = (
        prop::sample::select(&[80_u16, 443, 546, 5000][..]),
        prop::sample::select(&[80_u16, 443, 547, 5001][..]),
        prop::sample::select(&[0x10_u8, 0x18, 0x19, 0x12, 0x02, 0x14][..]),
        1..20_000_usize,
        prop::sample::select(&[100_u16, 536, 1000, 1448][..]),
    );
    (flow, inside).prop_map(
        |((from, to, tag, v6, udp), (source, destination, flags, payload, size))| Train {
            from,
            to,
            tag,
            v6,
            udp,
            ports: (source, destination),
            flags,
            payload,
            size,
        },
    )
}

/// What makes two ports different, in a few bits each.
fn configure(port: &mut PortConfig, bits: u16) {
    let on = |bit: u16| bits & (1 << bit) != 0;
    port.offload = true;
    port.storm_limit = false;
    port.vlan = [None, None, VlanId::new(10), VlanId::new(20)][usize::from(bits & 3)];
    port.guards = Guards {
        tcp_server: on(2),
        tcp_server_v6: on(3),
        broadcasts: on(4) && on(5),
        dhcpv6: on(6),
        families: Families {
            ipv6: on(7) && on(8),
            ..Families::default()
        },
        ..Guards::default()
    };
    port.private = on(9);
    port.check_mac = on(10);
    port.max_macs = on(11).then_some(3);
    port.monitor = on(12) && on(13) && on(14);
    port.no_default_router = on(8);
    port.segment_size = on(15).then_some(1000);
}

fn hub(bits: &[u16], rules: &[Rule]) -> (Lan, Vec<PortId>) {
    let mut lan = Lan::with_config(|config| config.filters.families.other = bits[0] & 1 != 0);
    lan.hub.set_access_list(AccessList::compile(rules, |_| [].into()));
    let ports = bits
        .iter()
        .map(|bits| lan.port(|port| configure(port, *bits)))
        .collect();
    (lan, ports)
}

/// What each port got, in order.
type Received = BTreeMap<PortId, Vec<Vec<u8>>>;

proptest! {
    #[test]
    fn it_makes_no_difference_where_a_super_frame_is_cut(
        trains in prop::collection::vec(train(), 1..30),
        bits in prop::collection::vec(any::<u16>(), PORTS..=PORTS),
        ruled in any::<bool>(),
    ) {
        let to_web = Rule {
            protocol: 6,
            destination_ports: PortRange { start: 80, end: 80 },
            ..Rule::new(1, true, Addresses::ANY_V4)
        };
        let rules = if ruled { vec![to_web] } else { Vec::new() };
        let (mut whole, ports) = hub(&bits, &rules);
        let (mut pieces, _) = hub(&bits, &rules);
        let (mut behind, mut before) = (Received::new(), Received::new());
        for train in &trains {
            let frame = train.frame();
            for (to, frame) in whole.forward(ports[train.from], &frame).1 {
                behind.entry(to).or_default().extend(cut(&frame));
            }
            for piece in cut(&frame) {
                for (to, piece) in pieces.forward(ports[train.from], &Frame::new(piece)).1 {
                    before.entry(to).or_default().push(piece.bytes.to_vec());
                }
            }
        }
        prop_assert_eq!(&behind, &before);
        for port in ports {
            let (whole, pieces) = (whole.counters(port), pieces.counters(port));
            prop_assert_eq!((whole.received, whole.sent), (pieces.received, pieces.sent));
        }
    }
}
