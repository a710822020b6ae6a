//! The way in: what a frame must be to enter the hub, and what the hub learns from it.

use std::time::Instant;

use super::port::{PortId, VlanId};
use super::stations::{IpKey, IpStation, MacKey, MacStation, TAKE_OVER_AFTER, listed_v4, shown_ip};
use super::table::{Refused, Sighting};
use super::{DropReason, Event, Hub, MAX_EVENTS, vlan};
use crate::access::Action;
use crate::frame::{DhcpAck, MAX_PLAIN_FRAME, MAX_SUPER_FRAME, Transport};
use crate::{Frame, FrameView, MacAddr};

/// Where an admitted frame goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    Port(PortId),
    Flood,
}

/// A frame that keeps the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) from: PortId,
    pub(super) view: FrameView,
    pub(super) transport: Transport,
    pub(super) vlan: Option<VlanId>,
    pub(super) route: Route,
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
        let transport = Transport::read(&view, &frame.bytes);
        if transport == Transport::Broken && !self.access.is_empty() {
            return Err(DropReason::HiddenTransport);
        }
        let undecided = match self.access.judge(port, &view, transport) {
            Some(Action::Discard) => return Err(DropReason::AccessList),
            Some(Action::Pass(_)) => false,
            None => self.access.asks_for_receivers(),
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
        Ok(Admitted {
            from,
            view,
            transport,
            vlan,
            route,
            undecided,
        })
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
