#![no_main]
#![allow(dead_code, reason = "each target uses one of the bodies")]

#[path = "../../src/fuzz.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bodies::proxy(input));
