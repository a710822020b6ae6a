//! What access rules do to frames that pass: loss, delay, redirection (policies §4).

use std::time::Duration;

use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use hub_core::access::{AccessList, Addresses, MAX_DELAY_MS, Rule};
use hub_core::hub::HELD_BYTES;
use hub_core::{DropReason, Frame, PortId, Verdict};

use crate::support::{Lan, frame, mac};

fn lan_with(change: impl FnOnce(&mut Rule)) -> (Lan, PortId, PortId) {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.announce(b, mac(2));
    let mut rule = Rule::new(1, false, Addresses::ANY_V4);
    change(&mut rule);
    lan.hub
        .set_access_list(AccessList::compile(&[rule], |_| [].into()));
    (lan, a, b)
}

fn hello() -> Frame {
    frame(mac(1), mac(2), b"hello")
}

/// What comes out of the delay line by now.
fn released(lan: &mut Lan) -> Vec<(PortId, Frame)> {
    let mut deliveries = Vec::new();
    let mut deliver = |to, frame: &Frame| deliveries.push((to, frame.clone()));
    lan.hub.release(lan.now, &mut deliver);
    deliveries
}

#[test]
fn a_delayed_frame_comes_when_its_time_has_come() {
    let (mut lan, a, b) = lan_with(|rule| rule.delay_ms = 100);
    assert_eq!(lan.hub.next_release(), None);
    assert_eq!(lan.send(a, &hello()), []);
    assert_eq!(lan.hub.next_release(), Some(lan.now + Duration::from_millis(100)));
    assert_eq!(lan.counters(b).sent.frames(), 0);
    lan.wait(0.0999);
    assert_eq!(released(&mut lan), []);
    lan.wait(0.0001);
    assert_eq!(released(&mut lan), [(b, hello())]);
    assert_eq!(lan.counters(b).sent.frames(), 1);
    assert_eq!(lan.hub.next_release(), None);
}

#[test]
fn frames_of_one_delay_stay_in_order() {
    let (mut lan, a, b) = lan_with(|rule| rule.delay_ms = 100);
    let say = |n: u8| frame(mac(1), mac(2), &[n]);
    for n in 0..20 {
        lan.send(a, &say(n));
    }
    lan.wait(1.0);
    let expected: Vec<_> = (0..20).map(|n| (b, say(n))).collect();
    assert_eq!(released(&mut lan), expected);
}

#[test]
fn jitter_spreads_the_delay_evenly_around_it() {
    let (mut lan, a, _) = lan_with(|rule| (rule.delay_ms, rule.jitter_percent) = (100, 50));
    let start = lan.now;
    let mut times = Vec::new();
    for _ in 0..1000 {
        lan.send(a, &hello());
        let due = lan.hub.next_release().unwrap();
        times.push(due.duration_since(start).as_millis());
        lan.now = due;
        released(&mut lan);
        lan.now = start;
    }
    assert!(times.iter().all(|time| (50..=150).contains(time)));
    let late = times.iter().filter(|time| **time > 100).count();
    assert!((400..600).contains(&late), "{late} of 1000 are late");
}

#[test]
fn a_delay_longer_than_the_longest_is_the_longest() {
    let (mut lan, a, _) = lan_with(|rule| rule.delay_ms = u32::MAX);
    lan.send(a, &hello());
    let longest = Duration::from_millis(MAX_DELAY_MS.into());
    assert_eq!(lan.hub.next_release(), Some(lan.now + longest));
}

#[test]
fn what_is_held_back_is_bounded_in_bytes() {
    let (mut lan, a, b) = lan_with(|rule| rule.delay_ms = MAX_DELAY_MS);
    let long = frame(mac(1), mac(2), &[0; 1500]);
    let room = HELD_BYTES / long.len();
    for _ in 0..room + 100 {
        lan.send(a, &long);
    }
    let refused = lan.dropped(b, DropReason::DelayLineFull);
    assert!(refused >= 100, "{refused} refused");
    lan.wait(10.0);
    let held = released(&mut lan).len();
    assert_eq!(
        held as u64 + refused,
        room as u64 + 100,
        "each is held or counted"
    );
    lan.send(a, &long);
    assert!(lan.hub.next_release().is_some(), "there is room again");
}

#[test]
fn a_port_that_is_gone_and_a_hub_that_goes_offline_get_nothing_late() {
    let (mut lan, a, b) = lan_with(|rule| rule.delay_ms = 100);
    lan.send(a, &hello());
    lan.hub.detach(b);
    lan.wait(1.0);
    assert_eq!(released(&mut lan), []);
    lan.send(a, &hello());
    lan.hub.set_online(false);
    assert_eq!(lan.hub.next_release(), None);
}

#[test]
fn as_many_frames_are_lost_as_the_rule_says() {
    for (percent, lost) in [(0, 0..=0), (20, 150..=250), (100, 1000..=1000)] {
        let (mut lan, a, b) = lan_with(|rule| rule.loss_percent = percent);
        let passed = (0..1000).filter(|_| lan.send(a, &hello()) == [b]).count();
        assert!(
            lost.contains(&(1000 - passed)),
            "{percent} %: {passed} of 1000 passed"
        );
        assert_eq!(lan.dropped(b, DropReason::Lost), 1000 - passed as u64);
    }
}

#[test]
fn the_same_seed_loses_the_same_frames() {
    let run = || {
        let (mut lan, a, _) = lan_with(|rule| rule.loss_percent = 50);
        (0..100).map(|_| lan.send(a, &hello()).len()).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

fn segment(v6: bool, payload: &[u8]) -> Frame {
    let builder = PacketBuilder::ethernet2(mac(1).octets(), mac(2).octets());
    let mut bytes = Vec::new();
    if v6 {
        let (from, to) = ([1; 16], [2; 16]);
        builder
            .ipv6(from, to, 64)
            .tcp(5000, 80, 1000, 500)
            .ack(2000)
            .write(&mut bytes, payload)
    } else {
        let (from, to) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        builder
            .ipv4(from, to, 64)
            .tcp(5000, 80, 1000, 500)
            .ack(2000)
            .write(&mut bytes, payload)
    }
    .unwrap();
    Frame::new(bytes)
}

#[test]
fn a_request_is_answered_with_the_address_and_goes_no_further() {
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example\r\n\r\n";
    for v6 in [false, true] {
        let (mut lan, a, b) = lan_with(|rule| {
            rule.redirect_url = "http://portal.example/\r\nSet-Cookie: x".to_owned();
        });
        let (verdict, deliveries) = lan.forward(a, &segment(v6, REQUEST));
        assert_eq!(verdict, Verdict::Dropped(DropReason::Redirected));
        let [(to, reply)] = &deliveries[..] else {
            panic!("one answer, not {deliveries:?}");
        };
        assert_eq!(*to, a);
        let sliced = SlicedPacket::from_ethernet(&reply.bytes).unwrap();
        let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
            panic!("it is not TCP");
        };
        assert_eq!((tcp.source_port(), tcp.destination_port()), (80, 5000));
        assert_eq!(tcp.sequence_number(), 2000);
        assert_eq!(tcp.acknowledgment_number(), 1000 + REQUEST.len() as u32);
        assert!(tcp.fin() && tcp.ack() && !tcp.syn());
        let text = String::from_utf8(tcp.payload().to_vec()).unwrap();
        assert!(text.starts_with("HTTP/1.1 302 "), "{text}");
        assert!(
            text.contains("\r\nLocation: http://portal.example/Set-Cookie: x\r\n"),
            "one line: {text}"
        );
        assert!(text.ends_with("\r\n\r\n"));
        let sum = match &sliced.net {
            Some(etherparse::NetSlice::Ipv4(ip)) => {
                assert_eq!(ip.header().destination(), [10, 0, 0, 1]);
                tcp.calc_checksum_ipv4(ip.header().source(), ip.header().destination())
            }
            Some(etherparse::NetSlice::Ipv6(ip)) => {
                tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination())
            }
            _ => panic!("it is not IP"),
        };
        assert_eq!(sum.unwrap(), tcp.checksum());
        assert_eq!(lan.counters(b).sent.frames(), 0);
    }
}

#[test]
fn segments_without_data_pass_a_rule_that_redirects() {
    let (mut lan, a, b) = lan_with(|rule| rule.redirect_url = "http://portal.example/".to_owned());
    assert_eq!(lan.send(a, &segment(false, b"")), [b]);
    assert_eq!(lan.send(a, &hello()), [b]);
}
