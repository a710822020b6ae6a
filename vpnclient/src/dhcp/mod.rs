//! A DHCP client as a state machine (RFC 2131 section 4.4): frames and the time go in, frames and events come out.
//!
//! It sits at the mouth of the tunnel, so it sees the link's frames before the host does and needs no raw socket.

mod arp;
mod frame;
mod lease;
mod message;
mod names;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

pub(crate) use arp::is_reply as is_arp_reply;
use bytes::Bytes;
pub use lease::{ClasslessRoute, Lease};
use message::{Ask, Asker, Reply};
pub(crate) use names::search_list;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The first wait for an answer; it doubles up to the last, each a second more or less (RFC 2131 section 4.1).
const FIRST_WAIT: Duration = Duration::from_secs(4);
const LAST_WAIT: Duration = Duration::from_secs(64);
/// How often an offer is asked for, and a former address confirmed, before starting over.
const REQUESTS: u32 = 4;
const CONFIRMATIONS: u32 = 2;
/// The pause after a refusal, so that a server that refuses everything is not asked without pause.
const AFTER_NAK: Duration = Duration::from_secs(3);
/// The shortest pause between two wishes to prolong a lease (RFC 2131 section 4.4.5), unless the lease is shorter.
const RENEW_PAUSE: Duration = Duration::from_secs(60);

/// How often, and how long each time, the link is asked whether somebody has an address already. Much less than RFC 5227
/// wants, which is about links that may sleep: a person waits for this.
const PROBES: u32 = 2;
const PROBE_WAIT: Duration = Duration::from_millis(150);
/// The pause after an address turned out to be somebody's (RFC 2131 section 3.1); it doubles up to the last.
const AFTER_DECLINE: Duration = Duration::from_secs(10);
const LAST_DECLINE: Duration = Duration::from_secs(160);

/// What happened to the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// There is a lease, or what it says has changed.
    Leased(Box<Lease>),
    /// The lease was prolonged as it is.
    Renewed,
    /// The lease is over; the address must not be used any more.
    Lost(Loss),
    /// Nobody answers; asking goes on.
    NoAnswer,
    /// The address that was given is in use by this station already; another one is asked for.
    Taken(Ipv4Addr, [u8; 6]),
}

/// Why an address was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// Nobody prolonged it in time.
    Expired,
    /// A server took it away, with its reason.
    Refused(String),
}

/// The DHCP client of one link.
#[derive(Debug)]
pub struct Client {
    mac: [u8; 6],
    host_name: Option<String>,
    rng: StdRng,
    state: State,
    /// The lease in use.
    bound: Option<Bound>,
    /// How many addresses in a row were somebody's.
    declined: u32,
    output: VecDeque<Bytes>,
    events: VecDeque<Event>,
}

#[derive(Debug, Clone)]
struct Bound {
    lease: Lease,
    /// When the lease began: when it was asked for.
    since: Instant,
    /// The station that the server's answer came from.
    server_mac: [u8; 6],
}

#[derive(Debug)]
enum State {
    /// Not asking: not yet, or not any more.
    Idle,
    /// Waiting before starting over.
    Pausing { until: Instant },
    /// A question is out.
    Asking {
        question: Question,
        transaction: Transaction,
    },
    /// The link is asked whether somebody has the address already.
    Probing {
        candidate: Box<Bound>,
        count: u32,
        until: Instant,
    },
    /// The lease holds; nothing to do until it is to be prolonged.
    Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    Discover,
    Request { address: Ipv4Addr, server: Ipv4Addr },
    Reboot,
    Renew,
    Rebind,
}

#[derive(Debug, Clone, Copy)]
struct Transaction {
    xid: u32,
    began: Instant,
    sent: Instant,
    again: Instant,
    count: u32,
}

impl Client {
    /// A client for the link of this hardware address that asks nothing yet. `seed` decides its random numbers.
    pub fn new(mac: [u8; 6], host_name: Option<String>, seed: u64) -> Self {
        let host_name = host_name.and_then(|name| names::domain(&name));
        Self {
            mac,
            host_name,
            rng: StdRng::seed_from_u64(seed),
            state: State::Idle,
            bound: None,
            declined: 0,
            output: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The link is up: asks for an address, or whether the one in use may be kept.
    pub fn start(&mut self, now: Instant) {
        if self
            .bound
            .as_ref()
            .and_then(Bound::ends)
            .is_some_and(|end| end <= now)
        {
            self.bound = None;
            self.events.push_back(Event::Lost(Loss::Expired));
        }
        let question = if self.bound.is_some() {
            Question::Reboot
        } else {
            Question::Discover
        };
        self.ask(question, now);
    }

    /// The link is down: asks nothing more until [`Client::start`]. The lease stays until it ends.
    pub fn stop(&mut self) {
        self.output.clear();
        self.state = if self.bound.is_some() {
            State::Bound
        } else {
            State::Idle
        };
    }

    /// Gives the address back.
    pub fn release(&mut self) {
        self.state = State::Idle;
        if let Some(bound) = self.bound.take() {
            let ask = Ask::Release {
                address: bound.lease.address,
                server: bound.lease.server,
            };
            let xid = self.rng.random();
            self.send(ask, xid, 0, Some(&bound));
        }
    }

    /// The lease in use.
    pub fn lease(&self) -> Option<&Lease> {
        self.bound.as_ref().map(|bound| &bound.lease)
    }

    /// Looks at a frame from the link; `true` if it was for this client and need not go to the host.
    pub fn handle_input(&mut self, now: Instant, frame: &[u8]) -> bool {
        if let Some((station, address)) = arp::sender(frame) {
            self.heard_of(now, station, address);
            return true;
        }
        let Some(received) = frame::parse(frame, self.mac) else {
            return false;
        };
        let State::Asking {
            question,
            transaction,
        } = self.state
        else {
            return true;
        };
        if let Some(reply) = message::parse(received.message, transaction.xid, self.mac) {
            self.answered(now, question, transaction, reply, received.from);
        }
        true
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self
            .bound
            .as_ref()
            .and_then(Bound::ends)
            .is_some_and(|end| end <= now)
        {
            self.lose(now, Loss::Expired);
            return;
        }
        match self.state {
            State::Pausing { until } if until <= now => self.ask(Question::Discover, now),
            State::Probing { until, .. } if until <= now => self.probe_again(now),
            State::Asking {
                question,
                transaction,
            } if transaction.again <= now => {
                self.unanswered(now, question, transaction);
            }
            State::Bound
                if self
                    .bound
                    .as_ref()
                    .and_then(Bound::renews)
                    .is_some_and(|at| at <= now) =>
            {
                self.ask(Question::Renew, now);
            }
            _ => {}
        }
    }

    /// When [`Client::handle_timeout`] should be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Idle => None,
            State::Pausing { until } | State::Probing { until, .. } => Some(*until),
            State::Asking { transaction, .. } => Some(transaction.again),
            State::Bound => self.bound.as_ref().and_then(Bound::renews),
        };
        let end = self.bound.as_ref().and_then(Bound::ends);
        next.into_iter().chain(end).min()
    }

    /// The next Ethernet frame for the link.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Starts a question with a fresh transaction number.
    fn ask(&mut self, question: Question, now: Instant) {
        let transaction = Transaction {
            xid: self.rng.random(),
            began: now,
            sent: now,
            again: now,
            count: 0,
        };
        self.repeat(question, transaction, now);
    }

    /// Sends a question, perhaps not for the first time.
    fn repeat(&mut self, question: Question, mut transaction: Transaction, now: Instant) {
        let secs = (now - transaction.began).as_secs().min(u64::from(u16::MAX)) as u16;
        let bound = self.bound.clone();
        let kept = bound.as_ref().map(|bound| bound.lease.address);
        let ask = match (question, kept) {
            (Question::Request { address, server }, _) => Ask::Request { address, server },
            (Question::Reboot, Some(address)) => Ask::Reboot { address },
            (Question::Renew | Question::Rebind, Some(address)) => Ask::Renew { address },
            (_, wish) => Ask::Discover { wish },
        };
        let directly = if question == Question::Renew {
            bound.as_ref()
        } else {
            None
        };
        self.send(ask, transaction.xid, secs, directly);
        transaction.sent = now;
        transaction.again = now + self.wait(question, transaction.count, now);
        transaction.count += 1;
        self.state = State::Asking {
            question,
            transaction,
        };
    }

    /// How long to wait for an answer.
    fn wait(&mut self, question: Question, count: u32, now: Instant) -> Duration {
        let until = |at: Option<Instant>| at.map_or(LAST_WAIT, |at| at.saturating_duration_since(now));
        match (question, &self.bound) {
            // Half of what is left until the next stage, but not too often.
            (Question::Renew, Some(bound)) => pause(until(bound.rebinds())),
            (Question::Rebind, Some(bound)) => pause(until(bound.ends())),
            _ => {
                let wait = FIRST_WAIT.saturating_mul(1 << count.min(8)).min(LAST_WAIT);
                wait - Duration::from_secs(1) + Duration::from_millis(self.rng.random_range(0..2000))
            }
        }
    }

    /// A question got no answer in time.
    fn unanswered(&mut self, now: Instant, question: Question, transaction: Transaction) {
        let rebinds = self.bound.as_ref().and_then(Bound::rebinds);
        match question {
            Question::Request { .. } if transaction.count >= REQUESTS => self.ask(Question::Discover, now),
            // A client that hears nothing may use its lease to the end (RFC 2131 section 3.2).
            Question::Reboot if transaction.count >= CONFIRMATIONS => self.state = State::Bound,
            Question::Renew if rebinds.is_some_and(|at| at <= now) => self.ask(Question::Rebind, now),
            question => {
                if question == Question::Discover && transaction.count == 2 {
                    self.events.push_back(Event::NoAnswer);
                }
                self.repeat(question, transaction, now);
            }
        }
    }

    /// A question was answered.
    fn answered(
        &mut self,
        now: Instant,
        question: Question,
        transaction: Transaction,
        reply: Reply,
        from: [u8; 6],
    ) {
        match (question, reply) {
            (Question::Discover, Reply::Offer(offer)) => {
                let request = Question::Request {
                    address: offer.address,
                    server: offer.server,
                };
                // The same transaction goes on, and so does the count of seconds (RFC 2131 section 4.4.1).
                self.repeat(
                    request,
                    Transaction {
                        count: 0,
                        ..transaction
                    },
                    now,
                );
            }
            (Question::Discover, _) | (_, Reply::Offer(_)) => {}
            (Question::Request { server, .. }, Reply::Ack(lease)) if lease.server != server => {}
            (question, Reply::Ack(lease)) => {
                let bound = Bound {
                    lease,
                    since: transaction.sent,
                    server_mac: from,
                };
                if matches!(question, Question::Request { .. }) {
                    self.probe(bound, 0, now);
                } else {
                    self.bind(bound);
                }
            }
            (Question::Request { .. }, Reply::Nak(_)) => {
                self.state = State::Pausing {
                    until: now + AFTER_NAK,
                };
            }
            (_, Reply::Nak(reason)) => self.lose(now, Loss::Refused(reason)),
        }
    }

    /// Asks the link whether somebody has the candidate's address.
    fn probe(&mut self, candidate: Bound, count: u32, now: Instant) {
        self.output
            .push_back(arp::probe(self.mac, candidate.lease.address));
        self.state = State::Probing {
            candidate: Box::new(candidate),
            count: count + 1,
            until: now + PROBE_WAIT,
        };
    }

    /// Nobody has said that the address is theirs.
    fn probe_again(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Probing { candidate, count, .. } if count < PROBES => self.probe(*candidate, count, now),
            State::Probing { candidate, .. } => self.bind(*candidate),
            other => self.state = other,
        }
    }

    /// A station said that it has an address.
    fn heard_of(&mut self, now: Instant, station: [u8; 6], address: Ipv4Addr) {
        let State::Probing { candidate, .. } = &self.state else {
            return;
        };
        if candidate.lease.address != address || station == self.mac {
            return;
        }
        let ask = Ask::Decline {
            address,
            server: candidate.lease.server,
        };
        let xid = self.rng.random();
        self.send(ask, xid, 0, None);
        self.events.push_back(Event::Taken(address, station));
        let pause = AFTER_DECLINE
            .saturating_mul(1 << self.declined.min(8))
            .min(LAST_DECLINE);
        self.declined += 1;
        self.state = State::Pausing { until: now + pause };
    }

    fn bind(&mut self, bound: Bound) {
        self.declined = 0;
        let same = self
            .bound
            .as_ref()
            .is_some_and(|before| before.lease == bound.lease);
        let event = if same {
            Event::Renewed
        } else {
            Event::Leased(Box::new(bound.lease.clone()))
        };
        self.events.push_back(event);
        self.bound = Some(bound);
        self.state = State::Bound;
    }

    /// The address is gone; asks for another.
    fn lose(&mut self, now: Instant, loss: Loss) {
        self.bound = None;
        let refused = matches!(loss, Loss::Refused(_));
        self.events.push_back(Event::Lost(loss));
        match self.state {
            State::Idle => {}
            _ if refused => {
                self.state = State::Pausing {
                    until: now + AFTER_NAK,
                }
            }
            _ => self.ask(Question::Discover, now),
        }
    }

    /// Sends to the server of a lease directly, or to all.
    fn send(&mut self, ask: Ask, xid: u32, secs: u16, directly: Option<&Bound>) {
        let asker = Asker {
            mac: self.mac,
            host_name: self.host_name.as_deref(),
        };
        let message = message::build(ask, &asker, xid, secs);
        let own = match ask {
            Ask::Renew { address } | Ask::Release { address, .. } => address,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let to = match directly {
            Some(bound) => (bound.server_mac, bound.lease.server),
            None => (frame::BROADCAST, Ipv4Addr::BROADCAST),
        };
        self.output.push_back(frame::build((self.mac, own), to, &message));
    }
}

impl Bound {
    fn renews(&self) -> Option<Instant> {
        self.lease.term.map(|_| self.since + self.lease.renew)
    }

    fn rebinds(&self) -> Option<Instant> {
        self.lease.term.map(|_| self.since + self.lease.rebind)
    }

    fn ends(&self) -> Option<Instant> {
        self.lease.term.map(|term| self.since + term)
    }
}

/// Half of the time left, at least [`RENEW_PAUSE`], at most all of it; never nothing.
fn pause(left: Duration) -> Duration {
    (left / 2).max(RENEW_PAUSE).min(left).max(Duration::from_secs(1))
}
