//! Room on the disk: the oldest log files go when there is too little.

use std::path::{Path, PathBuf};

use super::archive;

/// Bytes that an ordinary process can still write to the disk of a folder.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(found.blocks_available() as u64 * found.fragment_size() as u64)
}

/// Deletes log files below `root`, oldest first, until `wanted` bytes are free; those in `kept` stay. How many went.
pub(super) fn make_room(
    root: &Path,
    wanted: u64,
    kept: &[PathBuf],
    free: &dyn Fn(&Path) -> Option<u64>,
) -> usize {
    let is_short = || free(root).is_some_and(|free| free < wanted);
    if !is_short() {
        return 0;
    }
    let mut files = archive::list(root);
    files.sort_by_key(|file| file.updated);
    let mut deleted = 0;
    for file in files {
        let path = root.join(&file.path);
        if !is_short() {
            break;
        }
        if !kept.contains(&path) && std::fs::remove_file(&path).is_ok() {
            deleted += 1;
        }
    }
    deleted
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::time::{Duration, SystemTime};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_oldest_logs_go_first_and_those_in_use_stay() {
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("security_log/lab")).unwrap();
        fs::create_dir(root.join("server_log")).unwrap();
        let write = |name: &str, age: u64| {
            let path = root.join(name);
            fs::write(&path, "x").unwrap();
            let file = fs::File::options().append(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
            path
        };
        let in_use = write("server_log/vpn_1.log", 50);
        let oldest = write("security_log/lab/sec_1.log", 40);
        let older = write("server_log/vpn_2.log", 30);
        let newest = write("security_log/lab/sec_2.log", 20);
        let other = write("server_log/notes.txt", 60);
        // Each file that goes makes room for 1.
        let free = |_: &Path| {
            Some(u64::from(!oldest.exists()) + u64::from(!older.exists()) + u64::from(!newest.exists()))
        };
        let asked = Cell::new(0);
        let counted = |path: &Path| {
            asked.set(asked.get() + 1);
            free(path)
        };
        assert_eq!(make_room(root, 2, std::slice::from_ref(&in_use), &counted), 2);
        assert!(in_use.exists() && newest.exists() && other.exists());
        assert_eq!(make_room(root, 2, &[in_use], &counted), 0);
        assert!(asked.get() > 2);
    }
}
