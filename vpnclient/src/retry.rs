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

/// How often to try, and after which pauses, where somebody has a say in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retries {
    /// Tries after a failure or a loss, until one is good; unless given as many as it takes.
    pub most: Option<u32>,
    /// The pause between them; unless given pauses that grow. Refusals that need somebody else's help are never followed by a shorter
    /// one than a minute.
    pub pause: Option<Duration>,
}

/// Growing pauses between tries, spread so that the clients of a restarted server do not come all at once.
#[derive(Debug)]
pub struct Backoff {
    rng: StdRng,
    retries: Retries,
    tries: u32,
    /// Those that count for the length of the pause: the network may have changed in between.
    in_a_row: u32,
}

impl Backoff {
    /// No try yet; `seed` decides the spread.
    pub fn new(retries: Retries, seed: u64) -> Self {
        Self {
            rng: StdRng::seed_from_u64(seed),
            retries,
            tries: 0,
            in_a_row: 0,
        }
    }

    /// The pause before the next try; `None` when there should be none.
    pub fn next(&mut self, verdict: Verdict) -> Option<Duration> {
        if verdict == Verdict::Never || self.retries.most.is_some_and(|most| self.tries >= most) {
            return None;
        }
        let soon = self.retries.pause.unwrap_or_else(|| {
            let grown = FIRST.saturating_mul(1 << self.in_a_row.min(16));
            grown.min(LONGEST)
        });
        self.tries = self.tries.saturating_add(1);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let part = self.rng.random_range(0.0..1.0);
        Some(match (verdict, self.retries.pause) {
            (Verdict::Slowly, _) => SLOW.max(soon).mul_f64(1.0 + part / 4.0),
            // A pause that was asked for is kept, but not by all clients to the second.
            (_, Some(pause)) => pause.mul_f64(1.0 + part / 10.0),
            // Half of it is certain, half is chance.
            (_, None) => soon.mul_f64(0.5 + part / 2.0),
        })
    }

    /// A connection was made and held: everything begins anew.
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
        let mut backoff = Backoff::new(Retries::default(), 7);
        for code in [10, 16, 20, 21] {
            assert_eq!(verdict(ErrorCode::from_code(code)), Verdict::Slowly, "{code}");
            let pause = backoff.next(Verdict::Slowly).unwrap();
            assert!((60.0..=75.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew_after_success() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(Retries::default(), seed);
            for whole in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0] {
                let pause = backoff.next(Verdict::Soon).unwrap().as_secs_f64();
                assert!((whole / 2.0..=whole).contains(&pause), "{pause} of {whole}");
            }
            backoff.reset();
            assert!(backoff.next(Verdict::Soon).unwrap() <= FIRST);
        }
    }

    #[test]
    fn clients_of_one_server_do_not_come_all_at_once() {
        let pauses = [1, 2, 3].map(|seed| Backoff::new(Retries::default(), seed).next(Verdict::Soon));
        assert!(pauses[0] != pauses[1] && pauses[1] != pauses[2]);
    }

    #[test]
    fn there_is_no_pause_before_a_try_that_cannot_help() {
        assert_eq!(Backoff::new(Retries::default(), 1).next(Verdict::Never), None);
    }

    #[test]
    fn tries_are_counted_from_the_last_success_and_pauses_are_those_asked_for() {
        let retries = Retries {
            most: Some(3),
            pause: Some(Duration::from_secs(15)),
        };
        let mut backoff = Backoff::new(retries, 7);
        for _ in 0..2 {
            for _ in 0..3 {
                let pause = backoff.next(Verdict::Soon).unwrap().as_secs_f64();
                assert!((15.0..=16.5).contains(&pause), "{pause}");
            }
            assert_eq!(backoff.next(Verdict::Soon), None);
            assert_eq!(backoff.next(Verdict::Slowly), None);
            backoff.reset();
        }
        assert!(backoff.next(Verdict::Slowly).unwrap() >= SLOW);
    }

    #[test]
    fn another_network_shortens_the_pauses_and_is_no_success() {
        let retries = Retries {
            most: Some(6),
            pause: None,
        };
        let mut backoff = Backoff::new(retries, 7);
        for _ in 0..5 {
            backoff.next(Verdict::Soon);
        }
        backoff.shorten();
        assert!(backoff.next(Verdict::Soon).unwrap() <= FIRST);
        assert_eq!(backoff.next(Verdict::Soon), None);
    }
}
