//! Failed logins are remembered for a while, so that guessing gets slow and nobody else notices.
//!
//! Two budgets: one per source and account, small, for guessing one password; one per source, larger, for trying many
//! names. A user behind the same address as a guesser keeps their own budget. Who is over budget is refused without any work.
//! An attempt counts as a failure while it is looked at: guesses at the same time are no more than guesses one after another.
//! Who would only be over budget if all of those failed waits until one is settled.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    account: Option<u64>,
}

struct Entry {
    failures: u32,
    /// Attempts that are being looked at.
    in_flight: u32,
    last: Instant,
    /// Tells those who wait that an attempt of this source is settled.
    settled: Arc<Notify>,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            in_flight: 0,
            last: now,
            settled: Arc::default(),
        }
    }

    /// After a quiet hour nothing is held against anybody.
    fn forget(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) > MEMORY {
            self.failures = 0;
        }
    }

    /// Whether as many are looked at as may fail. Somebody whose wait is over has one attempt.
    fn is_full(&self, free: u32) -> bool {
        self.in_flight >= free.saturating_sub(self.failures).max(1)
    }

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

/// An attempt that may be looked at. Dropped, it is settled, and was none that failed.
#[derive(Debug)]
pub(super) struct Attempt {
    failures: Arc<Failures>,
    budgets: [(Key, u32); 2],
    has_failed: bool,
}

impl Attempt {
    /// Settles it as a failure.
    pub(super) fn fail(mut self) {
        self.has_failed = true;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.failures
            .settle(Instant::now(), &self.budgets, self.has_failed);
    }
}

/// How it stands for an attempt that has come.
enum Turn {
    Now,
    /// When another is settled, perhaps.
    Later(OwnedNotified),
}

impl Failures {
    /// Begins an attempt, when those before it leave room; one that comes too early is refused.
    pub(super) async fn attempt(self: &Arc<Self>, source: IpAddr, account: &str) -> Result<Attempt, Refused> {
        let budgets = budgets(source, account);
        while let Turn::Later(settled) = self.reserve(Instant::now(), &budgets)? {
            settled.await;
        }
        Ok(Attempt {
            failures: Arc::clone(self),
            budgets,
            has_failed: false,
        })
    }

    fn reserve(&self, now: Instant, budgets: &[(Key, u32); 2]) -> Result<Turn, Refused> {
        let mut table = self.lock();
        let mut is_full = false;
        for (key, free) in budgets {
            let Some(entry) = table.get_mut(key) else { continue };
            let since = now.saturating_duration_since(entry.last);
            entry.forget(now);
            let wait = entry.wait(*free);
            if since < wait {
                let left = (wait - since).as_secs() + 1;
                let (failures, source) = (entry.failures, key.source);
                return Err(Refused::failed(format!(
                    "not looked at: {failures} failed logins from {source}; the next is looked at in {left} s"
                )));
            }
            is_full |= entry.is_full(*free);
        }
        if is_full {
            let of_source = entry(&mut table, now, budgets[1].0);
            return Ok(Turn::Later(Arc::clone(&of_source.settled).notified_owned()));
        }
        for (key, _) in budgets {
            entry(&mut table, now, *key).in_flight += 1;
        }
        Ok(Turn::Now)
    }

    fn settle(&self, now: Instant, budgets: &[(Key, u32); 2], has_failed: bool) {
        let mut table = self.lock();
        for (key, _) in budgets {
            let entry = entry(&mut table, now, *key);
            entry.in_flight = entry.in_flight.saturating_sub(1);
            if has_failed {
                entry.forget(now);
                entry.failures = entry.failures.saturating_add(1);
                entry.last = now;
            }
            entry.settled.notify_waiters();
            if entry.failures == 0 && entry.in_flight == 0 {
                table.remove(key);
            }
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

/// The place of a key, which pushes another one out when there are too many.
fn entry(table: &mut HashMap<Key, Entry>, now: Instant, key: Key) -> &mut Entry {
    if table.len() >= PLACES && !table.contains_key(&key) {
        make_room(table, now);
    }
    table.entry(key).or_insert_with(|| Entry::new(now))
}

fn make_room(table: &mut HashMap<Key, Entry>, now: Instant) {
    table.retain(|_, entry| entry.in_flight > 0 || now.saturating_duration_since(entry.last) <= MEMORY);
    if table.len() >= PLACES
        && let Some(oldest) = table
            .iter()
            .min_by_key(|(_, entry)| (entry.in_flight > 0, entry.last))
            .map(|(key, _)| *key)
    {
        table.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 10));

    impl Failures {
        fn check(&self, now: Instant, source: IpAddr, account: &str) -> Result<(), Refused> {
            let budgets = budgets(source, account);
            match self.reserve(now, &budgets)? {
                Turn::Now => self.settle(now, &budgets, false),
                Turn::Later(_) => panic!("nothing is in flight"),
            }
            Ok(())
        }

        fn note(&self, now: Instant, source: IpAddr, account: &str) {
            self.settle(now, &budgets(source, account), true);
        }
    }

    fn fail(failures: &Failures, now: Instant, times: u32, account: &str) {
        for _ in 0..times {
            failures.note(now, SOURCE, account);
        }
    }

    /// What comes of an attempt without waiting.
    fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn as_many_are_looked_at_at_once_as_may_fail() {
        let failures = Arc::new(Failures::default());
        let attempt = || failures.attempt(SOURCE, "hub/alice");
        let mut looked_at = Vec::new();
        while let Some(begun) = now_or_never(attempt()) {
            looked_at.push(begun.unwrap());
        }
        assert_eq!(looked_at.len(), FREE_PER_ACCOUNT as usize);
        assert!(now_or_never(failures.attempt(SOURCE, "hub/bob")).is_some());
        let mut waiting = pin!(attempt());
        assert!(now_or_never(&mut waiting).is_none());
        // One that was right makes room.
        looked_at.pop();
        looked_at.push(waiting.await.unwrap());
        let mut waiting = pin!(attempt());
        assert!(now_or_never(&mut waiting).is_none());
        looked_at.into_iter().for_each(Attempt::fail);
        assert!(waiting.await.is_err());
    }

    #[tokio::test]
    async fn whoever_has_waited_has_one_attempt_and_nothing_is_left_of_those_who_were_right() {
        let failures = Arc::new(Failures::default());
        let long_ago = Instant::now() - 2 * FIRST_WAIT;
        fail(&failures, long_ago, FREE_PER_ACCOUNT, "hub/alice");
        let first = failures.attempt(SOURCE, "hub/alice").await.unwrap();
        assert!(now_or_never(failures.attempt(SOURCE, "hub/alice")).is_none());
        first.fail();
        assert!(failures.attempt(SOURCE, "hub/alice").await.is_err());

        let places = failures.lock().len();
        drop(failures.attempt(SOURCE, "hub/bob").await);
        assert_eq!(failures.lock().len(), places);
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
