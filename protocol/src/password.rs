//! Passwords on the wire: SHA-0 and the three computations of protocol §4.2.
//!
//! SHA-0 is SHA-1 without the rotation in its message schedule (FIPS 180, 1993). It is broken as a hash; it is here
//! because the protocol's challenge response is made of it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The hash of a password, from which a client proves that it knows it: as good as the password itself.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PasswordHash([u8; 20]);

/// SHA-0 of a byte string.
#[must_use]
pub fn sha0(bytes: &[u8]) -> [u8; 20] {
    Sha0::of(&[bytes])
}

/// The hash of a user's password: `SHA0(password ‖ UPPER(user))`. The user name is the configured one without
/// domain; only ASCII letters are folded.
#[must_use]
pub fn user_hash(password: &[u8], user: &str) -> PasswordHash {
    PasswordHash(Sha0::of(&[password, user.to_ascii_uppercase().as_bytes()]))
}

/// The hash of an administration password of the server or of a hub: `SHA0(password)`.
#[must_use]
pub fn admin_hash(password: &[u8]) -> PasswordHash {
    PasswordHash(sha0(password))
}

impl PasswordHash {
    /// A hash that was received or kept.
    #[must_use]
    pub fn new(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes, to keep or to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The answer to a challenge: `SHA0(hash ‖ random)`.
    #[must_use]
    pub fn prove(&self, random: &[u8; 20]) -> [u8; 20] {
        Sha0::of(&[&self.0, random])
    }

    /// Whether `proof` answers the challenge, in a time that does not depend on where they differ.
    #[must_use]
    pub fn verify(&self, random: &[u8; 20], proof: &[u8; 20]) -> bool {
        self.prove(random).ct_eq(proof).into()
    }
}

/// In a time that does not depend on where they differ.
impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PasswordHash {}

impl From<[u8; 20]> for PasswordHash {
    fn from(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Running state; wiped when done, since it sees passwords.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Sha0 {
    state: [u32; 5],
    block: [u8; 64],
    filled: usize,
    length: u64,
}

impl Sha0 {
    fn of(parts: &[&[u8]]) -> [u8; 20] {
        let mut hash = Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0],
            block: [0; 64],
            filled: 0,
            length: 0,
        };
        parts.iter().for_each(|part| hash.update(part));
        hash.finish()
    }

    fn update(&mut self, bytes: &[u8]) {
        self.length += 8 * bytes.len() as u64;
        for byte in bytes {
            self.block[self.filled] = *byte;
            self.filled += 1;
            if self.filled == self.block.len() {
                self.compress();
            }
        }
    }

    /// Padding as in every hash of this family: a one bit, zeros, the length in bits.
    fn finish(mut self) -> [u8; 20] {
        let length = self.length;
        self.update(&[0x80]);
        while self.filled != 56 {
            self.update(&[0]);
        }
        self.update(&length.to_be_bytes());
        let mut digest = [0; 20];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    fn compress(&mut self) {
        let mut words = [0_u32; 80];
        for (word, bytes) in words.iter_mut().zip(self.block.chunks_exact(4)) {
            *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        }
        for i in 16..80 {
            // SHA-1 rotates this left by one.
            words[i] = words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16];
        }
        let [mut a, mut b, mut c, mut d, mut e] = self.state;
        for (i, word) in words.iter().enumerate() {
            let (f, k) = match i / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(f)
                .wrapping_add(e)
                .wrapping_add(k)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (word, new) in self.state.iter_mut().zip([a, b, c, d, e]) {
            *word = word.wrapping_add(new);
        }
        words.zeroize();
        self.block.zeroize();
        self.filled = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{PasswordHash, admin_hash, sha0, user_hash};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(hex: &str) -> [u8; 20] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn sha0_matches_known_digests() {
        for (input, digest) in [
            ("", "f96cea198ad1dd5617ac084a3d92c6107708c0ef"),
            ("abc", "0164b8a914cd2a5e74c4f7ff082c4d97f1edf880"),
            // FIPS 180 appendix B.
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "d2516ee1acfa5baf33dfc1c471e438449ef134c8",
            ),
        ] {
            assert_eq!(hex(&sha0(input.as_bytes())), digest, "{input}");
        }
        // FIPS 180 appendix C.
        assert_eq!(
            hex(&sha0(&[b'a'; 1_000_000])),
            "3232affa48628a26653b5aaa44541fd90d690603"
        );
    }

    #[test]
    fn every_length_around_a_block_is_padded_right() {
        let mut seen = std::collections::HashSet::new();
        for len in 0..200 {
            assert!(seen.insert(sha0(&vec![0; len])));
        }
    }

    #[test]
    fn user_hashes_match_the_reference() {
        for (user, password, hash) in [
            ("alice", "microsoft", "fca3d54fcb9db1bded482bbd019048acfe3143c0"),
            ("ALICE", "microsoft", "fca3d54fcb9db1bded482bbd019048acfe3143c0"),
            ("alice", "wrong", "190c60e6138777ca55b9f7f3242dec0f41ce942e"),
            ("bob", "Secret-123", "66f34acb19634ff520dcf5b893d3a97e797f9f67"),
            ("alice", "", "6a18e99e88f473726bc3b5e1e9d6836529c49a80"),
            ("Admin", "P@ss", "ca2c9bfb7185e0e4fad2db37079463d5fc6fb8ba"),
        ] {
            assert_eq!(
                hex(user_hash(password.as_bytes(), user).as_bytes()),
                hash,
                "{user}"
            );
        }
        assert_eq!(
            hex(admin_hash(b"labpw").as_bytes()),
            "ca6a1fbeae6c5f5c84a939adee68de69d742a8c2"
        );
    }

    #[test]
    fn proofs_match_the_captures() {
        for (hash, random, proof) in [
            (
                "fca3d54fcb9db1bded482bbd019048acfe3143c0",
                "21cf3dcc5b524593c61cf0863d0bfb8a3da6ee06",
                "c08519b9e75b5aa8d52956c2fba3cb4da6661171",
            ),
            (
                "fca3d54fcb9db1bded482bbd019048acfe3143c0",
                "ab2d7db1e218dedbeffcd0d2c41caea73bdb51a3",
                "8c64ce38844f529c34e5261a11587e6705e39a2c",
            ),
            (
                "190c60e6138777ca55b9f7f3242dec0f41ce942e",
                "8fdf07a30777bc77a57b8765345118b2b370bfe4",
                "28dbb69a20df2e6c968f328bcd8f94d5c52cd115",
            ),
            (
                "fca3d54fcb9db1bded482bbd019048acfe3143c0",
                "000102030405060708090a0b0c0d0e0f10111213",
                "8425f027b23dde0d90cbb01eb471655840dbde63",
            ),
        ] {
            let (hash, random, proof) = (PasswordHash::new(bytes(hash)), bytes(random), bytes(proof));
            assert_eq!(hash.prove(&random), proof);
            assert!(hash.verify(&random, &proof));
            assert!(!hash.verify(&proof, &random));
        }
    }

    #[test]
    fn a_hash_is_not_shown() {
        assert_eq!(format!("{:?}", admin_hash(b"x")), "PasswordHash(..)");
    }
}
