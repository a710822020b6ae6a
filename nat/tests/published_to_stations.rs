//! Published hosts as the stations of a hub with user-mode NAT find them: by address and name, for their group only, also
//! when the private host is a station of the same hub.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::time::Duration;

use hub_core::Switch;
use nat::dnat::{DnatRule, HubMembers, Member, Publisher};
use nat::{Mode, SecureNat, Setup, Tag};
use support::hosts::{echo, resolver, serve};
use support::station::{Connected, Station};
use support::{config, hub, in_namespace, noise, resolv_conf, run, session};

const SHORT: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

/// A hub with SecureNAT, and a server's address on this machine.
struct Lab {
    switch: Switch,
    publisher: Publisher,
    _nat: SecureNat,
}

impl Lab {
    async fn new(rules: &[DnatRule]) -> Self {
        run("ip", "addr add 10.0.1.26/32 dev lo");
        let (switch, port) = hub();
        let publisher = Publisher::hubs_only(Tag::new("t1"));
        publisher.apply(rules).await.unwrap();
        let mut setup = Setup::new(port, config(), Mode::User, Tag::new("t1"));
        setup.resolv_conf = resolv_conf();
        setup.published = Some(publisher.for_hub("Office"));
        Lab {
            switch,
            publisher,
            _nat: SecureNat::start(setup).await.unwrap(),
        }
    }

    fn station(&self, last: u8) -> Station {
        Station::new(session(&self.switch), last)
    }

    async fn set_members(&self, stations: &[&Station]) {
        let member = |station: &&Station| Member {
            group: "staff".to_owned(),
            mac: station.mac(),
            ip: station.ip,
        };
        let members = HubMembers {
            devices: Vec::new(),
            stations: stations.iter().map(member).collect(),
        };
        self.publisher.set_members("office", members).await.unwrap();
    }

    async fn counted(&self, rule: &str) -> (u64, u64) {
        let counter = self.publisher.counters().await.unwrap()[rule];
        (counter.connections, counter.bytes)
    }
}

fn rule(name: &str, protocols: &str, ports: &str, to: &str, sources: &str) -> DnatRule {
    DnatRule::parse(name, protocols, ports, to, sources, "").unwrap()
}

fn for_staff(rule: DnatRule) -> DnatRule {
    DnatRule {
        group: Some("office/staff".parse().unwrap()),
        ..rule
    }
}

#[test]
fn a_group_and_sources_decide_and_what_passes_is_counted() {
    in_namespace(|| async {
        let lab = Lab::new(&[
            for_staff(rule("web", "tcp", "8080", "10.0.1.26:80", "")),
            rule("near", "tcp", "8081", "10.0.1.26:80", "192.168.30.48/29"),
        ])
        .await;
        serve("10.0.1.26:80");
        let (mut anna, mut bob) = (lab.station(50), lab.station(60));
        lab.set_members(&[&anna]).await;
        let answer = anna.exchange("192.168.30.1:8080", b"hello").await;
        assert!(answer.ends_with(b"\nhello"));
        assert_eq!(lab.counted("web").await, (1, 5 + answer.len() as u64));
        assert_eq!(bob.connect("192.168.30.1:8080", SHORT).await, Connected::Refused);
        assert!(
            anna.exchange("192.168.30.1:8081", b"near")
                .await
                .ends_with(b"\nnear")
        );
        assert_eq!(bob.connect("192.168.30.1:8081", SHORT).await, Connected::Refused);
    });
}

#[test]
fn who_leaves_the_group_loses_what_is_open() {
    in_namespace(|| async {
        let lab = Lab::new(&[
            for_staff(rule("web", "tcp", "8080", "10.0.1.26:80", "")),
            for_staff(rule("game", "udp", "7000", "10.0.1.26:7", "")),
        ])
        .await;
        serve("10.0.1.26:80");
        echo("10.0.1.26:7");
        let mut anna = lab.station(50);
        lab.set_members(&[&anna]).await;
        let Connected::Yes(handle) = anna.connect("192.168.30.1:8080", PATIENCE).await else {
            panic!("a member is let in")
        };
        assert!(anna.ask(5000, "192.168.30.1:7000", b"ping").await.is_some());
        lab.set_members(&[]).await;
        // The next segment learns that there is no connection.
        let gone = |station: &mut Station| {
            let socket = station.socket(handle);
            if socket.can_send() && socket.send_queue() == 0 {
                socket.send_slice(b"still there?").unwrap();
            }
            !socket.is_open()
        };
        assert!(anna.drive(PATIENCE, gone).await, "the connection lives on");
        assert_eq!(anna.connect("192.168.30.1:8080", SHORT).await, Connected::Refused);
        assert!(anna.ask(5000, "192.168.30.1:7000", b"ping").await.is_none());
    });
}

#[test]
fn a_station_of_the_same_hub_is_published_to_the_others() {
    in_namespace(|| async {
        let lab = Lab::new(&[rule("web", "tcp", "8080", "192.168.30.70:80", "")]).await;
        let (mut client, mut server) = (lab.station(50), lab.station(70));
        let data = noise(300_000);
        // The client goes when it has heard all; the server may wait in vain for its last acknowledgement.
        let mut exchange = std::pin::pin!(client.exchange("192.168.30.1:8080", &data));
        let answer = tokio::select! {
            answer = &mut exchange => answer,
            () = server.echo_once(80) => exchange.await,
        };
        assert_eq!(answer.len(), data.len());
        assert!(answer == data, "bytes were changed on the way");
        let (connections, bytes) = lab.counted("web").await;
        assert_eq!(connections, 1);
        assert!(bytes >= 2 * data.len() as u64);
    });
}

#[test]
fn a_name_leads_to_the_published_host() {
    in_namespace(|| async {
        let mut web = rule("web", "tcp", "8080", "10.0.1.26:80", "");
        web.host_name = Some("web.private".parse().unwrap());
        let mut wiki = for_staff(rule("wiki", "tcp", "8081", "10.0.1.26:80", ""));
        wiki.host_name = Some("wiki.private".parse().unwrap());
        let lab = Lab::new(&[web, wiki]).await;
        resolver();
        let mut anna = lab.station(50);
        let question = |name: &str| {
            let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in name.split('.') {
                question.push(label.len() as u8);
                question.extend(label.as_bytes());
            }
            question.extend([0, 0, 1, 0, 1]);
            question
        };
        let own = [192, 168, 30, 1];
        let answer = anna
            .ask(5001, "192.168.30.1:53", &question("WEB.private"))
            .await
            .unwrap();
        assert!(answer.ends_with(&own), "{answer:?}");
        // Who may not reach it is answered by the resolvers, which know better or do not.
        let answer = anna
            .ask(5002, "192.168.30.1:53", &question("wiki.private"))
            .await
            .unwrap();
        assert!(answer.ends_with(&[203, 0, 113, 99]), "{answer:?}");
        lab.set_members(&[&anna]).await;
        let answer = anna
            .ask(5003, "192.168.30.1:53", &question("wiki.private"))
            .await
            .unwrap();
        assert!(answer.ends_with(&own), "{answer:?}");
    });
}
