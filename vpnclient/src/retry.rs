//! When to try again after a connection could not be made.

use std::time::Duration;

use protocol::error::ErrorCode;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The first pause; it doubles up to the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The pause after refusals that pass only when someone else does something (protocol §12).
const SLOW: Duration = Duration::from_secs(60);

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It can, soon: with growing pauses.
    Soon,
    /// It can, when someone else has done something: once a minute.
    Slowly,
    /// It cannot: the user has to change something, and more tries could lock them out.
    Never,
}

/// What a server's refusal means for trying again.
pub fn verdict(code: ErrorCode) -> Verdict {
    match code.code() {
        // Broken connections, sessions that ended, and troubles of the server itself.
        1..=4 | 11 | 13..=15 | 17 | 18 | 23 | 48 | 49 | 111 | 113 | 148 => Verdict::Soon,
        // The hub is missing or offline, or full in one way or another.
        8 | 10 | 16 | 20 | 21 | 63 | 103..=105 | 114 | 115 | 130 => Verdict::Slowly,
        _ => Verdict::Never,
    }
}

/// How often to try again, and how long to wait in between at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Tries again after one another that fail; `None` is for ever.
    pub tries: Option<u32>,
    /// The longest pause before a try that can help soon.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: None,
            longest: LONGEST,
        }
    }
}

/// Growing pauses between tries, spread so that the clients of a restarted server do not come all at once.
#[derive(Debug)]
pub struct Backoff {
    rng: StdRng,
    patience: Patience,
    tries: u32,
    /// Those that count for the length of the pause: the network may have changed in between.
    in_a_row: u32,
}

impl Backoff {
    /// No try yet; `seed` decides the spread.
    pub fn new(seed: u64, patience: Patience) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            patience,
            tries: 0,
            in_a_row: 0,
        }
    }

    /// The pause before the next try; `None` when there should be none.
    pub fn next(&mut self, verdict: Verdict) -> Option<Duration> {
        if self.patience.tries.is_some_and(|tries| self.tries >= tries) {
            return None;
        }
        let whole = match verdict {
            Verdict::Never => return None,
            Verdict::Slowly => SLOW,
            Verdict::Soon => FIRST
                .saturating_mul(1 << self.in_a_row.min(16))
                .min(self.patience.longest),
        };
        self.tries = self.tries.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Half of it is certain, half is chance; the slow ones are never shorter than they should be.
        let part = self.rng.random_range(0.0..1.0);
        Some(match verdict {
            Verdict::Slowly => whole.mul_f64(1.0 + part / 4.0),
            _ => whole.mul_f64(0.5 + part / 2.0),
        })
    }

    /// A connection was made and held: the next pauses begin anew.
    pub fn reset(&mut self) {
        self.tries = 0;
        self.in_a_row = 0;
    }

    /// The network is another one: how long the last one failed says nothing about it.
    pub fn shorten(&mut self) {
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_credentials_are_never_tried_again() {
        for code in [7, 9, 12, 51, 52, 85, 87, 107, 108, 109, 124, 127] {
            assert_eq!(verdict(ErrorCode::from_code(code)), Verdict::Never, "{code}");
        }
    }

    #[test]
    fn an_offline_hub_and_full_ones_are_tried_once_a_minute() {
        let mut backoff = Backoff::new(7, Patience::default());
        for code in [10, 16, 20, 21] {
            assert_eq!(verdict(ErrorCode::from_code(code)), Verdict::Slowly, "{code}");
            let pause = backoff.next(Verdict::Slowly).unwrap();
            assert!((60.0..=75.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_success() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(seed, Patience::default());
            for whole in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] {
                let pause = backoff.next(Verdict::Soon).unwrap().as_secs_f64();
                assert!((whole / 2.0..=whole).contains(&pause), "{pause} of {whole}");
            }
            backoff.reset();
            assert!(backoff.next(Verdict::Soon).unwrap() <= FIRST);
        }
    }

    #[test]
    fn patience_that_is_bounded_ends_and_shortens_the_pauses() {
        let patience = Patience {
            tries: Some(3),
            longest: Duration::from_secs(5),
        };
        let mut backoff = Backoff::new(1, patience);
        for _ in 0..3 {
            assert!(backoff.next(Verdict::Soon).unwrap() <= patience.longest);
        }
        assert_eq!(backoff.next(Verdict::Soon), None);
        backoff.reset();
        assert!(backoff.next(Verdict::Soon).is_some());
    }

    #[test]
    fn clients_of_one_server_do_not_come_all_at_once() {
        let pauses = [1, 2, 3].map(|seed| Backoff::new(seed, Patience::default()).next(Verdict::Soon));
        assert!(pauses[0] != pauses[1] && pauses[1] != pauses[2]);
    }

    #[test]
    fn there_is_no_pause_before_a_try_that_cannot_help() {
        assert_eq!(Backoff::new(1, Patience::default()).next(Verdict::Never), None);
    }

    #[test]
    fn another_network_shortens_the_pauses_and_is_no_success() {
        let patience = Patience {
            tries: Some(6),
            ..Patience::default()
        };
        let mut backoff = Backoff::new(7, patience);
        for _ in 0..5 {
            backoff.next(Verdict::Soon);
        }
        backoff.shorten();
        assert!(backoff.next(Verdict::Soon).unwrap() <= FIRST);
        assert_eq!(backoff.next(Verdict::Soon), None);
    }
}
