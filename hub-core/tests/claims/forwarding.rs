//! Where frames go, where they do not, and what is counted.

use hub_core::frame::Checksum;
use hub_core::hub::{Drops, MAC_LIFETIME, TAKE_OVER_AFTER, Traffic};
use hub_core::{DropReason, Frame, MacAddr, Offload, PortConfig, PortKind, Verdict};

use crate::support::{Lan, frame, mac, train4};

const EVERYBODY: MacAddr = MacAddr::BROADCAST;

#[test]
fn unknown_destinations_reach_everybody_but_the_sender() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    assert_eq!(lan.say(a, mac(1), mac(2)), [b, c]);
}

#[test]
fn known_destinations_reach_one_port() {
    let mut lan = Lan::new();
    let [a, b, _] = lan.ports();
    lan.announce(b, mac(2));
    assert_eq!(lan.say(a, mac(1), mac(2)), [b]);
}

#[test]
fn groups_reach_everybody_even_if_they_look_known() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    for group in [
        EVERYBODY,
        MacAddr::new([0x01, 0, 0x5e, 0, 0, 251]),
        MacAddr::new([0x33, 0x33, 0, 0, 0, 1]),
    ] {
        lan.say(b, mac(2), group);
        assert_eq!(lan.say(a, mac(1), group), [b, c], "{group}");
    }
}

#[test]
fn moved_mac_follows_its_last_port() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.announce(b, mac(2));
    assert_eq!(lan.say(a, mac(1), mac(2)), [b]);
    lan.announce(c, mac(2));
    assert_eq!(lan.say(a, mac(1), mac(2)), [c]);
    assert_eq!(lan.mac_table().iter().filter(|row| row.mac == mac(2)).count(), 1);
}

#[test]
fn a_silent_mac_is_forgotten_after_600_seconds() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.announce(b, mac(2));
    lan.wait(MAC_LIFETIME.as_secs_f64() - 0.001);
    assert_eq!(
        lan.say(a, mac(1), mac(2)),
        [b],
        "being sent to keeps nobody alive"
    );
    lan.wait(0.001);
    assert_eq!(lan.say(a, mac(1), mac(2)), [b, c]);
    assert!(lan.mac_table().iter().all(|row| row.mac != mac(2)));
}

#[test]
fn a_mac_that_sends_is_remembered() {
    let mut lan = Lan::new();
    let [a, b, _] = lan.ports();
    for _ in 0..4 {
        lan.announce(b, mac(2));
        lan.wait(599.0);
        lan.hub.handle_timeout(lan.now);
    }
    assert_eq!(lan.say(a, mac(1), mac(2)), [b]);
}

#[test]
fn detaching_a_port_forgets_its_stations_and_no_others() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.announce(b, mac(2));
    lan.announce(c, mac(3));
    assert!(lan.hub.detach(b).is_some());
    assert!(lan.hub.detach(b).is_none());
    assert_eq!(lan.say(a, mac(1), mac(2)), [c]);
    assert_eq!(lan.say(a, mac(1), mac(3)), [c]);
    assert_eq!(lan.hub.ports().map(|port| port.id).collect::<Vec<_>>(), [a, c]);
}

#[test]
fn a_detached_port_is_not_mistaken_for_its_successor() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.hub.detach(b);
    let [successor] = lan.ports();
    assert_ne!(b, successor);
    assert_eq!(
        lan.forward(b, &frame(mac(2), EVERYBODY, b"")).0,
        Verdict::Dropped(DropReason::UnknownPort)
    );
    assert!(lan.hub.port(b).is_none() && lan.hub.port_counters(b).is_none());
    assert_eq!(lan.say(a, mac(1), EVERYBODY), [successor]);
    assert_eq!(lan.counters(successor).dropped, Drops::default());
}

#[test]
fn monitoring_ports_hear_everything_and_say_nothing() {
    let mut lan = Lan::new();
    let [a, b, _] = lan.ports();
    let monitor = lan.port(|port| port.monitor = true);
    lan.announce(a, mac(1));
    lan.announce(b, mac(2));
    assert_eq!(lan.say(a, mac(1), mac(2)), [b, monitor]);
    assert_eq!(
        lan.forward(monitor, &frame(mac(1), mac(2), b"")).0,
        Verdict::Dropped(DropReason::MonitorPort)
    );
    assert_eq!(
        lan.say(b, mac(2), mac(1)),
        [a, monitor],
        "what a monitor says teaches nothing"
    );
    lan.hub.detach(monitor);
    assert_eq!(lan.say(a, mac(1), mac(2)), [b]);
}

#[test]
fn an_offline_hub_forwards_nothing_and_forgets() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.announce(b, mac(2));
    lan.hub.set_online(false);
    assert_eq!(
        lan.forward(a, &frame(mac(1), mac(2), b"")).0,
        Verdict::Dropped(DropReason::Offline)
    );
    assert_eq!(lan.mac_table(), []);
    lan.hub.set_online(true);
    assert_eq!(lan.say(a, mac(1), mac(2)), [b, c]);
}

#[test]
fn frames_that_break_the_rules_are_dropped_with_their_reason() {
    let partial = |start| Offload {
        checksum: Checksum::Partial { start, offset: 16 },
        ..Offload::NONE
    };
    let group = MacAddr::new([0x03, 0, 0, 0, 0, 1]);
    let cases = [
        (DropReason::TooShort, Frame::new(vec![0; 13])),
        (DropReason::TooShort, Frame::default()),
        (DropReason::TooLong, frame(mac(1), mac(2), &[0; 1600 - 13])),
        (DropReason::BadSource, frame(EVERYBODY, mac(2), b"")),
        (DropReason::BadSource, frame(group, mac(2), b"")),
        (DropReason::BadSource, frame(MacAddr::ZERO, mac(2), b"")),
        (DropReason::BadDestination, frame(mac(1), MacAddr::ZERO, b"")),
        (
            DropReason::BadOffload,
            Frame {
                offload: partial(34),
                ..frame(mac(1), mac(2), &[0; 37])
            },
        ),
        (DropReason::SamePort, frame(mac(1), mac(1), b"")),
    ];
    for (reason, frame) in cases {
        let mut lan = Lan::new();
        let [a, b] = lan.ports();
        lan.announce(b, mac(2));
        let (verdict, deliveries) = lan.forward(a, &frame);
        assert_eq!(verdict, Verdict::Dropped(reason));
        assert_eq!(deliveries, []);
        assert_eq!(lan.counters(a).dropped.iter().collect::<Vec<_>>(), [(reason, 1)]);
        assert_eq!(lan.hub.counters().dropped.of(reason), 1);
        assert_eq!(lan.counters(a).received, Traffic::default(), "{reason}");
    }
}

#[test]
fn the_shortest_and_the_longest_frame_pass() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.announce(b, mac(2));
    for body in [0, 1600 - 14] {
        assert_eq!(lan.send(a, &frame(mac(1), mac(2), &vec![0; body])), [b]);
    }
}

#[test]
fn a_frame_for_a_station_behind_the_same_port_stays_there() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    lan.announce(a, mac(2));
    assert_eq!(
        lan.forward(a, &frame(mac(1), mac(2), b"")).0,
        Verdict::Dropped(DropReason::SamePort)
    );
}

#[test]
fn check_mac_gives_an_address_away_after_13_seconds_of_silence() {
    let mut lan = Lan::new();
    let [a, owner] = lan.ports();
    let taker = lan.port(|port| port.check_mac = true);
    lan.announce(owner, mac(2));
    lan.wait(TAKE_OVER_AFTER.as_secs_f64() - 0.001);
    assert_eq!(
        lan.announce(taker, mac(2)),
        Verdict::Dropped(DropReason::MacInUse)
    );
    assert_eq!(lan.say(a, mac(1), mac(2)), [owner]);
    lan.wait(0.001);
    assert_eq!(lan.announce(taker, mac(2)), Verdict::Flood(2));
    assert_eq!(lan.say(a, mac(1), mac(2)), [taker]);
    assert_eq!(
        lan.announce(owner, mac(2)),
        Verdict::Flood(2),
        "a port without the check takes it at once"
    );
}

#[test]
fn local_bridges_check_macs_unless_told_otherwise() {
    assert!(PortConfig::new(PortKind::LocalBridge, "SID-LOCALBRIDGE-1").check_mac);
    assert!(!PortConfig::new(PortKind::Session, "SID-ALICE-1").check_mac);
}

#[test]
fn super_frames_reach_only_ports_that_take_them() {
    let mut lan = Lan::new();
    let [a, plain] = lan.ports();
    let capable = lan.port(|port| port.offload = true);
    lan.announce(plain, mac(2));
    lan.announce(capable, mac(3));
    let to = |station| train4(mac(1), station, 40_000, 1448);

    let (verdict, deliveries) = lan.forward(a, &to(mac(3)));
    assert_eq!(verdict, Verdict::Unicast(capable));
    assert_eq!(deliveries, [(capable, to(mac(3)))], "whole, with its description");
    assert_eq!(
        lan.forward(a, &to(mac(2))),
        (Verdict::Dropped(DropReason::OffloadRefused), vec![])
    );
    assert_eq!(lan.forward(a, &to(EVERYBODY)).0, Verdict::Flood(1));
    assert_eq!(lan.dropped(plain, DropReason::OffloadRefused), 2);
    assert_eq!(
        lan.dropped(a, DropReason::OffloadRefused),
        0,
        "it is not the sender's fault"
    );
}

#[test]
fn verified_checksums_reach_every_port() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    let verified = Offload {
        checksum: Checksum::Verified,
        ..Offload::NONE
    };
    assert_eq!(
        lan.send(
            a,
            &Frame {
                offload: verified,
                ..frame(mac(1), EVERYBODY, b"")
            }
        ),
        [b]
    );
}

#[test]
fn every_frame_and_byte_is_counted_once_each_way() {
    let mut lan = Lan::new();
    let [a, b, c] = lan.ports();
    lan.send(b, &frame(mac(2), EVERYBODY, &[0; 86]));
    for _ in 0..3 {
        lan.send(a, &frame(mac(1), mac(2), &[0; 186]));
    }
    let traffic = |unicast_frames, unicast_bytes, broadcast_frames, broadcast_bytes| Traffic {
        unicast_frames,
        unicast_bytes,
        broadcast_frames,
        broadcast_bytes,
    };
    assert_eq!(lan.counters(a).received, traffic(3, 600, 0, 0));
    assert_eq!(lan.counters(a).sent, traffic(0, 0, 1, 100));
    assert_eq!(lan.counters(b).received, traffic(0, 0, 1, 100));
    assert_eq!(lan.counters(b).sent, traffic(3, 600, 0, 0));
    assert_eq!(lan.counters(c).received, Traffic::default());
    assert_eq!(lan.counters(c).sent, traffic(0, 0, 1, 100));
    let mut both = lan.counters(a).received;
    both += lan.counters(b).received;
    assert_eq!(lan.hub.counters().received, both);
    assert_eq!(lan.hub.counters().sent, traffic(3, 600, 2, 200));
    assert_eq!((both.frames(), both.bytes()), (4, 700));
}

#[test]
fn the_hub_remembers_the_traffic_of_ports_that_left() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    lan.announce(a, mac(1));
    let before = *lan.hub.counters();
    let last = lan.hub.detach(a).unwrap();
    assert_eq!(last.counters.received.broadcast_frames, 1);
    assert_eq!(*lan.hub.counters(), before);
}

#[test]
fn a_full_queue_takes_the_delivery_back() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.announce(b, mac(2));
    let message = frame(mac(1), mac(2), b"hello");
    lan.send(a, &message);
    lan.send(a, &message);
    lan.hub.refused(b, &message);
    assert_eq!(lan.counters(b).sent.unicast_frames, 1);
    assert_eq!(lan.counters(b).sent.unicast_bytes, message.len() as u64);
    assert_eq!(lan.dropped(b, DropReason::QueueFull), 1);
}

#[test]
fn drop_reasons_have_distinct_names_and_one_line_texts() {
    let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), DropReason::ALL.len());
    for reason in DropReason::ALL {
        assert!(!reason.to_string().contains('\n'));
    }
}
