//! Where a proxy is, of what kind, and what it is told about us.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

use crate::dial::Target;

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// HTTP CONNECT.
    Http,
    /// SOCKS 4, with names (4a).
    Socks4,
    /// SOCKS 5.
    Socks5,
}

impl Kind {
    /// The port that is meant when none is named.
    fn port(self) -> u16 {
        match self {
            Self::Http => 8080,
            Self::Socks4 | Self::Socks5 => 1080,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Socks4 => "socks4",
            Self::Socks5 => "socks5",
        }
    }
}

/// Who asks a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password; SOCKS 4 has none.
    pub password: Zeroizing<String>,
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({})", self.user)
    }
}

/// A header that an HTTP proxy is given with every request; its parts cannot end a line.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: String,
}

impl Header {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// All headers of a text of lines, empty ones aside: as accounts of the stock client keep them.
    ///
    /// # Errors
    /// [`NotAHeader`], for the first line that is none.
    pub fn lines(text: &str) -> Result<Vec<Self>, NotAHeader> {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::parse)
            .collect()
    }
}

/// Without the value, which may be a secret.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ..", self.name)
    }
}

/// A text that is no header.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no header for a proxy; write NAME: VALUE in one line (Host and Proxy-Authorization are made by this program)"
)]
pub struct NotAHeader(String);

impl FromStr for Header {
    type Err = NotAHeader;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What stands before the colon is shown and no more: what stands behind may be a secret.
        let name = text.split(':').next().unwrap_or_default().trim();
        let wrong = || NotAHeader(name.chars().filter(|c| !c.is_control()).take(40).collect());
        let (_, value) = text.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        // RFC 9110 §5.6.2.
        let of_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let ours = [
            "host",
            "proxy-authorization",
            "content-length",
            "transfer-encoding",
        ];
        let good = !name.is_empty()
            && name.len() + value.len() <= 4000
            && name.chars().all(of_token)
            && !value.chars().any(char::is_control)
            && !ours.iter().any(|ours| name.eq_ignore_ascii_case(ours));
        if !good {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// A proxy between this machine and servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub kind: Kind,
    /// Where it is.
    pub server: Target,
    /// Who asks.
    pub login: Option<Login>,
    /// What an HTTP proxy is told beside.
    pub headers: Vec<Header>,
}

/// Without user and password, as it may be shown.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.kind.scheme(), self.server)
    }
}

/// A text that names no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no proxy; write http://, socks5:// or socks4://, then [USER[:PASSWORD]@]HOST[:PORT] with % and two digits for \
     signs that have a meaning there"
)]
pub struct NotAProxyPlace;

impl FromStr for Proxy {
    type Err = NotAProxyPlace;

    /// Reads `SCHEME://[USER[:PASSWORD]@]HOST[:PORT][/]`. A text without a scheme means HTTP, as other programs take it from the
    /// environment.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let kind = match scheme.to_ascii_lowercase().as_str() {
            "http" => Kind::Http,
            "socks4" | "socks4a" => Kind::Socks4,
            "socks" | "socks5" | "socks5h" => Kind::Socks5,
            _ => return Err(NotAProxyPlace),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let login = login
            .map(|login| {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                Ok::<_, NotAProxyPlace>(Login {
                    user: unescape(user)?,
                    password: Zeroizing::new(unescape(password)?),
                })
            })
            .transpose()?;
        if login.as_ref().is_some_and(|login| login.user.is_empty()) {
            return Err(NotAProxyPlace);
        }
        let mut server: Target = place.parse().map_err(|_| NotAProxyPlace)?;
        if !names_a_port(place) {
            server.port = kind.port();
        }
        Ok(Self {
            kind,
            server,
            login,
            headers: Vec::new(),
        })
    }
}

/// Whether a place says its port; one that does not is given a server's by [`Target`].
fn names_a_port(place: &str) -> bool {
    match place.parse::<std::net::Ipv6Addr>() {
        Ok(_) => false,
        Err(_) => place
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())),
    }
}

/// The text behind an escape of `%` and two digits (RFC 3986 §2.1).
fn unescape(text: &str) -> Result<String, NotAProxyPlace> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.ok_or(NotAProxyPlace)
        };
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    let text = String::from_utf8(bytes).map_err(|_| NotAProxyPlace)?;
    if text.contains(['\0', '\r', '\n']) {
        return Err(NotAProxyPlace);
    }
    Ok(text)
}
