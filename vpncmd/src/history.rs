//! What was typed at the prompt, kept for the next time in a file that only its user can read.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// How many lines are kept.
const LINES: usize = 1000;

/// The file.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    /// The file of this user: `hubward/vpncmd_history` in `$XDG_STATE_HOME`, else in `~/.local/state`. `None` when the
    /// user has no home.
    #[must_use]
    pub fn of_user() -> Option<HistoryFile> {
        let folder = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let state =
            folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
        Some(HistoryFile::at(state.join("hubward/vpncmd_history")))
    }

    /// The file at a path.
    #[must_use]
    pub fn at(path: PathBuf) -> HistoryFile {
        HistoryFile { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lines, oldest first, not more than are kept. What cannot be read is no history.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        if lines.len() > LINES {
            lines.drain(..lines.len() - LINES);
            // It grows by what is typed, so it is cut when it is read. A failure costs nothing but length.
            let _ = self.replace(&lines);
        }
        lines
    }

    /// Adds a line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, line: &str) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        // One write of one line: two tools at the same time do not mix theirs.
        file.write_all(format!("{}\n", line.replace(['\n', '\r'], " ")).as_bytes())
    }

    fn replace(&self, lines: &[String]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all((lines.join("\n") + "\n").as_bytes())?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_for_their_user_alone_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let file = HistoryFile::at(folder.path().join("deeper/history"));
        assert_eq!(file.lines(), [""; 0]);
        file.add("HubList").unwrap();
        file.add("UserGet \"a b\"").unwrap();
        assert_eq!(file.lines(), ["HubList", "UserGet \"a b\""]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);

        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(file.path(), "x\n".repeat(LINES) + "last\n").unwrap();
        assert_eq!(file.lines().len(), LINES);
        assert_eq!(file.lines().last().unwrap(), "last");
        assert_eq!(fs::read_to_string(file.path()).unwrap().lines().count(), LINES);
        file.add("more").unwrap();
        assert_eq!(mode(file.path()), 0o600);
    }
}
