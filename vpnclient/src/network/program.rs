//! Programs of this machine that settings are made with.

use std::path::Path;
use std::time::Duration;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A program that did not do what it was called for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program} failed: {reason}")]
pub struct ProgramError {
    program: String,
    reason: String,
}

/// Runs a program with `input` and returns what it printed.
pub(super) async fn run(program: &Path, arguments: &[&str], input: &str) -> Result<String, ProgramError> {
    let failed = |reason: String| ProgramError {
        program: program.display().to_string(),
        reason,
    };
    let output = nat::program::run(program, arguments, input.as_bytes(), PATIENCE)
        .await
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(
        said.lines().next().unwrap_or("no reason given").trim().to_owned(),
    ))
}
