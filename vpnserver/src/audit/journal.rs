//! A file of lines that only grows, in several pieces of bounded size.
//!
//! Piece `name` is written, `name.1` is the one before it, and so on; the oldest goes when there are too many. Other
//! processes may append to it, too, as long as only one begins new pieces: the one that keeps it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::entry::{Entry, LINE_BYTES};

/// What is asked of the disk at once.
const STEP_BYTES: u64 = 64 << 10;

/// How large it may grow, and how careful it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of a piece.
    pub(super) file_bytes: u64,
    /// Pieces.
    pub(super) files: u32,
    /// Whether a line is on the disk when it counts as written.
    pub(super) is_synced: bool,
}

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    limits: Limits,
    open: Mutex<Option<Open>>,
    /// How long the file was when it was last looked at; when it is another, somebody else has written.
    seen: AtomicU64,
}

/// The piece that is written.
#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    /// Up to where the disk has promised room.
    promised: u64,
    /// Lines that room was promised to.
    awaited: u64,
}

impl Journal {
    pub(super) fn new(path: PathBuf, limits: Limits) -> Self {
        Self {
            path,
            limits,
            open: Mutex::default(),
            seen: AtomicU64::new(0),
        }
    }

    /// Makes sure that there is room for one line more.
    pub(super) fn reserve(&self) -> io::Result<()> {
        let mut guard = self.lock();
        // Others may be between room and line; their piece is left where it is.
        let is_full = |open: &Open| open.awaited == 0 && open.length + LINE_BYTES > self.limits.file_bytes;
        if guard.as_ref().is_some_and(is_full) {
            *guard = None;
            self.rotate()?;
        }
        let open = match &mut *guard {
            Some(open) => open,
            none => none.insert(self.open()?),
        };
        open.length = open.file.metadata()?.len();
        let needed = open.length + (open.awaited + 1) * LINE_BYTES;
        if needed > open.promised {
            promise(&open.file, open.length, needed + STEP_BYTES - open.length)?;
            open.promised = needed + STEP_BYTES;
        }
        open.awaited += 1;
        Ok(())
    }

    /// Gives the room of a line back.
    pub(super) fn release(&self) {
        if let Some(open) = &mut *self.lock() {
            open.awaited = open.awaited.saturating_sub(1);
        }
    }

    /// Writes the line that room was reserved for. It is made, as is its number, while no other process writes.
    pub(super) fn write(&self, line: impl FnOnce() -> io::Result<String>) -> io::Result<()> {
        let mut guard = self.lock();
        let open = guard.as_mut().ok_or(io::ErrorKind::NotFound)?;
        open.awaited = open.awaited.saturating_sub(1);
        open.file.lock()?;
        let written = line().and_then(|line| open.file.write_all(line.as_bytes()));
        open.length = open.file.seek(SeekFrom::End(0))?;
        self.seen.store(open.length, Ordering::Relaxed);
        open.file.unlock()?;
        written?;
        if self.limits.is_synced {
            open.file.sync_data()?;
        }
        Ok(())
    }

    /// The number of the last line, if the file is not as this process left it.
    pub(super) fn last_of_others(&self) -> io::Result<Option<u64>> {
        let length = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if self.seen.swap(length, Ordering::Relaxed) == length {
            return Ok(None);
        }
        let newest = self.newest(1, &|_| true)?;
        Ok(newest.first().map(|entry| entry.id))
    }

    /// The newest lines that fit, latest first.
    pub(super) fn newest(&self, most: usize, fits: &dyn Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
        let mut newest = Vec::new();
        for piece in 0..self.limits.files {
            if newest.len() >= most {
                break;
            }
            let mut content = Vec::new();
            match File::open(self.piece(piece)) {
                Ok(file) => file.take(2 * self.limits.file_bytes).read_to_end(&mut content)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let lines = content.rsplit(|byte| *byte == b'\n').filter_map(Entry::from_line);
            newest.extend(lines.filter(|entry| fits(entry)).take(most - newest.len()));
        }
        Ok(newest)
    }

    fn open(&self) -> io::Result<Open> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let mut length = file.seek(SeekFrom::End(0))?;
        // A line that a crash cut off stays by itself.
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(length - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                length += 1;
            }
        }
        self.sync_folder()?;
        Ok(Open {
            file,
            length,
            promised: 0,
            awaited: 0,
        })
    }

    fn rotate(&self) -> io::Result<()> {
        for piece in (1..self.limits.files).rev() {
            match fs::rename(self.piece(piece - 1), self.piece(piece)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn sync_folder(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn piece(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        name.into()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the disk promise room behind the end of a file. File systems that cannot promise are believed.
fn promise(file: &File, from: u64, bytes: u64) -> io::Result<()> {
    let offset = |number: u64| i64::try_from(number).map_err(io::Error::other);
    match fallocate(
        file,
        FallocateFlags::FALLOC_FL_KEEP_SIZE,
        offset(from)?,
        offset(bytes)?,
    ) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    use super::*;

    const LIMITS: Limits = Limits {
        file_bytes: 2 * LINE_BYTES,
        files: 3,
        is_synced: true,
    };

    fn line(id: u64) -> String {
        format!("{{\"id\":{id},\"time\":\"2030-01-01T00:00:00.000Z\",\"who\":\"server\",\"result\":0}}\n")
    }

    fn write(journal: &Journal, line: &str) {
        journal.reserve().unwrap();
        journal.write(|| Ok(line.to_owned())).unwrap();
    }

    fn ids(journal: &Journal) -> Vec<u64> {
        let newest = journal.newest(usize::MAX, &|_| true).unwrap();
        newest.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn old_pieces_go_and_the_newest_lines_stay() {
        let dir = TempDir::new().unwrap();
        let journal = Journal::new(dir.path().join("j"), LIMITS);
        let long = " ".repeat(1000);
        for id in 0..40 {
            write(&journal, &format!("{}{}", long, line(id)));
        }
        let left = ids(&journal);
        assert_eq!(left[0], 39);
        assert!(left.windows(2).all(|pair| pair[0] == pair[1] + 1), "{left:?}");
        assert!(left.len() < 40 && left.len() > 8, "{left:?}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count() - 1,
            2,
            "besides the one that is written"
        );
        let mode = fs::metadata(dir.path().join("j")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_line_that_a_crash_cut_off_spoils_no_other() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("j");
        fs::write(&path, [line(1), line(2)[..20].to_owned()].concat()).unwrap();
        let journal = Journal::new(path, LIMITS);
        write(&journal, &line(3));
        assert_eq!(ids(&journal), [3, 1]);
    }

    #[test]
    fn room_is_promised_before_the_line_and_takes_no_length() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("j");
        let journal = Journal::new(path.clone(), LIMITS);
        journal.reserve().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        journal.release();
        write(&journal, &line(1));
        assert_eq!(fs::read_to_string(&path).unwrap(), line(1));
    }

    #[test]
    fn a_folder_that_is_gone_has_no_room() {
        let journal = Journal::new("/nonexistent/j".into(), LIMITS);
        assert!(journal.reserve().is_err());
    }
}
