//! Who has which address: the pool and the reserved addresses as a bounded table.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hub_core::MacAddr;

use super::client::{Client, ClientKey};
use super::kept::{KeptLease, LeaseChange, Moment};
use super::reservation::{Holder, Reservations};

/// How long an offered address waits for its client.
const OFFER: Duration = Duration::from_secs(30);
/// How long an address that somebody else was found to use is left alone.
const SET_ASIDE: Duration = Duration::from_secs(300);

/// Why an address is in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its lease ended; kept so that the same client gets it again.
    Idle,
    /// Offered, not yet taken.
    Offered,
    /// Leased.
    Bound,
    /// Somebody else uses it.
    SetAside,
}

/// The states that end by themselves.
const ENDING: [State; 3] = [State::Offered, State::Bound, State::SetAside];

/// One address and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) client: ClientKey,
    pub(crate) mac: MacAddr,
    pub(crate) user: Option<String>,
    pub(crate) host_name: String,
    pub(crate) state: State,
    /// When the state began; of an idle address, when its lease did.
    pub(crate) since: Instant,
    /// When the state ends; for an idle address, when it ended.
    pub(crate) until: Instant,
}

impl Binding {
    fn new(client: &Client, state: State, since: Instant, until: Instant) -> Self {
        Binding {
            client: client.key.clone(),
            mac: client.mac,
            user: client.user.clone(),
            host_name: client.host_name.clone(),
            state,
            since,
            until,
        }
    }
}

/// How the addresses of a pool are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolUse {
    /// Addresses that any client may get.
    pub addresses: u32,
    /// Of these, those that a new client can get now.
    pub available: u32,
    /// Leases in force, those of reserved addresses among them.
    pub leased: u32,
    /// Addresses left alone because somebody uses them without a lease.
    pub set_aside: u32,
    /// Addresses kept for one client each.
    pub reserved: u32,
}

/// Which addresses there are.
#[derive(Debug)]
struct Pool {
    first: Ipv4Addr,
    size: u32,
    /// Addresses between the first and the last that nobody gets from the pool: reserved ones, and those of servers.
    barred: HashSet<Ipv4Addr>,
}

impl Pool {
    fn has(&self, ip: Ipv4Addr) -> bool {
        let place = ip.to_bits().wrapping_sub(self.first.to_bits());
        place < self.size && !self.barred.contains(&ip)
    }
}

/// The table. It never holds more entries than there are addresses.
#[derive(Debug)]
pub(crate) struct Leases {
    bindings: HashMap<Ipv4Addr, Binding>,
    by_client: HashMap<ClientKey, Ipv4Addr>,
    /// The address that a user's station had last.
    by_user: HashMap<String, Ipv4Addr>,
    /// Addresses of the pool in no binding.
    free: BTreeSet<Ipv4Addr>,
    /// Per state, its bindings by the time they end.
    order: [BTreeSet<(Instant, Ipv4Addr)>; 4],
    pool: Pool,
    reserved: Reservations,
    /// Addresses whose lease is not kept as it is now.
    changed: BTreeSet<Ipv4Addr>,
}

impl Leases {
    /// A pool of `first` to `last` without what is `barred`, and beside it the reserved addresses, all of which are of use.
    pub(crate) fn new(
        first: Ipv4Addr,
        last: Ipv4Addr,
        barred: impl Fn(Ipv4Addr) -> bool,
        reserved: Reservations,
    ) -> Self {
        let size = last.to_bits().saturating_sub(first.to_bits()) + 1;
        let addresses = (0..size).map(|i| Ipv4Addr::from_bits(first.to_bits() + i));
        let not_given = |ip: &Ipv4Addr| barred(*ip) || reserved.holder(*ip).is_some();
        let (barred, free) = addresses.partition::<Vec<_>, _>(not_given);
        Leases {
            bindings: HashMap::new(),
            by_client: HashMap::new(),
            by_user: HashMap::new(),
            free: free.into_iter().collect(),
            order: Default::default(),
            pool: Pool {
                first,
                size,
                barred: barred.into_iter().collect(),
            },
            reserved,
            changed: BTreeSet::new(),
        }
    }

    /// Takes over the bindings of another table whose addresses are in this one.
    pub(crate) fn adopt(&mut self, other: Leases) {
        for (ip, binding) in other.bindings {
            if self.pool.has(ip) || self.reserved.holder(ip).is_some() {
                self.put(ip, binding);
            }
        }
        self.changed = other.changed;
    }

    /// Takes over what was kept. What is in the table already is newer.
    pub(crate) fn restore(&mut self, kept: Vec<KeptLease>, moment: Moment, term: Duration) {
        for lease in kept {
            let key = ClientKey::new(Some(&lease.client), lease.mac);
            let known = self.bindings.contains_key(&lease.ip) || self.by_client.contains_key(&key);
            let ours = self.pool.has(lease.ip) || self.reserved.holder(lease.ip).is_some();
            if known || !ours {
                continue;
            }
            let until = moment.end(lease.until, term);
            let client = Client {
                key,
                mac: lease.mac,
                user: lease.user,
                host_name: lease.host_name,
            };
            let state = if until > moment.now {
                State::Bound
            } else {
                State::Idle
            };
            let since = moment.beginning(lease.since).min(until);
            self.put(lease.ip, Binding::new(&client, state, since, until));
        }
    }

    /// The binding of an address.
    pub(crate) fn get(&self, ip: Ipv4Addr) -> Option<&Binding> {
        self.bindings.get(&ip)
    }

    /// The address a client has, had, or was offered.
    pub(crate) fn of_client(&self, client: &ClientKey) -> Option<Ipv4Addr> {
        self.by_client.get(client).copied()
    }

    /// The address that is kept for a client: its own, or else its user's.
    pub(crate) fn reserved_for(&self, client: &Client) -> Option<Ipv4Addr> {
        let user = || Some(Holder::User(client.user.clone()?));
        self.reserved
            .address(&Holder::Mac(client.mac))
            .or_else(|| self.reserved.address(&user()?))
    }

    /// Whether this client may have this address at all.
    fn is_for(&self, ip: Ipv4Addr, client: &Client) -> bool {
        match self.reserved.holder(ip) {
            Some(_) => self.reserved_for(client) == Some(ip),
            None => self.pool.has(ip),
        }
    }

    /// Whether `client` may have `ip` now: it is theirs, or free, or the former owner's lease has ended. A reserved address is
    /// its holder's as soon as the station that has it is gone, or is the same: a user comes back with another device, a
    /// machine with another identifier. `is_present` tells whether a station is on the link.
    pub(crate) fn available(
        &self,
        ip: Ipv4Addr,
        client: &Client,
        is_present: &dyn Fn(MacAddr) -> bool,
    ) -> bool {
        if !self.is_for(ip, client) {
            return false;
        }
        let Some(binding) = self.bindings.get(&ip) else {
            return true;
        };
        match binding.state {
            State::SetAside => false,
            State::Idle => true,
            State::Offered | State::Bound if binding.client == client.key => true,
            State::Offered | State::Bound => {
                let left = || binding.mac == client.mac || !is_present(binding.mac);
                self.reserved.holder(ip).is_some() && left()
            }
        }
    }

    /// Chooses an address for a client: the reserved one, the one it has or had, the one it wishes for, the one its user
    /// had before, a free one, and at last one that others only remember. `None` if every address is leased or set aside.
    pub(crate) fn choose(
        &self,
        client: &Client,
        wish: Option<Ipv4Addr>,
        is_present: &dyn Fn(MacAddr) -> bool,
    ) -> Option<Ipv4Addr> {
        let available = |ip: &Ipv4Addr| self.available(*ip, client, is_present);
        let of_user = || self.by_user.get(client.user.as_ref()?).copied();
        self.reserved_for(client)
            .filter(available)
            .or_else(|| self.of_client(&client.key).filter(available))
            .or_else(|| wish.filter(available))
            .or_else(|| of_user().filter(available))
            .or_else(|| self.next_free(&client.key))
            .or_else(|| self.oldest_unused())
    }

    fn next_free(&self, client: &ClientKey) -> Option<Ipv4Addr> {
        let start = Ipv4Addr::from_bits(self.pool.first.to_bits() + client.start() % self.pool.size);
        self.free
            .range(start..)
            .next()
            .or_else(|| self.free.first())
            .copied()
    }

    /// With the pool used up, an address that was only remembered goes first, then one that was only offered:
    /// a flood of discoveries can delay a client, but not lock the pool.
    fn oldest_unused(&self) -> Option<Ipv4Addr> {
        let oldest = |state: State| {
            let mut those = self.order[state as usize].iter();
            those.find(|(_, ip)| self.pool.has(*ip)).map(|(_, ip)| *ip)
        };
        oldest(State::Idle).or_else(|| oldest(State::Offered))
    }

    /// Reserves `ip` for the client for a short time, and returns a lease in force that had to make way. A client that asks
    /// again in the middle of its lease keeps it whatever becomes of the offer.
    pub(crate) fn offer(&mut self, now: Instant, ip: Ipv4Addr, client: &Client) -> Option<Binding> {
        let former = self.get(ip).filter(|b| b.state == State::Bound).cloned();
        if former.as_ref().is_some_and(|b| b.client == client.key) {
            return None;
        }
        self.set(ip, Binding::new(client, State::Offered, now, now + OFFER));
        former
    }

    /// Gives an address back to the lease that made way for an offer.
    pub(crate) fn reinstate(&mut self, ip: Ipv4Addr, former: Binding) {
        self.set(ip, former);
        self.changed.insert(ip);
    }

    /// Leases `ip` to the client until `until`. The caller has asked [`Leases::available`].
    pub(crate) fn bind(&mut self, now: Instant, ip: Ipv4Addr, client: &Client, until: Instant) {
        // A renewal does not begin a new lease.
        let since = match self.get(ip) {
            Some(binding) if binding.state == State::Bound && binding.client == client.key => binding.since,
            _ => now,
        };
        self.set(ip, Binding::new(client, State::Bound, since, until));
        if let Some(user) = &client.user {
            self.by_user.insert(user.clone(), ip);
        }
        self.changed.insert(ip);
    }

    /// Ends the client's lease of `ip`; the address stays remembered. Whether there was such a lease.
    pub(crate) fn release(&mut self, now: Instant, ip: Ipv4Addr, client: &ClientKey) -> bool {
        let leased = |binding: &Binding| binding.client == *client && binding.state == State::Bound;
        if !self.bindings.get(&ip).is_some_and(leased) {
            return false;
        }
        if let Some(mut binding) = self.take(ip) {
            (binding.state, binding.until) = (State::Idle, now);
            self.put(ip, binding);
            self.changed.insert(ip);
        }
        true
    }

    /// Leaves `ip` alone for a while, because somebody else uses it.
    pub(crate) fn set_aside(&mut self, now: Instant, ip: Ipv4Addr, user: MacAddr) {
        // Nobody's key: the address must not count as anybody's own.
        let nobody = Client {
            key: ClientKey::nobody(ip),
            mac: user,
            user: None,
            host_name: String::new(),
        };
        self.set(ip, Binding::new(&nobody, State::SetAside, now, now + SET_ASIDE));
        self.changed.insert(ip);
    }

    /// When [`Leases::expire`] has something to do.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        ENDING
            .iter()
            .filter_map(|state| self.order[*state as usize].first().map(|(until, _)| *until))
            .min()
    }

    /// Ends what has ended by `now`; returns the leases among it.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(Ipv4Addr, Binding)> {
        let mut leases = Vec::new();
        for state in ENDING {
            while let Some(&(until, ip)) = self.order[state as usize].first() {
                let Some(mut binding) = (until <= now).then(|| self.take(ip)).flatten() else {
                    break;
                };
                if state == State::Bound {
                    leases.push((ip, binding.clone()));
                    binding.state = State::Idle;
                    self.put(ip, binding);
                }
            }
        }
        leases
    }

    /// The leases in force, by address.
    pub(crate) fn bound(&self) -> Vec<(Ipv4Addr, &Binding)> {
        let mut rows: Vec<_> = self
            .bindings
            .iter()
            .filter(|(_, binding)| binding.state == State::Bound)
            .map(|(ip, binding)| (*ip, binding))
            .collect();
        rows.sort_by_key(|(ip, _)| *ip);
        rows
    }

    /// How the addresses are used.
    pub(crate) fn usage(&self) -> PoolUse {
        let count = |state: State| self.order[state as usize].len();
        let idle_and_reserved = self
            .reserved
            .iter()
            .filter(|reserved| self.get(reserved.ip).is_some_and(|b| b.state == State::Idle))
            .count();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        PoolUse {
            addresses: self.pool.size - number(self.pool.barred.len()),
            available: number(self.free.len() + count(State::Idle) - idle_and_reserved),
            leased: number(count(State::Bound)),
            set_aside: number(count(State::SetAside)),
            reserved: number(self.reserved.len()),
        }
    }

    /// Whether something is not kept as it is now.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What has changed since the last call, as it is to be kept.
    pub(crate) fn take_changes(&mut self, moment: Moment) -> Vec<LeaseChange> {
        let lasting = |binding: &&Binding| matches!(binding.state, State::Bound | State::Idle);
        let kept = |ip| {
            let binding = self.bindings.get(&ip).filter(lasting)?;
            Some(KeptLease::new(ip, binding, moment))
        };
        let changes = self.changed.iter().map(|ip| (*ip, kept(*ip))).collect();
        self.changed.clear();
        changes
    }

    /// What was taken could not be kept: it is to be taken again.
    pub(crate) fn put_back(&mut self, addresses: impl Iterator<Item = Ipv4Addr>) {
        self.changed.extend(addresses);
    }

    fn set(&mut self, ip: Ipv4Addr, binding: Binding) {
        self.take(ip);
        // A client has one address at a time; an earlier one is free for others.
        if let Some(former) = self.of_client(&binding.client)
            && self.take(former).is_some()
        {
            self.changed.insert(former);
        }
        self.put(ip, binding);
    }

    fn put(&mut self, ip: Ipv4Addr, binding: Binding) {
        self.free.remove(&ip);
        self.order[binding.state as usize].insert((binding.until, ip));
        self.by_client.insert(binding.client.clone(), ip);
        if let Some(user) = &binding.user {
            self.by_user.entry(user.clone()).or_insert(ip);
        }
        self.bindings.insert(ip, binding);
    }

    fn take(&mut self, ip: Ipv4Addr) -> Option<Binding> {
        let binding = self.bindings.remove(&ip)?;
        self.order[binding.state as usize].remove(&(binding.until, ip));
        self.by_client.remove(&binding.client);
        if let Some(user) = &binding.user
            && self.by_user.get(user) == Some(&ip)
        {
            self.by_user.remove(user);
        }
        if self.pool.has(ip) {
            self.free.insert(ip);
        }
        Some(binding)
    }
}
