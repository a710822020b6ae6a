//! A receiver that is no task: what is sent to its port is handed on by the thread that sends it.
//!
//! Waking a task for every few frames costs more than the frames do: another thread is told, it wakes from its sleep, and
//! what was in one core's cache is fetched by another. So whoever finds the queue of a [`Relay`]'s port empty hands the
//! frames on itself, once it has left the hub; what others queue meanwhile it takes along. Nobody is kept at that for
//! long: after some turns, or when a frame goes to many at once, a task goes on with it.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use crate::{Closed, Frame, Port};

/// Batches that one thread hands on before it leaves the rest to the task.
const TURNS: usize = 8;
/// Places for frames that an idle relay keeps.
const KEPT: usize = 64;
/// Receivers that one thread serves itself; more at once are a flood, and their tasks share it.
const FEW: usize = 8;

thread_local! {
    static FLOOD: Cell<bool> = const { Cell::new(false) };
}

/// Wakes receivers, when no lock is held.
pub(crate) fn wake_all(receivers: Vec<Waker>) {
    let flood = receivers.len() > FEW;
    let before = FLOOD.replace(flood);
    for receiver in receivers {
        receiver.wake();
    }
    FLOOD.set(before);
}

/// How far a relay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// Everything was handed on; what comes next is handed on by whoever sends it.
    All,
    /// There is more: call [`Relay::run`] again, after others had their turn.
    More,
}

/// Hands the frames that a port receives to a closure, in order and never two batches at once.
pub struct Relay<F> {
    port: Port,
    max_bytes: usize,
    /// The closure, and room for a batch.
    hand_on: Mutex<(F, Vec<Frame>)>,
    later: Box<dyn Fn() + Send + Sync>,
}

impl<F> Relay<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    /// A relay that gives `hand_on` batches of about `max_bytes` and expects it to leave them empty. It must not send into
    /// a hub. When `later` is called, somebody must call [`run`](Self::run), which is to be called once at first as well.
    /// The relay lives until the port is closed.
    pub fn new(
        port: Port,
        max_bytes: usize,
        hand_on: F,
        later: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            port,
            max_bytes,
            hand_on: Mutex::new((hand_on, Vec::new())),
            later: Box::new(later),
        })
    }

    /// Hands on what there is.
    ///
    /// # Errors
    /// [`Closed`] once the port is closed and what was queued has been handed on.
    pub fn run(self: &Arc<Self>) -> Result<Relayed, Closed> {
        let waker = Waker::from(self.clone());
        let mut cx = Context::from_waker(&waker);
        let mut state = self.hand_on.lock().unwrap_or_else(PoisonError::into_inner);
        let (hand_on, batch) = &mut *state;
        for _ in 0..TURNS {
            match self.port.poll_recv(&mut cx, batch, self.max_bytes) {
                Poll::Pending => {
                    if batch.capacity() > KEPT {
                        *batch = Vec::new();
                    }
                    return Ok(Relayed::All);
                }
                Poll::Ready(Err(closed)) => return Err(closed),
                Poll::Ready(Ok(())) => {
                    hand_on(batch);
                    batch.clear();
                }
            }
        }
        Ok(Relayed::More)
    }
}

impl<F> Wake for Relay<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        if FLOOD.get() || self.run() != Ok(Relayed::All) {
            (self.later)();
        }
    }
}

impl<F> std::fmt::Debug for Relay<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Instant;

    use super::*;
    use crate::{Hub, HubConfig, PortConfig, PortKind, Switch};

    fn frame(from: u8, number: u32) -> Frame {
        let mut bytes = vec![0xff; 6];
        bytes.extend([2, 0, 0, 0, 0, from, 0x88, 0xb5]);
        bytes.extend(number.to_be_bytes());
        bytes.resize(60, 0);
        Frame::new(bytes)
    }

    fn port() -> PortConfig {
        PortConfig::new(PortKind::Session, "a port")
    }

    fn switch() -> Switch {
        Switch::new(Hub::new(HubConfig::new(1)))
    }

    #[test]
    fn who_sends_hands_on() {
        let (switch, now) = (switch(), Instant::now());
        let sender = switch.attach(now, port(), 1 << 20);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let here = std::thread::current().id();
        let relay = Relay::new(
            switch.attach(now, port(), 1 << 20),
            1 << 16,
            move |batch: &mut Vec<Frame>| {
                assert_eq!(std::thread::current().id(), here);
                noted.lock().unwrap().extend(batch.drain(..));
            },
            || panic!("there is nothing to leave for later"),
        );
        assert_eq!(relay.run(), Ok(Relayed::All));
        for number in 0..10 {
            sender.send(now, &mut std::iter::once(frame(1, number)));
            assert_eq!(seen.lock().unwrap().len(), number as usize + 1);
        }
    }

    #[test]
    fn nothing_is_lost_doubled_or_turned_round_between_threads() {
        const SENDERS: u8 = 4;
        const FRAMES: u32 = 5000;
        let (switch, now) = (switch(), Instant::now());
        let seen = Arc::new(Mutex::new(vec![0; usize::from(SENDERS)]));
        let noted = seen.clone();
        let left = Arc::new(AtomicUsize::new(0));
        let count = left.clone();
        let relay = Relay::new(
            switch.attach(now, port(), 64 << 20),
            256,
            move |batch: &mut Vec<Frame>| {
                for frame in batch.drain(..) {
                    let number = u32::from_be_bytes(frame.bytes[14..18].try_into().unwrap());
                    let next = &mut noted.lock().unwrap()[usize::from(frame.bytes[11])];
                    assert_eq!(*next, number, "in order");
                    *next += 1;
                }
            },
            move || {
                let _ = count.fetch_add(1, SeqCst);
            },
        );
        assert_eq!(relay.run(), Ok(Relayed::All));
        std::thread::scope(|scope| {
            for from in 0..SENDERS {
                let port = switch.attach(now, port(), 1 << 20);
                scope.spawn(move || {
                    for number in 0..FRAMES {
                        port.send(now, &mut std::iter::once(frame(from, number)));
                    }
                });
            }
            // The task: it goes on where the senders were kept for too long.
            while seen.lock().unwrap().iter().any(|next| *next < FRAMES) {
                if left.swap(0, SeqCst) > 0 {
                    while relay.run() == Ok(Relayed::More) {}
                }
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn a_flood_is_left_to_the_tasks() {
        let (switch, now) = (switch(), Instant::now());
        let sender = switch.attach(now, port(), 1 << 20);
        let (left, handed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let relays: Vec<_> = (0..FEW + 1)
            .map(|_| {
                let (left, handed) = (left.clone(), handed.clone());
                Relay::new(
                    switch.attach(now, port(), 1 << 20),
                    1 << 16,
                    move |batch: &mut Vec<Frame>| {
                        let _ = handed.fetch_add(batch.drain(..).len(), SeqCst);
                    },
                    move || {
                        let _ = left.fetch_add(1, SeqCst);
                    },
                )
            })
            .collect();
        relays
            .iter()
            .for_each(|relay| assert_eq!(relay.run(), Ok(Relayed::All)));
        sender.send(now, &mut std::iter::once(frame(1, 0)));
        assert_eq!((left.load(SeqCst), handed.load(SeqCst)), (FEW + 1, 0));
        relays
            .iter()
            .for_each(|relay| assert_eq!(relay.run(), Ok(Relayed::All)));
        assert_eq!(handed.load(SeqCst), FEW + 1);
    }

    #[test]
    fn a_closed_port_ends_it() {
        let (switch, now) = (switch(), Instant::now());
        let port = switch.attach(now, port(), 1 << 20);
        let told = Arc::new(AtomicUsize::new(0));
        let tell = told.clone();
        let relay = Relay::new(
            port.clone(),
            1,
            |_: &mut Vec<Frame>| {},
            move || {
                let _ = tell.fetch_add(1, SeqCst);
            },
        );
        assert_eq!(relay.run(), Ok(Relayed::All));
        port.close();
        assert_eq!(told.load(SeqCst), 1);
        assert_eq!(relay.run(), Err(Closed));
    }
}
