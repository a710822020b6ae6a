//! The access list at work: which rule decides about a frame, remembered by flow.

use std::hash::BuildHasher;

use super::PortKind;
use super::port::{PortId, PortState};
use crate::access::{AccessList, Action, Identity, Subject};
use crate::frame::{FrameView, Network, Transport};
use crate::hash::SeededState;

/// Flows whose rule is remembered. Two flows in one place take turns; the next frame of the first searches again.
const PLACES: usize = 8192;

/// A hub's access list, and the rules found for recent flows.
#[derive(Debug)]
pub(super) struct Access {
    list: AccessList,
    arp_as_ipv4: bool,
    hasher: SeededState,
    /// Empty until the list has rules.
    found: Vec<Option<Found>>,
}

/// The rule that decides about the frames of a flow, if any does.
#[derive(Clone, Copy, Debug)]
struct Found {
    flow: Flow,
    rule: Option<u32>,
}

/// Everything about a frame that rules look at, in words: two frames of the same flow have the same rule.
type Flow = [u64; 9];

impl Access {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            list: AccessList::default(),
            arp_as_ipv4: false,
            hasher: SeededState::new(seed),
            found: Vec::new(),
        }
    }

    /// Puts `list` in force, and forgets what was found in the one before.
    pub(super) fn set_list(&mut self, list: AccessList) {
        let places = if list.is_empty() { 0 } else { PLACES };
        self.found = vec![None; places];
        self.list = list;
    }

    /// Whether ARP is matched with rules about IPv4.
    pub(super) fn set_arp_as_ipv4(&mut self, on: bool) {
        if self.arp_as_ipv4 != on {
            self.arp_as_ipv4 = on;
            self.found.fill(None);
        }
    }

    /// Whether some rules are about receivers.
    pub(super) fn asks_for_receivers(&self) -> bool {
        self.list.asks_for_receivers()
    }

    /// What the rules say about a frame from `sender` before its receiver is known; nothing if none matches.
    pub(super) fn judge(
        &mut self,
        sender: &PortState,
        view: &FrameView,
        transport: Transport,
    ) -> Option<&Action> {
        if self.list.is_empty() || !self.is_subject(view) {
            return None;
        }
        let subject = self.subject(sender, view, transport);
        let rule = self.find(&subject, sender.id, None)?;
        self.list.action(rule)
    }

    /// What the rules say about handing the frame to `receiver`, where [`judge`](Self::judge) said nothing.
    pub(super) fn judge_for(
        &mut self,
        sender: &PortState,
        view: &FrameView,
        transport: Transport,
        receiver: &PortState,
    ) -> Option<&Action> {
        if !self.is_subject(view) {
            return None;
        }
        let subject = self.subject(sender, view, transport);
        let rule = self.find(&subject, sender.id, Some(receiver))?;
        self.list.action(rule)
    }

    /// Whether rules are about such frames: no rule is about ARP unless it is matched as IPv4 (policies §4).
    fn is_subject(&self, view: &FrameView) -> bool {
        self.arp_as_ipv4 || !matches!(view.network, Network::Arp(_))
    }

    fn subject<'a>(&self, sender: &'a PortState, view: &'a FrameView, transport: Transport) -> Subject<'a> {
        Subject {
            view,
            transport,
            source: identity(sender),
        }
    }

    fn find(&mut self, subject: &Subject<'_>, sender: PortId, receiver: Option<&PortState>) -> Option<u32> {
        let flow = flow(subject, sender, receiver.map(|port| port.id));
        let place = self.hasher.hash_one(flow) as usize % PLACES;
        let known = self.found.get(place).copied().flatten();
        if let Some(found) = known.filter(|found| found.flow == flow) {
            return found.rule;
        }
        let rule = match receiver {
            None => self.list.find(subject),
            Some(receiver) => self.list.find_for(subject, identity(receiver)),
        };
        if let Some(place) = self.found.get_mut(place) {
            *place = Some(Found { flow, rule });
        }
        rule
    }
}

/// Who is behind a port.
fn identity(port: &PortState) -> Identity<'_> {
    Identity {
        user: port.config.user.as_deref(),
        group: port.config.group.as_deref(),
        internal: port.config.kind != PortKind::Session,
    }
}

fn flow(subject: &Subject<'_>, sender: PortId, receiver: Option<PortId>) -> Flow {
    let view = subject.view;
    let (version, protocol, source, destination): (u64, u8, u128, u128) = match &view.network {
        Network::Ipv4(ip) => (
            4,
            ip.protocol,
            ip.source.to_bits().into(),
            ip.destination.to_bits().into(),
        ),
        Network::Ipv6(ip) => (6, ip.protocol, ip.source.to_bits(), ip.destination.to_bits()),
        Network::Arp(arp) => (1, 0, arp.sender.to_bits().into(), arp.target.to_bits().into()),
        Network::Other => (0, 0, 0, 0),
    };
    let kind: u64 = match subject.transport {
        Transport::Tcp { flags, .. } if flags.is_first() => 1,
        Transport::Tcp { .. } => 2,
        Transport::Udp { .. } => 3,
        Transport::Icmpv6 { .. } | Transport::Other | Transport::Broken => 0,
    };
    let ports = subject.transport.ports().map_or(0, |ports| {
        u64::from(ports.source) << 16 | u64::from(ports.destination)
    });
    [
        sender.word(),
        receiver.map_or(u64::MAX, PortId::word),
        view.source.to_u64() | version << 48,
        view.destination.to_u64() | kind << 48,
        (source >> 64) as u64,
        source as u64,
        (destination >> 64) as u64,
        destination as u64,
        u64::from(protocol) << 32 | ports,
    ]
}
