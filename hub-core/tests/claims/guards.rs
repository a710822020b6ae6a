//! What a port may not send or receive (policies §1), and what nobody on a hub may (policies §2).

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use hub_core::access::{AccessList, Addresses, Rule};
use hub_core::guard::{Families, Guards, HubFilters};
use hub_core::hub::Privacy;
use hub_core::{DropReason, Frame, MacAddr, PortConfig, PortId, Verdict};
use proptest::prelude::*;

use crate::support::{Lan, arp, dhcp_reply, frame, mac, udp4, udp6};

const GROUP6: [u8; 6] = [0x33, 0x33, 0, 0, 0, 1];
const DISCOVER: u8 = 1;
const OFFER: u8 = 2;

fn local() -> [u8; 16] {
    "fe80::1".parse::<Ipv6Addr>().unwrap().octets()
}

fn everybody() -> [u8; 16] {
    "ff02::1".parse::<Ipv6Addr>().unwrap().octets()
}

/// An ICMPv6 message of this type to everybody.
fn icmp6(kind: u8) -> Frame {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), GROUP6)
        .ipv6(local(), everybody(), 255)
        .icmpv6_raw(kind, 0, [64, 0, 7, 8])
        .write(&mut bytes, &[0; 8])
        .unwrap();
    Frame::new(bytes)
}

/// A UDP datagram over IPv6 to everybody.
fn datagram6(source: u16, destination: u16) -> Frame {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), GROUP6)
        .ipv6(local(), everybody(), 255)
        .udp(source, destination)
        .write(&mut bytes, &[1, 1, 2, 3])
        .unwrap();
    Frame::new(bytes)
}

/// The second segment of a TCP handshake.
fn grant(v6: bool) -> Frame {
    let builder = PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets());
    let mut bytes = Vec::new();
    if v6 {
        let builder = builder.ipv6(local(), local(), 64);
        builder
            .tcp(80, 5000, 1, 1000)
            .syn()
            .ack(1)
            .write(&mut bytes, b"")
            .unwrap();
    } else {
        let builder = builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
        builder
            .tcp(80, 5000, 1, 1000)
            .syn()
            .ack(1)
            .write(&mut bytes, b"")
            .unwrap();
    }
    Frame::new(bytes)
}

/// What a DHCP client says.
fn discover() -> Frame {
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[1, 1, 6]);
    message[236..].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    message.extend_from_slice(&[53, 1, DISCOVER, 255]);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), [0xff; 6])
        .ipv4([0; 4], [255; 4], 64)
        .udp(68, 67)
        .write(&mut bytes, &message)
        .unwrap();
    Frame::new(bytes)
}

fn offer() -> Frame {
    dhcp_reply(OFFER, mac(1), mac(2), Ipv4Addr::new(10, 0, 0, 9))
}

/// A port with guards, and one without.
struct Guarded {
    lan: Lan,
    inside: PortId,
    outside: PortId,
}

impl Guarded {
    fn by(guards: Guards) -> Self {
        let mut lan = Lan::new();
        let inside = lan.port(|port| port.guards = guards);
        let [outside] = lan.ports();
        Self { lan, inside, outside }
    }

    /// Whether a frame gets out, and whether one like it gets in.
    fn passes(&mut self, frame: &Frame) -> (bool, bool) {
        let out = !self.lan.send(self.inside, frame).is_empty();
        self.lan.hub.delete_mac(mac(1), None);
        let into = !self.lan.send(self.outside, frame).is_empty();
        self.lan.hub.delete_mac(mac(1), None);
        (out, into)
    }
}

/// Frames, and whether each of them gets out and in.
type Expectation = (&'static str, Frame, (bool, bool));

const BOTH: (bool, bool) = (true, true);
const IN: (bool, bool) = (false, true);
const NEITHER: (bool, bool) = (false, false);

#[test]
fn every_guard_keeps_out_what_it_says_and_nothing_else() {
    let arp = || arp(mac(1), mac(1), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let v4 = || udp4(mac(1), [10, 0, 0, 1].into());
    let v6 = || udp6(mac(1), local().into());
    let other = || frame(mac(1), MacAddr::BROADCAST, b"something else");
    let families = |ipv4, ipv6, other| Guards {
        families: Families { ipv4, ipv6, other },
        ..Guards::default()
    };
    let none = Guards::default();
    let table: Vec<(&str, Guards, Vec<Expectation>)> = vec![
        (
            "nothing",
            none,
            vec![
                ("UDP", v4(), BOTH),
                ("ARP", arp(), BOTH),
                ("a grant", grant(false), BOTH),
                ("DHCP", discover(), BOTH),
            ],
        ),
        (
            "IPv4",
            families(true, false, false),
            vec![
                ("UDP", v4(), NEITHER),
                ("ARP", arp(), NEITHER),
                ("IPv6", v6(), BOTH),
                ("other", other(), BOTH),
            ],
        ),
        (
            "IPv6",
            families(false, true, false),
            vec![
                ("UDP", v4(), BOTH),
                ("ARP", arp(), BOTH),
                ("IPv6", v6(), NEITHER),
                ("other", other(), BOTH),
            ],
        ),
        (
            "other",
            families(false, false, true),
            vec![
                ("UDP", v4(), BOTH),
                ("ARP", arp(), BOTH),
                ("IPv6", v6(), BOTH),
                ("other", other(), NEITHER),
            ],
        ),
        (
            "DHCP",
            Guards { dhcp: true, ..none },
            vec![
                ("a client", discover(), NEITHER),
                ("a server", offer(), NEITHER),
                ("UDP", v4(), BOTH),
            ],
        ),
        (
            "DHCP servers",
            Guards {
                dhcp_server: true,
                ..none
            },
            vec![("a client", discover(), BOTH), ("a server", offer(), IN)],
        ),
        (
            "DHCPv6",
            Guards { dhcpv6: true, ..none },
            vec![
                ("a client", datagram6(546, 547), NEITHER),
                ("a server", datagram6(547, 546), NEITHER),
                ("UDP", v6(), BOTH),
            ],
        ),
        (
            "DHCPv6 servers",
            Guards {
                dhcpv6_server: true,
                ..none
            },
            vec![
                ("a client", datagram6(546, 547), BOTH),
                ("a server", datagram6(547, 546), IN),
                ("a relay", datagram6(547, 547), IN),
                ("from any port", datagram6(1000, 546), IN),
            ],
        ),
        (
            "router messages",
            Guards {
                router_messages: true,
                ..none
            },
            vec![
                ("a solicitation", icmp6(133), NEITHER),
                ("an advertisement", icmp6(134), NEITHER),
                ("a ping", icmp6(128), BOTH),
            ],
        ),
        (
            "advertisements",
            Guards {
                router_advertisements: true,
                ..none
            },
            vec![
                ("a solicitation", icmp6(133), BOTH),
                ("an advertisement", icmp6(134), IN),
            ],
        ),
        (
            "servers",
            Guards {
                tcp_server: true,
                ..none
            },
            vec![
                ("a grant", grant(false), IN),
                ("a grant over IPv6", grant(true), BOTH),
            ],
        ),
        (
            "servers over IPv6",
            Guards {
                tcp_server_v6: true,
                ..none
            },
            vec![
                ("a grant", grant(false), BOTH),
                ("a grant over IPv6", grant(true), IN),
            ],
        ),
        (
            "broadcasts",
            Guards {
                broadcasts: true,
                ..none
            },
            vec![
                ("ARP", arp(), BOTH),
                ("DHCP", discover(), BOTH),
                ("ICMPv6", icmp6(143), BOTH),
                ("DHCPv6", datagram6(546, 547), BOTH),
                ("UDP", v4(), NEITHER),
                ("UDP over IPv6", datagram6(1, 2), NEITHER),
                ("other", other(), NEITHER),
                ("other to one", frame(mac(1), mac(2), b""), BOTH),
            ],
        ),
    ];
    for (name, guards, frames) in table {
        let mut guarded = Guarded::by(guards);
        for (what, frame, expected) in frames {
            assert_eq!(guarded.passes(&frame), expected, "{name}: {what}");
        }
    }
}

#[test]
fn an_option_header_does_not_hide_an_advertisement() {
    let plain = icmp6(134);
    let mut bytes = plain.bytes[..54].to_vec();
    bytes[18..20].copy_from_slice(&(plain.bytes.len() as u16 - 54 + 8).to_be_bytes());
    bytes[20] = 60;
    bytes.extend_from_slice(&[58, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend_from_slice(&plain.bytes[54..]);
    let guards = Guards {
        router_messages: true,
        ..Guards::default()
    };
    assert_eq!(Guarded::by(guards).passes(&Frame::new(bytes)), NEITHER);
}

#[test]
fn a_first_piece_of_a_dhcp_message_counts_as_one() {
    let mut piece = offer().bytes[..14 + 20 + 8 + 16].to_vec();
    piece[16..18].copy_from_slice(&44_u16.to_be_bytes());
    piece[20] = 0x20;
    let guards = Guards {
        dhcp_server: true,
        ..Guards::default()
    };
    assert_eq!(Guarded::by(guards).passes(&Frame::new(piece)), IN);
}

#[test]
fn packets_that_hide_what_they_are_go_nowhere() {
    let whole = grant(false);
    let cut = |length: usize| {
        let mut bytes = whole.bytes[..14 + length].to_vec();
        bytes[16..18].copy_from_slice(&(length as u16).to_be_bytes());
        bytes
    };
    let mut over_flags = cut(28);
    over_flags[21] = 1;
    let mut long = whole.bytes.to_vec();
    long[16] = 9;
    let table = [
        ("half a TCP header", cut(28)),
        ("a piece over the flags", over_flags),
        ("half an IP header", whole.bytes[..30].to_vec()),
        ("more than there is", long),
    ];
    for (what, bytes) in table {
        let mut lan = Lan::new();
        let [a, _] = lan.ports();
        let verdict = lan.forward(a, &Frame::new(bytes)).0;
        assert_eq!(verdict, Verdict::Dropped(DropReason::BrokenPacket), "{what}");
    }
}

#[test]
fn without_ip_parsing_nothing_is_told_from_a_packet() {
    let mut lan = Lan::with_config(|config| config.ip_parsing = false);
    let [_] = lan.ports();
    let guarded = lan.port(|port| {
        port.guards.tcp_server = true;
        port.max_ipv4 = Some(0);
    });
    assert_eq!(lan.forward(guarded, &grant(false)).0, Verdict::Flood(1));
    let broken = Frame::new(grant(false).bytes[..30].to_vec());
    assert_eq!(lan.forward(guarded, &broken).0, Verdict::Flood(1));
}

#[test]
fn hub_filters_hold_for_everybody() {
    let raw = |destination: [u8; 6], kind: u16| {
        Frame::new([&destination[..], &mac(1).octets(), &kind.to_be_bytes(), &[0; 46]].concat())
    };
    let mut ospf = Vec::new();
    let packet = PacketBuilder::ethernet2(mac(1).octets(), [1, 0, 0x5e, 0, 0, 5]).ipv4(
        [10, 0, 0, 1],
        [224, 0, 0, 5],
        1,
    );
    packet
        .write(&mut ospf, etherparse::IpNumber(89), &[2, 1, 0, 44])
        .unwrap();
    let filters = |change: fn(&mut HubFilters)| {
        let mut filters = HubFilters::default();
        change(&mut filters);
        filters
    };
    let table = [
        (
            "PPPoE discovery",
            filters(|on| on.pppoe = true),
            raw(mac(2).octets(), 0x8863),
        ),
        (
            "PPPoE session",
            filters(|on| on.pppoe = true),
            raw(mac(2).octets(), 0x8864),
        ),
        ("OSPF", filters(|on| on.ospf = true), Frame::new(ospf)),
        (
            "spanning tree",
            filters(|on| on.bpdu = true),
            raw([1, 0x80, 0xc2, 0, 0, 0], 38),
        ),
        (
            "a family",
            filters(|on| on.families.other = true),
            raw(mac(2).octets(), 0x88b5),
        ),
    ];
    for (what, filters, frame) in table {
        let mut lan = Lan::new();
        let [a, _] = lan.ports();
        assert_eq!(lan.forward(a, &frame).0, Verdict::Flood(1), "{what}");
        let mut config = *lan.hub.config();
        config.filters = filters;
        lan.hub.set_config(config);
        assert_eq!(
            lan.forward(a, &frame).0,
            Verdict::Dropped(DropReason::Family),
            "{what}"
        );
    }
}

#[test]
fn private_ports_do_not_reach_each_other_and_reach_all_others() {
    for (drop_broadcasts, drop_arp, broadcast, arp_broadcast) in [
        (true, true, false, false),
        (false, true, true, true),
        (true, false, false, true),
    ] {
        let mut lan = Lan::with_config(|config| {
            config.privacy = Privacy {
                drop_broadcasts,
                drop_arp,
            };
        });
        let [open] = lan.ports();
        let [one, other] = [(); 2].map(|()| lan.port(|port| port.private = true));
        lan.announce(open, mac(3));
        let everybody = lan.send(one, &udp4(mac(1), [10, 0, 0, 1].into()));
        assert_eq!(everybody.contains(&other), broadcast);
        assert!(everybody.contains(&open));
        let request = arp(mac(1), mac(1), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(lan.send(one, &request).contains(&other), arp_broadcast);
        lan.announce(other, mac(2));
        assert_eq!(lan.say(one, mac(1), mac(2)), []);
        assert_eq!(
            lan.dropped(other, DropReason::Privacy),
            1 + 2 * u64::from(!broadcast) - u64::from(!broadcast && arp_broadcast)
        );
        assert_eq!(lan.say(one, mac(1), mac(3)), [open]);
        assert_eq!(lan.say(open, mac(3), mac(1)), [one]);
    }
}

#[test]
fn an_advertisement_reaches_a_port_without_its_default_router() {
    let mut lan = Lan::new();
    let [router, plain] = lan.ports();
    let by_ipv6 = lan.port(|port| port.over_ipv6 = true);
    let careful = lan.port(|port| port.no_default_router = true);
    let advertisement = icmp6(134);
    let (_, deliveries) = lan.forward(router, &advertisement);
    let got = |port| {
        deliveries
            .iter()
            .find(|(to, _)| *to == port)
            .map(|(_, frame)| frame)
    };
    assert_eq!(got(plain), Some(&advertisement));
    let changed = got(careful).unwrap();
    assert_eq!(changed.bytes[60..62], [0, 0], "a lifetime of 0 s");
    let sliced = etherparse::SlicedPacket::from_ethernet(&changed.bytes).unwrap();
    let Some(etherparse::TransportSlice::Icmpv6(icmp)) = sliced.transport else {
        panic!("it is no ICMPv6 any more");
    };
    assert!(icmp.is_checksum_valid(local(), everybody()));
    let (_, again) = lan.forward(router, &Frame::new(changed.bytes.clone()));
    assert!(again.iter().all(|(_, frame)| frame == changed));

    for strip in [false, true] {
        let mut config = *lan.hub.config();
        config.no_default_router_over_ipv6 = strip;
        lan.hub.set_config(config);
        let (_, deliveries) = lan.forward(router, &advertisement);
        let over_ipv6 = deliveries.iter().find(|(to, _)| *to == by_ipv6).unwrap();
        assert_eq!(over_ipv6.1 == *changed, strip);
        let over_ipv4 = deliveries.iter().find(|(to, _)| *to == plain).unwrap();
        assert_eq!(over_ipv4.1, advertisement);
    }
}

#[test]
fn a_larger_segment_size_is_made_smaller_and_the_checksum_follows() {
    let offer = |padding: &[etherparse::TcpOptionElement], mss: u16| {
        let options = [padding, &[etherparse::TcpOptionElement::MaximumSegmentSize(mss)]].concat();
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(5000, 80, 1, 1000)
            .syn()
            .options(&options)
            .unwrap()
            .write(&mut bytes, b"")
            .unwrap();
        Frame::new(bytes)
    };
    let mut lan = Lan::with_config(|config| config.segment_size = Some(1200));
    let [a, _] = lan.ports();
    let odd = [etherparse::TcpOptionElement::Noop];
    for padding in [&[][..], &odd] {
        for (offered, passed) in [(1460, 1200), (1000, 1000)] {
            let (_, deliveries) = lan.forward(a, &offer(padding, offered));
            assert_eq!(deliveries[0].1, offer(padding, passed), "{offered}");
        }
    }
}

/// Bytes that look like a frame: the types that the hub looks into, and lengths and headers that are true by chance only.
fn nearly_a_frame() -> impl Strategy<Value = Vec<u8>> {
    let kinds: &[u16] = &[0x0800, 0x86dd, 0x0806, 0x8100, 0x8863, 38];
    let first = prop::sample::select(&[0x45_u8, 0x46, 0x60, 0x00, 0x0f][..]);
    let protocol = prop::sample::select(&[6_u8, 17, 58, 1, 44, 60, 89][..]);
    (
        prop::sample::select(kinds),
        first,
        protocol,
        any::<bool>(),
        prop::collection::vec(any::<u8>(), 0..120),
    )
        .prop_map(|(kind, first, protocol, to_group, mut payload)| {
            let length = payload.len() as u16;
            if payload.len() > 40 {
                payload[0] = first;
                if kind == 0x86dd {
                    payload[4..6].copy_from_slice(&(length - 40).to_be_bytes());
                    payload[6] = protocol;
                } else {
                    payload[2..4].copy_from_slice(&length.to_be_bytes());
                    payload[9] = protocol;
                }
            }
            let destination = if to_group { GROUP6 } else { mac(2).octets() };
            [&destination[..], &mac(1).octets(), &kind.to_be_bytes(), &payload].concat()
        })
}

proptest! {
    #[test]
    fn no_frame_panics_and_each_is_counted_once_whatever_is_in_force(
        frames in prop::collection::vec(nearly_a_frame(), 1..50),
    ) {
        let mut lan = Lan::with_config(|config| {
            config.segment_size = Some(500);
            config.arp_as_ipv4 = true;
            config.filters.ospf = true;
        });
        let rule = Rule {
            redirect_url: "http://portal.example/".to_owned(),
            loss_percent: 10,
            delay_ms: 5,
            jitter_percent: 100,
            ..Rule::new(1, false, Addresses::ANY_V4)
        };
        lan.hub.set_access_list(AccessList::compile(&[rule], |_| [].into()));
        let strict = |port: &mut PortConfig| {
            port.guards = Guards { dhcp: true, dhcp_server: true, tcp_server: true, broadcasts: true, ..Guards::default() };
            (port.check_ipv4, port.leased_only, port.private) = (true, true, true);
            (port.no_default_router, port.upload, port.download) = (true, Some(8_000), Some(8_000));
        };
        let ports = [lan.port(strict), lan.port(|port| port.no_default_router = true)];
        for (n, bytes) in frames.iter().enumerate() {
            lan.send(ports[n % 2], &Frame::new(bytes.clone()));
            lan.wait(0.01);
            let now = lan.now;
            lan.hub.release(now, &mut |_, _| {});
        }
        let counters = lan.hub.counters();
        let on_the_way_out = [DropReason::Privacy, DropReason::DownloadRate, DropReason::Lost, DropReason::Family,
            DropReason::Dhcp, DropReason::RouterMessage, DropReason::Broadcast, DropReason::OffloadRefused];
        let sure: u64 = counters.dropped.iter().filter(|(reason, _)| !on_the_way_out.contains(reason)).map(|(_, count)| count).sum();
        prop_assert!(counters.received.frames() + sure <= frames.len() as u64);
        prop_assert!(counters.received.frames() + counters.dropped.total() >= frames.len() as u64);
    }
}
