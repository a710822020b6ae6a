//! The DHCP server of a hub (RFC 2131), sans-IO: messages and times in, messages and events out.
//!
//! It is the authority of its link: a client that asks for an address the server does not know of gets it if it
//! is free (so clients keep theirs when the server has forgotten), and a refusal if it is not. A new address is asked for
//! on the link before it is offered (`probe`), and acknowledged when it is kept (`hold`).

mod client;
mod hold;
mod kept;
mod leases;
pub mod message;
mod probe;
mod reply;
mod reservation;

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Instant;

use hub_core::MacAddr;

use crate::config::SecureNatConfig;
use crate::event::Event;
use client::Client;
pub use client::{Link, Station, Stations};
use hold::Hold;
pub use kept::{KeptLease, LeaseChange, Moment};
pub use leases::PoolUse;
use leases::{Leases, State};
use message::{Message, MessageType, Op, option};
use probe::{Probe, Probes};
use reply::Settings;
pub use reservation::{
    Holder, MAX_RESERVATIONS, ParseReservationsError, Reservation, ReservationError, Reservations,
};

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// Events kept for a reader that is late; the oldest go first.
const MAX_EVENTS: usize = 1024;
/// How many addresses in foreign use one discovery may run into.
const MOST_CONFLICTS: u32 = 8;

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

/// How a message arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The UDP destination: the broadcast or our own address.
    pub to: Ipv4Addr,
    /// The station that sent the frame.
    pub source: MacAddr,
}

/// An answer and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The DHCP message.
    pub message: Message,
    /// Bytes that it may have.
    pub limit: usize,
    /// Destination address: the client's, or the limited broadcast.
    pub to_ip: Ipv4Addr,
    /// Destination hardware address.
    pub to_mac: MacAddr,
}

impl Reply {
    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.message
            .encode_within(self.limit)
            .unwrap_or_else(|| self.message.encode())
    }
}

/// What has become of leases since the last time, to be kept as one.
#[derive(Debug)]
pub struct Changes {
    number: u64,
    /// Address by address.
    pub rows: Vec<LeaseChange>,
}

/// Clients that go away empty-handed, while they do.
#[derive(Debug, Default)]
struct Exhaustion {
    /// Requests that were not answered; none while there are addresses.
    turned_away: u64,
}

/// The server of one hub.
#[derive(Debug)]
pub struct Server {
    config: SecureNatConfig,
    settings: Settings,
    leases: Leases,
    probes: Probes,
    hold: Hold,
    /// Whether leases are kept: acknowledgements wait for that.
    keeps: bool,
    /// Numbers of the changes that were made, taken to be kept, and kept.
    made: u64,
    kept: u64,
    questions: VecDeque<Ipv4Addr>,
    replies: VecDeque<Reply>,
    events: VecDeque<Event>,
    exhaustion: Exhaustion,
}

impl Server {
    /// A server with an empty table. `config` has been validated.
    pub fn new(config: &SecureNatConfig) -> Self {
        Server {
            config: config.clone(),
            settings: Settings::new(config),
            leases: pool(config),
            probes: Probes::default(),
            hold: Hold::default(),
            keeps: false,
            made: 0,
            kept: 0,
            questions: VecDeque::new(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
            exhaustion: Exhaustion::default(),
        }
    }

    /// Takes over leases that were kept over a restart.
    pub fn restore(&mut self, kept: Vec<KeptLease>, moment: Moment) {
        self.leases.restore(kept, moment, self.config.lease_time());
    }

    /// Takes other settings; leases whose address is still in the pool stay.
    pub fn set_config(&mut self, config: &SecureNatConfig) {
        let former = std::mem::replace(&mut self.leases, pool(config));
        self.leases.adopt(former);
        self.config = config.clone();
        self.settings = Settings::new(config);
        self.exhaustion = Exhaustion::default();
    }

    /// Takes a client's message. What comes of it is told by [`Server::poll_reply`] and [`Server::poll_question`].
    pub fn handle_message(&mut self, now: Instant, request: &Message, arrival: Arrival, link: &dyn Link) {
        self.handle_timeout(now, link);
        if request.op != Op::Request {
            return;
        }
        let client = Client::of(request, arrival.source, link);
        match request.kind {
            MessageType::Discover => self.discover(now, request, client, link),
            MessageType::Request => self.request(now, request, &client, arrival.to, link),
            MessageType::Decline => self.decline(now, request, &client),
            MessageType::Release => self.release(now, request, &client),
            MessageType::Inform => self.inform(request),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => {}
        }
    }

    /// When [`Server::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let those = [self.leases.next_expiry(), self.probes.next(), self.hold.next()];
        those.into_iter().flatten().min()
    }

    /// Does what is due at `now`: ends leases, makes offers that nobody objected to.
    pub fn handle_timeout(&mut self, now: Instant, link: &dyn Link) {
        for (ip, binding) in self.leases.expire(now) {
            self.event(Event::LeaseExpired { mac: binding.mac, ip });
        }
        for (ip, probe) in self.probes.due(now) {
            self.conclude(now, ip, probe, link);
        }
        let due: Vec<_> = self.hold.release(now, self.kept).collect();
        self.replies.extend(due);
    }

    /// The next answer.
    pub fn poll_reply(&mut self) -> Option<Reply> {
        self.replies.pop_front()
    }

    /// The next address for which the link is to be asked who has it.
    pub fn poll_question(&mut self) -> Option<Ipv4Addr> {
        self.questions.pop_front()
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

    /// How the pool is used.
    pub fn pool_use(&self) -> PoolUse {
        self.leases.usage()
    }

    /// Requests that were not answered because no address is left; none while there are addresses.
    pub fn turned_away(&self) -> u64 {
        self.exhaustion.turned_away
    }

    /// Whether anything is to be kept, and whether somebody waits for it.
    pub fn has_changes(&self) -> Option<bool> {
        self.leases.has_changes().then(|| !self.hold.is_empty())
    }

    /// Somebody is going to keep leases: acknowledgements wait for [`Server::have_kept`].
    pub fn expect_keeping(&mut self) {
        self.keeps = true;
    }

    /// What is to be kept.
    pub fn take_changes(&mut self, moment: Moment) -> Changes {
        Changes {
            number: self.made,
            rows: self.leases.take_changes(moment),
        }
    }

    /// These changes are kept.
    pub fn have_kept(&mut self, now: Instant, changes: &Changes) {
        self.keeps = true;
        self.kept = self.kept.max(changes.number);
        let due: Vec<_> = self.hold.release(now, self.kept).collect();
        self.replies.extend(due);
    }

    /// These changes could not be kept: they come again. Until others are kept nobody waits.
    pub fn have_not_kept(&mut self, now: Instant, changes: &Changes) {
        self.have_kept(now, changes);
        self.keeps = false;
        self.leases.put_back(changes.rows.iter().map(|(ip, _)| *ip));
    }

    fn discover(&mut self, now: Instant, request: &Message, client: Client, link: &dyn Link) {
        let known = self.leases.of_client(&client.key);
        if known.is_some_and(|ip| self.probes.repeat(ip, &client.key, request)) {
            return;
        }
        self.offer(now, request.clone(), client, 0, link);
    }

    /// Chooses an address and offers it: at once if the client has it or was offered it before, else when the link has been
    /// asked.
    fn offer(&mut self, now: Instant, request: Message, client: Client, conflicts: u32, link: &dyn Link) {
        let wish = request.address(option::REQUESTED_ADDRESS);
        let present = |mac| link.station(mac).is_some();
        let Some(ip) = self.leases.choose(&client, wish, &present) else {
            self.turn_away(client.mac);
            return;
        };
        let is_theirs = self.leases.get(ip).is_some_and(|binding| {
            binding.client == client.key && matches!(binding.state, State::Bound | State::Offered)
        });
        if !is_theirs {
            self.end_exhaustion();
        }
        let former = self.leases.offer(now, ip, &client);
        if is_theirs || self.probes.is_full() {
            self.reply(&request, MessageType::Offer, ip);
            return;
        }
        self.questions.push_back(ip);
        let probe = Probe {
            request,
            client,
            asked: now,
            conflicts,
            former,
        };
        self.probes.begin(ip, probe);
    }

    /// The time for an answer is over.
    fn conclude(&mut self, now: Instant, ip: Ipv4Addr, probe: Probe, link: &dyn Link) {
        // With the pool used up the address may have gone to another client meanwhile.
        let still_theirs = |binding: &leases::Binding| binding.client == probe.client.key;
        if !self.leases.get(ip).is_some_and(still_theirs) {
            return;
        }
        let owner = link.owner(ip, Some(probe.asked));
        let Some(mac) = owner.filter(|mac| *mac != probe.client.mac) else {
            self.reply(&probe.request, MessageType::Offer, ip);
            return;
        };
        match probe.former {
            // A silent station has been taken for gone.
            Some(former) if former.mac == mac => self.leases.reinstate(ip, former),
            _ => {
                self.leases.set_aside(now, ip, mac);
                self.event(Event::AddressInUse { ip, mac });
            }
        }
        // The client asks again if this goes on; what it ran into is set aside then.
        if probe.conflicts < MOST_CONFLICTS {
            self.offer(now, probe.request, probe.client, probe.conflicts + 1, link);
        }
    }

    /// RFC 2131 §4.3.2, which tells the client's state from what the message holds.
    fn request(&mut self, now: Instant, request: &Message, client: &Client, to: Ipv4Addr, link: &dyn Link) {
        let selected = request.address(option::SERVER_ID);
        if selected.is_some_and(|server| server != self.config.ip) {
            // The client took another server's offer; ours is free again.
            return;
        }
        let (ip, broadcast_renewal) = match request.address(option::REQUESTED_ADDRESS) {
            Some(ip) => (ip, false),
            None if !request.ciaddr.is_unspecified() => (request.ciaddr, to != self.config.ip),
            None => return,
        };
        if self.may_have(ip, client, link) {
            self.acknowledge(now, request, client, ip);
        } else if broadcast_renewal && !self.config.client_network().contains(ip) {
            // A renewal that everybody hears may be meant for another server with another pool.
        } else {
            self.refuse(request);
        }
    }

    /// Whether a client that asks for an address by itself gets it. One that asks for another than the one which is
    /// reserved for it is refused, and then offered that one.
    fn may_have(&self, ip: Ipv4Addr, client: &Client, link: &dyn Link) -> bool {
        let present = |mac| link.station(mac).is_some();
        let available = |ip| self.leases.available(ip, client, &present);
        if self
            .leases
            .reserved_for(client)
            .is_some_and(|reserved| reserved != ip && available(reserved))
        {
            return false;
        }
        let theirs = self.leases.of_client(&client.key) == Some(ip);
        // An address that we know nothing of, and somebody on the link was heard to use.
        let in_use = || {
            let lately = link.owner(ip, None);
            lately.is_some_and(|mac| mac != client.mac && present(mac))
        };
        available(ip) && (theirs || !in_use())
    }

    fn acknowledge(&mut self, now: Instant, request: &Message, client: &Client, ip: Ipv4Addr) {
        let renewed = self
            .leases
            .get(ip)
            .is_some_and(|b| b.state == State::Bound && b.client == client.key);
        let until = now + self.config.lease_time();
        self.leases.bind(now, ip, client, until);
        self.made += 1;
        let mac = request.chaddr;
        self.event(if renewed {
            Event::LeaseRenewed { mac, ip }
        } else {
            Event::LeaseGiven {
                mac,
                ip,
                host_name: client.host_name.clone(),
            }
        });
        let (reply, lacks_routes) = self.answer(request, MessageType::Ack, ip);
        if lacks_routes && !renewed {
            let limit = reply.limit;
            self.event(Event::RoutesLeftOut { mac, limit });
        }
        let at_once = match (renewed, self.keeps) {
            (true, _) => self.hold.replace(ip, reply),
            (false, true) => self.hold.take(now, self.made, reply),
            (false, false) => Some(reply),
        };
        self.replies.extend(at_once);
    }

    fn decline(&mut self, now: Instant, request: &Message, client: &Client) {
        let Some(ip) = request.address(option::REQUESTED_ADDRESS) else {
            return;
        };
        // Only the client that has the address may call it unusable, or one message could empty the pool.
        if self.leases.of_client(&client.key) == Some(ip) {
            self.leases.set_aside(now, ip, request.chaddr);
            self.event(Event::LeaseDeclined {
                mac: request.chaddr,
                ip,
            });
        }
    }

    fn release(&mut self, now: Instant, request: &Message, client: &Client) {
        if self.leases.release(now, request.ciaddr, &client.key) {
            self.event(Event::LeaseReleased {
                mac: request.chaddr,
                ip: request.ciaddr,
            });
        }
    }

    /// Tells a client with an address of its own the other settings (RFC 2131 §4.3.5).
    fn inform(&mut self, request: &Message) {
        if request.ciaddr.is_unspecified() {
            return;
        }
        let (mut reply, _) = self.answer(request, MessageType::Ack, Ipv4Addr::UNSPECIFIED);
        for timing in [option::LEASE_TIME, option::RENEWAL_TIME, option::REBINDING_TIME] {
            reply.message.options.remove(&timing);
        }
        self.replies.push_back(reply);
    }

    fn refuse(&mut self, request: &Message) {
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
        self.replies.push_back(Reply {
            message,
            limit: usize::MAX,
            to_ip: Ipv4Addr::BROADCAST,
            to_mac: MacAddr::BROADCAST,
        });
    }

    fn reply(&mut self, request: &Message, kind: MessageType, ip: Ipv4Addr) {
        let (reply, _) = self.answer(request, kind, ip);
        self.replies.push_back(reply);
    }

    /// An answer, and whether it lacks the routes that the client asked for.
    fn answer(&self, request: &Message, kind: MessageType, ip: Ipv4Addr) -> (Reply, bool) {
        let ciaddr = if kind == MessageType::Ack {
            request.ciaddr
        } else {
            Ipv4Addr::UNSPECIFIED
        };
        let header = Message {
            op: Op::Reply,
            kind,
            ciaddr,
            yiaddr: ip,
            ..request.clone()
        };
        let filled = self.settings.fill(request, header);
        let (to_ip, to_mac) = match () {
            () if !request.ciaddr.is_unspecified() => (request.ciaddr, request.chaddr),
            () if request.broadcast => (Ipv4Addr::BROADCAST, MacAddr::BROADCAST),
            () => (ip, request.chaddr),
        };
        let reply = Reply {
            message: filled.message,
            limit: filled.limit,
            to_ip,
            to_mac,
        };
        (reply, filled.lacks_routes)
    }

    fn turn_away(&mut self, mac: MacAddr) {
        self.exhaustion.turned_away += 1;
        if self.exhaustion.turned_away == 1 {
            let pool = self.pool_use();
            self.event(Event::PoolExhausted { mac, pool });
        }
    }

    fn end_exhaustion(&mut self) {
        let turned_away = std::mem::take(&mut self.exhaustion).turned_away;
        if turned_away > 0 {
            self.event(Event::PoolAvailable { turned_away });
        }
    }

    fn event(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// The pool without the addresses that are no host's, or those of the servers and the gateway.
fn pool(config: &SecureNatConfig) -> Leases {
    Leases::new(
        config.dhcp_lease_ip_start,
        config.dhcp_lease_ip_end,
        |ip| !config.is_for_clients(ip),
        config.dhcp_reservations.only(|ip| config.is_for_clients(ip)),
    )
}

#[cfg(test)]
mod tests;
