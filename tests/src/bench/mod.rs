//! `make bench`: our server and client beside the stock ones and OpenVPN, in one run, on one machine.
//!
//! A [`Contestant`] builds a [`Path`]: two hosts, a cable, a tunnel over it and a device at either end. The measures (streams, datagrams,
//! round trips, processor time) know nothing of what is in between. Contestants take turns within a round, so that a machine that
//! becomes slower becomes slower for all of them.

pub mod contestant;
pub mod cpu;
pub mod datagrams;
pub mod measure;
pub mod options;
pub mod path;
pub mod ping;
pub mod results;
pub mod streams;
pub mod table;
pub mod tls;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::{self, Lab};
use crate::stock::Stock;

pub use contestant::Contestant;
pub use measure::What;
pub use options::Options;
pub use path::Path;

use results::Results;

/// What all of it may take; a round that would end later is not begun.
const BUDGET: Duration = Duration::from_secs(9 * 60 + 30);

/// Out here: what needs the machine's network. Then the same program again, inside of a laboratory.
pub fn enter() -> Result<i32> {
    lab::check()?;
    Stock::unpacked()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = lab::enter(&arguments)?.status()?;
    Ok(status.code().unwrap_or(1))
}

/// Measures what `options` ask for and prints the table.
pub fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let lab = Lab::open()?;
    let mut results = Results::default();
    let mut longest = Duration::ZERO;
    for round in 1..=options.rounds {
        let round_begun = Instant::now();
        if round > 1 && begun.elapsed() + longest > BUDGET {
            eprintln!("no time is left for round {round}");
            break;
        }
        for contestant in options.contestants() {
            eprint!("round {round}: {:<28}", contestant.title());
            measure_one(&lab, contestant, options, &mut results)
                .with_context(|| contestant.title().to_owned())?;
            eprintln!();
        }
        longest = longest.max(round_begun.elapsed());
    }
    println!("{}", table::render(&results));
    Ok(())
}

fn measure_one(lab: &Lab, contestant: Contestant, options: &Options, results: &mut Results) -> Result<()> {
    let path = contestant.path(lab, options)?;
    for what in options.what() {
        if contestant.takes_part_in(what) {
            let figures = what
                .take(&path, options.window())
                .with_context(|| format!("{what:?}"))?;
            for (figure, value) in figures {
                eprint!("  {}", figure.shown(value));
                results.add(contestant, figure, value);
            }
        }
    }
    Ok(())
}
