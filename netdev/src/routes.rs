//! Routes, of the main table unless a route names another, over rtnetlink.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use nix::libc;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::links::netlink;
use crate::{Error, Links, Result};

/// The mark of routes and rules in tables of our own: who looks at them (`ip route show table all proto 72`) sees whose they
/// are, and so do we after a `kill -9`. Numbers up to 4 are the kernel's, and those of the routing daemons that are known are others.
pub(crate) const OURS: u8 = 72;

/// One route: where a network's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The network; bits behind the prefix are zero.
    pub destination: IpAddr,
    /// The number of bits that name the network; 0 is the default route.
    pub prefix: u8,
    /// The next router, or `None` when the network is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The number of the device.
    pub device: Option<u32>,
    /// The source address that packets get.
    pub source: Option<IpAddr>,
    /// The preference among routes to the same network; the lowest wins.
    pub metric: Option<u32>,
    /// Whether the router is on the link although no address of the device says so.
    pub onlink: bool,
    /// A table of our own; `None` is the main one.
    pub table: Option<u32>,
    /// Whether it leads nowhere, but to the tables that are asked next.
    pub throw: bool,
    /// After how many seconds the kernel takes it away (IPv6 alone).
    pub expires: Option<u32>,
}

impl Route {
    /// A route to a network. Bits behind the prefix are cleared; a prefix too long is taken as the longest.
    pub fn to(destination: IpAddr, prefix: u8) -> Self {
        let (destination, prefix) = masked(destination, prefix);
        Self {
            destination,
            prefix,
            gateway: None,
            device: None,
            source: None,
            metric: None,
            onlink: false,
            table: None,
            throw: false,
            expires: None,
        }
    }

    /// A route to one host.
    pub fn to_host(host: IpAddr) -> Self {
        Self::to(host, if host.is_ipv4() { 32 } else { 128 })
    }

    /// By way of this router.
    #[must_use]
    pub fn via(mut self, gateway: IpAddr) -> Self {
        self.gateway = Some(gateway);
        self
    }

    /// Through the device with this number.
    #[must_use]
    pub fn dev(mut self, index: u32) -> Self {
        self.device = Some(index);
        self
    }

    /// With this preference.
    #[must_use]
    pub fn metric(mut self, metric: u32) -> Self {
        self.metric = Some(metric);
        self
    }

    /// With this source address.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// In a table of our own, marked as ours.
    #[must_use]
    pub fn in_table(mut self, table: u32) -> Self {
        self.table = Some(table);
        self
    }

    /// Leads nowhere, but to the tables that are asked next.
    #[must_use]
    pub fn throw(mut self) -> Self {
        self.throw = true;
        self
    }

    /// With a router that is on the link whatever the device's addresses say.
    #[must_use]
    pub fn onlink(mut self) -> Self {
        self.onlink = true;
        self
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.destination, self.prefix)?;
        match self.gateway {
            Some(gateway) => write!(f, " via {gateway}"),
            None => Ok(()),
        }
    }
}

impl Links {
    /// Adds a route; one to the same network with the same metric is an error.
    pub async fn add_route(&self, route: &Route) -> Result<()> {
        let request = self.handle.route().add(message(route)?);
        request
            .execute()
            .await
            .map_err(|e| route_error("adding", route, e))
    }

    /// Adds a route in place of the one to the same network with the same metric, if there is one.
    pub async fn replace_route(&self, route: &Route) -> Result<()> {
        let request = self.handle.route().add(message(route)?).replace();
        request
            .execute()
            .await
            .map_err(|e| route_error("setting", route, e))
    }

    /// Deletes the route that has all that `route` gives (what it leaves open matches anything).
    pub async fn delete_route(&self, route: &Route) -> Result<()> {
        let mut message = message(route)?;
        // Scope "nowhere" matches every scope; any other would have to be the right one.
        message.header.scope = RouteScope::NoWhere;
        let request = self.handle.route().del(message);
        request
            .execute()
            .await
            .map_err(|e| route_error("deleting", route, e))
    }

    /// The routes of the main table, of both families.
    pub async fn routes(&self) -> Result<Vec<Route>> {
        let is_main = |m: &RouteMessage| {
            m.header.table == RouteHeader::RT_TABLE_MAIN && m.header.kind == RouteType::Unicast
        };
        self.routes_that(is_main).await
    }

    /// The routes of tables of our own that are marked as ours, of both families.
    pub async fn our_routes(&self) -> Result<Vec<Route>> {
        let is_ours = |m: &RouteMessage| u8::from(m.header.protocol) == OURS;
        self.routes_that(is_ours).await
    }

    async fn routes_that(&self, wanted: impl Fn(&RouteMessage) -> bool) -> Result<Vec<Route>> {
        let mut routes = Vec::new();
        for any in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            let mut request = RouteMessage::default();
            request.header.address_family = family(any);
            let listed: std::result::Result<Vec<RouteMessage>, _> =
                self.handle.route().get(request).execute().try_collect().await;
            let messages = match listed {
                Ok(messages) => messages,
                // A kernel without IPv6 has no routes of it.
                Err(_) if any.is_ipv6() => Vec::new(),
                Err(error) => return Err(netlink("listing routes", error)),
            };
            let of_family = messages.iter().filter(|m| m.header.address_family == family(any));
            routes.extend(of_family.filter(|m| wanted(m)).map(|m| describe(m, any)));
        }
        Ok(routes)
    }

    /// How the kernel would reach `destination`: router, device and source address.
    pub async fn route_to(&self, destination: IpAddr) -> Result<Route> {
        self.route_to_marked(destination, 0).await
    }

    /// The same for packets with this mark.
    pub async fn route_to_marked(&self, destination: IpAddr, mark: u32) -> Result<Route> {
        let host = Route::to_host(destination);
        let mut request = RouteMessage::default();
        if mark != 0 {
            request.attributes.push(RouteAttribute::Mark(mark));
        }
        request.header.address_family = family(destination);
        request.header.destination_prefix_length = host.prefix;
        request
            .attributes
            .push(RouteAttribute::Destination(destination.into()));
        let answer = self.handle.route().get(request).execute().try_next().await;
        let no_route = || Error::NoRoute { destination };
        match answer {
            Ok(Some(message))
                if message.header.kind == RouteType::Unicast || message.header.kind == RouteType::Local =>
            {
                Ok(describe(&message, destination))
            }
            Ok(_) => Err(no_route()),
            Err(e) => match netlink(format!("looking for the route to {destination}"), e) {
                Error::Io { source, .. }
                    if matches!(
                        source.raw_os_error(),
                        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EINVAL)
                    ) =>
                {
                    Err(no_route())
                }
                other => Err(other),
            },
        }
    }
}

fn message(route: &Route) -> Result<RouteMessage> {
    let of_family = |ip: IpAddr| {
        if ip.is_ipv4() == route.destination.is_ipv4() {
            Ok(RouteAddress::from(ip))
        } else {
            let source = std::io::Error::new(
                std::io::ErrorKind::InvalidInput,
                "IPv4 and IPv6 mixed in one route",
            );
            Err(Error::Io {
                what: format!("route to {route}"),
                source,
            })
        }
    };
    let mut builder = RouteMessageBuilder::<IpAddr>::new();
    let message = builder.get_mut();
    message.header.address_family = family(route.destination);
    message.header.destination_prefix_length = route.prefix;
    if route.prefix > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(route.destination.into()));
    }
    if let Some(table) = route.table {
        message.header.protocol = RouteProtocol::from(OURS);
        message.header.table = u8::try_from(table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        message.attributes.push(RouteAttribute::Table(table));
    }
    if route.throw {
        message.header.kind = RouteType::Throw;
    }
    if let Some(seconds) = route.expires {
        message.attributes.push(RouteAttribute::Expires(seconds));
    }
    match route.gateway {
        Some(gateway) => message
            .attributes
            .push(RouteAttribute::Gateway(of_family(gateway)?)),
        None if route.destination.is_ipv4() && !route.throw => message.header.scope = RouteScope::Link,
        None => {}
    }
    if let Some(index) = route.device {
        message.attributes.push(RouteAttribute::Oif(index));
    }
    if let Some(source) = route.source {
        message
            .attributes
            .push(RouteAttribute::PrefSource(of_family(source)?));
    }
    if let Some(metric) = route.metric {
        message.attributes.push(RouteAttribute::Priority(metric));
    }
    if route.onlink {
        message.header.flags.insert(RouteFlags::Onlink);
    }
    Ok(builder.build())
}

/// `any` gives the family's unspecified address, which the kernel leaves out for a default route.
fn describe(message: &RouteMessage, any: IpAddr) -> Route {
    let unspecified = if any.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        IpAddr::from(Ipv6Addr::UNSPECIFIED)
    };
    let mut route = Route::to(unspecified, 0);
    route.prefix = message.header.destination_prefix_length;
    route.onlink = message.header.flags.contains(RouteFlags::Onlink);
    route.throw = message.header.kind == RouteType::Throw;
    let table = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    route.table = Some(table.unwrap_or(message.header.table.into()))
        .filter(|table| !matches!(*table, 0 | crate::Rule::MAIN));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(a) => route.destination = ip(a).unwrap_or(unspecified),
            RouteAttribute::Gateway(a) => route.gateway = ip(a),
            RouteAttribute::PrefSource(a) => route.source = ip(a),
            RouteAttribute::Oif(index) => route.device = Some(*index),
            RouteAttribute::Priority(metric) => route.metric = Some(*metric),
            _ => {}
        }
    }
    route
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

pub(crate) fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn route_error(what: &str, route: &Route, error: rtnetlink::Error) -> Error {
    netlink(format!("{what} the route to {route}"), error)
}

fn masked(ip: IpAddr, prefix: u8) -> (IpAddr, u8) {
    match ip {
        IpAddr::V4(ip) => {
            let prefix = prefix.min(32);
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            (Ipv4Addr::from_bits(ip.to_bits() & mask).into(), prefix)
        }
        IpAddr::V6(ip) => {
            let prefix = prefix.min(128);
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            (Ipv6Addr::from_bits(ip.to_bits() & mask).into(), prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_behind_the_prefix_are_cleared() {
        let route = Route::to("10.0.1.26".parse().unwrap(), 24);
        assert_eq!(route.destination, "10.0.1.0".parse::<IpAddr>().unwrap());
        assert_eq!(
            Route::to("10.0.1.26".parse().unwrap(), 0).to_string(),
            "0.0.0.0/0"
        );
        assert_eq!(Route::to("10.0.1.26".parse().unwrap(), 99).prefix, 32);
        assert_eq!(Route::to("fd00::1".parse().unwrap(), 64).to_string(), "fd00::/64");
    }

    #[test]
    fn a_route_of_mixed_families_is_refused() {
        let route = Route::to("10.0.0.0".parse().unwrap(), 8).via("fe80::1".parse().unwrap());
        assert!(message(&route).is_err());
    }
}
