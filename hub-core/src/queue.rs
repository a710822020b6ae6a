//! A queue of frames bounded by bytes: many threads push, one task receives, nobody ever waits to push.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Frame;
use crate::flows::Flows;

/// What a queued frame costs on top of its bytes: its place in the queue and its share in a buffer's
/// bookkeeping. Without it a queue of many tiny frames would hold several times its bound.
pub const FRAME_COST: usize = mem::size_of::<Frame>() + 16;

/// Places that an emptied queue keeps when it gives back the memory of a burst.
const KEEP_CAPACITY: usize = 512;

/// A receiver lags when this part of the capacity waits for it.
const LAG: usize = 4;

/// What waits first come, first served in a queue with turns, before flows are told from each other: one batch of a receiver
/// that keeps up, who is spared the trouble.
const IN_LINE: usize = 64 * 1024;

/// The queue was closed and everything in it has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the port is closed")]
pub struct Closed;

/// Frames on their way to one receiver.
///
/// The frames held never cost more than the capacity, where each costs its bytes and [`FRAME_COST`]. A frame
/// that finds no room is dropped and counted (the newest, as every switch does; in a queue with turns, one of the flow
/// that takes most room): a slow receiver loses frames and holds up nobody. Every frame pushed is received, or still queued, or counted as dropped.
///
/// There is one receiver: a second task that waits takes the first one's place in being woken.
#[derive(Debug)]
pub struct FrameQueue {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Frame>,
    /// What came after them while the receiver lagged, where flows have turns.
    flows: Option<Box<Flows>>,
    /// Cost of both, at most the capacity.
    cost: usize,
    closed: bool,
    /// Set only while the receiver waits, hence only while nothing is queued: so the first push of a
    /// burst wakes, and the others find nobody to wake.
    receiver: Option<Waker>,
    dropped: Dropped,
}

/// Frames that found no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How many.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FrameQueue {
    /// An empty queue for frames that cost at most `capacity` bytes together. Less than
    /// [`MAX_SUPER_FRAME`](crate::frame::MAX_SUPER_FRAME) shuts the longest frames out.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            state: Mutex::default(),
        }
    }

    /// The same, in which flows have turns while the receiver lags: what waits for a slow socket, where one flow would
    /// hold up the others.
    pub fn with_turns(capacity: usize) -> Self {
        let queue = Self::new(capacity);
        queue.lock().flows = Some(Box::default());
        queue
    }

    /// Appends `frame`, and wakes the receiver if it waits. `false`: a frame was lost, this one or in a queue with turns
    /// another; [`dropped`](Self::dropped) counts them.
    pub fn push(&self, frame: Frame) -> bool {
        let (lost, wake) = {
            let mut state = self.lock();
            let before = state.dropped.frames;
            let accepted = state.push(frame, self.capacity).is_ok();
            let lost = state.dropped.frames - before;
            (lost, if accepted { state.receiver.take() } else { None })
        };
        if let Some(receiver) = wake {
            receiver.wake();
        }
        lost == 0
    }

    /// Appends what `frames` holds and empties it, under one lock; `refused` gets each frame that finds no
    /// room. Returns the receiver if it must be woken: the caller does it when it holds no lock itself.
    pub(crate) fn push_batch(
        &self,
        frames: &mut Vec<Frame>,
        refused: &mut dyn FnMut(&Frame),
    ) -> Option<Waker> {
        let mut state = self.lock();
        for frame in frames.drain(..) {
            if let Err(frame) = state.push(frame, self.capacity) {
                refused(&frame);
            }
        }
        if state.len() == 0 {
            None
        } else {
            state.receiver.take()
        }
    }

    /// Waits for frames and appends them to `out`: at least one, then more while their bytes stay within
    /// `max_bytes`.
    ///
    /// # Errors
    /// [`Closed`] once the queue is closed and empty.
    pub async fn recv_batch(&self, out: &mut Vec<Frame>, max_bytes: usize) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_recv_batch(cx, out, max_bytes)).await
    }

    /// [`recv_batch`](Self::recv_batch) for hand-written futures.
    pub fn poll_recv_batch(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Frame>,
        max_bytes: usize,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.lock();
        if state.pop(out, max_bytes) > 0 {
            return Poll::Ready(Ok(()));
        }
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        // A replaced waker may own its task, and the task a port of this queue: it must fall outside the
        // lock.
        let replaced = match &state.receiver {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => state.receiver.replace(cx.waker().clone()),
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// [`recv_batch`](Self::recv_batch) without waiting: how many frames were appended, which may be none.
    ///
    /// # Errors
    /// [`Closed`] once the queue is closed and empty.
    pub fn try_recv_batch(&self, out: &mut Vec<Frame>, max_bytes: usize) -> Result<usize, Closed> {
        let mut state = self.lock();
        match state.pop(out, max_bytes) {
            0 if state.closed => Err(Closed),
            received => Ok(received),
        }
    }

    /// Refuses further frames. What is queued can still be received, then the receiver learns of the end.
    pub fn close(&self) {
        let receiver = {
            let mut state = self.lock();
            state.closed = true;
            state.receiver.take()
        };
        if let Some(receiver) = receiver {
            receiver.wake();
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Frames dropped since the queue was made.
    pub fn dropped(&self) -> Dropped {
        self.lock().dropped
    }

    /// Frames waiting to be received.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no frame waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing under this lock can panic half-way, so a poisoned state is a sound one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn len(&self) -> usize {
        self.frames.len() + self.flows.as_ref().map_or(0, |flows| flows.len())
    }

    fn push(&mut self, mut frame: Frame, capacity: usize) -> Result<(), Frame> {
        let cost = cost_of(&frame);
        if self.closed || cost > capacity || !self.make_room(cost, capacity) {
            self.lose(&frame);
            return Err(frame);
        }
        // A frame is a slice of the buffer it was read into, and one short frame keeps all of that buffer. While the
        // receiver keeps up it does not matter; when it lags, the frames that wait for it get bytes of their own.
        if self.cost > capacity / LAG {
            frame.bytes = Bytes::copy_from_slice(&frame.bytes);
        }
        let lags = self.cost > 0 && self.cost + cost > IN_LINE;
        self.cost += cost;
        match &mut self.flows {
            // Who has begun to wait in a flow is not overtaken by what comes later.
            Some(flows) if lags || !flows.is_empty() => flows.push(frame),
            _ => self.frames.push_back(frame),
        }
        Ok(())
    }

    /// Whether there is room for `cost`, for which the longest flow loses frames.
    fn make_room(&mut self, cost: usize, capacity: usize) -> bool {
        while cost > capacity - self.cost {
            let Some(frame) = self.flows.as_mut().and_then(|flows| flows.pop_of_longest()) else {
                return false;
            };
            self.cost -= cost_of(&frame);
            self.lose(&frame);
        }
        true
    }

    fn lose(&mut self, frame: &Frame) {
        self.dropped.frames += 1;
        self.dropped.bytes += frame.len() as u64;
    }

    fn pop(&mut self, out: &mut Vec<Frame>, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let mut fits = |frame: &Frame| {
            let first = bytes == 0;
            bytes += frame.len().max(1);
            first || bytes <= max_bytes
        };
        let before = out.len();
        let in_line = self.frames.iter().take_while(|frame| fits(frame)).count();
        let all = in_line == self.frames.len();
        out.extend(self.frames.drain(..in_line));
        if let Some(flows) = self.flows.as_mut().filter(|_| all) {
            while flows.front().is_some_and(&mut fits) {
                out.extend(flows.pop());
            }
        }
        self.cost -= out[before..].iter().map(cost_of).sum::<usize>();
        if self.frames.is_empty() && self.frames.capacity() > 4 * KEEP_CAPACITY {
            self.frames.shrink_to(KEEP_CAPACITY);
        }
        out.len() - before
    }
}

fn cost_of(frame: &Frame) -> usize {
    frame.len() + FRAME_COST
}
