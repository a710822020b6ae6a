//! The servers whose certificates were seen before.
//!
//! The stock tool believes any certificate, and scripts rely on that. The proof of the administrator's password is a
//! challenge response, so the password itself never reaches a wrong server; what a wrong server could do is to sit
//! in the middle. So the first certificate of a server is remembered, and another one later is refused: what ssh does.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use transport::{dial::Target, tls::Fingerprint};

/// The file of known servers: a line `HOST:PORT sha256:HEX` for each.
#[derive(Clone, Debug)]
pub struct KnownServers {
    path: PathBuf,
}

impl KnownServers {
    /// The file of this user: `hubward/known_servers` in `$XDG_CONFIG_HOME`, else in `~/.config`. `None` when the
    /// user has no home.
    #[must_use]
    pub fn of_user() -> Option<KnownServers> {
        let folder = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let config = folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))?;
        Some(KnownServers::at(config.join("hubward/known_servers")))
    }

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

    /// The certificate that a server showed the first time.
    ///
    /// # Errors
    /// The file cannot be read, or the server's line holds no fingerprint: then nobody may be believed silently.
    pub fn find(&self, server: &Target) -> io::Result<Option<Fingerprint>> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let name = name(server);
        let line = text
            .lines()
            .find_map(|line| line.split_once(' ').filter(|(known, _)| *known == name));
        let Some((_, fingerprint)) = line else {
            return Ok(None);
        };
        fingerprint
            .trim()
            .parse()
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Remembers a server.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, server: &Target, fingerprint: Fingerprint) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // One write of one line: two tools at the same time do not mix theirs.
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(format!("{} {fingerprint}\n", name(server)).as_bytes())
    }
}

fn name(server: &Target) -> String {
    server.to_string().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Target {
        text.parse().unwrap()
    }

    fn fingerprint(digit: char) -> Fingerprint {
        format!("sha256:{}", digit.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    #[test]
    fn a_server_is_known_by_name_and_port() {
        let folder = tempfile::tempdir().unwrap();
        let known = KnownServers::at(folder.path().join("deeper/known_servers"));
        assert_eq!(known.find(&server("a.example")).unwrap(), None);
        known.add(&server("A.example"), fingerprint('1')).unwrap();
        known.add(&server("a.example:5555"), fingerprint('2')).unwrap();
        assert_eq!(
            known.find(&server("a.example:443")).unwrap(),
            Some(fingerprint('1'))
        );
        assert_eq!(
            known.find(&server("a.example:5555")).unwrap(),
            Some(fingerprint('2'))
        );
        assert_eq!(known.find(&server("b.example")).unwrap(), None);
        fs::write(known.path(), "a.example:443 nonsense\n").unwrap();
        assert!(known.find(&server("a.example")).is_err());
    }
}
