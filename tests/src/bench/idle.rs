//! What a server costs that nobody uses: one hub with SecureNAT.

use std::time::Duration;

use anyhow::{Context, Result};

use super::cpu;
use crate::lab::Lab;
use crate::ours::{self, Server};
use crate::stock::Stock;

/// Long enough for what a server does when it starts.
const SETTLE: Duration = Duration::from_secs(3);

/// How long processor time is counted.
const WINDOW: Duration = Duration::from_secs(10);

/// What an idle server takes.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// Percent of one core.
    pub percent: f64,
    /// Resident memory, MiB.
    pub mebibytes: f64,
}

/// Both servers at once, ours first: neither has anything to do.
pub fn measure(lab: &Lab) -> Result<(Idle, Idle)> {
    let (our_host, stock_host) = (lab.host("ours")?, lab.host("stock")?);
    let ours = Server::start(&our_host, &[])?;
    ours::set_up(&our_host)?;
    let stock = Stock::unpacked()?;
    let theirs = stock.server(&stock_host)?;
    stock.set_up(&stock_host)?;
    let pids = [ours.daemon().pid(), theirs.pid()];
    std::thread::sleep(SETTLE);
    let before = [cpu::processor_time(pids[0])?, cpu::processor_time(pids[1])?];
    std::thread::sleep(WINDOW);
    let idle = |number: usize| -> Result<Idle> {
        let spent = cpu::processor_time(pids[number])?.saturating_sub(before[number]);
        Ok(Idle {
            percent: 100.0 * spent.as_secs_f64() / WINDOW.as_secs_f64(),
            mebibytes: resident(pids[number])?,
        })
    };
    Ok((idle(0)?, idle(1)?))
}

/// Of all processes of a server: the stock one has a second that only watches the first.
fn resident(root: u32) -> Result<f64> {
    let mut total = 0.0;
    for pid in cpu::family(root)? {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        total += kibibytes(&status).context("VmRSS in /proc/PID/status")?;
    }
    Ok(total / 1024.0)
}

fn kibibytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tvpnserver\nVmPeak:\t  99 kB\nVmRSS:\t   23552 kB\n";
        assert_eq!(kibibytes(status), Some(23552.0));
        assert_eq!(kibibytes("Name:\tkthreadd\n"), None);
    }
}
