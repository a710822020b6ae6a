//! The packet logs of hubs: what their taps caught becomes lines.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hub_core::hub::{TapConfig, Tapped};
use jiff::{SignedDuration, ZonedDateTime};

use crate::hubs::VirtualHub;
use crate::logfile::{self, Addresses, PacketRule};
use crate::server::Server;
use crate::store::{self, HubOption};

/// How often taps are emptied.
pub(crate) const INTERVAL: Duration = Duration::from_millis(200);

const MINUTE: Duration = Duration::from_secs(60);

/// What a hub's settings ask its tap for.
pub(crate) fn tap(hub: &store::Hub) -> Option<TapConfig> {
    hub.logs.packet.then(|| TapConfig {
        levels: hub.logs.classes.map(|level| u8::try_from(level).unwrap_or(0)),
        no_ipv4: hub.options.is_on(HubOption::NoIpv4PacketLog),
        no_ipv6: hub.options.is_on(HubOption::NoIpv6PacketLog),
    })
}

/// What a hub's options say of the lines of its packet log.
pub(crate) fn rule(hub: &store::Hub) -> PacketRule {
    PacketRule {
        physical_addresses: !hub.options.is_on(HubOption::NoPhysicalIpOnPacketLog),
        http: !hub.options.is_on(HubOption::DisableHttpParsing),
        per_minute: hub.options.get(HubOption::MaxLoggedPacketsPerMinute),
    }
}

/// How many lines the sessions of a hub have had in the minute that is passing.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    since: Option<Instant>,
    lines: HashMap<String, u32>,
}

impl Budget {
    /// Whether one more line of this session is within the limit; 0 is none.
    fn take(&self, session: &str, at: Instant, limit: u32) -> bool {
        if limit == 0 {
            return true;
        }
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent
            .since
            .is_none_or(|since| at.saturating_duration_since(since) >= MINUTE)
        {
            *spent = Spent {
                since: Some(at),
                lines: HashMap::new(),
            };
        }
        let lines = spent.lines.entry(session.to_owned()).or_default();
        *lines = lines.saturating_add(1);
        *lines <= limit
    }
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
        let Some(rule) = self.logs.packet_rule(&hub.name) else {
            return;
        };
        let (now, wall) = (Instant::now(), ZonedDateTime::now());
        for tapped in &taken.frames {
            if !hub.packet_budget.take(&tapped.from, tapped.at, rule.per_minute) {
                continue;
            }
            let ago = SignedDuration::try_from(now.saturating_duration_since(tapped.at)).unwrap_or_default();
            let at = wall.checked_sub(ago).unwrap_or_else(|_| wall.clone());
            let addresses = rule.physical_addresses.then(|| self.addresses(hub, tapped));
            let line = logfile::packet_line(&at, tapped, addresses, rule.http);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_has_so_many_lines_a_minute() {
        let budget = Budget::default();
        let begin = Instant::now();
        let taken =
            |session: &str, seconds: u64| budget.take(session, begin + Duration::from_secs(seconds), 2);
        assert_eq!(
            [taken("A", 0), taken("A", 1), taken("A", 59), taken("B", 59)],
            [true, true, false, true]
        );
        assert!(taken("A", 60));
        assert!((0..9).all(|_| budget.take("A", begin, 0)));
    }
}
