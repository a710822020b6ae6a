//! Which doors there are to be.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Destination;
use crate::failure::Failure;
use crate::network::RouteMode;

/// The doors of a client without a device.
#[derive(Debug, Clone, Default)]
pub struct RootlessSettings {
    /// The hardware address on the hub; unless given one that is always the same here.
    pub mac: Option<[u8; 6]>,
    /// Which of the hub's routes are used.
    pub routes: RouteMode,
    /// SOCKS5 proxies.
    pub socks5: Vec<SocketAddr>,
    /// HTTP proxies.
    pub http: Vec<SocketAddr>,
    /// What the proxies' clients must know.
    pub password: Option<ProxyPassword>,
    /// Ports here that stand for hosts over there.
    pub forwards: Vec<Forward>,
    /// Ports over there that stand for hosts of this side.
    pub reverses: Vec<Reverse>,
}

/// `NAME:PASSWORD` for a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyPassword(Zeroizing<String>);

impl ProxyPassword {
    /// Reads the first line of a file.
    pub fn from_file(path: &Path) -> Result<Self, Failure> {
        let text = crate::password::obtain(Some(path), "the proxy")?.text;
        Self::new(&text).ok_or_else(|| {
            Failure::Usage(format!(
                "{} does not hold NAME:PASSWORD in its first line",
                path.display()
            ))
        })
    }

    fn new(text: &str) -> Option<Self> {
        let (name, _) = text.split_once(':')?;
        (!name.is_empty()).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// Whether these are they, without telling by time how much of them is right.
    pub(super) fn is(&self, name: &[u8], password: &[u8]) -> bool {
        self.is_pair(&Zeroizing::new([name, b":", password].concat()))
    }

    pub(super) fn is_pair(&self, pair: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(pair).into()
    }
}

/// Without the secret.
impl fmt::Debug for ProxyPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyPassword(..)")
    }
}

/// Reads `[ADDR:]PORT`; without an address it is this machine's own.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    text.parse()
        .map_err(|_| format!("{text:?} is neither PORT nor ADDR:PORT, such as 1080 or 127.0.0.1:1080"))
}

/// A port here that stands for a host and port over there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whom it stands for.
    pub to: Destination,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (listen, to) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not LISTEN=HOST:PORT, such as 8080=web.private:80"))?;
        Ok(Self {
            listen: parse_listen(listen)?,
            to: to.parse()?,
        })
    }
}

/// A port of ours on the hub that stands for a host and port of this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reverse {
    /// The port on the hub.
    pub port: u16,
    /// Whom it stands for.
    pub to: Destination,
}

impl FromStr for Reverse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not PORT=HOST:PORT, such as 2222=127.0.0.1:22");
        let (port, to) = text.split_once('=').ok_or_else(wrong)?;
        Ok(Self {
            port: port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
            to: to.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_without_an_address_is_open_to_this_machine_alone() {
        assert_eq!(parse_listen("1080"), Ok("127.0.0.1:1080".parse().unwrap()));
        assert_eq!(parse_listen("[::1]:1080"), Ok("[::1]:1080".parse().unwrap()));
        assert!(
            parse_listen("localhost:1080")
                .unwrap_err()
                .contains("127.0.0.1:1080")
        );
    }

    #[test]
    fn forwards_and_reverses_name_both_ends() {
        let forward: Forward = "8080=web.private:80".parse().unwrap();
        assert_eq!((forward.listen.port(), forward.to.port), (8080, 80));
        let reverse: Reverse = "2222=127.0.0.1:22".parse().unwrap();
        assert_eq!(
            (reverse.port, reverse.to.to_string()),
            (2222, "127.0.0.1:22".to_owned())
        );
        assert!("8080".parse::<Forward>().is_err());
        assert!("0=127.0.0.1:22".parse::<Reverse>().is_err());
    }

    #[test]
    fn a_proxys_password_is_compared_whole_and_never_shown() {
        let password = ProxyPassword::new("alice:secret:with colon").unwrap();
        assert!(password.is(b"alice", b"secret:with colon"));
        assert!(!password.is(b"alice", b"secret") && !password.is_pair(b""));
        assert_eq!(format!("{password:?}"), "ProxyPassword(..)");
        assert_eq!(ProxyPassword::new("nothing"), None);
    }
}
