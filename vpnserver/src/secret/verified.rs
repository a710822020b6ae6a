//! Which passwords Argon2 has found right, so that whoever comes back does not have to wait for it again
//! (docs/adr/0009-passwords-that-were-right.md).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use protocol::password::PasswordHash;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{PasswordRecord, RecordError};
use crate::store::folded;

/// How long it is remembered that a password was right, from its last use.
const MEMORY: Duration = Duration::from_secs(24 * 3600);

/// Passwords that are remembered.
const PLACES: usize = 65_536;

/// Whose password it is, without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    hub: String,
    user: String,
}

impl Account {
    /// The user of a hub.
    #[must_use]
    pub fn new(hub: &str, user: &str) -> Self {
        Self {
            hub: folded(hub),
            user: folded(user),
        }
    }
}

/// What stands for a record and the hash that it was found to be of.
type Tag = [u8; 32];

/// The one password of an account that was right.
struct Known {
    tag: Zeroizing<Tag>,
    used: Instant,
}

/// Pairs of record and hash that belong together, one for each account, under a key that the process made for itself and nobody
/// keeps.
pub(super) struct Verified {
    key: Key,
    known: Mutex<HashMap<Account, Known>>,
}

impl Verified {
    /// None yet.
    ///
    /// # Errors
    /// When the random source fails.
    pub(super) fn new() -> Result<Self, RecordError> {
        let mut secret = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *secret).map_err(|_| RecordError::Hashing)?;
        Ok(Self {
            key: Key::new(HMAC_SHA256, &*secret),
            known: Mutex::default(),
        })
    }

    /// Whether they are known to belong together.
    pub(super) fn knows(
        &self,
        now: Instant,
        account: &Account,
        record: &PasswordRecord,
        hash: &PasswordHash,
    ) -> bool {
        let tag = self.tag(record, hash);
        let mut all = self.lock();
        let Some(known) = all.get_mut(account) else {
            return false;
        };
        if now.saturating_duration_since(known.used) >= MEMORY {
            all.remove(account);
            return false;
        }
        let right = bool::from(known.tag.ct_eq(&*tag));
        if right {
            known.used = now;
        }
        right
    }

    /// Remembers that they belong together, and nothing else of this account. Where there is no room, those that have not been used
    /// for long go, or nothing is remembered.
    pub(super) fn remember(
        &self,
        now: Instant,
        account: Account,
        record: &PasswordRecord,
        hash: &PasswordHash,
    ) {
        let tag = self.tag(record, hash);
        let mut all = self.lock();
        if all.len() >= PLACES && !all.contains_key(&account) {
            all.retain(|_, known| now.saturating_duration_since(known.used) < MEMORY);
        }
        if all.len() < PLACES || all.contains_key(&account) {
            all.insert(account, Known { tag, used: now });
        }
    }

    /// Forgets what it knows of an account.
    pub(super) fn forget(&self, account: &Account) {
        self.lock().remove(account);
    }

    /// Forgets what it knows of the accounts of a hub, or of all hubs.
    pub(super) fn forget_all(&self, hub: Option<&str>) {
        let hub = hub.map(folded);
        self.lock()
            .retain(|account, _| hub.as_ref().is_some_and(|hub| account.hub != *hub));
    }

    /// How many accounts it knows the password of.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The record has a salt of its own, so equal passwords of two users are not equal here.
    fn tag(&self, record: &PasswordRecord, hash: &PasswordHash) -> Zeroizing<Tag> {
        let mut tag = Zeroizing::new([0; 32]);
        let text = Zeroizing::new([hash.as_bytes().as_slice(), record.as_str().as_bytes()].concat());
        tag.copy_from_slice(sign(&self.key, &text).as_ref());
        tag
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Account, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn account(user: &str) -> Account {
        Account::new("lab", user)
    }

    #[test]
    fn only_the_very_pair_is_known_and_not_for_ever() {
        let verified = Verified::new().unwrap();
        let (now, hash, alice) = (Instant::now(), PasswordHash::new([7; 20]), account("alice"));
        verified.remember(now, alice.clone(), &record("a"), &hash);
        let knows = |now, account: &Account, text: &str, hash: &PasswordHash| {
            verified.knows(now, account, &record(text), hash)
        };
        assert!(knows(now, &alice, "a", &hash));
        assert!(knows(now, &Account::new("LAB", "Alice"), "a", &hash));
        assert!(!knows(now, &account("bob"), "a", &hash));
        assert!(!knows(now, &alice, "b", &hash));
        assert!(!knows(now, &alice, "a", &PasswordHash::new([8; 20])));
        assert!(knows(now + MEMORY / 2, &alice, "a", &hash));
        assert!(knows(now + MEMORY, &alice, "a", &hash));
        assert!(!knows(now + MEMORY * 2, &alice, "a", &hash));
        assert_eq!(verified.len(), 0);
    }

    #[test]
    fn a_wrong_password_does_not_keep_the_right_one_in_memory() {
        let verified = Verified::new().unwrap();
        let (now, right, wrong) = (
            Instant::now(),
            PasswordHash::new([7; 20]),
            PasswordHash::new([8; 20]),
        );
        verified.remember(now, account("alice"), &record("a"), &right);
        assert!(!verified.knows(now + MEMORY / 2, &account("alice"), &record("a"), &wrong));
        assert!(!verified.knows(now + MEMORY, &account("alice"), &record("a"), &right));
    }

    #[test]
    fn an_account_has_one_password_and_loses_it_alone_or_with_its_hub() {
        let verified = Verified::new().unwrap();
        let (now, hash) = (Instant::now(), PasswordHash::new([7; 20]));
        let accounts = [
            account("alice"),
            account("bob"),
            account("carol"),
            Account::new("other", "alice"),
        ];
        for (number, account) in accounts.iter().enumerate() {
            verified.remember(now, account.clone(), &record("old"), &hash);
            verified.remember(now, account.clone(), &record("a"), &hash);
            assert_eq!(verified.len(), number + 1);
            assert!(!verified.knows(now, account, &record("old"), &hash));
        }
        let known = || {
            accounts
                .each_ref()
                .map(|account| verified.knows(now, account, &record("a"), &hash))
        };
        verified.forget(&accounts[0]);
        assert_eq!(known(), [false, true, true, true]);
        verified.forget_all(Some("Lab"));
        assert_eq!(known(), [false, false, false, true]);
        verified.forget_all(None);
        assert_eq!(known(), [false; 4]);
    }

    #[test]
    fn it_has_a_size() {
        let verified = Verified::new().unwrap();
        let (now, hash) = (Instant::now(), PasswordHash::new([7; 20]));
        for number in 0..=PLACES {
            verified.remember(now, account(&number.to_string()), &record("a"), &hash);
        }
        assert_eq!(verified.len(), PLACES);
        // Who is in it already keeps the place.
        verified.remember(now + MEMORY / 2, account("0"), &record("b"), &hash);
        assert_eq!(verified.len(), PLACES);
        verified.remember(now + MEMORY, account("later"), &record("a"), &hash);
        assert_eq!(verified.len(), 2);
    }
}
