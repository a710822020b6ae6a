//! IPv6 of SecureNAT: a Linux host on the hub, this namespace as the NAT instance, a server behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use hub_core::guard::{Families, Guards, HubFilters};
use hub_core::{Hub, HubConfig, Port, PortConfig, PortKind, Switch};
use nat::ipv6::{Condition, Reach, Router};
use nat::{Mode, SecureNat, SecureNatConfig, Setup, Tag};
use netdev::{PacketSocket, VnetHeader};
use support::guest::Guest;
use support::hosts::{Host, resolver, serve};
use support::{config, in_namespace, resolv_conf, ruleset, run, session, setting};

/// What the hub's network is made of in these tests (`config` has the random bytes 1 to 5).
const PREFIX: &str = "fd01:203:405:";
const VIRTUAL_HOST: &str = "fd01:203:405::1";
const OUTSIDE: &str = "2001:db8:9::26";
const OTHER_TABLE: &str = "add table inet other { chain c { type filter hook input priority 0; counter; }; }";

fn ipv6() -> SecureNatConfig {
    let mut config = config();
    config.ipv6.enabled = true;
    config
}

/// What stop must leave as it was.
fn machine() -> Vec<String> {
    let mut settings = Vec::new();
    for device in ["all", "default", "lo", "wan0"] {
        for name in ["forwarding", "accept_ra", "disable_ipv6"] {
            settings.push(setting(&format!("net.ipv6.conf.{device}.{name}")));
        }
    }
    // Lifetimes run on meanwhile.
    let routes = run("ip", "-6 route").replace("sec ", " ");
    let routes = routes
        .split_whitespace()
        .filter(|word| word.parse::<u32>().is_err());
    settings.extend([
        ruleset(),
        run("ip", "-br link"),
        routes.collect::<Vec<_>>().join(" "),
    ]);
    settings
}

/// A host outside with an address that has no way back to the hub: only masquerading brings answers.
fn outside() -> Host {
    let host = Host::join("wan0", "10.0.1.1", "10.0.1.26", false);
    run("ip", "addr add 2001:db8:9::1/64 dev wan0 nodad");
    host.call(|| run("ip", "addr add 2001:db8:9::26/64 dev eth0 nodad"));
    host.serve("[2001:db8:9::26]:80");
    run("nft", OTHER_TABLE);
    host
}

/// A hub whose virtual host takes what guests leave unfinished, as the server's does.
fn hub() -> (Switch, Port) {
    let switch = Switch::new(Hub::new(HubConfig::new(7)));
    let config = PortConfig {
        offload: true,
        ..PortConfig::new(PortKind::SecureNat, "SID-SECURENAT-1")
    };
    let port = switch.attach(Instant::now(), config, 4 << 20);
    (switch, port)
}

async fn start(config: SecureNatConfig, mode: Mode) -> (SecureNat, Guest, Switch) {
    let (switch, port) = hub();
    let guest = Guest::join(session(&switch));
    let mut setup = Setup::new(port, config, mode, Tag::new("t1"));
    setup.resolv_conf = resolv_conf();
    (SecureNat::start(setup).await.unwrap(), guest, switch)
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The address that the guest has made, once it may use it.
async fn address(guest: &Guest) -> Ipv6Addr {
    eventually("an address in the hub's network", || {
        let text = guest
            .host
            .call(|| run("ip", "-6 -o addr show dev tap0 scope global -tentative"));
        let mut words = text.split_whitespace();
        let address = words.find_map(|word| word.strip_suffix("/64"))?;
        address.starts_with(PREFIX).then(|| address.parse().unwrap())
    })
    .await
}

/// Who a server outside says the guest is.
async fn who_am_i(guest: &Guest, server: &'static str) -> Option<String> {
    let host = guest.host.clone();
    tokio::task::spawn_blocking(move || host.who_am_i(server))
        .await
        .unwrap()
}

/// What comes back for a datagram.
async fn ask(guest: &Guest, to: &'static str, data: &'static [u8]) -> Option<Vec<u8>> {
    let host = guest.host.clone();
    let ask = move || {
        let socket = UdpSocket::bind("[::]:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(data, to).unwrap();
        let mut buffer = [0; 2048];
        let (length, _) = socket.recv_from(&mut buffer).ok()?;
        Some(buffer[..length].to_vec())
    };
    tokio::task::spawn_blocking(move || host.call(ask)).await.unwrap()
}

/// An echo of the host at `to`.
async fn pings(guest: &Guest, to: &'static str) {
    const REQUEST: [u8; 10] = [128, 0, 0, 0, 0, 77, 0, 1, b'h', b'i'];
    let host = guest.host.clone();
    let ping = move || {
        use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
        let protocol = SockProtocol::IcmpV6;
        let socket = socket(AddressFamily::Inet6, SockType::Raw, SockFlag::empty(), protocol).unwrap();
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.send_to(&REQUEST, (to, 0)).unwrap();
        let mut buffer = [0; 2048];
        // Neighbour discovery is heard, too.
        while buffer[0] != 129 {
            socket.recv_from(&mut buffer).expect("an echo");
        }
        assert_eq!(buffer[4..10], REQUEST[4..]);
    };
    tokio::task::spawn_blocking(move || host.call(ping))
        .await
        .unwrap();
}

#[test]
fn the_hub_reaches_the_outside_by_nat66_and_stop_leaves_nothing() {
    in_namespace(|| async {
        let server = outside();
        server.echo("[2001:db8:9::26]:7");
        let before = machine();
        let (nat, guest, _switch) = start(ipv6(), Mode::Kernel).await;
        let address = address(&guest).await;
        let routes = guest.host.call(|| run("ip", "-6 route"));
        assert!(
            routes.contains("default via fe80::5c01:2ff:fe03:405 dev tap0 proto ra"),
            "{routes}"
        );
        assert_eq!(
            who_am_i(&guest, "[2001:db8:9::26]:80").await.as_deref(),
            Some("2001:db8:9::1"),
            "{address}"
        );
        assert_eq!(
            ask(&guest, "[2001:db8:9::26]:7", b"udp").await.as_deref(),
            Some(&b"udp"[..])
        );
        pings(&guest, OUTSIDE).await;
        pings(&guest, VIRTUAL_HOST).await;
        assert_eq!(nat.ipv6_condition(), Condition::Router);
        nat.stop().await.unwrap();
        eventually("the farewell takes the guest's default route away", || {
            let routes = guest.host.call(|| run("ip", "-6 route"));
            (!routes.contains("default")).then_some(())
        })
        .await;
        assert_eq!(machine(), before);
    });
}

#[test]
fn of_this_machine_the_hub_reaches_the_name_service_only() {
    in_namespace(|| async {
        let _server = outside();
        serve("[::]:2222");
        resolver();
        let (nat, guest, _switch) = start(ipv6(), Mode::Kernel).await;
        address(&guest).await;
        assert_eq!(who_am_i(&guest, "[fd01:203:405::1]:2222").await, None);
        let question = &[0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
        let answer = ask(&guest, "[fd01:203:405::1]:53", question).await.unwrap();
        assert_eq!(answer[answer.len() - 4..], [203, 0, 113, 99]);
        nat.stop().await.unwrap();
    });
}

#[test]
fn nobody_outside_opens_connections_to_the_hub() {
    in_namespace(|| async {
        let outsider = outside();
        let (nat, guest, _switch) = start(ipv6(), Mode::Kernel).await;
        let address = address(&guest).await;
        guest.host.serve("[::]:9");
        outsider.call(|| run("ip", "-6 route add fd01:203:405::/64 via 2001:db8:9::1"));
        let server = format!("[{address}]:9");
        let from_here = server.clone();
        let seen = tokio::task::spawn_blocking(move || support::hosts::who_am_i(&from_here));
        assert_eq!(
            seen.await.unwrap().as_deref(),
            Some(VIRTUAL_HOST),
            "the machine itself reaches it"
        );
        let attempt = tokio::task::spawn_blocking(move || outsider.who_am_i(&server));
        assert_eq!(attempt.await.unwrap(), None);
        nat.stop().await.unwrap();
    });
}

#[test]
fn metadata_services_are_not_reached_through_us() {
    in_namespace(|| async {
        let server = outside();
        server.call(|| run("ip", "addr add fd00:ec2::254/128 dev eth0 nodad"));
        server.serve("[fd00:ec2::254]:80");
        run("ip", "-6 route add fd00:ec2::254/128 via 2001:db8:9::26");
        let (nat, guest, _switch) = start(ipv6(), Mode::Kernel).await;
        address(&guest).await;
        assert!(who_am_i(&guest, "[2001:db8:9::26]:80").await.is_some());
        assert_eq!(who_am_i(&guest, "[fd00:ec2::254]:80").await, None);
        let here = tokio::task::spawn_blocking(|| support::hosts::who_am_i("[fd00:ec2::254]:80"));
        assert!(here.await.unwrap().is_some(), "this machine reaches it");
        nat.stop().await.unwrap();
    });
}

/// The router of a provider tells this machine its default route.
async fn advertise_from(provider: &Host) {
    let mut config = ipv6();
    config.mac_address = provider.mac();
    config.ipv6.prefix = "2001:db8:77::/64".parse().unwrap();
    let (mut router, now) = (Router::default(), Instant::now());
    router.set_reach(now, Reach::Outside);
    router.apply(now, &config);
    while router.poll_frame().is_some() {}
    router.handle_timeout(now + Duration::from_secs(1));
    let frame = router.poll_frame().unwrap();
    let handle = tokio::runtime::Handle::current();
    let socket = provider.call(move || {
        let _runtime = handle.enter();
        PacketSocket::open("eth0").unwrap()
    });
    socket.send(&VnetHeader::default(), &frame.bytes).await.unwrap();
}

fn has_default_route() -> Option<()> {
    run("ip", "-6 route").contains("default via fe80").then_some(())
}

#[test]
fn a_default_route_that_this_machine_learned_is_kept_and_stays_learned() {
    in_namespace(|| async {
        let provider = outside();
        netdev::sysctl::write("net.ipv6.conf.wan0.accept_ra", "1").unwrap();
        advertise_from(&provider).await;
        eventually("a default route", has_default_route).await;
        let before = machine();
        let (nat, guest, _switch) = start(ipv6(), Mode::Kernel).await;
        address(&guest).await;
        assert_eq!(setting("net.ipv6.conf.all.forwarding"), "1");
        assert_eq!(setting("net.ipv6.conf.wan0.accept_ra"), "2");
        has_default_route().expect("the route outlives the switch to forwarding");
        run("ip", "-6 route flush proto ra");
        advertise_from(&provider).await;
        eventually("this machine still listens", has_default_route).await;
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn what_a_killed_process_left_is_taken_over_and_undone() {
    in_namespace(|| async {
        let _provider = outside();
        netdev::sysctl::write("net.ipv6.conf.wan0.accept_ra", "1").unwrap();
        let before = machine();
        for wants_ipv6 in [true, false] {
            // As a killed process leaves it: its table, its notes, and the settings.
            netdev::sysctl::write("net.ipv6.conf.wan0.accept_ra", "2").unwrap();
            netdev::sysctl::write("net.ipv6.conf.all.forwarding", "1").unwrap();
            run("nft", "add table ip6 hubward_t1");
            run("nft", "add table ip hubward_t1.ipv6.found");
            run("nft", "add chain ip hubward_t1.ipv6.found notes");
            for note in ["net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.wan0.accept_ra=1"] {
                let rule =
                    format!("add rule ip hubward_t1.ipv6.found notes counter comment \"found {note}\"");
                run("nft", &rule);
            }
            let config = if wants_ipv6 { ipv6() } else { config() };
            let (nat, _guest, _switch) = start(config, Mode::Kernel).await;
            // As the server does when all of it has started.
            nat::leftovers::settle("t1").await.unwrap();
            let forwards = setting("net.ipv6.conf.all.forwarding");
            assert_eq!(forwards == "1", wants_ipv6, "settled, unless it is needed");
            nat.stop().await.unwrap();
            assert_eq!(machine(), before, "the next one wants IPv6: {wants_ipv6}");
        }
    });
}

#[test]
fn a_second_hub_does_not_lose_what_the_first_puts_back() {
    in_namespace(|| async {
        let server = outside();
        server.echo("[2001:db8:9::26]:7");
        netdev::sysctl::write("net.ipv6.conf.wan0.accept_ra", "1").unwrap();
        let before = machine();
        let (first, _guest, _switch) = start(ipv6(), Mode::Kernel).await;
        let (switch, port) = hub();
        let mut config = ipv6();
        config.ip = "192.168.31.1".parse().unwrap();
        config.use_dhcp = false;
        config.ipv6.prefix = "fd01:203:405:1::/64".parse().unwrap();
        let guest = Guest::join(session(&switch));
        let second = SecureNat::start(Setup::new(port, config, Mode::Kernel, Tag::new("t2"))).await;
        let second = second.unwrap();
        first.stop().await.unwrap();
        assert_eq!(
            setting("net.ipv6.conf.wan0.accept_ra"),
            "2",
            "the second still needs it"
        );
        address(&guest).await;
        assert_eq!(
            ask(&guest, "[2001:db8:9::26]:7", b"two").await.as_deref(),
            Some(&b"two"[..])
        );
        second.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn a_network_that_the_machine_has_costs_the_hub_its_ipv6_and_nothing_else() {
    in_namespace(|| async {
        let _server = outside();
        run("ip", "addr add fd01:203:405::77/64 dev wan0 nodad");
        let before = machine();
        let (nat, _guest, switch) = start(ipv6(), Mode::Kernel).await;
        assert_eq!(nat.ipv6_condition(), Condition::Failed);
        assert!(!ruleset().contains("table ip6"), "{}", ruleset());
        let mut station = support::station::Station::new(session(&switch), 50);
        assert!(station.ping(support::GATEWAY).await, "IPv4 works");
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn it_is_switched_on_and_off_and_moved_in_operation() {
    in_namespace(|| async {
        let _server = outside();
        let before = machine();
        let (nat, guest, _switch) = start(config(), Mode::Kernel).await;
        assert_eq!(nat.ipv6_condition(), Condition::Off);
        nat.set_config(&ipv6()).await.unwrap();
        address(&guest).await;
        let mut moved = ipv6();
        moved.ipv6.prefix = "fd01:203:405:77::/64".parse().unwrap();
        nat.set_config(&moved).await.unwrap();
        let shown = |guest: &Guest| {
            guest
                .host
                .call(|| run("ip", "-6 addr show dev tap0 scope global"))
        };
        eventually("the former network is deprecated, the new one used", || {
            let text = shown(&guest);
            let former = text
                .lines()
                .any(|line| line.contains(&format!("{PREFIX}0:")) && line.contains("deprecated"));
            let current = text.contains(&format!("{PREFIX}77:"));
            (former && current).then_some(())
        })
        .await;
        nat.set_config(&config()).await.unwrap();
        eventually("nothing is left of it", || {
            let routes = guest.host.call(|| run("ip", "-6 route"));
            (!routes.contains("default")).then_some(())
        })
        .await;
        assert_eq!(setting("net.ipv6.conf.all.forwarding"), "0");
        nat.stop().await.unwrap();
        assert_eq!(machine(), before);
    });
}

#[test]
fn user_mode_gives_addresses_and_names_and_no_way_out() {
    in_namespace(|| async {
        resolver();
        let (nat, guest, _switch) = start(ipv6(), Mode::User).await;
        address(&guest).await;
        assert!(!guest.host.call(|| run("ip", "-6 route")).contains("default"));
        pings(&guest, VIRTUAL_HOST).await;
        let question = &[0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
        let answer = ask(&guest, "[fd01:203:405::1]:53", question).await.unwrap();
        assert_eq!(answer[answer.len() - 4..], [203, 0, 113, 99]);
        assert_eq!(who_am_i(&guest, "[fd01:203:405::1]:80").await, None);
        assert_eq!(nat.ipv6_condition(), Condition::LinkOnly);
        nat.stop().await.unwrap();
    });
}

#[test]
fn who_holds_the_virtual_hosts_address_keeps_it() {
    in_namespace(|| async {
        let (switch, port) = hub();
        let guest = Guest::join(session(&switch));
        guest
            .host
            .call(|| run("ip", "addr add fd01:203:405::1/64 dev tap0 nodad"));
        eventually("the guest listens to questions about it", || {
            let groups = guest.host.call(|| run("ip", "-6 maddr show dev tap0"));
            groups.contains("ff02::1:ff00:1").then_some(())
        })
        .await;
        let nat = SecureNat::start(Setup::new(port, ipv6(), Mode::User, Tag::new("t1"))).await;
        let nat = nat.unwrap();
        eventually("the virtual host steps back", || {
            (nat.ipv6_condition() == Condition::AddressTaken).then_some(())
        })
        .await;
        nat.stop().await.unwrap();
    });
}

/// The frames that reach a port when a router advertises itself on the hub.
async fn heard(options: HubFilters, adapt: impl FnOnce(&mut PortConfig)) -> Vec<bytes::Bytes> {
    let mut hub = HubConfig::new(7);
    hub.filters = options;
    let switch = Switch::new(Hub::new(hub));
    let plug = |config: PortConfig| switch.attach(Instant::now(), config, 1 << 20);
    let from: Port = plug(PortConfig::new(PortKind::SecureNat, "SID-SECURENAT-1"));
    let mut config = PortConfig::new(PortKind::Session, "SID-TEST-1");
    adapt(&mut config);
    let to = plug(config);
    let (mut router, now) = (Router::default(), Instant::now());
    router.set_reach(now, Reach::Outside);
    router.apply(now, &ipv6());
    while router.poll_frame().is_some() {}
    router.handle_timeout(now + Duration::from_secs(1));
    from.send(now, &mut std::iter::from_fn(|| router.poll_frame()));
    // Something that every port gets, behind it.
    let mut last = vec![0xff; 6];
    last.extend_from_slice(&[0x5e, 1, 2, 3, 4, 5, 0x88, 0xb5]);
    last.resize(60, 0);
    from.send(now, &mut std::iter::once(hub_core::Frame::new(last)));
    let (mut frames, mut batch) = (Vec::new(), Vec::new());
    loop {
        to.recv(&mut batch, 1 << 20).await.unwrap();
        for frame in batch.drain(..) {
            if frame.bytes[12..14] == [0x88, 0xb5] {
                return frames;
            }
            frames.push(frame.bytes);
        }
    }
}

#[tokio::test]
async fn advertisements_reach_only_whom_policies_and_options_let_them_reach() {
    let lifetime = |frames: &[bytes::Bytes]| {
        frames.first().map(|frame| {
            assert_eq!(frame[54], 134);
            u16::from_be_bytes([frame[60], frame[61]])
        })
    };
    let none = HubFilters::default();
    assert_eq!(lifetime(&heard(none, |_| {}).await), Some(1800), "everybody else");
    let without = heard(none, |port| port.no_default_router = true).await;
    assert_eq!(lifetime(&without), Some(0), "NoIPv6DefaultRouterInRA");
    let guarded = |guards: Guards| move |port: &mut PortConfig| port.guards = guards;
    let router_messages = Guards {
        router_messages: true,
        ..Guards::default()
    };
    assert!(
        heard(none, guarded(router_messages)).await.is_empty(),
        "RSandRAFilter"
    );
    let ipv6 = Families {
        ipv6: true,
        ..Families::default()
    };
    let families = Guards {
        families: ipv6,
        ..Guards::default()
    };
    assert!(
        heard(none, guarded(families)).await.is_empty(),
        "FilterIPv6 of a policy"
    );
    let option = HubFilters {
        families: ipv6,
        ..HubFilters::default()
    };
    assert!(heard(option, |_| {}).await.is_empty(), "FilterIPv6 of the hub");
}
