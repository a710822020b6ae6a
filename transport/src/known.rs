//! The servers whose certificates were seen before.
//!
//! A certificate that nobody vouches for can be believed because it was there the last time: what ssh does. Who says yes the
//! first time is up to the program: vpncmd remembers silently, the stock tool's scripts relying on that; vpnclient asks. So
//! each has a file of its own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::{Date, Month, OffsetDateTime};

use crate::dial::Target;
use crate::tls::Fingerprint;

/// The file of known servers: a line `HOST:PORT sha256:HEX YYYY-MM-DD` for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownServers {
    path: PathBuf,
}

/// What is known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The certificate it showed the first time.
    pub fingerprint: Fingerprint,
    /// When that was, as far as it was written down.
    pub since: Option<Date>,
}

impl KnownServers {
    /// The file at a path.
    #[must_use]
    pub fn at(path: PathBuf) -> KnownServers {
        KnownServers { path }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of a server.
    ///
    /// # Errors
    /// The file cannot be read, or the server's line holds no fingerprint: then nobody may be believed silently.
    pub fn find(&self, server: &Target) -> io::Result<Option<Known>> {
        let name = name(server);
        let text = self.text()?;
        let line = text.lines().find(|line| name_in(line) == name);
        line.map(|line| {
            read(line).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the line of {name} is damaged"),
                )
            })
        })
        .transpose()
    }

    /// Remembers the certificate of a server in place of an older one.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was then.
    pub fn remember(&self, server: &Target, fingerprint: Fingerprint, now: SystemTime) -> io::Result<()> {
        let name = name(server);
        let today = OffsetDateTime::from(now).date();
        self.change(|lines| {
            lines.retain(|line| name_in(line) != name);
            lines.push(format!("{name} {fingerprint} {today}"));
            true
        })
        .map(drop)
    }

    /// Forgets a server; whether it was known.
    ///
    /// # Errors
    /// The file cannot be written; it is as it was then.
    pub fn forget(&self, server: &Target) -> io::Result<bool> {
        let name = name(server);
        self.change(|lines| {
            let before = lines.len();
            lines.retain(|line| name_in(line) != name);
            lines.len() < before
        })
    }

    fn text(&self) -> io::Result<String> {
        match fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }

    /// Puts a whole new file in the place of the old one, if `change` says that there is a change. Programs that do so at the
    /// same time wait for each other.
    fn change(&self, change: impl FnOnce(&mut Vec<String>) -> bool) -> io::Result<bool> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = File::open(folder)?;
        lock.lock()?;
        let mut lines: Vec<String> = self.text()?.lines().map(str::to_owned).collect();
        if !change(&mut lines) {
            return Ok(false);
        }
        let mut text = lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        let fresh = self.path.with_extension("new");
        // What a program that was killed has left behind may have other rights.
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        lock.sync_all()?;
        Ok(true)
    }
}

fn name(server: &Target) -> String {
    server.to_string().to_ascii_lowercase()
}

fn name_in(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// What a line says, if it says anything.
fn read(line: &str) -> Option<Known> {
    let mut words = line.split_ascii_whitespace().skip(1);
    Some(Known {
        fingerprint: words.next()?.parse().ok()?,
        since: words.next().and_then(date),
    })
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = parts.next()?.parse().ok()?;
    let month: u8 = parts.next()?.parse().ok()?;
    let day = parts.next()?.parse().ok()?;
    Date::from_calendar_date(year, Month::try_from(month).ok()?, day).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use time::macros::datetime;

    use super::*;

    fn server(text: &str) -> Target {
        text.parse().unwrap()
    }

    fn fingerprint(digit: char) -> Fingerprint {
        format!("sha256:{}", digit.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    fn known(folder: &Path) -> KnownServers {
        KnownServers::at(folder.join("deeper/known_servers"))
    }

    fn today() -> SystemTime {
        datetime!(2026-11-30 23:59 UTC).into()
    }

    #[test]
    fn a_server_is_known_by_name_and_port_and_since_when() {
        let folder = tempfile::tempdir().unwrap();
        let known = known(folder.path());
        assert_eq!(known.find(&server("a.example")).unwrap(), None);
        known
            .remember(&server("A.example"), fingerprint('1'), today())
            .unwrap();
        known
            .remember(&server("a.example:5555"), fingerprint('2'), today())
            .unwrap();
        let found = |text| known.find(&server(text)).unwrap();
        let first = Known {
            fingerprint: fingerprint('1'),
            since: date("2026-11-30"),
        };
        assert_eq!(found("a.example:443"), Some(first));
        assert_eq!(found("a.example:5555").unwrap().fingerprint, fingerprint('2'));
        assert_eq!(found("b.example"), None);
        let mode = fs::metadata(known.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_forgotten_server_is_unknown_and_a_remembered_one_replaces_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let known = known(folder.path());
        let one = server("one.example");
        assert!(!known.forget(&one).unwrap());
        known.remember(&one, fingerprint('1'), today()).unwrap();
        known
            .remember(&server("two.example"), fingerprint('3'), today())
            .unwrap();
        known.remember(&one, fingerprint('2'), today()).unwrap();
        assert_eq!(known.find(&one).unwrap().unwrap().fingerprint, fingerprint('2'));
        assert!(known.forget(&one).unwrap());
        assert_eq!(known.find(&one).unwrap(), None);
        assert!(known.find(&server("two.example")).unwrap().is_some());
    }

    #[test]
    fn a_line_without_a_date_is_understood_and_a_damaged_one_believes_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownServers::at(folder.path().join("known_servers"));
        fs::write(
            known.path(),
            format!("a.example:443 {}\nb.example:443 nonsense\n", fingerprint('1')),
        )
        .unwrap();
        let a = known.find(&server("a.example")).unwrap().unwrap();
        assert_eq!((a.fingerprint, a.since), (fingerprint('1'), None));
        assert!(known.find(&server("b.example")).is_err());
    }
}
