//! Who on the hub has which hardware address, and what waits for the answer to that question (RFC 826).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use hub_core::MacAddr;

use crate::packet::Outgoing;

/// Stations known at one time.
const MAX_KNOWN: usize = 16_384;
/// How long a station that is not heard is believed to be there.
const LIFETIME: Duration = Duration::from_secs(600);
/// Addresses asked for at one time.
const MAX_ASKED: usize = 256;
/// Packets that wait for one address.
const MAX_WAITING: usize = 16;
/// Time between two questions.
const REPEAT: Duration = Duration::from_secs(1);
/// Questions before the packets are given up.
const MAX_QUESTIONS: u32 = 3;

#[derive(Debug)]
struct Known {
    mac: MacAddr,
    heard: Instant,
}

#[derive(Debug)]
struct Asked {
    questions: u32,
    next: Instant,
    waiting: Vec<Outgoing>,
}

/// What to do with a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// Send it to this station.
    Known(MacAddr, Outgoing),
    /// It waits; ask for the address.
    Ask,
    /// It waits, or was given up; nothing to do.
    Wait,
}

/// The stations of one hub, as far as they have been heard.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    known: HashMap<Ipv4Addr, Known>,
    asked: HashMap<Ipv4Addr, Asked>,
}

impl Neighbours {
    /// Notes that `mac` speaks for `ip`; returns the packets that waited for it.
    pub(crate) fn heard(&mut self, now: Instant, ip: Ipv4Addr, mac: MacAddr) -> Vec<Outgoing> {
        if let Some(known) = self.known.get_mut(&ip) {
            *known = Known { mac, heard: now };
        } else {
            if self.known.len() >= MAX_KNOWN {
                self.make_room(now);
            }
            self.known.insert(ip, Known { mac, heard: now });
        }
        if self.asked.is_empty() {
            return Vec::new();
        }
        self.asked
            .remove(&ip)
            .map(|asked| asked.waiting)
            .unwrap_or_default()
    }

    /// The table is full of addresses that somebody made up, or of a very large hub: forget the silent, or anybody.
    fn make_room(&mut self, now: Instant) {
        if self
            .known
            .values()
            .any(|known| now.duration_since(known.heard) >= LIFETIME)
        {
            self.known
                .retain(|_, known| now.duration_since(known.heard) < LIFETIME);
        } else if let Some(anybody) = self.known.keys().next().copied() {
            self.known.remove(&anybody);
        }
    }

    /// Who has `ip`, if it was heard lately.
    pub(crate) fn owner(&self, now: Instant, ip: Ipv4Addr) -> Option<MacAddr> {
        self.known
            .get(&ip)
            .filter(|known| now.duration_since(known.heard) < LIFETIME)
            .map(|known| known.mac)
    }

    /// Who has `ip`, if it was heard at `since` or later.
    pub(crate) fn owner_since(&self, since: Instant, ip: Ipv4Addr) -> Option<MacAddr> {
        let known = self.known.get(&ip).filter(|known| known.heard >= since);
        known.map(|known| known.mac)
    }

    /// Finds the station for a packet that goes to, or by way of, `ip`.
    pub(crate) fn resolve(&mut self, now: Instant, ip: Ipv4Addr, packet: Outgoing) -> Resolution {
        if let Some(mac) = self.owner(now, ip) {
            return Resolution::Known(mac, packet);
        }
        if let Some(asked) = self.asked.get_mut(&ip) {
            if asked.waiting.len() < MAX_WAITING {
                asked.waiting.push(packet);
            }
            return Resolution::Wait;
        }
        if self.asked.len() >= MAX_ASKED {
            return Resolution::Wait;
        }
        self.asked.insert(
            ip,
            Asked {
                questions: 1,
                next: now + REPEAT,
                waiting: vec![packet],
            },
        );
        Resolution::Ask
    }

    /// When [`Neighbours::handle_timeout`] has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.asked.values().map(|asked| asked.next).min()
    }

    /// The addresses to ask for again; packets nobody answered for are given up.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Ipv4Addr> {
        let mut again = Vec::new();
        self.asked.retain(|ip, asked| {
            if asked.next > now {
                return true;
            }
            asked.questions += 1;
            asked.next = now + REPEAT;
            let go_on = asked.questions <= MAX_QUESTIONS;
            if go_on {
                again.push(*ip);
            }
            go_on
        });
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(last: u8) -> Outgoing {
        let to = format!("192.168.30.{last}:1").parse().unwrap();
        Outgoing::udp("192.168.30.1:1".parse().unwrap(), to, b"x")
    }

    #[test]
    fn packets_wait_for_the_answer_and_then_leave_in_order() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::now());
        let (ip, mac) = (Ipv4Addr::new(192, 168, 30, 9), MacAddr::new([2, 0, 0, 0, 0, 9]));
        assert_eq!(neighbours.resolve(now, ip, packet(9)), Resolution::Ask);
        assert_eq!(neighbours.resolve(now, ip, packet(9)), Resolution::Wait);
        assert_eq!(neighbours.heard(now, ip, mac).len(), 2);
        assert_eq!(
            neighbours.resolve(now, ip, packet(9)),
            Resolution::Known(mac, packet(9))
        );
        assert_eq!(
            neighbours.owner(now + LIFETIME, ip),
            None,
            "a silent station is asked for again"
        );
    }

    #[test]
    fn nobody_is_asked_for_more_than_three_times() {
        let (mut neighbours, mut now) = (Neighbours::default(), Instant::now());
        neighbours.resolve(now, packet(9).destination(), packet(9));
        let mut repeated = 0;
        while let Some(at) = neighbours.poll_timeout() {
            now = at;
            repeated += neighbours.handle_timeout(now).len();
        }
        assert_eq!(repeated, 2);
        assert!(neighbours.asked.is_empty());
    }

    #[test]
    fn made_up_addresses_do_not_fill_the_memory() {
        let (mut neighbours, now) = (Neighbours::default(), Instant::now());
        for i in 0..20_000u32 {
            neighbours.heard(now, Ipv4Addr::from_bits(i), MacAddr::new([2; 6]));
        }
        assert_eq!(neighbours.known.len(), MAX_KNOWN);
        for i in 0..1000u32 {
            let [_, _, c, d] = (200_000 + i).to_be_bytes();
            let to: std::net::SocketAddrV4 = format!("10.0.{c}.{d}:1").parse().unwrap();
            let packet = Outgoing::udp("192.168.30.1:1".parse().unwrap(), to, b"x");
            neighbours.resolve(now, *to.ip(), packet);
        }
        assert_eq!(neighbours.asked.len(), MAX_ASKED);
    }
}
