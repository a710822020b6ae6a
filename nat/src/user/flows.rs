//! The flows of user mode: how many there may be, and what each has carried.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::dnat::{self, Grant};
use crate::event::{Event, Events, FlowProtocol};
use crate::table::{NatEntry, TcpState};

/// How many flows there may be at one time. A client that is an attacker fills its own share, not the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections of one client.
    pub tcp_per_client: u32,
    /// UDP flows of one client.
    pub udp_per_client: u32,
    /// Pinged hosts of one client.
    pub icmp_per_client: u32,
    /// Open questions of one client to the virtual host's name service.
    pub dns_per_client: u32,
    /// TCP connections that one client may be waiting for to open.
    pub connecting_per_client: u32,
    /// Flows of all clients, of each protocol.
    pub total: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            tcp_per_client: 4096,
            udp_per_client: 4096,
            icmp_per_client: 64,
            dns_per_client: 128,
            connecting_per_client: 256,
            total: 20_480,
        }
    }
}

impl Limits {
    fn per_client(&self, protocol: FlowProtocol) -> u32 {
        match protocol {
            FlowProtocol::Tcp => self.tcp_per_client,
            FlowProtocol::Udp => self.udp_per_client,
            FlowProtocol::Icmp => self.icmp_per_client,
            FlowProtocol::Dns => self.dns_per_client,
        }
    }
}

/// The flows of one SecureNAT.
#[derive(Debug)]
pub(crate) struct Flows {
    table: Mutex<Table>,
    events: Events,
    started: Instant,
}

#[derive(Debug, Default)]
struct Table {
    limits: Limits,
    next: u64,
    rows: BTreeMap<u64, Arc<Meter>>,
    counts: HashMap<(FlowProtocol, Ipv4Addr), u32>,
    totals: HashMap<FlowProtocol, u32>,
    /// TCP connections of each client that wait to open.
    connecting: HashMap<Ipv4Addr, u32>,
    /// Clients that were told to be at their limit.
    limited: HashSet<(FlowProtocol, Ipv4Addr)>,
}

/// What a flow has carried.
#[derive(Debug)]
pub(crate) struct Meter {
    id: u64,
    protocol: FlowProtocol,
    client: SocketAddrV4,
    destination: SocketAddrV4,
    opened: SystemTime,
    sent: AtomicU64,
    received: AtomicU64,
    /// Milliseconds from the start of the table to the last payload.
    active: AtomicU64,
    state: AtomicU8,
}

impl Flows {
    pub(crate) fn new(limits: Limits, events: Events) -> Arc<Self> {
        Arc::new(Flows {
            table: Mutex::new(Table {
                limits,
                ..Table::default()
            }),
            events,
            started: Instant::now(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a flow, or not: the client, or all clients together, may have no more.
    pub(crate) fn open(
        self: &Arc<Self>,
        protocol: FlowProtocol,
        client: SocketAddrV4,
        destination: SocketAddrV4,
    ) -> Option<Flow> {
        let key = (protocol, *client.ip());
        let mut table = self.table();
        let of_client = table.counts.get(&key).copied().unwrap_or(0);
        let of_all = table.totals.get(&protocol).copied().unwrap_or(0);
        if of_client >= table.limits.per_client(protocol) || of_all >= table.limits.total {
            let first = table.limited.insert(key);
            drop(table);
            if first {
                self.events.tell(Event::FlowLimit {
                    protocol,
                    client: *client.ip(),
                });
            }
            return None;
        }
        table.counts.insert(key, of_client + 1);
        table.totals.insert(protocol, of_all + 1);
        table.next += 1;
        let meter = Arc::new(Meter {
            id: table.next,
            protocol,
            client,
            destination,
            opened: SystemTime::now(),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            active: AtomicU64::new(self.elapsed(Instant::now())),
            state: AtomicU8::new(TcpState::Connecting as u8),
        });
        table.rows.insert(meter.id, Arc::clone(&meter));
        if protocol == FlowProtocol::Tcp {
            *table.connecting.entry(*client.ip()).or_default() += 1;
        }
        drop(table);
        self.events.tell(Event::FlowOpened {
            protocol,
            client,
            destination,
        });
        Some(Flow {
            flows: Arc::clone(self),
            meter,
            published: None,
        })
    }

    /// Takes other limits. Flows that are open stay.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.table().limits = limits;
    }

    /// How many flows of a protocol there are.
    pub(crate) fn count(&self, protocol: FlowProtocol) -> u32 {
        self.table().totals.get(&protocol).copied().unwrap_or(0)
    }

    /// Whether a client waits for too many connections to open already.
    pub(crate) fn too_many_connecting(&self, client: Ipv4Addr) -> bool {
        let table = self.table();
        let waiting = table.connecting.get(&client).copied().unwrap_or(0);
        waiting >= table.limits.connecting_per_client
    }

    /// All flows, oldest first.
    pub(crate) fn entries(&self) -> Vec<NatEntry> {
        let rows: Vec<Arc<Meter>> = self.table().rows.values().cloned().collect();
        let elapsed = self.elapsed(Instant::now());
        let now = SystemTime::now();
        let entry = |meter: &Arc<Meter>| NatEntry {
            id: meter.id,
            protocol: meter.protocol,
            client: meter.client,
            destination: meter.destination,
            opened: Some(meter.opened),
            last_active: Some(
                now - Duration::from_millis(elapsed.saturating_sub(meter.active.load(Ordering::Relaxed))),
            ),
            sent: Some(meter.sent.load(Ordering::Relaxed)),
            received: Some(meter.received.load(Ordering::Relaxed)),
            tcp_state: (meter.protocol == FlowProtocol::Tcp).then(|| meter.tcp_state()),
        };
        rows.iter().map(entry).collect()
    }

    fn elapsed(&self, now: Instant) -> u64 {
        now.duration_since(self.started).as_millis() as u64
    }

    /// A TCP connection waits no more: it is open, or has ended.
    fn connected(&self, client: Ipv4Addr) {
        if let Entry::Occupied(mut waiting) = self.table().connecting.entry(client) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
            }
        }
    }

    fn close(&self, meter: &Meter) {
        let key = (meter.protocol, *meter.client.ip());
        let mut table = self.table();
        table.rows.remove(&meter.id);
        table.limited.remove(&key);
        if let Some(count) = table.counts.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                table.counts.remove(&key);
            }
        }
        if let Some(total) = table.totals.get_mut(&meter.protocol) {
            *total -= 1;
        }
    }
}

impl Meter {
    fn tcp_state(&self) -> TcpState {
        let states = [TcpState::Connecting, TcpState::Established, TcpState::Closing];
        let state = self.state.load(Ordering::Relaxed);
        states
            .into_iter()
            .find(|known| *known as u8 == state)
            .unwrap_or(TcpState::Closing)
    }
}

/// An open flow; dropping it closes it.
#[derive(Debug)]
pub(crate) struct Flow {
    flows: Arc<Flows>,
    meter: Arc<Meter>,
    /// The rule of published hosts that it is counted for as well.
    published: Option<Arc<dnat::Meter>>,
}

impl Flow {
    /// Counts it for a rule of published hosts as well.
    pub(crate) fn publish(&mut self, grant: &Grant) {
        grant.opened();
        self.published = Some(grant.meter());
    }

    /// Notes payload from the client.
    pub(crate) fn sent(&self, now: Instant, bytes: usize) {
        self.meter.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.carried(now, bytes);
    }

    /// Notes payload to the client.
    pub(crate) fn received(&self, now: Instant, bytes: usize) {
        self.meter.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.carried(now, bytes);
    }

    fn carried(&self, now: Instant, bytes: usize) {
        if let Some(published) = &self.published {
            published.carried(bytes);
        }
        self.touch(now);
    }

    fn touch(&self, now: Instant) {
        self.meter
            .active
            .store(self.flows.elapsed(now), Ordering::Relaxed);
    }

    /// When payload last passed.
    pub(crate) fn last_active(&self) -> Instant {
        self.flows.started + Duration::from_millis(self.meter.active.load(Ordering::Relaxed))
    }

    /// Notes how far a TCP connection is.
    pub(crate) fn set_tcp_state(&self, state: TcpState) {
        let former = self.meter.state.swap(state as u8, Ordering::Relaxed);
        let was_connecting = former == TcpState::Connecting as u8 && state != TcpState::Connecting;
        if was_connecting && self.meter.protocol == FlowProtocol::Tcp {
            self.flows.connected(*self.meter.client.ip());
        }
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.set_tcp_state(TcpState::Closing);
        self.flows.close(&self.meter);
        let Meter {
            protocol,
            client,
            destination,
            ..
        } = *self.meter;
        let (sent, received) = (
            self.meter.sent.load(Ordering::Relaxed),
            self.meter.received.load(Ordering::Relaxed),
        );
        self.flows.events.tell(Event::FlowClosed {
            protocol,
            client,
            destination,
            sent,
            received,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_fills_its_own_share_only() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let events = Events::new(move |event| listener.lock().unwrap().push(event));
        let flows = Flows::new(
            Limits {
                udp_per_client: 2,
                total: 3,
                ..Limits::default()
            },
            events,
        );
        let open = |client: &str| flows.open(FlowProtocol::Udp, at(client), at("1.1.1.1:53"));
        let held = [open("10.0.0.1:1").unwrap(), open("10.0.0.1:2").unwrap()];
        assert!(open("10.0.0.1:3").is_none() && open("10.0.0.1:3").is_none());
        let other = open("10.0.0.2:1").unwrap();
        assert!(open("10.0.0.3:1").is_none(), "all together");
        let limits = |events: &[Event]| {
            events
                .iter()
                .filter(|e| matches!(e, Event::FlowLimit { .. }))
                .count()
        };
        assert_eq!(limits(&told.lock().unwrap()), 2, "each client once");
        drop((held, other));
        assert_eq!((flows.count(FlowProtocol::Udp), flows.entries().len()), (0, 0));
        assert!(open("10.0.0.1:3").is_some());
    }

    #[test]
    fn a_client_waits_for_so_many_connections_and_no_more() {
        let limits = Limits {
            connecting_per_client: 2,
            ..Limits::default()
        };
        let flows = Flows::new(limits, Events::ignored());
        let open = || {
            flows
                .open(FlowProtocol::Tcp, at("10.0.0.1:1"), at("1.1.1.1:80"))
                .unwrap()
        };
        let too_many = || flows.too_many_connecting(*at("10.0.0.1:1").ip());
        let (first, second) = (open(), open());
        assert!(too_many() && !flows.too_many_connecting(*at("10.0.0.2:1").ip()));
        first.set_tcp_state(TcpState::Established);
        first.set_tcp_state(TcpState::Closing);
        assert!(!too_many());
        let third = open();
        assert!(too_many());
        drop((second, third));
        assert!(flows.table().connecting.is_empty());
        flows.set_limits(Limits {
            connecting_per_client: 0,
            ..limits
        });
        assert!(too_many(), "other limits are in force at once");
        drop(first);
    }

    #[test]
    fn a_flow_tells_what_it_carried_when_it_ends() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&told);
        let flows = Flows::new(
            Limits::default(),
            Events::new(move |event| listener.lock().unwrap().push(event)),
        );
        let flow = flows
            .open(FlowProtocol::Tcp, at("10.0.0.1:1"), at("1.1.1.1:80"))
            .unwrap();
        flow.sent(Instant::now(), 100);
        flow.received(Instant::now(), 2000);
        flow.set_tcp_state(TcpState::Established);
        let entry = &flows.entries()[0];
        assert_eq!(
            (entry.sent, entry.received, entry.tcp_state),
            (Some(100), Some(2000), Some(TcpState::Established))
        );
        drop(flow);
        let closed = told.lock().unwrap().pop().unwrap();
        assert!(matches!(
            closed,
            Event::FlowClosed {
                sent: 100,
                received: 2000,
                ..
            }
        ));
    }
}
