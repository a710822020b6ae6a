//! The virtual host as an IPv6 router of its hub, sans-IO: frames and times in, frames and questions for names out.
//!
//! It tells stations the network in which they make their addresses, the way out and the name servers (`advertisement`,
//! RFC 4861 and RFC 8106), answers what they ask beside (`dhcpv6`, RFC 8415), and who asks for its addresses
//! (`neighbour`). Where a kernel stands behind it, that one answers the latter and `Duties::Announcing` is left.

mod advertisement;
mod config;
mod dhcpv6;
mod name;
mod neighbour;
mod net;
mod packet;
mod schedule;

use std::collections::VecDeque;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::MacAddr;
use hub_core::frame::{Frame, FrameView, Network};

use crate::config::SecureNatConfig;
use crate::resolver::DNS_PORT;
use advertisement::{Advertisement, Prefix};
pub use config::{Ipv6Config, Ipv6Error, MAX_NAME_SERVERS, MIN_LIFETIME, MIN_MTU, NameServers};
use neighbour::Said;
pub use net::{Ipv6Net, ParseNet6Error};
pub use packet::link_local;
use packet::{ALL_NODES, HOPS, ICMP, Packet, UDP, Written};
use schedule::Schedule;

/// How long somebody may object to our addresses: one question, and a second (RFC 4862 §5.1).
const PROBE: Duration = Duration::from_secs(1);
/// After how long we try again when somebody did.
const TRY_AGAIN: Duration = Duration::from_secs(300);
/// Seconds after an advertisement during which we are the way out, and name servers count: three times the longest pause
/// between two (RFC 4861 §6.2.1, RFC 8106 §5.1).
const ROUTER_LIFETIME: u16 = 1800;
/// How long a network that is no more is called so: stations keep it for two hours if they miss it (RFC 4862 §5.5.3).
const RETIREMENT: Duration = Duration::from_secs(7200);
/// Networks remembered so.
const MAX_RETIRED: usize = 8;
/// Advertisements that say goodbye, and the time between two (RFC 4861 §10).
const FAREWELLS: u32 = 3;
const BETWEEN_FAREWELLS: Duration = Duration::from_secs(3);
/// Questions for names that wait to be fetched.
const MAX_QUESTIONS: usize = 256;

const TCP: u8 = 6;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const UNREACHABLE: u8 = 1;
const NO_ROUTE: u8 = 0;
const NO_PORT: u8 = 4;

/// How far the virtual host leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing can be promised: it is silent.
    Nowhere,
    /// To itself. Stations get addresses and names, and no way out.
    #[default]
    Link,
    /// Out.
    Outside,
}

/// What a router does, for who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It is off.
    Off,
    /// It asks whether somebody has its addresses.
    Starting,
    /// Somebody has.
    AddressTaken,
    /// It announces the network and name servers, and no way out.
    LinkOnly,
    /// It is the way out.
    Router,
    /// It cannot work here; the log says why.
    Failed,
}

/// What is asked of a [`Router`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duties {
    /// It is the whole virtual host.
    All,
    /// A kernel has its addresses; it announces them and answers DHCP.
    Announcing,
}

impl Duties {
    /// Whether a frame can be about them: what passes through to elsewhere need not be read.
    fn include(self, view: &FrameView) -> bool {
        match (self, &view.network) {
            (Duties::Announcing, Network::Ipv6(ip)) => ip.destination.is_multicast() || ip.protocol == ICMP,
            _ => true,
        }
    }
}

/// A question for a name that a station asked the virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    mac: MacAddr,
    pub(crate) client: SocketAddrV6,
    service: SocketAddrV6,
    /// The DNS message.
    pub(crate) data: Vec<u8>,
}

/// The router of one hub.
#[derive(Debug, Default)]
pub struct Router {
    identity: Option<Arc<Identity>>,
    state: State,
    reach: Reach,
    schedule: Schedule,
    /// Networks that are no more, and until when that is told.
    retired: Vec<(Ipv6Net, Instant)>,
    out: VecDeque<Frame>,
    questions: VecDeque<Question>,
    ident: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Off,
    /// It has asked whether somebody has its addresses, and waits for objections until then.
    Probing(Instant),
    /// Somebody has; it tries again then.
    Taken(Instant),
    On,
    /// It says goodbye so many times more, next then.
    Leaving(u32, Instant),
}

/// What a router says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    mac: MacAddr,
    link_local: Ipv6Addr,
    address: Ipv6Addr,
    mtu: u32,
    domain: String,
    config: Ipv6Config,
}

impl Identity {
    fn new(config: &SecureNatConfig) -> Self {
        Identity {
            mac: config.mac_address,
            link_local: link_local(config.mac_address),
            address: config.ipv6.address(),
            mtu: config.mtu,
            domain: config.dhcp_domain_name.clone(),
            config: config.ipv6.clone(),
        }
    }

    fn addresses(&self) -> [Ipv6Addr; 2] {
        [self.link_local, self.address]
    }

    fn has(&self, address: Ipv6Addr) -> bool {
        self.addresses().contains(&address)
    }

    /// Whether a station may have this address: answers to others would not find it.
    fn is_neighbour(&self, address: Ipv6Addr) -> bool {
        let on_link = self.config.prefix.contains(address) || address.segments()[0] & 0xffc0 == 0xfe80;
        on_link && !self.has(address)
    }

    fn name_servers(&self) -> Vec<Ipv6Addr> {
        self.config.name_servers.addresses(self.address)
    }
}

impl Router {
    /// Takes the settings of its hub, the first time or anew.
    pub fn apply(&mut self, now: Instant, config: &SecureNatConfig) {
        let wanted = config.ipv6.enabled.then(|| Arc::new(Identity::new(config)));
        let is_on = !matches!(self.state, State::Off | State::Leaving(..));
        match (self.identity.clone().filter(|_| is_on), wanted) {
            (None, None) => {}
            (None, Some(identity)) => self.begin(now, identity),
            (Some(_), None) => self.leave(now),
            (Some(former), Some(identity)) if former.addresses() != identity.addresses() => {
                self.say_farewell();
                self.retire(now, former.config.prefix);
                self.begin(now, identity);
            }
            (Some(former), Some(identity)) => {
                let changed = former != identity;
                self.identity = Some(identity);
                if changed && self.state == State::On {
                    self.hurry(now);
                }
            }
        }
    }

    /// What it does at the moment.
    pub fn condition(&self) -> Condition {
        match (&self.state, self.reach) {
            (State::Off | State::Leaving(..), _) => Condition::Off,
            (_, Reach::Nowhere) => Condition::Failed,
            (State::Probing(_), _) => Condition::Starting,
            (State::Taken(_), _) => Condition::AddressTaken,
            (State::On, Reach::Link) => Condition::LinkOnly,
            (State::On, Reach::Outside) => Condition::Router,
        }
    }

    /// Says how far it leads from now on.
    pub fn set_reach(&mut self, now: Instant, reach: Reach) {
        if self.reach == reach {
            return;
        }
        if reach == Reach::Nowhere {
            self.say_farewell();
        }
        self.reach = reach;
        if self.state == State::On {
            self.hurry(now);
        }
    }

    /// Says goodbye, once: whoever calls this will send nothing more.
    pub fn say_farewell(&mut self) {
        if !matches!(self.state, State::On | State::Leaving(..)) || self.reach == Reach::Nowhere {
            return;
        }
        if let Some(identity) = self.identity.clone() {
            let farewell = self.advertisement(&identity).farewell();
            self.send(
                &identity,
                MacAddr::BROADCAST,
                farewell.write(identity.link_local, ALL_NODES),
            );
        }
    }

    /// Whether `frame`, read as `view`, was for the router alone.
    pub(crate) fn handle_frame(
        &mut self,
        now: Instant,
        frame: &Frame,
        view: &FrameView,
        duties: Duties,
    ) -> bool {
        let Some(identity) = &self.identity else {
            return false;
        };
        let for_us = view.destination == identity.mac || view.destination.is_multicast();
        if !for_us || !duties.include(view) || self.reach == Reach::Nowhere {
            return false;
        }
        let Some(packet) = Packet::read(frame, view) else {
            return false;
        };
        match self.state {
            State::Probing(_) => self.listen(now, &packet),
            State::On => {
                let identity = Arc::clone(identity);
                return self.handle_packet(now, &identity, &packet, duties);
            }
            State::Off | State::Taken(_) | State::Leaving(..) => {}
        }
        false
    }

    /// Whether somebody objects to our addresses, or wants the same ones (RFC 4862 §5.4.3, §5.4.4).
    fn listen(&mut self, now: Instant, packet: &Packet<'_>) {
        let Some(Said::MayITake(address) | Said::Mine(address)) = Said::read(packet) else {
            return;
        };
        if self
            .identity
            .as_ref()
            .is_some_and(|identity| identity.has(address))
        {
            tracing::warn!(
                %address, mac = %packet.mac,
                "a station of the hub has the virtual host's IPv6 address; no IPv6 until that ends: \
                 give another network (SecureNatIPv6Set /PREFIX)"
            );
            self.state = State::Taken(now + TRY_AGAIN);
        }
    }

    fn handle_packet(
        &mut self,
        now: Instant,
        identity: &Identity,
        packet: &Packet<'_>,
        duties: Duties,
    ) -> bool {
        if advertisement::is_solicitation(packet) {
            self.handle_solicitation(now, identity, packet);
            return true;
        }
        if dhcpv6::is_for_server(packet) {
            self.handle_dhcp(identity, packet);
            return true;
        }
        if duties == Duties::All {
            self.handle_other(identity, packet);
        }
        duties == Duties::All
    }

    /// At once, for we are the only router of ours here: the random pause of RFC 4861 §6.2.6 keeps several from
    /// speaking at one time. What is told to all keeps its distance.
    fn handle_solicitation(&mut self, now: Instant, identity: &Identity, packet: &Packet<'_>) {
        if packet.source.is_unspecified() || !self.schedule.may_answer(now) {
            self.hurry(now);
            return;
        }
        if identity.is_neighbour(packet.source) {
            let written = self
                .advertisement(identity)
                .write(identity.link_local, packet.source);
            self.send(identity, packet.mac, written);
        }
    }

    fn handle_dhcp(&mut self, identity: &Identity, packet: &Packet<'_>) {
        let Some(request) = dhcpv6::Request::read(packet, identity.mac) else {
            return;
        };
        let answer = dhcpv6::Answer {
            name_servers: &identity.name_servers(),
            domain: &identity.domain,
        };
        let written = request.answer(identity.mac, identity.link_local, &answer);
        self.send(identity, packet.mac, written);
    }

    /// What every host does: neighbour discovery, echoes, refusals; and the name service.
    fn handle_other(&mut self, identity: &Identity, packet: &Packet<'_>) {
        if let Some(Said::WhoHas(address) | Said::MayITake(address)) = Said::read(packet) {
            let neighbour = packet.source.is_unspecified() || identity.is_neighbour(packet.source);
            if identity.has(address) && neighbour {
                let answer = neighbour::answer(address, identity.mac, packet.source);
                self.send(identity, packet.mac, answer);
            }
            return;
        }
        if !identity.is_neighbour(packet.source) {
            return;
        }
        let own = identity.has(packet.destination);
        match packet.protocol {
            ICMP => self.handle_echo(identity, packet),
            UDP if own => match packet.udp() {
                Some((port, DNS_PORT, data)) => self.ask(packet, port, data),
                Some(_) => self.refuse(identity, packet, NO_PORT),
                None => {}
            },
            TCP if own => self.refuse(identity, packet, NO_PORT),
            UDP | TCP if !packet.destination.is_multicast() => self.refuse(identity, packet, NO_ROUTE),
            _ => {}
        }
    }

    fn handle_echo(&mut self, identity: &Identity, packet: &Packet<'_>) {
        let [ECHO_REQUEST, 0, _, _, rest @ ..] = packet.payload else {
            return;
        };
        let from = match packet.destination {
            ALL_NODES if identity.config.prefix.contains(packet.source) => identity.address,
            ALL_NODES => identity.link_local,
            own if identity.has(own) => own,
            _ => return,
        };
        let reply = [&[ECHO_REPLY, 0, 0, 0][..], rest].concat();
        self.send(
            identity,
            packet.mac,
            Written::icmp(from, packet.source, HOPS, reply),
        );
    }

    /// An error tells as much of the packet as fits the smallest MTU (RFC 4443 §2.4).
    fn refuse(&mut self, identity: &Identity, packet: &Packet<'_>, code: u8) {
        const ROOM: usize = MIN_MTU as usize - 48;
        let quoted = &packet.whole[..packet.whole.len().min(ROOM)];
        let message = [&[UNREACHABLE, code, 0, 0, 0, 0, 0, 0][..], quoted].concat();
        let written = Written::icmp(identity.address, packet.source, HOPS, message);
        self.send(identity, packet.mac, written);
    }

    fn ask(&mut self, packet: &Packet<'_>, port: u16, data: &[u8]) {
        if port != 0 && self.questions.len() < MAX_QUESTIONS {
            self.questions.push_back(Question {
                mac: packet.mac,
                client: SocketAddrV6::new(packet.source, port, 0, 0),
                service: SocketAddrV6::new(packet.destination, DNS_PORT, 0, 0),
                data: data.to_vec(),
            });
        }
    }

    /// The next question for a name.
    pub(crate) fn poll_question(&mut self) -> Option<Question> {
        self.questions.pop_front()
    }

    /// Answers one, unless the settings under which it was asked are gone.
    pub(crate) fn answer(&mut self, question: &Question, data: &[u8]) {
        let Some(identity) = self.identity.clone() else {
            return;
        };
        if self.state == State::On && identity.has(*question.service.ip()) {
            let written = Written::udp(question.service, question.client, data);
            self.send(&identity, question.mac, written);
        }
    }

    /// The next frame for the hub.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.out.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Off => None,
            State::On if self.reach == Reach::Nowhere => None,
            State::On => self.schedule.next(),
            State::Probing(at) | State::Taken(at) | State::Leaving(_, at) => Some(at),
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        match self.state {
            State::Off => {}
            State::Probing(_) => {
                self.state = State::On;
                self.schedule.begin();
                self.hurry(now);
            }
            State::Taken(_) => {
                if let Some(identity) = self.identity.take() {
                    self.begin(now, identity);
                }
            }
            State::On => self.advertise(now),
            State::Leaving(..) => self.say_farewell_again(now),
        }
    }

    /// Asks whether somebody has its addresses, before it uses them.
    fn begin(&mut self, now: Instant, identity: Arc<Identity>) {
        self.retired.retain(|(net, _)| *net != identity.config.prefix);
        self.schedule.seed(identity.mac);
        for address in identity.addresses() {
            self.send(&identity, MacAddr::BROADCAST, neighbour::probe(address));
        }
        self.identity = Some(identity);
        self.state = State::Probing(now + PROBE);
    }

    fn leave(&mut self, now: Instant) {
        if self.state == State::On && self.reach != Reach::Nowhere {
            self.state = State::Leaving(FAREWELLS, now);
            self.say_farewell_again(now);
        } else {
            self.end();
        }
    }

    fn say_farewell_again(&mut self, now: Instant) {
        let State::Leaving(left, _) = self.state else {
            return;
        };
        self.say_farewell();
        match left.saturating_sub(1) {
            0 => self.end(),
            left => self.state = State::Leaving(left, now + BETWEEN_FAREWELLS),
        }
    }

    fn end(&mut self) {
        self.state = State::Off;
        self.identity = None;
        self.retired.clear();
        self.questions.clear();
    }

    fn retire(&mut self, now: Instant, prefix: Ipv6Net) {
        self.retired.retain(|(net, until)| *net != prefix && now < *until);
        if self.retired.len() == MAX_RETIRED {
            self.retired.remove(0);
        }
        self.retired.push((prefix, now + RETIREMENT));
    }

    /// Tells all stations, as soon as may be.
    fn hurry(&mut self, now: Instant) {
        if self.schedule.hurry(now) {
            self.advertise(now);
        }
    }

    fn advertise(&mut self, now: Instant) {
        self.retired.retain(|(_, until)| now < *until);
        self.schedule.told(now);
        if self.reach == Reach::Nowhere {
            return;
        }
        if let Some(identity) = self.identity.clone() {
            let advertisement = self.advertisement(&identity);
            self.send(
                &identity,
                MacAddr::BROADCAST,
                advertisement.write(identity.link_local, ALL_NODES),
            );
        }
    }

    fn advertisement(&self, identity: &Identity) -> Advertisement {
        let leads_out = self.reach == Reach::Outside;
        let current = Prefix {
            net: identity.config.prefix,
            valid: identity.config.valid,
            preferred: identity.config.preferred,
        };
        let retired = self.retired.iter().map(|(net, _)| Prefix {
            net: *net,
            valid: 0,
            preferred: 0,
        });
        Advertisement {
            router_lifetime: if leads_out { ROUTER_LIFETIME } else { 0 },
            mac: identity.mac,
            mtu: identity.mtu,
            prefixes: std::iter::once(current).chain(retired).collect(),
            name_servers: identity.name_servers(),
            domain: identity.domain.clone(),
            names_lifetime: ROUTER_LIFETIME.into(),
        }
    }

    fn send(&mut self, identity: &Identity, to: MacAddr, written: Written) {
        self.ident = self.ident.wrapping_add(1);
        let frames = written.into_frames(identity.mac, to, identity.mtu as usize, self.ident);
        self.out.extend(frames);
    }
}

#[cfg(test)]
mod tests;
