//! A DHCPv6 client as a state machine (RFC 8415 section 18.2): messages, advice of routers and the time go in, messages and events
//! come out.
//!
//! A router of the hub says whether there is anything to ask for. As with IPv4 it sits at the mouth of the tunnel, and needs no socket.

mod frame;
mod message;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
pub(crate) use frame::is_to_client;
use message::{Ask, Asker, Grant, NO_BINDING, SUCCESS, Said};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The longest wait before the first question, so that not all clients of a link ask at once.
const MAX_DELAY: Duration = Duration::from_secs(1);
/// The pause before somebody is asked who has promised an address and then refused it: at first, and at most. It doubles each time.
const REFUSED: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// How often an address is asked for before starting over.
const REQUESTS: u32 = 10;
/// The preference of a server that need not be compared with others.
const BEST: u8 = 255;
/// The pause after which information is asked for anew: the shortest that is obeyed, and the usual one.
const SHORTEST_REFRESH: Duration = Duration::from_secs(600);
const USUAL_REFRESH: Duration = Duration::from_secs(86_400);
/// No server makes us ask more often.
const SHORTEST_RENEW: Duration = Duration::from_secs(10);
const FOR_EVER: u32 = u32::MAX;

/// What a server gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv6Addr,
    /// Seconds for which it is to be used for new connections; `u32::MAX` is for ever.
    pub preferred: u32,
    /// Seconds for which it holds; `u32::MAX` is for ever.
    pub valid: u32,
    /// What there is to know beside it.
    pub information: Information,
}

/// What a server says of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Information {
    /// Name servers.
    pub dns: Vec<Ipv6Addr>,
    /// Domains to search, plain names.
    pub search: Vec<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is an address, or it was prolonged.
    Leased(Lease),
    /// There is information without an address.
    Informed(Information),
    /// The address must not be used any more.
    Lost(Ipv6Addr),
}

/// The DHCPv6 client of one link.
#[derive(Debug)]
pub struct Client {
    mac: [u8; 6],
    asker: Asker,
    rng: StdRng,
    state: State,
    bound: Option<Bound>,
    /// How often an address was promised and then refused, since there was one.
    refusals: u32,
    /// When to ask for information again, where there is no address.
    refresh: Option<Instant>,
    output: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone)]
struct Bound {
    lease: Lease,
    server: Vec<u8>,
    renew: Option<Instant>,
    rebind: Option<Instant>,
    ends: Option<Instant>,
}

#[derive(Debug, Clone)]
enum State {
    Idle,
    Asking(Question, Transaction),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Question {
    Information,
    /// With the best offer so far.
    Solicit(Option<Said>),
    Request(Box<Said>),
    Renew,
    Rebind,
}

#[derive(Debug, Clone, Copy)]
struct Transaction {
    xid: [u8; 3],
    began: Instant,
    wait: Duration,
    again: Instant,
    count: u32,
}

impl Question {
    /// The first wait for an answer, and the longest (RFC 8415 section 7.6).
    fn waits(&self) -> (Duration, Duration) {
        let (first, longest) = match self {
            Self::Information | Self::Solicit(_) => (1, 3600),
            Self::Request(_) => (1, 30),
            Self::Renew | Self::Rebind => (10, 600),
        };
        (Duration::from_secs(first), Duration::from_secs(longest))
    }
}

impl Client {
    /// A client for the link of this hardware address that asks nothing yet. `seed` decides its random numbers.
    pub fn new(mac: [u8; 6], seed: u64) -> Self {
        Self {
            mac,
            asker: Asker::new(mac),
            rng: StdRng::seed_from_u64(seed),
            state: State::Idle,
            bound: None,
            refusals: 0,
            refresh: None,
            output: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// A router says that addresses are to be had (`managed`), or that there is something else to know (`other`).
    pub fn advised(&mut self, now: Instant, managed: bool, other: bool) {
        let asks_for_information = matches!(self.state, State::Asking(Question::Information, _));
        let is_idle = matches!(self.state, State::Idle);
        if managed && self.bound.is_none() && (is_idle || asks_for_information) {
            self.refresh = None;
            self.ask(Question::Solicit(None), now);
        } else if other && !managed && is_idle && self.bound.is_none() && self.refresh.is_none() {
            self.ask(Question::Information, now);
        }
    }

    /// Gives the address back and asks nothing more until a router advises it.
    pub fn release(&mut self) {
        self.state = State::Idle;
        self.refresh = None;
        self.output.clear();
        if let Some(bound) = self.bound.take() {
            let xid = self.xid();
            let ask = Ask::Release(bound.lease.address, &bound.server);
            self.output
                .push_back(message::build(&self.asker, xid, Duration::ZERO, ask));
        }
    }

    /// Looks at a frame from the link; `true` if it was for this client and need not go to the host.
    pub fn handle_input(&mut self, now: Instant, frame: &[u8]) -> bool {
        let State::Asking(question, transaction) = &self.state else {
            return false;
        };
        let Some(said) = frame::message(frame).and_then(|m| message::parse(m, transaction.xid, &self.asker))
        else {
            return false;
        };
        let (question, count) = (question.clone(), transaction.count);
        match (question, said.is_offer) {
            (Question::Solicit(best), true) => self.offered(now, best, said, count),
            (Question::Information, false) => self.informed(now, said),
            (Question::Request(_) | Question::Renew | Question::Rebind, false) => self.answered(now, said),
            _ => {}
        }
        true
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self
            .bound
            .as_ref()
            .and_then(|bound| bound.ends)
            .is_some_and(|end| end <= now)
        {
            self.lose();
            self.ask(Question::Solicit(None), now);
            return;
        }
        match self.state.clone() {
            State::Asking(question, transaction) if transaction.again <= now => {
                self.unanswered(now, question, transaction);
            }
            State::Asking(..) => {}
            State::Idle => match &self.bound {
                Some(bound) if bound.renew.is_some_and(|at| at <= now) => self.ask(Question::Renew, now),
                None if self.refresh.is_some_and(|at| at <= now) => {
                    self.refresh = None;
                    self.ask(Question::Information, now);
                }
                _ => {}
            },
        }
    }

    /// When [`Client::handle_timeout`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match (&self.state, &self.bound) {
            (State::Asking(_, transaction), _) => Some(transaction.again),
            (State::Idle, Some(bound)) => bound.renew,
            (State::Idle, None) => self.refresh,
        };
        let end = self.bound.as_ref().and_then(|bound| bound.ends);
        next.into_iter().chain(end).min()
    }

    /// The next frame for the link, from this link-local address of ours.
    pub fn poll_output(&mut self, from: Ipv6Addr) -> Option<Bytes> {
        let message = self.output.pop_front()?;
        Some(frame::build(self.mac, from, &message))
    }

    /// Whether there is a frame to be sent.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn xid(&mut self) -> [u8; 3] {
        let [_, a, b, c] = self.rng.random::<u32>().to_be_bytes();
        [a, b, c]
    }

    /// Begins a question. Those to everybody wait for a random while first; the others go out at once.
    fn ask(&mut self, question: Question, now: Instant) {
        let delay = match question {
            Question::Information => self.at_random(),
            Question::Solicit(_) => self.at_random() + self.pause_after_refusals(),
            _ => Duration::ZERO,
        };
        let transaction = Transaction {
            xid: self.xid(),
            began: now + delay,
            wait: Duration::ZERO,
            again: now + delay,
            count: 0,
        };
        self.state = State::Asking(question, transaction);
        if delay.is_zero() {
            self.handle_timeout(now);
        }
    }

    fn at_random(&mut self) -> Duration {
        MAX_DELAY.mul_f64(self.rng.random::<f64>())
    }

    fn pause_after_refusals(&self) -> Duration {
        let (first, most) = REFUSED;
        match self.refusals {
            0 => Duration::ZERO,
            count => first.saturating_mul(1 << (count - 1).min(16)).min(most),
        }
    }

    /// No answer in time, or nothing was asked yet.
    fn unanswered(&mut self, now: Instant, question: Question, mut transaction: Transaction) {
        let rebinds = self.bound.as_ref().and_then(|bound| bound.rebind);
        match question {
            Question::Solicit(Some(offer)) => return self.ask(Question::Request(Box::new(offer)), now),
            Question::Request(_) if transaction.count >= REQUESTS => {
                return self.ask(Question::Solicit(None), now);
            }
            Question::Renew if rebinds.is_some_and(|at| at <= now) => return self.ask(Question::Rebind, now),
            _ => {}
        }
        self.send(&question, &transaction, now);
        let (first, longest) = question.waits();
        let spread = self.rng.random_range(-0.1..0.1);
        // The first question to everybody waits no less than it says, so that offers can be compared.
        let (base, spread) = match transaction.count {
            0 if matches!(question, Question::Solicit(_)) => (first, f64::abs(spread)),
            0 => (first, spread),
            _ if transaction.wait * 2 > longest => (longest, spread),
            _ => (transaction.wait * 2, spread / 2.0),
        };
        transaction.wait = base.mul_f64(1.0 + spread);
        transaction.count += 1;
        transaction.again = now + transaction.wait;
        if question == Question::Renew
            && let Some(rebinds) = rebinds
        {
            transaction.again = transaction.again.min(rebinds);
        }
        self.state = State::Asking(question, transaction);
    }

    fn send(&mut self, question: &Question, transaction: &Transaction, now: Instant) {
        let bound = self.bound.as_ref();
        let ask = match (question, bound) {
            (Question::Information, _) => Ask::Information,
            (Question::Request(offer), _) => match &offer.grant {
                Some(grant) => Ask::Request(grant.address, &offer.server),
                None => Ask::Solicit,
            },
            (Question::Renew, Some(bound)) => Ask::Renew(bound.lease.address, &bound.server),
            (Question::Rebind, Some(bound)) => Ask::Rebind(bound.lease.address),
            _ => Ask::Solicit,
        };
        let elapsed = now.saturating_duration_since(transaction.began);
        self.output
            .push_back(message::build(&self.asker, transaction.xid, elapsed, ask));
    }

    /// The first offers are compared until the first wait is over; after that the first one is as good as any.
    fn offered(&mut self, now: Instant, best: Option<Said>, said: Said, count: u32) {
        if said.grant.is_none() {
            return;
        }
        let best = match best {
            Some(best) if best.preference >= said.preference => best,
            _ => said,
        };
        if best.preference == BEST || count > 1 {
            self.ask(Question::Request(Box::new(best)), now);
        } else if let State::Asking(question, _) = &mut self.state {
            *question = Question::Solicit(Some(best));
        }
    }

    fn informed(&mut self, now: Instant, said: Said) {
        let seconds = said.refresh.map(|seconds| Duration::from_secs(seconds.into()));
        let pause = seconds.map_or(USUAL_REFRESH, |pause| pause.max(SHORTEST_REFRESH));
        self.refresh = Some(now + pause);
        self.state = State::Idle;
        self.events.push_back(Event::Informed(Information {
            dns: said.dns,
            search: said.search,
        }));
    }

    fn answered(&mut self, now: Instant, said: Said) {
        let Some(grant) = said.grant else {
            // A server that has forgotten the lease, or has nothing to give after all, is asked anew; other troubles pass.
            if said.status == NO_BINDING || said.status == SUCCESS || self.bound.is_none() {
                if self.bound.is_none() {
                    self.refusals = self.refusals.saturating_add(1);
                }
                self.lose();
                self.ask(Question::Solicit(None), now);
            }
            return;
        };
        if self
            .bound
            .as_ref()
            .is_some_and(|bound| bound.lease.address != grant.address)
        {
            self.lose();
        }
        let lease = Lease {
            address: grant.address,
            preferred: grant.preferred,
            valid: grant.valid,
            information: Information {
                dns: said.dns,
                search: said.search,
            },
        };
        self.events.push_back(Event::Leased(lease.clone()));
        self.refusals = 0;
        self.bound = Some(Bound::new(now, lease, said.server, &grant));
        self.state = State::Idle;
    }

    fn lose(&mut self) {
        if let Some(bound) = self.bound.take() {
            self.events.push_back(Event::Lost(bound.lease.address));
        }
    }
}

impl Bound {
    fn new(now: Instant, lease: Lease, server: Vec<u8>, grant: &Grant) -> Self {
        let after = |seconds: u32| (seconds != FOR_EVER).then(|| Duration::from_secs(seconds.into()));
        let preferred = after(grant.preferred);
        // Times that the server leaves to us (RFC 8415 section 21.4), and those that make no sense.
        let left = grant.renew == 0 || grant.rebind == 0 || grant.renew > grant.rebind;
        let (renew, rebind) = if left {
            (preferred.map(|p| p / 2), preferred.map(|p| p.mul_f64(0.8)))
        } else {
            (after(grant.renew), after(grant.rebind))
        };
        let at = |pause: Option<Duration>| pause.map(|pause| now + pause.max(SHORTEST_RENEW));
        Self {
            lease,
            server,
            renew: at(renew),
            rebind: at(rebind),
            ends: after(grant.valid).map(|valid| now + valid),
        }
    }
}
