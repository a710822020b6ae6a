//! What users have used, on its way from their sessions to the store.
//!
//! Sessions count for themselves; what they have counted since the last time is collected now and then, when they end, and
//! before anybody asks. A crash loses what was counted since the last time, and nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hub_core::hub::{Counters, Traffic as Counted};

use crate::server::Server;
use crate::store::{self, Id, StoreError, Timestamp, Traffic, UsageReport};

/// What is still to be written.
#[derive(Debug, Default)]
pub struct Usage(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// One by one, because each is counted.
    logins: Vec<UsageReport>,
    /// The sum of each user.
    traffic: HashMap<Id, Traffic>,
}

/// What one session has told already.
#[derive(Debug)]
pub struct Meter {
    user: Option<Id>,
    told: Mutex<Told>,
}

#[derive(Debug)]
struct Told {
    /// The login, until it is told.
    login: Option<Timestamp>,
    counters: Counters,
}

impl Meter {
    /// A session that begins now; a hub's administrator has no counters.
    #[must_use]
    pub fn new(user: Option<Id>) -> Self {
        Self {
            user,
            told: Mutex::new(Told {
                login: Some(Timestamp::now()),
                counters: Counters::default(),
            }),
        }
    }

    /// What is new since the last time, given what the session's port has counted so far.
    pub fn read(&self, counters: &Counters) -> Option<UsageReport> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let report = UsageReport {
            user: self.user?,
            login: told.login.take(),
            traffic: Traffic {
                received: advance(&mut told.counters.received, &counters.received),
                sent: advance(&mut told.counters.sent, &counters.sent),
            },
        };
        (report.login.is_some() || report.traffic != Traffic::default()).then_some(report)
    }
}

/// Brings `told` up to `counted` and returns the difference. A count that shrank (a delivery taken back because a queue
/// was full) is waited for until it is larger again.
fn advance(told: &mut Counted, counted: &Counted) -> store::Counters {
    let step = |told: &mut u64, counted: u64| {
        let step = counted.saturating_sub(*told);
        *told += step;
        step
    };
    store::Counters {
        unicast_packets: step(&mut told.unicast_frames, counted.unicast_frames),
        unicast_bytes: step(&mut told.unicast_bytes, counted.unicast_bytes),
        broadcast_packets: step(&mut told.broadcast_frames, counted.broadcast_frames),
        broadcast_bytes: step(&mut told.broadcast_bytes, counted.broadcast_bytes),
    }
}

impl Usage {
    /// Adds what a session did.
    pub fn add(&self, report: &UsageReport) {
        let mut waiting = self.lock();
        if report.login.is_some() {
            waiting.logins.push(UsageReport {
                traffic: Traffic::default(),
                ..report.clone()
            });
        }
        let sum = waiting.traffic.entry(report.user).or_default();
        add(&mut sum.received, &report.traffic.received);
        add(&mut sum.sent, &report.traffic.sent);
    }

    fn take(&self) -> Vec<UsageReport> {
        let Waiting { mut logins, traffic } = std::mem::take(&mut *self.lock());
        logins.extend(traffic.into_iter().map(|(user, traffic)| UsageReport {
            user,
            login: None,
            traffic,
        }));
        logins
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(sum: &mut store::Counters, more: &store::Counters) {
    sum.unicast_packets += more.unicast_packets;
    sum.unicast_bytes += more.unicast_bytes;
    sum.broadcast_packets += more.broadcast_packets;
    sum.broadcast_bytes += more.broadcast_bytes;
}

impl Server {
    /// As [`settle_usage`](Self::settle_usage), before something is read: a disk that is full keeps nobody from reading, and
    /// what could not be written waits.
    pub async fn refresh_usage(&self) {
        if let Err(error) = self.settle_usage().await {
            tracing::warn!(%error, "what users have used could not be written, so older counters are shown");
        }
    }

    /// Writes what sessions have counted so far, so that the store is up to date.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is lost then, it is tried again the next time.
    pub async fn settle_usage(&self) -> Result<(), StoreError> {
        for session in self.sessions.all() {
            if let Some(report) = session.usage() {
                self.usage.add(&report);
            }
        }
        let reports = self.usage.take();
        if reports.is_empty() {
            return Ok(());
        }
        let written = reports.clone();
        let outcome = self.db.run(move |store| store.add_usage(&written)).await;
        if outcome.is_err() {
            reports.iter().for_each(|report| self.usage.add(report));
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(frames: u64) -> Counters {
        let mut counters = Counters::default();
        counters.received.unicast_frames = frames;
        counters
    }

    #[test]
    fn a_meter_tells_each_thing_once() {
        let meter = Meter::new(Some(Id::random()));
        let first = meter.read(&counted(3)).unwrap();
        assert!(first.login.is_some());
        assert_eq!(first.traffic.received.unicast_packets, 3);
        assert!(meter.read(&counted(3)).is_none());
        // Taken back, and counted again.
        assert!(meter.read(&counted(2)).is_none());
        let second = meter.read(&counted(5)).unwrap();
        assert_eq!((second.login, second.traffic.received.unicast_packets), (None, 2));
    }

    #[test]
    fn a_hubs_administrator_has_no_counters() {
        assert!(Meter::new(None).read(&counted(3)).is_none());
    }

    #[test]
    fn what_waits_is_summed_by_user_and_logins_stay_apart() {
        let usage = Usage::default();
        let user = Id::random();
        for _ in 0..2 {
            let meter = Meter::new(Some(user));
            usage.add(&meter.read(&counted(1)).unwrap());
            usage.add(&meter.read(&counted(4)).unwrap());
        }
        let reports = usage.take();
        assert_eq!(reports.iter().filter(|report| report.login.is_some()).count(), 2);
        let frames: u64 = reports
            .iter()
            .map(|report| report.traffic.received.unicast_packets)
            .sum();
        assert_eq!(frames, 8);
        assert!(usage.take().is_empty());
    }
}
