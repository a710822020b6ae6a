//! A receiver that is no task: what is sent to its port is handed on by the thread that sends it.
//!
//! Waking a task for every few frames costs more than the frames do: another thread is told, it wakes from its sleep, and
//! what was in one core's cache is fetched by another. So whoever finds the queue of a [`Relay`]'s port empty hands the
//! frames on itself, once it has left the hub; what others queue meanwhile it takes along. Nobody is kept at that for
//! long: after some turns, or when a frame goes to many at once, a task goes on with it.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// How far one turn has come.
enum Turn {
    /// Everything was handed on; what comes next is handed on by whoever sends it.
    All,
    /// There is more, and others are to have their turn first.
    More,
    /// The port is closed and what was queued has been handed on.
    Closed,
}

/// Hands the frames that a port receives to a closure, in order and never two batches at once.
///
/// It is a future for the receiver's task, which ends when the port is closed. Dropping it closes the port, since nobody
/// would receive any more.
#[must_use = "nothing is handed on before it is polled"]
pub struct Relay<F>(Arc<Shared<F>>);

struct Shared<F> {
    port: Port,
    max_bytes: usize,
    /// The closure, and room for a batch.
    hand_on: Mutex<(F, Vec<Frame>)>,
    /// The task, for what senders leave to it.
    task: Mutex<Waker>,
}

impl<F> Relay<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    /// A relay that gives `hand_on` batches of about `max_bytes`, to be taken whole. The closure runs on the threads of those
    /// who send: it must not wait, nor send into a hub.
    pub fn new(port: Port, max_bytes: usize, hand_on: F) -> Self {
        Self(Arc::new(Shared {
            port,
            max_bytes,
            hand_on: Mutex::new((hand_on, Vec::new())),
            task: Mutex::new(Waker::noop().clone()),
        }))
    }
}

impl<F> Future for Relay<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // First the task, then the turn: whoever sends right after it may already leave something.
        self.0.task().clone_from(cx.waker());
        match self.0.turn() {
            Turn::All => Poll::Pending,
            Turn::More => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Turn::Closed => Poll::Ready(()),
        }
    }
}

impl<F> Drop for Relay<F> {
    fn drop(&mut self) {
        // The task first: it is ending, and needs no waking by the port that closes.
        *self.0.task() = Waker::noop().clone();
        self.0.port.close();
    }
}

impl<F> Shared<F> {
    fn task(&self) -> MutexGuard<'_, Waker> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Shared<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    /// Hands on what there is.
    fn turn(self: &Arc<Self>) -> Turn {
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
                    return Turn::All;
                }
                Poll::Ready(Err(Closed)) => return Turn::Closed,
                Poll::Ready(Ok(())) => {
                    hand_on(batch);
                    batch.clear();
                }
            }
        }
        Turn::More
    }
}

impl<F> Wake for Shared<F>
where
    F: FnMut(&mut Vec<Frame>) + Send + 'static,
{
    fn wake(self: Arc<Self>) {
        if FLOOD.get() || !matches!(self.turn(), Turn::All) {
            let task = self.task().clone();
            task.wake();
        }
    }
}

impl<F> std::fmt::Debug for Relay<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay")
            .field("port", &self.0.port)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Instant;

    use super::*;
    use crate::{Hub, HubConfig, PortConfig, PortKind, Switch};

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Task {
        fn woken(&self) -> usize {
            self.0.swap(0, SeqCst)
        }
    }

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            let _ = self.0.fetch_add(1, SeqCst);
        }
    }

    fn poll(relay: Pin<&mut impl Future<Output = ()>>, task: &Arc<Task>) -> Poll<()> {
        relay.poll(&mut Context::from_waker(&Waker::from(task.clone())))
    }

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
        let mut relay = pin!(Relay::new(
            switch.attach(now, port(), 1 << 20),
            1 << 16,
            move |batch: &mut Vec<Frame>| {
                assert_eq!(std::thread::current().id(), here);
                noted.lock().unwrap().extend(batch.drain(..));
            },
        ));
        let task = Arc::new(Task::default());
        assert!(poll(relay.as_mut(), &task).is_pending());
        for number in 0..10 {
            sender.send(now, &mut std::iter::once(frame(1, number)));
            assert_eq!(seen.lock().unwrap().len(), number as usize + 1);
        }
        assert_eq!(task.woken(), 0);
    }

    #[test]
    fn nothing_is_lost_doubled_or_turned_round_between_threads() {
        const SENDERS: u8 = 4;
        const FRAMES: u32 = 5000;
        let (switch, now) = (switch(), Instant::now());
        let seen = Arc::new(Mutex::new(vec![0; usize::from(SENDERS)]));
        let noted = seen.clone();
        let mut relay = pin!(Relay::new(
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
        ));
        let task = Arc::new(Task::default());
        assert!(poll(relay.as_mut(), &task).is_pending());
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
                if task.woken() > 0 {
                    assert!(poll(relay.as_mut(), &task).is_pending());
                }
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn a_flood_is_left_to_the_tasks() {
        let (switch, now) = (switch(), Instant::now());
        let sender = switch.attach(now, port(), 1 << 20);
        let handed = Arc::new(AtomicUsize::new(0));
        let task = Arc::new(Task::default());
        let mut relays: Vec<_> = (0..FEW + 1)
            .map(|_| {
                let handed = handed.clone();
                Box::pin(Relay::new(
                    switch.attach(now, port(), 1 << 20),
                    1 << 16,
                    move |batch: &mut Vec<Frame>| {
                        let _ = handed.fetch_add(batch.drain(..).len(), SeqCst);
                    },
                ))
            })
            .collect();
        let mut poll_all = || {
            relays
                .iter_mut()
                .for_each(|relay| assert!(poll(relay.as_mut(), &task).is_pending()));
        };
        poll_all();
        sender.send(now, &mut std::iter::once(frame(1, 0)));
        assert_eq!((task.woken(), handed.load(SeqCst)), (FEW + 1, 0));
        poll_all();
        assert_eq!(handed.load(SeqCst), FEW + 1);
    }

    #[test]
    fn a_closed_port_ends_it_and_its_end_closes_the_port() {
        let (switch, now) = (switch(), Instant::now());
        let task = Arc::new(Task::default());
        let mut relays = [(); 2].map(|()| {
            let port = switch.attach(now, port(), 1 << 20);
            (
                port.clone(),
                Box::pin(Relay::new(port, 1, |_: &mut Vec<Frame>| {})),
            )
        });
        for (_, relay) in &mut relays {
            assert!(poll(relay.as_mut(), &task).is_pending());
        }
        let [(port, mut relay), (other, dropped)] = relays;
        port.close();
        assert_eq!(task.woken(), 1);
        assert!(poll(relay.as_mut(), &task).is_ready());
        drop(dropped);
        assert!(other.is_closed());
        assert_eq!(task.woken(), 0);
    }
}
