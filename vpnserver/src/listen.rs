//! The file `listen.txt` of the data folder: where to listen, for a server that should not do so at every address of its machine.
//!
//! One `ADDR:PORT` a line; what follows `#` is a remark. It takes the place of the stored ports, as `--listen` does, and is read at
//! the start.

use std::fs;
use std::io;
use std::net::SocketAddr;

use crate::cli::Listen;
use crate::data_dir::{DataDir, write_durably};

const FILE: &str = "listen.txt";

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// It is there and cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    /// A line is no address.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// What to write.
        why: &'static str,
    },
}

/// The addresses of a folder; none without the file.
///
/// # Errors
/// When the file is there and makes no sense.
pub fn of(folder: &DataDir) -> Result<Vec<SocketAddr>, ListenError> {
    let path = folder.file(FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ListenError::Unreadable(path.display().to_string(), error)),
    };
    let mut addresses = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let Listen(address) = line.parse().map_err(|why| ListenError::Line {
            path: path.display().to_string(),
            line: at + 1,
            why,
        })?;
        addresses.push(address);
    }
    Ok(addresses)
}

/// Writes the file; no addresses take it away.
///
/// # Errors
/// What the disk says.
pub fn keep(folder: &DataDir, addresses: &[SocketAddr]) -> io::Result<()> {
    let path = folder.file(FILE);
    if addresses.is_empty() {
        return match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let mut text = String::from("# The server listens here and not on its stored ports.\n");
    for address in addresses {
        text += &format!("{address}\n");
    }
    write_durably(&path, text.as_bytes(), 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_and_their_absence_too() {
        let place = tempfile::tempdir().unwrap();
        let folder = DataDir::locate(Some(place.path())).unwrap();
        assert_eq!(of(&folder).unwrap(), []);
        let addresses = ["192.0.2.1:443".parse().unwrap(), "[::1]:992".parse().unwrap()];
        keep(&folder, &addresses).unwrap();
        assert_eq!(of(&folder).unwrap(), addresses);
        keep(&folder, &[]).unwrap();
        keep(&folder, &[]).unwrap();
        assert_eq!(of(&folder).unwrap(), []);
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let place = tempfile::tempdir().unwrap();
        let folder = DataDir::locate(Some(place.path())).unwrap();
        fs::write(folder.file(FILE), "# ours\n443 # everywhere\nhttps\n").unwrap();
        let said = of(&folder).unwrap_err().to_string();
        assert!(said.contains("listen.txt, line 3: "), "{said}");
    }
}
