//! The packet logs of hubs: what their taps caught becomes lines.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hub_core::hub::{TapConfig, Tapped};
use jiff::{SignedDuration, ZonedDateTime};

use crate::hubs::VirtualHub;
use crate::logfile::{self, Addresses};
use crate::server::Server;
use crate::store::{self, HubOption};

/// How often taps are emptied.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

/// What a hub's settings ask its tap for.
pub(crate) fn tap(hub: &store::Hub) -> Option<TapConfig> {
    hub.logs.packet.then(|| TapConfig {
        levels: hub.logs.classes.map(|level| u8::try_from(level).unwrap_or(0)),
        no_ipv4: hub.options.is_on(HubOption::NoIpv4PacketLog),
        no_ipv6: hub.options.is_on(HubOption::NoIpv6PacketLog),
    })
}

impl Server {
    /// Writes what the taps of all hubs have caught.
    pub fn log_packets(&self) {
        for hub in self.hubs.all() {
            self.log_packets_of(&hub);
        }
    }

    /// Writes what the tap of one hub has caught.
    pub(crate) fn log_packets_of(&self, hub: &VirtualHub) {
        let taken = hub.switch.with(hub_core::Hub::take_tapped);
        self.logs.add_lost(taken.lost);
        if taken.frames.is_empty() {
            return;
        }
        let Some(physical) = self.logs.packet_rule(&hub.name) else {
            return;
        };
        let (now, wall) = (Instant::now(), ZonedDateTime::now());
        for tapped in &taken.frames {
            let ago = SignedDuration::try_from(now.saturating_duration_since(tapped.at)).unwrap_or_default();
            let at = wall.checked_sub(ago).unwrap_or_else(|_| wall.clone());
            let addresses = physical.then(|| self.addresses(hub, tapped));
            let line = logfile::packet_line(&at, tapped, addresses);
            self.logs.packet(&hub.name, &at, line);
        }
    }

    /// Where the clients of a frame's two sessions are.
    fn addresses(&self, hub: &VirtualHub, tapped: &Tapped) -> Addresses {
        let of = |session: &str| -> Option<IpAddr> {
            Some(self.sessions.named(&hub.name, session)?.origin.peer.ip())
        };
        Addresses {
            from: of(&tapped.from),
            to: tapped.to.as_deref().and_then(of),
        }
    }
}
