//! The bodies of the fuzz targets: plain functions, which `cargo fuzz` feeds with what it invents and the replay test
//! with the committed corpora. A body may panic for one reason only: a claim about the code under test broke.

use protocol::pack::{Limits, Pack};

/// A fuzz target: its name, which is also the name of its corpus folder, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[("pack", pack)];

/// Whatever decodes, encodes to bytes that decode to the same value.
pub fn pack(input: &[u8]) {
    for limits in [&Limits::BEFORE_LOGIN, &Limits::ADMIN] {
        let Ok(decoded) = Pack::decode(input, limits) else {
            continue;
        };
        assert!(
            input.len() <= limits.bytes,
            "a PACK above the limit of {} bytes was read",
            limits.bytes
        );
        let encoded = decoded.encode();
        assert_eq!(
            encoded.len(),
            decoded.encoded_len(),
            "the announced length is another"
        );
        let again = Pack::decode(&encoded, limits);
        assert_eq!(
            again.as_ref().ok(),
            Some(&decoded),
            "what was written does not read back"
        );
    }
}
