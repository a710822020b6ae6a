//! The audit log: one line for every change of an administrator, made or refused, and for every login that was refused.
//!
//! No change without a line: room for the line is set aside on the disk before the change is tried, and where there is none
//! the change is refused. The line is on the disk before the answer goes out. Refused logins are in a file of their own,
//! bounded in number and size, so that strangers cannot push out what administrators did, nor make the disk work.

mod entry;
mod journal;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

pub use entry::{Doing, Entry, Who};
use journal::{Journal, Limits};

/// The file of changes, in the data folder.
pub const CHANGES_FILE: &str = "audit.jsonl";
/// The file of refused logins.
pub const LOGINS_FILE: &str = "audit-logins.jsonl";

const CHANGES: Limits = Limits {
    file_bytes: 8 << 20,
    files: 8,
    is_synced: true,
};
const LOGINS: Limits = Limits {
    file_bytes: 4 << 20,
    files: 2,
    is_synced: false,
};
/// So many refused logins are written in a time; the next line after that says how many were not.
const LOGINS_PER_MINUTE: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The audit log; clones share it.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    changes: Journal,
    logins: Journal,
    /// The number of the next line, as far as the files have been looked at.
    next: AtomicU64,
    budget: Mutex<Budget>,
}

/// How many refused logins may still be written.
#[derive(Debug)]
struct Budget {
    since: Instant,
    written: u32,
    left_out: u64,
}

/// Room for one line. Dropped without a line, it says so in the log of the server.
#[derive(Debug)]
pub struct Slot {
    audit: Audit,
    is_used: bool,
}

impl Audit {
    /// The audit log of a data folder. Files are made when there is something to write.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self(Arc::new(Inside {
            changes: Journal::new(folder.join(CHANGES_FILE), CHANGES),
            logins: Journal::new(folder.join(LOGINS_FILE), LOGINS),
            next: AtomicU64::new(1),
            budget: Mutex::new(Budget {
                since: Instant::now(),
                written: 0,
                left_out: 0,
            }),
        }))
    }

    /// Sets room aside for the line of a change that is about to be tried.
    ///
    /// # Errors
    /// When the disk has none, or the file cannot be written; the change must not be made then.
    pub async fn reserve(&self) -> io::Result<Slot> {
        let audit = self.clone();
        on_a_thread(move || audit.reserve_now()).await
    }

    /// The same where waiting is no matter.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub fn reserve_now(&self) -> io::Result<Slot> {
        self.0.changes.reserve()?;
        Ok(Slot {
            audit: self.clone(),
            is_used: false,
        })
    }

    /// Writes that a login was refused, unless there have been too many.
    pub async fn refused_login(&self, mut doing: Doing) {
        let left_out = {
            let mut budget = self.0.budget.lock().unwrap_or_else(PoisonError::into_inner);
            if budget.since.elapsed() >= MINUTE {
                (budget.since, budget.written) = (Instant::now(), 0);
            }
            if budget.written >= LOGINS_PER_MINUTE {
                budget.left_out += 1;
                return;
            }
            budget.written += 1;
            std::mem::take(&mut budget.left_out)
        };
        doing.left_out = left_out;
        let audit = self.clone();
        let written = on_a_thread(move || {
            audit.0.logins.reserve()?;
            audit.0.logins.write(|| audit.line(doing))
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "a refused login could not be written to the audit log");
        }
    }

    /// The newest lines that fit, latest first; `before` is the number of a line that they shall be older than.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub async fn newest(
        &self,
        most: usize,
        before: Option<u64>,
        fits: impl Fn(&Entry) -> bool + Send + 'static,
    ) -> io::Result<Vec<Entry>> {
        let audit = self.clone();
        on_a_thread(move || {
            let fits = |entry: &Entry| before.is_none_or(|before| entry.id < before) && fits(entry);
            let mut newest = audit.0.changes.newest(most, &fits)?;
            newest.extend(audit.0.logins.newest(most, &fits)?);
            newest.sort_by_key(|entry| std::cmp::Reverse(entry.id));
            newest.truncate(most);
            Ok(newest)
        })
        .await
    }

    /// A line, numbered on from the last of the files, whoever wrote it.
    fn line(&self, doing: Doing) -> io::Result<String> {
        for journal in [&self.0.changes, &self.0.logins] {
            if let Some(last) = journal.last_of_others()? {
                self.0.next.fetch_max(last + 1, Ordering::Relaxed);
            }
        }
        Ok(Entry::now(self.0.next.fetch_add(1, Ordering::Relaxed), doing).to_line())
    }
}

impl Slot {
    /// Nothing was changed.
    pub fn give_back(mut self) {
        self.is_used = true;
        self.audit.0.changes.release();
    }

    /// Writes the line; it is on the disk when this returns.
    pub async fn write(self, doing: Doing) {
        let written = on_a_thread(move || {
            self.write_now(doing);
            Ok(())
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "a line of the audit log is missing");
        }
    }

    /// The same where waiting is no matter.
    pub fn write_now(mut self, doing: Doing) {
        self.is_used = true;
        let told = format!("{doing:?}");
        if let Err(error) = self.audit.0.changes.write(|| self.audit.line(doing)) {
            // The room was there, so this is a broken disk. What was done is done; it is told here instead.
            tracing::error!(%error, line = told, "a line could not be written to the audit log");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.is_used {
            self.audit.0.changes.release();
            tracing::error!("a change came to a sudden end; the audit log does not say which");
        }
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use protocol::error::ErrorCode;
    use tempfile::TempDir;

    use super::*;

    fn doing(name: &str) -> Doing {
        Doing {
            who: Who::Server,
            from: "local".to_owned(),
            transport: "local",
            method: "CreateUser".to_owned(),
            hub: Some("lab".to_owned()),
            name: Some(name.to_owned()),
            result: Ok(()),
            left_out: 0,
        }
    }

    async fn names(audit: &Audit, most: usize, before: Option<u64>) -> Vec<String> {
        let newest = audit.newest(most, before, |_| true).await.unwrap();
        newest.into_iter().filter_map(|entry| entry.doing.name).collect()
    }

    #[tokio::test]
    async fn lines_are_numbered_on_over_restarts_and_come_back_newest_first() {
        let dir = TempDir::new().unwrap();
        for start in ["a", "b"] {
            let audit = Audit::of(dir.path());
            for step in ["1", "2"] {
                let slot = audit.reserve().await.unwrap();
                slot.write(doing(&format!("{start}{step}"))).await;
            }
            audit
                .refused_login(Doing {
                    result: Err(ErrorCode::AccessDenied),
                    ..doing(&format!("{start}3"))
                })
                .await;
        }
        let audit = Audit::of(dir.path());
        assert_eq!(names(&audit, 4, None).await, ["b3", "b2", "b1", "a3"]);
        let third = audit.newest(3, None, |_| true).await.unwrap()[2].id;
        assert_eq!((third, names(&audit, 9, Some(third)).await.len()), (4, 3));
        let refused = audit
            .newest(9, None, |entry| entry.doing.result.is_err())
            .await
            .unwrap();
        assert_eq!(refused.len(), 2);
        assert_eq!(refused[0].doing.result, Err(ErrorCode::AccessDenied));
    }

    #[tokio::test]
    async fn processes_that_write_at_the_same_time_give_each_line_a_number_of_its_own() {
        let dir = TempDir::new().unwrap();
        let (server, tool) = (Audit::of(dir.path()), Audit::of(dir.path()));
        for (audit, name) in [(&server, "1"), (&tool, "2"), (&server, "3"), (&tool, "4")] {
            audit.reserve().await.unwrap().write(doing(name)).await;
            server.refused_login(doing("guess")).await;
        }
        let all = server.newest(9, None, |_| true).await.unwrap();
        assert_eq!(
            all.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            [8, 7, 6, 5, 4, 3, 2, 1]
        );
    }

    #[tokio::test]
    async fn a_flood_of_refused_logins_is_counted_and_not_written() {
        let dir = TempDir::new().unwrap();
        let audit = Audit::of(dir.path());
        for _ in 0..LOGINS_PER_MINUTE + 40 {
            audit.refused_login(doing("guess")).await;
        }
        assert_eq!(names(&audit, 1000, None).await.len(), LOGINS_PER_MINUTE as usize);
        audit.0.budget.lock().unwrap().since -= MINUTE;
        audit.refused_login(doing("later")).await;
        let newest = audit.newest(1, None, |_| true).await.unwrap();
        assert_eq!(newest[0].doing.left_out, 40);
    }
}
