//! The little HTTP/1.1 that negotiations use: heads, and bodies with a `Content-Length` (protocol §2.1).
//!
//! Names, methods and targets compare without regard to ASCII case. Chunked bodies are not understood.

use std::time::SystemTime;

use bytes::BytesMut;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// Longest line of a head, its end included.
pub const LINE_BYTES: usize = 4096;
/// Longest head. Stock peers would take 128 full lines; no real head comes near this.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Header lines that are kept; further ones are ignored.
pub const HEADER_LINES: usize = 128;

/// Why bytes are not the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A line longer than [`LINE_BYTES`] or a head longer than [`HEAD_BYTES`].
    #[error("the HTTP head is too long")]
    TooLong,
    /// The first line is no request or status line.
    #[error("the first line is not HTTP")]
    StartLine,
    /// A header line without a colon or without anything behind it.
    #[error("an HTTP header is malformed")]
    Header,
    /// A `Content-Length` that is no number.
    #[error("the Content-Length is malformed")]
    ContentLength,
}

/// Reads one head after the other from a growing buffer.
#[derive(Debug, Default)]
pub struct HeadReader {
    start: Option<String>,
    headers: Vec<(String, String)>,
    /// Bytes of this head taken so far.
    taken: usize,
    /// Bytes at the front of the buffer known to hold no line end.
    scanned: usize,
}

/// First line and headers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    start: String,
    headers: Vec<(String, String)>,
}

impl HeadReader {
    /// A reader at the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing of the next message has been taken.
    #[must_use]
    pub fn is_at_start(&self) -> bool {
        self.start.is_none()
    }

    /// Takes complete lines off the front of `input`; `None` until the empty line that ends the head.
    ///
    /// # Errors
    /// [`HttpError`] as soon as it is certain; the connection cannot go on.
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Head>, HttpError> {
        loop {
            let Some(end) = input[self.scanned..].iter().position(|byte| *byte == b'\n') else {
                self.scanned = input.len();
                self.check(input.len())?;
                return Ok(None);
            };
            let line = input.split_to(self.scanned + end + 1);
            self.scanned = 0;
            self.check(line.len())?;
            self.taken += line.len();
            let line = line[..line.len() - 1]
                .strip_suffix(b"\r")
                .unwrap_or(&line[..line.len() - 1]);
            if self.line(&String::from_utf8_lossy(line))? {
                return Ok(self.finish());
            }
        }
    }

    fn check(&self, line: usize) -> Result<(), HttpError> {
        let fits = line <= LINE_BYTES && self.taken + line <= HEAD_BYTES;
        if fits { Ok(()) } else { Err(HttpError::TooLong) }
    }

    /// Whether this line was the last one.
    fn line(&mut self, line: &str) -> Result<bool, HttpError> {
        if self.start.is_none() {
            if line.split_ascii_whitespace().nth(1).is_none() {
                return Err(HttpError::StartLine);
            }
            self.start = Some(line.to_owned());
            return Ok(line.to_ascii_uppercase().ends_with("HTTP/0.9"));
        }
        if line.is_empty() {
            return Ok(true);
        }
        let (name, value) = line.split_once(':').ok_or(HttpError::Header)?;
        if value.is_empty() {
            return Err(HttpError::Header);
        }
        if self.headers.len() < HEADER_LINES {
            self.headers
                .push((name.trim().to_owned(), value.trim().to_owned()));
        }
        Ok(false)
    }

    fn finish(&mut self) -> Option<Head> {
        let reader = std::mem::take(self);
        Some(Head {
            start: reader.start?,
            headers: reader.headers,
        })
    }
}

impl Head {
    /// The first line.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    /// All headers of a name.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The first header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// Length of the body, 0 when the head does not say.
    ///
    /// # Errors
    /// [`HttpError::ContentLength`].
    pub fn content_length(&self) -> Result<usize, HttpError> {
        let Some(text) = self.header("Content-Length") else {
            return Ok(0);
        };
        // `parse` alone would take a plus sign.
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .then(|| text.parse().ok())
            .flatten()
            .ok_or(HttpError::ContentLength)
    }

    /// Whether `Content-Type` is exactly that of a PACK; parameters are not tolerated (protocol §2.5).
    #[must_use]
    pub fn is_pack(&self) -> bool {
        self.header("Content-Type")
            .is_some_and(|kind| kind.eq_ignore_ascii_case(PACK_TYPE))
    }

    /// Method, target and version of a request.
    ///
    /// # Errors
    /// [`HttpError::StartLine`] when there are fewer than three words.
    pub fn request(&self) -> Result<RequestLine<'_>, HttpError> {
        let mut words = self.start.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(method), Some(target), Some(version)) => Ok(RequestLine {
                method,
                target,
                version,
            }),
            _ => Err(HttpError::StartLine),
        }
    }

    /// The status of an HTTP/1.1 response.
    ///
    /// # Errors
    /// [`HttpError::StartLine`] when it is something else.
    pub fn status(&self) -> Result<u16, HttpError> {
        let mut words = self.start.split_ascii_whitespace();
        match (words.next(), words.next().and_then(|word| word.parse().ok())) {
            (Some("HTTP/1.1"), Some(status)) => Ok(status),
            _ => Err(HttpError::StartLine),
        }
    }
}

/// Whether a response can begin with these bytes, so that what is none is known before it ends a line.
#[must_use]
pub fn may_be_response(input: &[u8]) -> bool {
    input.iter().zip(b"HTTP/1.1").all(|(is, should)| is == should)
}

/// Whether a request that begins with these bytes is for the JSON interface: its target is `/api` or something below
/// it. `None` until enough of it is there.
#[must_use]
pub fn is_for_api(input: &[u8]) -> Option<bool> {
    const TARGET: &[u8] = b"/api";
    /// The longest method is `OPTIONS`; no real one is longer than this.
    const METHOD_BYTES: usize = 16;
    let Some(space) = input.iter().position(|byte| !byte.is_ascii_alphabetic()) else {
        return (input.len() > METHOD_BYTES).then_some(false);
    };
    let target = input[space..].strip_prefix(b" ");
    let Some(target) = target.filter(|_| (1..=METHOD_BYTES).contains(&space)) else {
        return Some(false);
    };
    let (begin, rest) = target.split_at(target.len().min(TARGET.len()));
    if !begin.eq_ignore_ascii_case(&TARGET[..begin.len()]) {
        return Some(false);
    }
    rest.first().map(|next| matches!(next, b'/' | b'?' | b' '))
}

/// The three words of a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// Such as `POST`.
    pub method: &'a str,
    /// Such as `/vpnsvc/vpn.cgi`.
    pub target: &'a str,
    /// Such as `HTTP/1.1`.
    pub version: &'a str,
}

impl RequestLine<'_> {
    /// Whether the request has this method and this target.
    #[must_use]
    pub fn is(&self, method: &str, target: &str) -> bool {
        self.method.eq_ignore_ascii_case(method) && self.target.eq_ignore_ascii_case(target)
    }
}

/// `Content-Type` of a PACK.
pub const PACK_TYPE: &str = "application/octet-stream";
/// `Content-Type` of the signature: it pretends to be a picture.
pub const SIGNATURE_TYPE: &str = "image/jpeg";
/// `Content-Type` of pages for browsers.
pub const HTML_TYPE: &str = "text/html; charset=iso-8859-1";

const KEEP_ALIVE: &str = "timeout=15; max=19";

/// A moment as HTTP writes it (RFC 9110 section 5.6.7).
#[must_use]
pub fn date(moment: SystemTime) -> String {
    const FORMAT: &[BorrowedFormatItem<'static>] = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    // Formatting fails only for years beyond four digits; the header is decoration and may then be empty.
    OffsetDateTime::from(moment).format(FORMAT).unwrap_or_default()
}

/// A response with its body. Headers are those of stock servers, in their order.
#[must_use]
pub fn response(status: &str, content_type: &str, date: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: Keep-Alive\r\nContent-Length: {}\r\nContent-Type: {content_type}\r\n\
         Date: {date}\r\nKeep-Alive: {KEEP_ALIVE}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The request that carries a PACK.
#[must_use]
pub fn pack_request(target: &str, host: &str, date: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nConnection: Keep-Alive\r\nContent-Length: {}\r\nContent-Type: {PACK_TYPE}\r\n\
         Date: {date}\r\nHost: {host}\r\nKeep-Alive: {KEEP_ALIVE}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The request that carries the signature.
#[must_use]
pub fn signature_request(target: &str, host: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nConnection: Keep-Alive\r\nContent-Length: {}\r\nContent-Type: {SIGNATURE_TYPE}\r\n\
         Host: {host}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::{HeadReader, HttpError, date, is_for_api, may_be_response};

    fn read(text: &str) -> Result<Option<super::Head>, HttpError> {
        HeadReader::new().read(&mut BytesMut::from(text))
    }

    #[test]
    fn a_head_is_read_whatever_its_line_ends_and_case() {
        let head = read(
            "post /vpnsvc/VPN.cgi HTTP/1.1\ncontent-length: 12\r\nContent-Type:application/octet-stream\n\n",
        )
        .unwrap()
        .unwrap();
        assert!(head.request().unwrap().is("POST", "/vpnsvc/vpn.cgi"));
        assert_eq!(head.content_length(), Ok(12));
        assert!(head.is_pack());
    }

    #[test]
    fn a_response_is_told_by_its_first_bytes() {
        for begin in ["", "H", "HTTP/1.1", "HTTP/1.1 200 OK"] {
            assert!(may_be_response(begin.as_bytes()), "{begin}");
        }
        for begin in ["SSH-2.0", "h", "HTTP/1.0 200"] {
            assert!(!may_be_response(begin.as_bytes()), "{begin}");
        }
    }

    #[test]
    fn what_is_not_a_head_is_refused() {
        for (text, error) in [
            ("hello\r\n", HttpError::StartLine),
            ("\r\n", HttpError::StartLine),
            ("GET / HTTP/1.1\r\nno colon\r\n", HttpError::Header),
            ("GET / HTTP/1.1\r\nEmpty:\r\n", HttpError::Header),
        ] {
            assert_eq!(read(text), Err(error), "{text:?}");
        }
        assert_eq!(
            read("GET /\r\n\r\n").unwrap().unwrap().request(),
            Err(HttpError::StartLine)
        );
        for length in ["+1", "-1", "1 2", "x", "99999999999999999999999"] {
            let head = read(&format!("GET / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"))
                .unwrap()
                .unwrap();
            assert_eq!(head.content_length(), Err(HttpError::ContentLength), "{length}");
        }
    }

    #[test]
    fn a_line_is_limited_before_it_ends() {
        assert_eq!(read(&"x".repeat(4097)), Err(HttpError::TooLong));
        assert_eq!(read(&"x".repeat(4096)), Ok(None));
    }

    #[test]
    fn a_head_is_limited_however_short_its_lines() {
        let endless = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(4000));
        assert_eq!(read(&endless), Err(HttpError::TooLong));
    }

    #[test]
    fn headers_beyond_the_limit_are_ignored() {
        let many = format!("GET / HTTP/1.1\r\n{}Late: 1\r\n\r\n", "a: b\r\n".repeat(128));
        assert_eq!(read(&many).unwrap().unwrap().header("Late"), None);
    }

    #[test]
    fn the_json_interface_is_known_by_its_target_as_soon_as_it_can_be() {
        for (input, verdict) in [
            ("", None),
            ("POST", None),
            ("POST /ap", None),
            ("POST /api", None),
            ("POST /api/ HTTP/1.1", Some(true)),
            ("get /API HTTP/1.0", Some(true)),
            ("OPTIONS /api?x", Some(true)),
            ("GET /apix", Some(false)),
            ("GET / HTTP/1.1", Some(false)),
            ("GET  /api/", Some(false)),
            (" /api/", Some(false)),
            ("POST /vpnsvc/connect.cgi", Some(false)),
            ("AAAAAAAAAAAAAAAAAAAAA", Some(false)),
            ("\r\n", Some(false)),
        ] {
            assert_eq!(is_for_api(input.as_bytes()), verdict, "{input:?}");
        }
    }

    #[test]
    fn http_0_9_has_no_headers() {
        let mut input = BytesMut::from("GET / HTTP/0.9\r\nrest");
        assert!(HeadReader::new().read(&mut input).unwrap().is_some());
        assert_eq!(&input[..], b"rest");
    }

    #[test]
    fn dates_are_those_of_the_rfc() {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(date(moment), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = HeadReader::new().read(&mut BytesMut::from(&bytes[..]));
        }

        #[test]
        fn a_head_reads_the_same_however_it_is_cut(
            headers in prop::collection::vec(("[A-Za-z-]{1,12}", "[!-~]{1,30}"), 0..20),
            cut in 1..40_usize,
        ) {
            let mut text = "GET /x HTTP/1.1\r\n".to_owned();
            headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
            text += "\r\n";
            let whole = read(&text).unwrap().unwrap();
            let (mut reader, mut input, mut head) = (HeadReader::new(), BytesMut::new(), None);
            for piece in text.as_bytes().chunks(cut) {
                prop_assert!(head.is_none());
                input.extend_from_slice(piece);
                head = reader.read(&mut input).unwrap();
            }
            prop_assert_eq!(head, Some(whole));
        }
    }
}
