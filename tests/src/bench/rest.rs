//! Round trips while nothing else happens, of two contestants whose tunnels stand at the same time.
//!
//! They differ by a tenth of a millisecond, and the machine by more from minute to minute. So they take short turns, and whatever
//! else the machine does meets both.

use std::time::Duration;

use anyhow::{Context, Result};

use super::options::Options;
use super::ping::{self, RoundTrips};
use super::{Contestant, Path};
use crate::lab::Lab;

/// How many turns each of them has, and how long one is.
const TURNS: usize = 24;
const TURN: Duration = Duration::from_millis(500);

/// What two contestants took, in all their turns.
#[derive(Debug)]
pub struct Rest {
    /// Ours.
    pub ours: RoundTrips,
    /// That of the stock software at its fastest.
    pub stock: RoundTrips,
}

impl Rest {
    /// Our median as a multiple of theirs.
    pub fn ratio(&self) -> f64 {
        self.ours.percentile(50).as_secs_f64() / self.stock.percentile(50).as_secs_f64()
    }

    /// What was found, as a sentence.
    pub fn told(&self) -> String {
        let shown = |trips: &RoundTrips| {
            let [median, tail] = [50, 99].map(|percent| 1e3 * trips.percentile(percent).as_secs_f64());
            format!("{median:.2} ms, 99th percentile {tail:.2} ms")
        };
        format!(
            "Round trips at rest, {TURNS} turns of {:.1} s each, one after the other, while both tunnels stand: vpnserver and vpnclient {}; \
             SoftEther at its fastest {}.",
            TURN.as_secs_f64(),
            shown(&self.ours),
            shown(&self.stock)
        )
    }
}

/// Both contestants, in turns.
pub fn measure(lab: &Lab, options: &Options) -> Result<Rest> {
    let path = |contestant: Contestant| contestant.path(lab, options).context(contestant.title());
    let paths = [path(Contestant::Ours)?, path(Contestant::Stock)?];
    let mut turns: [Vec<RoundTrips>; 2] = Default::default();
    for _ in 0..TURNS {
        for (path, turns) in paths.iter().zip(&mut turns) {
            turns.push(turn(path)?);
        }
    }
    let [ours, stock] = turns.map(RoundTrips::together);
    Ok(Rest { ours, stock })
}

fn turn(path: &Path) -> Result<RoundTrips> {
    ping::round_trips(&path.client, path.far_address, TURN)
}
