//! The Hubward VPN client.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vpnclient::cleanup;
use vpnclient::cli::{Cli, Command, Connect, LogFormat, Run, StatusArgs};
use vpnclient::control::{self, ControlSocket, Folder};
use vpnclient::failure::Failure;
use vpnclient::meeting;
use vpnclient::report::{Event, Reporter, Style};
use vpnclient::service;
use vpnclient::status;
use vpnclient::stop::Stop;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Connect(connect) => {
            log_to_stderr(connect.verbose, "warn", LogFormat::Text);
            let reporter = Reporter::new(Style::detect(connect.json));
            let done = run(connect_to(&connect, &reporter));
            reporter.finish();
            end(done, &reporter)
        }
        Command::Cleanup(args) => {
            log_to_stderr(0, "warn", LogFormat::Text);
            end(run(cleanup::run(args.dry_run)), &Reporter::new(Style::Lines))
        }
        Command::Nc(args) => {
            log_to_stderr(0, "warn", LogFormat::Text);
            let done = run(async {
                let folder = Folder::of_user()?;
                control::nc(&folder, args.via.as_deref(), args.destination()).await
            });
            end(done, &Reporter::new(Style::Lines))
        }
        Command::Forget(forget) => end(forget.run(), &Reporter::new(Style::Lines)),
        Command::Run(args) => serve(&args),
        Command::Status(args) => show_status(&args),
        other => ask_service(&other),
    }
}

/// `vpnclient run`.
fn serve(args: &Run) -> ExitCode {
    log_to_stderr(args.verbose, "info", args.log_format);
    let done = run(async {
        let folder = args.config_dir.clone().or_else(meeting::folder).ok_or_else(|| {
            Failure::Local("there is no folder for accounts; set HOME, or give --config-dir DIR".to_owned())
        })?;
        let mut stop = Stop::on_signals()?;
        service::run(&folder, &Folder::of_user()?, !args.no_tcp, &mut stop).await
    });
    match &done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.code()
        }
    }
}

/// `vpnclient status`.
fn show_status(args: &StatusArgs) -> ExitCode {
    log_to_stderr(0, "warn", LogFormat::Text);
    let mut connected = false;
    let done = run(async {
        connected = status::status(&Folder::of_user()?, args.asked()).await?;
        Ok(())
    });
    match done {
        Ok(()) if connected => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(Failure::Refused(String::new()).number()),
        failed => end(failed, &Reporter::new(Style::Lines)),
    }
}

/// What is asked of the service that runs.
fn ask_service(command: &Command) -> ExitCode {
    log_to_stderr(0, "warn", LogFormat::Text);
    let reporter = match command {
        Command::Up(up) => Reporter::new(Style::detect(up.json)),
        _ => Reporter::new(Style::Lines),
    };
    let done = run(async {
        let folder = Folder::of_user()?;
        let said = match command {
            Command::Up(wanted) => service::up(&folder, wanted, &reporter)
                .await
                .map(|()| String::new()),
            Command::Down(wanted) => service::down(&folder, &wanted.name).await.map(|()| String::new()),
            Command::Accounts(wanted) => service::accounts(&folder, wanted.json).await,
            Command::Options(wanted) => service::options(&folder, wanted).await,
            Command::Import(wanted) => service::import(&folder, &wanted.file).await,
            Command::Connect(_)
            | Command::Nc(_)
            | Command::Run(_)
            | Command::Status(_)
            | Command::Forget(_)
            | Command::Cleanup(_) => Ok(String::new()),
        }?;
        // A reader that has seen enough is no trouble.
        let _ = std::io::stdout().write_all(said.as_bytes());
        Ok(())
    });
    reporter.finish();
    end(done, &reporter)
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
    let profile = connect.profile(reporter)?;
    let mut stop = Stop::on_signals()?;
    let control = match connect.control() {
        Ok(control) => Some(control),
        Err(failure) if connect.needs_control() => return Err(failure),
        // A connection with a device goes without: only `vpnclient status` does not see it then.
        Err(failure) => {
            tracing::info!("{failure}");
            None
        }
    };
    let name = control.as_ref().map_or(connect.hub.as_str(), ControlSocket::name);
    reporter.board().describe(profile.head(name, false));
    profile.run(control, reporter, &mut stop).await
}

/// What is usual unless more is asked for; `RUST_LOG` overrides.
fn log_to_stderr(verbose: u8, usual: &str, format: LogFormat) {
    let level = match verbose {
        0 => usual,
        1 => "info,vpnclient=debug,transport=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.with_target(false).init(),
        LogFormat::Json => lines.with_target(false).json().flatten_event(true).init(),
    }
}
