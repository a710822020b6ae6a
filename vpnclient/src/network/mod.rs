//! What the client changes on this machine, and how all of it is changed back.
//!
//! [`plan`] says what a lease means here, [`Network`] does it. What outlives a process that is killed says in itself whose it is
//! (docs/adr/0015): rules and routes by their numbers (`table`), name servers in the resolver's file (`dns`), the kill switch by
//! its name ([`kill_switch`]). So the next client, or `vpnclient cleanup`, finds it without having been told ([`leftovers`]).

pub mod advertisement;
mod dns;
pub mod kill_switch;
mod lasting;
pub mod leftovers;
mod names;
mod plan;
mod program;
mod surroundings;
mod table;
mod way_back;

use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use netdev::{Links, Route, Rule, sysctl};
use transport::underlay::{self, MARK};

pub use dns::RESOLV_CONF;
use dns::Resolver;
use plan::MAX_ROUTES;
pub use plan::{Dns, Lan, Plan, PlannedRoute, Refused, RouteMode, Wishes, plan};
pub use surroundings::{LocalNetwork, Surroundings};
use table::Table;

use lasting::Lasting;

use advertisement::{Plan6, Planned6};

/// Whether a device is without IPv6.
const WITHOUT_IPV6: &str = "disable_ipv6";
/// What a new device needs so that the kernel takes addresses from advertisements, but neither routes nor orders: setting,
/// value, and whether every kernel with IPv6 has it.
const ADVERTISED: [(&str, &str, bool); 5] = [
    ("accept_ra_defrtr", "0", true),
    ("accept_ra_rt_info_max_plen", "0", false),
    ("autoconf", "1", true),
    ("accept_ra_pinfo", "1", true),
    // Also where this machine routes for others.
    ("accept_ra", "2", true),
];

/// The most seconds after which the kernel still ends something.
const AGES: u32 = u32::MAX - 1;

/// The settings of this machine that the client has changed.
#[derive(Debug)]
pub struct Network {
    links: Links,
    device: String,
    index: u32,
    resolv_conf: PathBuf,
    table: Table,
    /// What brings back the state before the lease, latest last.
    journal: Vec<Undo>,
    /// The same for advertisements.
    journal6: Vec<Undo>,
    /// The rule for answers of the server.
    answers: Option<Rule>,
    names: Names,
    /// The device's own settings, where it stays.
    lasting: Option<Lasting>,
}

/// The name servers, by where they come from.
#[derive(Debug, Default)]
struct Names {
    lease: Option<Dns>,
    advertised: Option<Dns>,
    /// By DHCPv6.
    informed: Option<Dns>,
    /// Who was told.
    set: Option<(Resolver, Dns)>,
    suspended: bool,
}

/// How to take back one change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Undo {
    Mtu(u32),
    Address(IpAddr, u8),
    Route(Route),
    Rule(Rule),
}

impl Network {
    /// Nothing changed yet; `device` is the VPN's. Sockets to VPN servers are marked from now on, so that they stay outside.
    pub fn new(links: Links, device: &str, index: u32) -> Self {
        underlay::mark_sockets();
        Self {
            links,
            device: device.to_owned(),
            index,
            resolv_conf: RESOLV_CONF.into(),
            table: Table::take(device),
            journal: Vec::new(),
            journal6: Vec::new(),
            answers: None,
            names: Names::default(),
            lasting: None,
        }
    }

    /// With another resolver's file than the system's, which nobody else manages.
    #[must_use]
    pub fn with_resolv_conf(mut self, file: &Path) -> Self {
        file.clone_into(&mut self.resolv_conf);
        self
    }

    /// Takes away what killed clients left, and learns to ask for names beside the VPN.
    pub async fn prepare(&self) {
        leftovers::clear_before(&self.links, &self.resolv_conf, self.table.alone()).await;
        names::ask_beside_the_vpn(self.resolv_conf.clone());
    }

    /// For a device that stays: notes its own settings, so that they can be put back. To be called before anything is changed.
    ///
    /// # Errors
    /// When they cannot be noted.
    pub async fn keep_settings(&mut self) -> netdev::Result<()> {
        self.lasting = Some(Lasting::note(&self.links, &self.device, self.table()).await?);
        Ok(())
    }

    /// Puts back the own settings of a device that stays. To be called last.
    pub async fn leave(&mut self) {
        if let Some(lasting) = self.lasting.take() {
            forget_if_gone(lasting.put_back(&self.links).await);
        }
    }

    /// The number of the table of routes into this VPN.
    pub fn table(&self) -> u32 {
        self.table.number
    }

    /// Switches the device on, with IPv6 or without. Returns whether advertisements may reach the kernel: not where it could
    /// not be kept from putting their routes before those of this machine.
    pub async fn up(&self, ipv6: bool) -> netdev::Result<bool> {
        let takes_advertisements = self.prepare_ipv6(ipv6);
        self.links.set_up(&self.device).await?;
        Ok(takes_advertisements)
    }

    fn prepare_ipv6(&self, wanted: bool) -> bool {
        let key = |name: &str| setting("ipv6", &self.device, name);
        let off = key(WITHOUT_IPV6);
        match sysctl::read(&off).as_deref() {
            Ok("0") if wanted => {}
            Ok("0") => {
                if let Err(error) = sysctl::write(&off, "1") {
                    tracing::warn!(%error, "IPv6 of the VPN's device stays on, without routers");
                }
                return false;
            }
            // Without IPv6, by the kernel or by whoever runs this machine.
            _ => return false,
        }
        for (name, value, is_everywhere) in ADVERTISED {
            if let Err(error) = sysctl::write(&key(name), value)
                && is_everywhere
            {
                tracing::warn!(%error, "no IPv6 from the VPN's routers");
                return false;
            }
        }
        true
    }

    /// Looks around.
    pub async fn surroundings(&self, server: IpAddr) -> netdev::Result<Surroundings> {
        Surroundings::look(&self.links, self.index, server, &self.resolv_conf).await
    }

    /// Sets up everything in `plan`, for a VPN server at `server`. What could not be set and can be done without is
    /// returned as notes; after an error call [`Network::clear`].
    pub async fn apply(&mut self, plan: &Plan, server: IpAddr) -> netdev::Result<Vec<String>> {
        let mut notes = plan.notes.clone();
        if let Some(mtu) = plan.mtu {
            let before = self.links.link(&self.device).await?.mtu;
            self.links.set_mtu(&self.device, mtu).await?;
            self.journal.push(Undo::Mtu(before));
        }
        self.add_address(plan.address.into(), plan.prefix).await?;
        self.find_server_again(server).await?;
        let own = Route::to(plan.address.into(), plan.prefix).dev(self.index);
        let mut routes = vec![own];
        routes.extend(
            plan.spared
                .iter()
                .map(|(net, prefix)| Route::to((*net).into(), *prefix).throw()),
        );
        routes.extend(plan.routes.iter().map(|route| self.to_route(route)));
        for route in routes {
            let route = if route.throw {
                route
            } else {
                route.source(plan.address.into())
            };
            self.add_route(route).await?;
        }
        for rule in self.table.rules(true, plan.is_full()) {
            self.links.add_rule(&rule).await.or_else(unless_exists)?;
            self.journal.push(Undo::Rule(rule));
        }
        self.names.lease.clone_from(&plan.dns);
        notes.extend(self.tell_names().await);
        Ok(notes)
    }

    /// Sets which networks stay local as `plan` says it now; the rest stays as it is. For when this machine has moved.
    pub async fn spare(&mut self, plan: &Plan) -> netdev::Result<()> {
        let wanted = self.spared(&plan.spared);
        for over in spared_before(&mut self.journal, &wanted) {
            self.undo(&over).await;
        }
        for route in wanted {
            if !self.journal.contains(&Undo::Route(route)) {
                self.links.add_route(&route).await.or_else(unless_exists)?;
                // Rules come last, so that they are the first to go.
                self.journal.insert(0, Undo::Route(route));
            }
        }
        Ok(())
    }

    /// Sets up what a router of the hub advertises; returns notes as [`Network::apply`] does.
    pub async fn advertised(&mut self, plan: &Plan6) -> netdev::Result<Vec<String>> {
        self.set_spared6(&plan.spared).await?;
        for route in &plan.routes {
            self.set_route6(self.to_route6(route), route.lifetime).await?;
        }
        for rule in self.table.rules(false, plan.is_full()) {
            if !self.journal6.contains(&Undo::Rule(rule)) {
                self.links.add_rule(&rule).await.or_else(unless_exists)?;
                self.journal6.push(Undo::Rule(rule));
            }
        }
        self.names.advertised.clone_from(&plan.dns);
        Ok(self.tell_names().await.into_iter().collect())
    }

    /// As [`Network::spare`], for the networks of IPv6, where a router of the hub has been heard.
    pub async fn spare6(&mut self, local: &[(Ipv6Addr, u8)]) -> netdev::Result<()> {
        if self.journal6.is_empty() {
            return Ok(());
        }
        self.set_spared6(local).await
    }

    async fn set_spared6(&mut self, local: &[(Ipv6Addr, u8)]) -> netdev::Result<()> {
        let wanted = self.spared(local);
        for over in spared_before(&mut self.journal6, &wanted) {
            self.undo(&over).await;
        }
        for route in wanted {
            self.set_route6(route, None).await?;
        }
        Ok(())
    }

    /// An address of the device on its link, which is there as long as it has IPv6.
    pub async fn link_local(&self) -> Option<Ipv6Addr> {
        let addresses = self.links.addresses(&self.device).await.ok()?;
        addresses.iter().find_map(|address| match address.ip {
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Some(ip),
            _ => None,
        })
    }

    /// Sets an address that a DHCPv6 server gave, or prolongs it: seconds for which it is preferred and for which it holds. Whether it
    /// is a new one.
    pub async fn lease6(&mut self, ip: Ipv6Addr, times: (u32, u32)) -> netdev::Result<bool> {
        // One for ever would look like the device's own, where that stays.
        let times = (times.0.min(AGES), times.1.min(AGES));
        self.links
            .set_address_for(&self.device, ip.into(), 128, times)
            .await?;
        let undo = Undo::Address(ip.into(), 128);
        let is_new = !self.journal6.contains(&undo);
        if is_new {
            self.journal6.insert(0, undo);
        }
        Ok(is_new)
    }

    /// Takes it back.
    pub async fn lost6(&mut self, ip: Ipv6Addr) {
        let undo = Undo::Address(ip.into(), 128);
        if let Some(at) = self.journal6.iter().position(|known| *known == undo) {
            self.journal6.remove(at);
            self.undo(&undo).await;
        }
    }

    /// Sets the name servers that a DHCPv6 server tells; returns notes as [`Network::apply`] does.
    pub async fn informed(&mut self, dns: Option<Dns>) -> Vec<String> {
        self.names.informed = dns;
        self.tell_names().await.into_iter().collect()
    }

    /// Takes back everything that a lease and advertisements brought, in reverse order; goes on where something fails.
    pub async fn clear(&mut self) {
        self.names.advertised = None;
        self.names.informed = None;
        self.clear_lease().await;
        for undo in std::mem::take(&mut self.journal6).iter().rev() {
            self.undo(undo).await;
        }
    }

    /// The same for what a lease brought alone.
    pub async fn clear_lease(&mut self) {
        self.names.suspended = false;
        self.names.lease = None;
        self.tell_names().await;
        for undo in std::mem::take(&mut self.journal).iter().rev() {
            self.undo(undo).await;
        }
        if let Some(rule) = self.answers.take() {
            self.undo(&Undo::Rule(rule)).await;
        }
    }

    /// Sees to it that the way to the server around the VPN is as this machine's other routes say now: it may have moved
    /// to another network meanwhile.
    pub async fn find_server_again(&mut self, server: IpAddr) -> netdev::Result<()> {
        let wanted = self.answers_wanted(server).await?;
        if wanted == self.answers {
            return Ok(());
        }
        if let Some(old) = self.answers.take() {
            self.undo(&Undo::Rule(old)).await;
        }
        if let Some(rule) = wanted {
            self.links.add_rule(&rule).await.or_else(unless_exists)?;
            self.answers = Some(rule);
        }
        Ok(())
    }

    /// The rule for answers, where somebody is strict about the way back.
    async fn answers_wanted(&self, server: IpAddr) -> netdev::Result<Option<Rule>> {
        let way = match self.links.route_to_marked(server, MARK).await {
            Ok(way) => way,
            // Out of reach for now.
            Err(netdev::Error::NoRoute { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let devices = self.links.list().await?;
        let device = devices.iter().find(|link| Some(link.index) == way.device);
        let (Some(device), Some(local)) = (device.filter(|link| !link.loopback), way.source) else {
            return Ok(None);
        };
        let is_strict = (server.is_ipv4() && way_back::kernel_is_strict(&device.name))
            || way_back::firewall_is_strict().await;
        Ok(is_strict.then(|| self.table.answers(local, server)))
    }

    /// Lets go of the VPN's name servers while the server is looked for: they cannot be reached to ask for its address.
    pub async fn suspend_dns(&mut self) {
        self.names.suspended = true;
        self.tell_names().await;
    }

    /// Takes them up again.
    pub async fn resume_dns(&mut self) {
        if std::mem::take(&mut self.names.suspended)
            && let Some(note) = self.tell_names().await
        {
            tracing::warn!("{note}");
        }
    }

    /// Tells the resolver of the name servers as they are now, unless it knows.
    async fn tell_names(&mut self) -> Option<String> {
        let table = self.table();
        let wanted = self.names.wanted();
        if self.names.set.as_ref().map(|(_, dns)| dns) == wanted.as_ref() {
            return None;
        }
        let before = self.names.set.take();
        let Some(dns) = wanted else {
            if let Some((resolver, _)) = before
                && let Err(error) = resolver.revert(&self.device, table).await
            {
                tracing::warn!(%error, "the name servers could not be taken back; `vpnclient cleanup` does it after the end");
            }
            return None;
        };
        let resolver = before.map_or_else(|| Resolver::detect(&self.resolv_conf), |(resolver, _)| resolver);
        let told = resolver.set(&self.device, table, &dns).await;
        let servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
        // A manager may have done half of it before it failed.
        self.names.set = Some((resolver, dns));
        told.err().map(|error| {
            format!(
                "the name servers {} are not set: {error}; ask them yourself, or use --no-dns",
                servers.join(", ")
            )
        })
    }

    async fn undo(&self, undo: &Undo) {
        forget_if_gone(match undo {
            Undo::Mtu(mtu) => self.links.set_mtu(&self.device, *mtu).await,
            Undo::Address(ip, prefix) => self.links.remove_address(&self.device, *ip, *prefix).await,
            Undo::Route(route) => self.links.delete_route(route).await,
            Undo::Rule(rule) => self.links.delete_rule(rule).await,
        });
    }

    async fn add_address(&mut self, ip: IpAddr, prefix: u8) -> netdev::Result<()> {
        let there = self.links.addresses(&self.device).await?;
        if there.iter().any(|own| (own.ip, own.prefix) == (ip, prefix)) {
            // A device that was there before may have the address already, and keeps it.
            return Ok(());
        }
        if let Some(lasting) = &mut self.lasting {
            lasting.adds(&self.links, ip, prefix).await?;
        }
        self.links.add_address_alone(&self.device, ip, prefix).await?;
        self.journal.push(Undo::Address(ip, prefix));
        Ok(())
    }

    /// A second route to the same network, pushed by the hub, is none.
    async fn add_route(&mut self, route: Route) -> netdev::Result<()> {
        let route = route.in_table(self.table());
        match self.links.add_route(&route).await {
            Err(error) if error.is_exists() => {}
            Err(error) => return Err(error),
            Ok(()) => self.journal.push(Undo::Route(route)),
        }
        Ok(())
    }

    async fn set_route6(&mut self, route: Route, lifetime: Option<u32>) -> netdev::Result<()> {
        let route = route.in_table(self.table());
        let known = self.journal6.iter().position(|undo| *undo == Undo::Route(route));
        if lifetime == Some(0) {
            if let Some(at) = known {
                let gone = self.journal6.remove(at);
                self.undo(&gone).await;
            }
            return Ok(());
        }
        if known.is_none() {
            self.make_room6().await;
        }
        let timed = Route {
            expires: lifetime,
            ..route
        };
        self.links.replace_route(&timed).await?;
        if known.is_none() {
            self.journal6.insert(0, Undo::Route(route));
        }
        Ok(())
    }

    /// Where there are as many routes as nobody means, the oldest makes room: a flood of advertisements takes nothing but its own place.
    /// The way to everything stays.
    async fn make_room6(&mut self) {
        let leads_in = |undo: &Undo| matches!(undo, Undo::Route(route) if !route.throw && route.prefix > 0);
        let oldest = self.journal6.iter().rposition(leads_in);
        if let Some(oldest) = oldest
            && self.journal6.iter().filter(|undo| leads_in(undo)).count() >= MAX_ROUTES
        {
            let gone = self.journal6.remove(oldest);
            self.undo(&gone).await;
        }
    }

    /// The routes by which these networks stay local.
    fn spared(&self, networks: &[(impl Into<IpAddr> + Copy, u8)]) -> Vec<Route> {
        let table = self.table();
        let networks = networks.iter();
        networks
            .map(|(net, prefix)| Route::to((*net).into(), *prefix).throw().in_table(table))
            .collect()
    }

    fn to_route(&self, route: &PlannedRoute) -> Route {
        Route {
            gateway: route.router.map(IpAddr::V4),
            device: Some(self.index),
            onlink: route.onlink,
            ..Route::to(route.network.into(), route.prefix)
        }
    }

    fn to_route6(&self, route: &Planned6) -> Route {
        Route {
            gateway: route.router.map(IpAddr::V6),
            device: Some(self.index),
            ..Route::to(route.network.into(), route.prefix)
        }
    }
}

impl Names {
    /// What the resolver should know.
    fn wanted(&self) -> Option<Dns> {
        let sources = [&self.lease, &self.advertised, &self.informed];
        let mut all = sources.into_iter().flatten().cloned();
        let mut dns = all.next().filter(|_| !self.suspended)?;
        for other in all {
            let known = dns.servers.clone();
            let new = other.servers.into_iter().filter(|ip| !known.contains(ip));
            dns.servers.extend(new);
            dns.search.extend(other.search);
            dns.everything |= other.everything;
        }
        let mut seen = Vec::new();
        dns.search.retain(|domain| {
            let new = !seen.contains(domain);
            seen.push(domain.clone());
            new
        });
        Some(dns)
    }
}

/// The kernel's name of a device's setting.
fn setting(family: &str, device: &str, name: &str) -> String {
    format!("net.{family}.conf.{}.{name}", device.replace('.', "/"))
}

/// Takes out of a journal what keeps other networks local than are wanted.
fn spared_before(journal: &mut Vec<Undo>, wanted: &[Route]) -> Vec<Undo> {
    let is_over = |undo: &Undo| matches!(undo, Undo::Route(route) if route.throw && !wanted.contains(route));
    journal.extract_if(.., |undo| is_over(undo)).collect()
}

fn unless_exists(error: netdev::Error) -> netdev::Result<()> {
    if error.is_exists() { Ok(()) } else { Err(error) }
}

/// What is gone already needs no taking back; other failures are told, and do not stop the rest.
fn forget_if_gone(done: netdev::Result<()>) {
    if let Err(error) = done
        && !error.is_absent()
    {
        tracing::warn!(%error, "a setting could not be taken back; `vpnclient cleanup` does it after the end");
    }
}
