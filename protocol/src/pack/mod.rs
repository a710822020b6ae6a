//! PACK: the named, typed, possibly multi-valued elements of every negotiation and administration message
//! (protocol §3).
//!
//! Names compare without regard to ASCII case and occur once. Readers never fail: an element that is absent or has
//! another type reads as nothing, as stock peers do, so that a message is judged by whoever knows what it needs.

mod codec;
mod read;
mod write;

use std::fmt;

use zeroize::Zeroize;

/// Longest element name in bytes; the reader cuts longer ones (protocol §3).
pub const NAME_BYTES: usize = 63;

/// What a reader of one PACK accepts before it allocates anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Encoded size of the whole PACK.
    pub bytes: usize,
    /// Elements in the PACK.
    pub elements: usize,
    /// Values in one element.
    pub values: usize,
    /// Bytes of one DATA, STR or UNISTR value.
    pub value_bytes: usize,
}

impl Limits {
    /// For a peer that has not proven who it is: 64 KiB, the protocol's own limit for a PACK inside HTTP (§2.5).
    ///
    /// The element count is 128 because a stock client's login already has 78 elements (with UDP acceleration; its
    /// welcome has 69), and later versions add some. 128 values is what a redirect's port list may hold (§5.4).
    pub const BEFORE_LOGIN: Self = Self {
        bytes: 64 * 1024,
        elements: 128,
        values: 128,
        value_bytes: 64 * 1024,
    };

    /// For a server's answer to a request: a welcome carries a text for the user and a redirect a certificate; a list
    /// of hubs has a value for each.
    pub const REPLY: Self = Self {
        bytes: 1024 * 1024,
        elements: 256,
        values: 8192,
        value_bytes: 512 * 1024,
    };

    /// For administration records of an authenticated administrator or of the server it trusts: a hub's user or
    /// access list comes as some forty arrays with one value per row (at most 32 768 rows), and a whole
    /// configuration file as one value.
    pub const ADMIN: Self = Self {
        bytes: 64 * 1024 * 1024,
        elements: 4096,
        values: 262_144,
        value_bytes: 32 * 1024 * 1024,
    };
}

/// Why bytes are not a PACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A length or count points behind the end.
    #[error("the PACK ends in the middle of an element")]
    Truncated,
    /// One of the [`Limits`] is exceeded.
    #[error("the PACK has too many {0}")]
    TooLarge(&'static str),
    /// A name's length field is zero, though it counts one more than the name has bytes.
    #[error("the PACK has an element without a name length")]
    NameLength,
    /// Two names are equal ignoring case.
    #[error("the PACK has two elements of the same name")]
    DuplicateName,
    /// An element without a value.
    #[error("the PACK has an element without values")]
    NoValues,
    /// A type number that no version of the protocol uses.
    #[error("the PACK has an element of the unknown type {0}")]
    UnknownType(u32),
}

/// The type of an element's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit number, also used for booleans.
    Int,
    /// Raw bytes.
    Data,
    /// Text in the sender's locale, UTF-8 on every current system.
    Str,
    /// UTF-8 text.
    UniStr,
    /// 64-bit number.
    Int64,
}

/// An ordered list of elements.
///
/// Text and data values are wiped when a `Pack` is dropped, since logins carry passwords and keys in them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pack {
    elements: Vec<Element>,
}

#[derive(Clone, PartialEq, Eq)]
struct Element {
    name: String,
    values: Values,
}

/// Never empty: an element without values cannot be written (protocol §3).
#[derive(Clone, PartialEq, Eq)]
enum Values {
    Int(Vec<u32>),
    Data(Vec<Vec<u8>>),
    Str(Vec<String>),
    UniStr(Vec<String>),
    Int64(Vec<u64>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::Data(v) => v.len(),
            Self::Str(v) | Self::UniStr(v) => v.len(),
            Self::Int64(v) => v.len(),
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Int(_) => Kind::Int,
            Self::Data(_) => Kind::Data,
            Self::Str(_) => Kind::Str,
            Self::UniStr(_) => Kind::UniStr,
            Self::Int64(_) => Kind::Int64,
        }
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        match self {
            Self::Data(values) => values.iter_mut().for_each(Zeroize::zeroize),
            Self::Str(values) | Self::UniStr(values) => values.iter_mut().for_each(Zeroize::zeroize),
            Self::Int(_) | Self::Int64(_) => {}
        }
    }
}

impl Pack {
    /// An empty PACK.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// Whether there is no element at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Name, type and number of values of each element, in order.
    pub fn elements(&self) -> impl Iterator<Item = (&str, Kind, usize)> {
        self.elements
            .iter()
            .map(|e| (e.name.as_str(), e.values.kind(), e.values.len()))
    }

    /// Puts the elements into the order in which stock peers send them: by name, both folded to upper case (so that
    /// `_` comes after the letters; seen in every capture).
    pub fn sort(&mut self) {
        self.elements.sort_by(|a, b| {
            let folded = |e: &Element| e.name.bytes().map(|c| c.to_ascii_uppercase()).collect::<Vec<_>>();
            folded(a).cmp(&folded(b))
        });
    }

    fn find(&self, name: &str) -> Option<&Values> {
        self.elements
            .iter()
            .find(|e| e.name.eq_ignore_ascii_case(name))
            .map(|e| &e.values)
    }
}

/// Names, types and counts only: values may be passwords and keys.
impl fmt::Debug for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.elements().map(|(name, kind, count)| (name, (kind, count))))
            .finish()
    }
}

/// The cut that the wire makes: text ends at the first NUL and loses blanks and tabs at both ends (protocol §3).
fn clean(text: &str) -> &str {
    let text = text.split_once('\0').map_or(text, |(head, _)| head);
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests;
