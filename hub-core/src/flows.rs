//! Frames that wait, flow by flow: the discipline of a queue whose receiver lags.
//!
//! First come, first served lets one download hold up every call beside it. Here each flow waits behind itself: the flows have
//! turns (deficit round robin, Shreedhar and Varghese 1995), and one that has just begun, or sends so little that it never
//! lags, has the first one (RFC 8290, section 1.1, without its timer: the queue is bounded by bytes). When room is wanted, the
//! flow that takes most of it loses the frame that has waited longest, of which TCP learns soonest.

use std::collections::{BTreeMap, VecDeque};

use crate::Frame;
use crate::frame::FrameView;

/// Flows that are told from each other; more of them share.
const FLOWS: u32 = 256;
/// What a flow may send in one turn: a few frames, or a part of a super-frame, for which it then waits some turns.
const QUANTUM: isize = 16 * 1024;

type Key = u32;

/// Frames of several flows. The order within a flow is the one in which they came.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: BTreeMap<Key, Flow>,
    /// Flows that have begun to wait: before all others, once.
    fresh: VecDeque<Key>,
    turns: VecDeque<Key>,
    frames: usize,
}

#[derive(Debug)]
struct Flow {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// What it may still send in this turn.
    credit: isize,
}

impl Flows {
    pub(crate) fn len(&self) -> usize {
        self.frames
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    pub(crate) fn push(&mut self, frame: Frame) {
        let key = FrameView::parse(&frame.bytes).map_or(0, |view| view.flow_hash() % FLOWS);
        let flow = self.flows.entry(key).or_insert_with(|| {
            self.fresh.push_back(key);
            Flow {
                frames: VecDeque::new(),
                bytes: 0,
                credit: QUANTUM,
            }
        });
        flow.bytes += frame.len();
        flow.frames.push_back(frame);
        self.frames += 1;
    }

    /// The frame whose turn it is.
    pub(crate) fn front(&mut self) -> Option<&Frame> {
        let key = self.settle()?;
        self.flows.get(&key)?.frames.front()
    }

    /// Takes the frame whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<Frame> {
        let key = self.settle()?;
        let flow = self.flows.get_mut(&key)?;
        let frame = flow.take()?;
        flow.credit -= isize::try_from(frame.len()).unwrap_or(isize::MAX);
        self.took_one();
        Some(frame)
    }

    /// Takes the frame that has waited longest in the flow that takes most room.
    pub(crate) fn pop_of_longest(&mut self) -> Option<Frame> {
        let frame = self.flows.values_mut().max_by_key(|flow| flow.bytes)?.take()?;
        self.took_one();
        Some(frame)
    }

    fn took_one(&mut self) {
        self.frames -= 1;
        if self.frames == 0 {
            *self = Self::default();
        }
    }

    /// Brings a flow that has a frame and may send it to the front of its list; which one it is.
    fn settle(&mut self) -> Option<Key> {
        if self.is_empty() {
            return None;
        }
        loop {
            let fresh = !self.fresh.is_empty();
            let list = if fresh { &mut self.fresh } else { &mut self.turns };
            let key = *list.front()?;
            let flow = self.flows.get_mut(&key)?;
            if flow.credit > 0 && !flow.frames.is_empty() {
                return Some(key);
            }
            list.pop_front();
            if flow.credit <= 0 {
                flow.credit += QUANTUM;
                self.turns.push_back(key);
            } else if fresh {
                // One that has its first turn again and again would keep the others from theirs.
                self.turns.push_back(key);
            } else {
                self.flows.remove(&key);
            }
        }
    }
}

impl Flow {
    fn take(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}
