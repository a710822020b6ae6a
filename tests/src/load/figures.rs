//! What a process costs, as the kernel tells it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Memory and threads of a process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Resident memory, in bytes.
    pub rss: u64,
    /// The same with shared pages shared out, in bytes.
    pub pss: u64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Processor time since the start of a process.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    user: Duration,
    system: Duration,
    at: Instant,
}

impl Size {
    /// Of a process, now.
    pub fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        Ok(Self {
            rss: number(&status, "VmRSS:")? * 1024,
            pss: number(&rollup, "Pss:")? * 1024,
            threads: number(&status, "Threads:")?,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64,
        })
    }
}

fn number(text: &str, name: &str) -> Result<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("no {name}"))
}

impl Spent {
    /// By a process, until now.
    pub fn by(pid: u32) -> Result<Self> {
        // Linux counts in hundredths of a second for user space (USER_HZ, proc(5)).
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (_, after_name) = stat.rsplit_once(')').context("no name in stat")?;
        let mut columns = after_name.split_whitespace().skip(11).map(str::parse::<u32>);
        let mut ticks = || anyhow::Ok(TICK * columns.next().context("a short stat")??);
        Ok(Self {
            user: ticks()?,
            system: ticks()?,
            at: Instant::now(),
        })
    }

    /// Processor time spent since `earlier`.
    pub fn since(&self, earlier: &Self) -> Duration {
        self.user + self.system - earlier.user - earlier.system
    }

    /// The same as a part of one core.
    pub fn share_since(&self, earlier: &Self) -> f64 {
        self.since(earlier).as_secs_f64() / (self.at - earlier.at).as_secs_f64()
    }
}

/// Waits until a process does nothing worth mentioning: what it had to do after its start is done.
pub fn await_rest(pid: u32, within: Duration) -> Result<()> {
    let deadline = Instant::now() + within;
    let mut before = Spent::by(pid)?;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = Spent::by(pid)?;
        if now.share_since(&before) < 0.05 {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < deadline, "the server does not come to rest");
        before = now;
    }
}

/// The part of `sorted` below which `percent` of them are.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}
