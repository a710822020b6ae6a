//! From text to a tree.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::token::unescape;
use super::{ConfigError, Folder, Kind, MAX_DEPTH, Problem, ROOT, Value};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const BINARY_MARK: &[u8] = b"SEVPN_DB";

/// Base64 with or without the `=` at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Folder {
    /// Reads a file. Its lines may end with LF or CRLF; the byte order mark may be missing.
    ///
    /// # Errors
    /// At the first line that is not as it must be.
    pub fn parse(file: &[u8]) -> Result<Self, ConfigError> {
        let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        let mut parser = Parser::default();
        if file.starts_with(BINARY_MARK) {
            return Err(parser.error(None, Problem::Binary));
        }
        for line in file.split(|byte| *byte == b'\n') {
            parser.line += 1;
            let Ok(text) = std::str::from_utf8(line) else {
                return Err(parser.error(None, Problem::NotText));
            };
            parser.read(text.strip_suffix('\r').unwrap_or(text))?;
        }
        parser.end()
    }
}

/// A file so far.
#[derive(Default)]
struct Parser {
    line: usize,
    /// The folders that are open, the root first.
    open: Vec<Folder>,
    /// Announced by `declare`, waiting for its brace.
    announced: Option<Folder>,
    root: Option<Folder>,
}

impl Parser {
    fn read(&mut self, line: &str) -> Result<(), ConfigError> {
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
            return Ok(());
        };
        let rest = [words.next(), words.next(), words.next()];
        if self.root.is_some() {
            return Err(self.error(None, Problem::BehindTheEnd));
        }
        if first == "{" {
            return self.open(rest);
        }
        if self.announced.is_some() {
            return Err(self.error(None, Problem::NoBrace));
        }
        match first {
            "}" => self.close(rest),
            "declare" => self.declare(rest),
            _ => self.item(first, rest),
        }
    }

    fn open(&mut self, rest: [Option<&str>; 3]) -> Result<(), ConfigError> {
        self.nothing_more(rest)?;
        let Some(folder) = self.announced.take() else {
            return Err(self.error(None, Problem::UnknownWord));
        };
        if self.open.len() == MAX_DEPTH {
            return Err(self.error(Some(folder.name()), Problem::TooDeep));
        }
        self.open.push(folder);
        Ok(())
    }

    fn close(&mut self, rest: [Option<&str>; 3]) -> Result<(), ConfigError> {
        self.nothing_more(rest)?;
        let Some(folder) = self.open.pop() else {
            return Err(self.error(None, Problem::Outside));
        };
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(folder);
            return Ok(());
        };
        let (name, line) = (folder.name().to_owned(), folder.line());
        if parent.add_folder(folder) {
            return Ok(());
        }
        let twice = self.error(Some(&name), Problem::Duplicate);
        Err(ConfigError { line, ..twice })
    }

    fn declare(&mut self, rest: [Option<&str>; 3]) -> Result<(), ConfigError> {
        let [Some(name), None, _] = rest else {
            return Err(self.error(rest[0], Problem::WordCount));
        };
        let folder = Folder::at(self.name(name)?, self.line);
        if self.open.is_empty() && !folder.name().eq_ignore_ascii_case(ROOT) {
            return Err(self.error(Some(folder.name()), Problem::Outside));
        }
        self.announced = Some(folder);
        Ok(())
    }

    fn item(&mut self, first: &str, rest: [Option<&str>; 3]) -> Result<(), ConfigError> {
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.word() == first) else {
            return Err(self.error(None, Problem::UnknownWord));
        };
        let [Some(name), Some(value), None] = rest else {
            return Err(self.error(rest[0], Problem::WordCount));
        };
        let name = self.name(name)?;
        let value = value_of(kind, value).map_err(|problem| self.error(Some(&name), problem))?;
        let line = self.line;
        let Some(folder) = self.open.last_mut() else {
            return Err(self.error(Some(&name), Problem::Outside));
        };
        if folder.add(name.clone(), value, line) {
            Ok(())
        } else {
            Err(self.error(Some(&name), Problem::Duplicate))
        }
    }

    fn end(mut self) -> Result<Folder, ConfigError> {
        if let Some(root) = self.root.take() {
            return Ok(root);
        }
        let problem = match (&self.announced, self.open.is_empty()) {
            (Some(_), _) => Problem::NoBrace,
            (None, true) => Problem::Outside,
            (None, false) => Problem::Unclosed,
        };
        Err(self.error(None, problem))
    }

    fn nothing_more(&self, rest: [Option<&str>; 3]) -> Result<(), ConfigError> {
        match rest {
            [None, ..] => Ok(()),
            _ => Err(self.error(None, Problem::WordCount)),
        }
    }

    fn name(&self, word: &str) -> Result<String, ConfigError> {
        match unescape(word) {
            Some(name) => Ok(name.into_owned()),
            None => Err(self.error(Some(word), Problem::Escape)),
        }
    }

    /// An error at this line, about something in the innermost folder or about the folder itself.
    fn error(&self, name: Option<&str>, problem: Problem) -> ConfigError {
        let folders = self.open.iter().chain(&self.announced).map(Folder::name);
        let key: Vec<_> = folders.chain(name).collect();
        ConfigError {
            line: self.line,
            key: if key.is_empty() {
                ROOT.to_owned()
            } else {
                key.join("/")
            },
            problem,
        }
    }
}

fn value_of(kind: Kind, word: &str) -> Result<Value, Problem> {
    let not = |_| Problem::NotA(kind);
    Ok(match kind {
        Kind::Uint => Value::Uint(digits(word)?.parse().map_err(not)?),
        Kind::Uint64 => Value::Uint64(
            digits(word)
                .map_err(|_| Problem::NotA(kind))?
                .parse()
                .map_err(not)?,
        ),
        Kind::Bool => Value::Bool(yes_or_no(word)?),
        Kind::String => Value::String(unescape(word).ok_or(Problem::Escape)?.into_owned()),
        Kind::Bytes if word == "$" => Value::Bytes(Vec::new()),
        Kind::Bytes => Value::Bytes(BASE64.decode(word).map_err(|_| Problem::NotA(kind))?),
    })
}

/// The word itself, if it is digits alone: what `parse` takes beyond that (`+1`) is not written by anybody.
fn digits(word: &str) -> Result<&str, Problem> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(word)
    } else {
        Err(Problem::NotA(Kind::Uint))
    }
}

/// `true`, `false`, or a number that is not 0 for yes.
fn yes_or_no(word: &str) -> Result<bool, Problem> {
    if word.eq_ignore_ascii_case("true") {
        return Ok(true);
    }
    if word.eq_ignore_ascii_case("false") {
        return Ok(false);
    }
    match digits(word).map(str::parse::<u32>) {
        Ok(Ok(number)) => Ok(number != 0),
        _ => Err(Problem::NotA(Kind::Bool)),
    }
}
