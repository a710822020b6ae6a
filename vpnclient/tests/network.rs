//! What the client changes on a machine, and that it changes all of it back: in a network namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../netdev/tests/namespace/mod.rs"]
mod namespace;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use namespace::in_namespace;
use netdev::{Links, Route, Tap, TapOptions, sysctl};
use transport::underlay::MARK;
use vpnclient::dhcp::{ClasslessRoute, Lease};
use vpnclient::network::{Lan, Network, RouteMode, Wishes, advertisement, leftovers, plan};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));
const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 7));
const BEFORE: &str = "search home\nnameserver 192.168.1.1\n";

/// A machine with a LAN, a way out, and a VPN's device.
struct Machine {
    links: Links,
    lan: Tap,
    vpn: Tap,
    network: Network,
    etc: PathBuf,
}

/// A folder for the resolver's file, of this test alone.
fn etc(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hubward-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("resolv.conf"), BEFORE).unwrap();
    folder
}

impl Machine {
    async fn new(test: &str) -> Self {
        let links = Links::new().unwrap();
        links.set_up("lo").await.unwrap();
        let lan = way_out(&links, "eth0", [192, 168, 1, 10], [192, 168, 1, 1]).await;
        let etc = etc(test);
        let (vpn, network) = device(&links, &etc);
        network.up(true).await.unwrap();
        Self {
            links,
            lan,
            vpn,
            network,
            etc,
        }
    }

    async fn apply(&mut self, lease: &Lease, routes: RouteMode) -> Vec<String> {
        let around = self.network.surroundings(SERVER).await.unwrap();
        let plan = plan(lease, &wishes(routes), &around).unwrap();
        self.network.apply(&plan, SERVER).await.unwrap()
    }

    /// Checks by which device packets go there.
    async fn goes_by(&self, destination: impl Into<IpAddr>, device: &Tap) {
        let destination = destination.into();
        let way = self.links.route_to(destination).await.unwrap();
        assert_eq!(
            way.device,
            Some(device.index()),
            "to {destination}, not by {}",
            device.name()
        );
    }

    async fn device_of_the_tunnel_to(&self, destination: IpAddr) -> u32 {
        let way = self.links.route_to_marked(destination, MARK).await.unwrap();
        way.device.unwrap()
    }

    fn state(&self) -> String {
        state(&self.etc)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.etc);
    }
}

fn device(links: &Links, etc: &Path) -> (Tap, Network) {
    let vpn = Tap::create(&TapOptions::new("vpn0")).unwrap();
    let network = Network::new(links.clone(), "vpn0", vpn.index()).with_resolv_conf(&etc.join("resolv.conf"));
    (vpn, network)
}

fn wishes(routes: RouteMode) -> Wishes {
    Wishes {
        routes,
        dns: true,
        lan: Lan::Private,
    }
}

fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that a client could change here, but what is on its own device.
fn state(etc: &Path) -> String {
    sh(&format!(
        "ip rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all | grep -v -e vpn -e fe80: -e ff00:; ip -4 -brief address; \
         nft list ruleset; ls -A {0}; cat {0}/resolv.conf",
        etc.display()
    ))
}

/// A network of the machine, with a router that leads everywhere.
async fn way_out(links: &Links, name: &str, address: [u8; 4], router: [u8; 4]) -> Tap {
    let tap = Tap::create(&TapOptions::new(name)).unwrap();
    links
        .add_address(name, Ipv4Addr::from(address).into(), 24)
        .await
        .unwrap();
    links.set_up(name).await.unwrap();
    let everywhere = Route::to(Ipv4Addr::UNSPECIFIED.into(), 0)
        .via(Ipv4Addr::from(router).into())
        .dev(tap.index());
    links.add_route(&everywhere).await.unwrap();
    tap
}

fn lease() -> Lease {
    Lease {
        address: Ipv4Addr::new(192, 168, 30, 10),
        prefix: 24,
        server: ROUTER,
        router: Some(ROUTER),
        routes: Vec::new(),
        dns: vec![ROUTER],
        domain: Some("corp.example".to_owned()),
        search: Vec::new(),
        mtu: Some(1400),
        term: None,
        renew: Duration::ZERO,
        rebind: Duration::ZERO,
    }
}

/// Of a server that takes these networks alone.
fn split(routes: Vec<ClasslessRoute>) -> Lease {
    Lease {
        router: None,
        routes,
        ..lease()
    }
}

fn pushed(network: [u8; 4], prefix: u8) -> ClasslessRoute {
    ClasslessRoute {
        network: network.into(),
        prefix,
        router: Some(ROUTER),
    }
}

fn resolv_conf(machine: &Machine) -> String {
    std::fs::read_to_string(machine.etc.join("resolv.conf")).unwrap()
}

#[test]
fn everything_goes_through_the_vpn_but_the_tunnel_itself_and_nothing_is_left_behind() {
    in_namespace(|| async {
        let mut machine = Machine::new("everything").await;
        let before = machine.state();

        let notes = machine.apply(&lease(), RouteMode::Dhcp).await;

        assert_eq!(notes, [""; 0]);
        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        assert_eq!(machine.device_of_the_tunnel_to(SERVER).await, machine.lan.index());
        // What is no tunnel goes through it.
        machine.goes_by(SERVER, &machine.vpn).await;
        machine.goes_by(NEIGHBOUR, &machine.lan).await;
        let source = machine.links.route_to(ELSEWHERE).await.unwrap().source;
        assert_eq!(source, Some([192, 168, 30, 10].into()));
        assert_eq!(machine.links.link("vpn0").await.unwrap().mtu, 1400);
        assert!(resolv_conf(&machine).contains("\nsearch corp.example\nnameserver 192.168.30.1\n#|"));

        machine.network.clear().await;
        assert_eq!(machine.state(), before);
        assert_ne!(machine.links.link("vpn0").await.unwrap().mtu, 1400);
    });
}

#[test]
fn no_route_learned_from_the_local_network_pulls_traffic_out_of_the_tunnel() {
    in_namespace(|| async {
        let mut machine = Machine::new("tunnel-vision").await;
        machine.apply(&lease(), RouteMode::Dhcp).await;
        // What a rogue DHCP server of the local network could push by option 121 (CVE-2024-3661).
        for (network, prefix) in [
            ([0, 0, 0, 0], 1),
            ([128, 0, 0, 0], 1),
            ([10, 9, 9, 9], 32),
            ([192, 168, 30, 0], 25),
        ] {
            let rogue = Route::to(Ipv4Addr::from(network).into(), prefix)
                .via([192, 168, 1, 66].into())
                .dev(machine.lan.index());
            machine.links.add_route(&rogue).await.unwrap();
        }
        for target in [
            ELSEWHERE,
            [203, 0, 113, 5].into(),
            [192, 168, 30, 77].into(),
            SERVER,
        ] {
            machine.goes_by(target, &machine.vpn).await;
        }
        // In a split tunnel, neither.
        machine.network.clear().await;
        let lease = split(vec![pushed([10, 9, 0, 0], 16)]);
        machine.apply(&lease, RouteMode::Dhcp).await;
        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        machine.goes_by([203, 0, 113, 5], &machine.lan).await;
    });
}

#[test]
fn a_pushed_network_goes_through_the_vpn_and_the_rest_its_old_way() {
    in_namespace(|| async {
        let mut machine = Machine::new("pushed").await;
        let far = ClasslessRoute {
            router: Some(Ipv4Addr::new(172, 16, 0, 1)),
            ..pushed([10, 8, 0, 0], 16)
        };
        let lease = split(vec![pushed([10, 9, 0, 0], 16), far]);

        machine.apply(&lease, RouteMode::Dhcp).await;

        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        machine.goes_by([10, 8, 1, 1], &machine.vpn).await;
        machine.goes_by([192, 168, 30, 77], &machine.vpn).await;
        machine.goes_by([192, 0, 2, 1], &machine.lan).await;
    });
}

#[test]
fn a_lying_dhcp_server_takes_nothing_local_away() {
    in_namespace(|| async {
        let mut machine = Machine::new("lies").await;
        let lease = Lease {
            routes: vec![
                pushed([192, 168, 0, 0], 16),
                pushed([192, 168, 1, 0], 24),
                pushed([192, 168, 1, 1], 32),
            ],
            ..lease()
        };
        let notes = machine.apply(&lease, RouteMode::Dhcp).await;
        assert_eq!(notes.len(), 2, "{notes:?}");
        for local in [NEIGHBOUR, [192, 168, 1, 1].into()] {
            machine.goes_by(local, &machine.lan).await;
        }
        machine.goes_by([192, 168, 77, 1], &machine.vpn).await;
    });
}

#[test]
fn a_machine_that_moves_keeps_the_tunnel_outside_and_its_new_network_local() {
    in_namespace(|| async {
        let mut machine = Machine::new("moves").await;
        machine.apply(&lease(), RouteMode::Default).await;

        machine.links.set_down("eth0").await.unwrap();
        let wifi = way_out(&machine.links, "wlan0", [10, 44, 0, 5], [10, 44, 0, 1]).await;
        assert_eq!(
            machine.device_of_the_tunnel_to(SERVER).await,
            wifi.index(),
            "at once"
        );
        machine.network.find_server_again(SERVER).await.unwrap();
        let around = machine.network.surroundings(SERVER).await.unwrap();
        let moved = plan(&lease(), &wishes(RouteMode::Default), &around).unwrap();
        machine.network.spare(&moved).await.unwrap();

        machine.goes_by([10, 44, 0, 9], &wifi).await;
        // Not local any more.
        machine.goes_by(NEIGHBOUR, &machine.vpn).await;
        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        machine.network.clear().await;
        assert!(!machine.state().contains(" proto 72"));
    });
}

#[test]
fn answers_of_the_server_pass_where_the_kernel_is_strict_about_the_way_back() {
    in_namespace(|| async {
        let mut machine = Machine::new("strict").await;
        sysctl::write("net.ipv4.conf.eth0.rp_filter", "1").unwrap();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        // The kernel looks for the way back like this: from our address to the server, without the mark.
        let way = sh("ip route get 198.51.100.7 from 192.168.1.10");
        assert!(way.contains("dev eth0"), "{way}");
        machine.goes_by(SERVER, &machine.vpn).await;
        machine.network.clear().await;
        assert!(!machine.state().contains("198.51.100.7"));
    });
}

#[test]
fn two_vpns_share_a_machine() {
    in_namespace(|| async {
        let mut machine = Machine::new("two").await;
        let before = machine.state();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        let split = Tap::create(&TapOptions::new("vpn1")).unwrap();
        let file = machine.etc.join("resolv.conf");
        let mut second = Network::new(machine.links.clone(), "vpn1", split.index()).with_resolv_conf(&file);
        second.up(true).await.unwrap();
        let around = second.surroundings(SERVER).await.unwrap();
        let lease = Lease {
            address: Ipv4Addr::new(192, 168, 40, 10),
            router: None,
            routes: vec![pushed([10, 9, 0, 0], 16)],
            ..lease()
        };
        let plan = plan(&lease, &wishes(RouteMode::Dhcp), &around).unwrap();
        second.apply(&plan, SERVER).await.unwrap();

        // The one that names it.
        machine.goes_by(ELSEWHERE, &split).await;
        machine.goes_by([203, 0, 113, 5], &machine.vpn).await;
        machine.network.clear().await;
        machine.goes_by(ELSEWHERE, &split).await;
        machine.goes_by([203, 0, 113, 5], &machine.lan).await;
        second.clear().await;
        assert_eq!(machine.state(), before);
    });
}

#[test]
fn advertised_routes_and_names_come_and_go() {
    in_namespace(|| async {
        let mut machine = Machine::new("advertised").await;
        if !Path::new("/proc/sys/net/ipv6/conf/vpn0").exists() {
            return; // a kernel without IPv6
        }
        let before = machine.state();
        let target: IpAddr = "2001:db8:99::1".parse().unwrap();
        assert!(machine.links.route_to(target).await.is_err());
        let said = advertisement::parse(&advertisement_frame(1800, &[])).unwrap();
        let around = machine.network.surroundings(SERVER).await.unwrap();
        let plan = advertisement::plan(&said, &wishes(RouteMode::Dhcp), &around);
        assert_eq!(machine.network.advertised(&plan).await.unwrap(), [""; 0]);

        let way = machine.links.route_to(target).await.unwrap();
        assert_eq!(
            (way.device, way.gateway),
            (Some(machine.vpn.index()), Some("fe80::1".parse().unwrap()))
        );
        assert!(resolv_conf(&machine).contains("nameserver 2001:db8:1::53\n"));
        // A rogue route of the local network is not asked.
        let rogue = Route::to(target, 128).dev(machine.lan.index());
        machine.links.add_route(&rogue).await.unwrap();
        machine.goes_by(target, &machine.vpn).await;
        machine.links.delete_route(&rogue).await.unwrap();

        let said = advertisement::parse(&advertisement_frame(0, &[])).unwrap();
        let plan = advertisement::plan(&said, &wishes(RouteMode::Dhcp), &around);
        machine.network.advertised(&plan).await.unwrap();
        assert!(
            machine.links.route_to(target).await.is_err(),
            "no router any more"
        );
        machine.network.clear().await;
        assert_eq!(machine.state(), before);
    });
}

#[test]
fn what_is_local_by_ipv6_is_what_this_machine_is_on_now() {
    in_namespace(|| async {
        let mut machine = Machine::new("local-six").await;
        let (home, neighbour): (IpAddr, IpAddr) =
            ("fd00:1::10".parse().unwrap(), "fd00:1::7".parse().unwrap());
        if machine.links.add_address_unasked("eth0", home, 64).await.is_err() {
            return; // a kernel without IPv6
        }
        let said = advertisement::parse(&advertisement_frame(1800, &[])).unwrap();
        let around = machine.network.surroundings(SERVER).await.unwrap();
        let wishes = wishes(RouteMode::Dhcp);
        let plan = advertisement::plan(&said, &wishes, &around);
        machine.network.advertised(&plan).await.unwrap();
        machine.goes_by(neighbour, &machine.lan).await;

        machine.links.remove_address("eth0", home, 64).await.unwrap();
        let around = machine.network.surroundings(SERVER).await.unwrap();
        let local = advertisement::local(&wishes, &around);
        machine.network.spare6(&local).await.unwrap();
        machine.goes_by(neighbour, &machine.vpn).await;
    });
}

#[test]
fn a_flood_of_advertised_routes_takes_its_own_place() {
    in_namespace(|| async {
        let mut machine = Machine::new("flood").await;
        if !Path::new("/proc/sys/net/ipv6/conf/vpn0").exists() {
            return; // a kernel without IPv6
        }
        let before = machine.state();
        let around = machine.network.surroundings(SERVER).await.unwrap();
        for flood in 0..10 {
            let behind = |n: u8| {
                let mut option = vec![24, 3, 64, 0, 0, 0, 0x0e, 0x10, 0x20, 0x01, 0x0d, 0xb8, flood, n];
                option.resize(24, 0);
                option
            };
            let options: Vec<u8> = (0..32).flat_map(behind).collect();
            let said = advertisement::parse(&advertisement_frame(1800, &options)).unwrap();
            let plan = advertisement::plan(&said, &wishes(RouteMode::Dhcp), &around);
            machine.network.advertised(&plan).await.unwrap();
        }
        let routes = machine.links.our_routes().await.unwrap();
        assert_eq!(routes.len(), 256 + 1);
        let (latest, elsewhere): (IpAddr, IpAddr) =
            ("2001:db8:91f::1".parse().unwrap(), "2001:db9::1".parse().unwrap());
        for to in [latest, elsewhere] {
            machine.goes_by(to, &machine.vpn).await;
        }
        machine.network.clear().await;
        assert_eq!(machine.state(), before);
    });
}

/// An advertisement of fe80::1 with a name server.
fn advertisement_frame(lifetime: u16, more: &[u8]) -> Vec<u8> {
    let ip = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mut message = vec![134, 0, 0, 0, 64, 0];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    message.extend([25, 3, 0, 0, 0, 0, 0x0e, 0x10]);
    message.extend(ip("2001:db8:1::53"));
    message.extend(more);
    let mut frame = vec![
        0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0,
    ];
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(ip("fe80::1"));
    frame.extend(ip("ff02::1"));
    frame.extend(message);
    frame
}

#[test]
fn without_ipv6_everything_else_works() {
    in_namespace(|| async {
        if sysctl::write("net.ipv6.conf.all.disable_ipv6", "1").is_ok() {
            sysctl::write("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
        }
        let mut machine = Machine::new("four").await;
        let before = machine.state();
        assert!(
            !machine.network.up(true).await.unwrap(),
            "no advertisement is to be heard"
        );
        machine.apply(&lease(), RouteMode::Dhcp).await;
        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        machine.network.clear().await;
        assert_eq!(machine.state(), before);
    });
}

#[test]
fn a_device_without_ipv6_has_no_address_of_it() {
    in_namespace(|| async {
        let machine = Machine::new("no-six").await;
        machine.network.up(false).await.unwrap();
        let addresses = machine.links.addresses("vpn0").await.unwrap();
        assert!(
            addresses.iter().all(|address| address.ip.is_ipv4()),
            "{addresses:?}"
        );
    });
}

#[test]
fn names_that_somebody_else_set_meanwhile_stay() {
    in_namespace(|| async {
        let mut machine = Machine::new("rewritten").await;
        machine.apply(&lease(), RouteMode::Dhcp).await;
        let theirs = "# by another program\nnameserver 192.168.1.2\n";
        std::fs::write(machine.etc.join("resolv.conf"), theirs).unwrap();
        machine.network.clear().await;
        assert_eq!(resolv_conf(&machine), theirs);
    });
}

#[test]
fn a_resolvers_file_that_cannot_be_changed_is_told_in_one_note_and_breaks_nothing() {
    in_namespace(|| async {
        let mut machine = Machine::new("read-only").await;
        let before = machine.state();
        let file = PathBuf::from("/proc/sys/kernel/ostype"); // read-only for everybody
        machine.network =
            Network::new(machine.links.clone(), "vpn0", machine.vpn.index()).with_resolv_conf(&file);
        let notes = machine.apply(&lease(), RouteMode::Dhcp).await;
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(
            notes[0].contains("192.168.30.1 are not set") && notes[0].contains("--no-dns"),
            "{notes:?}"
        );
        machine.goes_by(ELSEWHERE, &machine.vpn).await;
        machine.network.clear().await;
        assert_eq!(machine.state(), before);
    });
}

#[test]
fn a_device_that_was_deleted_is_no_obstacle_to_taking_back_the_rest() {
    in_namespace(|| async {
        let mut machine = Machine::new("deleted").await;
        let before = machine.state();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        machine.links.delete_link("vpn0").await.unwrap();

        machine.network.clear().await;

        let without_device = |state: &str| {
            let lines = state.lines().filter(|line| !line.contains("vpn0"));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(without_device(&machine.state()), without_device(&before));
    });
}

#[test]
fn a_device_that_stays_keeps_the_addresses_it_had_and_none_of_ours() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        sh("ip tuntap add vpn0 mode tap; ip link set vpn0 up; ip address add 192.168.30.10/24 dev vpn0");
        let addresses = || sh("ip -oneline address show dev vpn0 scope global");
        let before = addresses();
        assert!(before.contains("192.168.30.10/24"), "{before}");
        for is_killed in [false, true] {
            let etc = etc("stays");
            let (vpn, mut network) = device(&links, &etc);
            assert!(vpn.was_there());
            network.keep_settings().await.unwrap();
            let has_ipv6 = network.up(true).await.unwrap();
            let around = network.surroundings(SERVER).await.unwrap();
            // It is given what it has, and an address of IPv6 for ever.
            let plan = plan(&lease(), &wishes(RouteMode::Dhcp), &around).unwrap();
            network.apply(&plan, SERVER).await.unwrap();
            if has_ipv6 {
                let given = "2001:db8::7".parse().unwrap();
                assert!(network.lease6(given, (u32::MAX, u32::MAX)).await.unwrap());
                assert!(addresses().contains("2001:db8::7/128"));
            }
            if is_killed {
                drop((vpn, network));
                clean(&etc);
            } else {
                network.clear().await;
                network.leave().await;
            }
            assert_eq!(addresses(), before, "killed: {is_killed}");
            let _ = std::fs::remove_dir_all(&etc);
        }
    });
}

/// Set for the program that is killed: where the resolver's file is.
const DRIVEN: &str = "HUBWARD_TEST_ETC";

#[test]
fn two_hundred_kills_at_any_moment_leave_nothing_behind() {
    const KILLS: usize = 200;
    in_namespace(|| async {
        if let Some(etc) = std::env::var_os(DRIVEN) {
            return drive(Path::new(&etc)).await;
        }
        let links = Links::new().unwrap();
        links.set_up("lo").await.unwrap();
        let _eth0 = way_out(&links, "eth0", [192, 168, 1, 10], [192, 168, 1, 1]).await;
        sysctl::write("net.ipv4.conf.eth0.rp_filter", "1").unwrap();
        let etc = etc("kills");
        let before = state(&etc);
        // It takes as long as it takes: nothing below gives the hand to the clock of the test.
        let (mut found, mut dirty) = (0, 0);
        for kill in 0..KILLS {
            // This very test once more.
            let mut driver = Command::new(std::env::current_exe().unwrap())
                .args(std::env::args_os().skip(1))
                .env(DRIVEN, &etc)
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            // Somewhere in the time in which it starts and goes round a few times.
            let moment = Duration::from_micros(rand::random_range(5_000..90_000));
            std::thread::sleep(moment);
            driver.kill().unwrap();
            driver.wait().unwrap();
            let left = clean(&etc);
            found += left;
            dirty += usize::from(left > 0);
            let after = state(&etc);
            assert_eq!(after, before, "after kill {kill} at {moment:?}");
        }
        let _ = std::fs::remove_dir_all(&etc);
        println!("{dirty} of {KILLS} kills left something, {found} things in all");
        assert!(
            dirty > KILLS / 10,
            "only {dirty} kills left anything to be taken away"
        );
    });
}

/// What is killed: sets everything up and takes it back, for ever.
async fn drive(etc: &Path) {
    let links = Links::new().unwrap();
    let (_vpn, mut network) = device(&links, etc);
    network.prepare().await;
    network.up(true).await.unwrap();
    let around = network.surroundings(SERVER).await.unwrap();
    let lease = Lease {
        routes: vec![pushed([10, 9, 0, 0], 16), pushed([192, 168, 0, 0], 16)],
        ..lease()
    };
    let plan = plan(&lease, &wishes(RouteMode::Default), &around).unwrap();
    let said = advertisement::parse(&advertisement_frame(1800, &[])).unwrap();
    let plan6 = advertisement::plan(&said, &wishes(RouteMode::Default), &around);
    loop {
        network.apply(&plan, SERVER).await.unwrap();
        // A device without IPv6 has no routes of it.
        let _ = network.advertised(&plan6).await;
        network.clear().await;
    }
}

/// Takes away what was left behind, and returns how much it was.
fn clean(etc: &Path) -> usize {
    let file = etc.join("resolv.conf");
    let cleaning = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let links = Links::new().unwrap();
            let found = leftovers::find(&links, &file, true).await.unwrap().len();
            leftovers::clear(&links, &file).await;
            found
        })
    };
    std::thread::spawn(cleaning).join().unwrap()
}
