//! The `vpnserver` binary: options in, exit codes out.

use std::process::ExitCode;

use clap::Parser;
use vpnserver::cli::{Backup, Cli, Command, Folder};
use vpnserver::data_dir::{DataDir, DataDirError};
use vpnserver::offline::{self, OfflineError};
use vpnserver::setup::SetupError;
use vpnserver::{cleanup, daemon, instance, privileges, run, setup};

/// The local environment does not allow it (design, contracts).
const ENVIRONMENT: u8 = 4;
/// The command line, or a file that it names, is wrong.
const USAGE: u8 = 2;
/// The other side says no; here: no server is running.
const REFUSED: u8 = 3;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(options) => outcome(serve(&options)),
        Command::Start(options) => outcome(start(&options)),
        Command::Stop(folder) => with_server(folder.data_dir.as_deref(), daemon::stop, "ended"),
        Command::Setup(options) => set_up(&options),
        Command::Import(options) => import(&options),
        Command::Export(options) => export(&options),
        Command::NatInstance(options) => outcome(nat_instance(&options)),
        Command::Cleanup(options) => clean_up(&options),
        Command::Backup(Backup::List(folder)) => backups(&folder),
        Command::Backup(Backup::Restore { number, folder }) => restore(&folder, number),
        Command::Status(folder) => with_server(folder.data_dir.as_deref(), daemon::status, "running"),
    }
}

fn serve(options: &vpnserver::cli::Run) -> anyhow::Result<()> {
    // This comes before the runtime makes any threads: privileges belong to them, and so do heaps.
    netdev::memory::give_back_large_blocks();
    privileges::keep_memory_private()?;
    privileges::allow_many_descriptors();
    privileges::drop_needless()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(run::run(options));
    // What is still blocked (a disk, a resolver) must not hold the end up.
    runtime.shutdown_background();
    served
}

fn nat_instance(options: &vpnserver::cli::NatInstance) -> anyhow::Result<()> {
    privileges::drop_needless()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(instance::run(options))
}

fn clean_up(options: &vpnserver::cli::Cleanup) -> ExitCode {
    let cleaned = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(cleanup::clean(options)));
    match cleaned {
        Ok(cleaned) => {
            let word = if options.dry_run {
                "would remove"
            } else {
                "removed"
            };
            cleaned.removed.iter().for_each(|line| println!("{word} {line}"));
            cleaned.kept.iter().for_each(|line| println!("kept: {line}"));
            if cleaned.removed.is_empty() {
                println!("nothing was left behind");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vpnserver: {error:#}");
            let is_taken = matches!(error.downcast_ref(), Some(DataDirError::Taken { .. }));
            ExitCode::from(if is_taken { REFUSED } else { ENVIRONMENT })
        }
    }
}

fn start(options: &vpnserver::cli::Run) -> anyhow::Result<()> {
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    // `start` and `run` take the same options: hand them on as they were written.
    let options: Vec<_> = std::env::args_os().skip(2).collect();
    let pid = daemon::start(&folder, &options)?;
    println!(
        "vpnserver is running with process id {pid}; state and log are in {}",
        folder.path().display()
    );
    Ok(())
}

fn set_up(options: &vpnserver::cli::Setup) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return outcome(Err(error.into())),
    };
    match runtime.block_on(setup::run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpnserver: {error}");
            ExitCode::from(match error {
                SetupError::Unusable(_) | SetupError::PasswordFile { .. } => USAGE,
                SetupError::Refused(_) | SetupError::Step { .. } => REFUSED,
                _ => ENVIRONMENT,
            })
        }
    }
}

fn import(options: &vpnserver::cli::Import) -> ExitCode {
    match offline::import(options) {
        Ok(report) => {
            print!("{report}");
            println!(
                "{}",
                if options.dry_run {
                    "dry run: nothing was changed"
                } else {
                    "done; a running server follows within a few seconds"
                }
            );
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn export(options: &vpnserver::cli::Export) -> ExitCode {
    match offline::export(options) {
        Ok(notes) => {
            for note in notes {
                eprintln!("vpnserver: {note}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn backups(folder: &Folder) -> ExitCode {
    match offline::backups(folder) {
        Ok(backups) => {
            for backup in backups {
                let seconds = i64::try_from(backup.at.as_millis() / 1000).unwrap_or(i64::MAX);
                let at = time::OffsetDateTime::from_unix_timestamp(seconds)
                    .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
                println!(
                    "{:>10}  {} {:02}:{:02}:{:02} UTC  hubs {}, users {}, {} KiB",
                    backup.number,
                    at.date(),
                    at.hour(),
                    at.minute(),
                    at.second(),
                    backup.hubs,
                    backup.users,
                    backup.bytes.div_ceil(1024),
                );
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn restore(folder: &Folder, number: u64) -> ExitCode {
    match offline::restore(folder, number) {
        Ok(()) => {
            println!("done; a running server follows within a few seconds");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &OfflineError) -> ExitCode {
    eprintln!("vpnserver: {error}");
    ExitCode::from(match error {
        OfflineError::Refused { .. } => USAGE,
        _ => ENVIRONMENT,
    })
}

fn with_server(
    folder: Option<&std::path::Path>,
    what: impl Fn(&DataDir) -> Result<nix::unistd::Pid, daemon::DaemonError>,
    done: &str,
) -> ExitCode {
    let answer = DataDir::locate(folder)
        .map_err(Into::into)
        .and_then(|folder| what(&folder));
    match answer {
        Ok(pid) => {
            println!("vpnserver with process id {pid}: {done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("vpnserver: {error}");
            ExitCode::from(if matches!(error, daemon::DaemonError::NotRunning(_)) {
                REFUSED
            } else {
                ENVIRONMENT
            })
        }
    }
}

fn outcome(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vpnserver: {error:#}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}
