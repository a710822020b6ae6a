//! What rules have carried, as the kernel's maps and user NAT count it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::book::is_flow;

/// What a rule has carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounter {
    /// Connections begun. The kernel's table counts the first packets of them, user NAT what it opens.
    pub connections: u64,
    /// Packets of these connections in both directions. User NAT, which has streams and no packets, counts datagrams
    /// and pieces of streams.
    pub packets: u64,
    /// Their bytes: IP packets in the kernel, payload in user NAT.
    pub bytes: u64,
    /// Bytes of the first packets, which go on in the kernel's own counter.
    first: u64,
}

impl RuleCounter {
    /// Takes out what goes on in an element of a map.
    pub(super) fn take(&mut self, flow: bool) -> Option<(u64, u64)> {
        let (packets, bytes) = if flow {
            (&mut self.packets, &mut self.bytes)
        } else {
            (&mut self.connections, &mut self.first)
        };
        let taken = (std::mem::take(packets), std::mem::take(bytes));
        (taken.0 != 0).then_some(taken)
    }

    /// Adds what another place has counted.
    pub(super) fn add(&mut self, other: RuleCounter) {
        self.connections += other.connections;
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.first += other.first;
    }
}

/// Reads the counters out of `nft -j list table`, by the comments of elements.
pub(super) fn from_listing(listing: &Value) -> HashMap<String, RuleCounter> {
    let mut counters: HashMap<String, RuleCounter> = HashMap::new();
    let objects = listing["nftables"].as_array().into_iter().flatten();
    for map in objects.map(|object| &object["map"]) {
        let flow = is_flow(map["name"].as_str().unwrap_or_default());
        for element in map["elem"].as_array().into_iter().flatten() {
            let element = &element[0]["elem"];
            let (Some(rule), counted) = (element["comment"].as_str(), &element["counter"]) else {
                continue;
            };
            let number = |key: &str| counted[key].as_u64().unwrap_or(0);
            let counter = match counters.get_mut(rule) {
                Some(counter) => counter,
                None => counters.entry(rule.to_owned()).or_default(),
            };
            counter.add(if flow {
                RuleCounter {
                    packets: number("packets"),
                    bytes: number("bytes"),
                    ..RuleCounter::default()
                }
            } else {
                RuleCounter {
                    connections: number("packets"),
                    first: number("bytes"),
                    ..RuleCounter::default()
                }
            });
        }
    }
    counters
}

/// What user NAT has carried for one rule.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    connections: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    pub(super) fn opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a datagram or a piece of a stream, in either direction.
    pub(crate) fn carried(&self, bytes: usize) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> RuleCounter {
        RuleCounter {
            connections: self.connections.load(Ordering::Relaxed),
            packets: self.packets.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            first: 0,
        }
    }
}
