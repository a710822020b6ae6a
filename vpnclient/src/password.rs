//! Where a password comes from: a file, standard input, a service credential, or the terminal. Never the command line,
//! which every user of the machine can read.

use std::fs::File;
use std::io::{BufRead, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::person;

/// No password is longer; the protocol takes 255 bytes (protocol §4.3).
const MAX_BYTES: u64 = 255;
/// The name under which systemd hands over the password (`LoadCredential=vpn-password:...`).
const CREDENTIAL: &str = "vpn-password";

/// A password, and what to tell the user about where it came from.
#[derive(Debug)]
pub struct Password {
    /// The password; cleared from memory when dropped.
    pub text: Zeroizing<String>,
    /// A remark worth showing.
    pub note: Option<String>,
}

/// A secret that the program can be given.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The file that was named for it; `-` is standard input.
    pub file: Option<&'a Path>,
    /// The option that names one.
    pub option: &'static str,
    /// The service credential that may hold it (`LoadCredential=NAME:...` of systemd).
    pub credential: &'static str,
    /// How a person is asked for it.
    pub prompt: &'a str,
}

/// Gets the password of `who`: from `file` (`-` is standard input), else from the service manager, else by asking on the terminal.
pub fn obtain(file: Option<&Path>, who: &str) -> Result<Password, Failure> {
    Wanted {
        file,
        option: "--password-file",
        credential: CREDENTIAL,
        prompt: &format!("Password of {who}: "),
    }
    .obtain()
}

impl Wanted<'_> {
    /// Gets it: from the file, else from the service manager, else by asking on the terminal.
    pub fn obtain(&self) -> Result<Password, Failure> {
        match self
            .file
            .map(Path::to_owned)
            .or_else(|| credential(self.credential))
        {
            Some(path) if path == Path::new("-") => Ok(plain(next_line("the password")?)),
            Some(path) => from_file(&path, self.option),
            None => self.ask().map(plain),
        }
    }

    fn ask(&self) -> Result<Zeroizing<String>, Failure> {
        let typed = person::secret(self.prompt)?.ok_or_else(|| {
            let prompt = self.prompt.trim_end_matches([':', ' ']);
            Failure::Usage(format!(
                "nobody can be asked for this, since there is no terminal: {prompt}; give {}",
                self.option
            ))
        })?;
        read(typed.as_bytes(), "what was typed")
    }
}

/// The next line of standard input, and nothing behind it, which is for others.
pub fn next_line(what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 3));
    let input = std::io::stdin().lock();
    input
        .take(MAX_BYTES + 3)
        .read_until(b'\n', &mut line)
        .map_err(|e| Failure::Usage(format!("{what} cannot be read from standard input: {e}")))?;
    read(&line[..], "standard input")
}

fn plain(text: Zeroizing<String>) -> Password {
    Password { text, note: None }
}

fn credential(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name);
    path.is_file().then_some(path)
}

/// The secret in a file that `option` named.
pub fn from_file(path: &Path, option: &str) -> Result<Password, Failure> {
    let failed = |e: std::io::Error| {
        Failure::Usage(format!(
            "the file {} cannot be read: {e}; check {option}",
            path.display()
        ))
    };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    let text = read(file, &path.display().to_string())?;
    let note =
        (mode & 0o077 != 0).then(|| format!("other users may read {}; `chmod 600` it", path.display()));
    Ok(Password { text, note })
}

/// Reads a password up to its line end.
fn read(from: impl Read, name: &str) -> Result<Zeroizing<String>, Failure> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 3));
    from.take(MAX_BYTES + 3)
        .read_to_end(&mut bytes)
        .map_err(|e| Failure::Usage(format!("the password cannot be read from {name}: {e}")))?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > MAX_BYTES {
        return Err(Failure::Usage(format!(
            "the password in {name} is longer than {MAX_BYTES} bytes"
        )));
    }
    match std::str::from_utf8(line) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(Failure::Usage(format!(
            "the password in {name} is not UTF-8 text"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        read(bytes, "here").unwrap().to_string()
    }

    #[test]
    fn the_line_end_does_not_belong_to_the_password() {
        assert_eq!(text_of(b"Fuji 3776 \n"), "Fuji 3776 ");
        assert_eq!(text_of(b"Fuji\r\n"), "Fuji");
        assert_eq!(text_of(b"Fuji"), "Fuji");
        assert_eq!(text_of(b"first\nsecond\n"), "first");
        assert_eq!(text_of(b""), "");
    }

    #[test]
    fn what_cannot_be_a_password_is_refused_by_name() {
        assert!(
            read(&[b'a'; 300][..], "the file")
                .unwrap_err()
                .to_string()
                .contains("the file")
        );
        assert!(
            read(&[0xff, 0xfe][..], "the file")
                .unwrap_err()
                .to_string()
                .contains("UTF-8")
        );
        let missing = obtain(Some(Path::new("/nonexistent/password")), "alice").unwrap_err();
        assert!(matches!(missing, Failure::Usage(_)));
        assert!(missing.to_string().contains("/nonexistent/password"));
    }

    #[test]
    fn a_file_that_others_can_read_is_remarked_on() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        std::fs::write(path, "secret\n").unwrap();
        for (mode, remark) in [(0o644, true), (0o600, false)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            let password = obtain(Some(path), "alice").unwrap();
            assert_eq!(*password.text, "secret");
            assert_eq!(password.note.is_some(), remark, "{mode:o}");
        }
    }
}
