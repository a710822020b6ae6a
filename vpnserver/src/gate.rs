//! The gate: how many strangers may be between the door and a login at once, in all and from one source.
//!
//! Nobody is counted longer than the negotiation may take, so a flood only delays, and only its own source when it has
//! one. The figures are those that the stock server settled on after it had been flooded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Strangers in all.
const TOTAL: usize = 1_000;
/// Strangers of one source: an IPv4 address or an IPv6 /64.
const PER_SOURCE: usize = 256;
/// A source that is turned away is reported at most this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Counts strangers; clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    total: usize,
    sources: HashMap<IpAddr, usize>,
    reported: Option<Instant>,
}

/// One stranger inside; counts until it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    source: IpAddr,
}

/// Why a stranger was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// The source as it is counted.
    pub source: IpAddr,
    /// Which limit was reached.
    pub limit: &'static str,
    /// Whether this one should be reported.
    pub report: bool,
}

impl Gate {
    /// Lets one in, or says why not.
    ///
    /// # Errors
    /// [`TurnedAway`] when a limit is reached.
    pub fn enter(&self, now: Instant, address: IpAddr) -> Result<Pass, TurnedAway> {
        let source = source_of(address);
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = inside.sources.get(&source).copied().unwrap_or_default();
        let limit = if inside.total >= TOTAL {
            Some("too many connections that have not logged in")
        } else if of_source >= PER_SOURCE {
            Some("too many connections of this source that have not logged in")
        } else {
            None
        };
        if let Some(limit) = limit {
            let report = inside
                .reported
                .is_none_or(|last| now.duration_since(last) >= REPORT_INTERVAL);
            if report {
                inside.reported = Some(now);
            }
            return Err(TurnedAway {
                source,
                limit,
                report,
            });
        }
        inside.total += 1;
        inside.sources.insert(source, of_source + 1);
        drop(inside);
        Ok(Pass {
            gate: self.clone(),
            source,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.total -= 1;
        if let Some(count) = inside.sources.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                inside.sources.remove(&self.source);
            }
        }
    }
}

/// An IPv6 subscriber has a /64 and all its addresses.
fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_source_cannot_fill_the_room() {
        let (gate, now) = (Gate::default(), Instant::now());
        let passes: Vec<_> = (0..PER_SOURCE)
            .map(|_| gate.enter(now, address("192.0.2.1")).unwrap())
            .collect();
        assert!(gate.enter(now, address("::ffff:192.0.2.1")).unwrap_err().report);
        assert!(!gate.enter(now, address("192.0.2.1")).unwrap_err().report);
        assert!(gate.enter(now, address("192.0.2.2")).is_ok());
        drop(passes);
        assert!(gate.enter(now, address("192.0.2.1")).is_ok());
        assert!(gate.0.lock().unwrap().sources.is_empty());
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_are_one_source() {
        assert_eq!(
            source_of(address("2001:db8:1:2::1")),
            source_of(address("2001:db8:1:2:ffff::9"))
        );
        assert_ne!(
            source_of(address("2001:db8:1:2::1")),
            source_of(address("2001:db8:1:3::1"))
        );
    }

    #[test]
    fn the_room_has_a_size() {
        let (gate, now) = (Gate::default(), Instant::now());
        let _passes: Vec<_> = (0..TOTAL)
            .map(|i| {
                gate.enter(now, IpAddr::V4((0x0a00_0000 + i as u32).into()))
                    .unwrap()
            })
            .collect();
        assert!(gate.enter(now, address("192.0.2.1")).is_err());
    }
}
