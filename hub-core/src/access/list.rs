//! Rules made ready for matching.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::index::Index;
use super::rule::{Addresses, MAX_DELAY_MS, Masked, PortRange, Rule, TcpState};
use crate::MacAddr;
use crate::frame::{FrameView, Network, Transport};

/// The rules of a hub that count, in the order in which they are tried.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    rules: Vec<Compiled>,
    /// Where the rules begin that must know the receiver: the first one that names receiving users, and all after it, for
    /// the first rule that matches decides.
    for_receivers: usize,
    /// Those before it, and those from there on.
    index: [Index; 2],
}

/// What an `include:FILE` or `exclude:FILE` of a rule refers to.
pub type UserFile = HashSet<String>;

/// A rule without what people wrote into it.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) source: Party,
    pub(super) destination: Party,
    pub(super) source_mac: Option<Bits>,
    pub(super) destination_mac: Option<Bits>,
    pub(super) packet: Option<Packet>,
    action: Action,
}

/// What a rule does to a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Discard,
    Pass(Option<Arc<Treatment>>),
}

/// What happens to a frame that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Treatment {
    pub(crate) delay_ms: u32,
    pub(crate) jitter_percent: u32,
    pub(crate) loss_percent: u32,
    pub(crate) redirect_url: Option<String>,
}

/// Whose session a rule is about.
#[derive(Clone, Debug)]
pub(super) enum Party {
    Anybody,
    /// The user or group of this name, folded.
    Named(String),
    /// Users that a file lists (or does not list), folded. Never a part of the server itself.
    Listed {
        users: UserFile,
        listed: bool,
    },
}

/// A value under a mask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits {
    pub(super) value: u128,
    pub(super) mask: u128,
}

/// What a rule asks of an IP packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) v6: bool,
    pub(super) source: Bits,
    pub(super) destination: Bits,
    pub(super) protocol: Option<u32>,
    pub(super) ports: Option<[PortRange; 2]>,
    tcp_state: Option<TcpState>,
}

/// Who is behind a port, as far as rules ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) group: Option<&'a str>,
    /// Whether it is a part of the server, such as SecureNAT.
    pub(crate) internal: bool,
}

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) view: &'a FrameView,
    pub(crate) transport: Transport,
    pub(crate) source: Identity<'a>,
}

impl AccessList {
    /// Sorts the active ones of `rules` and makes them ready. `read` gives the users in a file that a rule names, as it is
    /// written there; for a file that cannot be read, none.
    pub fn compile<'a>(
        rules: impl IntoIterator<Item = &'a Rule>,
        mut read: impl FnMut(&str) -> UserFile,
    ) -> Self {
        let mut active: Vec<&Rule> = rules.into_iter().filter(|rule| rule.active).collect();
        active.sort_by(|one, other| one.order(other));
        let rules: Vec<_> = active
            .into_iter()
            .map(|rule| Compiled::new(rule, &mut read))
            .collect();
        let for_receivers = rules
            .iter()
            .position(|rule| !matches!(rule.destination, Party::Anybody))
            .unwrap_or(rules.len());
        let (before, after) = rules.split_at(for_receivers);
        let index = [
            Index::of((0..).zip(before)),
            Index::of((for_receivers as u32..).zip(after)),
        ];
        Self {
            rules,
            for_receivers,
            index,
        }
    }

    /// Whether every frame passes.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many rules count.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether some rule must know the receiver.
    pub(crate) fn asks_for_receivers(&self) -> bool {
        self.for_receivers < self.rules.len()
    }

    /// The number of the rule that decides before the receiver is known.
    pub(crate) fn find(&self, subject: &Subject<'_>) -> Option<u32> {
        self.index[0].first(subject, None, |rule| self.matches(rule, subject, None))
    }

    /// The number of the rule that decides for one receiver, when [`find`](Self::find) has found none.
    pub(crate) fn find_for(&self, subject: &Subject<'_>, receiver: Identity<'_>) -> Option<u32> {
        let receiver = Some(receiver);
        self.index[1].first(subject, receiver, |rule| self.matches(rule, subject, receiver))
    }

    /// What the rule of this number does.
    pub(crate) fn action(&self, rule: u32) -> Option<&Action> {
        Some(&self.rules.get(rule as usize)?.action)
    }

    /// Whether the rule of this number matches.
    pub(super) fn matches(&self, rule: u32, subject: &Subject<'_>, receiver: Option<Identity<'_>>) -> bool {
        self.rules
            .get(rule as usize)
            .is_some_and(|rule| rule.matches(subject, receiver))
    }

    #[cfg(test)]
    pub(super) fn index_of_all(&self) -> Index {
        Index::of((0..).zip(&self.rules))
    }
}

impl Compiled {
    fn new(rule: &Rule, read: &mut dyn FnMut(&str) -> UserFile) -> Self {
        Self {
            source: Party::new(&rule.source_user, read),
            destination: Party::new(&rule.destination_user, read),
            source_mac: rule.source_mac.map(Bits::of_mac),
            destination_mac: rule.destination_mac.map(Bits::of_mac),
            packet: Packet::new(rule),
            action: Action::new(rule),
        }
    }

    fn matches(&self, subject: &Subject<'_>, receiver: Option<Identity<'_>>) -> bool {
        let mac = |bits: Option<Bits>, mac: MacAddr| bits.is_none_or(|bits| bits.hold(mac.to_u64().into()));
        mac(self.source_mac, subject.view.source)
            && mac(self.destination_mac, subject.view.destination)
            && self.packet.as_ref().is_none_or(|packet| packet.matches(subject))
            && self.source.is(Some(subject.source))
            && self.destination.is(receiver)
    }
}

impl Action {
    fn new(rule: &Rule) -> Self {
        if rule.discard {
            return Self::Discard;
        }
        let treatment = Treatment {
            delay_ms: rule.delay_ms.min(MAX_DELAY_MS),
            jitter_percent: rule.jitter_percent.min(100),
            loss_percent: rule.loss_percent.min(100),
            redirect_url: (!rule.redirect_url.is_empty()).then(|| rule.redirect_url.clone()),
        };
        let nothing = Treatment {
            delay_ms: 0,
            jitter_percent: treatment.jitter_percent,
            loss_percent: 0,
            redirect_url: None,
        };
        Self::Pass((treatment != nothing).then(|| Arc::new(treatment)))
    }
}

impl Party {
    fn new(text: &str, read: &mut dyn FnMut(&str) -> UserFile) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Anybody;
        }
        let after = |prefix: &str| {
            let head = text.get(..prefix.len())?;
            head.eq_ignore_ascii_case(prefix)
                .then(|| text[prefix.len()..].trim())
        };
        let (file, listed) = match (after("include:"), after("exclude:")) {
            (Some(file), _) => (file, true),
            (None, Some(file)) => (file, false),
            (None, None) => return Self::Named(text.to_ascii_lowercase()),
        };
        let users = read(file)
            .into_iter()
            .map(|user| user.trim().to_ascii_lowercase())
            .collect();
        Self::Listed { users, listed }
    }

    fn is(&self, who: Option<Identity<'_>>) -> bool {
        match (self, who) {
            (Self::Anybody, _) => true,
            (_, None) => false,
            (Self::Named(name), Some(who)) => [who.user, who.group]
                .into_iter()
                .flatten()
                .any(|own| own.eq_ignore_ascii_case(name)),
            (Self::Listed { users, listed }, Some(who)) => {
                !who.internal
                    && who
                        .user
                        .is_some_and(|user| users.contains(&user.to_ascii_lowercase()) == *listed)
            }
        }
    }
}

impl Bits {
    fn new(address: u128, mask: u128) -> Self {
        Self {
            value: address & mask,
            mask,
        }
    }

    fn of_mac(mac: Masked<MacAddr>) -> Self {
        Self::new(mac.address.to_u64().into(), mac.mask.to_u64().into())
    }

    fn hold(self, address: u128) -> bool {
        address & self.mask == self.value
    }
}

impl Packet {
    /// What a rule asks of packets; none if it asks for nothing.
    fn new(rule: &Rule) -> Option<Self> {
        let (v6, source, destination) = match rule.addresses {
            Addresses::V4 { source, destination } => {
                let bits =
                    |of: Masked<std::net::Ipv4Addr>| (of.address.to_bits().into(), of.mask.to_bits().into());
                (false, bits(source), bits(destination))
            }
            Addresses::V6 { source, destination } => {
                let bits = |of: Masked<std::net::Ipv6Addr>| (of.address.to_bits(), of.mask.to_bits());
                (true, bits(source), bits(destination))
            }
        };
        let any: (u128, u128) = (0, 0);
        let ports = [rule.source_ports, rule.destination_ports];
        let asks = source != any
            || destination != any
            || rule.protocol != 0
            || ports.iter().any(|range| !range.is_any())
            || rule.tcp_state.is_some();
        asks.then(|| Self {
            v6,
            source: Bits::new(source.0, source.1),
            destination: Bits::new(destination.0, destination.1),
            protocol: (rule.protocol != 0).then_some(rule.protocol),
            ports: ports.iter().any(|range| !range.is_any()).then_some(ports),
            tcp_state: rule.tcp_state,
        })
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        let (source, destination, protocol) = match &subject.view.network {
            Network::Ipv4(ip) => (ip.source.into(), ip.destination.into(), Some(ip.protocol)),
            Network::Ipv6(ip) => (ip.source.into(), ip.destination.into(), Some(ip.protocol)),
            Network::Arp(arp) => (IpAddr::V4(arp.sender), IpAddr::V4(arp.target), None),
            Network::Other => return false,
        };
        if source.is_ipv6() != self.v6 {
            return false;
        }
        self.source.hold(number(source))
            && self.destination.hold(number(destination))
            && self
                .protocol
                .is_none_or(|wanted| protocol.is_some_and(|protocol| u32::from(protocol) == wanted))
            && self.ports.is_none_or(|[source, destination]| {
                subject.transport.ports().is_some_and(|ports| {
                    source.contains(ports.source) && destination.contains(ports.destination)
                })
            })
            && self
                .tcp_state
                .is_none_or(|wanted| state(subject.transport) == Some(wanted))
    }
}

/// What a segment says about its connection: a first segment is one with SYN and without ACK.
fn state(transport: Transport) -> Option<TcpState> {
    let Transport::Tcp { flags, .. } = transport else {
        return None;
    };
    Some(if flags.is_first() {
        TcpState::Unestablished
    } else {
        TcpState::Established
    })
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
