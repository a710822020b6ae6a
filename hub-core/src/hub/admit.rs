//! The way in: what a frame must be to enter the hub, and what the hub learns from it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use super::port::{PortId, VlanId};
use super::stations::{IpKey, IpStation, MacKey, MacStation, TAKE_OVER_AFTER, shown_ip};
use super::table::{Refused, Sighting};
use super::{DropReason, Event, Hub, MAX_EVENTS, PortKind, vlan};
use crate::access::{Action, Treatment};
use crate::frame::{DhcpAck, MAX_PLAIN_FRAME, MAX_SUPER_FRAME, Network, OnWire, Transport};
use crate::{Frame, FrameView, MacAddr};

/// Where an admitted frame goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    Port(PortId),
    Flood,
}

/// A frame that keeps the rules.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub(super) from: PortId,
    pub(super) view: FrameView,
    pub(super) transport: Transport,
    pub(super) on_wire: OnWire,
    pub(super) vlan: Option<VlanId>,
    pub(super) route: Route,
    /// What the access list wants done with it.
    pub(super) treatment: Option<Arc<Treatment>>,
    /// Whether the access list is to be asked again for every receiver.
    pub(super) undecided: bool,
}

impl Hub {
    /// Checks `frame` against the rules, cheapest first, learns from it, and finds where it goes.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &Frame,
    ) -> Result<Admitted, DropReason> {
        let port = self.ports.get(from).ok_or(DropReason::UnknownPort)?;
        if !self.online {
            return Err(DropReason::Offline);
        }
        if port.config.monitor {
            return Err(DropReason::MonitorPort);
        }
        let mut view =
            FrameView::parse_tagged(&frame.bytes, self.config.vlan_type).ok_or(DropReason::TooShort)?;
        let transport = Transport::read(&view, &frame.bytes);
        check_offload(frame, &view, transport)?;
        if vlan::hides_headers(frame, self.config.vlan_type) {
            return Err(DropReason::BadOffload);
        }
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
        if !self.config.ip_parsing {
            view.network = Network::Other;
        }
        self.config.filters.check(&view)?;
        let transport = if self.config.ip_parsing {
            transport
        } else {
            Transport::Other
        };
        if transport == Transport::Broken || view.is_broken_ip() && self.config.ip_parsing {
            return Err(DropReason::BrokenPacket);
        }
        port.config.guards.check_sent(&view, transport, &frame.bytes)?;
        let (treatment, undecided) = match self.access.judge(port, &view, transport) {
            Some(Action::Discard) => return Err(DropReason::AccessList),
            Some(Action::Pass(treatment)) => (treatment.clone(), false),
            None => (None, self.access.asks_for_receivers()),
        };
        let on_wire = frame.on_wire();
        self.limit(now, from, &view, on_wire)?;
        let apart = vlan.filter(|_| self.config.vlans_apart);
        self.learn_mac(now, from, MacKey::new(view.source, apart))?;
        self.learn_ip(now, from, &view)?;
        if let Some(ack) = view.dhcp_ack(&frame.bytes) {
            self.learn_lease(now, &ack, apart);
        }
        let route = self.route(now, from, view.destination, apart)?;
        Ok(Admitted {
            from,
            view,
            transport,
            on_wire,
            vlan,
            route,
            treatment,
            undecided,
        })
    }

    /// Refuses what is too much: broadcasts, then bits.
    fn limit(
        &mut self,
        now: Instant,
        from: PortId,
        view: &FrameView,
        on_wire: OnWire,
    ) -> Result<(), DropReason> {
        let Some(port) = self.ports.get_mut(from) else {
            return Ok(());
        };
        let limited = port.config.storm_limit && view.destination.is_multicast();
        if limited
            && !port
                .storms
                .admit(now, view, on_wire.frames, self.config.storm, &self.streams)
        {
            return Err(DropReason::Storm);
        }
        let bits = on_wire.bytes * 8;
        let paid = port.upload.as_mut().is_none_or(|meter| meter.admits(now, bits));
        // Without ARP a station that has used its share up would lose its neighbours.
        if paid || view.is_arp() {
            Ok(())
        } else {
            Err(DropReason::UploadRate)
        }
    }

    /// Learns where the sender is.
    fn learn_mac(&mut self, now: Instant, from: PortId, key: MacKey) -> Result<(), DropReason> {
        let port = self.ports.get(from).ok_or(DropReason::UnknownPort)?;
        let of_bridge = port.config.kind == PortKind::LocalBridge;
        let checked = port.config.check_mac && (self.config.bridges_check_mac || !of_bridge);
        let sighting = Sighting {
            port: from,
            limit: port.config.max_macs.unwrap_or(self.config.macs_per_port),
            take_over_after: checked.then_some(TAKE_OVER_AFTER),
        };
        self.macs
            .see(now, key, MacStation, sighting)
            .map_err(|refused| match refused {
                Refused::InUse => DropReason::MacInUse,
                Refused::PortLimit => DropReason::MacLimit,
                Refused::Full => DropReason::MacTableFull,
            })
    }

    /// Lists the sender's IP address. Only what the port itself is bound to stops the frame.
    fn learn_ip(&mut self, now: Instant, from: PortId, view: &FrameView) -> Result<(), DropReason> {
        let port = self.ports.get(from).ok_or(DropReason::UnknownPort)?;
        let config = &port.config;
        if config.leased_only
            && let Some(ip) = claimed_ipv4(view)
        {
            let entry = self.ips.get(now, IpKey(ip.into()));
            if !entry.is_some_and(|entry| entry.station.leased && entry.port == from) {
                return Err(DropReason::NotLeased);
            }
        }
        let Some(ip) = shown_ip(view, &self.config).filter(|_| self.config.ip_table) else {
            return Ok(());
        };
        let (own_limit, exclusive) = match ip {
            IpAddr::V4(_) => (config.max_ipv4, config.check_ipv4 || config.leased_only),
            IpAddr::V6(_) => (config.max_ipv6, config.check_ipv6),
        };
        let sighting = Sighting {
            port: from,
            limit: own_limit.unwrap_or(self.config.ips_per_port),
            take_over_after: exclusive.then_some(TAKE_OVER_AFTER),
        };
        let station = IpStation {
            mac: view.source,
            leased: false,
        };
        match self.ips.see(now, IpKey(ip), station, sighting) {
            Err(Refused::InUse) => Err(DropReason::IpInUse),
            Err(Refused::PortLimit) if own_limit.is_some() => Err(DropReason::IpLimit),
            _ => Ok(()),
        }
    }

    /// Lists the address that a DHCP server gives to a station whose port is known, whatever else the table lists, and
    /// reports it if it is news.
    fn learn_lease(&mut self, now: Instant, ack: &DhcpAck, vlan: Option<VlanId>) {
        let Some(port) = self
            .macs
            .get(now, MacKey::new(ack.client, vlan))
            .map(|entry| entry.port)
        else {
            return;
        };
        let ip = IpAddr::V4(ack.address);
        let known = self.ips.get(now, IpKey(ip)).is_some_and(|entry| {
            entry.station.leased && entry.station.mac == ack.client && entry.port == port
        });
        let limit = self
            .ports
            .get(port)
            .and_then(|p| p.config.max_ipv4)
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
}

/// The IPv4 address that the sender of a frame uses, as its own or in the name of another.
fn claimed_ipv4(view: &FrameView) -> Option<Ipv4Addr> {
    let ip = match &view.network {
        Network::Ipv4(ip) => ip.source,
        Network::Arp(arp) => arp.sender,
        Network::Ipv6(_) | Network::Other => return None,
    };
    (!ip.is_unspecified()).then_some(ip)
}

/// Whether the frame and its offload description belong together, and what a wire would carry for it has an ordinary
/// length.
fn check_offload(frame: &Frame, view: &FrameView, transport: Transport) -> Result<(), DropReason> {
    let offload = &frame.offload;
    if frame.len() > MAX_SUPER_FRAME || offload.longest_piece(view, &frame.bytes) > MAX_PLAIN_FRAME {
        return Err(DropReason::TooLong);
    }
    if offload.fits(frame.len()) && offload.is_true_of(view, transport, &frame.bytes) {
        Ok(())
    } else {
        Err(DropReason::BadOffload)
    }
}
