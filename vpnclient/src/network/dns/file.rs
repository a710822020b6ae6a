//! The resolver's file, changed as a whole or not at all.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nat::leftovers::Presence;

/// How the name of a new version begins until it takes the file's place.
const NEW: &str = ".hubward-new-";
/// Clients of one machine change it one after the other; who waits longer than this goes on without.
const PATIENCE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// The file. Where its path is a link, what it leads to is changed, and the link stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct ResolvConf {
    path: PathBuf,
}

impl ResolvConf {
    /// The file at this path; there need not be one.
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Changes its content; `None` is no file.
    ///
    /// # Errors
    /// When it cannot be read or changed; it is as it was then.
    pub(super) async fn change(
        &self,
        how: impl FnOnce(Option<Vec<u8>>) -> Option<Vec<u8>>,
    ) -> io::Result<()> {
        let _one_at_a_time = lock().await;
        let place = self.place()?;
        let before = match fs::read(&place) {
            Ok(content) => Some(content),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        sweep(&place);
        let after = how(before.clone());
        if before == after {
            return Ok(());
        }
        match after {
            Some(content) => replace(&place, &content),
            None => fs::remove_file(&place),
        }
    }

    /// Whether a killed client left a new version beside it that it did not get to use.
    pub(super) fn has_strays(&self) -> bool {
        self.place().is_ok_and(|place| strays(&place).next().is_some())
    }

    /// Where its content lies.
    fn place(&self) -> io::Result<PathBuf> {
        match fs::canonicalize(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(&self.path) {
                // A link to nowhere yet.
                Ok(to) => Ok(self.path.parent().unwrap_or(Path::new("/")).join(to)),
                Err(_) => Ok(self.path.clone()),
            },
            found => found,
        }
    }
}

async fn lock() -> Option<Presence> {
    let since = Instant::now();
    loop {
        match Presence::announce("client-names") {
            None if since.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
            lock => return lock,
        }
    }
}

/// Takes away new versions that a killed client did not get to use.
fn sweep(place: &Path) {
    for stray in strays(place) {
        let _ = fs::remove_file(stray);
    }
}

fn strays(place: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = place.parent().and_then(|folder| fs::read_dir(folder).ok());
    let is_stray = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(NEW);
    let entries = entries.into_iter().flatten().flatten();
    entries
        .filter(move |entry| is_stray(entry))
        .map(|entry| entry.path())
}

fn replace(place: &Path, content: &[u8]) -> io::Result<()> {
    match swap(place, content) {
        // A file that a container engine has mounted cannot be renamed over, but written.
        Err(error) if is_fixed(&error) && place.exists() => write_over(place, content),
        done => done,
    }
}

fn is_fixed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ResourceBusy
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
            | ErrorKind::CrossesDevices
    )
}

/// Puts a new file in the place of the old one.
fn swap(place: &Path, content: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("/"));
    let new = folder.join(format!("{NEW}{}", std::process::id()));
    let before = fs::metadata(place).ok();
    let made = || {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&new)?;
        file.write_all(content)?;
        if let Some(before) = &before {
            file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o7777))?;
            // Who may not give it away leaves it as it is.
            let _ = std::os::unix::fs::fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        file.sync_all()?;
        fs::rename(&new, place)
    };
    let done = made();
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}

/// Writes into the file that is there. A shorter content is first filled up with empty lines: killed in between, it says the same.
fn write_over(place: &Path, content: &[u8]) -> io::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(place)?;
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut filled = content.to_vec();
    filled.resize(len.max(content.len()), b'\n');
    file.write_all_at(&filled, 0)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn append(path: &Path) -> io::Result<()> {
        ResolvConf::at(path)
            .change(|content| {
                let mut content = content.unwrap_or_default();
                content.extend(b"more\n");
                Some(content)
            })
            .await
    }

    #[tokio::test]
    async fn a_link_stays_a_link_and_what_it_leads_to_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "first\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        append(&link).await.unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("real"));
        assert_eq!(fs::read_to_string(&real).unwrap(), "first\nmore\n");
        assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
        let names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[tokio::test]
    async fn a_file_that_was_not_there_comes_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::os::unix::fs::symlink("real", &link).unwrap();
        append(&link).await.unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "more\n");
        ResolvConf::at(&link).change(|_| None).await.unwrap();
        assert!(!real.exists() && fs::read_link(&link).is_ok());
    }

    #[tokio::test]
    async fn a_file_in_a_place_where_none_can_be_made_is_said_to_be_so() {
        let error = append(Path::new("/proc/sys/kernel/resolv.conf"))
            .await
            .unwrap_err();
        assert_ne!(error.to_string(), "");
    }

    #[test]
    fn a_mounted_file_is_written_over_longer_and_shorter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "short\n").unwrap();
        for content in ["a much longer content\n", "b\n", ""] {
            write_over(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }
}
