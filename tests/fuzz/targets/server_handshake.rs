#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| hubward_tests::fuzz::server_handshake(input));
