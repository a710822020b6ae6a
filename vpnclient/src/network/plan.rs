//! What a lease means for this machine: a pure answer, applied by [`Network`](super::Network).
//!
//! Two may lie here. The local network is anybody's: it must not pull out of the tunnel what belongs there. The hub's DHCP server
//! may be any of its members: it must not pull in what is local. docs/adr/0015 says how far each is believed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use netdev::Route;

use super::surroundings::{LocalNetwork, Surroundings};
use crate::dhcp::Lease;

/// Which routes lead into the VPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum RouteMode {
    /// What the hub says: the pushed routes, or everything when it names a router instead.
    #[default]
    Dhcp,
    /// Only the pushed routes, never everything.
    #[value(name = "split", alias = "pushed")]
    Pushed,
    /// Everything, by way of the router that the hub names.
    #[value(name = "full", alias = "default")]
    Default,
    /// Only the network of the address itself.
    None,
}

/// What of the local network is reached beside the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lan {
    /// Private networks that this machine is on: printers and the like.
    #[default]
    Private,
    /// Nothing.
    Nothing,
}

/// What the user wants of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wishes {
    /// Which routes lead into the VPN.
    pub routes: RouteMode,
    /// Whether to set name servers.
    pub dns: bool,
    /// What stays local.
    pub lan: Lan,
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
    /// Networks that stay local although a route above holds them.
    pub spared: Vec<(Ipv4Addr, u8)>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Name servers.
    pub servers: Vec<IpAddr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// Whether these servers answer for all names.
    pub everything: bool,
}

/// Why nothing of a lease is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Frames are at most 1600 bytes on the wire (protocol §7.2); what servers say beyond Ethernet's own is not believed,
/// and IPv4 works from 68 on but nothing else does below 576.
const MTU: std::ops::RangeInclusive<u16> = 576..=1500;
/// More routes than this nobody means: as many as our own server can push, and some.
pub(super) const MAX_ROUTES: usize = 256;
/// A network of an address that is larger than the largest private one is no network.
const LARGEST: u8 = 8;
/// What is taken instead.
const USUAL: u8 = 24;

impl Plan {
    /// Whether everything goes into the VPN.
    pub fn is_full(&self) -> bool {
        self.routes.iter().any(|route| route.prefix == 0)
    }
}

/// What `lease` means with these wishes on a machine in these surroundings.
///
/// # Errors
/// When the address cannot be used here; nothing is to be set up then.
pub fn plan(lease: &Lease, wishes: &Wishes, around: &Surroundings) -> Result<Plan, Refused> {
    let mut notes = Vec::new();
    let prefix = believed_prefix(lease, &mut notes);
    check_address(lease.address, prefix, wishes, around)?;
    let mut routes = pushed(lease, prefix, wishes, around, &mut notes);
    let default = default_route(lease, wishes.routes, &mut notes);
    if let Some(router) = default {
        routes.push(planned(lease.address, prefix, (Ipv4Addr::UNSPECIFIED, 0), router));
    }
    let own = PlannedRoute {
        network: network(lease.address, prefix),
        prefix,
        router: None,
        onlink: false,
    };
    let spared = match wishes.lan {
        Lan::Private => spared(&own, &routes, around, &mut notes),
        Lan::Nothing => Vec::new(),
    };
    let mtu = lease.mtu.filter(|mtu| {
        let usable = MTU.contains(mtu);
        if !usable {
            notes.push(format!(
                "the server's MTU of {mtu} is left out: it is not one of {MTU:?}"
            ));
        }
        usable
    });
    Ok(Plan {
        address: lease.address,
        prefix,
        mtu: mtu.map(u32::from),
        routes,
        spared,
        dns: (wishes.dns && !lease.dns.is_empty()).then(|| settings(lease, default.is_some())),
        notes,
    })
}

fn believed_prefix(lease: &Lease, notes: &mut Vec<String>) -> u8 {
    if lease.prefix >= LARGEST {
        return lease.prefix;
    }
    notes.push(format!(
        "the hub's DHCP server says that its network is a /{}; it is taken as a /{USUAL}",
        lease.prefix
    ));
    USUAL
}

/// An address that would make this machine deaf to somebody it needs is not taken.
fn check_address(
    address: Ipv4Addr,
    prefix: u8,
    wishes: &Wishes,
    around: &Surroundings,
) -> Result<(), Refused> {
    let ip = IpAddr::V4(address);
    let refuse = |why: String| {
        Err(Refused(format!(
            "the address {address}/{prefix} from the hub's DHCP server is not taken: {why}"
        )))
    };
    let host_bits = address.to_bits() & u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let all_ones = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    if prefix < 31 && (host_bits == 0 || host_bits == all_ones) {
        return refuse("no host can have it, it stands for the whole network".to_owned());
    }
    if let Some(own) = around.networks.iter().find(|own| own.address == ip) {
        return refuse(format!("this machine has it on {} already", own.device));
    }
    if around.server == ip {
        return refuse("it is the VPN server's own".to_owned());
    }
    if around.gateways.contains(&ip) {
        return refuse("it is that of this machine's router".to_owned());
    }
    if around.name_servers.contains(&ip) {
        return refuse("it is that of this machine's name server".to_owned());
    }
    if wishes.lan == Lan::Private
        && let Some(local) = around.networks.iter().find(|local| local.holds(ip))
    {
        return refuse(format!(
            "it is in the local network {local} of {}; to reach the hub's network instead of the local one, use --block-lan",
            local.device
        ));
    }
    Ok(())
}

/// The pushed routes that are taken, but for the default route.
fn pushed(
    lease: &Lease,
    prefix: u8,
    wishes: &Wishes,
    around: &Surroundings,
    notes: &mut Vec<String>,
) -> Vec<PlannedRoute> {
    if wishes.routes == RouteMode::None {
        return Vec::new();
    }
    let mut routes = Vec::new();
    let mut left_out = Vec::new();
    let all: Vec<_> = lease.routes.iter().filter(|route| route.prefix > 0).collect();
    for route in all.iter().take(MAX_ROUTES) {
        let (net, len) = (network(route.network, route.prefix), route.prefix);
        let first = net.octets()[0];
        let to_server = len == 32 && IpAddr::V4(net) == around.server;
        let is_local = |local: &&LocalNetwork| {
            wishes.lan == Lan::Private && local.prefix <= len && local.holds(net.into()) && local.is_near()
        };
        let nonsense = first == 127 || first == 0 || first >= 224;
        if to_server || nonsense || around.networks.iter().any(|local| is_local(&local)) {
            left_out.push(format!("{net}/{len}"));
        } else {
            routes.push(planned(lease.address, prefix, (net, len), route.router));
        }
    }
    if !left_out.is_empty() {
        let count = left_out.len();
        let shown = left_out.into_iter().take(4).collect::<Vec<_>>().join(", ");
        let more = if count > 4 { ", ..." } else { "" };
        notes.push(format!(
            "pushed routes to this machine's own networks, to the VPN server or to no network at all are left out: {shown}{more}"
        ));
    }
    if all.len() > MAX_ROUTES {
        notes.push(format!(
            "the hub's DHCP server pushes {} routes; only the first {MAX_ROUTES} are taken",
            all.len()
        ));
    }
    routes
}

/// The router for everything, if everything is to go into the VPN; the inner `None` is the link itself.
fn default_route(lease: &Lease, mode: RouteMode, notes: &mut Vec<String>) -> Option<Option<Ipv4Addr>> {
    let pushed = lease.routes.iter().find(|route| route.prefix == 0);
    let pushed = pushed.map(|route| route.router);
    match mode {
        RouteMode::None | RouteMode::Pushed => None,
        RouteMode::Dhcp => pushed.or_else(|| lease.way_out().map(Some)),
        RouteMode::Default => {
            let given = pushed.or_else(|| lease.router.map(Some));
            if given.is_none() {
                notes.push("the server names no router, so there is no default route to set".to_owned());
            }
            given
        }
    }
}

/// The local networks inside the routes that stay local.
fn spared(
    own: &PlannedRoute,
    routes: &[PlannedRoute],
    around: &Surroundings,
    notes: &mut Vec<String>,
) -> Vec<(Ipv4Addr, u8)> {
    let mut spared = Vec::new();
    let holds = |route: &PlannedRoute, local: &LocalNetwork| {
        let IpAddr::V4(net) = local.network() else {
            return false;
        };
        route.prefix <= local.prefix && network(net, route.prefix) == route.network
    };
    for local in &around.networks {
        let IpAddr::V4(net) = local.network() else {
            continue;
        };
        let covering = std::iter::once(own)
            .chain(routes)
            .filter(|route| holds(route, local))
            .max_by_key(|route| route.prefix);
        let Some(route) = covering else { continue };
        let stays = if route.prefix == 0 {
            local.is_private()
        } else {
            local.is_near()
        };
        if !stays || spared.contains(&(net, local.prefix)) {
            continue;
        }
        spared.push((net, local.prefix));
        if route.prefix > 0 {
            notes.push(format!(
                "the route to {}/{} covers the local network {local} of {}, which stays local",
                route.network, route.prefix, local.device
            ));
        }
    }
    spared
}

fn planned(
    address: Ipv4Addr,
    own: u8,
    (net, prefix): (Ipv4Addr, u8),
    router: Option<Ipv4Addr>,
) -> PlannedRoute {
    // Its own address as the router is how some servers say "on the link".
    let router = router.filter(|router| *router != address);
    PlannedRoute {
        network: net,
        prefix,
        router,
        onlink: router.is_some_and(|router| network(router, own) != network(address, own)),
    }
}

fn settings(lease: &Lease, everything: bool) -> Dns {
    let mut search = lease.search.clone();
    if let Some(domain) = lease.domain.as_ref().filter(|domain| !search.contains(domain)) {
        search.insert(0, domain.clone());
    }
    Dns {
        servers: lease.dns.iter().copied().map(IpAddr::V4).collect(),
        search,
        everything,
    }
}

fn network(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    match Route::to(address.into(), prefix).destination {
        IpAddr::V4(network) => network,
        IpAddr::V6(_) => address,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
