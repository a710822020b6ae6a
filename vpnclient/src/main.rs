//! The Hubward VPN client.

use std::process::ExitCode;

use clap::Parser;
use netdev::capability;
use tracing_subscriber::EnvFilter;
use vpnclient::attachment::{Device, Segment};
use vpnclient::cli::{Cli, Command, Connect};
use vpnclient::connection;
use vpnclient::control::{self, ControlSocket, Folder};
use vpnclient::failure::Failure;
use vpnclient::report::{Event, Reporter, Style};
use vpnclient::rootless::Rootless;
use vpnclient::stop::Stop;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Connect(connect) => {
            log_to_stderr(connect.verbose);
            let reporter = Reporter::new(Style::detect(connect.json));
            let done = run(connect_to(&connect, &reporter));
            reporter.finish();
            end(done, &reporter)
        }
        Command::Nc(args) => {
            log_to_stderr(0);
            let done = run(async {
                let folder = Folder::of_user()?;
                control::nc(&folder, args.via.as_deref(), args.destination()).await
            });
            end(done, &Reporter::new(Style::Lines))
        }
    }
}

fn end(done: Result<(), Failure>, reporter: &Reporter) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let code = failure.code();
            reporter.show(&Event::Failed(failure));
            code
        }
    }
}

fn run(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Local(format!("the program cannot start its threads: {e}")))?;
    let done = runtime.block_on(work);
    // A read of standard input that waits on a thread of its own must not keep the program.
    runtime.shutdown_background();
    done
}

async fn connect_to(connect: &Connect, reporter: &Reporter) -> Result<(), Failure> {
    let wish = connect.wish(reporter)?;
    let settings = connect.settings();
    let mut stop = Stop::on_signals()?;
    // What cannot work here should not be tried there: all that is local comes before the server hears of us.
    if let Some(doors) = connect.rootless()? {
        let control = ControlSocket::bind(&Folder::of_user()?, &connect.name())?;
        let rootless = Rootless::open(&doors, Some(control))?;
        return connection::run(&wish, &settings, rootless, reporter, &mut stop).await;
    }
    if let Some(interface) = connect.bridge() {
        let segment = Segment::open(interface, connect.device().offload).await?;
        if let Some(advice) = segment.advice() {
            reporter.show(&Event::Note(advice.to_owned()));
        }
        return connection::run(&wish, &settings, segment, reporter, &mut stop).await;
    }
    capability::probe().require_tap()?;
    let device = Device::open(&connect.device())?;
    connection::run(&wish, &settings, device, reporter, &mut stop).await
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
