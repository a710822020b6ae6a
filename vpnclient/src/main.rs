//! The Hubward VPN client.

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vpnclient::cli::{Cli, Command, Connect};
use vpnclient::connection;
use vpnclient::failure::Failure;
use vpnclient::report::{Event, Reporter, Style};

fn main() -> ExitCode {
    let Command::Connect(connect) = Cli::parse().command;
    log_to_stderr(connect.verbose);
    let reporter = Reporter::new(Style::detect(connect.json));
    let done = run(&connect, &reporter);
    reporter.finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.code();
            reporter.show(&Event::Failed(failure));
            code
        }
    }
}

fn run(connect: &Connect, reporter: &Reporter) -> Result<(), Failure> {
    let wish = connect.wish(reporter)?;
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Local(format!("the program cannot start its threads: {e}")))?;
    runtime.block_on(connection::run(&wish, &connect.settings(), reporter))
}

/// Warnings unless more is asked for; `RUST_LOG` overrides.
fn log_to_stderr(verbose: u8) {
    let level = ["warn", "info,vpnclient=debug,transport=debug", "debug"][usize::from(verbose.min(2))];
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}
