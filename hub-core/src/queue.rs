//! A queue of frames bounded by bytes: many threads push, one task receives, nobody ever waits to push.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::Frame;

/// What a queued frame costs on top of its bytes: its place in the queue and its share in a buffer's
/// bookkeeping. Without it a queue of many tiny frames would hold several times its bound.
pub const FRAME_COST: usize = mem::size_of::<Frame>() + 16;

/// Places that an emptied queue keeps when it gives back the memory of a burst.
const KEEP_CAPACITY: usize = 512;

/// A receiver lags when this part of the capacity waits for it.
const LAG: usize = 4;

/// The queue was closed and everything in it has been received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the port is closed")]
pub struct Closed;

/// Frames on their way to one receiver.
///
/// The frames held never cost more than the capacity, where each costs its bytes and [`FRAME_COST`]. A frame
/// that finds no room is dropped and counted (the newest, as every switch does): a slow receiver loses frames
/// and holds up nobody. Every frame pushed is received, or still queued, or counted as dropped.
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
    /// Cost of `frames`, at most the capacity.
    cost: usize,
    closed: bool,
    /// Set only while the receiver waits, hence only while `frames` is empty: so the first push of a
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

    /// Appends `frame`, and wakes the receiver if it waits. `false`: there was no room, or the queue is
    /// closed.
    pub fn push(&self, frame: Frame) -> bool {
        let (accepted, wake) = {
            let mut state = self.lock();
            let accepted = state.push(frame, self.capacity).is_ok();
            (accepted, if accepted { state.receiver.take() } else { None })
        };
        if let Some(receiver) = wake {
            receiver.wake();
        }
        accepted
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
        if state.frames.is_empty() {
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
        self.lock().frames.len()
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
    fn push(&mut self, mut frame: Frame, capacity: usize) -> Result<(), Frame> {
        let cost = frame.len() + FRAME_COST;
        if self.closed || cost > capacity - self.cost {
            self.dropped.frames += 1;
            self.dropped.bytes += frame.len() as u64;
            return Err(frame);
        }
        // A frame is a slice of the buffer it was read into, and one short frame keeps all of that buffer. While the
        // receiver keeps up it does not matter; when it lags, the frames that wait for it get bytes of their own.
        if self.cost > capacity / LAG {
            frame.bytes = Bytes::copy_from_slice(&frame.bytes);
        }
        self.cost += cost;
        self.frames.push_back(frame);
        Ok(())
    }

    fn pop(&mut self, out: &mut Vec<Frame>, max_bytes: usize) -> usize {
        let mut bytes = 0;
        let fitting = |frame: &&Frame| {
            let first = bytes == 0;
            bytes += frame.len().max(1);
            first || bytes <= max_bytes
        };
        let count = self.frames.iter().take_while(fitting).count();
        out.extend(
            self.frames
                .drain(..count)
                .inspect(|frame| self.cost -= frame.len() + FRAME_COST),
        );
        if self.frames.is_empty() && self.frames.capacity() > 4 * KEEP_CAPACITY {
            self.frames.shrink_to(KEEP_CAPACITY);
        }
        count
    }
}
