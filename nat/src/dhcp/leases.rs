//! Who has which address: the pool as a bounded table.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hub_core::MacAddr;

/// How long an offered address waits for its client.
const OFFER: Duration = Duration::from_secs(30);
/// How long an address that somebody else was found to use is left alone.
const SET_ASIDE: Duration = Duration::from_secs(300);
/// How many addresses in foreign use one request may stumble over.
const TRIES: usize = 8;
/// The longest client identifier kept; a longer one counts by its beginning.
const MAX_CLIENT_ID: usize = 64;

/// What a client is known by: its identifier (option 61), or else its hardware address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(Box<[u8]>);

impl ClientKey {
    pub(crate) fn new(client_id: Option<&[u8]>, mac: MacAddr) -> Self {
        match client_id {
            Some(id) if !id.is_empty() => ClientKey(id[..id.len().min(MAX_CLIENT_ID)].into()),
            // The form a client that identifies itself by its hardware address uses (RFC 2132 §9.14).
            _ => ClientKey([&[1][..], &mac.octets()].concat().into()),
        }
    }

    /// Where in the pool the search begins, so that a client finds the same address even after we forgot it.
    fn start(&self) -> u32 {
        self.0.iter().fold(0x811c_9dc5, |hash: u32, &b| {
            (hash ^ u32::from(b)).wrapping_mul(0x0100_0193)
        })
    }
}

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

/// One address of the pool and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) client: ClientKey,
    pub(crate) mac: MacAddr,
    pub(crate) host_name: String,
    pub(crate) state: State,
    /// When the state began.
    pub(crate) since: Instant,
    /// When the state ends; for an idle address, when it ended.
    pub(crate) until: Instant,
}

/// The pool. It never holds more entries than addresses.
#[derive(Debug)]
pub(crate) struct Leases {
    bindings: HashMap<Ipv4Addr, Binding>,
    by_client: HashMap<ClientKey, Ipv4Addr>,
    /// Addresses in no binding.
    free: BTreeSet<Ipv4Addr>,
    /// Per state, its bindings by the time they end.
    order: [BTreeSet<(Instant, Ipv4Addr)>; 4],
    first: Ipv4Addr,
    size: u32,
}

impl Leases {
    /// A pool of `first` to `last`, without `reserved`.
    pub(crate) fn new(first: Ipv4Addr, last: Ipv4Addr, reserved: impl Fn(Ipv4Addr) -> bool) -> Self {
        let size = last.to_bits().saturating_sub(first.to_bits()) + 1;
        let addresses = (0..size).map(|i| Ipv4Addr::from_bits(first.to_bits() + i));
        Leases {
            bindings: HashMap::new(),
            by_client: HashMap::new(),
            free: addresses.filter(|ip| !reserved(*ip)).collect(),
            order: Default::default(),
            first,
            size,
        }
    }

    /// Takes over the bindings of another pool whose addresses are in this one.
    pub(crate) fn adopt(&mut self, other: Leases) {
        for (ip, binding) in other.bindings {
            if self.free.contains(&ip) {
                self.put(ip, binding);
            }
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

    /// Whether `client` may have `ip`: it is theirs, or free, or the former owner's lease has ended.
    pub(crate) fn available(&self, ip: Ipv4Addr, client: &ClientKey) -> bool {
        match self.bindings.get(&ip) {
            None => self.free.contains(&ip),
            Some(binding) if binding.state == State::SetAside => false,
            Some(binding) => binding.client == *client || binding.state == State::Idle,
        }
    }

    /// Chooses an address and reserves it for a short time. `in_use` tells whether somebody else was seen with
    /// it. `None` if every address is leased or set aside.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        client: &ClientKey,
        mac: MacAddr,
        wish: Option<Ipv4Addr>,
        in_use: &dyn Fn(Ipv4Addr) -> bool,
    ) -> Option<Ipv4Addr> {
        for _ in 0..TRIES {
            let ip = self.choose(client, wish)?;
            if in_use(ip) {
                self.set_aside(now, ip, mac);
                continue;
            }
            // A client that asks again in the middle of its lease keeps it whatever becomes of the offer.
            let bound = self.get(ip).is_some_and(|binding| binding.state == State::Bound);
            if !bound {
                self.set(ip, client, mac, String::new(), State::Offered, now, now + OFFER);
            }
            return Some(ip);
        }
        None
    }

    fn choose(&self, client: &ClientKey, wish: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let theirs = self.of_client(client).filter(|ip| self.available(*ip, client));
        let wished = || wish.filter(|ip| self.available(*ip, client));
        theirs
            .or_else(wished)
            .or_else(|| self.next_free(client))
            .or_else(|| self.oldest_unused())
    }

    fn next_free(&self, client: &ClientKey) -> Option<Ipv4Addr> {
        let start = Ipv4Addr::from_bits(self.first.to_bits() + client.start() % self.size);
        self.free
            .range(start..)
            .next()
            .or_else(|| self.free.first())
            .copied()
    }

    /// With the pool used up, an address that was only remembered goes first, then one that was only offered:
    /// a flood of discoveries can delay a client, but not lock the pool.
    fn oldest_unused(&self) -> Option<Ipv4Addr> {
        let oldest = |state: State| self.order[state as usize].first().map(|(_, ip)| *ip);
        oldest(State::Idle).or_else(|| oldest(State::Offered))
    }

    /// Leases `ip` to the client until `until`. The caller has asked [`Leases::available`].
    pub(crate) fn bind(
        &mut self,
        now: Instant,
        ip: Ipv4Addr,
        client: &ClientKey,
        mac: MacAddr,
        host_name: String,
        until: Instant,
    ) {
        // A renewal does not begin a new lease.
        let since = match self.get(ip) {
            Some(binding) if binding.state == State::Bound && binding.client == *client => binding.since,
            _ => now,
        };
        self.set(ip, client, mac, host_name, State::Bound, since, until);
    }

    /// Ends the client's lease of `ip`; the address stays remembered. Whether there was such a lease.
    pub(crate) fn release(&mut self, now: Instant, ip: Ipv4Addr, client: &ClientKey) -> bool {
        let leased = |binding: &Binding| binding.client == *client && binding.state == State::Bound;
        if !self.bindings.get(&ip).is_some_and(leased) {
            return false;
        }
        if let Some(mut binding) = self.take(ip) {
            (binding.state, binding.since, binding.until) = (State::Idle, now, now);
            self.put(ip, binding);
        }
        true
    }

    /// Leaves `ip` alone for a while, because somebody else uses it.
    pub(crate) fn set_aside(&mut self, now: Instant, ip: Ipv4Addr, reporter: MacAddr) {
        // Nobody's key: the address must not count as the reporter's own.
        let nobody = ClientKey([&[0xff][..], &ip.octets()].concat().into());
        self.set(
            ip,
            &nobody,
            reporter,
            String::new(),
            State::SetAside,
            now,
            now + SET_ASIDE,
        );
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
                    (binding.state, binding.since) = (State::Idle, until);
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

    #[allow(clippy::too_many_arguments)] // the fields of a binding
    fn set(
        &mut self,
        ip: Ipv4Addr,
        client: &ClientKey,
        mac: MacAddr,
        host_name: String,
        state: State,
        since: Instant,
        until: Instant,
    ) {
        self.take(ip);
        // A client has one address at a time; an earlier one is free for others.
        if let Some(former) = self.by_client.get(client).copied() {
            self.take(former);
        }
        self.put(
            ip,
            Binding {
                client: client.clone(),
                mac,
                host_name,
                state,
                since,
                until,
            },
        );
    }

    fn put(&mut self, ip: Ipv4Addr, binding: Binding) {
        self.free.remove(&ip);
        self.order[binding.state as usize].insert((binding.until, ip));
        self.by_client.insert(binding.client.clone(), ip);
        self.bindings.insert(ip, binding);
    }

    fn take(&mut self, ip: Ipv4Addr) -> Option<Binding> {
        let binding = self.bindings.remove(&ip)?;
        self.order[binding.state as usize].remove(&(binding.until, ip));
        self.by_client.remove(&binding.client);
        self.free.insert(ip);
        Some(binding)
    }
}
