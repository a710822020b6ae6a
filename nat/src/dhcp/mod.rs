//! The DHCP server of a hub (RFC 2131), sans-IO: messages and times in, messages and events out.
//!
//! It is the authority of its link: a client that asks for an address the server does not know of gets it if it
//! is free (so clients keep theirs across a restart of the server), and a refusal if it is not.

mod leases;
pub mod message;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Instant;

use hub_core::MacAddr;

use crate::config::SecureNatConfig;
use crate::event::Event;
use crate::net::Ipv4Net;
use crate::routes::{PushRoute, encode_classless};
use leases::{ClientKey, Leases};
use message::{Message, MessageType, Op, option};

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// Events kept for a reader that is late; the oldest go first.
const MAX_EVENTS: usize = 1024;
/// The longest host name kept, a DNS label's length.
const MAX_HOST_NAME: usize = 63;

/// A lease in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub ip: Ipv4Addr,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// What the client calls itself, made harmless; may be empty.
    pub host_name: String,
    /// When it was first given.
    pub since: Instant,
    /// When it ends unless renewed.
    pub until: Instant,
}

/// An answer and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The DHCP message.
    pub message: Message,
    /// Destination address: the client's, or the limited broadcast.
    pub to_ip: Ipv4Addr,
    /// Destination hardware address.
    pub to_mac: MacAddr,
}

/// The server of one hub.
#[derive(Debug)]
pub struct Server {
    config: SecureNatConfig,
    leases: Leases,
    events: VecDeque<Event>,
    /// Whether the last client went away empty-handed, so that a flood is one event.
    exhausted: bool,
}

impl Server {
    /// A server with an empty table. `config` has been validated.
    pub fn new(config: &SecureNatConfig) -> Self {
        Server {
            config: config.clone(),
            leases: pool(config),
            events: VecDeque::new(),
            exhausted: false,
        }
    }

    /// Takes other settings; leases whose address is still in the pool stay.
    pub fn set_config(&mut self, config: &SecureNatConfig) {
        let former = std::mem::replace(&mut self.leases, pool(config));
        self.leases.adopt(former);
        self.config = config.clone();
        self.exhausted = false;
    }

    /// Answers a client's message that arrived with the UDP destination `to` (the broadcast or our own address).
    /// `owner` is whom the link was heard to use an address, so that one in use is not leased.
    pub fn handle_message(
        &mut self,
        now: Instant,
        request: &Message,
        to: Ipv4Addr,
        owner: &dyn Fn(Ipv4Addr) -> Option<MacAddr>,
    ) -> Option<Reply> {
        self.handle_timeout(now);
        if request.op != Op::Request {
            return None;
        }
        match request.kind {
            MessageType::Discover => self.discover(now, request, owner),
            MessageType::Request => self.request(now, request, to, owner),
            MessageType::Decline => {
                self.decline(now, request);
                None
            }
            MessageType::Release => {
                self.release(now, request);
                None
            }
            MessageType::Inform => self.inform(request),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => None,
        }
    }

    /// When [`Server::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.leases.next_expiry()
    }

    /// Ends what has ended by `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        for (ip, binding) in self.leases.expire(now) {
            self.event(Event::LeaseExpired { mac: binding.mac, ip });
        }
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The leases in force, by address.
    pub fn leases(&self) -> Vec<Lease> {
        let row = |(ip, binding): (Ipv4Addr, &leases::Binding)| Lease {
            ip,
            mac: binding.mac,
            host_name: binding.host_name.clone(),
            since: binding.since,
            until: binding.until,
        };
        self.leases.bound().into_iter().map(row).collect()
    }

    fn discover(
        &mut self,
        now: Instant,
        request: &Message,
        owner: &dyn Fn(Ipv4Addr) -> Option<MacAddr>,
    ) -> Option<Reply> {
        let client = client_key(request);
        let wish = request.address(option::REQUESTED_ADDRESS);
        let in_use = |ip| owner(ip).is_some_and(|mac| mac != request.chaddr);
        let Some(ip) = self.leases.offer(now, &client, request.chaddr, wish, &in_use) else {
            self.report_exhaustion(request.chaddr);
            return None;
        };
        self.exhausted = false;
        Some(self.reply(request, MessageType::Offer, ip))
    }

    /// RFC 2131 §4.3.2, which tells the client's state from what the message holds.
    fn request(
        &mut self,
        now: Instant,
        request: &Message,
        to: Ipv4Addr,
        owner: &dyn Fn(Ipv4Addr) -> Option<MacAddr>,
    ) -> Option<Reply> {
        let client = client_key(request);
        let selected = request.address(option::SERVER_ID);
        if selected.is_some_and(|server| server != self.config.ip) {
            // The client took another server's offer; ours is free again.
            return None;
        }
        let (ip, broadcast_renewal) = match request.address(option::REQUESTED_ADDRESS) {
            Some(ip) => (ip, false),
            None if !request.ciaddr.is_unspecified() => (request.ciaddr, to != self.config.ip),
            None => return None,
        };
        let in_use = || owner(ip).is_some_and(|mac| mac != request.chaddr);
        let theirs = self.leases.of_client(&client) == Some(ip);
        if self.leases.available(ip, &client) && (theirs || !in_use()) {
            return Some(self.acknowledge(now, request, &client, ip));
        }
        // A renewal that everybody hears may be meant for another server with another pool.
        if broadcast_renewal && !self.pool_network().contains(ip) {
            return None;
        }
        Some(self.refuse(request))
    }

    fn acknowledge(&mut self, now: Instant, request: &Message, client: &ClientKey, ip: Ipv4Addr) -> Reply {
        let renewed = self
            .leases
            .get(ip)
            .is_some_and(|b| b.state == leases::State::Bound);
        let host_name = host_name(request);
        let until = now + self.config.lease_time();
        self.leases
            .bind(now, ip, client, request.chaddr, host_name.clone(), until);
        self.event(if renewed {
            Event::LeaseRenewed {
                mac: request.chaddr,
                ip,
            }
        } else {
            Event::LeaseGiven {
                mac: request.chaddr,
                ip,
                host_name,
            }
        });
        self.reply(request, MessageType::Ack, ip)
    }

    fn decline(&mut self, now: Instant, request: &Message) {
        let Some(ip) = request.address(option::REQUESTED_ADDRESS) else {
            return;
        };
        // Only the client that has the address may call it unusable, or one message could empty the pool.
        if self.leases.of_client(&client_key(request)) == Some(ip) {
            self.leases.set_aside(now, ip, request.chaddr);
            self.event(Event::LeaseDeclined {
                mac: request.chaddr,
                ip,
            });
        }
    }

    fn release(&mut self, now: Instant, request: &Message) {
        if self.leases.release(now, request.ciaddr, &client_key(request)) {
            self.event(Event::LeaseReleased {
                mac: request.chaddr,
                ip: request.ciaddr,
            });
        }
    }

    /// Tells a client with an address of its own the other settings (RFC 2131 §4.3.5).
    fn inform(&self, request: &Message) -> Option<Reply> {
        if request.ciaddr.is_unspecified() {
            return None;
        }
        let mut reply = self.reply(request, MessageType::Ack, Ipv4Addr::UNSPECIFIED);
        for timing in [option::LEASE_TIME, option::RENEWAL_TIME, option::REBINDING_TIME] {
            reply.message.options.remove(&timing);
        }
        Some(reply)
    }

    fn refuse(&self, request: &Message) -> Reply {
        let options = BTreeMap::from([
            (option::SERVER_ID, self.config.ip.octets().to_vec()),
            (option::MESSAGE, b"this address is not available here".to_vec()),
        ]);
        let message = Message {
            op: Op::Reply,
            kind: MessageType::Nak,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            options,
            ..request.clone()
        };
        // The client may no longer have the address it used: only a broadcast is sure to reach it.
        Reply {
            message,
            to_ip: Ipv4Addr::BROADCAST,
            to_mac: MacAddr::BROADCAST,
        }
    }

    fn reply(&self, request: &Message, kind: MessageType, ip: Ipv4Addr) -> Reply {
        let ciaddr = if kind == MessageType::Ack {
            request.ciaddr
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let message = Message {
            op: Op::Reply,
            kind,
            ciaddr,
            yiaddr: ip,
            options: self.options(request),
            ..request.clone()
        };
        let (to_ip, to_mac) = match () {
            () if !request.ciaddr.is_unspecified() => (request.ciaddr, request.chaddr),
            () if request.broadcast => (Ipv4Addr::BROADCAST, MacAddr::BROADCAST),
            () => (ip, request.chaddr),
        };
        Reply {
            message,
            to_ip,
            to_mac,
        }
    }

    fn options(&self, request: &Message) -> BTreeMap<u8, Vec<u8>> {
        let config = &self.config;
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
        self.add_routes(request, &mut options);
        options
    }

    /// Adds the classless routes under the codes that the client asks for (under both if it does not say), as
    /// far as the reply stays within what the client takes: half a list of routes would be worse than none.
    fn add_routes(&self, request: &Message, options: &mut BTreeMap<u8, Vec<u8>>) {
        if self.config.dhcp_push_routes.is_empty() {
            return;
        }
        // A client that reads this option ignores the router option, so the default route belongs in (RFC 3442).
        let default = self.config.gateway().map(|gateway| PushRoute {
            network: Ipv4Net::ANY,
            gateway,
        });
        let routes = encode_classless(self.config.dhcp_push_routes.iter().copied().chain(default));
        let mut room = request.max_size().saturating_sub(reply_size(options));
        let needed = routes.len() + 2 * routes.len().div_ceil(255);
        for code in [option::CLASSLESS_ROUTES, option::CLASSLESS_ROUTES_MS] {
            if request.asks_for(code).unwrap_or(true) && needed <= room {
                options.insert(code, routes.clone());
                room -= needed;
            }
        }
        if request.asks_for(option::CLASSLESS_ROUTES) == Some(true)
            && !options.contains_key(&option::CLASSLESS_ROUTES)
        {
            tracing::warn!(mac = %request.chaddr, "the pushed routes do not fit the message that this client takes");
        }
    }

    fn report_exhaustion(&mut self, mac: MacAddr) {
        if !std::mem::replace(&mut self.exhausted, true) {
            self.event(Event::PoolExhausted { mac });
        }
    }

    fn event(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn pool_network(&self) -> Ipv4Net {
        pool_network(&self.config)
    }
}

fn pool_network(config: &SecureNatConfig) -> Ipv4Net {
    Ipv4Net::with_mask(config.dhcp_lease_ip_start, config.dhcp_subnet_mask)
        .unwrap_or(Ipv4Net::new(config.dhcp_lease_ip_start, 32))
}

/// The pool, without the addresses that belong to the network itself, its servers and its gateway.
fn pool(config: &SecureNatConfig) -> Leases {
    let network = pool_network(config);
    let taken = |ip: Ipv4Addr| {
        let served = config.dns_servers().any(|dns| dns == ip) || config.gateway() == Some(ip);
        !network.is_host(ip) || ip == config.ip || served
    };
    Leases::new(config.dhcp_lease_ip_start, config.dhcp_lease_ip_end, taken)
}

fn client_key(request: &Message) -> ClientKey {
    ClientKey::new(
        request.options.get(&option::CLIENT_ID).map(Vec::as_slice),
        request.chaddr,
    )
}

/// The client's name for itself, reduced to what is safe in logs and tables.
fn host_name(request: &Message) -> String {
    let bytes = request
        .options
        .get(&option::HOST_NAME)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let harmless = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    bytes
        .iter()
        .filter(harmless)
        .take(MAX_HOST_NAME)
        .map(|b| char::from(*b))
        .collect()
}

/// Bytes of a reply with these options: header, cookie, message type, options, end.
fn reply_size(options: &BTreeMap<u8, Vec<u8>>) -> usize {
    236 + 4 + 3 + options.values().map(|value| value.len() + 2).sum::<usize>() + 1
}

#[cfg(test)]
mod tests;
