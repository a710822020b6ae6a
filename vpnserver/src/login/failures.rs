//! Failed logins are remembered for a while, so that guessing gets slow and nobody else notices.
//!
//! Two budgets: one per source and account, small, for guessing one password; one per source, larger, for trying many
//! names. A user behind the same address as a guesser keeps their own budget. Who is over budget is refused without any work.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Refused;

/// Free failures per account and source, and per source over all accounts.
const FREE_PER_ACCOUNT: u32 = 5;
const FREE_PER_SOURCE: u32 = 50;
/// The wait doubles with each failure more, up to the most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const MOST_WAIT: Duration = Duration::from_secs(15 * 60);
/// After this long without a failure all is forgotten.
const MEMORY: Duration = Duration::from_secs(60 * 60);
/// Places in the table; a flood of sources pushes out the longest silent.
const PLACES: usize = 8192;

/// Who failed: a source, and one account or all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    account: Option<u64>,
}

#[derive(Clone, Copy)]
struct Entry {
    failures: u32,
    last: Instant,
}

impl Entry {
    /// How long after the last failure the next attempt is looked at.
    fn wait(&self, free: u32) -> Duration {
        let Some(over) = self.failures.checked_sub(free) else {
            return Duration::ZERO;
        };
        FIRST_WAIT.saturating_mul(1 << over.min(16)).min(MOST_WAIT)
    }
}

/// The table.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Key, Entry>>);

impl Failures {
    /// Refuses an attempt that comes too early.
    pub(super) fn check(&self, now: Instant, source: IpAddr, account: &str) -> Result<(), Refused> {
        let table = self.lock();
        for (key, free) in budgets(source, account) {
            let Some(entry) = table.get(&key) else { continue };
            let since = now.saturating_duration_since(entry.last);
            let wait = entry.wait(free);
            if since < wait {
                let left = (wait - since).as_secs() + 1;
                let failures = entry.failures;
                return Err(Refused::failed(format!(
                    "not looked at: {failures} failed logins from {source}; the next is looked at in {left} s"
                )));
            }
        }
        Ok(())
    }

    /// Remembers a failure.
    pub(super) fn note(&self, now: Instant, source: IpAddr, account: &str) {
        let mut table = self.lock();
        for (key, _) in budgets(source, account) {
            if table.len() >= PLACES && !table.contains_key(&key) {
                make_room(&mut table, now);
            }
            let entry = table.entry(key).or_insert(Entry {
                failures: 0,
                last: now,
            });
            if now.saturating_duration_since(entry.last) > MEMORY {
                entry.failures = 0;
            }
            entry.failures = entry.failures.saturating_add(1);
            entry.last = now;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failures")
    }
}

fn budgets(source: IpAddr, account: &str) -> [(Key, u32); 2] {
    let source = network(source);
    let mut hasher = DefaultHasher::new();
    account.to_ascii_lowercase().hash(&mut hasher);
    let account = Some(hasher.finish());
    [
        (Key { source, account }, FREE_PER_ACCOUNT),
        (
            Key {
                source,
                account: None,
            },
            FREE_PER_SOURCE,
        ),
    ]
}

/// One customer has a whole IPv6 /64, and would otherwise be 2^64 sources.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn make_room(table: &mut HashMap<Key, Entry>, now: Instant) {
    table.retain(|_, entry| now.saturating_duration_since(entry.last) <= MEMORY);
    if table.len() >= PLACES
        && let Some(oldest) = table
            .iter()
            .min_by_key(|(_, entry)| entry.last)
            .map(|(key, _)| *key)
    {
        table.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10));

    fn fail(failures: &Failures, now: Instant, times: u32, account: &str) {
        for _ in 0..times {
            failures.note(now, SOURCE, account);
        }
    }

    #[test]
    fn guessing_one_account_gets_slower_and_slower() {
        let (failures, now) = (Failures::default(), Instant::now());
        fail(&failures, now, FREE_PER_ACCOUNT - 1, "hub/alice");
        assert!(failures.check(now, SOURCE, "hub/alice").is_ok());
        failures.note(now, SOURCE, "hub/ALICE");
        assert!(failures.check(now, SOURCE, "hub/alice").is_err());
        assert!(failures.check(now + FIRST_WAIT, SOURCE, "hub/alice").is_ok());
        fail(&failures, now, 30, "hub/alice");
        assert!(
            failures
                .check(now + MOST_WAIT - FIRST_WAIT, SOURCE, "hub/alice")
                .is_err()
        );
        assert!(failures.check(now + MOST_WAIT, SOURCE, "hub/alice").is_ok());
    }

    #[test]
    fn others_are_not_locked_out() {
        let (failures, now) = (Failures::default(), Instant::now());
        fail(&failures, now, 20, "hub/alice");
        assert!(
            failures.check(now, SOURCE, "hub/bob").is_ok(),
            "the neighbour behind the same address"
        );
        assert!(
            failures
                .check(now, "198.51.100.1".parse().unwrap(), "hub/alice")
                .is_ok(),
            "alice from elsewhere"
        );
    }

    #[test]
    fn trying_many_names_is_slowed_too() {
        let (failures, now) = (Failures::default(), Instant::now());
        for name in 0..FREE_PER_SOURCE {
            failures.note(now, SOURCE, &format!("hub/{name}"));
        }
        assert!(failures.check(now, SOURCE, "hub/new").is_err());
    }

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let (failures, now) = (Failures::default(), Instant::now());
        for host in 0..20 {
            failures.note(now, format!("2001:db8::{host:x}").parse().unwrap(), "hub/alice");
        }
        assert!(
            failures
                .check(now, "2001:db8::ffff".parse().unwrap(), "hub/alice")
                .is_err()
        );
        assert!(
            failures
                .check(now, "2001:db8:0:1::1".parse().unwrap(), "hub/alice")
                .is_ok()
        );
    }

    #[test]
    fn a_quiet_hour_forgets() {
        let (failures, now) = (Failures::default(), Instant::now());
        fail(&failures, now, 30, "hub/alice");
        let later = now + MEMORY + FIRST_WAIT;
        failures.note(later, SOURCE, "hub/alice");
        assert!(failures.check(later, SOURCE, "hub/alice").is_ok());
    }

    #[test]
    fn the_table_stays_bounded() {
        let (failures, now) = (Failures::default(), Instant::now());
        for host in 0..u32::try_from(PLACES).unwrap() {
            failures.note(now, IpAddr::V4(host.into()), "hub/alice");
        }
        assert!(failures.lock().len() <= PLACES);
    }
}
