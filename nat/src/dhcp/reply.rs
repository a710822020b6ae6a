//! What a reply tells a client: the administrator's settings as options, and as many routes as the client can take.

use std::collections::BTreeMap;

use super::message::{Message, option};
use crate::config::SecureNatConfig;
use crate::net::Ipv4Net;
use crate::routes::{PushRoute, encode_classless, merge};

/// The settings as clients are told them.
#[derive(Debug)]
pub(crate) struct Settings {
    options: BTreeMap<u8, Vec<u8>>,
    /// The pushed routes as written, and merged where that makes them fewer.
    routes: Vec<Vec<u8>>,
    mtu: usize,
}

/// A reply's options, and how long it may become.
#[derive(Debug)]
pub(crate) struct Filled {
    pub(crate) message: Message,
    pub(crate) limit: usize,
    /// Routes that the client asked for and does not get.
    pub(crate) lacks_routes: bool,
}

impl Settings {
    pub(crate) fn new(config: &SecureNatConfig) -> Self {
        Settings {
            options: options(config),
            routes: routes(config),
            mtu: config.mtu as usize,
        }
    }

    /// A reply with all options that the client `request` is from can take. Of the routes it gets all or none: half a list
    /// would be worse. The shortest message that has them is chosen, so that few clients need be able to take long ones.
    pub(crate) fn fill(&self, request: &Message, mut reply: Message) -> Filled {
        reply.options = self.options.clone();
        let least = request.limits(self.mtu).next().unwrap_or_default();
        let wanted = self.codes(request);
        if wanted.is_empty() {
            return Filled {
                message: reply,
                limit: least,
                lacks_routes: false,
            };
        }
        // A client that asks for both codes can do with one.
        let enough = &wanted[..1];
        for limit in request.limits(self.mtu) {
            // Who did not ask for routes shall not be sent a message that it may not be able to take for their sake.
            if limit > least && request.asks_for(wanted[0]).is_none() {
                break;
            }
            for (codes, routes) in [&wanted[..], enough]
                .iter()
                .flat_map(|codes| self.routes.iter().map(move |routes| (codes, routes)))
            {
                let mut message = reply.clone();
                message
                    .options
                    .extend(codes.iter().map(|code| (*code, routes.clone())));
                if message.encode_within(limit).is_some() {
                    return Filled {
                        message,
                        limit,
                        lacks_routes: false,
                    };
                }
            }
        }
        Filled {
            message: reply,
            limit: least,
            lacks_routes: true,
        }
    }

    /// The codes under which routes go: those that the client asks for, both if it does not say.
    fn codes(&self, request: &Message) -> Vec<u8> {
        if self.routes.is_empty() {
            return Vec::new();
        }
        [option::CLASSLESS_ROUTES, option::CLASSLESS_ROUTES_MS]
            .into_iter()
            .filter(|code| request.asks_for(*code).unwrap_or(true))
            .collect()
    }
}

fn options(config: &SecureNatConfig) -> BTreeMap<u8, Vec<u8>> {
    let lease = config.dhcp_expire_time_span;
    let seconds = |value: u64| (value as u32).to_be_bytes().to_vec();
    let mut options = BTreeMap::from([
        (option::SERVER_ID, config.ip.octets().to_vec()),
        (option::SUBNET_MASK, config.dhcp_subnet_mask.octets().to_vec()),
        (option::LEASE_TIME, seconds(lease.into())),
        // The usual halves and eighths (RFC 2131 §4.4.5).
        (option::RENEWAL_TIME, seconds(u64::from(lease) / 2)),
        (option::REBINDING_TIME, seconds(u64::from(lease) * 7 / 8)),
    ]);
    if let Some(gateway) = config.gateway() {
        options.insert(option::ROUTER, gateway.octets().to_vec());
    }
    let dns: Vec<u8> = config.dns_servers().flat_map(|ip| ip.octets()).collect();
    if !dns.is_empty() {
        options.insert(option::DNS_SERVERS, dns);
    }
    if !config.dhcp_domain_name.is_empty() {
        options.insert(option::DOMAIN_NAME, config.dhcp_domain_name.clone().into_bytes());
    }
    options
}

/// The routes as written first, for whoever can take them so.
fn routes(config: &SecureNatConfig) -> Vec<Vec<u8>> {
    if config.dhcp_push_routes.is_empty() {
        return Vec::new();
    }
    // A client that reads this option ignores the router option, so the default route belongs in (RFC 3442).
    let default = config.gateway().map(|gateway| PushRoute {
        network: Ipv4Net::ANY,
        gateway,
    });
    let pushed = || config.dhcp_push_routes.iter().copied();
    let exact = encode_classless(pushed().chain(default));
    let merged = encode_classless(merge(pushed()).into_iter().chain(default));
    if merged.len() < exact.len() {
        vec![exact, merged]
    } else {
        vec![exact]
    }
}
