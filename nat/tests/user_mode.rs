//! SecureNAT in user mode, from a station on the hub to servers outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hub_core::{Frame, Switch};
use nat::dnat::{DnatRule, Publisher};
use nat::{Event, Events, FlowProtocol, Mode, NatEntry, SecureNat, SecureNatConfig, Setup, Tag, TcpState};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use support::hosts::{echo, resolver, serve};
use support::station::{Connected, Station};
use support::{config, hub, in_namespace, noise, resolv_conf, ruleset, run, session, setting};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 26);
const SHORT: Duration = Duration::from_secs(2);

/// A hub with SecureNAT and a station, and a server's address on this machine.
struct Lab {
    nat: SecureNat,
    station: Station,
    events: Arc<Mutex<Vec<Event>>>,
    switch: Switch,
}

impl Lab {
    async fn new(adapt: impl FnOnce(&mut Setup)) -> Self {
        run("ip", "addr add 10.0.1.26/32 dev lo");
        let (switch, port) = hub();
        let station = Station::new(session(&switch), 50);
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        let mut setup = Setup::new(port, config(), Mode::User, Tag::new("t1"));
        setup.resolv_conf = resolv_conf();
        setup.events = Events::new(move |event| heard.lock().unwrap().push(event));
        adapt(&mut setup);
        Lab {
            nat: SecureNat::start(setup).await.unwrap(),
            station,
            events,
            switch,
        }
    }
}

#[test]
fn tcp_carries_every_byte_both_ways_and_finishes_half_by_half() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        let data = noise(8 << 20);
        let answer = lab.station.exchange("10.0.1.26:80", &data).await;
        // The first line is the address that the server saw.
        let body = answer
            .split_at(answer.iter().position(|b| *b == b'\n').unwrap() + 1)
            .1;
        assert!(body == data, "{} of {} bytes came back", body.len(), data.len());
        let events = Arc::clone(&lab.events);
        let closed = move |_: &mut Station| {
            events.lock().unwrap().iter().any(|event| {
                matches!(event, Event::FlowClosed { sent, received, .. } if *sent == 8 << 20 && *received > 8 << 20)
            })
        };
        // The flow ends with its last acknowledgement, which the station may hold back for 10 ms after it has read it all.
        let told = lab.station.drive(Duration::from_secs(10), closed).await;
        assert!(told, "the end of the flow was told");
        lab.nat.stop().await.unwrap();
    });
}

#[test]
fn a_way_that_loses_frames_loses_no_bytes() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        lab.station.loss = Some(100);
        let data = noise(400_000);
        let answer = lab.station.exchange("10.0.1.26:80", &data).await;
        assert!(answer.ends_with(&data));
    });
}

#[test]
fn the_table_shows_a_connection_while_it_lives() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        let Connected::Yes(handle) = lab.station.connect("10.0.1.26:80", SHORT).await else {
            panic!("no connection")
        };
        let entry = lab.nat.nat_table().await.remove(0);
        assert_eq!(
            (entry.client.ip(), entry.destination),
            (&lab.station.ip, "10.0.1.26:80".parse().unwrap())
        );
        assert_eq!(
            (entry.protocol, entry.tcp_state),
            (FlowProtocol::Tcp, Some(TcpState::Established))
        );
        assert_eq!(lab.nat.status().await.tcp, 1);
        lab.station.socket(handle).abort();
        let table_is_empty = async {
            while !lab.nat.nat_table().await.is_empty() {
                lab.station.drive(Duration::from_millis(20), |_| false).await;
            }
        };
        tokio::time::timeout(SHORT, table_is_empty)
            .await
            .expect("a reset ends the flow");
    });
}

#[test]
fn a_station_that_does_not_read_stops_the_server() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        let Connected::Yes(handle) = lab.station.connect("10.0.1.26:80", SHORT).await else {
            panic!("no connection")
        };
        // The kernel's buffers between us and the server take a part.
        let data = noise(64 << 20);
        let mut sent = 0;
        let pour = |station: &mut Station| {
            let socket = station.socket(handle);
            sent += if socket.can_send() {
                socket.send_slice(&data[sent..]).unwrap()
            } else {
                0
            };
            false
        };
        lab.station.drive(SHORT, pour).await;
        assert!(
            sent < 48 << 20,
            "{sent} bytes were taken although nothing is read"
        );
        let entry = lab.nat.nat_table().await.remove(0);
        assert!(entry.received.unwrap() < 2 << 20, "{entry:?}");
    });
}

#[test]
fn a_refused_connection_is_refused_and_the_machines_own_services_stay_its_own() {
    in_namespace(|| async {
        let _secret = TcpListener::bind("0.0.0.0:2222").unwrap();
        let mut lab = Lab::new(|_| {}).await;
        assert_eq!(
            lab.station.connect("10.0.1.26:81", SHORT).await,
            Connected::Refused,
            "closed port"
        );
        assert_eq!(
            lab.station.connect("192.168.30.1:2222", SHORT).await,
            Connected::Refused,
            "the gateway"
        );
        for own in [
            "127.0.0.1:2222",
            "127.8.8.8:2222",
            "169.254.169.254:80",
            "0.0.0.1:2222",
        ] {
            let answer = lab.station.connect(own, Duration::from_millis(600)).await;
            assert!(!matches!(answer, Connected::Yes(_)), "{own}");
        }
        assert!(lab.nat.nat_table().await.is_empty());
    });
}

#[test]
fn datagrams_of_any_size_are_answered() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        echo("10.0.1.26:7");
        for size in [1, 1472, 1473, 4000, 20_000] {
            let data = noise(size);
            assert!(
                lab.station.ask(5000, "10.0.1.26:7", &data).await == Some(data),
                "{size} bytes"
            );
        }
        let entry = lab.nat.nat_table().await.remove(0);
        assert_eq!(
            (entry.protocol, entry.client.port(), lab.nat.status().await.udp),
            (FlowProtocol::Udp, 5000, 1)
        );
    });
}

#[test]
fn only_peers_that_were_written_to_are_heard() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        let peer = std::net::UdpSocket::bind("10.0.1.26:7").unwrap();
        let stranger = std::net::UdpSocket::bind("10.0.1.26:8").unwrap();
        let answer = std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let (_, from) = peer.recv_from(&mut buffer).unwrap();
            stranger.send_to(b"unasked", from).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            peer.send_to(b"asked", from).unwrap();
        });
        assert_eq!(
            lab.station.ask(5000, "10.0.1.26:7", b"hello").await.as_deref(),
            Some(&b"asked"[..])
        );
        answer.join().unwrap();
    });
}

#[test]
fn names_are_resolved_by_udp_and_by_tcp() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        resolver();
        let question = [0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
        let answer = lab.station.ask(5353, "192.168.30.1:53", &question).await.unwrap();
        assert_eq!(
            (answer[2] & 0x80, &answer[answer.len() - 4..]),
            (0x80, &[203, 0, 113, 99][..])
        );
        let by_tcp = lab.station.exchange("192.168.30.1:53", b"anything").await;
        assert!(by_tcp.ends_with(b"anything"));
    });
}

#[test]
fn pings_reach_the_virtual_host_and_the_outside() {
    in_namespace(|| async {
        netdev::sysctl::write("net.ipv4.ping_group_range", "0 0").unwrap();
        let mut lab = Lab::new(|_| {}).await;
        assert!(lab.station.ping(support::GATEWAY).await, "the virtual host");
        assert!(lab.station.ping(SERVER).await, "outside");
        assert_eq!(lab.nat.status().await.icmp, 1);
    });
}

#[test]
fn a_published_host_is_found_at_the_virtual_hosts_address() {
    in_namespace(|| async {
        let publisher = Publisher::hubs_only(Tag::new("t1"));
        let published = publisher.for_hub("office");
        let mut lab = Lab::new(|setup| setup.published = Some(published)).await;
        serve("10.0.1.26:80");
        assert_eq!(
            lab.station.connect("192.168.30.1:8080", SHORT).await,
            Connected::Refused
        );
        let web = DnatRule::parse("web", "tcp", "8080", "10.0.1.26:80", "", "").unwrap();
        publisher.apply(&[web]).await.unwrap();
        assert!(
            lab.station
                .exchange("192.168.30.1:8080", b"hello")
                .await
                .ends_with(b"\nhello")
        );
        echo("10.0.1.26:7");
        let udp = DnatRule::parse("udp", "udp", "7000", "10.0.1.26:7", "", "").unwrap();
        publisher.apply(&[udp]).await.unwrap();
        let answer = lab.station.ask(5000, "192.168.30.1:7000", b"ping").await;
        assert_eq!(
            answer.as_deref(),
            Some(&b"ping"[..]),
            "the answer comes from where it was asked"
        );
        publisher.clear().await.unwrap();
        assert_eq!(
            lab.station.connect("192.168.30.1:8080", SHORT).await,
            Connected::Refused
        );
    });
}

#[test]
fn nat_switched_off_is_off_and_on_again_works() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        assert!(matches!(
            lab.station.connect("10.0.1.26:80", SHORT).await,
            Connected::Yes(_)
        ));
        lab.nat
            .set_config(&SecureNatConfig {
                use_nat: false,
                ..config()
            })
            .await
            .unwrap();
        assert_eq!(
            lab.station.connect("10.0.1.26:80", SHORT).await,
            Connected::Silence
        );
        assert!(lab.nat.nat_table().await.is_empty(), "open flows ended");
        assert!(
            lab.station.ping(support::GATEWAY).await,
            "the virtual host is still there"
        );
        lab.nat.set_config(&config()).await.unwrap();
        assert!(
            lab.station
                .exchange("10.0.1.26:80", b"again")
                .await
                .ends_with(b"\nagain")
        );
        let wrong = SecureNatConfig {
            mtu: 9000,
            ..config()
        };
        assert!(lab.nat.set_config(&wrong).await.is_err());
        assert_eq!(lab.nat.config().mtu, 1500);
    });
}

#[test]
fn two_stations_and_many_connections_share_the_nat() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        let mut other = Station::new(session(&lab.switch), 51);
        let data = noise(300_000);
        for round in 0..40 {
            let (one, two) = tokio::join!(
                lab.station.exchange("10.0.1.26:80", &data[..round * 5000]),
                other.exchange("10.0.1.26:80", &data[round * 100..])
            );
            assert!(
                one.ends_with(&data[..round * 5000]) && two.ends_with(&data[round * 100..]),
                "round {round}"
            );
        }
    });
}

#[test]
fn hundreds_of_connections_that_break_off_leave_nothing_behind() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        let handles: Vec<_> = (0..300).map(|_| lab.station.begin("10.0.1.26:80")).collect();
        let open = |station: &mut Station| handles.iter().all(|handle| station.socket(*handle).may_send());
        assert!(lab.station.drive(Duration::from_secs(20), open).await);
        assert_eq!(lab.nat.status().await.tcp, 300);
        for (i, handle) in handles.iter().enumerate() {
            let socket = lab.station.socket(*handle);
            if i % 2 == 0 {
                socket.abort();
            } else {
                socket.close();
            }
        }
        let table_is_empty = async {
            while !lab.nat.nat_table().await.is_empty() {
                lab.station.drive(Duration::from_millis(20), |_| false).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), table_is_empty)
            .await
            .expect("every flow ends");
        let (mut opened, mut closed) = (0, 0);
        for event in lab.events.lock().unwrap().iter() {
            opened += u32::from(matches!(event, Event::FlowOpened { .. }));
            closed += u32::from(matches!(event, Event::FlowClosed { .. }));
        }
        assert_eq!((opened, closed), (300, 300));
    });
}

/// Time on a processor that this program has used, in ticks of 10 ms.
fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn open_flows_that_carry_nothing_cost_nothing() {
    in_namespace(|| async {
        let mut lab = Lab::new(|_| {}).await;
        serve("10.0.1.26:80");
        echo("10.0.1.26:7");
        lab.station.ask(5000, "10.0.1.26:7", b"x").await.unwrap();
        for _ in 0..20 {
            let connected = lab.station.connect("10.0.1.26:80", SHORT).await;
            assert!(matches!(connected, Connected::Yes(_)));
        }
        lab.station.drive(Duration::from_millis(300), |_| false).await;
        let before = ticks();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(ticks() - before <= 4, "{} ticks of 200", ticks() - before);
        assert_eq!(lab.nat.status().await.tcp, 20);
    });
}

/// Bytes of this program that are in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Stations of the flood, and the connections and peers of datagrams that each of them has.
const STATIONS: u8 = 5;
const CONNECTIONS: u16 = 1600;
const PEERS: u16 = 2400;

/// Frames of all stations that open `each` flows each; `write` makes one of what is in front and the flow's number.
fn flood(
    each: u16,
    write: impl Fn(etherparse::PacketBuilderStep<etherparse::IpHeaders>, u16) -> Vec<u8>,
) -> Vec<Frame> {
    let flows = (0..STATIONS).flat_map(|station| (0..each).map(move |flow| (station, flow)));
    let frame = |(station, flow)| {
        let packet =
            etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 1, station], config().mac_address.octets())
                .ipv4([192, 168, 30, 100 + station], SERVER.octets(), 64);
        Frame::new(write(packet, flow))
    };
    flows.map(frame).collect()
}

#[test]
fn twenty_thousand_flows_stay_within_their_bound() {
    in_namespace(|| async {
        // Both ends of the connections are ours.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert!(hard > 17_000, "this test needs 17,000 descriptors (ulimit -Hn)");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let lab = Lab::new(|setup| setup.limits.connecting_per_client = CONNECTIONS.into()).await;
        let listener = TcpListener::bind("10.0.1.26:80").unwrap();
        std::thread::spawn(move || listener.incoming().flatten().collect::<Vec<_>>());
        let mut frames = flood(CONNECTIONS, |packet, flow| {
            let mut bytes = Vec::new();
            let syn = packet.tcp(1000 + flow, 80, 77, 8192).syn();
            syn.write(&mut bytes, &[]).unwrap();
            bytes
        });
        frames.extend(flood(PEERS, |packet, flow| {
            let mut bytes = Vec::new();
            // A few sockets of each station, which talk to 256 peers each.
            let datagram = packet.udp(5000 + flow / 256, 10_000 + flow % 256);
            datagram.write(&mut bytes, b"x").unwrap();
            bytes
        }));
        let port = session(&lab.switch);
        let (tcp, udp) = (
            STATIONS as usize * CONNECTIONS as usize,
            STATIONS as usize * PEERS as usize,
        );
        assert_eq!(tcp + udp, 20_000);
        let before = resident();
        let open = async || {
            let table = lab.nat.nat_table().await;
            let open = |entry: &&NatEntry| entry.tcp_state != Some(TcpState::Connecting);
            table.iter().filter(open).count()
        };
        // The listener takes a while; who waits asks again, as TCP does.
        let all = async {
            while open().await < tcp + udp {
                for part in frames.chunks(512) {
                    port.send(Instant::now(), &mut part.iter().cloned());
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(50), all)
            .await
            .expect("every flow opens");
        let grown = resident().saturating_sub(before);
        assert!(grown < tcp * 40 * 1024 + udp * 4096, "{} MiB", grown >> 20);
        let status = lab.nat.status().await;
        assert_eq!((status.tcp as usize, status.udp as usize), (tcp, udp));
        lab.nat.stop().await.unwrap();
    });
}

#[test]
fn user_mode_changes_nothing_on_the_machine() {
    in_namespace(|| async {
        let before = (ruleset(), run("ip", "-o link"), setting("net.ipv4.ip_forward"));
        let (_switch, port) = hub();
        let nat = SecureNat::start(Setup::new(port, config(), Mode::User, Tag::new("t1")))
            .await
            .unwrap();
        assert_eq!(
            (ruleset(), run("ip", "-o link"), setting("net.ipv4.ip_forward")),
            before
        );
        nat.stop().await.unwrap();
    });
}
