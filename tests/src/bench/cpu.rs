//! What a program has taken of the processor: its own process and those that it started.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// The parent in a line of /proc/PID/stat, its fourth field (proc_pid_stat(5)). The name before may hold blanks and brackets; the last
/// bracket ends it.
fn parent(line: &str) -> Option<u32> {
    let (_, rest) = line.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// The processor time of `root` and all its descendants, of all their threads, the kernel's work for them included.
pub fn processor_time(root: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for pid in family(root)? {
        // By its clock, in nanoseconds; /proc counts in hundredths of a second. A child may have ended since it was listed.
        let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid)?));
        if let Ok(time) = clock.and_then(ClockId::now) {
            total += Duration::from(time);
        }
    }
    Ok(total)
}

/// `root` and all its descendants.
pub fn family(root: u32) -> Result<Vec<u32>> {
    let parents = parents()?;
    ensure!(parents.contains_key(&root), "process {root} has ended");
    let of_root = |pid: &u32| descends(&parents, *pid, root);
    Ok(parents.keys().copied().filter(of_root).collect())
}

fn descends(parents: &BTreeMap<u32, u32>, mut pid: u32, root: u32) -> bool {
    // Bounded, since processes come and go while the table is read.
    for _ in 0..64 {
        if pid == root {
            return true;
        }
        match parents.get(&pid) {
            Some(parent) => pid = *parent,
            None => return false,
        }
    }
    false
}

fn parents() -> Result<BTreeMap<u32, u32>> {
    let entries = std::fs::read_dir("/proc").context("/proc")?;
    let with_parent = |name: String| {
        let pid = name.parse().ok()?;
        let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parent(&line)?))
    };
    Ok(entries
        .flatten()
        .filter_map(|entry| with_parent(entry.file_name().into_string().ok()?))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_line_names_the_parent_behind_any_name() {
        assert_eq!(parent("4711 (vpn) server)) S 17 4711 4711 0"), Some(17));
        for line in ["", "1 (x", "1 (x) S", "1 (x) S y 1"] {
            assert_eq!(parent(line), None, "{line}");
        }
    }

    #[test]
    fn own_work_and_that_of_children_is_counted() {
        let pid = std::process::id();
        let before = processor_time(pid).unwrap();
        let mut number = 1_u64;
        while processor_time(pid).unwrap() < before + Duration::from_millis(1) {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        assert_ne!(number, 0);
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let family = family(pid).unwrap();
        assert!(
            family.contains(&pid) && family.contains(&child.id()),
            "{family:?}"
        );
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
