//! Queues between threads.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use bytes::Bytes;
use hub_core::queue::{Dropped, FRAME_COST};
use hub_core::{Closed, Frame, FrameQueue};
use proptest::collection::vec;
use proptest::prelude::*;

/// Runs a future on this thread, which sleeps while it waits.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A waker that counts how often it was used.
#[derive(Default)]
pub(crate) struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Alarm {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn frame(len: usize) -> Frame {
    Frame::new(vec![0; len])
}

fn poll(queue: &FrameQueue, alarm: &Arc<Alarm>, out: &mut Vec<Frame>) -> Poll<Result<(), Closed>> {
    let waker = Waker::from(Arc::clone(alarm));
    queue.poll_recv_batch(&mut Context::from_waker(&waker), out, usize::MAX)
}

#[test]
fn only_the_first_frame_of_a_burst_wakes_the_receiver() {
    let queue = FrameQueue::new(10_000);
    let alarm = Arc::default();
    let mut out = Vec::new();
    assert_eq!(poll(&queue, &alarm, &mut out), Poll::Pending);
    for _ in 0..5 {
        queue.push(frame(60));
    }
    assert_eq!(alarm.count(), 1);
    assert_eq!(poll(&queue, &alarm, &mut out), Poll::Ready(Ok(())));
    assert_eq!(out.len(), 5);
    queue.push(frame(60));
    assert_eq!(alarm.count(), 1, "nobody waits");
}

#[test]
fn the_task_that_polled_last_is_woken() {
    let queue = FrameQueue::new(10_000);
    let [first, second]: [Arc<Alarm>; 2] = Default::default();
    assert_eq!(poll(&queue, &first, &mut Vec::new()), Poll::Pending);
    assert_eq!(poll(&queue, &second, &mut Vec::new()), Poll::Pending);
    queue.push(frame(60));
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn a_batch_has_at_least_one_frame_and_then_keeps_to_its_bytes() {
    let queue = FrameQueue::new(100_000);
    for len in [1500, 100, 100, 100] {
        queue.push(frame(len));
    }
    let batch = |max_bytes| {
        let mut out = Vec::new();
        assert_eq!(queue.try_recv_batch(&mut out, max_bytes), Ok(out.len()));
        out.iter().map(Frame::len).collect::<Vec<_>>()
    };
    assert_eq!(batch(200), [1500]);
    assert_eq!(batch(250), [100, 100]);
    assert_eq!(batch(250), [100]);
    assert_eq!(batch(250), [0; 0]);
}

#[test]
fn a_closed_queue_gives_what_it_has_and_takes_nothing() {
    let queue = FrameQueue::new(10_000);
    queue.push(frame(60));
    queue.close();
    assert!(queue.is_closed());
    assert!(!queue.push(frame(61)));
    assert_eq!(queue.dropped(), Dropped { frames: 1, bytes: 61 });
    let mut out = Vec::new();
    assert_eq!(block_on(queue.recv_batch(&mut out, 1)), Ok(()));
    assert_eq!(out.len(), 1);
    assert_eq!(block_on(queue.recv_batch(&mut out, 1)), Err(Closed));
    assert_eq!(queue.try_recv_batch(&mut out, 1), Err(Closed));
}

#[test]
fn closing_wakes_the_receiver() {
    let queue = FrameQueue::new(10_000);
    let alarm = Arc::default();
    assert_eq!(poll(&queue, &alarm, &mut Vec::new()), Poll::Pending);
    queue.close();
    assert_eq!(alarm.count(), 1);
    assert_eq!(poll(&queue, &alarm, &mut Vec::new()), Poll::Ready(Err(Closed)));
}

#[test]
fn tiny_frames_do_not_outgrow_the_bound() {
    let queue = FrameQueue::new(64 * 1024);
    while queue.push(frame(0)) {}
    assert_eq!(queue.len(), 64 * 1024 / FRAME_COST);
    assert!(!queue.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Receive(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![3 => (0usize..2000).prop_map(Step::Push), 1 => (0usize..5000).prop_map(Step::Receive)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_is_first_in_first_out_within_its_capacity(
        capacity in 0usize..10_000,
        steps in vec(step(), 1..60),
    ) {
        let queue = FrameQueue::new(capacity);
        let (mut model, mut dropped) = (VecDeque::new(), Dropped::default());
        for step in steps {
            match step {
                Step::Push(len) => {
                    let held: usize = model.iter().map(|len| len + FRAME_COST).sum();
                    let fits = held + len + FRAME_COST <= capacity;
                    prop_assert_eq!(queue.push(frame(len)), fits);
                    if fits {
                        model.push_back(len);
                    } else {
                        dropped.frames += 1;
                        dropped.bytes += len as u64;
                    }
                }
                Step::Receive(max_bytes) => {
                    let mut out = Vec::new();
                    let received = queue.try_recv_batch(&mut out, max_bytes).unwrap();
                    prop_assert_eq!(received, out.len());
                    prop_assert_eq!(received == 0, model.is_empty());
                    let bytes: usize = out.iter().map(Frame::len).sum();
                    prop_assert!(received <= 1 || bytes <= max_bytes);
                    let expected: Vec<usize> = model.drain(..received).collect();
                    prop_assert_eq!(out.iter().map(Frame::len).collect::<Vec<_>>(), expected);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.dropped(), dropped);
        }
    }
}

/// Threads push numbered frames as fast as they can; returns what the receiver got, as (thread, number), and
/// what was lost.
fn race(capacity: usize, threads: u32, frames: u32) -> (Vec<(u32, u32)>, Dropped) {
    let queue = FrameQueue::new(capacity);
    let mut received = Vec::new();
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let mut out = Vec::new();
            while block_on(queue.recv_batch(&mut out, 4096)).is_ok() {}
            out
        });
        let producers: Vec<_> = (0..threads)
            .map(|thread| {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..frames {
                        let words = [thread.to_be_bytes(), number.to_be_bytes()];
                        queue.push(Frame::new(words.concat()));
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        queue.close();
        received = receiver.join().unwrap();
    });
    let word = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let numbers = received
        .iter()
        .map(|frame| (word(&frame.bytes[..4]), word(&frame.bytes[4..])))
        .collect();
    (numbers, queue.dropped())
}

fn assert_each_thread_in_order(received: &[(u32, u32)], threads: u32) {
    for thread in 0..threads {
        let numbers: Vec<u32> = received
            .iter()
            .filter(|(by, _)| *by == thread)
            .map(|(_, n)| *n)
            .collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "thread {thread} out of order");
    }
}

#[test]
fn threads_lose_nothing_in_a_queue_that_is_large_enough() {
    let (received, dropped) = race(1 << 30, 4, 20_000);
    assert_eq!(dropped, Dropped::default());
    assert_eq!(received.len(), 80_000);
    assert_each_thread_in_order(&received, 4);
}

#[test]
fn threads_lose_only_counted_frames_in_a_queue_that_is_too_small() {
    let (received, dropped) = race(20 * (FRAME_COST + 8), 4, 20_000);
    assert_eq!(received.len() as u64 + dropped.frames, 80_000);
    assert_eq!(dropped.bytes, dropped.frames * 8);
    assert_each_thread_in_order(&received, 4);
}

#[test]
fn frames_that_wait_long_do_not_keep_the_buffer_they_were_read_into() {
    let queue = FrameQueue::new(64 * 1024);
    let mut buffers = Vec::new();
    for _ in 0..200 {
        let buffer = Bytes::from(vec![0_u8; 16 * 1024]);
        assert!(queue.push(Frame::new(buffer.slice(..200))));
        buffers.push(buffer);
    }
    let kept = buffers.into_iter().filter(|buffer| !buffer.is_unique()).count();
    assert!(kept < 100, "{kept} buffers are kept by frames of 200 bytes");
}
