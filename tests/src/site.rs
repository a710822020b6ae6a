//! The place most stories play in: a NAT instance between a remote user and a private web server.

use std::net::SocketAddr;

use anyhow::Result;

use crate::host::Host;
use crate::lab::Lab;
use crate::ours::{self, Server};
use crate::page::Page;
use crate::process::Daemon;
use crate::stock::Stock;

/// Three hosts and two cables.
#[derive(Debug)]
pub struct Site {
    /// 203.0.113.1 outside, 10.0.1.1 inside; the servers run here.
    pub nat: Host,
    /// 203.0.113.10.
    pub user: Host,
    /// 10.0.1.26, which serves [`Site::page`] on port 80.
    pub web: Host,
    /// The private page.
    pub page: Page,
}

/// The NAT instance as its users address it.
pub const OUTSIDE: &str = "203.0.113.1";

/// The same as the host beside the user addresses it, see [`Site::neighbour`].
pub const BESIDE: &str = "198.51.100.1";

impl Site {
    /// Builds it.
    pub fn new(lab: &Lab) -> Result<Self> {
        let site = Self {
            nat: lab.host("nat")?,
            user: lab.host("user")?,
            web: lab.host("web")?,
            page: Page::new("the private page"),
        };
        lab.cable(
            (&site.nat, "wan", "203.0.113.1/24"),
            (&site.user, "eth0", "203.0.113.10/24"),
        )?;
        lab.cable(
            (&site.nat, "lan", "10.0.1.1/24"),
            (&site.web, "eth0", "10.0.1.26/24"),
        )?;
        site.web.sh("ip route add default via 10.0.1.1")?;
        site.page.serve(&site.web)?;
        Ok(site)
    }

    /// The same with our server on the NAT instance, set up by [`ours::set_up`].
    pub fn with_our_server(lab: &Lab, options: &[&str]) -> Result<(Self, Server)> {
        let site = Self::new(lab)?;
        let server = Server::start(&site.nat, options)?;
        ours::set_up(&site.nat)?;
        Ok((site, server))
    }

    /// The same with the stock server in its place, set up by [`Stock::set_up`].
    pub fn with_stock_server(lab: &Lab, stock: &Stock) -> Result<(Self, Daemon)> {
        let site = Self::new(lab)?;
        let server = stock.server(&site.nat)?;
        stock.set_up(&site.nat)?;
        Ok((site, server))
    }

    /// A second user's host, 198.51.100.10, with a cable of its own to the NAT instance.
    pub fn neighbour(&self, lab: &Lab) -> Result<Host> {
        let host = lab.host("neighbour")?;
        lab.cable(
            (&self.nat, "wan2", "198.51.100.1/24"),
            (&host, "eth0", "198.51.100.10/24"),
        )?;
        Ok(host)
    }

    /// The private page's own address.
    pub fn private(&self) -> SocketAddr {
        ([10, 0, 1, 26], 80).into()
    }

    /// Where a published host appears.
    pub fn published(&self) -> SocketAddr {
        ([203, 0, 113, 1], 80).into()
    }

    /// Fetches the private page from the user's host, by its private address.
    pub fn user_sees_the_private_page(&self) -> Result<()> {
        self.page.is_seen_from(&self.user, self.private())
    }
}
