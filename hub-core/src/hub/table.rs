//! A table of addresses, each behind a port, that forgets what it has not seen for a while.
//!
//! The MAC and the IP table are two of these. What a frame costs does not depend on how much the table holds: an address that
//! is where it was is one look-up and one store; news, and what expires or leaves with its port, is found by its time and by its
//! port, and nobody walks the table while frames wait. Memory is bounded by the limits. When they are reached,
//! news is refused rather than something old evicted: whoever floods a hub with addresses hurts himself and
//! not those who were there first.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::mem;
use std::time::{Duration, Instant};

use super::port::PortId;
use crate::hash::SeededState;

/// Entries that are looked at in one go when they may have expired.
const SWEEP: usize = 64;

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
    /// What is behind each port, by slot. Expired entries count until they are swept.
    ports: Vec<Behind<K>>,
    /// Every entry, by the time at which it is looked at next and its key.
    due: BTreeMap<(Instant, u32), K>,
    next_key: u32,
}

/// The addresses behind one port.
#[derive(Debug)]
struct Behind<K> {
    /// In no order; each entry knows its place.
    addresses: Vec<K>,
    of_class: [u32; CLASSES],
}

#[derive(Debug)]
pub(super) struct Entry<S> {
    /// A number for administrators to point at the entry with.
    pub(super) key: u32,
    pub(super) port: PortId,
    /// Where it is among the addresses behind its port.
    place: u32,
    pub(super) created: Instant,
    pub(super) updated: Instant,
    /// When it expires, unless it has been seen meanwhile; then it is looked at once more.
    due: Instant,
    pub(super) station: S,
}

impl<S: Station> Entry<S> {
    fn is_live(&self, now: Instant) -> bool {
        self.silence(now) < self.station.lifetime()
    }

    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.updated)
    }

    fn expiry(&self) -> Instant {
        self.updated + self.station.lifetime()
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
            ports: Vec::new(),
            due: BTreeMap::new(),
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
                // A lease that somebody else uses is none, and is remembered for less.
                if entry.expiry() < entry.due {
                    self.due.remove(&(entry.due, entry.key));
                    entry.due = entry.expiry();
                    self.due.insert((entry.due, entry.key), address);
                }
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
        while let Err(refused) = fits(self) {
            if !self.sweep(now) {
                return Err(refused);
            }
        }
        self.remove(address);
        self.insert(now, address, station, port);
        Ok(())
    }

    fn insert(&mut self, now: Instant, address: K, station: S, port: PortId) {
        if self.ports.len() <= port.slot() {
            self.ports.resize_with(port.slot() + 1, Behind::default);
        }
        let key = self.next_key;
        self.next_key = key.checked_add(1).unwrap_or(1);
        let due = now + station.lifetime();
        self.due.insert((due, key), address);
        let place = self.ports[port.slot()].add(address);
        self.entries.insert(
            address,
            Entry {
                key,
                port,
                place,
                created: now,
                updated: now,
                due,
                station,
            },
        );
    }

    /// Forgets `address`; whether it was there.
    pub(super) fn remove(&mut self, address: K) -> bool {
        let Some(entry) = self.entries.remove(&address) else {
            return false;
        };
        self.due.remove(&(entry.due, entry.key));
        let moved = self.ports[entry.port.slot()].remove(address, entry.place);
        if let Some(moved) = moved.and_then(|moved| self.entries.get_mut(&moved)) {
            moved.place = entry.place;
        }
        true
    }

    /// Forgets everything behind `port`.
    pub(super) fn forget_port(&mut self, port: PortId) {
        let behind = self.ports.get_mut(port.slot()).map(mem::take);
        for address in behind.unwrap_or_default().addresses {
            if let Some(entry) = self.entries.remove(&address) {
                self.due.remove(&(entry.due, entry.key));
            }
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.due.clear();
        self.ports.clear();
    }

    /// How many there are that have not expired.
    pub(super) fn count(&mut self, now: Instant) -> usize {
        while self.sweep(now) {}
        self.entries.len()
    }

    /// The entries behind `port` that have not expired, in no order.
    pub(super) fn behind(&self, now: Instant, port: PortId) -> impl Iterator<Item = &Entry<S>> {
        let addresses = self
            .ports
            .get(port.slot())
            .map_or(&[][..], |behind| &behind.addresses);
        addresses
            .iter()
            .filter_map(move |address| self.get(now, *address))
            .filter(move |entry| entry.port == port)
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
        self.due.first_key_value().map(|((due, _), _)| *due)
    }

    /// Gives back the memory of some expired entries. They count toward the limits until then.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..SWEEP {
            if !self.sweep(now) {
                return;
            }
        }
    }

    /// Looks at the entry that is due first, and forgets it if it has expired. Whether there was one: an entry that is seen all
    /// the time is looked at once in its lifetime.
    fn sweep(&mut self, now: Instant) -> bool {
        let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) else {
            return false;
        };
        let address = first.remove();
        match self.entries.get_mut(&address) {
            Some(entry) if entry.is_live(now) => {
                entry.due = entry.expiry();
                self.due.insert((entry.due, entry.key), address);
            }
            _ => {
                self.remove(address);
            }
        }
        true
    }

    fn port_entries(&self, port: PortId, class: usize) -> u32 {
        self.ports
            .get(port.slot())
            .map_or(0, |behind| behind.of_class[class])
    }
}

impl<K> Default for Behind<K> {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            of_class: [0; CLASSES],
        }
    }
}

impl<K: Address> Behind<K> {
    /// Adds an address; its place.
    fn add(&mut self, address: K) -> u32 {
        self.of_class[address.class()] += 1;
        self.addresses.push(address);
        (self.addresses.len() - 1) as u32
    }

    /// Takes the address at `place` out; the one that is at that place now, if another one is.
    fn remove(&mut self, address: K, place: u32) -> Option<K> {
        self.of_class[address.class()] -= 1;
        self.addresses.swap_remove(place as usize);
        if self.addresses.is_empty() {
            // Ten thousand ports that once had a station behind them.
            self.addresses = Vec::new();
        }
        self.addresses.get(place as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::super::port::{PortConfig, PortKind, Ports};
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Number(u64);

    impl Hash for Number {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u64(self.0);
        }
    }

    impl Address for Number {}

    #[derive(Debug)]
    struct Minute;

    const MINUTE: Duration = Duration::from_secs(60);

    impl Station for Minute {
        fn lifetime(&self) -> Duration {
            MINUTE
        }

        fn refresh(&mut self, _: Self) {}
    }

    fn table() -> Table<Number, Minute> {
        Table::new(1 << 20, 7)
    }

    fn ports<const N: usize>(now: Instant) -> [PortId; N] {
        let mut ports = Ports::default();
        [(); N].map(|()| ports.insert(now, PortConfig::new(PortKind::Session, "a port")))
    }

    fn see(table: &mut Table<Number, Minute>, now: Instant, number: u64, port: PortId) {
        let sighting = Sighting {
            port,
            limit: u32::MAX,
            take_over_after: None,
        };
        table.see(now, Number(number), Minute, sighting).unwrap();
    }

    /// Everything that is written down twice agrees.
    fn audit(table: &Table<Number, Minute>) {
        assert_eq!(table.due.len(), table.entries.len());
        let behind: usize = table.ports.iter().map(|behind| behind.addresses.len()).sum();
        assert_eq!(behind, table.entries.len());
        for (address, entry) in &table.entries {
            assert_eq!(table.due.get(&(entry.due, entry.key)), Some(address));
            let behind = &table.ports[entry.port.slot()];
            assert_eq!(behind.addresses.get(entry.place as usize), Some(address));
            assert_eq!(behind.of_class[0] as usize, behind.addresses.len());
            assert!(entry.due <= entry.expiry());
        }
    }

    #[test]
    fn what_expires_at_once_is_given_back_a_bounded_part_at_a_time() {
        let (mut table, now) = (table(), Instant::now());
        let [port] = ports(now);
        (0..1000).for_each(|number| see(&mut table, now, number, port));
        let later = now + MINUTE;
        assert_eq!(table.iter(later).count(), 0, "none of them is believed");
        let mut held = table.entries.len();
        while table.poll_timeout().is_some() {
            table.handle_timeout(later);
            let before = std::mem::replace(&mut held, table.entries.len());
            assert!(held < before && before - held <= SWEEP, "{before} to {held}");
        }
        assert_eq!(held, 0);
        audit(&table);
    }

    #[test]
    fn what_is_seen_all_the_time_is_looked_at_once_in_its_lifetime() {
        let (mut table, begun) = (table(), Instant::now());
        let [port] = ports(begun);
        let mut looks = 0;
        for second in 0..600 {
            let now = begun + Duration::from_secs(second);
            (0..10).for_each(|number| see(&mut table, now, number, port));
            while table.sweep(now) {
                looks += 1;
            }
        }
        assert!(looks <= 10 * 10, "{looks} looks");
        assert_eq!(table.count(begun + Duration::from_secs(600)), 10);
    }

    #[test]
    fn a_port_that_goes_takes_its_own_addresses_only() {
        let (mut table, now) = (table(), Instant::now());
        let [one, other] = ports(now);
        for number in 0..100 {
            see(&mut table, now, number, if number % 3 == 0 { one } else { other });
        }
        // Some of them move, some are forgotten by hand.
        (0..30).for_each(|number| see(&mut table, now, number, other));
        (40..60).for_each(|number| assert!(table.remove(Number(number))));
        audit(&table);
        let stay = table.behind(now, other).count();
        table.forget_port(one);
        audit(&table);
        assert_eq!(table.behind(now, one).count(), 0);
        assert_eq!((table.behind(now, other).count(), table.count(now)), (stay, stay));
    }
}
