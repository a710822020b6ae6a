//! What the client changes on this machine, and the journal by which it changes all of it back.

mod dns;
mod plan;

use std::net::IpAddr;

use dns::Resolver;
use netdev::{Links, Route};
pub use plan::{Dns, Plan, PlannedRoute, RouteMode, plan};
use plan::{is_same, underlay};

/// The settings of this machine that the client has changed.
#[derive(Debug)]
pub struct Network {
    links: Links,
    device: String,
    index: u32,
    /// What brings back the state before the lease, latest last.
    journal: Vec<Undo>,
    /// Our route to the VPN server around the VPN.
    server_route: Option<Route>,
    /// Name servers that are let go of for a while.
    suspended_dns: Option<Dns>,
}

/// How to take back one change.
#[derive(Debug)]
enum Undo {
    Mtu(u32),
    Address(IpAddr, u8),
    Route(Route),
    Dns(Resolver, Dns),
}

impl Network {
    /// Nothing changed yet; `device` is the VPN's.
    pub fn new(links: Links, device: &str, index: u32) -> Self {
        Self {
            links,
            device: device.to_owned(),
            index,
            journal: Vec::new(),
            server_route: None,
            suspended_dns: None,
        }
    }

    /// Switches the device on.
    pub async fn up(&self) -> netdev::Result<()> {
        self.links.set_up(&self.device).await
    }

    /// Sets up everything in `plan`, for a VPN server at `server`. What could not be set and can be done without is
    /// returned as notes; after an error call [`Network::clear`].
    pub async fn apply(&mut self, plan: &Plan, server: IpAddr) -> netdev::Result<Vec<String>> {
        let mut notes = plan.notes.clone();
        if plan.covers_server {
            self.keep_server_reachable(server).await?;
        }
        if let Some(mtu) = plan.mtu {
            let before = self.links.link(&self.device).await?.mtu;
            self.links.set_mtu(&self.device, mtu).await?;
            self.journal.push(Undo::Mtu(before));
        }
        self.add_address(plan.address.into(), plan.prefix).await?;
        for route in &plan.routes {
            self.add_route(self.to_route(route), &mut notes).await?;
        }
        if let Some(dns) = &plan.dns {
            self.set_dns(dns, &mut notes).await;
        }
        Ok(notes)
    }

    /// Takes back everything that a lease brought, in reverse order; goes on where something fails.
    pub async fn clear(&mut self) {
        self.suspended_dns = None;
        while let Some(undo) = self.journal.pop() {
            let done = match &undo {
                Undo::Mtu(mtu) => self.links.set_mtu(&self.device, *mtu).await,
                Undo::Address(ip, prefix) => self.links.remove_address(&self.device, *ip, *prefix).await,
                Undo::Route(route) => self.links.delete_route(route).await,
                Undo::Dns(resolver, _) => {
                    self.revert_dns(resolver).await;
                    Ok(())
                }
            };
            forget_if_gone(done);
        }
        if let Some(route) = self.server_route.take() {
            forget_if_gone(self.links.delete_route(&route).await);
        }
    }

    /// Finds the way to the server around the VPN again, where there was one: this machine may have moved to
    /// another network meanwhile.
    pub async fn find_server_again(&mut self, server: IpAddr) -> netdev::Result<()> {
        match self.server_route {
            Some(_) => self.keep_server_reachable(server).await,
            None => Ok(()),
        }
    }

    /// Lets go of the VPN's name servers while the server is looked for: they cannot be reached to ask for its address.
    pub async fn suspend_dns(&mut self) {
        let place = self.journal.iter().position(|undo| matches!(undo, Undo::Dns(..)));
        if let Some(Undo::Dns(resolver, dns)) = place.map(|at| self.journal.remove(at)) {
            self.revert_dns(&resolver).await;
            self.suspended_dns = Some(dns);
        }
    }

    /// Takes them up again.
    pub async fn resume_dns(&mut self) {
        if let Some(dns) = self.suspended_dns.take() {
            let mut notes = Vec::new();
            self.set_dns(&dns, &mut notes).await;
            for note in notes {
                tracing::warn!("{note}");
            }
        }
    }

    async fn revert_dns(&self, resolver: &Resolver) {
        if let Err(error) = resolver.revert(&self.device).await {
            tracing::warn!(%error, "the name servers could not be taken back");
        }
    }

    /// Sets a route to the server alone, by the way that packets to it take without the VPN.
    async fn keep_server_reachable(&mut self, server: IpAddr) -> netdev::Result<()> {
        let routes = self.links.routes().await?;
        let host = Route::to_host(server);
        let is_host = |route: &&Route| (route.destination, route.prefix) == (host.destination, host.prefix);
        let theirs = routes
            .iter()
            .find(is_host)
            .filter(|route| !is_same(route, self.server_route.as_ref()));
        let others: Vec<_> = routes.iter().filter(|route| !is_host(route)).copied().collect();
        // Without another route there is no way to spare: the server is this machine, or out of reach.
        let wanted = underlay(&others, server, self.index).map(|way| Route {
            gateway: way.gateway,
            device: way.device,
            source: way.source,
            onlink: way.onlink,
            ..host
        });
        if let Some(theirs) = theirs {
            // One that says just the same was left behind when this program was killed; it is taken back at the end.
            self.server_route = wanted.filter(|wanted| is_same(theirs, Some(wanted)));
            return Ok(());
        }
        if wanted == self.server_route {
            return Ok(());
        }
        if let Some(old) = self.server_route.take() {
            forget_if_gone(self.links.delete_route(&old).await);
        }
        if let Some(route) = wanted {
            self.links.add_route(&route).await?;
            self.server_route = Some(route);
        }
        Ok(())
    }

    async fn add_address(&mut self, ip: IpAddr, prefix: u8) -> netdev::Result<()> {
        match self.links.add_address(&self.device, ip, prefix).await {
            // A device that was there before may have the address already.
            Err(error) if error.is_exists() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.journal.push(Undo::Address(ip, prefix));
                Ok(())
            }
        }
    }

    async fn add_route(&mut self, route: Route, notes: &mut Vec<String>) -> netdev::Result<()> {
        match self.links.add_route(&route).await {
            Err(error) if error.is_exists() => {
                notes.push(format!(
                    "the route to {}/{} is left as it was",
                    route.destination, route.prefix
                ));
            }
            Err(error) => return Err(error),
            Ok(()) => self.journal.push(Undo::Route(route)),
        }
        Ok(())
    }

    async fn set_dns(&mut self, dns: &Dns, notes: &mut Vec<String>) {
        let done = match Resolver::detect() {
            Ok(resolver) => {
                let set = resolver.set(&self.device, dns).await;
                self.journal.push(Undo::Dns(resolver, dns.clone()));
                set
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            let servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
            notes.push(format!(
                "the name servers {} are not set: {error}",
                servers.join(", ")
            ));
        }
    }

    fn to_route(&self, route: &PlannedRoute) -> Route {
        Route {
            gateway: route.router.map(IpAddr::V4),
            device: Some(self.index),
            onlink: route.onlink,
            ..Route::to(route.network.into(), route.prefix)
        }
    }
}

/// What is gone already needs no taking back; other failures are told, and do not stop the rest.
fn forget_if_gone(done: netdev::Result<()>) {
    if let Err(error) = done.or_else(|e| if e.is_absent() { Ok(()) } else { Err(e) }) {
        tracing::warn!(%error, "a setting could not be taken back");
    }
}
