//! The hub against a switch so small that it is obviously right.

use std::collections::HashMap;
use std::time::Duration;

use hub_core::hub::VlanId;
use hub_core::{Frame, MacAddr, PortId, Verdict};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Lan, frame, mac, tagged};

/// What a port is to the reference: whether it monitors, and its VLAN (0: it sees all).
#[derive(Clone, Copy, Debug)]
struct Kind {
    monitor: bool,
    vlan: u16,
}

/// A learning switch: ports by number, and for each VLAN and address the port and second it last spoke on.
#[derive(Default)]
struct Reference {
    ports: Vec<Option<Kind>>,
    home: HashMap<(u16, MacAddr), (usize, u64)>,
}

impl Reference {
    fn forward(&mut self, now: u64, from: usize, source: MacAddr, to: MacAddr, tag: u16) -> Vec<usize> {
        let Some(sender) = self.ports[from] else {
            return vec![];
        };
        if sender.monitor || !source.is_unicast() || to == MacAddr::ZERO || (sender.vlan > 0 && tag > 0) {
            return vec![];
        }
        let vlan = sender.vlan.max(tag);
        self.home.insert((vlan, source), (from, now));
        let home = self
            .home
            .get(&(vlan, to))
            .filter(|(_, seen)| now - seen < 600)
            .map(|(port, _)| *port);
        let hears = |port: usize, kind: Kind| {
            port != from
                && (kind.vlan == 0 || kind.vlan == vlan)
                && home.is_none_or(|home| home != from && (port == home || kind.monitor))
        };
        (0..self.ports.len())
            .filter(|port| self.ports[*port].is_some_and(|kind| hears(*port, kind)))
            .collect()
    }

    fn detach(&mut self, port: usize) {
        self.ports[port] = None;
        self.home.retain(|_, (home, _)| *home != port);
    }
}

/// One hub beside its reference.
struct Pair {
    lan: Lan,
    reference: Reference,
    ids: Vec<PortId>,
    offered: u64,
    delivered: (u64, u64),
}

#[derive(Clone, Debug)]
enum Step {
    Attach(Kind),
    Detach(prop::sample::Index),
    Send {
        from: prop::sample::Index,
        source: MacAddr,
        to: MacAddr,
        tag: u16,
        len: usize,
    },
    Wait(u64),
    Sweep,
}

/// Few stations, so that they meet, move and talk to themselves.
fn address() -> impl Strategy<Value = MacAddr> {
    prop_oneof![
        12 => (1u32..6).prop_map(mac),
        2 => Just(MacAddr::BROADCAST),
        1 => Just(MacAddr::new([0x01, 0, 0x5e, 0, 0, 5])),
        1 => Just(MacAddr::ZERO),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = (prop::bool::weighted(0.2), prop_oneof![3 => Just(0), 1 => 1u16..3]);
    let tag = prop_oneof![5 => Just(0), 1 => 1u16..3];
    prop_oneof![
        2 => kind.prop_map(|(monitor, vlan)| Step::Attach(Kind { monitor, vlan })),
        1 => any::<prop::sample::Index>().prop_map(Step::Detach),
        20 => (any::<prop::sample::Index>(), address(), address(), tag, 0usize..64)
            .prop_map(|(from, source, to, tag, len)| Step::Send { from, source, to, tag, len }),
        2 => prop_oneof![0u64..30, 585u64..615].prop_map(Step::Wait),
        1 => Just(Step::Sweep),
    ]
}

impl Pair {
    fn new(seed: u64) -> Self {
        let lan = Lan::with_config(|config| config.seed = seed);
        let mut pair = Self {
            lan,
            reference: Reference::default(),
            ids: Vec::new(),
            offered: 0,
            delivered: (0, 0),
        };
        for _ in 0..3 {
            pair.apply(
                0,
                &Step::Attach(Kind {
                    monitor: false,
                    vlan: 0,
                }),
            );
        }
        pair
    }

    fn apply(&mut self, now: u64, step: &Step) {
        match step {
            Step::Attach(kind) => {
                self.reference.ports.push(Some(*kind));
                self.ids.push(self.lan.port(|port| {
                    port.monitor = kind.monitor;
                    port.vlan = VlanId::new(kind.vlan);
                }));
            }
            Step::Detach(port) => {
                let port = port.index(self.ids.len());
                self.reference.detach(port);
                self.lan.hub.detach(self.ids[port]);
            }
            Step::Send {
                from,
                source,
                to,
                tag,
                len,
            } => {
                let from = from.index(self.ids.len());
                let expected = self.reference.forward(now, from, *source, *to, *tag);
                self.check(from, &expected, *source, *to, *tag, *len);
            }
            Step::Wait(seconds) => self.lan.now += Duration::from_secs(*seconds),
            Step::Sweep => self.lan.hub.handle_timeout(self.lan.now),
        }
    }

    /// Sends a frame through the hub: it must reach the `expected` ports, each once, in the shape that the
    /// port wants.
    fn check(&mut self, from: usize, expected: &[usize], source: MacAddr, to: MacAddr, tag: u16, len: usize) {
        let body = vec![0xaa; len];
        let shape = |vlan| match vlan {
            0 => frame(source, to, &body),
            vlan => tagged(source, to, vlan, &body),
        };
        let vlan = self.reference.ports[from].map_or(0, |sender| sender.vlan.max(tag));
        let (verdict, mut got) = self.lan.forward(self.ids[from], &shape(tag));
        let mut wanted: Vec<(PortId, Frame)> = expected
            .iter()
            .map(|port| {
                let inside = self.reference.ports[*port].is_some_and(|kind| kind.vlan > 0);
                (
                    self.ids[*port],
                    if inside {
                        frame(source, to, &body)
                    } else {
                        shape(vlan)
                    },
                )
            })
            .collect();
        got.sort_by_key(|(port, _)| *port);
        wanted.sort_by_key(|(port, _)| *port);
        assert_eq!(got, wanted);
        assert!(
            got.iter().all(|(port, _)| *port != self.ids[from]),
            "nothing goes back to the sender"
        );
        match verdict {
            Verdict::Flood(reached) => assert_eq!(reached as usize, got.len()),
            Verdict::Unicast(port) => assert!(got.iter().any(|(to, _)| *to == port)),
            Verdict::Dropped(_) => assert!(got.is_empty()),
        }
        self.offered += 1;
        self.delivered.0 += got.len() as u64;
        self.delivered.1 += got.iter().map(|(_, frame)| frame.len() as u64).sum::<u64>();
    }

    /// No frame is lost from the books.
    fn audit(&self) {
        let counters = self.lan.hub.counters();
        assert_eq!(
            counters.received.frames() + counters.dropped.total(),
            self.offered
        );
        assert_eq!((counters.sent.frames(), counters.sent.bytes()), self.delivered);
        for row in self.lan.mac_table() {
            assert!(self.lan.hub.port(row.port).is_some(), "no row outlives its port");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two hubs with the same stations: each does what its own reference does, so nothing crosses.
    #[test]
    fn two_hubs_deliver_what_two_reference_switches_do(
        seed: u64,
        steps in vec((any::<bool>(), step()), 1..24),
    ) {
        let mut pairs = [Pair::new(seed), Pair::new(!seed)];
        let mut now = 0;
        for (second, step) in &steps {
            if let Step::Wait(seconds) = step {
                now += seconds;
                pairs.iter_mut().for_each(|pair| pair.apply(now, step));
            } else {
                pairs[usize::from(*second)].apply(now, step);
            }
        }
        pairs.iter().for_each(Pair::audit);
    }
}
