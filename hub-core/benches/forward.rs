//! What one frame costs: `cargo bench -p hub-core`. Prints nanoseconds; compares nothing.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use hub_core::access::{AccessList, Addresses, PortRange, Rule};
use hub_core::{Frame, FrameView, Hub, HubConfig, MacAddr, PortConfig, PortKind, Switch};

const FRAMES: usize = 500_000;
const ROUNDS: usize = 7;

/// Station `n`'s address.
fn mac(n: usize) -> MacAddr {
    let [a, b, c, d] = (n as u32).to_be_bytes();
    MacAddr::new([0x02, 0, a, b, c, d])
}

/// A UDP datagram of 64 bytes from one station to another.
fn datagram(from: usize, to: usize) -> Frame {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(&mac(to).octets());
    bytes[6..12].copy_from_slice(&mac(from).octets());
    bytes[12..34].copy_from_slice(&[
        8, 0, 0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 0, 10, 0, 0, 0,
    ]);
    bytes[28..30].copy_from_slice(&(from as u16).to_be_bytes());
    bytes[32..34].copy_from_slice(&(to as u16).to_be_bytes());
    Frame::new(bytes)
}

fn session() -> PortConfig {
    PortConfig {
        max_macs: Some(u32::MAX),
        ..PortConfig::new(PortKind::Session, "SID-BENCH-1")
    }
}

/// Times rounds of `FRAMES` frames and reports the best: the others were disturbed.
fn time(what: &str, mut round: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        round();
        best = best.min(started.elapsed());
    }
    println!(
        "{what:<50} {:>6.1} ns/frame",
        best.as_nanos() as f64 / FRAMES as f64
    );
}

fn parse() {
    let frame = datagram(1, 2);
    time("parse", || {
        for _ in 0..FRAMES {
            black_box(FrameView::parse(black_box(&frame.bytes)));
        }
    });
}

/// Unicast among `stations` stations, an even number, behind two of `ports` ports: the even ones talk to the odd ones.
fn unicast(stations: usize, ports: usize) {
    let mut hub = Hub::new(HubConfig::new(0x5eed));
    let now = Instant::now();
    let ports: Vec<_> = (0..ports).map(|_| hub.attach(now, session())).collect();
    let frames: Vec<Frame> = (0..stations)
        .map(|n| datagram(n, (n * 7919 + 1) % stations))
        .collect();
    let mut delivered = 0;
    time(
        &format!("unicast, {stations} stations, {} ports", ports.len()),
        || {
            for (n, frame) in frames.iter().enumerate().cycle().take(FRAMES) {
                hub.forward(now, ports[n % 2], frame, &mut |_, _| delivered += 1);
            }
        },
    );
    assert!(delivered >= FRAMES * (ROUNDS - 1), "nothing is dropped");
}

/// Batches of 64 from one port of a switch to the other, received in batches.
fn switched() {
    let switch = Switch::new(Hub::new(HubConfig::new(0x5eed)));
    let now = Instant::now();
    let [a, b] = [(); 2].map(|()| switch.attach(now, session(), 1 << 20));
    b.send(now, &mut [datagram(2, 1)].into_iter());
    let batch: Vec<Frame> = (0..64).map(|_| datagram(1, 2)).collect();
    let mut out = Vec::new();
    time("sent and received through a switch, batches of 64", || {
        for _ in 0..FRAMES / batch.len() {
            a.send(now, &mut batch.iter().cloned());
            let _ = b.try_recv(&mut out, usize::MAX);
            out.clear();
        }
    });
}

/// Broadcasts to all of `ports` ports: nanoseconds for each delivery, so that a flood is seen to cost what it delivers.
fn flood(ports: usize) {
    let mut hub = Hub::new(HubConfig::new(0x5eed));
    let now = Instant::now();
    let config = PortConfig {
        storm_limit: false,
        ..session()
    };
    let ports: Vec<_> = (0..ports).map(|_| hub.attach(now, config.clone())).collect();
    let mut frame = datagram(1, 2).bytes.to_vec();
    frame[..6].fill(0xff);
    let frame = Frame::new(frame);
    let rounds = FRAMES / (ports.len() - 1);
    let mut delivered = 0;
    time(
        &format!("flood to {} ports, each delivery", ports.len() - 1),
        || {
            for _ in 0..rounds {
                hub.forward(now, ports[0], &frame, &mut |_, _| delivered += 1);
            }
        },
    );
    assert!(
        delivered >= rounds * ROUNDS * (ports.len() - 1),
        "nothing is dropped"
    );
}

/// Frames of `flows` flows past `rules` access rules of which none matches.
fn access_list(rules: u32, flows: usize) {
    let rules: Vec<Rule> = (0..rules)
        .map(|n| {
            let mut rule = Rule::new(n + 1, true, Addresses::ANY_V4);
            rule.protocol = 6;
            rule.destination_ports = PortRange { start: n + 1, end: 0 };
            rule
        })
        .collect();
    let mut hub = Hub::new(HubConfig::new(0x5eed));
    hub.set_access_list(AccessList::compile(&rules, |_| std::collections::HashSet::new()));
    let now = Instant::now();
    let [a, b] = [(); 2].map(|()| hub.attach(now, session()));
    hub.forward(now, b, &datagram(2, 1), &mut |_, _| ());
    let frames: Vec<Frame> = (0..flows)
        .map(|n| {
            let mut bytes = datagram(1, 2).bytes.to_vec();
            bytes[34..36].copy_from_slice(&(n as u16).to_be_bytes());
            Frame::new(bytes)
        })
        .collect();
    let what = if flows == 1 { "hit" } else { "miss" };
    time_few(&format!("access list, {} rules, {what}", rules.len()), |count| {
        for frame in frames.iter().cycle().take(count) {
            hub.forward(now, a, frame, &mut |_, _| ());
        }
    });
}

/// As [`time`], with a tenth of the frames.
fn time_few(what: &str, mut round: impl FnMut(usize)) {
    let count = FRAMES / 10;
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        round(count);
        best = best.min(started.elapsed());
    }
    println!(
        "{what:<50} {:>6.1} ns/frame",
        best.as_nanos() as f64 / count as f64
    );
}

/// Two sessions that send at full speed at once, and how long a third one with a single frame waits for the hub.
fn contended() {
    let switch = Switch::new(Hub::new(HubConfig::new(0x5eed)));
    let now = Instant::now();
    let ports = [(); 4].map(|()| switch.attach(now, session(), 1 << 20));
    for (number, port) in ports.iter().enumerate() {
        port.send(now, &mut [datagram(number, 9)].into_iter());
    }
    let [a, b, c, sink] = &ports;
    let over = AtomicBool::new(false);
    let (sent, mut waits) = thread::scope(|scope| {
        let senders = [(0, a), (1, b)].map(|(number, port)| {
            let over = &over;
            scope.spawn(move || {
                let batch: Vec<Frame> = (0..1_000).map(|_| datagram(number, 3)).collect();
                let mut out = Vec::new();
                let mut sent = 0;
                while !over.load(Relaxed) {
                    port.send(now, &mut batch.iter().cloned());
                    sent += batch.len();
                    let _ = sink.try_recv(&mut out, usize::MAX);
                    out.clear();
                }
                sent
            })
        });
        let begun = Instant::now();
        let mut waits = Vec::new();
        while begun.elapsed() < Duration::from_secs(2) {
            thread::sleep(Duration::from_micros(500));
            let asked = Instant::now();
            c.send(now, &mut [datagram(2, 3)].into_iter());
            waits.push(asked.elapsed());
        }
        over.store(true, Relaxed);
        let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap_or(0)).sum();
        (sent, waits)
    });
    waits.sort();
    println!(
        "two senders of batches of 1,000: {} frames/s; a third waits {:?} (median), {:?} (p99) for its one frame",
        sent / 2,
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
    );
}

fn main() {
    parse();
    for (stations, ports) in [
        (2, 2),
        (10, 10),
        (1_000, 2),
        (1_000, 1_000),
        (10_000, 10_000),
        (60_000, 2),
    ] {
        unicast(stations, ports);
    }
    for ports in [11, 1_001, 10_001] {
        flood(ports);
    }
    for rules in [0, 100, 4_000] {
        access_list(rules, 1);
        access_list(rules, 60_000);
    }
    switched();
    contended();
}
