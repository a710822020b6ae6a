//! The switch as a state machine.

mod counters;
mod port;
mod stations;
mod table;
mod vlan;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

pub use counters::{Counters, DropReason, Drops, Traffic};
pub use port::{PortConfig, PortId, PortKind, PortState, VlanId};
pub use stations::{IP_LIFETIME, IpEntry, LEASED_IP_LIFETIME, MAC_LIFETIME, MacEntry, TAKE_OVER_AFTER};

use crate::frame::{DhcpAck, MAX_PLAIN_FRAME, MAX_SUPER_FRAME};
use crate::{Frame, FrameView, MacAddr};
use port::Ports;
use stations::{IpKey, IpStation, MacKey, MacStation, listed_v4, shown_ip};
use table::{Refused, Sighting, Table};
use vlan::Shapes;

/// Events kept for [`Hub::poll_event`]; the oldest goes when nobody fetches them.
const MAX_EVENTS: usize = 256;

/// The limits and options of a hub.
#[derive(Clone, Copy, Debug)]
pub struct HubConfig {
    /// A random number that the stations on the hub do not know: it decides where table entries lie.
    pub seed: u64,
    /// MAC addresses that the hub remembers. A frame from one more is dropped: what is known stays known, so
    /// that nobody can turn the switch into a repeater by flooding it with addresses.
    pub max_macs: usize,
    /// MAC addresses of one port, where the port does not say otherwise.
    pub macs_per_port: u32,
    /// IP addresses that the hub lists. Packets from others are forwarded all the same.
    pub max_ips: usize,
    /// IP addresses of one port that the hub lists, where the port does not say otherwise.
    pub ips_per_port: u32,
    /// Whether there is an IP table (hub option `NoIpTable` turned round).
    pub ip_table: bool,
    /// Whether only private IPv4 addresses are listed (hub option `ManageOnlyPrivateIP`).
    pub only_private_ipv4: bool,
    /// Whether only link-local and unique local IPv6 addresses are listed (hub option
    /// `ManageOnlyLocalUnicastIPv6`).
    pub only_local_ipv6: bool,
}

impl HubConfig {
    /// The defaults, with tables hashed by `seed`. One port can fill a quarter of each table.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            max_macs: 65_536,
            macs_per_port: 16_384,
            max_ips: 65_536,
            ips_per_port: 16_384,
            ip_table: true,
            only_private_ipv4: true,
            only_local_ipv6: true,
        }
    }
}

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
    macs: Table<MacKey, MacStation>,
    ips: Table<IpKey, IpStation>,
    counters: Counters,
    events: VecDeque<Event>,
}

/// Where an admitted frame goes.
enum Route {
    Port(PortId),
    Flood,
}

/// A frame that keeps the rules.
struct Admitted {
    view: FrameView,
    vlan: Option<VlanId>,
    route: Route,
}

impl Hub {
    /// A hub without ports, online.
    pub fn new(config: HubConfig) -> Self {
        Self {
            online: true,
            ports: Ports::default(),
            monitors: Vec::new(),
            macs: Table::new(config.max_macs, config.seed),
            ips: Table::new(config.max_ips, !config.seed),
            counters: Counters::default(),
            events: VecDeque::new(),
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
        self.config = HubConfig {
            seed: self.config.seed,
            ..config
        };
        self.macs.set_limit(config.max_macs);
        self.ips.set_limit(config.max_ips);
        if !config.ip_table {
            self.ips.clear();
        }
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
        self.monitors.retain(|monitor| *monitor != port);
        self.macs.forget_port(port);
        self.ips.forget_port(port);
        Some(state)
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
        }
    }

    /// Forwards a frame that came from port `from`: calls `deliver` for every port that it goes to. A port in
    /// a VLAN may be given the frame in another shape than one that sees all VLANs.
    ///
    /// A super-frame reaches only ports that take it; toward others it is dropped and counted.
    pub fn forward(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &Frame,
        deliver: &mut dyn FnMut(PortId, &Frame),
    ) -> Verdict {
        let Admitted { view, vlan, route } = match self.admit(now, from, frame) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.count_drop(from, reason);
                return Verdict::Dropped(reason);
            }
        };
        let to_group = view.destination.is_multicast();
        if let Some(port) = self.ports.get_mut(from) {
            port.counters.received.count(to_group, frame.len());
        }
        self.counters.received.count(to_group, frame.len());

        let mut shapes = Shapes::new(frame, &view, vlan);
        let counters = &mut self.counters;
        let mut hand_over = |port: &mut PortState| {
            let frame = shapes.seen_from(port.config.vlan)?;
            if !port.config.offload && !frame.offload.is_finished() {
                port.counters.dropped.add(DropReason::OffloadRefused, 1);
                counters.dropped.add(DropReason::OffloadRefused, 1);
                return Some(Err(DropReason::OffloadRefused));
            }
            port.counters.sent.count(to_group, frame.len());
            counters.sent.count(to_group, frame.len());
            deliver(port.id, frame);
            Some(Ok(()))
        };
        match route {
            Route::Port(to) => {
                let outcome = self.ports.get_mut(to).and_then(&mut hand_over);
                for monitor in &self.monitors {
                    self.ports.get_mut(*monitor).and_then(&mut hand_over);
                }
                match outcome {
                    Some(Err(reason)) => Verdict::Dropped(reason),
                    _ => Verdict::Unicast(to),
                }
            }
            Route::Flood => {
                let others = self.ports.iter_mut().filter(|port| port.id != from);
                let reached = others.filter_map(hand_over).filter(Result::is_ok).count();
                Verdict::Flood(reached as u32)
            }
        }
    }

    /// Checks `frame` against the rules, cheapest first, learns from it, and finds where it goes.
    fn admit(&mut self, now: Instant, from: PortId, frame: &Frame) -> Result<Admitted, DropReason> {
        let port = self.ports.get(from).ok_or(DropReason::UnknownPort)?;
        if !self.online {
            return Err(DropReason::Offline);
        }
        if port.config.monitor {
            return Err(DropReason::MonitorPort);
        }
        let view = FrameView::parse(&frame.bytes).ok_or(DropReason::TooShort)?;
        check_offload(frame)?;
        if !view.source.is_unicast() {
            return Err(DropReason::BadSource);
        }
        if view.destination == MacAddr::ZERO {
            return Err(DropReason::BadDestination);
        }
        let vlan = match (port.config.vlan, vlan::of_frame(&view)) {
            (Some(_), Some(_)) => return Err(DropReason::ForeignVlan),
            (of_port, of_frame) => of_port.or(of_frame),
        };
        let macs = Sighting {
            port: from,
            limit: port.config.max_macs.unwrap_or(self.config.macs_per_port),
            take_over_after: port.config.check_mac.then_some(TAKE_OVER_AFTER),
        };
        let max_ips = port.config.max_ips;
        self.macs
            .see(now, MacKey::new(view.source, vlan), MacStation, macs)
            .map_err(|refused| match refused {
                Refused::InUse => DropReason::MacInUse,
                Refused::PortLimit => DropReason::MacLimit,
                Refused::Full => DropReason::MacTableFull,
            })?;
        if self.config.ip_table {
            self.learn_ip(now, from, &view, max_ips)?;
            if let Some(ack) = view.dhcp_ack(&frame.bytes) {
                self.learn_lease(now, &ack, vlan);
            }
        }
        let route = self.route(now, from, view.destination, vlan)?;
        Ok(Admitted { view, vlan, route })
    }

    /// Lists the sender's IP address. Only a limit of the port's own stops the frame.
    fn learn_ip(
        &mut self,
        now: Instant,
        from: PortId,
        view: &FrameView,
        max_ips: Option<u32>,
    ) -> Result<(), DropReason> {
        let Some(ip) = shown_ip(view, &self.config) else {
            return Ok(());
        };
        let limit = max_ips.unwrap_or(self.config.ips_per_port);
        let sighting = Sighting {
            port: from,
            limit,
            take_over_after: None,
        };
        match self.ips.see(
            now,
            IpKey(ip),
            IpStation {
                mac: view.source,
                leased: false,
            },
            sighting,
        ) {
            Err(Refused::PortLimit) if max_ips.is_some() => Err(DropReason::IpLimit),
            _ => Ok(()),
        }
    }

    /// Lists the address that a DHCP server gives to a station whose port is known, and reports it if it is
    /// news.
    fn learn_lease(&mut self, now: Instant, ack: &DhcpAck, vlan: Option<VlanId>) {
        let Some(port) = self
            .macs
            .get(now, MacKey::new(ack.client, vlan))
            .map(|entry| entry.port)
        else {
            return;
        };
        let Some(ip) = listed_v4(ack.address, &self.config) else {
            return;
        };
        let known = self.ips.get(now, IpKey(ip)).is_some_and(|entry| {
            entry.station.leased && entry.station.mac == ack.client && entry.port == port
        });
        let limit = self
            .ports
            .get(port)
            .and_then(|p| p.config.max_ips)
            .unwrap_or(self.config.ips_per_port);
        let sighting = Sighting {
            port,
            limit,
            take_over_after: None,
        };
        let listed = self.ips.see(
            now,
            IpKey(ip),
            IpStation {
                mac: ack.client,
                leased: true,
            },
            sighting,
        );
        if known || listed.is_err() {
            return;
        }
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        let DhcpAck {
            client,
            address,
            server,
            lease_time,
        } = *ack;
        self.events.push_back(Event::AddressLeased {
            port,
            client,
            address,
            server,
            lease_time,
        });
    }

    /// The port that `destination` is behind, or all of them.
    fn route(
        &self,
        now: Instant,
        from: PortId,
        destination: MacAddr,
        vlan: Option<VlanId>,
    ) -> Result<Route, DropReason> {
        if destination.is_multicast() {
            return Ok(Route::Flood);
        }
        match self.macs.get(now, MacKey::new(destination, vlan)) {
            Some(entry) if entry.port == from => Err(DropReason::SamePort),
            Some(entry) => Ok(Route::Port(entry.port)),
            None => Ok(Route::Flood),
        }
    }

    fn count_drop(&mut self, port: PortId, reason: DropReason) {
        self.counters.dropped.add(reason, 1);
        if let Some(port) = self.ports.get_mut(port) {
            port.counters.dropped.add(reason, 1);
        }
    }

    /// Takes back the delivery of `frame` to port `by`, whose queue had no room for it.
    pub fn refused(&mut self, by: PortId, frame: &Frame) {
        let to_group = frame.bytes.first().is_some_and(|octet| octet & 1 != 0);
        self.counters.sent.take_back(to_group, frame.len());
        if let Some(port) = self.ports.get_mut(by) {
            port.counters.sent.take_back(to_group, frame.len());
        }
        self.count_drop(by, DropReason::QueueFull);
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
        rows.sort_unstable_by_key(|row| row.key);
        rows
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

    /// When [`handle_timeout`](Self::handle_timeout) is due. Being late costs memory only: an expired address
    /// is not believed, whether or not it still takes up space.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.macs
            .poll_timeout()
            .into_iter()
            .chain(self.ips.poll_timeout())
            .min()
    }

    /// Gives back the memory of expired addresses.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.macs.handle_timeout(now);
        self.ips.handle_timeout(now);
    }
}

/// Whether the frame and its offload description belong together. A finished frame has an ordinary length.
fn check_offload(frame: &Frame) -> Result<(), DropReason> {
    let longest = if frame.offload.segmentation.is_some() {
        MAX_SUPER_FRAME
    } else {
        MAX_PLAIN_FRAME
    };
    if frame.len() > longest {
        return Err(DropReason::TooLong);
    }
    if frame.offload.fits(frame.len()) {
        Ok(())
    } else {
        Err(DropReason::BadOffload)
    }
}
