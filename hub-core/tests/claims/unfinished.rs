//! Frames of which something is still to be done: what the hub believes of it, and how much they count.

use etherparse::PacketBuilder;
use hub_core::frame::{Checksum, OnWire, SegmentKind, Segmentation};
use hub_core::hub::Traffic;
use hub_core::{DropReason, Frame, MacAddr, Offload, PortId, Verdict};
use proptest::prelude::*;

use crate::support::{Lan, frame, mac, train4};

const EVERYBODY: MacAddr = MacAddr::BROADCAST;

/// A hub, the port of a station that sends, and one that takes everything.
fn lan() -> (Lan, PortId, PortId) {
    let mut lan = Lan::new();
    let [a] = lan.ports();
    let b = lan.port(|port| port.offload = true);
    lan.announce(b, mac(2));
    (lan, a, b)
}

/// UDP datagrams of `size` bytes each, in one frame.
fn datagrams(from: u16, to: u16, payload: usize, size: u16) -> Frame {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(from, to)
        .write(&mut bytes, &vec![7; payload])
        .unwrap();
    Frame {
        bytes: bytes.into(),
        offload: Offload {
            segmentation: Some(Segmentation {
                kind: SegmentKind::Udp,
                size,
                header_len: 42,
                ecn: false,
            }),
            checksum: Checksum::Partial { start: 34, offset: 6 },
        },
    }
}

fn verdict(frame: &Frame) -> Result<(), DropReason> {
    let (mut lan, a, b) = lan();
    match lan.forward(a, frame) {
        (Verdict::Unicast(to), deliveries) => {
            assert_eq!((to, deliveries), (b, vec![(b, frame.clone())]));
            Ok(())
        }
        (Verdict::Dropped(reason), deliveries) => {
            assert_eq!(deliveries, []);
            Err(reason)
        }
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn a_true_description_passes() {
    assert_eq!(verdict(&train4(mac(1), mac(2), 60_000, 1448)), Ok(()));
    assert_eq!(verdict(&datagrams(5000, 6000, 20_000, 1000)), Ok(()));
    let mut short = train4(mac(1), mac(2), 100, 1448);
    short.offload.segmentation = None;
    assert_eq!(verdict(&short), Ok(()), "a checksum alone");
}

/// Whoever completes the checksum would write over the address or the ports by which the frame was let in.
#[test]
fn a_checksum_goes_where_checksums_are_and_nowhere_else() {
    for whole in [
        train4(mac(1), mac(2), 5_000, 1000),
        datagrams(5000, 6000, 5_000, 1000),
    ] {
        let Checksum::Partial { start, offset } = whole.offload.checksum else {
            panic!("unfinished")
        };
        for (s, o) in [
            (6, 0),
            (14, 12),
            (34, 0),
            (34, 13),
            (start, offset + 1),
            (start + 1, offset - 1),
            (42, 0),
        ] {
            let mut wild = whole.clone();
            wild.offload.checksum = Checksum::Partial { start: s, offset: o };
            assert_eq!(verdict(&wild), Err(DropReason::BadOffload), "{s}+{o}");
        }
    }
    let mut unknown = frame(mac(1), mac(2), &[0; 60]);
    unknown.offload.checksum = Checksum::Partial { start: 34, offset: 6 };
    assert_eq!(
        verdict(&unknown),
        Err(DropReason::BadOffload),
        "no protocol with a checksum"
    );
}

#[test]
fn a_train_is_of_the_protocol_that_its_description_says() {
    for kind in [SegmentKind::TcpV6, SegmentKind::Udp] {
        let mut other = train4(mac(1), mac(2), 5_000, 1000);
        other.offload.segmentation = other.offload.segmentation.map(|s| Segmentation { kind, ..s });
        assert_eq!(verdict(&other), Err(DropReason::BadOffload), "{kind:?}");
    }
    let whole = train4(mac(1), mac(2), 5_000, 1000);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.bytes.to_vec();
        change(&mut bytes);
        Frame {
            bytes: bytes.into(),
            ..whole.clone()
        }
    };
    assert_eq!(verdict(&changed(&|_| ())), Ok(()));
    let piece = changed(&|bytes| bytes[20] = 0x20);
    assert_eq!(verdict(&piece), Err(DropReason::BadOffload), "a fragment");
    let padded = changed(&|bytes| bytes.extend([0; 10]));
    assert_eq!(
        verdict(&padded),
        Err(DropReason::BadOffload),
        "more than the packet"
    );
    let endless = changed(&|bytes| bytes[46] = 0x10);
    assert_eq!(
        verdict(&endless),
        Err(DropReason::BadOffload),
        "a header of 4 bytes"
    );
    assert_eq!(
        verdict(&train4(mac(1), mac(2), 0, 1000)),
        Err(DropReason::BadOffload),
        "no payload"
    );
}

/// What the hub would refuse cut, it refuses whole.
#[test]
fn the_pieces_are_frames_that_may_pass() {
    assert_eq!(verdict(&train4(mac(1), mac(2), 5_000, 1600 - 54)), Ok(()));
    assert_eq!(
        verdict(&train4(mac(1), mac(2), 5_000, 1600 - 53)),
        Err(DropReason::TooLong)
    );
    assert_eq!(verdict(&train4(mac(1), mac(2), 8192, 1)), Ok(()));
    assert_eq!(
        verdict(&train4(mac(1), mac(2), 8193, 1)),
        Err(DropReason::BadOffload)
    );
    // The second datagram could be the server's answer that the first one hides.
    for (from, to) in [(67, 68), (68, 67), (5000, 68), (67, 5000)] {
        assert_eq!(
            verdict(&datagrams(from, to, 2_000, 500)),
            Err(DropReason::BadOffload)
        );
    }
}

#[test]
fn a_train_counts_as_the_frames_that_a_wire_would_carry() {
    let whole = train4(mac(1), mac(2), 10_500, 1000);
    let pieces = 11;
    assert_eq!(
        whole.on_wire(),
        OnWire {
            frames: pieces,
            bytes: 10_500 + pieces * 54
        }
    );
    let (mut lan, a, b) = lan();
    lan.send(a, &whole);
    let traffic = Traffic {
        unicast_frames: pieces,
        unicast_bytes: 10_500 + pieces * 54,
        ..Traffic::default()
    };
    assert_eq!(lan.counters(a).received, traffic);
    assert_eq!(lan.counters(b).sent, traffic);
    lan.hub.refused(b, &whole);
    assert_eq!(lan.counters(b).sent, Traffic::default());
}

#[test]
fn a_train_costs_as_much_of_a_rate_as_its_pieces() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.upload = Some(8 * 2 * 10_770));
    let b = lan.port(|port| port.offload = true);
    lan.announce(b, mac(2));
    let train = train4(mac(1), mac(2), 10_230, 1023);
    assert_eq!(train.on_wire().bytes, 10_770);
    let passed = |lan: &mut Lan| (0..5).filter(|_| lan.send(a, &train) == [b]).count();
    assert_eq!(passed(&mut lan), 2, "a second's worth");
    lan.wait(0.51);
    assert_eq!(passed(&mut lan), 1);
}

/// Else a slow port would never get one.
#[test]
fn a_train_longer_than_a_second_of_the_rate_passes_when_nothing_is_owed() {
    let mut lan = Lan::new();
    let [a] = lan.ports();
    let b = lan.port(|port| (port.offload, port.download) = (true, Some(64_000)));
    lan.announce(b, mac(2));
    let train = train4(mac(1), mac(2), 60_000, 1448);
    assert_eq!(lan.send(a, &train), [b]);
    assert_eq!(lan.send(a, &train), []);
    lan.wait(8.0);
    assert_eq!(lan.send(a, &train), [b]);
}

#[test]
fn a_train_of_broadcasts_is_as_much_of_a_storm_as_its_pieces() {
    let mut lan = Lan::with_config(|config| config.storm.strict = true);
    let [a] = lan.ports();
    let b = lan.port(|port| port.offload = true);
    let mut train = datagrams(5000, 6000, 10_000, 1000);
    let bytes = [&EVERYBODY.octets()[..], &train.bytes[6..]].concat();
    train.bytes = bytes.into();
    let passed = (0..10).filter(|_| lan.send(a, &train) == [b]).count();
    assert_eq!(passed, 3, "32 broadcasts a second");
}

#[test]
fn a_port_of_its_own_path_clamps_what_goes_to_it_and_what_comes_from_it() {
    let offer = |mss| {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(mac(1).octets(), EVERYBODY.octets())
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(5000, 80, 1, 1000)
            .syn()
            .options(&[etherparse::TcpOptionElement::MaximumSegmentSize(mss)])
            .unwrap()
            .write(&mut bytes, b"")
            .unwrap();
        Frame::new(bytes)
    };
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.hub.set_segment_size(b, Some(1309));
    let (_, deliveries) = lan.forward(a, &offer(1460));
    assert_eq!(deliveries, [(b, offer(1309)), (c, offer(1460))]);
    let (_, deliveries) = lan.forward(b, &offer(1460));
    assert_eq!(deliveries, [(a, offer(1309)), (c, offer(1309))]);

    let mut config = *lan.hub.config();
    (config.segment_size, config.clamp_ports) = (Some(1400), false);
    lan.hub.set_config(config);
    let (_, deliveries) = lan.forward(a, &offer(1460));
    assert_eq!(deliveries, [(b, offer(1400)), (c, offer(1400))]);
    config.clamp_ports = true;
    lan.hub.set_config(config);
    let (_, deliveries) = lan.forward(a, &offer(1460));
    assert_eq!(
        deliveries,
        [(b, offer(1309)), (c, offer(1400))],
        "the smaller one counts"
    );
    lan.hub.set_segment_size(b, None);
    let (_, deliveries) = lan.forward(a, &offer(1460));
    assert_eq!(deliveries, [(b, offer(1400)), (c, offer(1400))]);
}

proptest! {
    #[test]
    fn no_description_does_harm(
        header: [u8; 10],
        flags in 0..4_u8,
        kind in prop::sample::select(&[0_u8, 1, 4, 5, 0x81, 0x84][..]),
        udp: bool,
        payload in 1..5_000_usize,
        noise in prop::collection::vec((0..60_usize, any::<u8>()), 0..4),
    ) {
        let mut header = header;
        (header[0], header[1]) = (flags, kind);
        let Some(offload) = Offload::from_virtio(header) else {
            return Ok(());
        };
        let whole = if udp { datagrams(1, 2, payload, 1) } else { train4(mac(1), mac(2), payload, 1) };
        let mut bytes = whole.bytes.to_vec();
        for (at, value) in noise {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let frame = Frame { bytes: bytes.into(), offload };
        let (mut lan, a, _) = lan();
        let _ = lan.forward(a, &frame);
        let counters = lan.counters(a);
        let counted = counters.received.frames() + counters.dropped.total();
        prop_assert!(counted >= 1);
        prop_assert!(counters.received.bytes() <= 8192 * 1600);
    }
}
