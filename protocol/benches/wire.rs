//! What the wire's codecs cost: `cargo bench -p protocol`. Prints nanoseconds; compares nothing.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use protocol::block::{BlockDecoder, BlockEncoder};
use protocol::pack::{Limits, Pack};

const TIMES: usize = 200_000;
const ROUNDS: usize = 7;

/// Times rounds of `TIMES` calls and reports the best: the others were disturbed.
fn time(what: &str, each: usize, mut call: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..TIMES / each {
            call();
        }
        best = best.min(started.elapsed());
    }
    let times = TIMES / each * each;
    println!("{what:<50} {:>6.1} ns", best.as_nanos() as f64 / times as f64);
}

/// Groups of 64 frames of this length.
fn blocks(length: usize, compressed: bool) {
    const GROUP: usize = 64;
    let frames: Vec<Bytes> = (0..GROUP).map(|n| Bytes::from(vec![n as u8; length])).collect();
    let kind = if compressed { ", compressed" } else { "" };
    let mut out = BytesMut::new();
    let mut encoder = BlockEncoder::new(compressed);
    time(
        &format!("block encode, {length} bytes{kind}, each frame"),
        GROUP,
        || {
            out.clear();
            encoder.encode_group(&frames, &mut out);
            black_box(&out);
        },
    );
    let mut input = BytesMut::new();
    time(
        &format!("block decode, {length} bytes{kind}, each frame"),
        GROUP,
        || {
            input.extend_from_slice(&out);
            let mut decoder = BlockDecoder::new(compressed);
            let mut count = 0;
            while let Ok(Some(item)) = decoder.decode(&mut input) {
                black_box(item);
                count += 1;
            }
            assert_eq!(count, GROUP);
        },
    );
}

/// A message of the size of a login.
fn packs() {
    let mut pack = Pack::new();
    pack.set_str("method", "login").set_data("unique_id", &[7; 20]);
    for number in 0..40 {
        pack.set_int(&format!("number_{number}"), number)
            .set_str(&format!("text_{number}"), "Fuji-3776");
    }
    time("PACK encode, 82 elements", 1, || {
        black_box(black_box(&pack).encode());
    });
    let bytes = pack.encode();
    time("PACK decode, 82 elements", 1, || {
        let read = Pack::decode(black_box(&bytes), &Limits::BEFORE_LOGIN);
        assert!(read.is_ok());
    });
}

fn main() {
    for length in [64, 1_514] {
        blocks(length, false);
        blocks(length, true);
    }
    packs();
}
