//! Starting in the background, stopping, and being asked how it is: for those who have no service manager.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::data_dir::{DataDir, DataDirError};

/// How long a start may take; the store, a certificate and devices are made in it.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stop may take: the server gives itself five seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a process that cannot be waited for is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Why the background server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state folder.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// It did not become ready.
    #[error("the server ended before it was ready; its log is {log}, its last line: {last}")]
    DidNotStart {
        /// Where its log is.
        log: String,
        /// What it said last.
        last: String,
    },
    /// It takes too long.
    #[error("the server is not ready after {} seconds; its log is {log}", START_TIMEOUT.as_secs())]
    NotReady {
        /// Where its log is.
        log: String,
    },
    /// There is none.
    #[error("no server is running on {0}")]
    NotRunning(String),
    /// It does not end.
    #[error("the server with process id {pid} has not ended after {} seconds", STOP_TIMEOUT.as_secs())]
    DoesNotStop {
        /// Its process id.
        pid: Pid,
    },
    /// It is somebody else's.
    #[error("may not end the server with process id {0}: it belongs to another user")]
    NotOurs(Pid),
    /// A process or a file could not be made.
    #[error("cannot start the server: {0}")]
    Io(#[from] io::Error),
}

/// Runs `vpnserver run` with the same options in a process group of its own and waits until it is ready.
///
/// # Errors
/// When it does not become ready; it is not left behind then.
pub fn start(folder: &DataDir, options: &[OsString]) -> Result<Pid, DaemonError> {
    // Found out here, where the user reads it, and not in the log.
    drop(folder.lock()?);
    let ready = folder.file("start.sock");
    let _ = std::fs::remove_file(&ready);
    let socket = UnixDatagram::bind(&ready)?;
    socket.set_read_timeout(Some(LOOK_INTERVAL))?;
    let log_path = folder.file("server.log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg("run")
        .args(options)
        .env("NOTIFY_SOCKET", &ready)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let outcome = wait_until_ready(&socket, &mut child, &log_path.display().to_string());
    let _ = std::fs::remove_file(&ready);
    outcome.map(|()| Pid::from_raw(child.id().cast_signed()))
}

fn wait_until_ready(socket: &UnixDatagram, child: &mut Child, log: &str) -> Result<(), DaemonError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut message = [0; 512];
    while Instant::now() < deadline {
        if let Ok(length) = socket.recv(&mut message)
            && message[..length]
                .split(|byte| *byte == b'\n')
                .any(|line| line == b"READY=1")
        {
            return Ok(());
        }
        if child.try_wait()?.is_some() {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            let last = text.lines().last().unwrap_or("(none)").to_owned();
            return Err(DaemonError::DidNotStart {
                log: log.to_owned(),
                last,
            });
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    Err(DaemonError::NotReady { log: log.to_owned() })
}

/// Asks the server of the folder to end and waits until it has.
///
/// # Errors
/// When there is none, or it does not end.
pub fn stop(folder: &DataDir) -> Result<Pid, DaemonError> {
    let pid = status(folder)?;
    match kill(pid, Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(_) => return Err(DaemonError::NotOurs(pid)),
    }
    let deadline = Instant::now() + STOP_TIMEOUT;
    while folder.holder()? == Some(pid) {
        if Instant::now() > deadline {
            return Err(DaemonError::DoesNotStop { pid });
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(pid)
}

/// The server of the folder.
///
/// # Errors
/// When there is none.
pub fn status(folder: &DataDir) -> Result<Pid, DaemonError> {
    folder
        .holder()?
        .ok_or_else(|| DaemonError::NotRunning(folder.path().display().to_string()))
}
