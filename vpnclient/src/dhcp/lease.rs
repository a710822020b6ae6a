//! What a DHCP server gives: an address for a time, and what to know about the network.

use std::net::Ipv4Addr;
use std::time::Duration;

/// A lease, checked: everything in it can be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The number of bits that name the network, 1 to 32.
    pub prefix: u8,
    /// The server.
    pub server: Ipv4Addr,
    /// The router that the server names; see [`Lease::way_out`].
    pub router: Option<Ipv4Addr>,
    /// Routes pushed by the server (RFC 3442).
    pub routes: Vec<ClasslessRoute>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain of the network, a plain name.
    pub domain: Option<String>,
    /// Domains to search, plain names.
    pub search: Vec<String>,
    /// The largest payload of a frame, as the server says it.
    pub mtu: Option<u16>,
    /// How long the lease holds; `None` is for ever.
    pub term: Option<Duration>,
    /// When to ask the server to prolong it, from the beginning.
    pub renew: Duration,
    /// When to ask any server, from the beginning.
    pub rebind: Duration,
}

impl Lease {
    /// The router for everything, if the server names one and pushes no routes: these take its place (RFC 3442).
    pub fn way_out(&self) -> Option<Ipv4Addr> {
        self.router.filter(|_| self.routes.is_empty())
    }
}

/// A pushed route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClasslessRoute {
    /// The network; bits behind the prefix are zero.
    pub network: Ipv4Addr,
    /// The number of bits that name it.
    pub prefix: u8,
    /// The router, or `None` when the network is on the link.
    pub router: Option<Ipv4Addr>,
}
