//! Where this machine is without the VPN: its networks, routers and name servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use netdev::{Links, Route};

use super::dns;

/// What is around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The networks that this machine is on, those of VPNs of ours left out.
    pub networks: Vec<LocalNetwork>,
    /// The routers of its default routes.
    pub gateways: Vec<IpAddr>,
    /// The name servers that it asks without a VPN.
    pub name_servers: Vec<IpAddr>,
    /// The VPN server.
    pub server: IpAddr,
    /// Its default routes, for people.
    pub defaults: Vec<String>,
}

/// A network that this machine is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalNetwork {
    /// The device.
    pub device: String,
    /// This machine's address.
    pub address: IpAddr,
    /// The number of bits that name the network.
    pub prefix: u8,
}

/// A home or an office is at most as large as this; who says that the local network is larger wants more than that.
const LARGEST_LAN: u8 = 16;
const LARGEST_LAN6: u8 = 48;
/// How a default route of IPv6 is told from one of IPv4, whose routers look different but need not be there.
const IPV6: &str = " (IPv6)";
/// The largest local network of public addresses that keeps a pushed route out.
const LARGEST_PUBLIC: u8 = 24;

impl LocalNetwork {
    /// The network's address.
    pub fn network(&self) -> IpAddr {
        Route::to(self.address, self.prefix).destination
    }

    /// Whether `ip` belongs to it.
    pub fn holds(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4() && Route::to(ip, self.prefix).destination == self.network()
    }

    /// Whether it is a private network of a size that one has. Only such a one stays reachable beside a tunnel that takes
    /// everything: a stranger's DHCP server could call any public network a local one, and read what goes there.
    pub fn is_private(&self) -> bool {
        match self.address {
            IpAddr::V4(ip) => self.prefix >= LARGEST_LAN && is_private(ip),
            IpAddr::V6(ip) => {
                self.prefix >= LARGEST_LAN6 && (ip.is_unique_local() || ip.is_unicast_link_local())
            }
        }
    }

    /// Whether it is before routes that the hub's DHCP server pushes.
    pub fn is_near(&self) -> bool {
        self.is_private() || (self.address.is_ipv4() && self.prefix >= LARGEST_PUBLIC)
    }
}

impl fmt::Display for LocalNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

/// RFC 1918, link-local addresses, and those that providers share among their customers (RFC 6598).
fn is_private(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
}

impl Surroundings {
    /// Looks around, from the VPN's device `index` to a server at `server`.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub async fn look(links: &Links, index: u32, server: IpAddr, resolv_conf: &Path) -> netdev::Result<Self> {
        let ours: Vec<_> = links
            .our_routes()
            .await?
            .iter()
            .filter_map(|route| route.device)
            .collect();
        let mut networks = Vec::new();
        let mut names = std::collections::HashMap::new();
        for link in links.list().await? {
            names.insert(link.index, link.name.clone());
            if link.loopback || !link.up || link.index == index || ours.contains(&link.index) {
                continue;
            }
            let addresses = match links.addresses(&link.name).await {
                Ok(addresses) => addresses,
                Err(error) if error.is_absent() => continue,
                Err(error) => return Err(error),
            };
            networks.extend(addresses.into_iter().map(|address| LocalNetwork {
                device: link.name.clone(),
                address: address.ip,
                prefix: address.prefix,
            }));
        }
        let routes = links.routes().await?;
        let defaults: Vec<_> = routes
            .iter()
            .filter(|route| route.prefix == 0 && route.device != Some(index))
            .collect();
        let describe = |route: &&Route| {
            let via = route.gateway.map(|gateway| format!("via {gateway} "));
            let device = route.device.and_then(|index| names.get(&index));
            let device = device.map_or("several devices", String::as_str);
            let family = if route.destination.is_ipv6() { IPV6 } else { "" };
            format!("{}on {device}{family}", via.unwrap_or_default())
        };
        Ok(Self {
            networks,
            gateways: defaults.iter().filter_map(|route| route.gateway).collect(),
            name_servers: dns::servers_without_vpn(resolv_conf),
            server: canonical(server),
            defaults: defaults.iter().map(describe).collect(),
        })
    }

    /// Whether this machine reaches the Internet by IPv6 without the VPN.
    pub fn has_ipv6(&self) -> bool {
        self.defaults.iter().any(|text| text.ends_with(IPV6))
    }
}

fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4),
        four @ IpAddr::V4(_) => four,
    }
}

/// For tests and for machines without a network.
impl Default for Surroundings {
    fn default() -> Self {
        Self {
            networks: Vec::new(),
            gateways: Vec::new(),
            name_servers: Vec::new(),
            server: Ipv6Addr::UNSPECIFIED.into(),
            defaults: Vec::new(),
        }
    }
}
