//! From a tree to text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::token::escape;
use super::{Folder, Value};

const BYTE_ORDER_MARK: char = '\u{FEFF}';
const LINE_END: &str = "\r\n";

impl Folder {
    /// Writes a file with this folder as its root: byte order mark, CRLF, items before folders, both by name. `head` is what
    /// stands before it: lines that begin with `#` or are empty, of which the stock server needs one: it reads
    /// past the byte order mark only in a comment. Wiped when it is dropped.
    #[must_use]
    pub fn to_text(&self, head: &str) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::from(BYTE_ORDER_MARK));
        for comment in head.lines() {
            line(&mut text, 0, &[comment]);
        }
        write(self, &mut text, 0);
        text
    }
}

fn write(folder: &Folder, text: &mut Zeroizing<String>, depth: usize) {
    line(text, depth, &["declare ", &escape(folder.name())]);
    line(text, depth, &["{"]);
    let mut has_items = false;
    for item in folder.items() {
        has_items = true;
        let value = word(item.value());
        let kind = item.value().kind().word();
        line(text, depth + 1, &[kind, " ", &escape(item.name()), " ", &value]);
    }
    for (index, inner) in folder.folders().enumerate() {
        if index == 0 && has_items {
            line(text, 0, &[]);
        }
        write(inner, text, depth + 1);
    }
    line(text, depth, &["}"]);
}

fn word(value: &Value) -> Zeroizing<String> {
    Zeroizing::new(match value {
        Value::Uint(number) => number.to_string(),
        Value::Uint64(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::String(text) => escape(text).into_owned(),
        Value::Bytes(bytes) if bytes.is_empty() => "$".to_owned(),
        Value::Bytes(bytes) => STANDARD.encode(bytes),
    })
}

fn line(text: &mut String, depth: usize, parts: &[&str]) {
    text.extend(std::iter::repeat_n('\t', depth));
    text.extend(parts.iter().copied());
    text.push_str(LINE_END);
}
