//! HTTP CONNECT (RFC 9110 §9.3.6) with the Basic scheme (RFC 7617).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::BytesMut;
use protocol::http::{Head, HeadReader, HttpError};
use zeroize::Zeroizing;

use super::ProxyError;
use super::place::{Header, Login};
use crate::dial::Target;

/// What is shown of a proxy's own words.
const SHOWN: usize = 80;

/// The request. What holds the password is made in one piece each: a text that grows leaves copies of itself behind.
pub(super) fn connect(target: &Target, login: Option<&Login>, headers: &[Header]) -> Zeroizing<Vec<u8>> {
    let start = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    let login = login.map(|login| {
        let pair = Zeroizing::new([&login.user, ":", &login.password].concat());
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
        Zeroizing::new(["Proxy-Authorization: Basic ", &encoded, "\r\n"].concat())
    });
    let login = login.as_ref().map_or("", |login| login.as_str());
    let beside: String = headers
        .iter()
        .map(|header| format!("{}: {}\r\n", header.name(), header.value()))
        .collect();
    Zeroizing::new([&start, login, &beside, "\r\n"].concat().into_bytes())
}

/// The proxy's answer.
pub(super) struct Answer(Head);

/// The answer, once its head is there.
pub(super) fn answer(reader: &mut HeadReader, input: &mut BytesMut) -> Result<Option<Answer>, ProxyError> {
    let wrong = |error| match error {
        HttpError::TooLong => ProxyError::NotAProxy("the head of its answer is too long"),
        _ => ProxyError::NotAProxy("its answer is not HTTP"),
    };
    // A head begins like this; other protocols are told by their first bytes, whether or not a line end ever comes.
    const START: &[u8] = b"HTTP/";
    if reader.is_at_start() && input.iter().zip(START).any(|(byte, start)| byte != start) {
        return Err(ProxyError::NotAProxy("its answer is not HTTP"));
    }
    Ok(reader.read(input).map_err(wrong)?.map(Answer))
}

impl Answer {
    /// What it means; `said` is whether a name and password were given.
    pub(super) fn judge(&self, target: &Target, said: bool) -> Result<(), ProxyError> {
        let status = self
            .status()
            .ok_or(ProxyError::NotAProxy("its answer is not HTTP"))?;
        let answer = || format!("HTTP status {status}{}", self.words());
        let target = || target.clone();
        Err(match status {
            200..=299 => return Ok(()),
            407 if said => ProxyError::LoginRefused(self.other_schemes()),
            407 => ProxyError::LoginWanted(self.other_schemes()),
            401 | 403 | 405 | 451 => ProxyError::Forbidden {
                target: target(),
                answer: answer(),
            },
            404 | 410 | 500..=504 => ProxyError::TargetUnreached {
                target: target(),
                answer: answer(),
            },
            _ => ProxyError::Refused(answer()),
        })
    }

    /// The number. Many a proxy answers in HTTP/1.0.
    fn status(&self) -> Option<u16> {
        let mut words = self.0.start().split(' ');
        words.next().filter(|version| version.starts_with("HTTP/1."))?;
        words.next()?.parse().ok()
    }

    /// The words behind the number, as far as they can be shown.
    fn words(&self) -> String {
        let words = self.0.start().splitn(3, ' ').nth(2).unwrap_or_default();
        let words: String = words
            .chars()
            .filter(|c| c.is_ascii_graphic() || *c == ' ')
            .take(SHOWN)
            .collect();
        match words.trim() {
            "" => String::new(),
            words => format!(", {words}"),
        }
    }

    /// The ways to log in, if Basic is not among them.
    fn other_schemes(&self) -> Option<String> {
        let schemes: Vec<&str> = self
            .0
            .headers("Proxy-Authenticate")
            .filter_map(|value| value.split_ascii_whitespace().next())
            .filter(|scheme| scheme.len() <= 20 && scheme.chars().all(|c| c.is_ascii_alphanumeric()))
            .collect();
        let basic = schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("basic"));
        (!schemes.is_empty() && !basic).then(|| schemes.join(", "))
    }
}
