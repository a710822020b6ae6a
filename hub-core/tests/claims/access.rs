//! The access list (policies §4): the first rule that matches decides.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{PacketBuilder, TcpHeader};
use hub_core::access::{AccessList, Addresses, Masked, PortRange, Rule, TcpState};
use hub_core::{DropReason, Frame, MacAddr, PortId, PortKind, Verdict};

use crate::support::{Lan, arp, frame, mac, udp4, udp6};

const DISCARDED: Verdict = Verdict::Dropped(DropReason::AccessList);

fn pass(priority: u32, change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule::new(priority, false, Addresses::ANY_V4);
    change(&mut rule);
    rule
}

fn discard(priority: u32, change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = pass(priority, change);
    rule.discard = true;
    rule
}

fn source(address: [u8; 4], mask: [u8; 4]) -> Addresses {
    let Addresses::V4 { destination, .. } = Addresses::ANY_V4 else {
        unreachable!()
    };
    Addresses::V4 {
        source: Masked {
            address: address.into(),
            mask: mask.into(),
        },
        destination,
    }
}

fn tcp(from: u16, to: u16, flags: impl FnOnce(&mut TcpHeader)) -> Frame {
    let mut header = TcpHeader::new(from, to, 1, 1000);
    flags(&mut header);
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp_header(header)
        .write(&mut bytes, b"")
        .unwrap();
    Frame::new(bytes)
}

/// A hub with Alice of group staff, Bob and SecureNAT.
struct Office {
    lan: Lan,
    alice: PortId,
    bob: PortId,
    nat: PortId,
}

impl Office {
    fn with_rules(rules: &[Rule]) -> Self {
        let mut lan = Lan::new();
        lan.hub.set_access_list(AccessList::compile(rules, |file| {
            assert_eq!(file, "users.txt");
            ["Alice".to_owned()].into()
        }));
        let alice = lan.port(|port| {
            port.user = Some("alice".to_owned());
            port.group = Some("Staff".to_owned());
        });
        let bob = lan.port(|port| port.user = Some("bob".to_owned()));
        let nat = lan.port(|port| {
            port.kind = PortKind::SecureNat;
            port.user = Some("SecureNAT".to_owned());
        });
        Self { lan, alice, bob, nat }
    }

    fn alice_sends(&mut self, frame: &Frame) -> Verdict {
        self.lan.forward(self.alice, frame).0
    }
}

#[test]
fn the_first_rule_by_priority_decides_and_no_rule_passes() {
    let from_ten = |last| udp4(mac(1), Ipv4Addr::new(10, 0, 0, last));
    let rules = [
        discard(20, |rule| {
            rule.addresses = source([10, 0, 0, 0], [255, 255, 255, 0]);
        }),
        pass(10, |rule| rule.addresses = source([10, 0, 0, 7], [255; 4])),
    ];
    let mut office = Office::with_rules(&rules);
    assert_eq!(office.alice_sends(&from_ten(7)), Verdict::Flood(2));
    assert_eq!(office.alice_sends(&from_ten(8)), DISCARDED);
    let elsewhere = udp4(mac(1), Ipv4Addr::new(192, 168, 0, 1));
    assert_eq!(office.alice_sends(&elsewhere), Verdict::Flood(2));
}

#[test]
fn of_one_priority_what_passes_goes_first_and_inactive_rules_do_not_count() {
    let rules = [
        discard(10, |_| {}),
        pass(10, |_| {}),
        discard(1, |rule| rule.active = false),
    ];
    let mut office = Office::with_rules(&rules);
    assert_eq!(
        office.alice_sends(&udp4(mac(1), [10, 0, 0, 1].into())),
        Verdict::Flood(2)
    );
}

#[test]
fn a_rule_without_conditions_matches_every_frame() {
    let mut office = Office::with_rules(&[discard(1, |_| {})]);
    assert_eq!(office.alice_sends(&frame(mac(1), mac(2), b"")), DISCARDED);
}

#[test]
fn a_rule_with_addresses_is_about_its_own_version_of_ip() {
    let mut office = Office::with_rules(&[discard(1, |rule| rule.protocol = 17)]);
    let local: Ipv6Addr = "fe80::1".parse().unwrap();
    assert_eq!(office.alice_sends(&udp6(mac(1), local)), Verdict::Flood(2));
    assert_eq!(office.alice_sends(&udp4(mac(1), [10, 0, 0, 1].into())), DISCARDED);
}

#[test]
fn arp_is_matched_with_rules_about_ipv4_only_on_request() {
    let rules = [discard(1, |rule| {
        rule.addresses = source([10, 0, 0, 1], [255; 4]);
    })];
    let mut office = Office::with_rules(&rules);
    let request = arp(mac(1), mac(1), [10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    assert_eq!(office.alice_sends(&request), Verdict::Flood(2));
    let mut config = *office.lan.hub.config();
    config.arp_as_ipv4 = true;
    office.lan.hub.set_config(config);
    assert_eq!(office.alice_sends(&request), DISCARDED);
}

#[test]
fn ports_match_inclusive_ranges_of_tcp_and_udp() {
    let rules = [discard(1, |rule| {
        rule.destination_ports = PortRange { start: 80, end: 90 };
    })];
    let mut office = Office::with_rules(&rules);
    for (port, verdict) in [
        (79, Verdict::Flood(2)),
        (80, DISCARDED),
        (90, DISCARDED),
        (91, Verdict::Flood(2)),
    ] {
        assert_eq!(office.alice_sends(&tcp(5000, port, |_| {})), verdict, "{port}");
    }
    for (start, end, verdict) in [
        (80, 0, DISCARDED),
        (90, 70, Verdict::Flood(2)),
        (0, 80, DISCARDED),
    ] {
        let range = PortRange { start, end };
        let mut office = Office::with_rules(&[discard(1, |rule| rule.destination_ports = range)]);
        let sent = office.alice_sends(&tcp(5000, 80, |_| {}));
        assert_eq!(sent, verdict, "{start} to {end}");
    }
}

#[test]
fn a_first_segment_is_unestablished_and_all_others_are_established() {
    for (state, first, later) in [
        (TcpState::Unestablished, DISCARDED, Verdict::Flood(2)),
        (TcpState::Established, Verdict::Flood(2), DISCARDED),
    ] {
        let mut office = Office::with_rules(&[discard(1, |rule| rule.tcp_state = Some(state))]);
        assert_eq!(office.alice_sends(&tcp(1, 2, |tcp| tcp.syn = true)), first);
        assert_eq!(
            office.alice_sends(&tcp(1, 2, |tcp| (tcp.syn, tcp.ack) = (true, true))),
            later
        );
        assert_eq!(office.alice_sends(&tcp(1, 2, |tcp| tcp.ack = true)), later);
        assert_eq!(
            office.alice_sends(&udp4(mac(1), [10, 0, 0, 1].into())),
            Verdict::Flood(2)
        );
    }
}

#[test]
fn a_piece_that_hides_the_tcp_header_does_not_pass_by_a_rule() {
    let mut office = Office::with_rules(&[discard(1, |rule| rule.tcp_state = Some(TcpState::Established))]);
    let whole = tcp(1, 2, |tcp| tcp.ack = true);
    let mut tiny = whole.bytes[..14 + 20 + 8].to_vec();
    tiny[16..18].copy_from_slice(&28_u16.to_be_bytes());
    tiny[20] = 0x20;
    let hidden = Verdict::Dropped(DropReason::BrokenPacket);
    assert_eq!(office.alice_sends(&Frame::new(tiny.clone())), hidden);
    tiny[20..22].copy_from_slice(&[0, 1]);
    assert_eq!(office.alice_sends(&Frame::new(tiny)), hidden);
}

#[test]
fn ethernet_addresses_match_under_a_mask() {
    let vendor = Masked {
        address: MacAddr::new([2, 0, 0, 0, 0, 1]),
        mask: MacAddr::new([255, 255, 255, 255, 255, 255]),
    };
    let mut office = Office::with_rules(&[discard(1, |rule| rule.source_mac = Some(vendor))]);
    assert_eq!(office.alice_sends(&frame(mac(1), mac(2), b"")), DISCARDED);
    assert_eq!(office.alice_sends(&frame(mac(3), mac(2), b"")), Verdict::Flood(2));
    let any = Masked {
        mask: MacAddr::ZERO,
        ..vendor
    };
    let mut office = Office::with_rules(&[discard(1, |rule| rule.destination_mac = Some(any))]);
    assert_eq!(office.alice_sends(&frame(mac(3), mac(2), b"")), DISCARDED);
}

#[test]
fn a_sender_is_named_by_user_or_group_in_any_case() {
    for name in ["ALICE", "staff"] {
        let mut office = Office::with_rules(&[discard(1, |rule| rule.source_user = name.to_owned())]);
        assert_eq!(
            office.alice_sends(&frame(mac(1), mac(2), b"")),
            DISCARDED,
            "{name}"
        );
        assert_eq!(
            office.lan.send(office.bob, &frame(mac(3), mac(2), b"")).len(),
            2,
            "{name}"
        );
    }
}

#[test]
fn user_files_include_or_exclude_and_never_match_the_servers_own_ports() {
    for (name, alice, bob) in [("include:users.txt", 0, 2), ("exclude: users.txt", 2, 0)] {
        let mut office = Office::with_rules(&[discard(1, |rule| rule.source_user = name.to_owned())]);
        assert_eq!(
            office.lan.send(office.alice, &frame(mac(1), mac(9), b"")).len(),
            alice,
            "{name}"
        );
        assert_eq!(
            office.lan.send(office.bob, &frame(mac(2), mac(9), b"")).len(),
            bob,
            "{name}"
        );
        assert_eq!(
            office.lan.send(office.nat, &frame(mac(3), mac(9), b"")).len(),
            2,
            "{name}"
        );
    }
}

#[test]
fn a_rule_that_names_receivers_is_asked_for_each_of_them() {
    let rules = [
        pass(1, |rule| rule.destination_user = "bob".to_owned()),
        discard(2, |_| {}),
    ];
    let mut office = Office::with_rules(&rules);
    let (alice, bob) = (office.alice, office.bob);
    assert_eq!(office.lan.say(alice, mac(1), MacAddr::BROADCAST), [bob]);
    assert_eq!(office.lan.dropped(office.nat, DropReason::AccessList), 1);
}

#[test]
fn a_decision_that_needs_no_receiver_is_not_asked_for_again() {
    let rules = [
        pass(1, |rule| rule.source_user = "alice".to_owned()),
        discard(2, |rule| rule.destination_user = "bob".to_owned()),
    ];
    let mut office = Office::with_rules(&rules);
    let (alice, bob, nat) = (office.alice, office.bob, office.nat);
    assert_eq!(office.lan.say(alice, mac(1), MacAddr::BROADCAST), [bob, nat]);
    assert_eq!(office.lan.say(nat, mac(2), MacAddr::BROADCAST), [alice]);
}

#[test]
fn a_new_list_holds_from_the_next_frame_of_a_known_flow() {
    let mut office = Office::with_rules(&[pass(1, |_| {})]);
    let hello = frame(mac(1), mac(2), b"");
    assert_eq!(office.alice_sends(&hello), Verdict::Flood(2));
    office
        .lan
        .hub
        .set_access_list(AccessList::compile(&[discard(1, |_| {})], |_| [].into()));
    assert_eq!(office.alice_sends(&hello), DISCARDED);
    office.lan.hub.set_access_list(AccessList::default());
    assert_eq!(office.alice_sends(&hello), Verdict::Flood(2));
}
