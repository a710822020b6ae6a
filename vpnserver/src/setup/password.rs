//! Where the passwords of a setup come from: a person, a file, or chance. Never the command line, which everybody on the machine can
//! read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::RngExt;
use zeroize::Zeroizing;

use super::SetupError;
use super::dialogue::MAX_PASSWORD;

/// Letters and digits that nobody takes for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Four groups of five of them are 100 bits.
const GROUPS: usize = 4;
const GROUP: usize = 5;

/// A password that was chosen.
pub(super) struct Chosen {
    /// The password.
    pub(super) text: Zeroizing<String>,
    /// Nobody knows it yet, so it has to be shown, once.
    pub(super) is_news: bool,
}

impl Chosen {
    /// The one that a person typed, or else one that is made up.
    pub(super) fn typed(typed: Option<Zeroizing<String>>) -> Self {
        match typed {
            Some(text) => Self { text, is_news: false },
            None => Self {
                text: made_up(),
                is_news: true,
            },
        }
    }

    /// The first line of a file; a file that is not there is made, readable by its owner alone, with a password that is made up.
    pub(super) fn of_file(path: &Path) -> Result<Self, SetupError> {
        let failed = |source| SetupError::PasswordFile {
            path: path.to_owned(),
            source,
        };
        let text = match File::open(path) {
            Ok(file) => first_line(file).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = made_up();
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path)
                    .and_then(|mut file| {
                        writeln!(file, "{}", *text)?;
                        file.sync_all()
                    })
                    .map_err(failed)?;
                text
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self { text, is_news: false })
    }
}

fn first_line(file: File) -> io::Result<Zeroizing<String>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 3));
    file.take(MAX_PASSWORD as u64 + 3).read_to_end(&mut bytes)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| wrong("its first line is not UTF-8 text"))?;
    match text.len() {
        0 => Err(wrong("its first line is empty: put the password there")),
        1..=MAX_PASSWORD => Ok(Zeroizing::new(text.to_owned())),
        _ => Err(wrong("its first line is longer than the 255 bytes of a password")),
    }
}

fn made_up() -> Zeroizing<String> {
    let mut rng = rand::rng();
    let mut text = Zeroizing::new(String::with_capacity(GROUPS * (GROUP + 1)));
    for at in 0..GROUPS * GROUP {
        if at != 0 && at % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_missing_password_file_is_made_private_and_says_the_same_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin");
        let first = Chosen::of_file(&path).unwrap();
        assert_eq!(first.text.len(), 23);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(*Chosen::of_file(&path).unwrap().text, *first.text);
        assert_ne!(*made_up(), *made_up());
    }

    #[test]
    fn what_cannot_be_a_password_is_refused_with_the_file_and_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (bytes, reason) in [
            (&b"\nsecond"[..], "empty"),
            (&[b'a'; 256], "255"),
            (&[0xff], "UTF-8"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let said = Chosen::of_file(&path).err().unwrap().to_string();
            assert!(said.contains(reason) && said.contains("password"), "{said}");
        }
        let said = Chosen::of_file(&folder.path().join("no/folder"))
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains("no/folder"), "{said}");
    }
}
