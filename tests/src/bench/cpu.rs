//! What a program has taken of the processor: its own process and those that it started.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// One tick of /proc/PID/stat: 1/100 s on every machine that Linux runs on (`USER_HZ`, proc_pid_stat(5)).
const TICK: Duration = Duration::from_millis(10);

/// What /proc/PID/stat says of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    parent: u32,
    /// User and system time, of all threads, also of those that ended.
    time: Duration,
}

impl Process {
    /// Reads a line of /proc/PID/stat. The name in it may hold blanks and brackets; the last bracket ends it.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        // Fields 4, 14 and 15 of proc_pid_stat(5); `words` begins with field 3.
        let number = |field: usize| words.get(field - 3)?.parse::<u32>().ok();
        Some(Self {
            parent: number(4)?,
            time: TICK * number(14)?.checked_add(number(15)?)?,
        })
    }
}

/// The processor time of `root` and all its descendants.
pub fn processor_time(root: u32) -> Result<Duration> {
    let processes = processes()?;
    ensure!(processes.contains_key(&root), "process {root} has ended");
    let mut total = Duration::ZERO;
    for (pid, process) in &processes {
        if descends(&processes, *pid, root) {
            total += process.time;
        }
    }
    Ok(total)
}

fn descends(processes: &BTreeMap<u32, Process>, mut pid: u32, root: u32) -> bool {
    // Bounded, since processes come and go while the table is read.
    for _ in 0..64 {
        if pid == root {
            return true;
        }
        match processes.get(&pid) {
            Some(process) => pid = process.parent,
            None => return false,
        }
    }
    false
}

fn processes() -> Result<BTreeMap<u32, Process>> {
    let entries = std::fs::read_dir("/proc").context("/proc")?;
    let process = |name: String| {
        let pid = name.parse().ok()?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, Process::parse(&line)?))
    };
    Ok(entries
        .flatten()
        .filter_map(|entry| process(entry.file_name().into_string().ok()?))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_line_gives_parent_and_time_of_both_kinds() {
        let line = "4711 (vpn) server)) S 17 4711 4711 0 -1 4194560 9 8 7 6 250 50 3 4 20 0 9 0 100 200 300";
        let process = Process::parse(line).unwrap();
        assert_eq!((process.parent, process.time), (17, Duration::from_secs(3)));
    }

    #[test]
    fn broken_stat_lines_are_none() {
        for line in ["", "1 (x", "1 (x) S 2 3", "1 (x) S 0 1 1 0 0 0 0 0 0 0 x 1"] {
            assert_eq!(Process::parse(line), None, "{line}");
        }
    }

    #[test]
    fn own_work_is_counted() {
        let pid = std::process::id();
        let before = processor_time(pid).unwrap();
        let mut number = 1_u64;
        while processor_time(pid).unwrap() < before + 2 * TICK {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        assert_ne!(number, 0);
    }
}
