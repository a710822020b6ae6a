//! Routes that DHCP clients are told: their text form and their RFC 3442 encoding.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::net::{Ipv4Net, prefix_of_mask};

/// Most routes a hub pushes. The stock server takes 64 (policies §5).
pub const MAX_ROUTES: usize = 256;

/// One classless static route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushRoute {
    /// The destination.
    pub network: Ipv4Net,
    /// The next hop; `0.0.0.0` means that the destination is on the link (RFC 3442).
    pub gateway: Ipv4Addr,
}

impl fmt::Display for PushRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}/{}",
            self.network.address(),
            self.network.mask(),
            self.gateway
        )
    }
}

/// The routes of a hub, written as `net/mask/gateway` items with commas, semicolons or blanks between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushRoutes(Vec<PushRoute>);

impl PushRoutes {
    /// The routes in the order written.
    pub fn iter(&self) -> impl Iterator<Item = &PushRoute> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for PushRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, route) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { ", " };
            write!(f, "{gap}{route}")?;
        }
        Ok(())
    }
}

/// Why a text is no list of routes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRoutesError {
    /// An item is malformed.
    #[error("`{0}` is not a route; write network/mask/gateway, such as 10.0.0.0/255.0.0.0/192.168.30.1")]
    Item(String),
    /// Too many items.
    #[error("{0} routes are too many; at most {MAX_ROUTES} can be pushed")]
    TooMany(usize),
}

impl FromStr for PushRoutes {
    type Err = ParseRoutesError;

    fn from_str(text: &str) -> Result<Self, ParseRoutesError> {
        let separator = |c: char| c == ',' || c == ';' || c.is_whitespace();
        let items: Vec<&str> = text.split(separator).filter(|item| !item.is_empty()).collect();
        if items.len() > MAX_ROUTES {
            return Err(ParseRoutesError::TooMany(items.len()));
        }
        let parse = |item: &&str| parse_route(item).ok_or_else(|| ParseRoutesError::Item((*item).to_owned()));
        items.iter().map(parse).collect::<Result<_, _>>().map(PushRoutes)
    }
}

fn parse_route(item: &str) -> Option<PushRoute> {
    let mut parts = item.split('/');
    let address: Ipv4Addr = parts.next()?.parse().ok()?;
    let prefix = parse_mask(parts.next()?)?;
    let gateway = parts.next()?.parse().ok()?;
    if parts.next().is_some() {
        return None;
    }
    Some(PushRoute {
        network: Ipv4Net::new(address, prefix),
        gateway,
    })
}

fn parse_mask(text: &str) -> Option<u8> {
    match text.parse() {
        Ok(mask) => prefix_of_mask(mask),
        Err(_) => text.parse().ok().filter(|&prefix| prefix <= 32),
    }
}

/// The same routes in fewer: halves of a network with one gateway are that network, and a route inside another with the
/// same gateway says nothing new. Every destination keeps its next hop. The default route is left apart: a client may
/// have one of its own and still want the others.
pub(crate) fn merge(routes: impl IntoIterator<Item = PushRoute>) -> Vec<PushRoute> {
    let mut merged: BTreeMap<(u8, Ipv4Addr), Ipv4Addr> = BTreeMap::new();
    for PushRoute { network, gateway } in routes {
        merged
            .entry((network.prefix(), network.address()))
            .or_insert(gateway);
    }
    let around = |(prefix, address): (u8, Ipv4Addr), by: u8| {
        let wider = Ipv4Net::new(address, prefix - by);
        (wider.prefix(), wider.address())
    };
    for prefix in (2..=32).rev() {
        let of_length: Vec<_> = merged
            .range((prefix, Ipv4Addr::UNSPECIFIED)..=(prefix, Ipv4Addr::BROADCAST))
            .map(|(network, gateway)| (*network, *gateway))
            .collect();
        for (network, gateway) in of_length {
            let sibling = (
                prefix,
                Ipv4Addr::from_bits(network.1.to_bits() ^ (1 << (32 - prefix))),
            );
            let whole = around(network, 1);
            let is_whole = merged.get(&network) == Some(&gateway) && merged.get(&sibling) == Some(&gateway);
            if is_whole && merged.get(&whole).is_none_or(|other| *other == gateway) {
                merged.remove(&network);
                merged.remove(&sibling);
                merged.insert(whole, gateway);
            }
        }
    }
    let inside = |network: (u8, Ipv4Addr), gateway| {
        let mut wider = (1..network.0).filter_map(|by| merged.get(&around(network, by)));
        wider.next() == Some(gateway)
    };
    let mut routes: Vec<_> = merged
        .iter()
        .filter(|(network, gateway)| !inside(**network, gateway))
        .map(|((prefix, address), gateway)| PushRoute {
            network: Ipv4Net::new(*address, *prefix),
            gateway: *gateway,
        })
        .collect();
    routes.sort_by_key(|route| (route.network.address(), route.network.prefix()));
    routes
}

/// The payload of DHCP option 121 (and 249): per route the prefix length, the octets of the network that
/// matter, and the gateway (RFC 3442).
pub fn encode_classless(routes: impl IntoIterator<Item = PushRoute>) -> Vec<u8> {
    let mut out = Vec::new();
    for PushRoute { network, gateway } in routes {
        let significant = usize::from(network.prefix()).div_ceil(8);
        out.push(network.prefix());
        out.extend_from_slice(&network.address().octets()[..significant]);
        out.extend_from_slice(&gateway.octets());
    }
    out
}

/// The routes in the payload of option 121; `None` if it ends inside one or a prefix is past 32.
pub fn decode_classless(mut payload: &[u8]) -> Option<Vec<PushRoute>> {
    let mut routes = Vec::new();
    while let Some((&prefix, rest)) = payload.split_first() {
        let significant = usize::from(prefix).div_ceil(8);
        if prefix > 32 || rest.len() < significant + 4 {
            return None;
        }
        let mut address = [0; 4];
        address[..significant].copy_from_slice(&rest[..significant]);
        let mut gateway = [0; 4];
        gateway.copy_from_slice(&rest[significant..significant + 4]);
        routes.push(PushRoute {
            network: Ipv4Net::new(address.into(), prefix),
            gateway: gateway.into(),
        });
        payload = &rest[significant + 4..];
    }
    Some(routes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_separator_is_understood_and_written_back_in_one_form() {
        let text = "10.0.0.0/255.0.0.0/192.168.30.1;172.16.0.0/12/192.168.30.2 ,\t1.2.3.4/32/0.0.0.0";
        let routes: PushRoutes = text.parse().unwrap();
        assert_eq!(routes.len(), 3);
        let written = routes.to_string();
        assert_eq!(
            written,
            "10.0.0.0/255.0.0.0/192.168.30.1, 172.16.0.0/255.240.0.0/192.168.30.2, 1.2.3.4/255.255.255.255/0.0.0.0"
        );
        assert_eq!(written.parse::<PushRoutes>().unwrap(), routes);
        assert!("".parse::<PushRoutes>().unwrap().is_empty());
    }

    #[test]
    fn a_malformed_item_is_named() {
        for wrong in [
            "10.0.0.0/8",
            "10.0.0.0/255.0.255.0/1.1.1.1",
            "10.0.0.0/33/1.1.1.1",
            "x/8/1.1.1.1",
            "1.1.1.1/8/2.2.2.2/3",
        ] {
            let text = format!("10.0.0.0/8/1.1.1.1, {wrong}");
            assert_eq!(
                text.parse::<PushRoutes>(),
                Err(ParseRoutesError::Item(wrong.to_owned()))
            );
        }
    }

    #[test]
    fn the_257th_route_is_refused() {
        let text = |n: usize| vec!["10.0.0.0/8/1.1.1.1"; n].join(",");
        assert_eq!(text(256).parse::<PushRoutes>().unwrap().len(), 256);
        assert_eq!(
            text(257).parse::<PushRoutes>(),
            Err(ParseRoutesError::TooMany(257))
        );
    }

    #[test]
    fn two_hundred_neighbours_are_three_networks() {
        let text: Vec<String> = (0..200).map(|i| format!("10.0.{i}.0/24/192.168.30.1")).collect();
        let routes: PushRoutes = text.join(" ").parse().unwrap();
        let merged: Vec<String> = merge(routes.iter().copied())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            merged,
            [
                "10.0.0.0/255.255.128.0/192.168.30.1",
                "10.0.128.0/255.255.192.0/192.168.30.1",
                "10.0.192.0/255.255.248.0/192.168.30.1"
            ]
        );
    }

    #[test]
    fn the_examples_of_rfc_3442_are_encoded_as_written_there() {
        let encoded = |net: &str| {
            let network = net.parse().unwrap();
            let bytes = encode_classless([PushRoute {
                network,
                gateway: Ipv4Addr::UNSPECIFIED,
            }]);
            bytes[..bytes.len() - 4].to_vec()
        };
        assert_eq!(encoded("0.0.0.0/0"), [0]);
        assert_eq!(encoded("10.0.0.0/8"), [8, 10]);
        assert_eq!(encoded("10.17.0.0/16"), [16, 10, 17]);
        assert_eq!(encoded("10.27.129.0/24"), [24, 10, 27, 129]);
        assert_eq!(encoded("10.229.0.128/25"), [25, 10, 229, 0, 128]);
        assert_eq!(encoded("10.198.122.47/32"), [32, 10, 198, 122, 47]);
    }

    #[test]
    fn a_truncated_payload_is_no_list_of_routes() {
        assert_eq!(decode_classless(&[8, 10, 1, 1, 1]), None);
        assert_eq!(decode_classless(&[33, 1, 2, 3, 4, 5, 1, 1, 1, 1]), None);
        assert_eq!(decode_classless(&[]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn two_hundred_routes_survive_encoding(
            seeds in prop::collection::vec((any::<u32>(), 0u8..=32, any::<u32>()), 0..=200)
        ) {
            let routes: Vec<PushRoute> = seeds
                .iter()
                .map(|&(net, prefix, gateway)| PushRoute {
                    network: Ipv4Net::new(net.into(), prefix),
                    gateway: gateway.into(),
                })
                .collect();
            prop_assert_eq!(decode_classless(&encode_classless(routes.iter().copied())), Some(routes));
        }

        /// Prefixes and addresses are drawn from few, so that networks meet.
        #[test]
        fn merged_routes_lead_everywhere_where_the_routes_lead(
            seeds in prop::collection::vec((0u32..64, 0u8..=6, 0u32..3), 0..60),
        ) {
            let routes: Vec<PushRoute> = seeds
                .iter()
                .map(|&(net, prefix, gateway)| PushRoute {
                    network: Ipv4Net::new(Ipv4Addr::from_bits(net << 26), prefix),
                    gateway: Ipv4Addr::from_bits(gateway),
                })
                .collect();
            let merged = merge(routes.iter().copied());
            prop_assert!(merged.len() <= routes.len());
            let next_hop = |routes: &[PushRoute], to: Ipv4Addr| {
                // The first of two for one network counts.
                let fitting = routes.iter().rev().filter(|route| route.network.contains(to));
                fitting.max_by_key(|route| route.network.prefix()).map(|route| route.gateway)
            };
            for place in 0..64 {
                let to = Ipv4Addr::from_bits((place << 26) + 1);
                prop_assert_eq!(next_hop(&merged, to), next_hop(&routes, to), "{}", to);
            }
        }

        #[test]
        fn any_bytes_decode_to_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode_classless(&bytes);
        }
    }
}
