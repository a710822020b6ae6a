//! The log files that are there, and what is in them.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::SystemTime;

use nix::libc::{O_CLOEXEC, O_NOFOLLOW};

/// Bytes of a file that are read at once.
pub const PIECE_BYTES: u64 = 512 << 10;

/// One log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Its path below the data folder, such as `security_log/lab/sec_20261123.log`.
    pub path: String,
    /// The hub it is about; none for the server's.
    pub hub: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When it was last written to.
    pub updated: SystemTime,
}

/// All log files below `root`, by path. What cannot be read is left out, and so are links: they lead elsewhere.
pub(super) fn list(root: &Path) -> Vec<LogFile> {
    let mut files = Vec::new();
    for log in ["packet_log", "security_log"] {
        for hub in names(&root.join(log)) {
            let folder = format!("{log}/{hub}");
            if fs::symlink_metadata(root.join(&folder)).is_ok_and(|found| found.is_dir()) {
                files.extend(files_in(root, &folder, Some(&hub)));
            }
        }
    }
    files.extend(files_in(root, "server_log", None));
    files
}

fn files_in(root: &Path, folder: &str, hub: Option<&str>) -> Vec<LogFile> {
    let file = |name: String| {
        let path = format!("{folder}/{name}");
        let found = fs::symlink_metadata(root.join(&path)).ok()?;
        (name.ends_with(".log") && found.is_file()).then(|| LogFile {
            path,
            hub: hub.map(str::to_owned),
            size: found.len(),
            updated: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        })
    };
    names(&root.join(folder)).into_iter().filter_map(file).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    names
}

/// Reads on from `offset`, empty at the end. None for what is not in the list, wherever such a path might lead.
pub(super) fn read(root: &Path, path: &str, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let listed = list(root)
        .into_iter()
        .find(|file| file.path.eq_ignore_ascii_case(path));
    let Some(listed) = listed else {
        return Ok(None);
    };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW | O_CLOEXEC)
        .open(root.join(&listed.path));
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None), // deleted just now
        opened => opened?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut piece = Vec::new();
    file.take(PIECE_BYTES).read_to_end(&mut piece)?;
    Ok(Some(piece))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_log_files_are_listed_and_read() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("security_log/lab")).unwrap();
        fs::create_dir(root.join("server_log")).unwrap();
        fs::write(root.join("secret.log"), "secret").unwrap();
        fs::write(root.join("server_log/vpn.log"), "first second").unwrap();
        fs::write(root.join("server_log/other"), "x").unwrap();
        fs::write(root.join("security_log/lab/sec.log"), "x").unwrap();
        symlink(root.join("secret.log"), root.join("server_log/link.log")).unwrap();
        symlink(root.join("security_log/lab"), root.join("security_log/other")).unwrap();
        let paths: Vec<_> = list(root).into_iter().map(|file| file.path).collect();
        assert_eq!(paths, ["security_log/lab/sec.log", "server_log/vpn.log"]);
        assert_eq!(read(root, "server_log/vpn.log", 6).unwrap().unwrap(), b"second");
        assert_eq!(read(root, "server_log/vpn.log", 99).unwrap().unwrap(), b"");
        for outside in [
            "secret.log",
            "server_log/link.log",
            "server_log/../secret.log",
            "security_log/other/sec.log",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(read(root, outside, 0).unwrap(), None, "{outside}");
        }
    }
}
