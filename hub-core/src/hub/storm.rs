//! Broadcast storms: when they begin, and what then still passes (policies §1).

use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use super::config::StormLimit;
use crate::frame::FrameView;
use crate::hash::SeededState;
use crate::rate::Meter;

/// How long broadcasts may be too many before the limit holds, where it is not strict.
const GRACE: Duration = Duration::from_millis(1500);

/// Streams of broadcasts of one port that are told apart; more of them share limits.
const PLACES: usize = 64;

/// The broadcasts of one port: those of one station and one protocol are a
/// stream, and each has the limit to itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Storms(Vec<Stream>);

#[derive(Clone, Debug)]
struct Stream {
    meter: Meter,
    /// Since when there have been too many.
    excess: Option<Instant>,
}

impl Storms {
    /// Whether one more broadcast may pass, or a super-frame that stands for several.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        view: &FrameView,
        frames: u64,
        limit: StormLimit,
        hasher: &SeededState,
    ) -> bool {
        if self.0.is_empty() {
            let stream = Stream {
                meter: Meter::new(limit.per_second),
                excess: None,
            };
            self.0 = vec![stream; PLACES];
        }
        let place = hasher.hash_one(stream_of(view)) as usize % PLACES;
        self.0[place].admit(now, frames, limit.strict)
    }

    /// Begins anew, with another limit.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Stream {
    fn admit(&mut self, now: Instant, frames: u64, strict: bool) -> bool {
        if self.meter.is_idle(now) {
            self.excess = None;
        }
        if self.meter.admits(now, frames) {
            return true;
        }
        let since = *self.excess.get_or_insert(now);
        !strict && now.saturating_duration_since(since) < GRACE
    }
}

/// What makes broadcasts one stream: who sends them, and of which protocol they are.
fn stream_of(view: &FrameView) -> [u64; 2] {
    [view.source.to_u64(), view.ethertype.into()]
}
