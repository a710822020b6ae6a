//! `make soak`: sessions that come and go under traffic, and a server that must be the same at the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Client, address_of};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// How long it takes where SOAK_MINUTES says nothing else.
const USUAL_MINUTES: u64 = 30;

/// Sessions after which the server holds what it needs.
const WARM_UP: u32 = 20;

/// What the server may have grown by between the end of the warm-up and the end, in KiB.
const GROWTH_KIB: u64 = 16 * 1024;

fn main() {
    let outcome = if lab::is_inside() { soak() } else { enter() };
    if let Err(error) = outcome {
        eprintln!("soak FAILED: {error:#}");
        std::process::exit(1);
    }
}

/// The same program again, inside of a laboratory.
fn enter() -> Result<()> {
    lab::check()?;
    let status = lab::enter(&[])?.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

fn soak() -> Result<()> {
    let lab = Lab::open()?;
    let minutes = match std::env::var("SOAK_MINUTES") {
        Ok(text) => text.parse().context("SOAK_MINUTES is a number of minutes")?,
        Err(_) => USUAL_MINUTES,
    };
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let (site, server) = Site::with_our_server(&lab, &[])?;
    let pid = server.daemon().pid();
    for _ in 0..WARM_UP {
        one_session(&site)?;
    }
    let before = Held::by(&site.nat, pid)?;
    let mut sessions = 0;
    while Instant::now() < end {
        one_session(&site).with_context(|| format!("session {sessions}"))?;
        sessions += 1;
        if sessions % 100 == 0 {
            println!("{sessions} sessions, {:?}", Held::by(&site.nat, pid)?);
        }
    }
    let after = eventually(IN_TIME, "the descriptors of closed sessions to be closed", || {
        let held = Held::by(&site.nat, pid)?;
        Ok((held.descriptors <= before.descriptors).then_some(held))
    })?;
    println!("{sessions} sessions: {before:?}, then {after:?}");
    ensure!(
        after.resident_kib <= before.resident_kib + GROWTH_KIB,
        "the server grew"
    );
    ensure!(after.threads <= before.threads, "threads were left behind");
    ensure!(!server.log().contains("panicked"), "a task panicked");
    server.stop()
}

fn one_session(site: &Site) -> Result<()> {
    let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
    address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
    for _ in 0..5 {
        site.user_sees_the_private_page()?;
    }
    client.stop()
}

/// What a process holds.
#[derive(Debug)]
struct Held {
    resident_kib: u64,
    descriptors: u64,
    threads: u64,
}

impl Held {
    fn by(host: &Host, pid: u32) -> Result<Self> {
        let text = host.sh(&format!(
            "sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{pid}/status; ls /proc/{pid}/fd | wc -l; \
             ls /proc/{pid}/task | wc -l"
        ))?;
        let numbers = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<Vec<u64>, _>>()?;
        let [resident_kib, descriptors, threads] = numbers[..] else {
            anyhow::bail!("/proc reads {text:?}")
        };
        Ok(Self {
            resident_kib,
            descriptors,
            threads,
        })
    }
}
