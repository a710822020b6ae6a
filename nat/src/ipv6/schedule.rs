//! When a router speaks without being asked, and how often it answers (RFC 4861 §6.2.4, §6.2.6).

use std::time::{Duration, Instant};

use hub_core::MacAddr;

/// The pause between two advertisements, seconds (MaxRtrAdvInterval and a third of it).
const PAUSE: std::ops::Range<u64> = 200..600;
/// The first ones follow each other sooner, so that stations that were there before us need not wait.
const INITIAL: u32 = 3;
const INITIAL_PAUSE: Duration = Duration::from_secs(16);
/// The least time between two that go to everybody (MIN_DELAY_BETWEEN_RAS).
const DISTANCE: Duration = Duration::from_secs(3);
/// Stations answered one by one in a second; more are told together.
const ANSWERS: u32 = 50;
const SECOND: Duration = Duration::from_secs(1);

/// The router's calendar.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    last: Option<Instant>,
    next: Option<Instant>,
    /// Advertisements that still count as first ones.
    initial: u32,
    /// When the present second of answers began, and how many it has had.
    answers: Option<(Instant, u32)>,
    dice: u64,
}

impl Schedule {
    /// Pauses are random so that routers do not fall into step. Each has an address of its own, and that is seed enough.
    pub(super) fn seed(&mut self, mac: MacAddr) {
        let [a, b, c, d, e, f] = mac.octets();
        self.dice = u64::from_be_bytes([1, 0, a, b, c, d, e, f]);
    }

    /// The router begins to speak; [`Schedule::hurry`] says when.
    pub(super) fn begin(&mut self) {
        self.initial = INITIAL;
        self.next = None;
    }

    /// When it speaks next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// It has told everybody.
    pub(super) fn told(&mut self, now: Instant) {
        self.initial = self.initial.saturating_sub(1);
        let pause = if self.initial > 0 {
            INITIAL_PAUSE
        } else {
            self.pause()
        };
        (self.last, self.next) = (Some(now), Some(now + pause));
    }

    /// There is news for everybody: whether to tell it now. Otherwise it is told as soon as the distance allows.
    pub(super) fn hurry(&mut self, now: Instant) -> bool {
        let earliest = self.last.map_or(now, |last| last + DISTANCE);
        if earliest <= now {
            return true;
        }
        self.next = Some(earliest);
        false
    }

    /// Whether one station may still be answered for itself.
    pub(super) fn may_answer(&mut self, now: Instant) -> bool {
        let (began, answered) = self
            .answers
            .filter(|(began, _)| now.duration_since(*began) < SECOND)
            .unwrap_or((now, 0));
        self.answers = Some((began, answered.saturating_add(1)));
        answered < ANSWERS
    }

    fn pause(&mut self) -> Duration {
        // Knuth's linear congruence (MMIX); its upper bits are the random ones.
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let span = PAUSE.end - PAUSE.start;
        Duration::from_secs(PAUSE.start + (self.dice >> 33) % span)
    }
}
