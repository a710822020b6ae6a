//! The access list of a running hub: the rules of the store, and the lists of users in files that they name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hub_core::access::{AccessList, Rule, UserFile};

/// The folder in the state folder that holds the files. Rules name files in it and nowhere else, so that a hub's
/// administrator cannot have the server read what is not meant for that.
pub const FOLDER: &str = "user-lists";

/// Bytes of such a file at most.
const MAX_FILE: u64 = 1 << 20;

/// What was put in force last.
#[derive(Default)]
pub struct InForce {
    rules: Vec<Rule>,
    files: BTreeMap<String, Contents>,
    read_at: Option<Instant>,
}

/// The users in a file, or why it cannot be read.
type Contents = Result<UserFile, String>;

impl InForce {
    /// What to put in force now, if that differs from what is. Files are read again when `lifetime` has passed.
    pub async fn bring_to(
        &mut self,
        rules: Vec<Rule>,
        folder: &Path,
        lifetime: Duration,
    ) -> Option<AccessList> {
        let is_stale = self.read_at.is_none_or(|at| at.elapsed() >= lifetime);
        let same_rules = self.rules == rules;
        if same_rules && (self.files.is_empty() || !is_stale) {
            return None;
        }
        let mut names = BTreeSet::new();
        AccessList::compile(&rules, |file| {
            names.insert(file.to_owned());
            UserFile::new()
        });
        let files = read_all(folder.to_owned(), names).await;
        self.read_at = Some(Instant::now());
        if same_rules && self.files == files {
            return None;
        }
        (self.rules, self.files) = (rules, files);
        Some(AccessList::compile(&self.rules, |file| {
            match self.files.get(file) {
                Some(Ok(users)) => users.clone(),
                _ => UserFile::new(),
            }
        }))
    }

    /// The files that cannot be read, and why. They list nobody.
    pub fn troubles(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(name, contents)| Some((name.as_str(), contents.as_ref().err()?.as_str())))
    }
}

async fn read_all(folder: PathBuf, names: BTreeSet<String>) -> BTreeMap<String, Contents> {
    if names.is_empty() {
        return BTreeMap::new();
    }
    let read = move || {
        names
            .into_iter()
            .map(|name| {
                let users = read(&folder, &name).map_err(|error| error.to_string());
                (name, users)
            })
            .collect()
    };
    // Given up only when the server ends.
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

/// One user a line; what follows `#` or `//` is for people.
fn read(folder: &Path, name: &str) -> io::Result<UserFile> {
    let is_plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if !is_plain {
        return Err(io::Error::other(format!(
            "a list of users is named by a plain file name in the folder {FOLDER}"
        )));
    }
    let path = folder.join(name);
    let file = File::options()
        .read(true)
        // A link could lead out of the folder, and a pipe would never end.
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK)
        .open(&path)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(format!("{} is not a file", path.display())));
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::other(format!(
            "{} has more than {MAX_FILE} bytes",
            path.display()
        )));
    }
    let user = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        line.split("//").next().unwrap_or_default().trim().to_owned()
    };
    Ok(text.lines().map(user).filter(|user| !user.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use hub_core::access::Addresses;

    fn rules(user: &str) -> Vec<Rule> {
        vec![Rule {
            source_user: user.to_owned(),
            ..Rule::new(1, true, Addresses::ANY_V4)
        }]
    }

    #[tokio::test]
    async fn a_list_is_read_again_when_its_time_is_over() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("staff");
        std::fs::write(&file, "alice # the boss\n\n// nobody\nbob\n").unwrap();
        let mut in_force = InForce::default();
        let (long, none) = (Duration::from_secs(3600), Duration::ZERO);
        let first = in_force
            .bring_to(rules("include:staff"), folder.path(), long)
            .await;
        assert_eq!(first.unwrap().len(), 1);
        let users: Vec<_> = in_force.files["staff"].as_ref().unwrap().iter().collect();
        assert_eq!(users.len(), 2);

        std::fs::write(&file, "carol\n").unwrap();
        let mut again = async |lifetime| {
            in_force
                .bring_to(rules("include:staff"), folder.path(), lifetime)
                .await
                .is_some()
        };
        assert!(!again(long).await);
        assert!(again(none).await);
        // Read again and found the same.
        assert!(!again(none).await);
    }

    #[tokio::test]
    async fn files_outside_of_the_folder_are_not_read() {
        let folder = TempDir::new().unwrap();
        let inside = folder.path().join("lists");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(folder.path().join("secret"), "alice\n").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), inside.join("link")).unwrap();
        for name in ["../secret", "/etc/passwd", "link", "..", ".", "", "absent"] {
            assert!(read(&inside, name).is_err(), "{name}");
        }
        let mut in_force = InForce::default();
        in_force
            .bring_to(rules("exclude:../secret"), &inside, Duration::ZERO)
            .await;
        let troubles: Vec<_> = in_force.troubles().collect();
        assert_eq!(troubles.len(), 1);
        assert!(troubles[0].1.contains("plain file name"));
    }
}
