//! What protects a datagram: ChaCha20-Poly1305 in version 2, RC4 and twenty zeros in version 1 (protocol §8.3, §8.4).

use std::ops::Range;

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use zeroize::Zeroizing;

use super::Version;
use super::message::{HEADER_BYTES, Header};
use super::rc4::Rc4;

/// The tag of version 2.
const TAG_BYTES: usize = 16;
/// The initial vector of version 1, and the zeros that it checks.
const IV_BYTES: usize = 20;

/// The keys of one sender, as login and welcome carry them.
#[derive(Clone)]
pub struct Key {
    /// Of version 1.
    pub v1: Zeroizing<[u8; 20]>,
    /// Of version 2, of which the first 32 bytes are used.
    pub v2: Zeroizing<[u8; 128]>,
}

impl Key {
    /// The two keys of a sender.
    #[must_use]
    pub fn new(v1: [u8; 20], v2: [u8; 128]) -> Self {
        Self {
            v1: Zeroizing::new(v1),
            v2: Zeroizing::new(v2),
        }
    }
}

/// Nothing of it.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

enum Secret {
    V1(Zeroizing<[u8; 20]>),
    V2(Box<LessSafeKey>),
}

impl Secret {
    /// None if the library has no such cipher, which does not happen.
    fn new(version: Version, key: &Key) -> Option<Self> {
        Some(match version {
            Version::V1 => Self::V1(key.v1.clone()),
            Version::V2 => {
                let key = UnboundKey::new(&CHACHA20_POLY1305, &key.v2[..CHACHA20_POLY1305.key_len()]).ok()?;
                Self::V2(Box::new(LessSafeKey::new(key)))
            }
        })
    }
}

/// Makes the datagrams of one direction.
pub(super) struct Sealer {
    secret: Secret,
    /// The vector of the next datagram; version 2 uses the first twelve bytes.
    vector: [u8; IV_BYTES],
}

impl Sealer {
    /// `start` is the first vector. Version 2 counts on from there, so that no nonce comes twice; stock senders take bytes of
    /// the datagram before, which a receiver cannot tell from it.
    pub(super) fn new(version: Version, key: &Key, start: [u8; IV_BYTES]) -> Option<Self> {
        Some(Self {
            secret: Secret::new(version, key)?,
            vector: start,
        })
    }

    /// What a datagram is longer than its payload, without padding.
    pub(super) fn overhead(&self) -> usize {
        HEADER_BYTES
            + match self.secret {
                Secret::V1(_) => 2 * IV_BYTES,
                Secret::V2(_) => NONCE_LEN + TAG_BYTES,
            }
    }

    /// Appends one datagram to `out`.
    pub(super) fn seal(&mut self, header: &Header, payload: &[u8], padding: usize, out: &mut Vec<u8>) {
        let inner = |out: &mut Vec<u8>| {
            out.extend_from_slice(&header.to_bytes());
            out.extend_from_slice(payload);
            out.resize(out.len() + padding, 0);
        };
        out.reserve(self.overhead() + payload.len() + padding);
        match &self.secret {
            Secret::V1(key) => {
                out.extend_from_slice(&self.vector);
                let start = out.len();
                inner(out);
                out.resize(out.len() + IV_BYTES, 0);
                stream(key, &self.vector).apply(&mut out[start..]);
                // The next vector is the end of this datagram (protocol §8.4).
                let end = out.len() - IV_BYTES;
                self.vector.copy_from_slice(&out[end..]);
            }
            Secret::V2(key) => {
                let begin = out.len();
                let nonce = next_nonce(&mut self.vector);
                out.extend_from_slice(&nonce);
                let start = out.len();
                inner(out);
                let nonce = Nonce::assume_unique_for_key(nonce);
                match key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[start..]) {
                    Ok(tag) => out.extend_from_slice(tag.as_ref()),
                    // Only for messages of gigabytes. Nothing goes out in clear.
                    Err(_) => out.truncate(begin),
                }
            }
        }
    }
}

/// Twelve bytes, of which the last eight count.
fn next_nonce(vector: &mut [u8; IV_BYTES]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce.copy_from_slice(&vector[..NONCE_LEN]);
    let next = count_of(&nonce).wrapping_add(1);
    vector[NONCE_LEN - 8..NONCE_LEN].copy_from_slice(&next.to_be_bytes());
    nonce
}

fn count_of(nonce: &[u8; NONCE_LEN]) -> u64 {
    let mut count = [0; 8];
    count.copy_from_slice(&nonce[NONCE_LEN - 8..]);
    u64::from_be_bytes(count)
}

/// Opens the datagrams of one direction.
pub(super) struct Opener {
    secret: Secret,
}

/// A datagram that is from the peer.
pub(super) struct Opened {
    /// Where the inner message is in the datagram.
    pub(super) inner: Range<usize>,
    /// What a sender that counts has counted to.
    pub(super) count: u64,
}

impl Opener {
    pub(super) fn new(version: Version, key: &Key) -> Option<Self> {
        Some(Self {
            secret: Secret::new(version, key)?,
        })
    }

    /// Decrypts in place; none if it was not sealed with the peer's key.
    pub(super) fn open(&self, datagram: &mut [u8]) -> Option<Opened> {
        match &self.secret {
            Secret::V1(key) => {
                let (vector, sealed) = datagram.split_first_chunk_mut::<IV_BYTES>()?;
                let length = sealed.len().checked_sub(IV_BYTES)?;
                stream(key, vector).apply(sealed);
                sealed[length..].iter().all(|byte| *byte == 0).then_some(Opened {
                    inner: IV_BYTES..IV_BYTES + length,
                    count: 0,
                })
            }
            Secret::V2(key) => {
                let (nonce, sealed) = datagram.split_first_chunk_mut::<NONCE_LEN>()?;
                let count = count_of(nonce);
                let nonce = Nonce::assume_unique_for_key(*nonce);
                let inner = key.open_in_place(nonce, Aad::empty(), sealed).ok()?;
                Some(Opened {
                    inner: NONCE_LEN..NONCE_LEN + inner.len(),
                    count,
                })
            }
        }
    }
}

/// The stream of one datagram: its key is the SHA-1 of the sender's key and the vector (protocol §8.4).
fn stream(key: &[u8; 20], vector: &[u8; IV_BYTES]) -> Rc4 {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key);
    digest.update(vector);
    Rc4::new(digest.finish().as_ref())
}
