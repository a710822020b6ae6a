//! The thread that writes log files.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::libc::{O_CLOEXEC, O_NOFOLLOW};

use super::{Place, eraser};
use crate::events::{Event, Events};

/// Files that are open at once.
const OPEN_FILES: usize = 128;
/// A file that nothing is written to is closed after this time.
const IDLE: Duration = Duration::from_secs(60);
/// How long a log that could not be written rests.
const REST: Duration = Duration::from_secs(5);
/// Continuations of one file.
const PARTS: u32 = 9_999;
/// What the trouble is called in reports.
const PART: &str = "log files";

/// What bounds the files.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file; it goes on in another with `~01` after its name.
    pub file_bytes: u64,
    /// Bytes that are to be free on the disk; the oldest logs go when there are fewer.
    pub free_bytes: u64,
    /// How often the disk is looked at.
    pub look_every: Duration,
}

impl Default for Limits {
    /// As the stock server's `LoggerMaxLogSize`, `AutoDeleteCheckDiskFreeSpaceMin` and `AutoDeleteCheckIntervalSecs`.
    fn default() -> Self {
        Self {
            file_bytes: 1_073_741_823,
            free_bytes: 104_857_600,
            look_every: Duration::from_secs(300),
        }
    }
}

/// What the thread is told.
pub(super) enum Message {
    /// To write a line, without its end.
    Line {
        place: Place,
        stamp: String,
        line: String,
    },
    /// To say when all lines before are in their files.
    Settle(tokio::sync::oneshot::Sender<()>),
    /// To end.
    Stop,
}

/// Starts the thread; none when the system has no thread to give, and then nothing is written.
pub(super) fn start(
    root: &Path,
    messages: Receiver<Message>,
    events: Events,
    limits: Limits,
) -> Option<JoinHandle<()>> {
    let mut writer = Writer {
        root: root.to_owned(),
        limits,
        events,
        open: HashMap::new(),
        rests_until: None,
        is_failing: false,
        looked: None,
    };
    thread::Builder::new()
        .name("logs".to_owned())
        .spawn(move || writer.run(&messages))
        .inspect_err(|error| tracing::warn!(%error, "no log files: there is no thread for them"))
        .ok()
}

struct Writer {
    root: PathBuf,
    limits: Limits,
    events: Events,
    open: HashMap<Place, Open>,
    /// Nothing is written before this, because it could not be a moment ago.
    rests_until: Option<Instant>,
    /// Whether that was said.
    is_failing: bool,
    /// When the disk was last looked at.
    looked: Option<Instant>,
}

/// The file that a log goes to at present.
struct Open {
    stamp: String,
    part: u32,
    path: PathBuf,
    file: BufWriter<File>,
    size: u64,
    used: Instant,
}

impl Writer {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let message = match messages.try_recv() {
                Ok(message) => Ok(message),
                // Everything that was waiting goes to the disk before this thread does.
                Err(_) => {
                    self.flush();
                    messages.recv_timeout(IDLE.min(self.limits.look_every))
                }
            };
            match message {
                Ok(Message::Line { place, stamp, line }) => self.write(&place, stamp, &line),
                Ok(Message::Settle(done)) => {
                    self.flush();
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => self.open.retain(|_, open| open.used.elapsed() < IDLE),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            if self
                .looked
                .is_none_or(|at| at.elapsed() >= self.limits.look_every)
            {
                self.make_room();
            }
        }
    }

    fn write(&mut self, place: &Place, stamp: String, line: &str) {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let written = self.try_write(place, stamp, line);
        // After a failure only what has reached the file counts.
        let outcome = if self.is_failing {
            written.and_then(|()| self.try_flush())
        } else {
            written
        };
        match outcome {
            Ok(()) => self.recover(),
            Err(error) => self.fail(&error),
        }
    }

    fn try_write(&mut self, place: &Place, stamp: String, line: &str) -> io::Result<()> {
        let length = line.len() as u64 + 2;
        let fits = |open: &&mut Open| open.stamp == stamp && open.size + length <= self.limits.file_bytes;
        if self.open.get_mut(place).filter(fits).is_none() {
            // The part that is full, so that the next one is looked for behind it.
            let from = match self.open.remove(place) {
                Some(mut full) => {
                    full.file.flush()?;
                    if full.stamp == stamp { full.part + 1 } else { 0 }
                }
                None => 0,
            };
            if self.open.len() >= OPEN_FILES {
                self.close_longest_unused()?;
            }
            let opened = self.open_file(place, stamp, from, length)?;
            self.open.insert(place.clone(), opened);
        }
        if let Some(open) = self.open.get_mut(place) {
            // Lines end so on every system: what reads the stock server's files reads ours.
            open.file.write_all(line.as_bytes())?;
            open.file.write_all(b"\r\n")?;
            open.size += length;
            open.used = Instant::now();
        }
        Ok(())
    }

    fn open_file(&self, place: &Place, stamp: String, from: u32, length: u64) -> io::Result<Open> {
        let (folder, name) = match place {
            Place::Server => (self.root.join("server_log"), "vpn"),
            Place::Security(hub) => (self.folder("security_log", hub)?, "sec"),
            Place::Packet(hub) => (self.folder("packet_log", hub)?, "pkt"),
        };
        make_folder(&folder)?;
        for part in from..=PARTS {
            let path = match part {
                0 => folder.join(format!("{name}{stamp}.log")),
                part => folder.join(format!("{name}{stamp}~{part:02}.log")),
            };
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(O_NOFOLLOW | O_CLOEXEC)
                .open(&path)?;
            let size = file.metadata()?.len();
            if size == 0 || size + length <= self.limits.file_bytes {
                return Ok(Open {
                    stamp,
                    part,
                    path,
                    file: BufWriter::new(file),
                    size,
                    used: Instant::now(),
                });
            }
        }
        Err(io::Error::other("there are too many log files of one name"))
    }

    /// The folder of a hub's log. A hub's name cannot lead out of it: it has no slash and does not begin with a dot.
    fn folder(&self, log: &str, hub: &str) -> io::Result<PathBuf> {
        let logs = self.root.join(log);
        make_folder(&logs)?;
        Ok(logs.join(hub))
    }

    fn close_longest_unused(&mut self) -> io::Result<()> {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
        let oldest = oldest.map(|(place, _)| place.clone());
        match oldest.and_then(|place| self.open.remove(&place)) {
            Some(mut closed) => closed.file.flush(),
            None => Ok(()),
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.try_flush() {
            self.fail(&error);
        }
    }

    fn try_flush(&mut self) -> io::Result<()> {
        self.open.values_mut().try_for_each(|open| open.file.flush())
    }

    /// Says that lines are written again, if they were not.
    fn recover(&mut self) {
        self.rests_until = None;
        if std::mem::take(&mut self.is_failing) {
            self.events.report(&Event::PartStarted {
                hub: None,
                part: PART.to_owned(),
            });
        }
    }

    /// Gives up what could not be written, says so once, and tries again after a while.
    fn fail(&mut self, error: &io::Error) {
        for (_, open) in self.open.drain() {
            // Dropping the buffer would try to write it once more.
            let _ = open.file.into_parts();
        }
        self.rests_until = Some(Instant::now() + REST);
        if error.kind() == io::ErrorKind::StorageFull {
            self.make_room();
        }
        if !std::mem::replace(&mut self.is_failing, true) {
            self.events.report(&Event::PartFailed {
                hub: None,
                part: PART.to_owned(),
                reason: format!(
                    "{error} below {}; lines are lost until this is mended, everything else goes on",
                    self.root.display()
                ),
            });
        }
    }

    /// Deletes the oldest logs while the disk is short of room.
    fn make_room(&mut self) {
        self.looked = Some(Instant::now());
        let kept: Vec<_> = self.open.values().map(|open| open.path.clone()).collect();
        let deleted = eraser::make_room(&self.root, self.limits.free_bytes, &kept, &eraser::free_bytes);
        if deleted > 0 {
            self.events.report(&Event::LogsDeleted { files: deleted });
        }
    }
}

/// Makes a folder that only we can look into, if it is missing. Its parent must be there: logs do not bring a data folder back.
fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome,
    }
}
