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

/// A frame of the flow between two stations that bears a number.
fn of_flow(flow: u8, number: u32, len: usize) -> Frame {
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, flow, 0x88, 0xb5];
    bytes.extend(number.to_be_bytes());
    bytes.resize(len.max(18), 0);
    Frame::new(bytes)
}

fn told(frame: &Frame) -> (u8, u32) {
    let number = u32::from_be_bytes(frame.bytes[14..18].try_into().unwrap());
    (frame.bytes[11], number)
}

#[test]
fn a_call_is_not_held_up_by_a_download() {
    let (first_come, with_turns) = (FrameQueue::new(1 << 20), FrameQueue::with_turns(1 << 20));
    let place = |queue: &FrameQueue| {
        for number in 0..500 {
            assert!(queue.push(of_flow(1, number, 1000)));
        }
        assert!(queue.push(of_flow(2, 0, 200)));
        let mut out = Vec::new();
        queue.try_recv_batch(&mut out, usize::MAX).unwrap();
        assert_eq!(out.len(), 501);
        out.iter().position(|frame| told(frame) == (2, 0)).unwrap()
    };
    assert_eq!(place(&first_come), 500);
    // What was in line before, and one turn.
    assert!(place(&with_turns) < 90);
}

#[test]
fn flows_have_equal_shares() {
    let queue = FrameQueue::with_turns(4 << 20);
    for flow in [1, 2] {
        for number in 0..1000 {
            assert!(queue.push(of_flow(flow, number, 1000)));
        }
    }
    let mut out = Vec::new();
    queue.try_recv_batch(&mut out, 800_000).unwrap();
    let second = out.iter().filter(|frame| told(frame).0 == 2).count();
    assert!((300..=400).contains(&second), "{second} of {}", out.len());
}

#[test]
fn the_flow_that_takes_most_makes_room() {
    let queue = FrameQueue::with_turns(200_000);
    let mut lost = 0;
    for number in 0..1000 {
        lost += u64::from(!queue.push(of_flow(1, number, 1000)));
    }
    for number in 0..50 {
        lost += u64::from(!queue.push(of_flow(2, number, 1000)));
    }
    let mut out = Vec::new();
    queue.try_recv_batch(&mut out, usize::MAX).unwrap();
    let of = |flow| {
        out.iter()
            .map(told)
            .filter(move |told| told.0 == flow)
            .map(|told| told.1)
    };
    assert_eq!(of(2).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
    assert_eq!(of(1).last(), Some(999), "the newest are kept");
    assert_eq!(out.len() as u64 + queue.dropped().frames, 1050);
    assert_eq!(lost, queue.dropped().frames);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_turns_every_frame_is_received_or_counted_and_a_flow_keeps_its_order(
        capacity in 1usize..300_000,
        steps in vec(prop_oneof![
            4 => (0u8..6, 18usize..40_000).prop_map(|(flow, len)| (flow, len, true)),
            1 => (0usize..100_000).prop_map(|max| (0, max, false)),
        ], 1..120),
    ) {
        let queue = FrameQueue::with_turns(capacity);
        let (mut pushed, mut received) = (0, Vec::new());
        for (flow, size, is_push) in steps {
            if is_push {
                queue.push(of_flow(flow, pushed, size));
                pushed += 1;
            } else {
                let mut out = Vec::new();
                let count = queue.try_recv_batch(&mut out, size).unwrap();
                prop_assert_eq!(count, out.len());
                let bytes: usize = out.iter().map(Frame::len).sum();
                prop_assert!(count <= 1 || bytes <= size);
                received.extend(out.iter().map(told));
            }
            let held = u64::from(pushed) - received.len() as u64 - queue.dropped().frames;
            prop_assert_eq!(queue.len() as u64, held);
        }
        let mut out = Vec::new();
        queue.try_recv_batch(&mut out, usize::MAX).unwrap();
        prop_assert!(out.iter().map(|frame| frame.len() + FRAME_COST).sum::<usize>() <= capacity);
        received.extend(out.iter().map(told));
        prop_assert!(queue.is_empty());
        for flow in 0..6 {
            prop_assert!(received.iter().filter(|told| told.0 == flow).is_sorted_by(|a, b| a.1 < b.1));
        }
        prop_assert_eq!(received.len() as u64 + queue.dropped().frames, u64::from(pushed));
    }
}
