//! Router advertisements of the hub (RFC 4861 section 4.2, RFC 8106, RFC 4191): what they say of routes and name servers.
//!
//! Addresses the kernel makes itself. Routes it would put into the main table, where those of the local network are; name servers it
//! tells nobody. So the advertisements are read at the mouth of the tunnel, too.

use std::net::{IpAddr, Ipv6Addr};

use netdev::Route;

use super::plan::{Dns, Lan, RouteMode, Wishes};
use super::surroundings::Surroundings;
use crate::dhcp;

const ETHERNET: usize = 14;
const IPV6: usize = 40;
const HEAD: usize = ETHERNET + IPV6;
const ICMPV6: u8 = 58;
const ADVERTISEMENT: u8 = 134;

/// Nobody means more than this in one advertisement.
const MAX_ROUTES: usize = 32;
const MAX_SERVERS: usize = 4;
const MAX_SEARCH: usize = 8;
/// A link whose prefix is shorter is no link.
const LARGEST_LINK: u8 = 32;
const FOR_EVER: u32 = u32::MAX;

/// What a router of the hub says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    router: Ipv6Addr,
    /// Seconds for which it is a way to everything; 0 if it is none.
    lifetime: u16,
    /// Whether addresses are to be had by DHCPv6.
    managed: bool,
    /// Whether there is anything else to know by DHCPv6.
    other: bool,
    /// Networks on the link, and for how long.
    links: Vec<(Ipv6Addr, u8, u32)>,
    /// Networks behind the router, and for how long.
    routes: Vec<(Ipv6Addr, u8, u32)>,
    servers: Vec<Ipv6Addr>,
    search: Vec<String>,
}

/// What to set up for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan6 {
    /// Routes, each with its router and the seconds it holds (0: not any more).
    pub(super) routes: Vec<Planned6>,
    /// Networks that stay local.
    pub(super) spared: Vec<(Ipv6Addr, u8)>,
    /// Name servers and domains.
    pub(super) dns: Option<Dns>,
}

/// A route of IPv6 into the VPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned6 {
    pub(super) network: Ipv6Addr,
    pub(super) prefix: u8,
    pub(super) router: Option<Ipv6Addr>,
    /// Seconds; `None` is for ever.
    pub(super) lifetime: Option<u32>,
}

impl Plan6 {
    /// Whether everything goes into the VPN.
    pub fn is_full(&self) -> bool {
        self.routes
            .iter()
            .any(|route| route.prefix == 0 && route.lifetime != Some(0))
    }

    /// Networks into the VPN, for people.
    pub fn networks(&self) -> Vec<String> {
        let alive = self.routes.iter().filter(|route| route.lifetime != Some(0));
        alive
            .map(|route| match route.router {
                Some(router) => format!("{}/{} via {router}", route.network, route.prefix),
                None => format!("{}/{}", route.network, route.prefix),
            })
            .collect()
    }
}

/// Whether a frame is a router advertisement, by its first bytes.
pub fn is_advertisement(frame: &[u8]) -> bool {
    frame.len() > HEAD
        && frame[12..14] == [0x86, 0xdd]
        && frame[ETHERNET + 6] == ICMPV6
        && frame[HEAD] == ADVERTISEMENT
}

/// Takes an advertisement apart. Nothing of one that a host must not believe (RFC 4861 section 6.1.2).
pub fn parse(frame: &[u8]) -> Option<Advertisement> {
    const FIXED: usize = 16;
    const HOP_LIMIT: usize = ETHERNET + 7;
    if !is_advertisement(frame) || frame[HOP_LIMIT] != 255 {
        return None;
    }
    let router = ip_at(frame, ETHERNET + 8)?;
    let len = usize::from(u16::from_be_bytes([frame[ETHERNET + 4], frame[ETHERNET + 5]]));
    let message = frame.get(HEAD..HEAD + len)?;
    if !router.is_unicast_link_local() || len < FIXED || message[1] != 0 {
        return None;
    }
    let mut said = Advertisement {
        router,
        lifetime: u16::from_be_bytes([message[6], message[7]]),
        managed: message[5] & 0x80 != 0,
        other: message[5] & 0x40 != 0,
        links: Vec::new(),
        routes: Vec::new(),
        servers: Vec::new(),
        search: Vec::new(),
    };
    let mut options = &message[FIXED..];
    while let [kind, words, ..] = options {
        let (option, rest) = options.split_at_checked(usize::from(*words) * 8)?;
        if option.is_empty() {
            return None;
        }
        said.option(*kind, option);
        options = rest;
    }
    Some(said)
}

impl Advertisement {
    /// Who says it.
    pub fn router(&self) -> Ipv6Addr {
        self.router
    }

    /// Whether it sends hosts to a DHCPv6 server for addresses, and for anything else.
    pub fn sends_to_dhcp(&self) -> (bool, bool) {
        (self.managed, self.other)
    }

    fn option(&mut self, kind: u8, option: &[u8]) {
        const PREFIX: u8 = 3;
        const ROUTE: u8 = 24;
        const RDNSS: u8 = 25;
        const DNSSL: u8 = 31;
        let seconds = |at: usize| Some(u32::from_be_bytes(option.get(at..at + 4)?.try_into().ok()?));
        match kind {
            PREFIX => {
                let on_link = option.get(3).is_some_and(|flags| flags & 0x80 != 0);
                if let (Some(prefix), Some(valid), Some(ip), true) =
                    (option.get(2), seconds(4), ip_at(option, 16), on_link)
                    && self.links.len() < MAX_ROUTES
                {
                    self.links.push((ip, *prefix, valid));
                }
            }
            ROUTE => {
                let mut bytes = [0; 16];
                let given = option.get(8..).unwrap_or_default();
                let len = given.len().min(16);
                bytes[..len].copy_from_slice(&given[..len]);
                if let (Some(prefix), Some(lifetime)) = (option.get(2), seconds(4))
                    && self.routes.len() < MAX_ROUTES
                    && usize::from(*prefix) <= len * 8
                {
                    self.routes.push((Ipv6Addr::from(bytes), *prefix, lifetime));
                }
            }
            RDNSS if seconds(4).is_some_and(|lifetime| lifetime > 0) => {
                let (addresses, _) = option[8..].as_chunks::<16>();
                let usable = addresses.iter().map(|bytes| Ipv6Addr::from(*bytes)).filter(|ip| {
                    !ip.is_unspecified()
                        && !ip.is_loopback()
                        && !ip.is_multicast()
                        && !ip.is_unicast_link_local()
                });
                self.servers.extend(usable);
                self.servers.truncate(MAX_SERVERS);
            }
            DNSSL if seconds(4).is_some_and(|lifetime| lifetime > 0) => {
                self.search.extend(dhcp::search_list(&option[8..], MAX_SEARCH));
                self.search.truncate(MAX_SEARCH);
            }
            _ => {}
        }
    }
}

/// What an advertisement means with these wishes in these surroundings. What it says that cannot be is left out, and what is local
/// stays local, as with a lease.
pub fn plan(said: &Advertisement, wishes: &Wishes, around: &Surroundings) -> Plan6 {
    let lifetime = |seconds: u32| (seconds != FOR_EVER).then_some(seconds);
    let mut routes = Vec::new();
    for (network, prefix, valid) in &said.links {
        if (LARGEST_LINK..=128).contains(prefix) {
            routes.push(planned(*network, *prefix, None, lifetime(*valid)));
        }
    }
    if wishes.routes != RouteMode::None {
        for (network, prefix, valid) in said
            .routes
            .iter()
            .filter(|(_, prefix, _)| (1..=128).contains(prefix))
        {
            routes.push(planned(*network, *prefix, Some(said.router), lifetime(*valid)));
        }
    }
    let takes_everything = matches!(wishes.routes, RouteMode::Dhcp | RouteMode::Default);
    if takes_everything {
        routes.push(planned(
            Ipv6Addr::UNSPECIFIED,
            0,
            Some(said.router),
            Some(said.lifetime.into()),
        ));
    }
    let is_nowhere = |ip: Ipv6Addr| ip.is_multicast() || ip.is_loopback() || ip.is_unicast_link_local();
    let spared = local(wishes, around);
    let holds = |(outer, prefix): (Ipv6Addr, u8), (inner, longer): (Ipv6Addr, u8)| {
        prefix <= longer && Route::to(inner.into(), prefix).destination == IpAddr::V6(outer)
    };
    routes.retain(|route| {
        let mut local = spared.iter();
        let is_local = local.any(|local| holds(*local, (route.network, route.prefix)));
        route.prefix == 0 || (!is_nowhere(route.network) && !is_local)
    });
    let dns = (wishes.dns && !said.servers.is_empty()).then(|| Dns {
        servers: said.servers.iter().copied().map(IpAddr::V6).collect(),
        search: said.search.clone(),
        everything: takes_everything && said.lifetime > 0,
    });
    Plan6 { routes, spared, dns }
}

/// The networks of IPv6 that stay local, whatever is advertised.
pub fn local(wishes: &Wishes, around: &Surroundings) -> Vec<(Ipv6Addr, u8)> {
    let private = around
        .networks
        .iter()
        .filter(|local| wishes.lan == Lan::Private && local.is_private());
    let mut local: Vec<_> = private
        .filter_map(|local| match local.network() {
            IpAddr::V6(network) if !network.is_unicast_link_local() => Some((network, local.prefix)),
            _ => None,
        })
        .collect();
    local.sort();
    local.dedup();
    local
}

/// Whether an address that a DHCPv6 server gives can be used here; as with IPv4, not one that belongs to somebody local.
///
/// # Errors
/// One line that says why not.
pub fn check_address(ip: Ipv6Addr, wishes: &Wishes, around: &Surroundings) -> Result<(), String> {
    let ip = IpAddr::V6(ip);
    let holder = around.networks.iter().find(|local| {
        local.address == ip || (wishes.lan == Lan::Private && local.is_private() && local.holds(ip))
    });
    let is_taken = around.server == ip || around.gateways.contains(&ip) || around.name_servers.contains(&ip);
    match holder {
        Some(local) => Err(format!(
            "the address {ip} from the hub's DHCPv6 server is not taken: it belongs to the local network {local} of {}",
            local.device
        )),
        None if is_taken => Err(format!(
            "the address {ip} from the hub's DHCPv6 server is not taken: it is that of the VPN server, a router or a name server of \
             this machine"
        )),
        None => Ok(()),
    }
}

fn planned(network: Ipv6Addr, prefix: u8, router: Option<Ipv6Addr>, lifetime: Option<u32>) -> Planned6 {
    let network = match Route::to(network.into(), prefix).destination {
        IpAddr::V6(network) => network,
        IpAddr::V4(_) => network,
    };
    Planned6 {
        network,
        prefix,
        router,
        lifetime,
    }
}

fn ip_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::network::surroundings::LocalNetwork;

    const ROUTER: &str = "fe80::1";

    fn frame(lifetime: u16, options: &[Vec<u8>]) -> Vec<u8> {
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, 64, 0];
        message.extend(lifetime.to_be_bytes());
        message.extend([0; 8]);
        message.extend(options.concat());
        let mut frame = vec![
            0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60, 0, 0, 0,
        ];
        frame.extend((message.len() as u16).to_be_bytes());
        frame.extend([ICMPV6, 255]);
        frame.extend(ROUTER.parse::<Ipv6Addr>().unwrap().octets());
        frame.extend("ff02::1".parse::<Ipv6Addr>().unwrap().octets());
        frame.extend(message);
        frame
    }

    fn ip(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn link(prefix: &str, len: u8) -> Vec<u8> {
        let mut option = vec![3, 4, len, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x07, 0x08, 0, 0, 0, 0];
        option.extend(ip(prefix).octets());
        option
    }

    fn behind(prefix: &str, len: u8) -> Vec<u8> {
        let mut option = vec![24, 3, len, 0, 0, 0, 0x0e, 0x10];
        option.extend(ip(prefix).octets());
        option
    }

    fn server(address: &str) -> Vec<u8> {
        let mut option = vec![25, 3, 0, 0, 0, 0, 0x0e, 0x10];
        option.extend(ip(address).octets());
        option
    }

    fn wishes(routes: RouteMode) -> Wishes {
        Wishes {
            routes,
            dns: true,
            lan: Lan::Private,
        }
    }

    fn whole() -> Advertisement {
        let search = [
            &[31, 3, 0, 0, 0, 0, 0x0e, 0x10][..],
            b"\x04corp\x07example\x00\x00\x00",
        ]
        .concat();
        parse(&frame(
            1800,
            &[
                link("2001:db8:1::", 64),
                behind("2001:db8:2::", 48),
                server("2001:db8:1::53"),
                search,
            ],
        ))
        .unwrap()
    }

    #[test]
    fn the_mode_decides_which_routes_are_taken() {
        let around = Surroundings::default();
        let networks = |mode| plan(&whole(), &wishes(mode), &around).networks();
        assert_eq!(networks(RouteMode::None), ["2001:db8:1::/64"]);
        assert_eq!(
            networks(RouteMode::Pushed),
            ["2001:db8:1::/64", "2001:db8:2::/48 via fe80::1"]
        );
        let all = [
            "2001:db8:1::/64",
            "2001:db8:2::/48 via fe80::1",
            "::/0 via fe80::1",
        ];
        assert_eq!(networks(RouteMode::Dhcp), all);
        assert_eq!(networks(RouteMode::Default), all);
        let dns = plan(&whole(), &wishes(RouteMode::Dhcp), &around).dns.unwrap();
        assert_eq!(
            (dns.servers, dns.search),
            (vec![ip("2001:db8:1::53").into()], vec!["corp.example".to_owned()])
        );
    }

    #[test]
    fn a_router_that_is_none_any_more_takes_its_route_away() {
        let gone = parse(&frame(0, &[])).unwrap();
        let plan = plan(&gone, &wishes(RouteMode::Dhcp), &Surroundings::default());
        assert_eq!((plan.routes[0].lifetime, plan.is_full()), (Some(0), false));
    }

    #[test]
    fn what_is_local_stays_local_and_what_cannot_be_is_left_out() {
        let around = Surroundings {
            networks: vec![LocalNetwork {
                device: "eth0".to_owned(),
                address: "fd00:1::5".parse().unwrap(),
                prefix: 64,
            }],
            ..Surroundings::default()
        };
        let lying = parse(&frame(
            1800,
            &[
                link("fd00:1::", 64),
                link("2000::", 3),
                link("fe80::", 64),
                behind("ff00::", 8),
                behind("fd00::", 16),
            ],
        ))
        .unwrap();
        let plan = plan(&lying, &wishes(RouteMode::Pushed), &around);
        assert_eq!(plan.networks(), ["fd00::/16 via fe80::1"]);
        assert_eq!(plan.spared, [(ip("fd00:1::"), 64)]);
    }

    #[test]
    fn flags_send_to_dhcp() {
        for (flags, expected) in [(0, (false, false)), (0x40, (false, true)), (0xc0, (true, true))] {
            let mut frame = frame(1800, &[]);
            frame[HEAD + 5] = flags;
            assert_eq!(parse(&frame).unwrap().sends_to_dhcp(), expected);
        }
    }

    #[test]
    fn an_address_of_somebody_local_is_not_taken() {
        let around = Surroundings {
            networks: vec![LocalNetwork {
                device: "eth0".to_owned(),
                address: "fd00:1::5".parse().unwrap(),
                prefix: 64,
            }],
            server: "2001:db8::1".parse().unwrap(),
            ..Surroundings::default()
        };
        let check = |text: &str, lan| {
            let wishes = Wishes {
                lan,
                ..wishes(RouteMode::Dhcp)
            };
            check_address(ip(text), &wishes, &around)
        };
        assert!(check("fd00:1::9", Lan::Private).unwrap_err().contains("eth0"));
        assert_eq!(check("fd00:1::9", Lan::Nothing), Ok(()));
        assert!(check("fd00:1::5", Lan::Nothing).is_err(), "our own");
        assert!(check("2001:db8::1", Lan::Nothing).is_err(), "the server's");
        assert_eq!(check("2001:db8::9", Lan::Private), Ok(()));
    }

    #[test]
    fn advertisements_from_beyond_the_link_are_not_believed() {
        let good = frame(1800, &[]);
        for (at, value) in [(21, 254), (22, 0x20), (55, 1)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(parse(&bad), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_advertisement_confuses(lifetime: u16, options: Vec<u8>, cut in 0usize..400) {
            let mut made = frame(lifetime, &[options]);
            made.truncate(cut.max(1));
            if let Some(said) = parse(&made) {
                let plan = plan(&said, &wishes(RouteMode::Dhcp), &Surroundings::default());
                prop_assert!(plan.routes.len() <= 2 * MAX_ROUTES + 1);
            }
        }
    }
}
