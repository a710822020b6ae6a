//! A folder of a file that is read: its path, and who has looked at what.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;

use protocol::config::{ConfigError, Folder, Item, Problem};
use zeroize::Zeroizing;

use super::ImportError;
use crate::store::StoreError;

type Read<T> = Result<T, ConfigError>;

/// The lines of a file that somebody has asked for. What nobody asks for is reported as left.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<HashSet<usize>>);

impl Seen {
    fn note(&self, line: usize) {
        self.0.borrow_mut().insert(line);
    }

    pub(super) fn contains(&self, line: usize) -> bool {
        self.0.borrow().contains(&line)
    }
}

/// A folder, and the way to it.
#[derive(Clone, Debug)]
pub(super) struct Place<'a> {
    folder: &'a Folder,
    path: String,
    seen: &'a Seen,
}

impl<'a> Place<'a> {
    pub(super) fn root(folder: &'a Folder, seen: &'a Seen) -> Self {
        seen.note(folder.line());
        Self {
            folder,
            path: folder.name().to_owned(),
            seen,
        }
    }

    pub(super) fn name(&self) -> &'a str {
        self.folder.name()
    }

    /// The folder of this name in it.
    pub(super) fn folder(&self, name: &str) -> Option<Self> {
        self.folder.folder(name).map(|folder| self.inner(folder))
    }

    /// Its folders, by name; numbered ones by number.
    pub(super) fn folders(&self) -> Vec<Self> {
        let mut places: Vec<_> = self.folder.folders().map(|folder| self.inner(folder)).collect();
        // Stable, so that what has no number stays in the order of text.
        places.sort_by_key(|place| number(place.name()));
        places
    }

    /// The folders in the folder of this name.
    pub(super) fn folders_of(&self, name: &str) -> Vec<Self> {
        self.folder(name).map(|place| place.folders()).unwrap_or_default()
    }

    fn inner(&self, folder: &'a Folder) -> Self {
        self.seen.note(folder.line());
        Self {
            folder,
            path: format!("{}/{}", self.path, folder.name()),
            seen: self.seen,
        }
    }

    fn item(&self, name: &str) -> Option<&'a Item> {
        let item = self.folder.item(name)?;
        self.seen.note(item.line());
        Some(item)
    }

    fn typed<T>(&self, name: &str, value: Read<Option<T>>) -> Read<Option<T>> {
        self.item(name);
        value.map_err(|error| error.within(&self.path))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.folder.item(name).is_some()
    }

    pub(super) fn uint(&self, name: &str) -> Read<Option<u32>> {
        self.typed(name, self.folder.uint(name))
    }

    pub(super) fn uint_or(&self, name: &str, usual: u32) -> Read<u32> {
        Ok(self.uint(name)?.unwrap_or(usual))
    }

    pub(super) fn uint64(&self, name: &str) -> Read<u64> {
        Ok(self.typed(name, self.folder.uint64(name))?.unwrap_or(0))
    }

    /// A yes or no; what is not there is no, as for the stock server.
    pub(super) fn flag(&self, name: &str) -> Read<bool> {
        Ok(self.typed(name, self.folder.bool(name))?.unwrap_or(false))
    }

    pub(super) fn flag_or(&self, name: &str, usual: bool) -> Read<bool> {
        Ok(self.typed(name, self.folder.bool(name))?.unwrap_or(usual))
    }

    /// A yes or no or a number, as a number.
    pub(super) fn number(&self, name: &str) -> Read<Option<u32>> {
        match self.folder.bool(name) {
            Ok(Some(_)) if self.folder.uint(name).is_err() => Ok(Some(self.flag(name)?.into())),
            _ => self.uint(name),
        }
    }

    /// A text; what is not there is empty.
    pub(super) fn text(&self, name: &str) -> Read<String> {
        Ok(self
            .typed(name, self.folder.string(name))?
            .unwrap_or_default()
            .to_owned())
    }

    /// A text that is not empty.
    pub(super) fn some_text(&self, name: &str) -> Read<Option<String>> {
        Ok(Some(self.text(name)?).filter(|text| !text.is_empty()))
    }

    /// Bytes that are not empty.
    pub(super) fn bytes(&self, name: &str) -> Read<Option<&'a [u8]>> {
        let bytes = self.typed(name, self.folder.bytes(name))?;
        Ok(bytes.filter(|bytes| !bytes.is_empty()))
    }

    /// A hash, if there is one that is not all zeros.
    pub(super) fn hash<const N: usize>(&self, name: &str) -> Read<Option<Zeroizing<[u8; N]>>> {
        let Some(bytes) = self.bytes(name)? else {
            return Ok(None);
        };
        let hash = <[u8; N]>::try_from(bytes)
            .map_err(|_| self.wrong(name, format!("must have {N} bytes, and has {}", bytes.len())))?;
        Ok(Some(Zeroizing::new(hash)).filter(|hash| hash.iter().any(|byte| *byte != 0)))
    }

    /// A value that is written as text, such as an address.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, what: &str) -> Read<Option<T>> {
        let Some(text) = self.some_text(name)? else {
            return Ok(None);
        };
        let wrong = |_| self.wrong(name, format!("must be {what}"));
        text.parse().map(Some).map_err(wrong)
    }

    pub(super) fn port(&self, name: &str) -> Read<u16> {
        u16::try_from(self.uint_or(name, 0)?).map_err(|_| self.wrong(name, "must be a port from 0 to 65535"))
    }

    /// An error about an item of this folder.
    pub(super) fn wrong(&self, name: &str, meaning: impl Display) -> ConfigError {
        let problem = Problem::Meaning(meaning.to_string());
        let error = match self.item(name) {
            Some(item) => item.error(problem),
            None => ConfigError {
                line: self.folder.line(),
                key: name.to_owned(),
                problem,
            },
        };
        error.within(&self.path)
    }

    /// An error about the folder itself.
    pub(super) fn error(&self, meaning: impl Display) -> ConfigError {
        ConfigError {
            line: self.folder.line(),
            key: self.path.clone(),
            problem: Problem::Meaning(meaning.to_string()),
        }
    }

    /// What the store says of a record that was read here: it is the file's fault unless the store itself failed.
    pub(super) fn keep<T>(&self, outcome: Result<T, StoreError>) -> Result<T, ImportError> {
        outcome.map_err(|error| match error {
            StoreError::Seal(_)
            | StoreError::Backup { .. }
            | StoreError::Database(_)
            | StoreError::Damaged(_)
            | StoreError::Interrupted => ImportError::Store(error),
            _ => ImportError::File(self.error(error)),
        })
    }
}

/// The number at the end of a name such as `Listener12`, or that it is.
fn number(name: &str) -> u64 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().unwrap_or(u64::MAX)
}
