//! What an HTTP proxy reads and writes (RFC 9110 §9.3.6 for CONNECT, RFC 9112 §3.2.2 for whole addresses), as bytes.

use std::io::{self, ErrorKind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::destination::Destination;

/// The longest head that is read.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Headers that are meant for the proxy, or for this connection alone (RFC 9110 §7.6.1).
const OURS: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "upgrade",
];

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) to: Destination,
    /// What the server is to read first; `None` when the client wants to talk to it itself.
    pub(super) head: Option<Vec<u8>>,
    /// Name and password, if the client gave any.
    pub(super) password: Option<Vec<u8>>,
}

/// Where the head in `input` ends, its empty line included.
pub(super) fn head_end(input: &[u8]) -> Option<usize> {
    input
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Reads a head.
pub(super) fn request(head: &[u8]) -> io::Result<Request> {
    let invalid = |why: &str| io::Error::new(ErrorKind::InvalidData, why);
    let text = std::str::from_utf8(head).map_err(|_| invalid("the request is no text"))?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(invalid("the first line is no HTTP request"));
    };
    if !version.starts_with("HTTP/1.") {
        return Err(invalid("only HTTP/1 is understood"));
    }
    let headers: Vec<(&str, &str)> = lines
        .map(|line| {
            line.split_once(':')
                .ok_or_else(|| invalid("a header is malformed"))
        })
        .collect::<io::Result<_>>()?;
    let password = headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"))
        .and_then(|(_, value)| basic(value));
    if method == "CONNECT" {
        let to = target.parse().map_err(|why: String| invalid(&why))?;
        return Ok(Request {
            to,
            head: None,
            password,
        });
    }
    let rest = target
        .strip_prefix("http://")
        .ok_or_else(|| invalid("a proxy is asked for whole addresses, http://HOST/PATH, or by CONNECT"))?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let to = with_port(authority).map_err(|why| invalid(&why))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = format!("{method} {slash}{path} {version}\r\n");
    for (name, value) in headers {
        if !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            head.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    // One request each: the next one may be for another server.
    head.push_str("Connection: close\r\n\r\n");
    Ok(Request {
        to,
        head: Some(head.into_bytes()),
        password,
    })
}

fn with_port(authority: &str) -> Result<Destination, String> {
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty());
    if has_port {
        authority.parse()
    } else {
        format!("{authority}:80").parse()
    }
}

fn basic(value: &str) -> Option<Vec<u8>> {
    let (scheme, encoded) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| STANDARD.decode(encoded.trim()).ok())?
}

/// The answer to a CONNECT that succeeded.
pub(super) const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// The answer to who gives no password, or a wrong one.
pub(super) const NO_PASSWORD: &[u8] = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
    Proxy-Authenticate: Basic realm=\"vpnclient\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// The answer to what failed.
pub(super) fn failed(error: &io::Error) -> Vec<u8> {
    let status = match error.kind() {
        ErrorKind::InvalidData => "400 Bad Request",
        ErrorKind::TimedOut => "504 Gateway Timeout",
        _ => "502 Bad Gateway",
    };
    let text = format!("{error}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_leads_to_a_host_and_says_nothing_to_it() {
        let request = request(b"CONNECT web.private:443 HTTP/1.1\r\nHost: web.private:443\r\n\r\n").unwrap();
        assert_eq!(
            (request.to.to_string(), request.head),
            ("web.private:443".to_owned(), None)
        );
    }

    #[test]
    fn a_whole_address_becomes_a_path_without_what_was_meant_for_the_proxy() {
        let head = b"GET http://web.private/page?x=1 HTTP/1.1\r\nHost: web.private\r\nProxy-Authorization: Basic YTpi\r\n\
            Proxy-Connection: keep-alive\r\nAccept: */*\r\n\r\n";
        let request = request(head).unwrap();
        assert_eq!(request.to.to_string(), "web.private:80");
        assert_eq!(request.password.as_deref(), Some(&b"a:b"[..]));
        let head = String::from_utf8(request.head.unwrap()).unwrap();
        assert_eq!(
            head,
            "GET /page?x=1 HTTP/1.1\r\nHost: web.private\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn an_address_without_a_path_asks_for_the_root() {
        for (target, to, line) in [
            ("http://10.0.1.2:8080", "10.0.1.2:8080", "GET / HTTP/1.1"),
            ("http://[fd00::1]?q", "[fd00::1]:80", "GET /?q HTTP/1.1"),
        ] {
            let request = request(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(request.to.to_string(), to);
            assert!(
                String::from_utf8(request.head.unwrap())
                    .unwrap()
                    .starts_with(line)
            );
        }
    }

    #[test]
    fn nonsense_is_a_bad_request() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET ftp://web/ HTTP/1.1\r\n\r\n",
            "CONNECT web HTTP/1.1\r\n\r\n",
            "CONNECT web:1 HTTP/2\r\n\r\n",
            "CONNECT web:1 HTTP/1.1\r\nno header\r\n\r\n",
            "\r\n\r\n",
        ] {
            let error = request(head.as_bytes()).unwrap_err();
            assert!(failed(&error).starts_with(b"HTTP/1.1 400 "), "{head}");
        }
    }
}
