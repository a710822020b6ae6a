//! What the client changes on a machine, and that it changes all of it back: in a network namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../netdev/tests/namespace/mod.rs"]
mod namespace;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use namespace::in_namespace;
use netdev::{Links, Route, Tap, TapOptions};
use vpnclient::dhcp::{ClasslessRoute, Lease};
use vpnclient::network::{Network, RouteMode, plan};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9));

/// A machine with a LAN, a way out, and a VPN's device.
struct Machine {
    links: Links,
    lan: Tap,
    vpn: Tap,
    network: Network,
}

impl Machine {
    async fn new() -> Self {
        let links = Links::new().unwrap();
        let lan = lan(&links, "eth0", [203, 0, 113, 10]).await;
        links
            .add_route(&default_by(&lan, [203, 0, 113, 254]))
            .await
            .unwrap();
        let vpn = Tap::create(&TapOptions::new("vpn0")).unwrap();
        let network = Network::new(links.clone(), "vpn0", vpn.index());
        network.up().await.unwrap();
        Self {
            links,
            lan,
            vpn,
            network,
        }
    }

    async fn apply(&mut self, lease: &Lease, mode: RouteMode) -> Vec<String> {
        self.network
            .apply(&plan(lease, mode, false, SERVER), SERVER)
            .await
            .unwrap()
    }

    async fn device_to(&self, destination: IpAddr) -> u32 {
        self.links.route_to(destination).await.unwrap().device.unwrap()
    }

    /// IPv4 routes, and the addresses and MTU of the VPN's device.
    async fn settings(&self) -> (Vec<Route>, Vec<IpAddr>, u32) {
        let routes = self.links.routes().await.unwrap();
        let routes = routes
            .into_iter()
            .filter(|route| route.destination.is_ipv4())
            .collect();
        let addresses = self.links.addresses("vpn0").await.unwrap();
        let addresses = addresses
            .into_iter()
            .map(|a| a.ip)
            .filter(IpAddr::is_ipv4)
            .collect();
        (routes, addresses, self.links.link("vpn0").await.unwrap().mtu)
    }
}

async fn lan(links: &Links, name: &str, address: [u8; 4]) -> Tap {
    let tap = Tap::create(&TapOptions::new(name)).unwrap();
    links
        .add_address(name, Ipv4Addr::from(address).into(), 24)
        .await
        .unwrap();
    links.set_up(name).await.unwrap();
    tap
}

fn default_by(device: &Tap, router: [u8; 4]) -> Route {
    Route::to(Ipv4Addr::UNSPECIFIED.into(), 0)
        .via(Ipv4Addr::from(router).into())
        .dev(device.index())
}

fn lease() -> Lease {
    Lease {
        address: Ipv4Addr::new(192, 168, 30, 10),
        prefix: 24,
        server: ROUTER,
        router: Some(ROUTER),
        routes: Vec::new(),
        dns: Vec::new(),
        domain: None,
        search: Vec::new(),
        mtu: Some(1400),
        term: None,
        renew: Duration::ZERO,
        rebind: Duration::ZERO,
    }
}

#[test]
fn everything_goes_through_the_vpn_but_the_tunnel_itself_and_nothing_is_left_behind() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let before = machine.settings().await;

        let notes = machine.apply(&lease(), RouteMode::Dhcp).await;

        assert_eq!(notes, [""; 0]);
        assert_eq!(machine.device_to(ELSEWHERE).await, machine.vpn.index());
        assert_eq!(machine.device_to(SERVER).await, machine.lan.index());
        let (_, addresses, mtu) = machine.settings().await;
        assert_eq!((addresses, mtu), (vec![IpAddr::from([192, 168, 30, 10])], 1400));

        machine.network.clear().await;
        assert_eq!(machine.settings().await, before);
    });
}

#[test]
fn a_pushed_network_goes_through_the_vpn_and_the_rest_its_old_way() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let pushed = ClasslessRoute {
            network: Ipv4Addr::new(10, 9, 0, 0),
            prefix: 16,
            router: Some(ROUTER),
        };
        let far = ClasslessRoute {
            network: Ipv4Addr::new(10, 8, 0, 0),
            prefix: 16,
            router: Some(Ipv4Addr::new(172, 16, 0, 1)),
        };
        let lease = Lease {
            router: None,
            routes: vec![pushed, far],
            ..lease()
        };

        machine.apply(&lease, RouteMode::Dhcp).await;

        assert_eq!(machine.device_to(ELSEWHERE).await, machine.vpn.index());
        assert_eq!(machine.device_to([10, 8, 1, 1].into()).await, machine.vpn.index());
        assert_eq!(
            machine.device_to([192, 0, 2, 1].into()).await,
            machine.lan.index()
        );
    });
}

#[test]
fn a_machine_that_moves_finds_the_server_by_its_new_way() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let before = machine.settings().await;
        machine.apply(&lease(), RouteMode::Default).await;

        let wifi = lan(&machine.links, "wlan0", [10, 44, 0, 5]).await;
        machine.links.set_down("eth0").await.unwrap();
        machine
            .links
            .add_route(&default_by(&wifi, [10, 44, 0, 1]))
            .await
            .unwrap();
        machine.network.find_server_again(SERVER).await.unwrap();

        let way = machine.links.route_to(SERVER).await.unwrap();
        assert_eq!(
            (way.device, way.gateway),
            (Some(wifi.index()), Some([10, 44, 0, 1].into()))
        );

        machine.network.clear().await;
        let (routes, ..) = machine.settings().await;
        let through_wifi = routes
            .iter()
            .filter(|route| route.device == Some(wifi.index()))
            .count();
        assert_eq!(
            through_wifi, 2,
            "the network of the new LAN and its default route: {routes:?}"
        );
        assert_ne!(routes, before.0);
    });
}

#[test]
fn a_route_left_behind_by_a_killed_client_is_taken_back_and_another_one_is_not() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let before = machine.settings().await;
        let left_behind = Route::to_host(SERVER)
            .via([203, 0, 113, 254].into())
            .dev(machine.lan.index());
        machine.links.add_route(&left_behind).await.unwrap();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        machine.network.clear().await;
        assert_eq!(machine.settings().await, before);

        let set_by_hand = Route::to_host(SERVER)
            .via([203, 0, 113, 253].into())
            .dev(machine.lan.index());
        machine.links.add_route(&set_by_hand).await.unwrap();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        machine.network.clear().await;
        let way = machine.links.route_to(SERVER).await.unwrap();
        assert_eq!(way.gateway, Some([203, 0, 113, 253].into()));
    });
}

#[test]
fn a_route_that_is_there_is_left_alone() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let theirs = Route::to([10, 9, 0, 0].into(), 16).dev(machine.lan.index());
        machine.links.add_route(&theirs).await.unwrap();
        let pushed = ClasslessRoute {
            network: Ipv4Addr::new(10, 9, 0, 0),
            prefix: 16,
            router: Some(ROUTER),
        };
        let lease = Lease {
            router: None,
            routes: vec![pushed],
            ..lease()
        };

        let notes = machine.apply(&lease, RouteMode::Dhcp).await;

        assert_eq!(notes, ["the route to 10.9.0.0/16 is left as it was"]);
        assert_eq!(machine.device_to(ELSEWHERE).await, machine.lan.index());
        machine.network.clear().await;
        assert_eq!(machine.device_to(ELSEWHERE).await, machine.lan.index());
    });
}

#[test]
fn a_device_that_was_deleted_is_no_obstacle_to_taking_back_the_rest() {
    in_namespace(|| async {
        let mut machine = Machine::new().await;
        let before = machine.links.routes().await.unwrap();
        machine.apply(&lease(), RouteMode::Dhcp).await;
        machine.links.delete_link("vpn0").await.unwrap();

        machine.network.clear().await;

        let routes = machine.links.routes().await.unwrap();
        let v4 = |routes: Vec<Route>| {
            routes
                .into_iter()
                .filter(|r| r.destination.is_ipv4())
                .collect::<Vec<_>>()
        };
        assert_eq!(v4(routes), v4(before));
    });
}
