//! A hub shared by threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use hub_core::access::{AccessList, Addresses, Rule};
use hub_core::{
    Closed, DropReason, Frame, Hub, HubConfig, MacAddr, Port, PortConfig, PortKind, Switch, Verdict,
};

use crate::queue::{Alarm, block_on};
use crate::support::{frame, mac};

const QUEUE: usize = 1 << 20;

fn switch() -> Switch {
    Switch::new(Hub::new(HubConfig::new(7)))
}

fn port(switch: &Switch, queue_bytes: usize) -> Port {
    switch.attach(
        Instant::now(),
        PortConfig::new(PortKind::Session, "SID-TEST-1"),
        queue_bytes,
    )
}

fn say(port: &Port, frames: impl IntoIterator<Item = Frame>) {
    port.send(Instant::now(), &mut frames.into_iter());
}

fn received(port: &Port) -> Vec<Frame> {
    let mut out = Vec::new();
    let _ = port.try_recv(&mut out, usize::MAX);
    out
}

#[test]
fn frames_arrive_in_the_order_they_were_sent() {
    let switch = switch();
    let [a, b, c] = [(); 3].map(|()| port(&switch, QUEUE));
    say(&b, [frame(mac(2), MacAddr::BROADCAST, b"b")]);
    assert_eq!(received(&a), [frame(mac(2), MacAddr::BROADCAST, b"b")]);
    assert_eq!(received(&c).len(), 1);

    // More than one flush of the batch, receivers mixed.
    let frames: Vec<Frame> = (0..2000u32)
        .map(|n| {
            frame(
                mac(1),
                if n % 3 == 0 { MacAddr::BROADCAST } else { mac(2) },
                &n.to_be_bytes(),
            )
        })
        .collect();
    say(&a, frames.clone());
    assert_eq!(received(&b), frames);
    let to_all: Vec<Frame> = frames.into_iter().step_by(3).collect();
    assert_eq!(received(&c), to_all);
    assert_eq!(received(&a), []);
}

#[test]
fn a_batch_wakes_each_receiver_once() {
    let switch = switch();
    let [a, b, c] = [(); 3].map(|()| port(&switch, QUEUE));
    let [at_b, at_c]: [Arc<Alarm>; 2] = Default::default();
    for (port, alarm) in [(&b, &at_b), (&c, &at_c)] {
        let waker = Waker::from(Arc::clone(alarm));
        let poll = port.poll_recv(&mut Context::from_waker(&waker), &mut Vec::new(), 1);
        assert_eq!(poll, Poll::Pending);
    }
    say(
        &a,
        (0..1000).map(|n| frame(mac(1), MacAddr::BROADCAST, &[n as u8])),
    );
    assert_eq!((at_b.count(), at_c.count()), (1, 1));
}

/// The number of the frame before which `heard` had been woken, of a batch that `from` sends.
fn heard_before(from: &Port, heard: &Alarm, batch: impl Iterator<Item = Frame>) -> Option<usize> {
    let first = std::cell::Cell::new(None);
    let watched = batch.enumerate().map(|(number, frame)| {
        if heard.count() > 0 && first.get().is_none() {
            first.set(Some(number));
        }
        frame
    });
    say(from, watched);
    first.get()
}

#[test]
fn a_long_batch_lets_others_have_the_hub_in_between() {
    let switch = switch();
    let [a, b] = [(); 2].map(|()| port(&switch, QUEUE));
    let many: Vec<Port> = (0..600).map(|_| port(&switch, QUEUE)).collect();
    let waiting = |port: &Port| {
        let alarm = Arc::<Alarm>::default();
        let waker = Waker::from(Arc::clone(&alarm));
        let poll = port.poll_recv(&mut Context::from_waker(&waker), &mut Vec::new(), 1);
        assert_eq!(poll, Poll::Pending);
        alarm
    };
    say(&b, [frame(mac(2), mac(2), b"here I am")]);
    let to_one = (0..1000).map(|_| frame(mac(1), mac(2), b""));
    assert!(heard_before(&a, &waiting(&b), to_one).is_some_and(|number| number <= 256));
    // A flood is many deliveries.
    let to_all = (0..10).map(|_| frame(mac(1), MacAddr::BROADCAST, b""));
    assert_eq!(heard_before(&a, &waiting(&many[0]), to_all), Some(1));
}

#[test]
fn two_switches_share_nothing() {
    let [one, two] = [switch(), switch()];
    let [a, b] = [(); 2].map(|()| port(&one, QUEUE));
    let [x, y] = [(); 2].map(|()| port(&two, QUEUE));
    say(&x, [frame(mac(2), MacAddr::BROADCAST, b"")]);
    received(&y);
    say(&a, [frame(mac(1), mac(2), b"whoever you are")]);
    assert_eq!(received(&b).len(), 1, "the other hub's station is unknown here");
    assert_eq!((received(&x), received(&y)), (vec![], vec![]));
}

#[test]
fn a_full_queue_loses_frames_and_counts_them_at_its_port() {
    let switch = switch();
    let a = port(&switch, QUEUE);
    let b = port(&switch, 1000);
    say(&a, (0..100).map(|_| frame(mac(1), MacAddr::BROADCAST, &[0; 86])));
    let got = received(&b).len() as u64;
    assert!((1..10).contains(&got));
    let counters = b.counters();
    assert_eq!(counters.sent.broadcast_frames, got);
    assert_eq!(counters.sent.broadcast_bytes, got * 100);
    assert_eq!(counters.dropped.of(DropReason::QueueFull), 100 - got);
    assert_eq!(b.dropped().frames, 100 - got);
    assert_eq!(switch.with(|hub| hub.counters().sent), counters.sent);
}

#[test]
fn a_closed_port_is_detached_and_its_receiver_learns_of_it() {
    let switch = switch();
    let [a, b] = [(); 2].map(|()| port(&switch, QUEUE));
    say(&a, [frame(mac(1), MacAddr::BROADCAST, b"last")]);
    let other_handle = b.clone();
    b.close();
    assert!(other_handle.is_closed());
    assert!(switch.with(|hub| hub.port(b.id()).is_none()));
    let mut out = Vec::new();
    assert_eq!(
        block_on(b.recv(&mut out, usize::MAX)),
        Ok(()),
        "what was queued is still there"
    );
    assert_eq!(block_on(b.recv(&mut out, usize::MAX)), Err(Closed));
    assert_eq!(out.len(), 1);
    assert_eq!(
        b.counters().sent.broadcast_frames,
        1,
        "the counters outlive the port"
    );

    say(&b, [frame(mac(2), MacAddr::BROADCAST, b"ghost")]);
    assert_eq!(received(&a), []);
    assert_eq!(
        switch.with(|hub| hub.counters().dropped.of(DropReason::UnknownPort)),
        1
    );
    b.close();
}

#[test]
fn a_port_is_detached_when_its_last_clone_is_dropped() {
    let switch = switch();
    let a = port(&switch, QUEUE);
    let clone = a.clone();
    drop(a);
    assert_eq!(switch.with(|hub| hub.ports().count()), 1);
    drop(clone);
    assert_eq!(switch.with(|hub| hub.ports().count()), 0);
}

#[test]
fn detaching_through_the_hub_closes_the_queue() {
    let switch = switch();
    let a = port(&switch, QUEUE);
    thread::scope(|scope| {
        let receiver = scope.spawn(|| block_on(a.recv(&mut Vec::new(), 1)));
        switch.with(|hub| hub.detach(a.id()));
        assert_eq!(receiver.join().unwrap(), Err(Closed));
    });
    assert!(a.is_closed());
}

#[test]
fn a_panicking_sender_does_not_take_the_others_along() {
    let switch = switch();
    let [a, b] = [(); 2].map(|()| port(&switch, QUEUE));
    let broken = a.clone();
    let outcome = thread::spawn(move || {
        let good = std::iter::once(frame(mac(1), MacAddr::BROADCAST, b"good"));
        let bad = std::iter::from_fn(|| -> Option<Frame> { panic!("a bug in one session") });
        broken.send(Instant::now(), &mut good.chain(bad));
    })
    .join();
    assert!(outcome.is_err());
    say(&a, [frame(mac(1), MacAddr::BROADCAST, b"next")]);
    let bodies: Vec<_> = received(&b).iter().map(|frame| frame.bytes.slice(14..)).collect();
    assert_eq!(bodies, [&b"good"[..], b"next"]);
}

#[test]
fn the_same_hub_forwards_with_or_without_a_switch() {
    let mut hub = Hub::new(HubConfig::new(7));
    let now = Instant::now();
    let early = hub.attach(now, PortConfig::new(PortKind::Session, "SID-EARLY-1"));
    let switch = Switch::new(hub);
    let a = port(&switch, QUEUE);
    // Nobody holds the early port: what it is sent counts as lost.
    say(&a, [frame(mac(1), MacAddr::BROADCAST, b"")]);
    switch.with(|hub| {
        let counters = hub.port_counters(early).unwrap();
        assert_eq!(
            (counters.sent.frames(), counters.dropped.of(DropReason::QueueFull)),
            (0, 1)
        );
        let verdict = hub.forward(now, early, &frame(mac(2), mac(1), b""), &mut |_, _| {});
        assert_eq!(verdict, Verdict::Unicast(a.id()));
    });
}

/// Every port sends `FRAMES` frames to its neighbour's station and as many to everybody, from a thread of its
/// own, while another thread receives.
fn storm(queue_bytes: usize) {
    const PORTS: u32 = 4;
    const FRAMES: u32 = 5_000;
    const BATCH: u32 = 50;
    let switch = switch();
    let ports: Vec<Port> = (0..PORTS).map(|_| port(&switch, queue_bytes)).collect();
    for (n, port) in (0..).zip(&ports) {
        say(port, [frame(mac(n), MacAddr::BROADCAST, b"")]);
    }
    let mut early: u64 = 0;
    for port in &ports {
        early += received(port).len() as u64;
    }
    let arrived: Vec<AtomicUsize> = ports.iter().map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for (port, arrived) in ports.iter().zip(&arrived) {
            scope.spawn(move || {
                let mut out = Vec::new();
                while block_on(port.recv(&mut out, 16_384)).is_ok() {
                    arrived.fetch_add(out.drain(..).count(), Ordering::Relaxed);
                }
            });
        }
        let senders: Vec<_> = (0..)
            .zip(&ports)
            .map(|(n, port)| {
                scope.spawn(move || {
                    for batch in 0..FRAMES / BATCH {
                        let neighbour = mac((n + 1) % PORTS);
                        say(
                            port,
                            (0..BATCH).flat_map(|i| {
                                let body = (batch * BATCH + i).to_be_bytes();
                                [
                                    frame(mac(n), neighbour, &body),
                                    frame(mac(n), MacAddr::BROADCAST, &body),
                                ]
                            }),
                        );
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        ports.iter().for_each(Port::close);
    });

    let offered = u64::from(PORTS * (FRAMES * 2 + 1));
    let deliveries = u64::from(PORTS * (FRAMES + (FRAMES + 1) * (PORTS - 1)));
    let total = switch.with(|hub| *hub.counters());
    assert_eq!(total.received.frames(), offered);
    assert_eq!(
        total.sent.frames() + total.dropped.of(DropReason::QueueFull),
        deliveries
    );
    assert_eq!(total.dropped.total(), total.dropped.of(DropReason::QueueFull));
    let arrived = early
        + arrived
            .iter()
            .map(|n| n.load(Ordering::Relaxed) as u64)
            .sum::<u64>();
    assert_eq!(arrived, total.sent.frames(), "what was sent has arrived");
    for port in &ports {
        assert_eq!(
            port.dropped().frames,
            port.counters().dropped.of(DropReason::QueueFull)
        );
    }
    if queue_bytes == usize::MAX {
        assert_eq!(total.dropped.total(), 0);
    }
}

#[test]
fn threads_lose_no_frame_between_ports_with_room() {
    storm(usize::MAX);
}

#[test]
fn threads_lose_only_counted_frames_between_ports_without_room() {
    storm(4096);
}

#[test]
fn whoever_keeps_the_clock_is_woken_when_a_frame_is_held_back_and_lets_it_go() {
    let switch = switch();
    let start = Instant::now();
    let attach = |name| switch.attach(start, PortConfig::new(PortKind::Session, name), 1 << 20);
    let (sender, receiver) = (attach("SID-A-1"), attach("SID-B-2"));
    let rule = Rule {
        delay_ms: 100,
        ..Rule::new(1, false, Addresses::ANY_V4)
    };
    switch.with(|hub| hub.set_access_list(AccessList::compile(&[rule], |_| [].into())));

    let clock = Arc::new(Alarm::default());
    let waker = Waker::from(clock.clone());
    let mut cx = Context::from_waker(&waker);
    assert_eq!(switch.poll_release(&mut cx, None), Poll::Pending);
    sender.send(start, &mut [frame(mac(1), mac(2), b"hello")].into_iter());
    assert_eq!(clock.count(), 1, "there is something to wait for");
    let due = start + Duration::from_millis(100);
    assert_eq!(switch.poll_release(&mut cx, None), Poll::Ready(Some(due)));
    assert_eq!(switch.poll_release(&mut cx, Some(due)), Poll::Pending);
    let mut got = Vec::new();
    assert_eq!(receiver.try_recv(&mut got, usize::MAX), Ok(0));
    switch.release(due);
    assert_eq!(receiver.try_recv(&mut got, usize::MAX), Ok(1));
    assert_eq!(clock.count(), 2, "there is nothing more to wait for");
    assert_eq!(switch.poll_release(&mut cx, None), Poll::Pending);
}
