//! Programs of this machine, run to their end.

use std::ffi::OsStr;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Runs a program that reads `input` and speaks English, and waits for its end, at most for `patience`.
///
/// # Errors
/// It could not be run, or did not end in time: then it is killed.
pub async fn run(
    program: impl AsRef<OsStr>,
    arguments: &[&str],
    input: &[u8],
    patience: Duration,
) -> io::Result<Output> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let talk = async move {
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends early closes the pipe; its exit status says why, so that is what counts.
            let _ = stdin.write_all(input).await;
        }
        child.wait_with_output().await
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it did not end in time");
    timeout(patience, talk).await.map_err(|_| late())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_program_reads_its_input_and_says_how_it_ended() {
        let output = run("sh", &["-c", "cat; echo $LC_ALL >&2; exit 3"], b"words", SOON)
            .await
            .unwrap();
        assert_eq!(
            (&output.stdout[..], &output.stderr[..], output.status.code()),
            (&b"words"[..], &b"C\n"[..], Some(3))
        );
        // One that does not read is no failure.
        let output = run("true", &[], &[b'x'; 1 << 20], SOON).await.unwrap();
        assert!(output.status.success());
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_not_waited_for() {
        let error = run("sleep", &["60"], b"", Duration::from_millis(10))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let error = run("no-such-program-here", &[], b"", SOON).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
