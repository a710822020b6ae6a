//! Token buckets, told as the time until which a sender has paid.

use std::time::{Duration, Instant};

/// What a sender may send at once beyond its rate: as much as it may in this time.
const BURST: Duration = Duration::from_secs(1);

/// A limit in bits or frames a second, with a burst of a second's worth.
///
/// This is the generic cell rate algorithm (ITU-T I.371): every frame is paid for with the time that it takes at this
/// rate, and may go while no more than [`BURST`] is owed. A frame that is longer than the burst goes when nothing is owed
/// and is paid for after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    rate: u32,
    paid_until: Option<Instant>,
}

impl Meter {
    /// A limit of `rate` units a second; of at least one.
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1),
            paid_until: None,
        }
    }

    /// Whether nothing is owed.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        self.paid_until.is_none_or(|paid| paid <= now)
    }

    /// Whether `units` more may go now; if so, they are paid for.
    pub(crate) fn admits(&mut self, now: Instant, units: u64) -> bool {
        let price = Duration::from_nanos(units.saturating_mul(1_000_000_000) / u64::from(self.rate));
        let begins = self.paid_until.map_or(now, |paid| paid.max(now));
        if begins + price > now + BURST && begins > now {
            return false;
        }
        self.paid_until = Some(begins + price);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_passes_at_once_and_then_the_rate() {
        let mut meter = Meter::new(8_000);
        let start = Instant::now();
        let mut sent = |at: Duration| (0..10).filter(|_| meter.admits(start + at, 1_000)).count();
        assert_eq!(sent(Duration::ZERO), 8);
        assert_eq!(sent(Duration::from_millis(250)), 2);
        assert_eq!(sent(Duration::from_millis(300)), 0);
        assert_eq!(sent(Duration::from_secs(60)), 8);
    }

    #[test]
    fn a_frame_longer_than_the_burst_goes_when_nothing_is_owed() {
        let mut meter = Meter::new(1_000);
        let start = Instant::now();
        assert!(meter.admits(start, 12_000));
        assert!(!meter.admits(start + Duration::from_millis(11_900), 12_000));
        assert!(meter.admits(start + Duration::from_secs(12), 12_000));
    }
}
