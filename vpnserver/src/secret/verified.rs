//! Which passwords Argon2 has found right, so that whoever comes back does not have to wait for it again
//! (docs/adr/0009-passwords-that-were-right.md).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use protocol::password::PasswordHash;

use super::{PasswordRecord, RecordError};

/// How long it is remembered that a password was right, from its last use.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Passwords that are remembered.
const PLACES: usize = 65_536;

/// What stands for a record and the hash that it was found to be of.
type Tag = [u8; 32];

/// Pairs of record and hash that belong together, under a key that the process made for itself and nobody keeps.
pub(super) struct Verified {
    key: Key,
    used: Mutex<HashMap<Tag, Instant>>,
}

impl Verified {
    /// None yet.
    ///
    /// # Errors
    /// When the random source fails.
    pub(super) fn new() -> Result<Self, RecordError> {
        let mut secret = [0; 32];
        aws_lc_rs::rand::fill(&mut secret).map_err(|_| RecordError::Hashing)?;
        Ok(Self {
            key: Key::new(HMAC_SHA256, &secret),
            used: Mutex::default(),
        })
    }

    /// Whether they are known to belong together.
    pub(super) fn knows(&self, now: Instant, record: &PasswordRecord, hash: &PasswordHash) -> bool {
        let tag = self.tag(record, hash);
        let mut used = self.lock();
        let Some(at) = used.get_mut(&tag) else {
            return false;
        };
        let known = now.saturating_duration_since(*at) < MEMORY;
        if known {
            *at = now;
        } else {
            used.remove(&tag);
        }
        known
    }

    /// Remembers that they belong together. Where there is no room, those that have not been used for long go, or nothing is
    /// remembered.
    pub(super) fn remember(&self, now: Instant, record: &PasswordRecord, hash: &PasswordHash) {
        let tag = self.tag(record, hash);
        let mut used = self.lock();
        if used.len() >= PLACES {
            used.retain(|_, at| now.saturating_duration_since(*at) < MEMORY);
        }
        if used.len() < PLACES {
            used.insert(tag, now);
        }
    }

    /// The record has a salt of its own, so equal passwords of two users are not equal here.
    fn tag(&self, record: &PasswordRecord, hash: &PasswordHash) -> Tag {
        let mut tag = [0; 32];
        let text = [hash.as_bytes().as_slice(), record.as_str().as_bytes()].concat();
        tag.copy_from_slice(sign(&self.key, &zeroize::Zeroizing::new(text)).as_ref());
        tag
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tag, Instant>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verified")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> PasswordRecord {
        PasswordRecord::from_stored(text.to_owned())
    }

    #[test]
    fn only_the_very_pair_is_known_and_not_for_ever() {
        let verified = Verified::new().unwrap();
        let (now, hash) = (Instant::now(), PasswordHash::new([7; 20]));
        verified.remember(now, &record("a"), &hash);
        assert!(verified.knows(now, &record("a"), &hash));
        assert!(!verified.knows(now, &record("b"), &hash));
        assert!(!verified.knows(now, &record("a"), &PasswordHash::new([8; 20])));
        assert!(verified.knows(now + MEMORY / 2, &record("a"), &hash));
        assert!(verified.knows(now + MEMORY, &record("a"), &hash));
        assert!(!verified.knows(now + MEMORY * 2, &record("a"), &hash));
    }

    #[test]
    fn it_has_a_size() {
        let verified = Verified::new().unwrap();
        let now = Instant::now();
        for number in 0..=PLACES {
            verified.remember(now, &record(&number.to_string()), &PasswordHash::new([7; 20]));
        }
        assert_eq!(verified.lock().len(), PLACES);
        verified.remember(now + MEMORY, &record("later"), &PasswordHash::new([7; 20]));
        assert_eq!(verified.lock().len(), 1);
    }
}
