//! Processes of the laboratory: commands that must succeed, and daemons whose output is an event source.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long whatever is awaited may take, on a machine that builds something beside the tests. Who waits goes on as soon
/// as it is there, so only a failure takes as long.
pub const IN_TIME: Duration = Duration::from_secs(90);

/// How a finished command ended and what it said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit code; 128 plus the signal's number for a command that a signal ended.
    pub code: i32,
    /// Everything it wrote to its standard output.
    pub stdout: String,
    /// Everything it wrote to its standard error.
    pub stderr: String,
}

impl Answer {
    /// The standard output of a command that ended well, or an error that quotes what it said.
    pub fn success(self) -> Result<String> {
        if self.code == 0 {
            return Ok(self.stdout);
        }
        bail!(
            "exit code {}: {} {}",
            self.code,
            self.stdout.trim(),
            self.stderr.trim()
        )
    }
}

/// Runs `command` to its end without input.
pub fn answer(command: &mut Command) -> Result<Answer> {
    answer_fed(command.stdin(Stdio::null()))
}

/// Runs `command`, whose standard input is set, to its end.
pub fn answer_fed(command: &mut Command) -> Result<Answer> {
    let output = command
        .output()
        .with_context(|| format!("{} could not be started", command.get_program().to_string_lossy()))?;
    Ok(Answer {
        code: exit_code(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// Runs `command` to its end and returns what it printed; any failure is an error that shows the command.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    answer(command)?.success().with_context(|| shown)
}

/// The command line as a person would type it.
pub fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words
        .map(|word| quoted(&word.to_string_lossy()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// One word of a command line, in single quotes when a shell would take it apart.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/:.,=@%+-_".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{word}'")
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A process that runs beside the test. Its output, both streams, is kept line by line and can be waited for;
/// dropping it ends it at once.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<Lines>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    lines: Vec<String>,
    open_streams: usize,
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open_streams += 1;
        let output = Arc::clone(self);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                output
                    .lock()
                    .lines
                    .push(String::from_utf8_lossy(&line).trim_end().to_owned());
                output.news.notify_all();
                line.clear();
            }
            output.lock().open_streams -= 1;
            output.news.notify_all();
        });
    }
}

impl Daemon {
    /// Starts `command` under a `name` that messages will use.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} could not be started"))?;
        let output = Arc::new(Output::default());
        if let Some(stream) = child.stdout.take() {
            output.follow(stream);
        }
        if let Some(stream) = child.stderr.take() {
            output.follow(stream);
        }
        Ok(Self {
            name: name.into(),
            child,
            output,
        })
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        self.output.lock().lines.join("\n")
    }

    /// How many lines it has printed so far: a mark to wait from.
    pub fn mark(&self) -> usize {
        self.output.lock().lines.len()
    }

    /// Waits for a line that contains `text`, old lines included.
    pub fn line_with(&self, text: &str, within: Duration) -> Result<String> {
        self.line_after(0, within, text, |line| line.contains(text))
    }

    /// Waits for a line beyond `mark` that `wanted` accepts; `what` names it when it does not come.
    pub fn line_after(
        &self,
        mark: usize,
        within: Duration,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let deadline = Instant::now() + within;
        let mut seen = mark;
        let mut state = self.output.lock();
        loop {
            if let Some(line) = state.lines[seen.min(state.lines.len())..]
                .iter()
                .find(|line| wanted(line))
            {
                return Ok(line.clone());
            }
            seen = state.lines.len();
            let ended = state.open_streams == 0;
            let left = deadline.saturating_duration_since(Instant::now());
            if ended || left.is_zero() {
                let how = if ended {
                    "ended"
                } else {
                    "said nothing of the kind in time"
                };
                bail!(
                    "waited for {what:?} from {}, which {how}:\n{}",
                    self.name,
                    state.lines.join("\n")
                );
            }
            state = self
                .output
                .news
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The exit code, when it ends by itself in time.
    pub fn wait(&mut self, within: Duration) -> Result<i32> {
        let status = eventually(within, &format!("the end of {}", self.name), || {
            Ok(self.child.try_wait()?)
        });
        let status = status.with_context(|| self.log())?;
        // The readers see the end of the streams a moment after the process; the log is whole only then.
        let mut state = self.output.lock();
        let deadline = Instant::now() + Duration::from_secs(10);
        while state.open_streams > 0 && Instant::now() < deadline {
            let step = Duration::from_millis(100);
            state = self
                .output
                .news
                .wait_timeout(state, step)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(exit_code(status))
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("a process number fits an i32")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("{signal} to {}", self.name))
    }

    /// Asks it to end and returns its exit code.
    pub fn stop(mut self, within: Duration) -> Result<i32> {
        self.signal(Signal::SIGTERM)?;
        self.wait(within)
    }

    /// Ends it without warning, as `kill -9` does.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() || std::env::var_os("HUBWARD_SHOW_LOGS").is_some() {
            eprintln!("--- {} said:\n{}\n---", self.name, self.log());
        }
    }
}

/// Asks `probe` until it has an answer: for states of the kernel or of foreign programs that announce nothing.
pub fn eventually<T>(
    within: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe().with_context(|| format!("while waiting for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what} did not come within {} s", within.as_secs_f32());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
