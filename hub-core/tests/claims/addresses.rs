//! Whose IP address is whose (policies `CheckIP`, `DHCPForce`, `MaxIP` and their relatives), rates and storms.

use std::net::{Ipv4Addr, Ipv6Addr};

use hub_core::hub::{StormLimit, TAKE_OVER_AFTER};
use hub_core::{DropReason, Frame, MacAddr, Verdict};

use crate::support::{Lan, arp, dhcp_reply, frame, mac, udp4, udp6};

const ACK: u8 = 5;

fn ten(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

#[test]
fn an_address_in_use_cannot_be_taken_where_that_is_checked() {
    let local: Ipv6Addr = "fe80::7".parse().unwrap();
    let of = |station| [udp4(mac(station), ten(1)), udp6(mac(station), local)];
    for version in 0..2 {
        let mut lan = Lan::new();
        let [owner] = lan.ports();
        let checked = lan.port(|port| (port.check_ipv4, port.check_ipv6) = (version == 0, version == 1));
        let [free] = lan.ports();
        lan.send(owner, &of(1)[version]);
        let taken = Verdict::Dropped(DropReason::IpInUse);
        assert_eq!(lan.forward(checked, &of(2)[version]).0, taken);
        assert_eq!(lan.forward(checked, &of(2)[1 - version]).0, Verdict::Flood(2));
        lan.wait(TAKE_OVER_AFTER.as_secs_f64());
        assert_eq!(lan.forward(checked, &of(2)[version]).0, Verdict::Flood(2));
        assert_eq!(
            lan.forward(free, &of(3)[version]).0,
            Verdict::Flood(2),
            "it is not bound"
        );
    }
}

#[test]
fn only_leased_addresses_may_be_used_where_that_is_forced() {
    let mut lan = Lan::new();
    let [server] = lan.ports();
    let forced = lan.port(|port| port.leased_only = true);
    let refused = Verdict::Dropped(DropReason::NotLeased);
    assert_eq!(lan.forward(forced, &udp4(mac(1), ten(5))).0, refused);
    let probe = arp(mac(1), mac(1), Ipv4Addr::UNSPECIFIED, ten(5));
    assert_eq!(
        lan.forward(forced, &probe).0,
        Verdict::Flood(1),
        "a probe claims nothing"
    );
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), ten(5)));
    assert_eq!(lan.forward(forced, &udp4(mac(1), ten(5))).0, Verdict::Flood(1));
    assert_eq!(lan.forward(forced, &udp4(mac(1), ten(6))).0, refused);
    let public = Ipv4Addr::new(203, 0, 113, 1);
    assert_eq!(
        lan.forward(forced, &udp4(mac(1), public)).0,
        refused,
        "listed or not"
    );
    let claim = arp(mac(1), mac(1), ten(6), ten(7));
    assert_eq!(lan.forward(forced, &claim).0, refused);
    let other = udp6(mac(1), "fe80::1".parse().unwrap());
    assert_eq!(lan.forward(forced, &other).0, Verdict::Flood(1));
}

#[test]
fn a_lease_counts_where_it_is_forced_though_the_table_lists_no_such_address() {
    for (address, table) in [(Ipv4Addr::new(203, 0, 113, 1), true), (ten(5), false)] {
        let mut lan = Lan::with_config(|config| config.ip_table = table);
        let [server] = lan.ports();
        let forced = lan.port(|port| port.leased_only = true);
        lan.announce(forced, mac(1));
        lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), address));
        assert_eq!(lan.forward(forced, &udp4(mac(1), address)).0, Verdict::Flood(1));
        let other = lan.forward(forced, &udp4(mac(1), ten(6))).0;
        assert_eq!(other, Verdict::Dropped(DropReason::NotLeased));
        let listed = lan.ip_table().iter().any(|entry| entry.ip == address);
        assert_eq!(listed, table);
    }
}

#[test]
fn the_versions_of_ip_have_limits_of_their_own() {
    let mut lan = Lan::new();
    let [_] = lan.ports();
    let limited = lan.port(|port| (port.max_ipv4, port.max_ipv6) = (Some(1), Some(2)));
    let v6 = |host| udp6(mac(1), Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host));
    let refused = Verdict::Dropped(DropReason::IpLimit);
    assert_eq!(lan.forward(limited, &udp4(mac(1), ten(1))).0, Verdict::Flood(1));
    assert_eq!(lan.forward(limited, &udp4(mac(1), ten(2))).0, refused);
    assert_eq!(lan.forward(limited, &v6(1)).0, Verdict::Flood(1));
    assert_eq!(lan.forward(limited, &v6(2)).0, Verdict::Flood(1));
    assert_eq!(lan.forward(limited, &v6(3)).0, refused);
}

#[test]
fn rates_let_a_seconds_worth_pass_and_then_as_much_as_they_say() {
    let body = [7; 986];
    let kilobyte = |from: u32, to: u32| frame(mac(from), mac(to), &body);
    let mut lan = Lan::new();
    let [plain] = lan.ports();
    lan.announce(plain, mac(1));
    let slow = lan.port(|port| (port.upload, port.download) = (Some(80_000), Some(160_000)));
    let passed =
        |lan: &mut Lan, from, frame: &Frame| (0..50).filter(|_| !lan.send(from, frame).is_empty()).count();
    assert_eq!(passed(&mut lan, slow, &kilobyte(2, 1)), 10);
    assert_eq!(passed(&mut lan, plain, &kilobyte(1, 2)), 20);
    assert_eq!(lan.dropped(slow, DropReason::UploadRate), 40);
    assert_eq!(lan.dropped(slow, DropReason::DownloadRate), 30);
    lan.wait(0.5);
    assert_eq!(passed(&mut lan, slow, &kilobyte(2, 1)), 5);
    let request = arp(mac(2), mac(2), ten(2), ten(1));
    assert_eq!(
        lan.send(slow, &request),
        [plain],
        "neighbours are found all the same"
    );
}

#[test]
fn a_storm_of_broadcasts_is_cut_down_to_the_limit() {
    let storm = |lan: &mut Lan, from, seconds: u32| {
        let broadcast = frame(mac(1), MacAddr::BROADCAST, b"hello");
        let mut passed = 0;
        for _ in 0..seconds * 100 {
            passed += usize::from(!lan.send(from, &broadcast).is_empty());
            lan.wait(0.01);
        }
        passed
    };
    let mut lan = Lan::new();
    let [flooder, _] = lan.ports();
    assert_eq!(storm(&mut lan, flooder, 1), 100, "no storm yet");
    storm(&mut lan, flooder, 2);
    assert!((31..=33).contains(&storm(&mut lan, flooder, 1)));
    let to_one = frame(mac(1), mac(2), b"hello");
    assert_eq!(lan.send(flooder, &to_one).len(), 1, "a storm is of broadcasts");
    lan.wait(60.0);
    assert_eq!(storm(&mut lan, flooder, 1), 100, "it is over");

    let exempt = lan.port(|port| port.storm_limit = false);
    assert_eq!(storm(&mut lan, exempt, 4), 400);

    let mut strict = Lan::with_config(|config| {
        config.storm = StormLimit {
            per_second: 50,
            strict: true,
        };
    });
    let [flooder, _] = strict.ports();
    let passed = storm(&mut strict, flooder, 1);
    assert!(
        (95..=100).contains(&passed),
        "{passed}: a second's worth at once, and the rate"
    );
    let passed = storm(&mut strict, flooder, 1);
    assert!((49..=51).contains(&passed), "{passed}");
    assert!(strict.dropped(flooder, DropReason::Storm) > 0);
}
