//! The tap: which frames are copied for the packet log, how much of them, and how many can wait.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use hub_core::hub::{TapConfig, Tapped};
use hub_core::{DropReason, Frame, PortConfig, PortId, PortKind, Verdict};

use crate::support::{Lan, arp, frame, mac, udp4, udp6};

/// The level of one class, 0 for all others: TCP connections, TCP, DHCP, UDP, ICMP, IP, ARP, Ethernet.
fn only(class: usize, level: u8) -> TapConfig {
    let mut config = TapConfig::default();
    config.levels[class] = level;
    config
}

fn tcp(flags: impl FnOnce(&mut etherparse::TcpHeader)) -> Frame {
    let mut header = etherparse::TcpHeader::new(1000, 80, 1, 1000);
    flags(&mut header);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp_header(header)
        .write(&mut bytes, &[0x77; 1000])
        .unwrap();
    Frame::new(bytes)
}

fn icmp() -> Frame {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .icmpv4_echo_request(1, 1)
        .write(&mut bytes, b"ping")
        .unwrap();
    Frame::new(bytes)
}

fn dhcp() -> Frame {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), [0xff; 6])
        .ipv4([0; 4], [255; 4], 64)
        .udp(68, 67)
        .write(&mut bytes, b"discover")
        .unwrap();
    Frame::new(bytes)
}

fn plug(lan: &mut Lan, name: &str) -> PortId {
    lan.hub.attach(lan.now, PortConfig::new(PortKind::Session, name))
}

/// What is tapped of a frame that a station sends, by the length of the copy.
fn tapped(config: TapConfig, frame: &Frame) -> Vec<Tapped> {
    let mut lan = Lan::new();
    let alice = plug(&mut lan, "SID-ALICE-1");
    plug(&mut lan, "SID-BOB-2");
    lan.hub.set_tap(Some(config));
    lan.send(alice, frame);
    lan.hub.take_tapped().frames
}

#[test]
fn a_frame_is_tapped_by_the_classes_it_is_of() {
    let address = Ipv4Addr::new(10, 0, 0, 1);
    let frames: [(&str, Frame, &[usize]); 9] = [
        ("SYN", tcp(|tcp| tcp.syn = true), &[0, 1, 5, 7]),
        ("FIN", tcp(|tcp| tcp.fin = true), &[0, 1, 5, 7]),
        ("RST", tcp(|tcp| tcp.rst = true), &[0, 1, 5, 7]),
        ("ACK", tcp(|tcp| tcp.ack = true), &[1, 5, 7]),
        ("DHCP", dhcp(), &[2, 3, 5, 7]),
        ("UDP", udp4(mac(1), address), &[3, 5, 7]),
        ("ICMP", icmp(), &[4, 5, 7]),
        ("ARP", arp(mac(1), mac(1), address, address), &[6, 7]),
        ("other", frame(mac(1), mac(2), b"what?"), &[7]),
    ];
    for (name, frame, classes) in frames {
        for class in 0..8 {
            let expected = usize::from(classes.contains(&class));
            assert_eq!(
                tapped(only(class, 1), &frame).len(),
                expected,
                "{name}, class {class}"
            );
        }
    }
}

#[test]
fn the_most_curious_class_decides_how_much_is_copied() {
    let mut config = only(1, 1);
    let segment = tcp(|tcp| tcp.ack = true);
    let header = tapped(config, &segment).remove(0);
    assert!(!header.whole && header.bytes.len() == 512 && header.length == segment.len());
    config.levels[7] = 2;
    let whole = tapped(config, &segment).remove(0);
    assert!(whole.whole);
    assert_eq!(*whole.bytes, segment.bytes[..]);
}

#[test]
fn a_whole_version_of_ip_can_be_left_out() {
    let everything = TapConfig {
        levels: [2; 8],
        ..TapConfig::default()
    };
    let v4 = udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1));
    let v6 = udp6(mac(1), Ipv6Addr::LOCALHOST);
    let no_ipv4 = TapConfig {
        no_ipv4: true,
        ..everything
    };
    let no_ipv6 = TapConfig {
        no_ipv6: true,
        ..everything
    };
    assert_eq!((tapped(no_ipv4, &v4).len(), tapped(no_ipv4, &v6).len()), (0, 1));
    assert_eq!((tapped(no_ipv6, &v4).len(), tapped(no_ipv6, &v6).len()), (1, 0));
}

#[test]
fn a_tapped_frame_names_where_it_came_from_and_went() {
    let mut lan = Lan::new();
    let alice = plug(&mut lan, "SID-ALICE-1");
    let bob = plug(&mut lan, "SID-BOB-2");
    lan.hub.set_tap(Some(TapConfig {
        levels: [1; 8],
        ..TapConfig::default()
    }));
    lan.send(bob, &frame(mac(2), mac(1), b"hello"));
    lan.send(alice, &frame(mac(1), mac(2), b"hello yourself"));
    let (refused, _) = lan.forward(alice, &frame(mac(1), mac(1), b"me"));
    assert_eq!(
        refused,
        Verdict::Dropped(DropReason::SamePort),
        "what goes nowhere is not logged"
    );
    let names: Vec<_> = lan
        .hub
        .take_tapped()
        .frames
        .into_iter()
        .map(|tapped| (tapped.from, tapped.to))
        .collect();
    assert_eq!(
        names,
        [
            ("SID-BOB-2".to_owned(), None),
            ("SID-ALICE-1".to_owned(), Some("SID-BOB-2".to_owned()))
        ]
    );
    lan.hub.set_tap(None);
    lan.send(alice, &frame(mac(1), mac(2), b"unseen"));
    assert!(lan.hub.take_tapped().frames.is_empty());
}

#[test]
fn a_tap_that_nobody_empties_holds_a_bounded_number_of_bytes_and_counts_the_rest() {
    let mut lan = Lan::new();
    let alice = plug(&mut lan, "SID-ALICE-1");
    plug(&mut lan, "SID-BOB-2");
    lan.hub.set_tap(Some(TapConfig {
        levels: [2; 8],
        ..TapConfig::default()
    }));
    let segment = tcp(|tcp| tcp.ack = true);
    let sent = 5000;
    for _ in 0..sent {
        lan.send(alice, &segment);
    }
    let taken = lan.hub.take_tapped();
    let held: usize = taken.frames.iter().map(|tapped| tapped.bytes.len()).sum();
    assert!(held <= 2 << 20, "{held} bytes");
    assert_eq!(taken.frames.len() as u64 + taken.lost, sent);
    assert!(taken.lost > 0);
    lan.send(alice, &segment);
    assert_eq!(lan.hub.take_tapped().frames.len(), 1, "there is room again");
}
