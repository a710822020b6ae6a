//! Memory is bounded, and whoever is there first stays.

use hub_core::hub::{IP_LIFETIME, MAC_LIFETIME};
use hub_core::{DropReason, Verdict};
use std::net::Ipv4Addr;

use crate::support::{Lan, mac, udp4};

#[test]
fn a_port_at_its_mac_limit_keeps_its_macs_and_gets_no_more() {
    let mut lan = Lan::new();
    let [a] = lan.ports();
    let limited = lan.port(|port| port.max_macs = Some(3));
    for n in 1..=3 {
        assert_eq!(lan.announce(limited, mac(n)), Verdict::Flood(1));
    }
    assert_eq!(
        lan.announce(limited, mac(4)),
        Verdict::Dropped(DropReason::MacLimit)
    );
    assert_eq!(lan.announce(limited, mac(1)), Verdict::Flood(1));
    assert_eq!(
        lan.announce(a, mac(4)),
        Verdict::Flood(1),
        "others are free to use it"
    );
    assert_eq!(
        lan.announce(limited, mac(4)),
        Verdict::Dropped(DropReason::MacLimit),
        "nor by moving"
    );
    assert_eq!(lan.say(limited, mac(1), mac(4)), [a]);
}

#[test]
fn a_mac_that_moves_away_makes_room() {
    let mut lan = Lan::new();
    let [a] = lan.ports();
    let limited = lan.port(|port| port.max_macs = Some(1));
    lan.announce(limited, mac(1));
    lan.announce(a, mac(1));
    assert_eq!(lan.announce(limited, mac(2)), Verdict::Flood(1));
}

#[test]
fn a_mac_that_is_deleted_or_expires_makes_room() {
    let mut lan = Lan::new();
    let [_] = lan.ports();
    let limited = lan.port(|port| port.max_macs = Some(1));
    lan.announce(limited, mac(1));
    assert!(lan.hub.delete_mac(mac(1), None));
    assert!(!lan.hub.delete_mac(mac(1), None));
    assert_eq!(lan.announce(limited, mac(2)), Verdict::Flood(1));
    lan.wait(MAC_LIFETIME.as_secs_f64());
    assert_eq!(lan.announce(limited, mac(3)), Verdict::Flood(1));
    lan.wait(MAC_LIFETIME.as_secs_f64());
    assert_eq!(
        lan.announce(limited, mac(3)),
        Verdict::Flood(1),
        "its own, forgotten and seen again"
    );
}

#[test]
fn a_full_table_keeps_what_it_knows() {
    let mut lan = Lan::with_config(|config| config.max_macs = 100);
    let [a, b, c] = lan.ports();
    lan.announce(b, mac(0));
    for n in 1..100 {
        assert_eq!(lan.announce(c, mac(n)), Verdict::Flood(2));
    }
    for n in 100..1000 {
        assert_eq!(
            lan.announce(c, mac(n)),
            Verdict::Dropped(DropReason::MacTableFull)
        );
    }
    assert_eq!(lan.mac_table().len(), 100);
    assert_eq!(
        lan.say(c, mac(1), mac(0)),
        [b],
        "still unicast: the flood has not made a repeater of the switch"
    );
    assert_eq!(
        lan.announce(a, mac(99)),
        Verdict::Flood(2),
        "a known address may still move"
    );
}

#[test]
fn one_port_can_fill_a_quarter_of_the_table() {
    let mut lan = Lan::new();
    let [flooder, other] = lan.ports();
    for n in 0..70_000 {
        lan.announce(flooder, mac(n));
    }
    assert_eq!(lan.mac_table().len(), 16_384);
    assert_eq!(lan.announce(other, mac(100_000)), Verdict::Flood(1));
}

#[test]
fn expired_addresses_give_their_memory_back_in_time() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    assert_eq!(lan.hub.poll_timeout(), None);
    lan.send(a, &udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(lan.hub.poll_timeout(), Some(lan.now + IP_LIFETIME));
    let mac_expiry = lan.now + MAC_LIFETIME;
    lan.now += IP_LIFETIME;
    lan.hub.handle_timeout(lan.now);
    assert_eq!(lan.hub.poll_timeout(), Some(mac_expiry));
    lan.now = mac_expiry;
    lan.hub.handle_timeout(lan.now);
    assert_eq!(lan.hub.poll_timeout(), None);
}

#[test]
fn room_that_expired_addresses_take_is_there_for_news_at_once() {
    let mut lan = Lan::with_config(|config| config.max_macs = 1000);
    let [a, b] = lan.ports();
    for n in 0..1000 {
        lan.announce(a, mac(n));
    }
    assert_eq!(
        lan.announce(b, mac(2000)),
        Verdict::Dropped(DropReason::MacTableFull)
    );
    lan.now += MAC_LIFETIME;
    for n in 2000..3000 {
        assert_eq!(lan.announce(b, mac(n)), Verdict::Flood(1));
    }
    assert_eq!(lan.mac_table().len(), 1000);
    assert_eq!(lan.hub.mac_count(lan.now), 1000);
}

#[test]
fn tables_are_counted_as_they_are_listed() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    let counts = |lan: &mut Lan| {
        let listed = (lan.mac_table().len(), lan.ip_table().len());
        assert_eq!((lan.hub.mac_count(lan.now), lan.hub.ip_count(lan.now)), listed);
        listed
    };
    for host in 1..=10 {
        lan.send(a, &udp4(mac(host), Ipv4Addr::new(10, 0, 0, host as u8)));
    }
    assert_eq!(counts(&mut lan), (10, 10));
    lan.now += IP_LIFETIME;
    lan.send(b, &udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(counts(&mut lan), (10, 1));
    assert_eq!(lan.hub.last_sent(lan.now, b), Some(lan.now));
    assert_eq!(lan.hub.last_sent(lan.now, a), Some(lan.now - IP_LIFETIME));
    assert_eq!(lan.hub.port_of(lan.now, mac(1)), Some(b));
    assert_eq!(
        (lan.hub.port_count(), lan.hub.port_of(lan.now, mac(99))),
        (2, None)
    );
    lan.hub.detach(b);
    assert_eq!((lan.hub.port_count(), counts(&mut lan)), (1, (9, 0)));
    lan.now += MAC_LIFETIME;
    assert_eq!(counts(&mut lan), (0, 0));
}

#[test]
fn a_port_at_its_own_ip_limit_sends_no_packets_from_one_more() {
    let mut lan = Lan::new();
    let [_] = lan.ports();
    let limited = lan.port(|port| port.max_ipv4 = Some(2));
    let from = |host| udp4(mac(1), Ipv4Addr::new(10, 0, 0, host));
    for host in [1, 2, 1, 2] {
        assert_eq!(lan.forward(limited, &from(host)).0, Verdict::Flood(1));
    }
    assert_eq!(
        lan.forward(limited, &from(3)).0,
        Verdict::Dropped(DropReason::IpLimit)
    );
    assert_eq!(lan.ip_table().len(), 2);
}

#[test]
fn a_full_ip_table_lists_no_more_and_stops_no_packet() {
    let mut lan = Lan::with_config(|config| {
        config.max_ips = 3;
        config.ips_per_port = 2;
    });
    let [a, b] = lan.ports();
    for host in 1..=10 {
        assert_eq!(
            lan.forward(a, &udp4(mac(1), Ipv4Addr::new(10, 0, 0, host))).0,
            Verdict::Flood(1)
        );
    }
    assert_eq!(lan.ip_table().len(), 2);
    for host in 11..=20 {
        assert_eq!(
            lan.forward(b, &udp4(mac(2), Ipv4Addr::new(10, 0, 0, host))).0,
            Verdict::Flood(1)
        );
    }
    assert_eq!(lan.ip_table().len(), 3);
}
