//! Words: names and values as they stand in a line.

use std::borrow::Cow;
use std::fmt::Write;

/// The word of an empty text.
const EMPTY: &str = "$";

/// A text as one word: what would end a word or begin an escape is written `$XX`.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let must = |c: char| c <= ' ' || c == '$';
    if text.is_empty() {
        return EMPTY.into();
    }
    if !text.contains(must) {
        return text.into();
    }
    let mut word = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if must(c) {
            let _ = write!(word, "${:02X}", u32::from(c)); // a String takes everything
        } else {
            word.push(c);
        }
    }
    word.into()
}

/// The text of a word, or nothing if an escape in it cannot be.
pub(super) fn unescape(word: &str) -> Option<Cow<'_, str>> {
    if word == EMPTY {
        return Some("".into());
    }
    if !word.contains('$') {
        return Some(word.into());
    }
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'$' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_first_chunk::<2>()?;
        let [high, low] = digits.map(|digit| char::from(digit).to_digit(16));
        bytes.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}
