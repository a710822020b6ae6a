//! Published hosts of groups in the kernel: members by device, hardware address and address, and nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hub_core::MacAddr;
use nat::Tag;
use nat::dnat::{DnatRule, HubMembers, Member, Publisher};
use support::hosts::Host;
use support::{in_namespace, run};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 10);
const SHORT: Duration = Duration::from_millis(800);

/// A hub's device, which here is a veth link with a client behind it, and a private server.
struct Lab {
    client: Host,
    server: Host,
    publisher: Publisher,
}

impl Lab {
    async fn new(rules: &[DnatRule]) -> Self {
        let client = Host::join("hub0", "192.168.30.1", "192.168.30.10", true);
        let server = Host::join("lan0", "10.0.1.1", "10.0.1.26", true);
        server.serve("10.0.1.26:80");
        let publisher = Publisher::kernel(Tag::new("t1"));
        publisher.apply(rules).await.unwrap();
        Lab {
            client,
            server,
            publisher,
        }
    }

    fn member(&self, group: &str) -> Member {
        Member {
            group: group.to_owned(),
            mac: self.client.mac(),
            ip: CLIENT,
        }
    }

    async fn set(&self, device: &str, stations: Vec<Member>) {
        let members = HubMembers {
            devices: vec![device.to_owned()],
            stations,
        };
        self.publisher.set_members("Office", members).await.unwrap();
    }
}

fn rule(name: &str, protocols: &str, ports: &str, to: &str, group: &str) -> DnatRule {
    let mut rule = DnatRule::parse(name, protocols, ports, to, "", "").unwrap();
    rule.group = Some(group.parse().unwrap());
    rule
}

#[test]
fn members_alone_come_in_and_only_by_their_device_and_with_their_hardware_address() {
    in_namespace(|| async {
        let lab = Lab::new(&[rule("web", "tcp", "8080", "10.0.1.26:80", "office/staff")]).await;
        let reached = || lab.client.who_am_i("192.168.30.1:8080").is_some();
        assert!(!reached(), "nobody is a member yet");
        lab.set("hub0", vec![lab.member("staff")]).await;
        assert_eq!(
            lab.client.who_am_i("192.168.30.1:8080").as_deref(),
            Some("192.168.30.10")
        );
        lab.set("hub0", vec![lab.member("guests")]).await;
        assert!(!reached(), "another group");
        lab.set("lan0", vec![lab.member("staff")]).await;
        assert!(!reached(), "an address that comes in elsewhere");
        let stranger = Member {
            mac: MacAddr::new([2, 0, 0, 0, 0, 99]),
            ..lab.member("staff")
        };
        lab.set("hub0", vec![stranger]).await;
        assert!(!reached(), "an address that another station has taken");
        lab.set("hub0", vec![lab.member("STAFF")]).await;
        assert!(reached());
    });
}

#[test]
fn who_leaves_loses_what_is_open_and_the_others_keep_theirs() {
    in_namespace(|| async {
        let lab = Lab::new(&[
            rule("web", "tcp", "8080", "10.0.1.26:80", "office/staff"),
            rule("range", "tcp+udp", "9000-9010", "10.0.1.26", "office/staff"),
            DnatRule::parse("all", "tcp", "8081", "10.0.1.26:80", "", "").unwrap(),
        ])
        .await;
        lab.server.echo("10.0.1.26:9005");
        lab.set("hub0", vec![lab.member("staff")]).await;
        let (mut of_group, mut of_all) = (
            connect(&lab.client, "192.168.30.1:8080"),
            connect(&lab.client, "192.168.30.1:8081"),
        );
        let datagrams = lab.client.call(|| {
            let socket = UdpSocket::bind("192.168.30.10:5000").unwrap();
            socket.set_read_timeout(Some(SHORT)).unwrap();
            socket
        });
        assert!(said(&mut of_group) && said(&mut of_all) && asked(&datagrams));
        lab.set("hub0", Vec::new()).await;
        assert!(!said(&mut of_group) && !asked(&datagrams), "still there");
        assert!(said(&mut of_all), "everybody's rule is no affair of the group's");
        lab.set("hub0", vec![lab.member("staff")]).await;
        assert!(asked(&datagrams), "back again");
        // The segment that was dropped is sent again by itself.
        of_group.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = [0; 4];
        of_group.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ping");
    });
}

#[test]
fn groups_share_a_port_and_even_a_host_and_each_is_led_by_its_own_rule() {
    in_namespace(|| async {
        let lab = Lab::new(&[
            rule("staff", "tcp", "8080", "10.0.1.26:80", "office/staff"),
            rule("guests", "tcp", "8080", "10.0.1.26:81", "office/guests"),
            rule("both", "tcp", "8081", "10.0.1.26:80", "office/staff"),
            rule("both2", "tcp", "8081", "10.0.1.26:80", "office/guests"),
        ])
        .await;
        lab.server.serve("10.0.1.26:81");
        let flows = async || {
            let counters = lab.publisher.counters().await.unwrap();
            ["staff", "guests", "both", "both2"].map(|rule| counters.get(rule).map_or(0, |c| c.connections))
        };
        lab.set("hub0", vec![lab.member("staff")]).await;
        assert!(lab.client.who_am_i("192.168.30.1:8080").is_some());
        assert!(lab.client.who_am_i("192.168.30.1:8081").is_some());
        assert_eq!(flows().await, [1, 0, 1, 0]);
        let mut open = connect(&lab.client, "192.168.30.1:8080");
        let mut shared = connect(&lab.client, "192.168.30.1:8081");
        lab.set("hub0", vec![lab.member("guests")]).await;
        assert!(!said(&mut open), "the rule of the group that was left");
        assert!(
            said(&mut shared),
            "the new group may reach the same host by the same port"
        );
        assert!(lab.client.who_am_i("192.168.30.1:8080").is_some());
        assert_eq!(flows().await, [2, 1, 2, 0]);
    });
}

#[test]
fn a_change_of_members_leaves_the_rules_and_their_counters_alone() {
    in_namespace(|| async {
        let lab = Lab::new(&[
            rule("web", "tcp", "8080", "10.0.1.26:80", "office/staff"),
            DnatRule::parse("all", "tcp", "8081", "10.0.1.26:80", "", "").unwrap(),
        ])
        .await;
        assert!(lab.client.who_am_i("192.168.30.1:8081").is_some());
        let handle = || {
            let text = run("nft", "-a list tables");
            text.lines()
                .find(|line| line.contains("hubward_t1.dnat"))
                .unwrap()
                .to_owned()
        };
        let before = handle();
        lab.set("hub0", vec![lab.member("staff")]).await;
        assert_eq!(handle(), before, "the table is the same one");
        let counters = lab.publisher.counters().await.unwrap();
        assert_eq!(counters["all"].connections, 1);
        assert!(counters["all"].packets >= 6, "both directions: {counters:?}");
        // Somebody empties it behind our back: the next change puts everything in its place.
        run("nft", "flush ruleset");
        lab.set("hub0", Vec::new()).await;
        assert!(lab.client.who_am_i("192.168.30.1:8081").is_some());
        assert!(lab.client.who_am_i("192.168.30.1:8080").is_none());
    });
}

fn connect(host: &Host, to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().unwrap();
    host.call(move || {
        let mut stream = TcpStream::connect_timeout(&to, SHORT).unwrap();
        stream.set_read_timeout(Some(SHORT)).unwrap();
        let mut byte = [0];
        while byte != *b"\n" {
            stream.read_exact(&mut byte).unwrap();
        }
        stream
    })
}

/// Whether something comes back over an open connection.
fn said(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").unwrap();
    stream.read_exact(&mut answer).is_ok() && &answer == b"ping"
}

fn asked(socket: &UdpSocket) -> bool {
    let mut answer = [0; 16];
    socket.send_to(b"ping", "192.168.30.1:9005").unwrap();
    socket
        .recv(&mut answer)
        .is_ok_and(|length| &answer[..length] == b"ping")
}
