//! What cutting, joining and checksums cost: `cargo bench -p netdev`. Prints nanoseconds; compares nothing.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use netdev::VnetHeader;
use netdev::segment::{Joiner, complete, split};

/// Segments of a super-frame.
const SEGMENTS: usize = 44;
/// Bytes of payload of each.
const SIZE: u16 = 1448;
/// Ethernet, IPv4 and TCP headers.
const HEADERS: u16 = 54;
const ROUNDS: usize = 7;
const TIMES: usize = 500;

/// Times rounds and reports the best, for each of `each` frames: the others were disturbed.
fn time(what: &str, each: usize, mut call: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..TIMES {
            call();
        }
        best = best.min(started.elapsed());
    }
    println!(
        "{what:<50} {:>6.1} ns",
        best.as_nanos() as f64 / (TIMES * each) as f64
    );
}

/// What is to be done in a TCP frame over IPv4: a checksum, and cutting unless `size` is 0.
fn work(size: u16) -> VnetHeader {
    let mut bytes = [0; VnetHeader::LEN];
    bytes[0] = 1; // the checksum is to be computed
    bytes[1] = u8::from(size > 0); // TCP over IPv4
    bytes[2..4].copy_from_slice(&HEADERS.to_ne_bytes());
    bytes[4..6].copy_from_slice(&size.to_ne_bytes());
    bytes[6..8].copy_from_slice(&34_u16.to_ne_bytes());
    bytes[8..10].copy_from_slice(&16_u16.to_ne_bytes());
    VnetHeader::from_bytes(bytes)
}

fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; usize::from(HEADERS) + payload];
    frame[12..14].copy_from_slice(&[8, 0]);
    let length = (frame.len() - 14) as u16;
    frame[14..34].copy_from_slice(&[
        0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ]);
    frame[16..18].copy_from_slice(&length.to_be_bytes());
    frame[46] = 5 << 4; // five words of header
    frame[47] = 0x10; // ACK
    frame
}

fn main() {
    let whole = tcp(SEGMENTS * usize::from(SIZE));
    let mut room = BytesMut::new();
    time(
        "segment 64 KiB of TCP, each frame of 1,502 bytes",
        SEGMENTS,
        || {
            let count = split(&work(SIZE), black_box(&whole), &mut room, |piece| {
                black_box(piece);
            });
            assert_eq!(count, SEGMENTS);
        },
    );
    let mut pieces: Vec<Bytes> = Vec::new();
    split(&work(SIZE), &whole, &mut room, |piece| pieces.push(piece));
    let mut joiner = Joiner::new(true, true);
    time("coalesce 44 of them, each", SEGMENTS, || {
        for piece in &pieces {
            joiner.push(VnetHeader::NONE, piece.clone());
        }
        let mut joined = 0;
        joiner.drain(|parts| {
            black_box(parts.frame());
            joined += 1;
            ControlFlow::Continue(())
        });
        assert_eq!(joined, 1);
    });
    let mut one = tcp(usize::from(SIZE));
    time("checksum of 1,502 bytes", 1, || {
        assert!(complete(&work(0), black_box(&mut one)));
    });
}
