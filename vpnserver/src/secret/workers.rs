//! The threads that run Argon2: a few, in the background of everything else, and with turns for everybody.
//!
//! A run takes a core for some 15 to 35 ms and 19 MiB. There is one thread per core, so a storm of logins costs neither memory nor threads, and
//! each gives way to whoever moves frames. What waits is served source by source, not first come first
//! served: one source that sends hundreds of logins waits behind itself.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::setpriority_process;
use tokio::sync::oneshot;

use super::{RecordError, password};

/// A login that has waited for so long is told to come again: its connection has few seconds left
/// (`NEGOTIATION_TIMEOUT` in `transport/src/accept.rs`).
const LONGEST_WAIT: Duration = Duration::from_secs(12);

/// How long a thread keeps the memory of its last run (`password::give_back`). Imported passwords come one after the other with
/// moments between them, and to touch 19 MiB anew takes more than half as long as the run itself.
const KEPT: Duration = Duration::from_millis(500);

/// The weight of a thread that works when nobody else wants the core (setpriority(2); on Linux every thread has its own).
const BACKGROUND: i32 = 19;

/// Whose work it is: that of a source of logins, or our own.
type Source = Option<IpAddr>;

/// The threads and what waits for them. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    most: usize,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    /// What waits, by source; no queue is empty.
    queues: HashMap<Source, VecDeque<Job>>,
    /// The sources of `queues`, the next one first.
    turns: VecDeque<Source>,
    threads: usize,
    idle: usize,
    over: bool,
}

struct Job {
    since: Instant,
    work: Box<dyn FnOnce(Verdict) + Send>,
}

/// Whether a job is to be done or has waited too long.
enum Verdict {
    Do,
    TooLate,
}

impl Workers {
    /// At most one thread per core; they are started when there is work.
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::default(),
            most: thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// Runs `work` when it is the turn of `source`.
    ///
    /// # Errors
    /// What `work` returns, or [`RecordError::Busy`] when a source's work has waited too long.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        source: Source,
        work: impl FnOnce() -> Result<T, RecordError> + Send + 'static,
    ) -> Result<T, RecordError> {
        let (answer, answered) = oneshot::channel();
        let work = move |verdict| {
            // Whoever asked may have gone away meanwhile.
            if !answer.is_closed() {
                let _ = answer.send(match verdict {
                    Verdict::Do => work(),
                    Verdict::TooLate => Err(RecordError::Busy),
                });
            }
        };
        self.enqueue(source, Box::new(work))?;
        answered.await.map_err(|_| RecordError::Hashing)?
    }

    fn enqueue(&self, source: Source, work: Box<dyn FnOnce(Verdict) + Send>) -> Result<(), RecordError> {
        let mut state = self.shared.lock();
        state.push(
            source,
            Job {
                since: Instant::now(),
                work,
            },
        );
        if state.idle == 0 && state.threads < self.most {
            let shared = self.shared.clone();
            let started = thread::Builder::new()
                .name("argon2".to_owned())
                .spawn(move || serve(&shared));
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return Err(RecordError::Hashing),
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.news.notify_one();
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; none when there will be no more. Whoever has waited for `kept` needs no memory, and does `rest`.
    fn next(&self, kept: Duration, rest: impl Fn()) -> Option<(Source, Job)> {
        let mut patience = kept;
        let mut state = self.lock();
        loop {
            if state.over {
                return None;
            }
            if let Some(next) = state.pop() {
                return Some(next);
            }
            state.idle += 1;
            let waited = self.news.wait_timeout(state, patience);
            let (news, time) = waited.unwrap_or_else(PoisonError::into_inner);
            state = news;
            state.idle -= 1;
            if time.timed_out() && state.turns.is_empty() {
                patience = Duration::MAX;
                // Others need not wait for it.
                drop(state);
                rest();
                state = self.lock();
            }
        }
    }
}

impl State {
    fn push(&mut self, source: Source, job: Job) {
        let queue = self.queues.entry(source).or_default();
        if queue.is_empty() {
            self.turns.push_back(source);
        }
        queue.push_back(job);
    }

    /// The oldest job of the source whose turn it is.
    fn pop(&mut self) -> Option<(Source, Job)> {
        let source = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&source)?;
        let job = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        Some((source, job))
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

fn serve(shared: &Shared) {
    // Without it a storm of logins would be felt in the tunnels, and nothing worse.
    if let Err(error) = setpriority_process(None, BACKGROUND) {
        tracing::debug!(%error, "Argon2 runs with the priority of everything else");
    }
    while let Some((source, job)) = shared.next(KEPT, password::give_back) {
        let late = source.is_some() && job.since.elapsed() > LONGEST_WAIT;
        (job.work)(if late { Verdict::TooLate } else { Verdict::Do });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn source(number: u8) -> Source {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    fn waiting(state: &mut State, source: Source) {
        let work = Box::new(|_| ());
        state.push(
            source,
            Job {
                since: Instant::now(),
                work,
            },
        );
    }

    #[test]
    fn one_source_waits_behind_itself() {
        let mut state = State::default();
        (0..3).for_each(|_| waiting(&mut state, source(1)));
        waiting(&mut state, source(2));
        waiting(&mut state, None);
        let order: Vec<_> = std::iter::from_fn(|| state.pop())
            .map(|(source, _)| source)
            .collect();
        assert_eq!(order, [source(1), source(2), None, source(1), source(1)]);
        assert!(state.queues.is_empty() && state.turns.is_empty());
    }

    #[tokio::test]
    async fn everything_is_done_by_no_more_threads_than_there_are_cores() {
        let workers = Workers::new();
        let jobs = (0..100).map(|number| workers.run(source(number % 7), move || Ok(number)));
        let done = futures(jobs).await;
        assert_eq!(done, (0..100).map(Ok).collect::<Vec<_>>());
        assert!(workers.shared.lock().threads <= workers.most);
    }

    async fn futures<T>(jobs: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
        let mut jobs: Vec<_> = jobs.map(Box::pin).collect();
        let mut done = Vec::new();
        for job in &mut jobs {
            done.push(job.await);
        }
        done
    }

    #[test]
    fn memory_is_kept_for_a_moment_and_then_given_back_once() {
        let shared = Arc::new(Shared::default());
        let rested = Arc::new(AtomicU32::new(0));
        let worker = |kept| {
            let (shared, rested) = (shared.clone(), rested.clone());
            let rest = move || {
                rested.fetch_add(1, Ordering::Relaxed);
            };
            thread::spawn(move || shared.next(kept, rest).is_some())
        };
        let give_a_job = || {
            waiting(&mut shared.lock(), source(1));
            shared.news.notify_one();
        };
        let waits = || {
            while shared.lock().idle == 0 {
                thread::yield_now();
            }
        };
        let patient = worker(Duration::from_secs(600));
        waits();
        give_a_job();
        assert!(patient.join().unwrap());
        assert_eq!(rested.load(Ordering::Relaxed), 0);

        let hasty = worker(Duration::from_millis(1));
        while rested.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        waits();
        thread::sleep(Duration::from_millis(5));
        give_a_job();
        assert!(hasty.join().unwrap());
        assert_eq!(rested.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_has_waited_too_long_is_told_so() {
        let workers = Workers::new();
        let Some(before) = Instant::now().checked_sub(LONGEST_WAIT * 2) else {
            return; // this machine was started a moment ago
        };
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |verdict| {
            let _ = answer.send(matches!(verdict, Verdict::TooLate));
        });
        workers.shared.lock().push(source(1), Job { since: before, work });
        assert_eq!(workers.run(None, || Ok(())).await, Ok(()));
        assert_eq!(answered.await, Ok(true));
    }
}
