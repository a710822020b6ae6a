//! A table of addresses, each behind a port, that forgets what it has not seen for a while.
//!
//! The MAC and the IP table are two of these. Every operation a frame causes takes constant time; the sweep
//! that gives memory back runs at most once a second. Memory is bounded by the limits. When they are reached,
//! news is refused rather than something old evicted: whoever floods a hub with addresses hurts himself and
//! not those who were there first.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::port::PortId;
use crate::hash::SeededState;

/// Sweeps are at least this far apart.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// An address that a table can hold.
pub(super) trait Address: Copy + Eq + Hash {
    /// Which of the [`CLASSES`] it belongs to: a port's limit is for each of them.
    fn class(&self) -> usize {
        0
    }
}

/// Classes of addresses in one table.
const CLASSES: usize = 2;

/// What an address carries besides its port.
pub(super) trait Station {
    /// How long the address is remembered without being seen.
    fn lifetime(&self) -> Duration;
    /// Takes over what `news`, seen on the same port, says.
    fn refresh(&mut self, news: Self);
}

#[derive(Debug)]
pub(super) struct Table<K, S> {
    entries: HashMap<K, Entry<S>, SeededState>,
    limit: usize,
    /// Entries of each port, by slot and class. Expired ones count until they are swept.
    per_port: Vec<[u32; CLASSES]>,
    /// No entry expires before this. Entries that are seen again expire later, so it may be too early.
    next_expiry: Option<Instant>,
    swept: Option<Instant>,
    next_key: u32,
}

#[derive(Debug)]
pub(super) struct Entry<S> {
    /// A number for administrators to point at the entry with.
    pub(super) key: u32,
    pub(super) port: PortId,
    pub(super) created: Instant,
    pub(super) updated: Instant,
    pub(super) station: S,
}

impl<S: Station> Entry<S> {
    fn is_live(&self, now: Instant) -> bool {
        self.silence(now) < self.station.lifetime()
    }

    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.updated)
    }
}

/// Why an address was not learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another port has it and was heard of too recently.
    InUse,
    /// The port has as many as it may.
    PortLimit,
    /// The table is full.
    Full,
}

/// The port an address is seen on, and what applies there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sighting {
    pub(super) port: PortId,
    /// Addresses of this class that the port may have.
    pub(super) limit: u32,
    /// An address of another port can be had only after this much silence; unset, at once.
    pub(super) take_over_after: Option<Duration>,
}

impl<K: Address, S: Station> Table<K, S> {
    pub(super) fn new(limit: usize, seed: u64) -> Self {
        Self {
            entries: HashMap::with_hasher(SeededState::new(seed)),
            limit,
            per_port: Vec::new(),
            next_expiry: None,
            swept: None,
            next_key: 1,
        }
    }

    /// Learns no more than `limit` from now on.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The entry of `address`, unless it has expired.
    #[inline]
    pub(super) fn get(&self, now: Instant, address: K) -> Option<&Entry<S>> {
        self.entries.get(&address).filter(|entry| entry.is_live(now))
    }

    /// Notes that `address` was seen. For an address that is where it was this is one look-up and one store.
    #[inline]
    pub(super) fn see(
        &mut self,
        now: Instant,
        address: K,
        station: S,
        sighting: Sighting,
    ) -> Result<(), Refused> {
        match self.entries.get_mut(&address) {
            Some(entry) if entry.port == sighting.port && entry.is_live(now) => {
                entry.updated = now;
                entry.station.refresh(station);
                Ok(())
            }
            _ => self.learn(now, address, station, sighting),
        }
    }

    /// A new address, or one that another port had.
    #[cold]
    fn learn(&mut self, now: Instant, address: K, station: S, sighting: Sighting) -> Result<(), Refused> {
        let Sighting {
            port,
            limit,
            take_over_after,
        } = sighting;
        if let Some(owner) = self.get(now, address) {
            if take_over_after.is_some_and(|needed| owner.silence(now) < needed) {
                return Err(Refused::InUse);
            }
        } else {
            self.remove(address);
        }
        let moves = self.entries.contains_key(&address);
        let fits = |table: &Self| {
            if table.port_entries(port, address.class()) >= limit {
                Err(Refused::PortLimit)
            } else if !moves && table.entries.len() >= table.limit {
                Err(Refused::Full)
            } else {
                Ok(())
            }
        };
        fits(self).or_else(|_| {
            self.handle_timeout(now);
            fits(self)
        })?;
        self.remove(address);
        self.insert(now, address, station, port);
        Ok(())
    }

    fn insert(&mut self, now: Instant, address: K, station: S, port: PortId) {
        let expiry = now + station.lifetime();
        self.next_expiry = Some(self.next_expiry.map_or(expiry, |earliest| earliest.min(expiry)));
        if self.per_port.len() <= port.slot() {
            self.per_port.resize(port.slot() + 1, [0; CLASSES]);
        }
        self.per_port[port.slot()][address.class()] += 1;
        let key = self.next_key;
        self.next_key = key.checked_add(1).unwrap_or(1);
        self.entries.insert(
            address,
            Entry {
                key,
                port,
                created: now,
                updated: now,
                station,
            },
        );
    }

    /// Forgets `address`; whether it was there.
    pub(super) fn remove(&mut self, address: K) -> bool {
        let Some(entry) = self.entries.remove(&address) else {
            return false;
        };
        self.per_port[entry.port.slot()][address.class()] -= 1;
        true
    }

    /// Forgets everything behind `port`.
    pub(super) fn forget_port(&mut self, port: PortId) {
        if (0..CLASSES).any(|class| self.port_entries(port, class) > 0) {
            self.entries.retain(|_, entry| entry.port != port);
            self.per_port[port.slot()] = [0; CLASSES];
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.per_port.fill([0; CLASSES]);
        self.next_expiry = None;
    }

    /// The entries that have not expired, in no order.
    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = (K, &Entry<S>)> {
        self.entries
            .iter()
            .map(|(address, entry)| (*address, entry))
            .filter(move |(_, entry)| entry.is_live(now))
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.next_expiry?;
        Some(
            self.swept
                .map_or(expiry, |swept| expiry.max(swept + SWEEP_INTERVAL)),
        )
    }

    /// Gives back the memory of expired entries. They count toward the limits until then.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        let mut next_expiry: Option<Instant> = None;
        self.entries.retain(|address, entry| {
            if !entry.is_live(now) {
                self.per_port[entry.port.slot()][address.class()] -= 1;
                return false;
            }
            let expiry = entry.updated + entry.station.lifetime();
            next_expiry = Some(next_expiry.map_or(expiry, |earliest| earliest.min(expiry)));
            true
        });
        self.next_expiry = next_expiry;
        self.swept = Some(now);
    }

    fn port_entries(&self, port: PortId, class: usize) -> u32 {
        self.per_port.get(port.slot()).map_or(0, |classes| classes[class])
    }
}
