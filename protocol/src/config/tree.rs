//! The tree: folders and items.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

use super::{ConfigError, Problem};

/// The type of an item, by its word in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit number.
    Uint,
    /// 64-bit number.
    Uint64,
    /// Yes or no.
    Bool,
    /// Text.
    String,
    /// Bytes.
    Bytes,
}

impl Kind {
    /// Every type.
    pub(super) const ALL: [Self; 5] = [Self::Uint, Self::Uint64, Self::Bool, Self::String, Self::Bytes];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Uint => "uint",
            Self::Uint64 => "uint64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "byte",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The value of an item. Text and bytes are wiped when it is dropped: they may be passwords and keys.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// 32-bit number.
    Uint(u32),
    /// 64-bit number.
    Uint64(u64),
    /// Yes or no.
    Bool(bool),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Value {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Uint(_) => Kind::Uint,
            Self::Uint64(_) => Kind::Uint64,
            Self::Bool(_) => Kind::Bool,
            Self::String(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            Self::String(text) => text.zeroize(),
            Self::Bytes(bytes) => bytes.zeroize(),
            Self::Uint(_) | Self::Uint64(_) | Self::Bool(_) => {}
        }
    }
}

/// The type only.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind().word())
    }
}

macro_rules! from {
    ($($type:ty => $variant:ident),+ $(,)?) => {
        $(
            impl From<$type> for Value {
                fn from(value: $type) -> Self {
                    Self::$variant(value.into())
                }
            }
        )+
    };
}

from! {
    u32 => Uint,
    u64 => Uint64,
    bool => Bool,
    &str => String,
    String => String,
    &[u8] => Bytes,
    Vec<u8> => Bytes,
}

/// One setting.
#[derive(Clone, Debug)]
pub struct Item {
    name: String,
    value: Value,
    line: usize,
}

impl Item {
    /// Its name as it is written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Its line in the file it was read from, counted from 1; 0 if there is none.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// An error about this item.
    #[must_use]
    pub fn error(&self, problem: Problem) -> ConfigError {
        ConfigError {
            line: self.line,
            key: self.name.clone(),
            problem,
        }
    }
}

/// The same setting, wherever it stands.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.value == other.value
    }
}

impl Eq for Item {}

/// Items and further folders, each by name without regard to ASCII case, in the order of the stock software: by name,
/// folded to upper case.
#[derive(Clone, Debug)]
pub struct Folder {
    name: String,
    line: usize,
    items: BTreeMap<String, Item>,
    folders: BTreeMap<String, Folder>,
}

impl Folder {
    /// An empty folder.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::at(name.into(), 0)
    }

    pub(super) fn at(name: String, line: usize) -> Self {
        Self {
            name,
            line,
            items: BTreeMap::new(),
            folders: BTreeMap::new(),
        }
    }

    /// Its name as it is written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of its `declare`, counted from 1; 0 if it was not read from a file.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Its items in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// Its folders in order. Of numbered ones (`Listener0` to `Listener10`) this is the order of text, as in stock files.
    pub fn folders(&self) -> impl Iterator<Item = &Self> {
        self.folders.values()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.folders.is_empty()
    }

    /// The item of this name.
    #[must_use]
    pub fn item(&self, name: &str) -> Option<&Item> {
        self.items.get(&folded(name))
    }

    /// The folder of this name.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<&Self> {
        self.folders.get(&folded(name))
    }

    /// Sets an item.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        let item = Item {
            name: name.to_owned(),
            value: value.into(),
            line: 0,
        };
        self.items.insert(folded(name), item);
    }

    /// The folder of this name, made if it is not there.
    pub fn folder_mut(&mut self, name: &str) -> &mut Self {
        self.folders
            .entry(folded(name))
            .or_insert_with(|| Self::new(name))
    }

    /// Puts a folder in, in place of one of the same name.
    pub fn insert(&mut self, folder: Self) {
        self.folders.insert(folded(&folder.name), folder);
    }

    /// Adds an item from a file; says so if it is there already.
    pub(super) fn add(&mut self, name: String, value: Value, line: usize) -> bool {
        let key = folded(&name);
        self.items.insert(key, Item { name, value, line }).is_none()
    }

    /// Adds a folder from a file; says so if it is there already.
    pub(super) fn add_folder(&mut self, folder: Self) -> bool {
        self.folders.insert(folded(&folder.name), folder).is_none()
    }

    /// The number of this name, if there is one.
    ///
    /// # Errors
    /// When it is there with another type.
    pub fn uint(&self, name: &str) -> Result<Option<u32>, ConfigError> {
        self.typed(name, Kind::Uint, |value| match value {
            Value::Uint(number) => Some(*number),
            _ => None,
        })
    }

    /// The 64-bit number of this name; a `uint` will do.
    ///
    /// # Errors
    /// As [`Folder::uint`].
    pub fn uint64(&self, name: &str) -> Result<Option<u64>, ConfigError> {
        self.typed(name, Kind::Uint64, |value| match value {
            Value::Uint64(number) => Some(*number),
            Value::Uint(number) => Some((*number).into()),
            _ => None,
        })
    }

    /// The yes or no of this name; a number will do, as for the stock software.
    ///
    /// # Errors
    /// As [`Folder::uint`].
    pub fn bool(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(name, Kind::Bool, |value| match value {
            Value::Bool(yes) => Some(*yes),
            Value::Uint(number) => Some(*number != 0),
            _ => None,
        })
    }

    /// The text of this name.
    ///
    /// # Errors
    /// As [`Folder::uint`].
    pub fn string(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        self.typed(name, Kind::String, |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The bytes of this name.
    ///
    /// # Errors
    /// As [`Folder::uint`].
    pub fn bytes(&self, name: &str) -> Result<Option<&[u8]>, ConfigError> {
        self.typed(name, Kind::Bytes, |value| match value {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        })
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: Kind,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(item) = self.item(name) else {
            return Ok(None);
        };
        let wrong = || {
            let found = item.value.kind();
            item.error(Problem::Type { found, expected })
        };
        read(&item.value).ok_or_else(wrong).map(Some)
    }
}

/// The same settings, wherever they stand.
impl PartialEq for Folder {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.items == other.items && self.folders == other.folders
    }
}

impl Eq for Folder {}

fn folded(name: &str) -> String {
    name.to_ascii_uppercase()
}
