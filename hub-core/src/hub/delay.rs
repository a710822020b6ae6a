//! Frames that an access rule holds back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::PortId;
use crate::Frame;
use crate::access::Treatment;
use crate::dice::Dice;
use crate::queue::FRAME_COST;

/// What the frames that are held back may cost together, in bytes. One more is dropped.
pub const HELD_BYTES: usize = 16 << 20;

/// Frames that will be delivered later, by the time when they are due.
#[derive(Debug, Default)]
pub(super) struct DelayLine {
    held: BTreeMap<(Instant, u64), (PortId, Frame)>,
    /// The cost of what is held, at most [`HELD_BYTES`].
    cost: usize,
    next: u64,
}

impl DelayLine {
    /// Holds `frame` for `to` back until `due`; `false` when there is no room for it.
    pub(super) fn hold(&mut self, due: Instant, to: PortId, frame: &Frame) -> bool {
        let cost = frame.len() + FRAME_COST;
        if self.cost + cost > HELD_BYTES {
            return false;
        }
        self.cost += cost;
        // A slice would keep all of the buffer that the frame was read into.
        let bytes = Bytes::copy_from_slice(&frame.bytes);
        let frame = Frame {
            bytes,
            offload: frame.offload,
        };
        self.held.insert((due, self.next), (to, frame));
        self.next += 1;
        true
    }

    /// A frame whose time has come, in the order of their times.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(PortId, Frame)> {
        let first = self.held.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (to, frame) = first.remove();
        self.cost -= frame.len() + FRAME_COST;
        Some((to, frame))
    }

    /// When the next frame is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((due, _), _)| *due)
    }

    /// Lets go of everything.
    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.cost = 0;
    }
}

/// How long a rule holds one frame back: its delay, give or take its jitter.
pub(super) fn delay_of(treatment: &Treatment, dice: &mut Dice) -> Duration {
    let delay = Duration::from_millis(treatment.delay_ms.into());
    if treatment.jitter_percent == 0 {
        return delay;
    }
    let least = delay * (100 - treatment.jitter_percent) / 100;
    let most = delay * (100 + treatment.jitter_percent) / 100;
    least + (most - least) * dice.below(1001) / 1000
}
