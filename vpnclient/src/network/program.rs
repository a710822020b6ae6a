//! Programs of this machine that settings are made with.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program that did not do what it was called for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program} failed: {reason}")]
pub struct ProgramError {
    program: String,
    /// What it said.
    pub(super) reason: String,
}

/// Runs a program with `input` and returns what it printed.
pub(super) async fn run(
    program: &Path,
    arguments: &[&str],
    input: Option<&str>,
) -> Result<String, ProgramError> {
    let failed = |reason: String| ProgramError {
        program: program.display().to_string(),
        reason,
    };
    let running = async {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // A program that ends early closes the pipe; its exit status says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = timeout(PATIENCE, running)
        .await
        .map_err(|_| failed("it did not end in time".to_owned()))?
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(
        said.lines().next().unwrap_or("no reason given").trim().to_owned(),
    ))
}
