//! Published hosts: a client outside, this namespace as the NAT instance, a private server behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use nat::Tag;
use nat::dnat::{DnatRule, Publisher};
use support::hosts::{Host, serve, who_am_i};
use support::{in_namespace, ruleset, run, setting};

fn rule(name: &str, ports: &str, to: &str, source: &str, dest: &str) -> DnatRule {
    DnatRule::parse(name, "tcp", ports, to, source, dest).unwrap()
}

struct Lab {
    client: Host,
    server: Host,
    publisher: Publisher,
}

impl Lab {
    fn new() -> Self {
        netdev::sysctl::write("net.ipv4.ip_forward", "0").unwrap();
        run(
            "nft",
            "add table inet other { chain c { type filter hook forward priority 0; counter; }; }",
        );
        let client = Host::join("wan0", "203.0.113.1", "203.0.113.10", true);
        let server = Host::join("lan0", "10.0.1.1", "10.0.1.26", true);
        server.serve("10.0.1.26:80");
        Lab {
            client,
            server,
            publisher: Publisher::kernel(Tag::new("t1")),
        }
    }
}

#[test]
fn a_client_outside_reaches_the_private_host_under_its_own_address() {
    in_namespace(|| async {
        let lab = Lab::new();
        let before = ruleset();
        assert_eq!(lab.client.who_am_i("203.0.113.1:8080"), None);
        let applied = lab
            .publisher
            .apply(&[rule("web", "8080", "10.0.1.26:80", "", "")])
            .await
            .unwrap();
        assert_eq!(applied.warnings, Vec::<String>::new());
        assert_eq!(
            lab.client.who_am_i("203.0.113.1:8080").as_deref(),
            Some("203.0.113.10")
        );
        assert_eq!(setting("net.ipv4.ip_forward"), "1");
        assert_eq!(lab.publisher.counters().await.unwrap()["web"].connections, 1);
        lab.publisher.clear().await.unwrap();
        assert_eq!(lab.client.who_am_i("203.0.113.1:8080"), None);
        assert_eq!(
            (ruleset(), setting("net.ipv4.ip_forward")),
            (before, "0".to_owned())
        );
    });
}

#[test]
fn the_machine_itself_and_the_hosts_neighbours_reach_it_too() {
    in_namespace(|| async {
        let lab = Lab::new();
        lab.publisher
            .apply(&[rule("web", "80", "10.0.1.26", "", "")])
            .await
            .unwrap();
        assert_eq!(
            who_am_i("203.0.113.1:80").as_deref(),
            Some("10.0.1.1"),
            "from the machine itself"
        );
        assert_eq!(
            lab.server.who_am_i("203.0.113.1:80").as_deref(),
            Some("10.0.1.1"),
            "hairpin"
        );
        serve("127.0.0.1:80");
        assert_eq!(
            who_am_i("127.0.0.1:80").as_deref(),
            Some("127.0.0.1"),
            "loopback is left alone"
        );
    });
}

#[test]
fn what_is_only_passing_through_is_left_alone() {
    in_namespace(|| async {
        let lab = Lab::new();
        lab.server.serve("10.0.1.26:443");
        serve("203.0.113.1:443");
        // Published to a place where nobody listens: a packet caught by mistake would be lost.
        lab.publisher
            .apply(&[rule("other", "443", "10.0.1.99:1", "", "198.51.100.1")])
            .await
            .unwrap();
        assert!(
            lab.client.who_am_i("203.0.113.1:443").is_some(),
            "another address of this machine"
        );
        lab.publisher
            .apply(&[rule("all", "443", "10.0.1.99:1", "", "")])
            .await
            .unwrap();
        assert_eq!(
            lab.client.who_am_i("10.0.1.26:443").as_deref(),
            Some("203.0.113.10"),
            "routed traffic"
        );
        assert_eq!(lab.client.who_am_i("203.0.113.1:443"), None);
    });
}

#[test]
fn a_rule_holds_for_its_sources_only() {
    in_namespace(|| async {
        let lab = Lab::new();
        lab.publisher
            .apply(&[rule("web", "80", "10.0.1.26", "198.51.100.0/24", "")])
            .await
            .unwrap();
        assert_eq!(lab.client.who_am_i("203.0.113.1:80"), None);
        lab.publisher
            .apply(&[rule("web", "80", "10.0.1.26", "203.0.113.0/24", "")])
            .await
            .unwrap();
        assert!(lab.client.who_am_i("203.0.113.1:80").is_some());
    });
}

#[test]
fn a_range_keeps_its_ports() {
    in_namespace(|| async {
        let lab = Lab::new();
        lab.server.serve("10.0.1.26:8003");
        lab.publisher
            .apply(&[rule("range", "8000-8010", "10.0.1.26", "", "203.0.113.1")])
            .await
            .unwrap();
        assert!(lab.client.who_am_i("203.0.113.1:8003").is_some());
        assert_eq!(lab.client.who_am_i("203.0.113.1:8004"), None);
    });
}

#[test]
fn counters_go_on_when_other_rules_change_and_a_refused_set_changes_nothing() {
    in_namespace(|| async {
        let lab = Lab::new();
        let web = rule("web", "80", "10.0.1.26", "", "");
        lab.publisher.apply(std::slice::from_ref(&web)).await.unwrap();
        lab.client.who_am_i("203.0.113.1:80").unwrap();
        lab.publisher
            .apply(&[web.clone(), rule("more", "81", "10.0.1.26", "", "")])
            .await
            .unwrap();
        lab.client.who_am_i("203.0.113.1:80").unwrap();
        assert_eq!(lab.publisher.counters().await.unwrap()["web"].connections, 2);
        let during = ruleset();
        let clash = lab
            .publisher
            .apply(&[web, rule("clash", "80", "10.0.1.27", "", "")])
            .await
            .unwrap_err();
        assert!(clash.to_string().contains("web: tcp 80 -> 10.0.1.26"), "{clash}");
        assert_eq!(ruleset(), during);
        assert_eq!(lab.publisher.rules().len(), 2);
    });
}

#[test]
fn a_firewall_that_would_drop_the_traffic_is_named() {
    in_namespace(|| async {
        let lab = Lab::new();
        run(
            "nft",
            "add table inet strict { chain fw { type filter hook forward priority 0; policy drop; }; }",
        );
        let applied = lab
            .publisher
            .apply(&[rule("web", "80", "10.0.1.26", "", "")])
            .await
            .unwrap();
        assert!(
            applied.warnings[0].contains("inet strict fw"),
            "{:?}",
            applied.warnings
        );
        assert_eq!(lab.client.who_am_i("203.0.113.1:80"), None);
    });
}

#[test]
fn what_a_killed_process_left_is_cleared_away() {
    in_namespace(|| async {
        let lab = Lab::new();
        let before = ruleset();
        run("nft", "add table ip hubward_t1.dnat");
        run("nft", "add table ip hubward_t1.found");
        run("nft", "add chain ip hubward_t1.found notes");
        run(
            "nft",
            "add rule ip hubward_t1.found notes counter comment \"found net.ipv4.ip_forward=0\"",
        );
        netdev::sysctl::write("net.ipv4.ip_forward", "1").unwrap();
        lab.publisher.clear().await.unwrap();
        assert_eq!(
            (ruleset(), setting("net.ipv4.ip_forward")),
            (before, "0".to_owned())
        );
    });
}

#[test]
fn a_firewall_reload_does_not_end_the_publishing() {
    in_namespace(|| async {
        let lab = Lab::new();
        let publisher = Publisher::kernel_watched(Tag::new("t2"), Duration::from_millis(100));
        publisher
            .apply(&[rule("web", "80", "10.0.1.26", "", "")])
            .await
            .unwrap();
        run("nft", "flush ruleset");
        let mut reached = None;
        for _ in 0..50 {
            reached = lab.client.who_am_i("203.0.113.1:80");
            if reached.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(reached.is_some());
        publisher.clear().await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ruleset(), "", "what was cleared stays away");
    });
}
