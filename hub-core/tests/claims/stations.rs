//! The MAC and IP tables as administrators see them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hub_core::hub::{Event, IP_LIFETIME, LEASED_IP_LIFETIME};
use hub_core::{DropReason, HubConfig, MacAddr, Verdict};

use crate::support::{Lan, arp, dhcp_reply, mac, udp4, udp6};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 10);
const OFFER: u8 = 2;
const ACK: u8 = 5;

#[test]
fn the_mac_table_tells_port_and_times() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    let first = lan.now;
    lan.announce(a, mac(1));
    lan.wait(5.0);
    lan.announce(a, mac(1));
    lan.announce(b, mac(2));
    let [one, two] = lan.mac_table().try_into().unwrap();
    assert_eq!((one.mac, one.port, one.vlan), (mac(1), a, None));
    assert_eq!((one.created, one.updated), (first, lan.now));
    assert_eq!((two.mac, two.port), (mac(2), b));
    assert_ne!(one.key, two.key);
}

#[test]
fn ip_addresses_are_learned_from_packets_and_from_arp() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    let link_local: Ipv6Addr = "fe80::1".parse().unwrap();
    lan.send(a, &udp4(mac(1), Ipv4Addr::new(10, 0, 0, 1)));
    lan.send(a, &udp6(mac(1), link_local));
    lan.send(b, &arp(mac(2), mac(2), CLIENT, Ipv4Addr::new(10, 0, 0, 1)));
    let rows: Vec<_> = lan
        .ip_table()
        .iter()
        .map(|row| (row.ip, row.mac, row.port, row.leased))
        .collect();
    assert_eq!(
        rows,
        [
            (IpAddr::from([10, 0, 0, 1]), mac(1), a, false),
            (link_local.into(), mac(1), a, false),
            (CLIENT.into(), mac(2), b, false),
        ]
    );
}

#[test]
fn an_ip_address_is_forgotten_after_60_seconds() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    lan.send(a, &udp4(mac(1), CLIENT));
    lan.wait(IP_LIFETIME.as_secs_f64() - 0.001);
    assert_eq!(lan.ip_table().len(), 1);
    lan.wait(0.001);
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn an_ip_address_belongs_to_the_last_station_that_used_it() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.send(a, &udp4(mac(1), CLIENT));
    lan.send(a, &udp4(mac(2), CLIENT));
    assert_eq!(lan.ip_table()[0].mac, mac(2));
    lan.send(b, &udp4(mac(3), CLIENT));
    let [row] = lan.ip_table().try_into().unwrap();
    assert_eq!((row.mac, row.port), (mac(3), b));
}

#[test]
fn arp_in_the_name_of_another_station_is_forwarded_and_not_believed() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    assert_eq!(lan.send(a, &arp(mac(1), mac(9), CLIENT, CLIENT)), [b]);
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn addresses_of_nobody_and_of_everybody_are_not_listed() {
    let mut lan = Lan::with_config(|config| {
        config.only_private_ipv4 = false;
        config.only_local_ipv6 = false;
    });
    let [a, _] = lan.ports();
    for ip in ["0.0.0.0", "0.0.0.7", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        lan.send(a, &udp4(mac(1), ip.parse().unwrap()));
    }
    for ip in ["::", "ff02::1"] {
        lan.send(a, &udp6(mac(1), ip.parse().unwrap()));
    }
    lan.send(a, &arp(mac(1), mac(1), Ipv4Addr::UNSPECIFIED, CLIENT));
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn public_addresses_are_listed_on_request() {
    let public: [IpAddr; 2] = ["8.8.8.8".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let private: [IpAddr; 6] = [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.9.9",
        "100.64.0.1",
        "fd00::1",
    ]
    .map(|ip| ip.parse().unwrap());
    for all in [false, true] {
        let mut lan = Lan::with_config(|config| {
            config.only_private_ipv4 = !all;
            config.only_local_ipv6 = !all;
        });
        let [a, _] = lan.ports();
        for ip in public.into_iter().chain(private) {
            match ip {
                IpAddr::V4(ip) => lan.send(a, &udp4(mac(1), ip)),
                IpAddr::V6(ip) => lan.send(a, &udp6(mac(1), ip)),
            };
        }
        let listed: Vec<_> = lan.ip_table().iter().map(|row| row.ip).collect();
        let expected: Vec<_> = public.into_iter().filter(|_| all).chain(private).collect();
        assert_eq!(listed, expected);
    }
}

#[test]
fn without_an_ip_table_nothing_is_listed() {
    let mut lan = Lan::with_config(|config| config.ip_table = false);
    let [a, b] = lan.ports();
    assert_eq!(lan.send(a, &udp4(mac(1), CLIENT)), [b]);
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn options_that_change_apply_to_what_is_seen_next() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    let public = Ipv4Addr::new(8, 8, 8, 8);
    lan.send(a, &udp4(mac(1), public));
    assert_eq!(lan.ip_table(), []);
    let all = HubConfig {
        only_private_ipv4: false,
        max_macs: 1,
        ..*lan.hub.config()
    };
    lan.hub.set_config(all);
    lan.send(a, &udp4(mac(1), public));
    assert_eq!(lan.ip_table().len(), 1);
    assert_eq!(
        lan.announce(a, mac(2)),
        Verdict::Dropped(DropReason::MacTableFull)
    );
    let none = HubConfig {
        ip_table: false,
        ..*lan.hub.config()
    };
    lan.hub.set_config(none);
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn a_dhcp_ack_lists_the_clients_address_behind_the_clients_port() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    lan.announce(client, mac(1));
    lan.send(server, &dhcp_reply(OFFER, mac(9), mac(1), CLIENT));
    assert!(
        lan.ip_table().iter().all(|row| row.ip != CLIENT),
        "an offer is not yet a lease"
    );
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    let row = lan.ip_table().into_iter().find(|row| row.ip == CLIENT).unwrap();
    assert_eq!((row.mac, row.port, row.leased), (mac(1), client, true));
}

#[test]
fn a_leased_address_is_remembered_for_300_seconds_and_stays_leased_in_use() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    lan.announce(client, mac(1));
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    lan.wait(200.0);
    lan.send(client, &udp4(mac(1), CLIENT));
    lan.wait(LEASED_IP_LIFETIME.as_secs_f64() - 0.001);
    lan.hub.handle_timeout(lan.now);
    let [row] = lan.ip_table().try_into().unwrap();
    assert!(row.leased);
    lan.wait(0.001);
    assert_eq!(lan.ip_table(), []);
}

#[test]
fn an_address_that_comes_back_after_it_was_forgotten_is_new() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    lan.announce(client, mac(1));
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    lan.wait(600.0);
    lan.send(client, &udp4(mac(1), CLIENT));
    let [ip] = lan.ip_table().try_into().unwrap();
    assert_eq!((ip.created, ip.leased), (lan.now, false));
    let [mac] = lan.mac_table().try_into().unwrap();
    assert_eq!(mac.created, lan.now);
}

#[test]
fn an_address_used_by_another_station_is_no_longer_leased() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    lan.announce(client, mac(1));
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    lan.send(client, &udp4(mac(2), CLIENT));
    let row = lan.ip_table().into_iter().find(|row| row.ip == CLIENT).unwrap();
    assert_eq!((row.mac, row.leased), (mac(2), false));
}

#[test]
fn a_lease_is_reported_once() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    lan.announce(client, mac(1));
    for _ in 0..2 {
        lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    }
    let lease = Event::AddressLeased {
        port: client,
        client: mac(1),
        address: CLIENT,
        server: Some(Ipv4Addr::new(10, 0, 0, 1)),
        lease_time: Some(Duration::from_secs(7200)),
    };
    assert_eq!(lan.hub.poll_event(), Some(lease));
    assert_eq!(lan.hub.poll_event(), None, "a renewal is not news");
}

#[test]
fn leases_that_nobody_fetches_take_bounded_memory() {
    let mut lan = Lan::new();
    let [server, client] = lan.ports();
    for n in 0..1000 {
        lan.announce(client, mac(n));
        let address = Ipv4Addr::from(0x0a00_0100 + n);
        lan.send(server, &dhcp_reply(ACK, mac(5000), mac(n), address));
    }
    let events: Vec<_> = std::iter::from_fn(|| lan.hub.poll_event()).collect();
    assert_eq!(events.len(), 256);
    assert!(matches!(events[255], Event::AddressLeased { client, .. } if client == mac(999)));
}

#[test]
fn a_lease_for_a_station_nobody_knows_is_ignored() {
    let mut lan = Lan::new();
    let [server, _] = lan.ports();
    lan.send(server, &dhcp_reply(ACK, mac(9), mac(1), CLIENT));
    assert!(lan.ip_table().iter().all(|row| row.ip != CLIENT));
    assert_eq!(lan.hub.poll_event(), None);
}

#[test]
fn detaching_a_port_forgets_its_ip_addresses() {
    let mut lan = Lan::new();
    let [a, b] = lan.ports();
    lan.send(a, &udp4(mac(1), CLIENT));
    lan.send(b, &udp4(mac(2), Ipv4Addr::new(10, 0, 0, 2)));
    lan.hub.detach(a);
    let [row] = lan.ip_table().try_into().unwrap();
    assert_eq!(row.port, b);
}

#[test]
fn a_deleted_ip_address_is_gone_until_it_is_used_again() {
    let mut lan = Lan::new();
    let [a, _] = lan.ports();
    lan.send(a, &udp4(mac(1), CLIENT));
    assert!(lan.hub.delete_ip(CLIENT.into()));
    assert!(!lan.hub.delete_ip(CLIENT.into()));
    assert_eq!(lan.ip_table(), []);
    lan.send(a, &udp4(mac(1), CLIENT));
    assert_eq!(lan.ip_table().len(), 1);
}

#[test]
fn equal_histories_give_equal_tables_whatever_the_seed() {
    let history = |seed| {
        let mut lan = Lan::with_config(|config| config.seed = seed);
        let ports: [_; 4] = lan.ports();
        for n in 0..100 {
            lan.send(
                ports[n as usize % 4],
                &udp4(mac(n % 37), Ipv4Addr::from(0x0a00_0000 + n % 61)),
            );
        }
        let macs: Vec<(u32, MacAddr)> = lan.mac_table().iter().map(|row| (row.key, row.mac)).collect();
        let ips: Vec<(u32, IpAddr)> = lan.ip_table().iter().map(|row| (row.key, row.ip)).collect();
        (macs, ips, *lan.hub.counters())
    };
    assert_eq!(history(1), history(2));
}
