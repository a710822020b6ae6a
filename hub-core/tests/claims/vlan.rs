//! Ports that belong to a VLAN, and ports that see them all.

use hub_core::frame::Checksum;
use hub_core::hub::VlanId;
use hub_core::{DropReason, Frame, MacAddr, Verdict};

use crate::support::{Lan, frame, mac, tagged, train4};

const TEN: Option<VlanId> = VlanId::new(10);
const TWENTY: Option<VlanId> = VlanId::new(20);
const EVERYBODY: MacAddr = MacAddr::BROADCAST;

#[test]
fn vlan_numbers_are_1_to_4095() {
    assert_eq!(VlanId::new(0), None);
    assert_eq!(VlanId::new(4096), None);
    assert_eq!(VlanId::new(4095).map(VlanId::get), Some(4095));
}

#[test]
fn a_vlans_frames_are_plain_inside_and_tagged_outside() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let b = lan.port(|port| port.vlan = TEN);
    let _other = lan.port(|port| port.vlan = TWENTY);
    let [trunk] = lan.ports();
    let plain = frame(mac(1), EVERYBODY, b"hello");
    let outside = tagged(mac(1), EVERYBODY, 10, b"hello");
    assert_eq!(
        lan.forward(a, &plain),
        (Verdict::Flood(2), vec![(b, plain), (trunk, outside)])
    );

    let answer = tagged(mac(2), mac(1), 0x6000 | 10, b"hi");
    let inside = frame(mac(2), mac(1), b"hi");
    assert_eq!(
        lan.forward(trunk, &answer),
        (Verdict::Unicast(a), vec![(a, inside)])
    );
}

#[test]
fn untagged_frames_do_not_enter_a_vlan() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    let _member = lan.port(|port| port.vlan = TEN);
    assert_eq!(lan.say(a, mac(1), EVERYBODY), [b]);
}

#[test]
fn a_vlans_port_cannot_send_into_another_vlan() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let _b = lan.port(|port| port.vlan = TWENTY);
    for vlan in [10, 20] {
        let (verdict, deliveries) = lan.forward(a, &tagged(mac(1), EVERYBODY, vlan, b""));
        assert_eq!(verdict, Verdict::Dropped(DropReason::ForeignVlan));
        assert_eq!(deliveries, []);
    }
}

#[test]
fn one_address_in_two_vlans_is_two_stations() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let b = lan.port(|port| port.vlan = TWENTY);
    let [trunk] = lan.ports();
    lan.announce(a, mac(1));
    lan.announce(b, mac(1));
    assert_eq!(lan.send(trunk, &tagged(mac(2), mac(1), 10, b"")), [a]);
    assert_eq!(lan.send(trunk, &tagged(mac(2), mac(1), 20, b"")), [b]);
    assert_eq!(lan.mac_table().iter().filter(|row| row.mac == mac(1)).count(), 2);
    assert!(lan.hub.delete_mac(mac(1), TEN));
    assert!(!lan.hub.delete_mac(mac(1), TEN));
    assert_eq!(lan.mac_table().iter().filter(|row| row.mac == mac(1)).count(), 1);
}

#[test]
fn a_priority_tag_is_kept_and_gets_the_vlans_number() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let [trunk] = lan.ports();
    let urgent = tagged(mac(1), EVERYBODY, 0xe000, b"hello");
    let expected = tagged(mac(1), EVERYBODY, 0xe000 | 10, b"hello");
    assert_eq!(
        lan.forward(a, &urgent),
        (Verdict::Flood(1), vec![(trunk, expected)])
    );
}

#[test]
fn what_is_left_to_do_moves_with_the_tag() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let trunk = lan.port(|port| port.offload = true);
    let sent = train4(mac(1), mac(2), 10_000, 1000);
    let (_, deliveries) = lan.forward(a, &sent);
    let [(to, seen)] = &deliveries[..] else {
        panic!("one delivery")
    };
    assert_eq!(*to, trunk);
    assert_eq!(seen.bytes[12..16], [0x81, 0x00, 0, 10]);
    assert_eq!(seen.bytes[16..], sent.bytes[12..]);
    assert_eq!(
        seen.offload.checksum,
        Checksum::Partial {
            start: 38,
            offset: 16
        }
    );
    assert_eq!(seen.offload.segmentation.map(|s| s.header_len), Some(58));

    let back = Frame {
        bytes: [&seen.bytes[6..12], &seen.bytes[..6], &seen.bytes[12..]]
            .concat()
            .into(),
        offload: seen.offload,
    };
    let b = lan.port(|port| (port.vlan, port.offload) = (TEN, true));
    lan.announce(b, mac(1));
    let (_, deliveries) = lan.forward(trunk, &back);
    let untagged = deliveries.iter().find(|(to, _)| *to == b).unwrap();
    assert_eq!(untagged.1.offload, sent.offload);
    assert_eq!(untagged.1.bytes[12..], sent.bytes[12..]);
}

/// Nobody but this hub reads such a tag, so nobody could finish the frame.
#[test]
fn no_unfinished_frame_gets_a_tag_that_nobody_else_reads() {
    let mut lan = Lan::with_config(|config| config.vlan_type = 0x9999);
    let a = lan.port(|port| (port.vlan, port.offload) = (TEN, true));
    let b = lan.port(|port| (port.vlan, port.offload) = (TEN, true));
    let trunk = lan.port(|port| port.offload = true);
    let sent = train4(mac(1), EVERYBODY, 10_000, 1000);
    assert_eq!(lan.send(a, &sent), [b]);
    assert_eq!(lan.dropped(trunk, DropReason::OffloadRefused), 1);
    let tagged = [&sent.bytes[..12], &[0x99, 0x99, 0, 10], &sent.bytes[12..]].concat();
    let mut tagged = Frame {
        bytes: tagged.into(),
        ..sent
    };
    tagged.offload.checksum = Checksum::Partial {
        start: 38,
        offset: 16,
    };
    assert_eq!(
        lan.forward(trunk, &tagged).0,
        Verdict::Dropped(DropReason::BadOffload)
    );
}

#[test]
fn what_is_counted_is_what_was_handed_over() {
    let mut lan = Lan::new();
    let a = lan.port(|port| port.vlan = TEN);
    let b = lan.port(|port| port.vlan = TEN);
    let [trunk] = lan.ports();
    lan.send(a, &frame(mac(1), EVERYBODY, &[0; 86]));
    assert_eq!(lan.counters(b).sent.broadcast_bytes, 100);
    assert_eq!(lan.counters(trunk).sent.broadcast_bytes, 104);
    assert_eq!(lan.hub.counters().sent.broadcast_bytes, 204);
}

#[test]
fn tags_are_of_the_type_that_the_hub_says() {
    let mut lan = Lan::with_config(|config| config.vlan_type = 0x1234);
    let [trunk] = lan.ports();
    let inside = lan.port(|port| port.vlan = VlanId::new(7));
    let (_, deliveries) = lan.forward(inside, &frame(mac(1), mac(2), b"hello"));
    let [(to, tagged)] = &deliveries[..] else {
        panic!("to the trunk alone, not {deliveries:?}");
    };
    assert_eq!((*to, &tagged.bytes[12..16]), (trunk, &[0x12, 0x34, 0, 7][..]));
    let mut answer = tagged.bytes.to_vec();
    answer[..6].copy_from_slice(&mac(1).octets());
    answer[6..12].copy_from_slice(&mac(2).octets());
    let (_, deliveries) = lan.forward(trunk, &Frame::new(answer));
    assert_eq!(deliveries, [(inside, frame(mac(2), mac(1), b"hello"))]);
}

#[test]
fn one_station_in_two_vlans_is_one_where_vlans_are_not_kept_apart() {
    for apart in [true, false] {
        let mut lan = Lan::with_config(|config| config.vlans_apart = apart);
        let [trunk] = lan.ports();
        for vlan in [7, 8] {
            lan.send(trunk, &tagged(mac(1), mac(2), vlan, b"hello"));
        }
        assert_eq!(lan.mac_table().len(), if apart { 2 } else { 1 });
    }
}
