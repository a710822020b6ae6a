//! The first upload, by which a server tells a VPN client from a browser (protocol §2.4).
//!
//! Stock clients send a fixed picture of 1411 bytes with random bytes behind it; this project does not carry that
//! picture and recognises it by its SHA-256. Ours send ten letters, which servers take since version 4.03.

use aws_lc_rs::digest;

/// The short form of the signature.
pub const SHORT: &[u8] = b"VPNCONNECT";
/// Length of the picture.
pub const IMAGE_BYTES: usize = 1411;
/// Longest upload: the picture and 2000 random bytes.
pub const MAX_BYTES: usize = 3411;

const IMAGE_SHA256: [u8; 32] = [
    0x96, 0xa7, 0x06, 0xbb, 0xab, 0x37, 0x8e, 0xc3, 0x7d, 0xfe, 0xf2, 0x1e, 0x02, 0xb1, 0xa3, 0xc1, 0x77,
    0xfb, 0xeb, 0xef, 0xfa, 0x03, 0x9e, 0xb0, 0xef, 0xac, 0x91, 0x86, 0x30, 0xdf, 0x12, 0xa0,
];

/// Whether an upload of this length can be a signature, to be asked before reading it.
#[must_use]
pub fn accepts_length(len: usize) -> bool {
    len == SHORT.len() || (IMAGE_BYTES..=MAX_BYTES).contains(&len)
}

/// Whether an upload is a signature in either form.
#[must_use]
pub fn recognise(body: &[u8]) -> bool {
    if body == SHORT {
        return true;
    }
    match body.get(..IMAGE_BYTES) {
        Some(image) if body.len() <= MAX_BYTES => {
            digest::digest(&digest::SHA256, image).as_ref() == IMAGE_SHA256
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{IMAGE_BYTES, MAX_BYTES, accepts_length, recognise};

    #[test]
    fn the_short_form_is_exact() {
        assert!(recognise(b"VPNCONNECT"));
        assert!(!recognise(b"VPNCONNECt"));
        assert!(!recognise(b"VPNCONNECT "));
    }

    #[test]
    fn lengths_are_those_of_the_stock_server() {
        for (len, accepted) in [
            (0, false),
            (9, false),
            (10, true),
            (1410, false),
            (1411, true),
            (3411, true),
            (3412, false),
        ] {
            assert_eq!(accepts_length(len), accepted, "{len}");
        }
    }

    #[test]
    fn a_wrong_picture_is_refused() {
        for len in [IMAGE_BYTES, MAX_BYTES] {
            let mut body = vec![0; len];
            body[..6].copy_from_slice(b"GIF89a");
            assert!(!recognise(&body));
        }
    }
}
