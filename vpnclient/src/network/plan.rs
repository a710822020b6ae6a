//! What a lease means for this machine: a pure answer, applied by [`Network`](super::Network).

use std::net::{IpAddr, Ipv4Addr};

use netdev::Route;

use crate::dhcp::Lease;

/// Which routes lead into the VPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum RouteMode {
    /// What DHCP says: the pushed routes, or everything when the server names a router instead.
    #[default]
    Dhcp,
    /// Only the pushed routes, never everything.
    Pushed,
    /// Everything, by way of the router that the server names.
    Default,
    /// Only the network of the address itself.
    None,
}

/// What to set up for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The address of the device.
    pub address: Ipv4Addr,
    /// The number of bits that name its network.
    pub prefix: u8,
    /// The device's MTU, where the server says one.
    pub mtu: Option<u32>,
    /// Routes into the VPN, in the order in which they are set.
    pub routes: Vec<PlannedRoute>,
    /// Whether a route above (or the address's network) holds the VPN server itself, so that the tunnel would
    /// swallow its own connection.
    pub covers_server: bool,
    /// Name servers and domains.
    pub dns: Option<Dns>,
    /// What was left out, for the user.
    pub notes: Vec<String>,
}

/// A route into the VPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedRoute {
    /// The network.
    pub network: Ipv4Addr,
    /// The number of bits that name it.
    pub prefix: u8,
    /// The router, or `None` when the network is on the link.
    pub router: Option<Ipv4Addr>,
    /// Whether the router is outside the address's network.
    pub onlink: bool,
}

/// Resolver settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<Ipv4Addr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Whether these servers answer for all names.
    pub everything: bool,
}

/// Frames are at most 1600 bytes on the wire (protocol §7.2); what servers say beyond Ethernet's own is not believed,
/// and IPv4 works from 68 on but nothing else does below 576.
const MTU: std::ops::RangeInclusive<u16> = 576..=1500;

/// "Everything" as two halves: they win over any default route that is there, and leave it alone.
const HALVES: [Ipv4Addr; 2] = [Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(128, 0, 0, 0)];

/// What `lease` means with these options, when the VPN server is at `server`.
pub fn plan(lease: &Lease, mode: RouteMode, dns: bool, server: IpAddr) -> Plan {
    let mut notes = Vec::new();
    let routes = routes(lease, mode, server, &mut notes);
    let everything = routes.iter().filter(|route| route.prefix == 1).count() == HALVES.len();
    let mtu = lease.mtu.filter(|mtu| {
        let usable = MTU.contains(mtu);
        if !usable {
            notes.push(format!(
                "the server's MTU of {mtu} is left out: it is not one of {MTU:?}"
            ));
        }
        usable
    });
    let own = Route::to(lease.address.into(), lease.prefix);
    let own_network = match own.destination {
        IpAddr::V4(network) => network,
        IpAddr::V6(_) => lease.address,
    };
    let covers_server = holds(own_network, lease.prefix, server)
        || routes
            .iter()
            .any(|route| holds(route.network, route.prefix, server));
    Plan {
        address: lease.address,
        prefix: lease.prefix,
        mtu: mtu.map(u32::from),
        routes,
        covers_server,
        dns: (dns && !lease.dns.is_empty()).then(|| settings(lease, everything)),
        notes,
    }
}

fn routes(lease: &Lease, mode: RouteMode, server: IpAddr, notes: &mut Vec<String>) -> Vec<PlannedRoute> {
    let pushed_default = lease.routes.iter().find(|route| route.prefix == 0);
    let router = match pushed_default {
        Some(route) => route.router,
        None => lease.router,
    };
    let gives_default = pushed_default.is_some() || lease.router.is_some();
    let everything = match mode {
        RouteMode::None => return Vec::new(),
        RouteMode::Dhcp => gives_default,
        RouteMode::Pushed => false,
        RouteMode::Default if !gives_default => {
            notes.push("the server names no router, so there is no default route to set".to_owned());
            false
        }
        RouteMode::Default => true,
    };
    let mut routes = Vec::new();
    for route in lease.routes.iter().filter(|route| route.prefix > 0) {
        let first = route.network.octets()[0];
        let to_server = route.prefix == 32 && IpAddr::V4(route.network) == server;
        if to_server || first == 127 || first == 0 || first >= 224 {
            notes.push(format!(
                "the pushed route to {}/{} is left out",
                route.network, route.prefix
            ));
            continue;
        }
        routes.push(planned(lease, route.network, route.prefix, route.router));
    }
    if everything {
        routes.extend(HALVES.map(|half| planned(lease, half, 1, router)));
    }
    routes
}

fn planned(lease: &Lease, network: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr>) -> PlannedRoute {
    let Route { destination, .. } = Route::to(lease.address.into(), lease.prefix);
    let near = |router: Ipv4Addr| Route::to(router.into(), lease.prefix).destination == destination;
    // Its own address as the router is how some servers say "on the link".
    let router = router.filter(|router| *router != lease.address);
    PlannedRoute {
        network,
        prefix,
        router,
        onlink: router.is_some_and(|router| !near(router)),
    }
}

fn settings(lease: &Lease, everything: bool) -> Dns {
    let mut search = lease.search.clone();
    if let Some(domain) = lease.domain.as_ref().filter(|domain| !search.contains(domain)) {
        search.insert(0, domain.clone());
    }
    Dns {
        servers: lease.dns.clone(),
        search,
        everything,
    }
}

fn holds(network: Ipv4Addr, prefix: u8, address: IpAddr) -> bool {
    address.is_ipv4() && Route::to(address, prefix).destination == IpAddr::V4(network)
}

/// The route by which packets to `server` leave this machine when the VPN's device is left out of account.
pub(super) fn underlay(routes: &[Route], server: IpAddr, device: u32) -> Option<Route> {
    routes
        .iter()
        .filter(|route| route.device.is_some_and(|index| index != device))
        .filter(|route| route.destination.is_ipv4() == server.is_ipv4())
        .filter(|route| Route::to(server, route.prefix).destination == route.destination)
        .min_by_key(|route| (u8::MAX - route.prefix, route.metric.unwrap_or(0)))
        .copied()
}

/// Whether the kernel lists `ours` as `listed`; it may have filled in what we left open.
pub(super) fn is_same(listed: &Route, ours: Option<&Route>) -> bool {
    let key = |route: &Route| (route.destination, route.prefix, route.device, route.gateway);
    ours.is_some_and(|ours| key(ours) == key(listed))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
            let plan = plan(&lease, mode, true, SERVER);
            assert_eq!(networks(&plan), ["10.0.1.0/24"]);
            assert_eq!(plan.routes[0].router, Some(ROUTER));
            assert!(!plan.covers_server && !plan.routes[0].onlink);
        }
        assert!(plan(&lease, RouteMode::None, true, SERVER).routes.is_empty());
    }

    #[test]
    fn a_router_means_everything_and_spares_the_way_to_the_server() {
        let lease = Lease {
            router: Some(ROUTER),
            dns: vec![ROUTER],
            ..lease()
        };
        let all = plan(&lease, RouteMode::Dhcp, true, SERVER);
        assert_eq!(networks(&all), ["0.0.0.0/1", "128.0.0.0/1"]);
        assert!(all.covers_server);
        assert!(all.dns.unwrap().everything);
        let split = plan(&lease, RouteMode::Pushed, true, SERVER);
        assert!(split.routes.is_empty() && !split.covers_server && !split.dns.unwrap().everything);
    }

    #[test]
    fn a_pushed_default_route_counts_as_a_router() {
        let lease = Lease {
            routes: vec![pushed([0, 0, 0, 0], 0), pushed([10, 0, 0, 0], 8)],
            ..lease()
        };
        assert_eq!(
            networks(&plan(&lease, RouteMode::Dhcp, true, SERVER)),
            ["10.0.0.0/8", "0.0.0.0/1", "128.0.0.0/1"]
        );
        assert_eq!(
            networks(&plan(&lease, RouteMode::Pushed, true, SERVER)),
            ["10.0.0.0/8"]
        );
    }

    #[test]
    fn everything_without_a_router_is_explained() {
        let plan = plan(&lease(), RouteMode::Default, true, SERVER);
        assert!(plan.routes.is_empty());
        assert!(plan.notes[0].contains("names no router"), "{:?}", plan.notes);
    }

    #[test]
    fn routes_that_would_cut_the_tunnel_or_the_machine_itself_are_left_out() {
        let routes = vec![
            pushed([203, 0, 113, 1], 32),
            pushed([127, 0, 0, 0], 8),
            pushed([224, 0, 0, 0], 4),
        ];
        let plan = plan(&Lease { routes, ..lease() }, RouteMode::Dhcp, true, SERVER);
        assert!(plan.routes.is_empty());
        assert_eq!(plan.notes.len(), 3);
    }

    #[test]
    fn a_router_outside_the_network_is_reached_on_the_link() {
        let far = ClasslessRoute {
            router: Some(Ipv4Addr::new(172, 16, 0, 1)),
            ..pushed([10, 0, 0, 0], 8)
        };
        let plan = plan(
            &Lease {
                routes: vec![far],
                ..lease()
            },
            RouteMode::Dhcp,
            true,
            SERVER,
        );
        assert!(plan.routes[0].onlink);
    }

    #[test]
    fn an_unusable_mtu_is_left_out_with_a_note() {
        let small = plan(
            &Lease {
                mtu: Some(68),
                ..lease()
            },
            RouteMode::Dhcp,
            true,
            SERVER,
        );
        assert_eq!((small.mtu, small.notes.len()), (None, 1));
        assert_eq!(
            plan(
                &Lease {
                    mtu: Some(1400),
                    ..lease()
                },
                RouteMode::Dhcp,
                true,
                SERVER
            )
            .mtu,
            Some(1400)
        );
    }

    #[test]
    fn the_servers_own_network_over_the_vpn_is_noticed() {
        let server = IpAddr::V4(Ipv4Addr::new(192, 168, 30, 200));
        assert!(plan(&lease(), RouteMode::None, true, server).covers_server);
    }

    #[test]
    fn the_underlay_is_the_best_route_beside_the_vpns_own() {
        let to = |text: &str, prefix, device| Route::to(text.parse().unwrap(), prefix).dev(device);
        let gateway = "10.0.0.1".parse().unwrap();
        let default = to("0.0.0.0", 0, 2).via(gateway).metric(100);
        let worse = to("0.0.0.0", 0, 3).metric(600);
        let vpn = [to("0.0.0.0", 1, 9), to("128.0.0.0", 1, 9)];
        let routes = [worse, vpn[0], vpn[1], default];
        assert_eq!(underlay(&routes, SERVER, 9), Some(default));
        let near = to("203.0.113.0", 24, 3);
        assert_eq!(underlay(&[worse, default, near], SERVER, 9), Some(near));
        assert_eq!(underlay(&vpn, SERVER, 9), None);
    }
}
