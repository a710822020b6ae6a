//! The text format of the stock software's configuration files: `vpn_server.config`, `vpn_client.config` and `.vpn`
//! connection files.
//!
//! A file is a tree of folders (`declare NAME` with `{` and `}`) and items (`TYPE NAME VALUE`), behind a byte order mark and
//! comment lines. [`Folder::parse`] reads one, [`Folder::to_text`] writes one exactly as the stock software does, so that a
//! file of the stock software that is read and written again has the same bytes (but for its comments, which are given anew).
//!
//! What the keys mean is for others to know; this is the tree alone.

pub mod hidden;
mod read;
mod token;
mod tree;
mod write;

#[cfg(test)]
mod tests;

pub use tree::{Folder, Item, Kind, Value};

/// Name of the folder that holds all others.
pub const ROOT: &str = "root";

/// Folders within folders; stock files have at most nine.
const MAX_DEPTH: usize = 64;

/// What is wrong with a file, and where. It never shows a value: values may be passwords and keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {key}: {problem}")]
pub struct ConfigError {
    /// The line, counted from 1; 0 for a tree that was not read from a file.
    pub line: usize,
    /// The folders and the item, such as `root/ListenerList/Listener0/Port`.
    pub key: String,
    /// What is wrong there.
    pub problem: Problem,
}

impl ConfigError {
    /// The error with the path of the folder in front of its key.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        self.key = format!("{path}/{}", self.key);
        self
    }
}

/// What can be wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The stock software's binary variant.
    #[error(
        "this is the binary variant of the format; remove the file save_binary beside it and let the stock server save again"
    )]
    Binary,
    /// Not UTF-8.
    #[error("not UTF-8 text")]
    NotText,
    /// The first word is not one that can begin a line.
    #[error("a line begins with declare, uint, uint64, bool, string, byte, a brace or #")]
    UnknownWord,
    /// Too few or too many words.
    #[error("a line has a type, a name and a value; a blank in one is written $20, an empty one $")]
    WordCount,
    /// `declare` without `{` on the next line.
    #[error("a brace {{ must follow the line with declare")]
    NoBrace,
    /// A brace or an item where none can be.
    #[error("outside of every folder; the file begins with declare root")]
    Outside,
    /// Something behind the end of the root folder, or another root.
    #[error("the file goes on behind its end")]
    BehindTheEnd,
    /// The file ends inside a folder.
    #[error("the file ends inside this folder; a brace }} is missing")]
    Unclosed,
    /// Too many folders within folders.
    #[error("more than {MAX_DEPTH} folders within each other")]
    TooDeep,
    /// Twice the same name in a folder, without regard to case.
    #[error("is there twice")]
    Duplicate,
    /// A `$` without two hexadecimal digits, or one that makes no text.
    #[error("$ must be followed by two hexadecimal digits that make UTF-8 text")]
    Escape,
    /// Not a value of the type that the line or the reader says.
    #[error("not a value of the type {0}")]
    NotA(Kind),
    /// Another type than the reader of this key needs.
    #[error("has the type {found}, and must have the type {expected}")]
    Type {
        /// The type in the file.
        found: Kind,
        /// The type that this key has.
        expected: Kind,
    },
    /// What whoever knows the key's meaning says of it.
    #[error("{0}")]
    Meaning(String),
}
