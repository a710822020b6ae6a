//! `make bench`: our server and client beside the stock ones and OpenVPN, in one run, on one machine.
//!
//! A [`Contestant`] builds a [`Path`]: two hosts, a cable, a tunnel over it and a device at either end. The measures (streams, datagrams,
//! round trips, processor time) know nothing of what is in between. Contestants take turns within a round, so that a machine that
//! becomes slower becomes slower for all of them.

pub mod contestant;
pub mod cpu;
pub mod datagrams;
pub mod idle;
pub mod machine;
pub mod measure;
pub mod options;
pub mod path;
pub mod ping;
pub mod report;
pub mod rest;
pub mod results;
pub mod streams;
pub mod table;
pub mod targets;
pub mod tls;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::{self, Lab};
use crate::stock::{Stock, unpack};

pub use contestant::Contestant;
pub use measure::What;
pub use options::Options;
pub use path::Path;

use idle::Idle;
use rest::Rest;
use results::Results;

/// What the rounds may take of ten minutes; one that would end later is not begun.
const BUDGET: Duration = Duration::from_secs(8 * 60 + 30);

/// Out here: what needs the machine's network. Then the same program again, inside of a laboratory.
pub fn enter() -> Result<i32> {
    lab::check()?;
    Stock::unpacked()?;
    unpack::unpacked(&unpack::OPENVPN)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = lab::enter(&arguments)?.status()?;
    Ok(status.code().unwrap_or(1))
}

/// Everything that a run has found out.
struct Outcome {
    machine: String,
    results: Results,
    rounds: u32,
    /// Ours and the stock server's.
    idle: Option<(Idle, Idle)>,
    rest: Option<Rest>,
}

/// Measures what `options` ask for, prints it and saves it.
pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let lab = Lab::open()?;
    let machine = machine::describe(&Stock::unpacked()?);
    let mut results = Results::default();
    let mut contestants = Vec::new();
    for contestant in options.contestants() {
        if contestant.is_there()? {
            contestants.push(contestant);
        }
    }
    let mut rounds = 0;
    let mut longest = Duration::ZERO;
    while rounds < options.rounds && begun.elapsed() + longest < BUDGET {
        let round_begun = Instant::now();
        rounds += 1;
        for &contestant in &contestants {
            measure_one(&lab, contestant, options, rounds, &mut results)
                .with_context(|| contestant.title().to_owned())?;
        }
        longest = longest.max(round_begun.elapsed());
    }
    let idle = if options.what().contains(&What::Idle) {
        Some(idle::measure(&lab).context("idle servers")?)
    } else {
        None
    };
    let take_part = [Contestant::Ours, Contestant::Stock]
        .iter()
        .all(|one| contestants.contains(one));
    let rest = if take_part && options.what().contains(&What::Rest) {
        Some(rest::measure(&lab, options).context("round trips at rest")?)
    } else {
        None
    };
    let outcome = Outcome {
        machine,
        results,
        rounds,
        idle,
        rest,
    };
    let text = outcome.text(options, begun.elapsed());
    println!("\n{text}");
    match options.page() {
        Some(page) => report::save(&page, &text),
        None => Ok(()),
    }
}

fn measure_one(
    lab: &Lab,
    contestant: Contestant,
    options: &Options,
    round: u32,
    results: &mut Results,
) -> Result<()> {
    let what = options.what();
    let what: Vec<What> = what
        .into_iter()
        .filter(|what| contestant.takes_part_in(*what, round))
        .collect();
    if what.is_empty() {
        return Ok(());
    }
    eprint!("round {round}: {:<24}", contestant.title());
    let path = contestant.path(lab, options)?;
    for what in what {
        let figures = what
            .take(&path, options.window())
            .with_context(|| format!("{what:?}"))?;
        for (figure, value) in figures {
            eprint!("  {} {}", figure.title(), figure.shown(value));
            results.add(contestant, figure, value);
        }
    }
    eprintln!();
    Ok(())
}

impl Outcome {
    /// The whole text, as it is saved.
    fn text(&self, options: &Options, took: Duration) -> String {
        let mut text = format!(
            "## Measured\n\nMedians of {} rounds, {:.1} s for each figure, {:.0} s in all. TCP is in Mbit/s as the receiver counts it; \
             frames of 64 bytes are those that arrived in a second, beside those that were sent; RTT is in milliseconds, median and 99th \
             percentile, idle and while one TCP stream goes up; s/GB are seconds of a core that the program takes for a gigabyte (mean of up \
             and down, what the kernel does in its name included). Client, server, sender and receiver share the machine's cores. *hashed* is a \
             gibibyte, half of it each way, that was made, sent, received and hashed with SHA-256 at both ends; unequal hashes end the run \
             with an error.\n\n{}\n",
            self.rounds,
            options.window().as_secs_f64(),
            took.as_secs_f64(),
            table::medians(&self.results)
        );
        if self.rounds < options.rounds {
            text += &format!(
                "{} rounds were asked for; there was no time for more.\n\n",
                options.rounds
            );
        }
        for base in [Contestant::Stock, Contestant::StockDefault, Contestant::StockNat] {
            let ratios = table::ratios(&self.results, base);
            if ratios.lines().count() > 3 {
                text += &format!("As multiples of {}:\n\n{ratios}\n", base.title());
            }
        }
        if self.rounds > 1 {
            text += &format!("Least and most:\n\n{}\n", table::spreads(&self.results));
        }
        if let Some((ours, stock)) = self.idle {
            text += &format!(
                "Idle with one hub and SecureNAT: vpnserver {:.2} % of a core and {:.1} MiB, the stock server {:.2} % and {:.1} MiB. What an \
                 idle session takes is measured by `make bench-scale`.\n\n",
                ours.percent, ours.mebibytes, stock.percent, stock.mebibytes
            );
        }
        if let Some(rest) = &self.rest {
            text += &format!("{}\n\n", rest.told());
        }
        let idle = self.idle.map(|(ours, _)| ours);
        let targets = targets::render(&self.results, idle, self.rest.as_ref());
        if !targets.is_empty() {
            text += &format!("### Targets\n\n{targets}\n");
        }
        text += &format!("### On what\n\n{}", self.machine);
        text
    }
}
