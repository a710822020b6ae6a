//! Addresses that are asked for before they are offered (RFC 2131 §3.1 step 2, RFC 5227 §2.1.1).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::client::{Client, ClientKey};
use super::leases::Binding;
use super::message::Message;

/// How long somebody who uses the address has to say so. Stations are as far away as their VPN: this covers nearly every
/// path on earth, and no client's patience is shorter than a second.
const WAIT: Duration = Duration::from_millis(300);
/// Offers that wait at one time. A flood of discoveries beyond it is answered without asking first.
const MAX_PROBES: usize = 256;

/// An offer that waits for its probe.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) request: Message,
    pub(crate) client: Client,
    /// When it was asked.
    pub(crate) asked: Instant,
    /// Addresses of others that this client has run into.
    pub(crate) conflicts: u32,
    /// The lease in force that the offer took the place of.
    pub(crate) former: Option<Binding>,
}

/// The offers that wait, by their address.
#[derive(Debug, Default)]
pub(crate) struct Probes(HashMap<Ipv4Addr, Probe>);

impl Probes {
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_PROBES
    }

    pub(crate) fn begin(&mut self, ip: Ipv4Addr, probe: Probe) {
        self.0.insert(ip, probe);
    }

    /// Takes a repeated question in the place of the one that waits. Whether one does.
    pub(crate) fn repeat(&mut self, ip: Ipv4Addr, client: &ClientKey, request: &Message) -> bool {
        match self.0.get_mut(&ip).filter(|probe| probe.client.key == *client) {
            Some(probe) => {
                probe.request = request.clone();
                true
            }
            None => false,
        }
    }

    /// When the next answer is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.values().map(|probe| probe.asked + WAIT).min()
    }

    /// Those whose time is up.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<(Ipv4Addr, Probe)> {
        let mut due: Vec<_> = self.0.extract_if(|_, probe| probe.asked + WAIT <= now).collect();
        due.sort_by_key(|(_, probe)| probe.asked);
        due
    }
}
