//! The state folder: where it is, who may read it, and that one server alone has it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::{Gid, Pid, Uid, geteuid, seteuid, setgid, setgroups, setuid};

/// What can be wrong with a state folder.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Nobody said where, and the environment does not tell.
    #[error("no state folder: set HOME or XDG_STATE_HOME, or give --data-dir DIR")]
    Nowhere,
    /// It cannot be made, read or written.
    #[error(
        "cannot use the state folder {path}: {source}; give another with --data-dir DIR or mend its owner"
    )]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It belongs to someone else.
    #[error("the state folder {path} belongs to another user; give another with --data-dir DIR")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Another server has it.
    #[error("a server with process id {pid} is using {path} already; end it with `vpnserver stop`")]
    Taken {
        /// The folder.
        path: PathBuf,
        /// The other's process id as it wrote it down.
        pid: i32,
    },
}

/// The path of a state folder.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

/// The proof that this process alone serves from the folder; held for the life of the server.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl DataDir {
    /// The folder that was asked for, or the usual one of this user.
    ///
    /// # Errors
    /// When nothing tells where it should be.
    pub fn locate(asked: Option<&Path>) -> Result<Self, DataDirError> {
        let path = match asked {
            Some(path) => path.to_owned(),
            None if geteuid().is_root() => PathBuf::from("/var/lib/hubward"),
            None => usual(|name| std::env::var_os(name).map(PathBuf::from)).ok_or(DataDirError::Nowhere)?,
        };
        Ok(Self { path })
    }

    /// Makes the folder if it is missing (mode 0700), checks that it is ours, and locks it.
    ///
    /// # Errors
    /// When it cannot be used or another server has it.
    pub fn lock(&self) -> Result<Lock, DataDirError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.path)
            .map_err(|e| self.unusable(e))?;
        let found = fs::metadata(&self.path).map_err(|e| self.unusable(e))?;
        if found.uid() != geteuid().as_raw() {
            return Err(DataDirError::Foreign {
                path: self.path.clone(),
            });
        }
        if found.mode() & 0o077 != 0 {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))
                .map_err(|e| self.unusable(e))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.file("server.lock"))
            .map_err(|e| self.unusable(e))?;
        let mut file =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(file, _)| DataDirError::Taken {
                path: self.path.clone(),
                pid: read_pid(file).unwrap_or_default(),
            })?;
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", Pid::this()))
            .map_err(|e| self.unusable(e))?;
        Ok(Lock { _file: file })
    }

    /// Lets root go on as the owner of the folder, whose server it is: files that root made there would be closed to that server.
    /// Others, and a folder that is not there yet, leave things as they are.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn act_as_owner(&self) -> Result<(), DataDirError> {
        let Ok(found) = fs::metadata(&self.path) else {
            return Ok(());
        };
        let (user, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
        if !geteuid().is_root() || user.is_root() {
            return Ok(());
        }
        setgroups(&[group])
            .and_then(|()| setgid(group))
            .and_then(|()| setuid(user))
            .map_err(|error| self.unusable(error.into()))
    }

    /// Does one thing as [`DataDir::act_as_owner`] would, and is root again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn as_owner<T>(&self, work: impl FnOnce() -> T) -> Result<T, DataDirError> {
        let failed = |error: Errno| self.unusable(error.into());
        let Ok(found) = fs::metadata(&self.path) else {
            return Ok(work());
        };
        let (root, user) = (geteuid(), Uid::from_raw(found.uid()));
        if !root.is_root() || user.is_root() {
            return Ok(work());
        }
        seteuid(user).map_err(failed)?;
        let done = work();
        seteuid(root).map_err(failed)?;
        Ok(done)
    }

    /// The process id of the server that has the folder, if one is running.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn holder(&self) -> Result<Option<Pid>, DataDirError> {
        let file = match File::open(self.file("server.lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.unusable(error)),
        };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(None),
            Err((file, _)) => Ok(read_pid(file).map(Pid::from_raw)),
        }
    }

    /// A file of the folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket for administration on this machine.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.file("control.sock")
    }

    fn unusable(&self, source: io::Error) -> DataDirError {
        DataDirError::Unusable {
            path: self.path.clone(),
            source,
        }
    }
}

/// `$XDG_STATE_HOME/hubward`, or `~/.local/state/hubward` (XDG base directory specification).
fn usual(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("XDG_STATE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| {
            variable("HOME")
                .filter(|path| path.is_absolute())
                .map(|home| home.join(".local/state"))
        })
        .map(|state| state.join("hubward"))
}

fn read_pid(mut file: File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Writes a file so that it is there whole or not at all: temporary name, `fsync`, rename, `fsync` of the folder.
///
/// # Errors
/// When any of these fails.
pub fn write_durably(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_private_and_has_one_server() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("one");
        let folder = DataDir::locate(Some(&path)).unwrap();
        assert_eq!(folder.holder().unwrap(), None);
        let lock = folder.lock().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert_eq!(folder.holder().unwrap(), Some(Pid::this()));
        assert!(matches!(folder.lock(), Err(DataDirError::Taken { pid, .. }) if pid == Pid::this().as_raw()));
        drop(lock);
        assert_eq!(folder.holder().unwrap(), None);
    }

    #[test]
    fn the_usual_folder_follows_the_environment() {
        let with = |state: Option<&'static str>, home: Option<&'static str>| {
            usual(move |name| match name {
                "XDG_STATE_HOME" => state.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            })
        };
        assert_eq!(with(Some("/s"), Some("/h")), Some(PathBuf::from("/s/hubward")));
        assert_eq!(
            with(None, Some("/h")),
            Some(PathBuf::from("/h/.local/state/hubward"))
        );
        assert_eq!(with(Some("relative"), None), None);
    }
}
