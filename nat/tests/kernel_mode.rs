//! SecureNAT in kernel mode: a station on the hub, this namespace as the NAT instance, a server behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::TcpListener;
use std::time::Duration;

use nat::{FlowProtocol, Mode, SecureNat, SecureNatConfig, Setup, Tag};
use support::hosts::{Host, resolver};
use support::station::{Connected, Station};
use support::{config, hub, in_namespace, noise, resolv_conf, ruleset, run, session, setting};

const SHORT: Duration = Duration::from_secs(2);
const OTHER_TABLE: &str = "add table inet other { chain c { type filter hook input priority 0; counter; }; }";

/// What stop must leave as it was.
fn machine() -> (String, String, String, String, String) {
    (
        ruleset(),
        run("ip", "-4 -o addr") + &run("ls", "/sys/class/net"),
        setting("net.ipv4.ip_forward"),
        setting("net.ipv4.conf.all.send_redirects"),
        setting("net.netfilter.nf_conntrack_acct"),
    )
}

fn prepare() {
    netdev::sysctl::write("net.ipv4.ip_forward", "0").unwrap();
    netdev::sysctl::write("net.ipv4.conf.all.send_redirects", "1").unwrap();
    run("nft", OTHER_TABLE);
}

async fn start(adapt: impl FnOnce(&mut SecureNatConfig)) -> (SecureNat, Station, hub_core::Switch) {
    let (switch, port) = hub();
    let station = Station::new(session(&switch), 50);
    let mut config = config();
    adapt(&mut config);
    let mut setup = Setup::new(port, config, Mode::Kernel, Tag::new("t1"));
    setup.resolv_conf = resolv_conf();
    (SecureNat::start(setup).await.unwrap(), station, switch)
}

#[test]
fn the_hub_reaches_the_outside_masqueraded_and_stop_leaves_nothing() {
    in_namespace(|| async {
        prepare();
        // No route back: only masquerading brings answers.
        let server = Host::join("wan0", "10.0.1.1", "10.0.1.26", false);
        server.serve("10.0.1.26:80");
        server.echo("10.0.1.26:7");
        let before = machine();
        let (nat, mut station, _switch) = start(|_| {}).await;
        assert_eq!(setting("net.ipv4.ip_forward"), "1");
        assert_eq!(setting("net.ipv4.conf.all.send_redirects"), "0");
        let data = noise(4 << 20);
        let answer = station.exchange("10.0.1.26:80", &data).await;
        assert!(
            answer.starts_with(b"10.0.1.1\n"),
            "the server saw the NAT instance"
        );
        assert!(answer.ends_with(&data));
        assert_eq!(
            station.ask(5000, "10.0.1.26:7", b"udp").await.as_deref(),
            Some(&b"udp"[..])
        );
        assert!(station.ping("10.0.1.26".parse().unwrap()).await);
        assert!(station.ping(support::GATEWAY).await);
        let table = nat.nat_table().await;
        let udp = table
            .iter()
            .find(|entry| entry.protocol == FlowProtocol::Udp)
            .expect("the datagram's flow");
        assert_eq!(
            (udp.client, udp.destination, udp.sent),
            (
                "192.168.30.50:5000".parse().unwrap(),
                "10.0.1.26:7".parse().unwrap(),
                Some(20 + 8 + 3)
            )
        );
        let tcp = table
            .iter()
            .find(|entry| entry.protocol == FlowProtocol::Tcp)
            .unwrap();
        assert!(
            tcp.sent > Some(4 << 20) && tcp.received > Some(4 << 20),
            "{tcp:?}"
        );
        let status = nat.status().await;
        assert_eq!((status.tcp, status.udp, status.icmp), (1, 1, 1), "{status:?}");
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn of_this_machine_the_hub_reaches_the_name_service_only() {
    in_namespace(|| async {
        prepare();
        let _secret = TcpListener::bind("0.0.0.0:2222").unwrap();
        resolver();
        let (nat, mut station, _switch) = start(|_| {}).await;
        assert!(!matches!(
            station.connect("192.168.30.1:2222", SHORT).await,
            Connected::Yes(_)
        ));
        let question = [0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
        let answer = station.ask(5353, "192.168.30.1:53", &question).await.unwrap();
        assert_eq!(answer[answer.len() - 4..], [203, 0, 113, 99]);
        assert!(
            station
                .exchange("192.168.30.1:53", b"by tcp")
                .await
                .ends_with(b"by tcp")
        );
        nat.stop().await.unwrap();
    });
}

#[test]
fn nobody_outside_opens_connections_to_the_hub() {
    in_namespace(|| async {
        prepare();
        let outsider = Host::join("wan0", "10.0.1.1", "10.0.1.26", true);
        let (nat, mut station, _switch) = start(|_| {}).await;
        let attempt = std::thread::spawn(move || outsider.who_am_i("192.168.30.50:9"));
        // The station is awake all the while, so that only the rule keeps it from refusing aloud.
        station.drive(SHORT, |_| attempt.is_finished()).await;
        assert_eq!(attempt.join().unwrap(), None);
        assert_eq!(
            run("nft", "list chain ip hubward_t1 forward")
                .matches("drop")
                .count(),
            3
        );
        nat.stop().await.unwrap();
    });
}

#[test]
fn what_a_killed_process_left_is_taken_over_and_undone() {
    in_namespace(|| async {
        prepare();
        let before = machine();
        // As a killed process leaves it: its table, its notes, and forwarding on.
        run("nft", "add table ip hubward_t1");
        run("nft", "add table ip hubward_t1.found");
        run("nft", "add chain ip hubward_t1.found notes");
        for note in ["net.ipv4.ip_forward=0", "net.ipv4.conf.all.send_redirects=1"] {
            let rule = format!("add rule ip hubward_t1.found notes counter comment \"found {note}\"");
            run("nft", &rule);
        }
        netdev::sysctl::write("net.ipv4.ip_forward", "1").unwrap();
        netdev::sysctl::write("net.ipv4.conf.all.send_redirects", "0").unwrap();
        let (nat, _station, _switch) = start(|_| {}).await;
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn settings_change_in_operation() {
    in_namespace(|| async {
        prepare();
        let server = Host::join("wan0", "10.0.1.1", "10.0.1.26", false);
        server.serve("10.0.1.26:80");
        let before = machine();
        let (nat, mut station, _switch) = start(|config| config.use_nat = false).await;
        assert_eq!(ruleset(), before.0, "without NAT the kernel is not needed");
        assert!(station.ping(support::GATEWAY).await);
        nat.set_config(&config()).await.unwrap();
        assert!(station.exchange("10.0.1.26:80", b"now").await.ends_with(b"now"));
        let dhcp_only = SecureNatConfig {
            dhcp_domain_name: "example.org".into(),
            ..config()
        };
        nat.set_config(&dhcp_only).await.unwrap();
        nat.set_config(&SecureNatConfig {
            use_nat: false,
            ..config()
        })
        .await
        .unwrap();
        assert_eq!(
            (ruleset(), setting("net.ipv4.ip_forward")),
            (before.0, "0".to_owned())
        );
        nat.stop().await.unwrap();
    });
}

#[test]
fn a_firewall_reload_does_not_end_the_nat() {
    in_namespace(|| async {
        prepare();
        let server = Host::join("wan0", "10.0.1.1", "10.0.1.26", false);
        server.serve("10.0.1.26:80");
        let before = machine();
        let (switch, port) = hub();
        let mut station = Station::new(session(&switch), 50);
        let mut setup = Setup::new(port, config(), Mode::Kernel, Tag::new("t1"));
        setup.watch = Duration::from_millis(100);
        let nat = SecureNat::start(setup).await.unwrap();
        let during = machine();
        run("nft", "flush ruleset");
        run("nft", OTHER_TABLE);
        netdev::sysctl::write("net.ipv4.ip_forward", "0").unwrap();
        let is_back = async {
            while machine() != during {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), is_back)
            .await
            .expect("the ruleset and the setting are put back");
        let answer = station.exchange("10.0.1.26:80", b"hello").await;
        assert!(answer.ends_with(b"hello"));
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn a_change_that_fails_leaves_the_former_settings_in_force() {
    in_namespace(|| async {
        prepare();
        let server = Host::join("wan0", "10.0.1.1", "10.0.1.26", false);
        server.serve("10.0.1.26:80");
        let (nat, mut station, _switch) = start(|_| {}).await;
        let taken = SecureNatConfig {
            ip: "10.0.1.77".parse().unwrap(),
            ..config()
        };
        let error = nat.set_config(&taken).await.unwrap_err().to_string();
        assert!(error.contains("wan0"), "{error}");
        assert_eq!(nat.config(), config());
        let answer = station.exchange("10.0.1.26:80", b"still here").await;
        assert!(answer.ends_with(b"still here"));
        nat.stop().await.unwrap();
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    in_namespace(|| async {
        prepare();
        // The name is taken by another kind of device.
        run("ip", "link add hwn_t1 type veth peer name hwn_t1_peer");
        let before = machine();
        let (_switch, port) = hub();
        let setup = Setup::new(port, config(), Mode::Kernel, Tag::new("t1"));
        assert!(SecureNat::start(setup).await.is_err());
        assert_eq!(machine(), before);
    });
}

#[test]
fn a_second_hub_needs_a_network_of_its_own() {
    in_namespace(|| async {
        prepare();
        let before = machine();
        let (first, _station, _switch) = start(|_| {}).await;
        let during = machine();
        let (_other_switch, port) = hub();
        let same = SecureNat::start(Setup::new(port, config(), Mode::Kernel, Tag::new("t2"))).await;
        let error = same.err().expect("the network is taken").to_string();
        assert!(
            error.contains("hwn_t1") && error.contains("192.168.30.0/24"),
            "{error}"
        );
        assert_eq!(machine(), during);
        let (_other_switch, port) = hub();
        let other = SecureNatConfig {
            ip: "192.168.31.1".parse().unwrap(),
            use_dhcp: false,
            ..config()
        };
        let second = SecureNat::start(Setup::new(port, other, Mode::Kernel, Tag::new("t2")))
            .await
            .unwrap();
        first.stop().await.unwrap();
        assert_eq!(setting("net.ipv4.ip_forward"), "1", "the second still needs it");
        second.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}
