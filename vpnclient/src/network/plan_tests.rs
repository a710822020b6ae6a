use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::dhcp::ClasslessRoute;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

fn lease() -> Lease {
    Lease {
        address: Ipv4Addr::new(192, 168, 30, 10),
        prefix: 24,
        server: ROUTER,
        router: None,
        routes: Vec::new(),
        dns: Vec::new(),
        domain: None,
        search: Vec::new(),
        mtu: None,
        term: None,
        renew: Duration::ZERO,
        rebind: Duration::ZERO,
    }
}

fn pushed(network: [u8; 4], prefix: u8) -> ClasslessRoute {
    ClasslessRoute {
        network: network.into(),
        prefix,
        router: Some(ROUTER),
    }
}

fn local(device: &str, address: [u8; 4], prefix: u8) -> LocalNetwork {
    LocalNetwork {
        device: device.to_owned(),
        address: IpAddr::from(address),
        prefix,
    }
}

/// A laptop at home.
fn home() -> Surroundings {
    Surroundings {
        networks: vec![local("wlan0", [192, 168, 1, 50], 24)],
        gateways: vec![IpAddr::from([192, 168, 1, 1])],
        name_servers: vec![IpAddr::from([192, 168, 1, 1])],
        server: SERVER,
        ..Surroundings::default()
    }
}

fn wishes(routes: RouteMode) -> Wishes {
    Wishes {
        routes,
        dns: true,
        lan: Lan::Private,
    }
}

fn planned_for(lease: &Lease, routes: RouteMode) -> Plan {
    plan(lease, &wishes(routes), &home()).unwrap()
}

fn networks(plan: &Plan) -> Vec<String> {
    plan.routes
        .iter()
        .map(|route| format!("{}/{}", route.network, route.prefix))
        .collect()
}

#[test]
fn pushed_routes_are_taken_and_the_rest_goes_its_old_way() {
    let lease = Lease {
        routes: vec![pushed([10, 0, 1, 0], 24)],
        ..lease()
    };
    for mode in [RouteMode::Dhcp, RouteMode::Pushed] {
        let plan = planned_for(&lease, mode);
        assert_eq!(networks(&plan), ["10.0.1.0/24"]);
        assert_eq!(plan.routes[0].router, Some(ROUTER));
        assert!(!plan.is_full() && !plan.routes[0].onlink);
    }
    assert!(planned_for(&lease, RouteMode::None).routes.is_empty());
}

#[test]
fn a_router_means_everything_but_the_local_network() {
    let lease = Lease {
        router: Some(ROUTER),
        dns: vec![ROUTER],
        ..lease()
    };
    let all = planned_for(&lease, RouteMode::Dhcp);
    assert_eq!(networks(&all), ["0.0.0.0/0"]);
    assert_eq!(all.spared, [(Ipv4Addr::new(192, 168, 1, 0), 24)]);
    assert_eq!(all.notes, [""; 0]);
    assert!(all.is_full() && all.dns.unwrap().everything);
    let split = planned_for(&lease, RouteMode::Pushed);
    assert!(split.routes.is_empty() && split.spared.is_empty() && !split.dns.unwrap().everything);
    let closed = Wishes {
        lan: Lan::Nothing,
        ..wishes(RouteMode::Dhcp)
    };
    assert_eq!(plan(&lease, &closed, &home()).unwrap().spared, []);
}

#[test]
fn a_strangers_network_is_not_believed_to_be_local_because_it_says_so() {
    let full = Lease {
        router: Some(ROUTER),
        ..lease()
    };
    for rogue in [
        local("wlan0", [198, 51, 100, 7], 24), // somebody else's public network
        local("wlan0", [10, 7, 7, 7], 8),      // all of a company's
        local("wlan0", [1, 2, 3, 4], 1),       // half of the Internet
    ] {
        let around = Surroundings {
            networks: vec![rogue],
            ..home()
        };
        let plan = plan(&full, &wishes(RouteMode::Dhcp), &around).unwrap();
        assert_eq!(plan.spared, [], "{around:?}");
    }
    // Within a network that is too large to be one, the VPN's own routes come first.
    let around = Surroundings {
        networks: vec![local("wlan0", [10, 7, 7, 7], 8)],
        ..home()
    };
    let lease = Lease {
        routes: vec![pushed([10, 0, 1, 0], 24)],
        ..lease()
    };
    let plan = plan(&lease, &wishes(RouteMode::Dhcp), &around).unwrap();
    assert_eq!(
        (networks(&plan), plan.spared),
        (vec!["10.0.1.0/24".to_owned()], vec![])
    );
}

#[test]
fn a_pushed_default_route_counts_as_a_router() {
    let lease = Lease {
        routes: vec![pushed([0, 0, 0, 0], 0), pushed([10, 0, 0, 0], 8)],
        ..lease()
    };
    assert_eq!(
        networks(&planned_for(&lease, RouteMode::Dhcp)),
        ["10.0.0.0/8", "0.0.0.0/0"]
    );
    assert_eq!(networks(&planned_for(&lease, RouteMode::Pushed)), ["10.0.0.0/8"]);
}

#[test]
fn a_router_beside_pushed_routes_is_for_who_wants_everything() {
    let lease = Lease {
        router: Some(ROUTER),
        routes: vec![pushed([10, 0, 0, 0], 8)],
        ..lease()
    };
    assert_eq!(networks(&planned_for(&lease, RouteMode::Dhcp)), ["10.0.0.0/8"]);
    assert_eq!(
        networks(&planned_for(&lease, RouteMode::Default)),
        ["10.0.0.0/8", "0.0.0.0/0"]
    );
}

#[test]
fn everything_without_a_router_is_explained() {
    let plan = planned_for(&lease(), RouteMode::Default);
    assert!(plan.routes.is_empty());
    assert!(plan.notes[0].contains("names no router"), "{:?}", plan.notes);
}

#[test]
fn an_address_that_belongs_to_somebody_this_machine_needs_is_refused_by_name() {
    for (address, prefix, why) in [
        (
            [192, 168, 1, 77],
            24,
            "in the local network 192.168.1.0/24 of wlan0",
        ),
        ([192, 168, 1, 50], 24, "this machine has it"),
        ([192, 168, 1, 50], 32, "this machine has it"),
        ([192, 168, 1, 1], 24, "router"),
        ([203, 0, 113, 1], 24, "the VPN server's own"),
        ([192, 168, 30, 0], 24, "the whole network"),
        ([192, 168, 30, 255], 24, "the whole network"),
    ] {
        let lease = Lease {
            address: address.into(),
            prefix,
            ..lease()
        };
        let refused = plan(&lease, &wishes(RouteMode::Dhcp), &home())
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!refused.contains('\n'));
    }
    // Who says so reaches the hub's network in place of the local one.
    let clash = Lease {
        address: [192, 168, 1, 77].into(),
        ..lease()
    };
    let closed = Wishes {
        lan: Lan::Nothing,
        ..wishes(RouteMode::Dhcp)
    };
    assert!(plan(&clash, &closed, &home()).is_ok());
}

#[test]
fn routes_to_the_local_network_the_server_or_nowhere_are_left_out_with_one_note() {
    let routes = vec![
        pushed([203, 0, 113, 1], 32),
        pushed([127, 0, 0, 0], 8),
        pushed([224, 0, 0, 0], 4),
        pushed([192, 168, 1, 0], 24),
        pushed([192, 168, 1, 1], 32),
        pushed([10, 0, 1, 0], 24),
    ];
    let plan = planned_for(&Lease { routes, ..lease() }, RouteMode::Dhcp);
    assert_eq!(networks(&plan), ["10.0.1.0/24"]);
    assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
}

#[test]
fn a_route_that_covers_the_local_network_is_taken_without_it() {
    let routes = vec![pushed([192, 168, 0, 0], 16)];
    let plan = planned_for(&Lease { routes, ..lease() }, RouteMode::Dhcp);
    assert_eq!(networks(&plan), ["192.168.0.0/16"]);
    assert_eq!(plan.spared, [(Ipv4Addr::new(192, 168, 1, 0), 24)]);
    assert!(
        plan.notes[0].contains("wlan0, which stays local"),
        "{:?}",
        plan.notes
    );
}

#[test]
fn a_thousand_routes_are_cut_short_with_one_note() {
    let routes = (0..1000u32).map(|n| ClasslessRoute {
        network: Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)),
        prefix: 24,
        router: Some(ROUTER),
    });
    let lease = Lease {
        routes: routes.collect(),
        ..lease()
    };
    let plan = planned_for(&lease, RouteMode::Dhcp);
    assert_eq!((plan.routes.len(), plan.notes.len()), (MAX_ROUTES, 1));
}

#[test]
fn a_network_larger_than_any_is_taken_as_an_ordinary_one() {
    let plan = planned_for(&Lease { prefix: 1, ..lease() }, RouteMode::Dhcp);
    assert_eq!((plan.prefix, plan.notes.len()), (USUAL, 1));
}

#[test]
fn a_router_outside_the_network_is_reached_on_the_link() {
    let far = ClasslessRoute {
        router: Some(Ipv4Addr::new(172, 16, 0, 1)),
        ..pushed([10, 0, 0, 0], 8)
    };
    let lease = Lease {
        routes: vec![far],
        ..lease()
    };
    assert!(planned_for(&lease, RouteMode::Dhcp).routes[0].onlink);
}

#[test]
fn an_unusable_mtu_is_left_out_with_a_note() {
    let with = |mtu| {
        planned_for(
            &Lease {
                mtu: Some(mtu),
                ..lease()
            },
            RouteMode::Dhcp,
        )
    };
    assert_eq!((with(68).mtu, with(68).notes.len()), (None, 1));
    assert_eq!(with(1400).mtu, Some(1400));
}

fn any_lease() -> impl Strategy<Value = Lease> {
    let route =
        (any::<u32>(), 0u8..=32, any::<Option<u32>>()).prop_map(|(net, prefix, router)| ClasslessRoute {
            network: network(Ipv4Addr::from_bits(net), prefix),
            prefix,
            router: router.map(Ipv4Addr::from_bits),
        });
    let near = (0u8..=32).prop_map(|prefix| ClasslessRoute {
        network: network(Ipv4Addr::new(192, 168, 1, 1), prefix),
        prefix,
        router: None,
    });
    let routes = prop::collection::vec(prop_oneof![route, near], 0..600);
    let address = prop_oneof![any::<u32>(), 0xc0a8_0100u32..0xc0a8_01ff];
    (address, 1u8..=32, routes, any::<Option<u32>>()).prop_map(|(address, prefix, routes, router)| Lease {
        address: Ipv4Addr::from_bits(address),
        prefix,
        routes,
        router: router.map(Ipv4Addr::from_bits),
        ..lease()
    })
}

/// Whether a packet to `ip` goes into the VPN by this plan: the longest prefix decides.
fn leads_into_the_vpn(plan: &Plan, ip: Ipv4Addr) -> bool {
    let longest = |networks: &mut dyn Iterator<Item = (Ipv4Addr, u8)>| {
        networks
            .filter(|(net, prefix)| network(ip, *prefix) == *net)
            .map(|(_, prefix)| i32::from(prefix))
            .max()
    };
    let own = (network(plan.address, plan.prefix), plan.prefix);
    let routes = plan.routes.iter().map(|route| (route.network, route.prefix));
    let inside = longest(&mut routes.chain([own]));
    let spared = longest(&mut plan.spared.iter().copied());
    inside > spared
}

proptest! {
    /// Whatever the hub's DHCP server says: what is local stays local, and there is little of everything.
    #[test]
    fn no_lease_takes_the_local_network_away(lease in any_lease(), mode in 0usize..4, host in 1u8..255) {
        let mode = [RouteMode::Dhcp, RouteMode::Pushed, RouteMode::Default, RouteMode::None][mode];
        if let Ok(plan) = plan(&lease, &wishes(mode), &home()) {
            prop_assert!(plan.routes.len() <= MAX_ROUTES + 1 && plan.notes.len() < 8);
            prop_assert!(!leads_into_the_vpn(&plan, Ipv4Addr::new(192, 168, 1, host)), "{plan:?}");
            prop_assert!(plan.prefix >= LARGEST);
            prop_assert!(mode != RouteMode::None || plan.routes.is_empty());
        }
    }
}
