//! What one frame costs: `cargo bench -p hub-core`. Prints nanoseconds; compares nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

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

fn main() {
    parse();
    for (stations, ports) in [(2, 2), (1_000, 2), (1_000, 1_000), (60_000, 2)] {
        unicast(stations, ports);
    }
    switched();
}
