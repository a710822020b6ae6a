//! What an administrator can set about IPv6 on a hub.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::net::{Ipv6Net, LINK_PREFIX};
use crate::refused;

/// The shortest lifetime of a prefix, seconds. It does not end between two advertisements.
pub const MIN_LIFETIME: u32 = 1200;
/// The smallest packet that every link with IPv6 carries (RFC 8200 §5).
pub const MIN_MTU: u32 = 1280;
/// Name servers that are announced at most.
pub const MAX_NAME_SERVERS: usize = 4;

/// What networks of the Internet, and private ones, are made of (RFC 4291 §2.4, RFC 4193).
const USABLE: [Ipv6Net; 2] = [
    Ipv6Net::new(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3),
    Ipv6Net::new(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
];

/// IPv6 of a hub's virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipv6Config {
    /// Whether the virtual host is a router on the hub.
    pub enabled: bool,
    /// The network in which stations make their addresses; the virtual host is its `::1`.
    pub prefix: Ipv6Net,
    /// The name servers that stations are told.
    pub name_servers: NameServers,
    /// Seconds after an advertisement during which an address of the prefix is used for new connections.
    pub preferred: u32,
    /// Seconds after an advertisement until such an address is gone.
    pub valid: u32,
}

impl Ipv6Config {
    /// The settings of a new hub: off, and what it takes to switch it on. Lifetimes are those of RFC 9096 §4: a station
    /// that hears nothing more of us keeps addresses that lead nowhere for an hour and a half.
    pub fn new(prefix: Ipv6Net) -> Self {
        Ipv6Config {
            enabled: false,
            prefix,
            name_servers: NameServers::VirtualHost,
            preferred: 2700,
            valid: 5400,
        }
    }

    /// The virtual host's address in the network.
    pub fn address(&self) -> Ipv6Addr {
        self.prefix.host(1)
    }

    /// Checks the settings against their bounds, each other and the link's MTU.
    pub fn validate(&self, mtu: u32) -> Result<(), Ipv6Error> {
        let prefix = self.prefix;
        let usable = USABLE.iter().any(|net| net.contains(prefix.address()));
        if prefix.prefix() != LINK_PREFIX || !usable || refused::is_refused6(self.address()) {
            return Err(Ipv6Error::Prefix(prefix));
        }
        for lifetime in [self.preferred, self.valid] {
            if lifetime < MIN_LIFETIME {
                return Err(Ipv6Error::Lifetime(lifetime));
            }
        }
        if self.preferred > self.valid {
            return Err(Ipv6Error::LifetimeOrder {
                preferred: self.preferred,
                valid: self.valid,
            });
        }
        self.name_servers.check()?;
        if self.enabled && mtu < MIN_MTU {
            return Err(Ipv6Error::Mtu(mtu));
        }
        Ok(())
    }
}

/// Which name servers stations are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NameServers {
    /// The virtual host, which passes questions on.
    #[default]
    VirtualHost,
    /// These; there may be none.
    Given(Vec<Ipv6Addr>),
}

impl NameServers {
    /// Their addresses, where the virtual host is `own`.
    pub fn addresses(&self, own: Ipv6Addr) -> Vec<Ipv6Addr> {
        match self {
            NameServers::VirtualHost => vec![own],
            NameServers::Given(list) => list.clone(),
        }
    }

    fn check(&self) -> Result<(), Ipv6Error> {
        let NameServers::Given(list) = self else {
            return Ok(());
        };
        if list.len() > MAX_NAME_SERVERS {
            return Err(Ipv6Error::TooManyNameServers(list.len()));
        }
        let wrong = |ip: &&Ipv6Addr| ip.is_unspecified() || ip.is_loopback() || ip.is_multicast();
        list.iter()
            .find(wrong)
            .map_or(Ok(()), |ip| Err(Ipv6Error::NameServer(ip.to_string())))
    }
}

const AUTO: &str = "auto";
const NONE: &str = "none";

impl fmt::Display for NameServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameServers::VirtualHost => f.write_str(AUTO),
            NameServers::Given(list) if list.is_empty() => f.write_str(NONE),
            NameServers::Given(list) => {
                let texts: Vec<String> = list.iter().map(Ipv6Addr::to_string).collect();
                f.write_str(&texts.join(", "))
            }
        }
    }
}

impl FromStr for NameServers {
    type Err = Ipv6Error;

    /// `auto`, `none`, or addresses with commas or blanks between.
    fn from_str(text: &str) -> Result<Self, Ipv6Error> {
        let text = text.trim();
        if text.is_empty() || text.eq_ignore_ascii_case(AUTO) {
            return Ok(NameServers::VirtualHost);
        }
        if text.eq_ignore_ascii_case(NONE) {
            return Ok(NameServers::Given(Vec::new()));
        }
        let words = text.split([',', ';', ' ']).filter(|word| !word.is_empty());
        let list: Result<Vec<Ipv6Addr>, Ipv6Error> = words
            .map(|word| word.parse().map_err(|_| Ipv6Error::NameServer(word.to_owned())))
            .collect();
        let servers = NameServers::Given(list?);
        servers.check()?;
        Ok(servers)
    }
}

/// Why IPv6 cannot be set up so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ipv6Error {
    /// A network in which no station can make an address.
    #[error(
        "{0} cannot be a hub's IPv6 network; give a /64 of 2000::/3 or fc00::/7, such as fd12:3456:789a::/64, or `auto`"
    )]
    Prefix(Ipv6Net),
    /// A lifetime out of its bounds.
    #[error("a lifetime of {0} s is too short; choose {MIN_LIFETIME} s or more")]
    Lifetime(u32),
    /// The two lifetimes do not fit.
    #[error("addresses cannot be preferred for {preferred} s and valid for {valid} s only; exchange the two")]
    LifetimeOrder {
        /// Seconds preferred.
        preferred: u32,
        /// Seconds valid.
        valid: u32,
    },
    /// No address of a name server.
    #[error(
        "`{0}` is no IPv6 address of a name server; write addresses such as fd12:3456:789a::53, `auto` or `none`"
    )]
    NameServer(String),
    /// More name servers than fit.
    #[error("{0} name servers are too many; at most {MAX_NAME_SERVERS}")]
    TooManyNameServers(usize),
    /// The link's packets are too small for IPv6.
    #[error(
        "IPv6 needs an MTU of {MIN_MTU} or more, and that of this hub is {0}; raise it (NatSet) or leave IPv6 off"
    )]
    Mtu(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(adapt: impl FnOnce(&mut Ipv6Config)) -> Result<(), Ipv6Error> {
        let mut config = Ipv6Config::new("fd12:3456:789a::/64".parse().unwrap());
        config.enabled = true;
        adapt(&mut config);
        config.validate(1500)
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_a_reason() {
        with(|_| {}).unwrap();
        with(|c| c.prefix = "2001:db8:1::/64".parse().unwrap()).unwrap();
        for prefix in [
            "fd12::/48",
            "fe80::/64",
            "ff02::/64",
            "::/64",
            "fec0::/64",
            "64:ff9b::/64",
        ] {
            let refused = with(|c| c.prefix = prefix.parse().unwrap());
            assert!(matches!(refused, Err(Ipv6Error::Prefix(_))), "{prefix}");
        }
        assert_eq!(with(|c| c.preferred = 100), Err(Ipv6Error::Lifetime(100)));
        assert!(matches!(
            with(|c| c.valid = 2000),
            Err(Ipv6Error::LifetimeOrder { .. })
        ));
        let config = Ipv6Config::new("fd12:3456:789a::/64".parse().unwrap());
        config.validate(576).unwrap();
        let enabled = Ipv6Config {
            enabled: true,
            ..config
        };
        assert_eq!(enabled.validate(1279), Err(Ipv6Error::Mtu(1279)));
    }

    #[test]
    fn name_servers_are_read_and_written_back() {
        for (text, written) in [
            ("auto", "auto"),
            ("", "auto"),
            ("NONE", "none"),
            ("fd00::53 2001:db8::1,", "fd00::53, 2001:db8::1"),
        ] {
            let servers: NameServers = text.parse().unwrap();
            assert_eq!(servers.to_string(), written);
            assert_eq!(written.parse::<NameServers>().unwrap(), servers);
        }
        for wrong in ["10.0.0.1", "ff02::fb", "::1", "auto, fd00::1"] {
            assert!(
                matches!(wrong.parse::<NameServers>(), Err(Ipv6Error::NameServer(_))),
                "{wrong}"
            );
        }
        assert_eq!(
            "fd00::1 ".repeat(5).parse::<NameServers>(),
            Err(Ipv6Error::TooManyNameServers(5))
        );
    }
}
