//! The switch as a state machine.

mod access;
mod admit;
mod config;
mod counters;
mod delay;
mod deliver;
mod port;
mod stations;
mod storm;
mod table;
mod tap;
mod vlan;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

pub use config::{HubConfig, Privacy, StormLimit};
pub use counters::{Counters, DropReason, Drops, Traffic};
pub use delay::HELD_BYTES;
pub use port::{PortConfig, PortId, PortKind, PortState, VlanId};
pub use stations::{IP_LIFETIME, IpEntry, LEASED_IP_LIFETIME, MAC_LIFETIME, MacEntry, TAKE_OVER_AFTER};
pub use tap::{Taken, TapConfig, Tapped};

use crate::MacAddr;
use crate::access::AccessList;
use crate::dice::Dice;
use crate::hash::SeededState;
use access::Access;
use delay::DelayLine;
use port::Ports;
use stations::{IpKey, IpStation, MacKey, MacStation};
use table::Table;

/// Events kept for [`Hub::poll_event`]; the oldest goes when nobody fetches them.
const MAX_EVENTS: usize = 256;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It went to the one port that its destination is behind (and to monitoring ports).
    Unicast(PortId),
    /// It went to this many ports: all that may see it, for its destination is a group or unknown.
    Flood(u32),
    /// It went nowhere.
    Dropped(DropReason),
}

/// Something that happened on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A DHCP server gave an address to a station. A renewal is not reported.
    AddressLeased {
        /// The station's port.
        port: PortId,
        /// The station.
        client: MacAddr,
        /// Its address.
        address: Ipv4Addr,
        /// The server, if it names itself.
        server: Option<Ipv4Addr>,
        /// For how long, if the server says so.
        lease_time: Option<Duration>,
    },
}

/// A learning switch.
///
/// It is deterministic: it does no I/O and reads no clock, and `now` is an argument that should not run
/// backwards. The cost of a frame does not depend on how many ports and addresses there are, apart from the
/// deliveries it causes.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    online: bool,
    ports: Ports,
    monitors: Vec<PortId>,
    detachments: u64,
    macs: Table<MacKey, MacStation>,
    ips: Table<IpKey, IpStation>,
    access: Access,
    delayed: DelayLine,
    dice: Dice,
    /// Tells streams of broadcasts apart.
    streams: SeededState,
    counters: Counters,
    events: VecDeque<Event>,
    tap: tap::Tap,
}

impl Hub {
    /// A hub without ports, online.
    pub fn new(config: HubConfig) -> Self {
        let mut access = Access::new(config.seed.rotate_left(32));
        access.set_arp_as_ipv4(config.arp_as_ipv4);
        Self {
            online: true,
            ports: Ports::default(),
            monitors: Vec::new(),
            detachments: 0,
            macs: Table::new(config.max_macs, config.seed),
            ips: Table::new(config.max_ips, !config.seed),
            access,
            delayed: DelayLine::default(),
            dice: Dice::new(config.seed.rotate_left(16)),
            streams: SeededState::new(config.seed.rotate_left(8)),
            counters: Counters::default(),
            events: VecDeque::new(),
            tap: tap::Tap::default(),
            config,
        }
    }

    /// The limits and options in force.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// Changes the limits and options for what is seen from now on. What is known stays known, even beyond a
    /// lower limit, unless there is to be no IP table. The seed stays as it was.
    pub fn set_config(&mut self, config: HubConfig) {
        if self.config.storm != config.storm {
            self.ports.iter_mut().for_each(|port| port.storms.clear());
        }
        if self.config.ip_table && !config.ip_table {
            self.ips.clear();
        }
        self.config = HubConfig {
            seed: self.config.seed,
            ..config
        };
        self.macs.set_limit(config.max_macs);
        self.ips.set_limit(config.max_ips);
        self.access.set_arp_as_ipv4(config.arp_as_ipv4);
    }

    /// Puts an access list in force, in place of the one before.
    pub fn set_access_list(&mut self, list: AccessList) {
        self.access.set_list(list);
    }

    /// Adds a port.
    pub fn attach(&mut self, now: Instant, config: PortConfig) -> PortId {
        let monitor = config.monitor;
        let id = self.ports.insert(now, config);
        if monitor {
            self.monitors.push(id);
        }
        id
    }

    /// Removes a port and every address behind it. Its last state, or `None` if it was not attached.
    pub fn detach(&mut self, port: PortId) -> Option<PortState> {
        let state = self.ports.remove(port)?;
        self.detachments += 1;
        self.monitors.retain(|monitor| *monitor != port);
        self.macs.forget_port(port);
        self.ips.forget_port(port);
        Some(state)
    }

    /// Sets the largest TCP segment size that passes to or from a port (see [`PortConfig::segment_size`]), for instance
    /// when its frames begin to travel another path. Flows that have begun keep theirs.
    pub fn set_segment_size(&mut self, port: PortId, most: Option<u16>) {
        if let Some(port) = self.ports.get_mut(port) {
            port.config.segment_size = most;
        }
    }

    /// How many ports were ever removed, for who keeps a table of ports beside the hub.
    pub(crate) fn detachments(&self) -> u64 {
        self.detachments
    }

    /// Whether frames are forwarded at all.
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Starts or stops forwarding. A hub that goes offline forgets all addresses.
    pub fn set_online(&mut self, online: bool) {
        self.online = online;
        if !online {
            self.macs.clear();
            self.ips.clear();
            self.delayed.clear();
        }
    }

    /// The attached port `id`.
    pub fn port(&self, id: PortId) -> Option<&PortState> {
        self.ports.get(id)
    }

    /// The attached ports.
    pub fn ports(&self) -> impl Iterator<Item = &PortState> {
        self.ports.iter()
    }

    /// The hub's traffic since it was made, that of detached ports included.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A port's traffic since it was attached; `None` if it is not.
    pub fn port_counters(&self, port: PortId) -> Option<&Counters> {
        self.ports.get(port).map(|port| &port.counters)
    }

    /// The MAC table, oldest rows first.
    pub fn mac_table(&self, now: Instant) -> Vec<MacEntry> {
        let row = |(address, entry): (MacKey, &table::Entry<MacStation>)| MacEntry {
            key: entry.key,
            mac: address.mac(),
            vlan: address.vlan(),
            port: entry.port,
            created: entry.created,
            updated: entry.updated,
        };
        let mut rows: Vec<_> = self.macs.iter(now).map(row).collect();
        rows.sort_unstable_by_key(|row| row.key);
        rows
    }

    /// The IP table, oldest rows first.
    pub fn ip_table(&self, now: Instant) -> Vec<IpEntry> {
        let row = |(address, entry): (IpKey, &table::Entry<IpStation>)| IpEntry {
            key: entry.key,
            ip: address.0,
            mac: entry.station.mac,
            port: entry.port,
            leased: entry.station.leased,
            created: entry.created,
            updated: entry.updated,
        };
        let mut rows: Vec<_> = self.ips.iter(now).map(row).collect();
        if !self.config.ip_table {
            // What is there is there for `leased_only`.
            rows.clear();
        }
        rows.sort_unstable_by_key(|row| row.key);
        rows
    }

    /// How many rows the MAC table has.
    pub fn mac_count(&mut self, now: Instant) -> usize {
        self.macs.count(now)
    }

    /// How many rows the IP table has.
    pub fn ip_count(&mut self, now: Instant) -> usize {
        let held = self.ips.count(now);
        if self.config.ip_table { held } else { 0 }
    }

    /// How many ports there are.
    pub fn port_count(&self) -> usize {
        self.ports.count()
    }

    /// When a station behind a port last sent something; nothing if no station there is known.
    pub fn last_sent(&self, now: Instant, port: PortId) -> Option<Instant> {
        self.macs.behind(now, port).map(|entry| entry.updated).max()
    }

    /// The port that a station is behind, whatever VLAN it is in.
    pub fn port_of(&self, now: Instant, mac: MacAddr) -> Option<PortId> {
        let outside = self.macs.get(now, MacKey::new(mac, None));
        let within = || {
            let mut all = self.macs.iter(now);
            all.find(|(address, _)| address.mac() == mac)
                .map(|(_, entry)| entry)
        };
        outside.or_else(within).map(|entry| entry.port)
    }

    /// Forgets a MAC address in a VLAN, or outside of all; whether it was known.
    pub fn delete_mac(&mut self, mac: MacAddr, vlan: Option<VlanId>) -> bool {
        self.macs.remove(MacKey::new(mac, vlan))
    }

    /// Forgets an IP address; whether it was known.
    pub fn delete_ip(&mut self, ip: IpAddr) -> bool {
        self.ips.remove(IpKey(ip))
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`release`](Self::release) is due: when the next frame goes that an access rule holds back.
    pub fn next_release(&self) -> Option<Instant> {
        self.delayed.next_due()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. Being late costs memory only: an expired address
    /// is not believed, whether or not it still takes up space.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.macs
            .poll_timeout()
            .into_iter()
            .chain(self.ips.poll_timeout())
            .min()
    }

    /// Gives back the memory of some expired addresses. Those that are left keep [`poll_timeout`](Self::poll_timeout) due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.macs.handle_timeout(now);
        self.ips.handle_timeout(now);
    }
}
