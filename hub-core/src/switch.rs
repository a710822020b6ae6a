//! A hub shared by threads, with a queue behind every port.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::hub::Counters;
use crate::hub::PortState;
use crate::queue::Dropped;
use crate::relay::wake_all;
use crate::{Closed, Frame, FrameQueue, Hub, PortConfig, PortId};

/// Deliveries collected before they go to the receivers' queues and the lock is let go; bounds what a long batch holds, and for
/// how long. One frame may go beyond it, which a flood does that reaches more ports.
const MAX_COLLECTED: usize = 512;

/// Frames forwarded before the lock is let go, so that who has one frame waits some 20 microseconds for who has thousands.
const FRAMES_PER_HOLD: usize = 256;

/// A [`Hub`] that any thread can send frames through. Cloning shares it.
#[derive(Clone)]
pub struct Switch {
    state: Arc<Mutex<State>>,
}

struct State {
    hub: Hub,
    /// By the port's slot.
    outlets: Vec<Option<Outlet>>,
    /// Deliveries of the batch being sent, numbered; empty between batches, kept for its memory.
    collected: Vec<(PortId, usize, Frame)>,
    /// One receiver's share of them; likewise.
    share: Vec<Frame>,
    /// The hub's [`Hub::detachments`] that `outlets` knows of.
    detachments: u64,
    /// Who waits for the time of the next release to be another one than this.
    timer: Option<(Option<Instant>, Waker)>,
}

/// Where frames for a port go.
struct Outlet {
    id: PortId,
    queue: Arc<FrameQueue>,
}

impl Switch {
    /// Shares `hub`. Ports that it already has are unknown to the switch: nobody receives what they are sent.
    pub fn new(hub: Hub) -> Self {
        let hub_detachments = hub.detachments();
        let state = State {
            hub,
            outlets: Vec::new(),
            collected: Vec::new(),
            share: Vec::new(),
            detachments: hub_detachments,
            timer: None,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Adds a port whose receiver may lag `queue_bytes` behind (see [`FrameQueue`]) before it loses frames.
    pub fn attach(&self, now: Instant, config: PortConfig, queue_bytes: usize) -> Port {
        let queue = Arc::new(FrameQueue::new(queue_bytes));
        let name = config.name.clone();
        let mut state = self.lock();
        let id = state.hub.attach(now, config);
        if state.outlets.len() <= id.slot() {
            state.outlets.resize_with(id.slot() + 1, || None);
        }
        state.outlets[id.slot()] = Some(Outlet {
            id,
            queue: Arc::clone(&queue),
        });
        drop(state);
        let attachment = Attachment {
            switch: self.clone(),
            id,
            name,
            queue,
            last: OnceLock::new(),
        };
        Port {
            attachment: Arc::new(attachment),
        }
    }

    /// Calls `act` with the hub, while no frame is forwarded: for tables, counters and settings. Queues of
    /// ports that `act` detaches are closed. `act` must not use the switch or its ports, nor drop a [`Port`].
    pub fn with<R>(&self, act: impl FnOnce(&mut Hub) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state.hub);
        let orphans = state.take_orphans();
        drop(state);
        for queue in orphans {
            queue.close();
        }
        result
    }

    /// When [`release`](Self::release) is due; pending while that is still the time that is `known`. Somebody must
    /// wait for it and then release, or frames that access rules hold back wait for the next one that is sent. There is
    /// one to be woken: a second takes the first one's place.
    pub fn poll_release(&self, cx: &mut Context<'_>, known: Option<Instant>) -> Poll<Option<Instant>> {
        let mut state = self.lock();
        let next = state.hub.next_release();
        if next != known {
            return Poll::Ready(next);
        }
        // A replaced waker may own a task, and the task a port: it must fall outside the lock.
        let replaced = state.timer.replace((known, cx.waker().clone()));
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Delivers the frames that access rules have held back long enough.
    pub fn release(&self, now: Instant) {
        self.send_with(|state, wake| {
            state.release(now);
            state.flush(wake);
        });
    }

    /// Detaches a port: its last state if it was attached.
    fn detach(&self, id: PortId) -> Option<PortState> {
        let mut state = self.lock();
        let last = state.hub.detach(id)?;
        state.detachments += 1;
        let place = state.outlets.get_mut(id.slot());
        let outlet = place.and_then(|place| place.take_if(|outlet| outlet.id == id));
        drop(state);
        if let Some(outlet) = outlet {
            outlet.queue.close();
        }
        Some(last)
    }

    /// Forwards `frames`, which came from port `from`, a bounded part of them under one lock, and wakes the receivers after each.
    fn send(&self, now: Instant, from: PortId, frames: &mut dyn Iterator<Item = Frame>) {
        let mut more = true;
        while more {
            self.send_with(|state, wake| {
                more = state.forward(now, from, frames);
                state.flush(wake);
            });
        }
    }

    /// Lets `act` put frames into queues under the lock, and wakes their receivers after it.
    fn send_with(&self, act: impl FnOnce(&mut State, &mut Vec<Waker>)) {
        let mut wake = Vec::new();
        let mut state = self.lock();
        act(&mut state, &mut wake);
        let next = state.hub.next_release();
        let timer = state.timer.take_if(|(known, _)| *known != next);
        drop(state);
        wake.extend(timer.map(|(_, waker)| waker));
        wake_all(wake);
    }

    /// A panic under the lock (of an iterator or of [`with`](Self::with)'s closure) ends the thread that
    /// caused it. The hub is sound between any two of its methods, so the others go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Forwards as many frames as one hold of the lock should, and collects the deliveries; whether there may be more.
    fn forward(&mut self, now: Instant, from: PortId, frames: &mut dyn Iterator<Item = Frame>) -> bool {
        self.hub.handle_timeout(now);
        self.release(now);
        let Self { hub, collected, .. } = self;
        for _ in 0..FRAMES_PER_HOLD {
            let Some(frame) = frames.next() else {
                return false;
            };
            hub.forward(now, from, &frame, &mut |to, frame| {
                collected.push((to, collected.len(), frame.clone()));
            });
            if collected.len() >= MAX_COLLECTED {
                break;
            }
        }
        true
    }

    /// Collects what access rules have held back long enough.
    fn release(&mut self, now: Instant) {
        let Self { hub, collected, .. } = self;
        hub.release(now, &mut |to, frame| {
            collected.push((to, collected.len(), frame.clone()));
        });
    }

    /// Hands what was collected to the receivers' queues, each receiver's share at once.
    fn flush(&mut self, wake: &mut Vec<Waker>) {
        let Self {
            hub,
            outlets,
            collected,
            share,
            ..
        } = self;
        // In order within a receiver. Mostly there is one receiver, and nothing to sort.
        collected.sort_unstable_by_key(|(to, number, _)| (to.slot(), *number));
        let mut deliveries = collected.drain(..).peekable();
        while let Some((to, _, frame)) = deliveries.next() {
            share.push(frame);
            if deliveries.peek().is_some_and(|(next, ..)| *next == to) {
                continue;
            }
            let outlet = outlets
                .get(to.slot())
                .and_then(Option::as_ref)
                .filter(|outlet| outlet.id == to);
            match outlet {
                Some(outlet) => wake.extend(
                    outlet
                        .queue
                        .push_batch(share, &mut |frame| hub.refused(to, frame)),
                ),
                None => share.drain(..).for_each(|frame| hub.refused(to, &frame)),
            }
        }
    }

    /// Queues of ports that the hub no longer has. It looks for them only when there are some.
    fn take_orphans(&mut self) -> Vec<Arc<FrameQueue>> {
        if self.detachments == self.hub.detachments() {
            return Vec::new();
        }
        self.detachments = self.hub.detachments();
        let Self { hub, outlets, .. } = self;
        let orphaned = |outlet: &mut Outlet| hub.port(outlet.id).is_none();
        outlets
            .iter_mut()
            .filter_map(|place| place.take_if(orphaned))
            .map(|outlet| outlet.queue)
            .collect()
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch").finish_non_exhaustive()
    }
}

/// A port of a [`Switch`]: frames are sent into the hub and received from it.
///
/// Cloning shares the port; it is detached when it is closed or its last clone is dropped. Any number of
/// threads may send, one task receives.
#[derive(Clone)]
pub struct Port {
    attachment: Arc<Attachment>,
}

struct Attachment {
    switch: Switch,
    id: PortId,
    name: String,
    queue: Arc<FrameQueue>,
    /// The counters at the time of closing.
    last: OnceLock<Counters>,
}

impl Port {
    /// The port's name in the hub.
    pub fn id(&self) -> PortId {
        self.attachment.id
    }

    /// The name it was attached with.
    pub fn name(&self) -> &str {
        &self.attachment.name
    }

    /// The switch it belongs to.
    pub fn switch(&self) -> &Switch {
        &self.attachment.switch
    }

    /// Forwards `frames` in order. The hub is locked while the iterator is asked, so it should have its frames at
    /// hand and must not use the switch. Frames sent after the port was closed are dropped.
    pub fn send(&self, now: Instant, frames: &mut dyn Iterator<Item = Frame>) {
        self.attachment.switch.send(now, self.attachment.id, frames);
    }

    /// Waits for frames and appends them to `out`: at least one, then more while their bytes stay within
    /// `max_bytes`.
    ///
    /// # Errors
    /// [`Closed`] once the port is closed and what was queued has been received.
    pub async fn recv(&self, out: &mut Vec<Frame>, max_bytes: usize) -> Result<(), Closed> {
        self.attachment.queue.recv_batch(out, max_bytes).await
    }

    /// [`recv`](Self::recv) for hand-written futures.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        out: &mut Vec<Frame>,
        max_bytes: usize,
    ) -> Poll<Result<(), Closed>> {
        self.attachment.queue.poll_recv_batch(cx, out, max_bytes)
    }

    /// [`recv`](Self::recv) without waiting: how many frames were appended, which may be none.
    ///
    /// # Errors
    /// [`Closed`] once the port is closed and what was queued has been received.
    pub fn try_recv(&self, out: &mut Vec<Frame>, max_bytes: usize) -> Result<usize, Closed> {
        self.attachment.queue.try_recv_batch(out, max_bytes)
    }

    /// The port's traffic; after it was closed, up to then.
    pub fn counters(&self) -> Counters {
        let Attachment { switch, id, last, .. } = &*self.attachment;
        let now = || switch.lock().hub.port_counters(*id).copied();
        last.get().copied().or_else(now).unwrap_or_default()
    }

    /// Sets the largest TCP segment size that passes to or from the port, or that any does.
    pub fn set_segment_size(&self, most: Option<u16>) {
        let Attachment { switch, id, .. } = &*self.attachment;
        switch.with(|hub| hub.set_segment_size(*id, most));
    }

    /// Frames that the receiver lost because it lagged behind.
    pub fn dropped(&self) -> Dropped {
        self.attachment.queue.dropped()
    }

    /// Detaches the port. The receiver gets what is queued, then [`Closed`].
    pub fn close(&self) {
        self.attachment.detach();
    }

    /// Whether the port was closed.
    pub fn is_closed(&self) -> bool {
        self.attachment.queue.is_closed()
    }
}

impl Attachment {
    fn detach(&self) {
        if let Some(state) = self.switch.detach(self.id) {
            // Only the call that detached the port gets here.
            let _ = self.last.set(state.counters);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.detach();
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("id", &self.id())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
