//! One published host, and what makes a set of them consistent.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use crate::net::Ipv4Net;

/// The longest rule name, bytes.
pub(super) const MAX_NAME: usize = 64;

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocol::Tcp),
            "udp" => Ok(Protocol::Udp),
            _ => Err(RuleError::Protocol(text.to_owned())),
        }
    }
}

/// One port or a run of ports, both ends included; port 0 is never in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The ports `first` to `last`; `None` if there are none or port 0 is among them.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first != 0 && first <= last).then_some(PortRange { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether it is one port only.
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// Whether `port` is in the run.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether the two runs share a port.
    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for PortRange {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = first.trim().parse().ok().zip(last.trim().parse().ok());
        range
            .and_then(|(first, last)| PortRange::new(first, last))
            .ok_or_else(|| RuleError::Ports(text.to_owned()))
    }
}

/// Where published traffic goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The private host.
    pub host: Ipv4Addr,
    /// Its port; `None` keeps the port that was asked for.
    pub port: Option<u16>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => write!(f, "{}", self.host),
        }
    }
}

impl FromStr for Target {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = || RuleError::Target(text.to_owned());
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (
                host,
                Some(port.parse().ok().filter(|&p| p != 0).ok_or_else(wrong)?),
            ),
            None => (text, None),
        };
        let host: Ipv4Addr = host.parse().map_err(|_| wrong())?;
        let unusable = host.is_unspecified()
            || host.is_loopback()
            || host.is_multicast()
            || host.is_broadcast()
            || host.is_link_local();
        if unusable {
            Err(RuleError::TargetHost(host))
        } else {
            Ok(Target { host, port })
        }
    }
}

/// A published host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnatRule {
    /// Its name, unique without regard to case: 1 to 64 of `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The protocol published.
    pub protocol: Protocol,
    /// The ports published.
    pub ports: PortRange,
    /// Where they lead.
    pub to: Target,
    /// Clients that may use it; `None` for everybody.
    pub source: Option<Ipv4Net>,
    /// The address of this machine that it is published at; `None` for every one.
    pub dest: Option<Ipv4Addr>,
}

impl DnatRule {
    /// Builds a rule from the texts of a command line. Empty `source` and `dest` mean everybody and everywhere.
    pub fn parse(
        name: &str,
        protocol: &str,
        ports: &str,
        to: &str,
        source: &str,
        dest: &str,
    ) -> Result<Self, RuleError> {
        let rule = DnatRule {
            name: name.to_owned(),
            protocol: protocol.parse()?,
            ports: ports.parse()?,
            to: to.parse()?,
            source: optional(source)
                .map(str::parse)
                .transpose()
                .map_err(|_| RuleError::Source(source.to_owned()))?,
            dest: optional(dest)
                .map(str::parse)
                .transpose()
                .map_err(|_| RuleError::Dest(dest.to_owned()))?,
        };
        rule.validate()?;
        Ok(rule)
    }

    /// Checks what the types of the fields leave open.
    pub fn validate(&self) -> Result<(), RuleError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if self.name.is_empty() || self.name.len() > MAX_NAME || !self.name.bytes().all(allowed) {
            return Err(RuleError::Name(self.name.clone()));
        }
        if !self.ports.is_single() && self.to.port.is_some() {
            return Err(RuleError::RangeToPort {
                ports: self.ports,
                host: self.to.host,
            });
        }
        if let Some(dest) = self.dest
            && (dest.is_unspecified() || dest.is_loopback() || dest.is_multicast() || dest.is_broadcast())
        {
            return Err(RuleError::Dest(dest.to_string()));
        }
        Ok(())
    }

    /// Whether some packet would match both rules.
    fn overlaps(&self, other: &DnatRule) -> bool {
        let dest = self.dest.zip(other.dest).is_none_or(|(a, b)| a == b);
        let source = self.source.zip(other.source).is_none_or(|(a, b)| a.overlaps(&b));
        self.protocol == other.protocol && self.ports.overlaps(other.ports) && dest && source
    }

    /// Where a connection from `source` to `dest` leads, if the rule matches it. `dest_is_local` says whether
    /// `dest` is an address of this machine or of a virtual host, which a rule without `dest` stands for.
    pub fn translate(
        &self,
        protocol: Protocol,
        source: Ipv4Addr,
        dest: SocketAddrV4,
        dest_is_local: bool,
    ) -> Option<SocketAddrV4> {
        let here = self.dest.map_or(dest_is_local, |ip| ip == *dest.ip());
        let allowed = self.source.is_none_or(|net| net.contains(source));
        if self.protocol != protocol || !self.ports.contains(dest.port()) || !here || !allowed {
            return None;
        }
        Some(SocketAddrV4::new(
            self.to.host,
            self.to.port.unwrap_or(dest.port()),
        ))
    }
}

impl fmt::Display for DnatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {} -> {}",
            self.name, self.protocol, self.ports, self.to
        )?;
        if let Some(source) = self.source {
            write!(f, " from {source}")?;
        }
        if let Some(dest) = self.dest {
            write!(f, " at {dest}")?;
        }
        Ok(())
    }
}

fn optional(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Checks every rule, that names are unique and that no packet matches two rules.
pub fn check(rules: &[DnatRule]) -> Result<(), RuleError> {
    for (i, rule) in rules.iter().enumerate() {
        rule.validate()?;
        for earlier in &rules[..i] {
            if earlier.name.eq_ignore_ascii_case(&rule.name) {
                return Err(RuleError::NameTaken(rule.name.clone()));
            }
            if earlier.overlaps(rule) {
                return Err(RuleError::Clash {
                    rule: rule.name.clone(),
                    with: earlier.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Why a rule, or a set of rules, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The name is empty, too long, or has other characters.
    #[error("`{0}` cannot name a rule; use 1 to {MAX_NAME} letters, digits, `_`, `.` or `-`")]
    Name(String),
    /// The name is in use.
    #[error("a rule named `{0}` exists; delete it first or choose another name")]
    NameTaken(String),
    /// Not a protocol with ports.
    #[error("`{0}` cannot be published; the protocol is tcp or udp")]
    Protocol(String),
    /// Not a port or a range.
    #[error("`{0}` is not a port; write 1 to 65535, or a range such as 8000-8010")]
    Ports(String),
    /// Not an address with a port.
    #[error("`{0}` is not a target; write HOST:PORT with an IPv4 address, such as 10.0.1.26:80")]
    Target(String),
    /// An address that no other host has.
    #[error("{0} is not the address of a host behind this machine; write its private IPv4 address")]
    TargetHost(Ipv4Addr),
    /// A range cannot lead to one port.
    #[error("the ports {ports} keep their numbers behind the rule; write the target without a port: {host}")]
    RangeToPort {
        /// The range.
        ports: PortRange,
        /// The target's host.
        host: Ipv4Addr,
    },
    /// Not a network.
    #[error("`{0}` is not a source network; write it as 203.0.113.0/24, or leave it out for everybody")]
    Source(String),
    /// Not an address of this machine.
    #[error(
        "`{0}` is not a destination address; write an IPv4 address of this machine, or leave it out for all"
    )]
    Dest(String),
    /// Two rules match the same packet.
    #[error(
        "rule `{rule}` takes packets of another ({with}); change its port, source or destination, or delete the other"
    )]
    Clash {
        /// The later rule.
        rule: String,
        /// The earlier rule, in words.
        with: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, ports: &str, source: &str, dest: &str) -> DnatRule {
        DnatRule::parse(name, "TCP", ports, "10.0.1.26", source, dest).unwrap()
    }

    #[test]
    fn a_rule_reads_as_it_is_written() {
        let web = DnatRule::parse(
            "web",
            "tcp",
            "8080",
            "10.0.1.26:80",
            "203.0.113.0/24",
            "198.51.100.7",
        )
        .unwrap();
        assert_eq!(
            web.to_string(),
            "web: tcp 8080 -> 10.0.1.26:80 from 203.0.113.0/24 at 198.51.100.7"
        );
        assert_eq!(
            rule("r", "8000-8010", "", "").to_string(),
            "r: tcp 8000-8010 -> 10.0.1.26"
        );
    }

    #[test]
    fn every_wrong_part_is_named_with_the_way_to_mend_it() {
        let parse = |name: &str, proto: &str, port: &str, to: &str, source: &str, dest: &str| {
            DnatRule::parse(name, proto, port, to, source, dest)
                .unwrap_err()
                .to_string()
        };
        assert!(parse("a b", "tcp", "1", "10.0.0.1:1", "", "").contains("letters"));
        assert!(parse("", "tcp", "1", "10.0.0.1:1", "", "").contains("1 to 64"));
        assert!(parse("a", "icmp", "1", "10.0.0.1:1", "", "").contains("tcp or udp"));
        for ports in ["0", "65536", "9-8", "", "x", "1-"] {
            assert!(
                parse("a", "tcp", ports, "10.0.0.1:1", "", "").contains("is not a port"),
                "{ports}"
            );
        }
        for to in [
            "10.0.0.1:0",
            "10.0.0.1:",
            "host:80",
            "",
            "[::1]:80",
            "10.0.0.1:80:1",
        ] {
            assert!(parse("a", "tcp", "1", to, "", "").contains("HOST:PORT"), "{to}");
        }
        for to in [
            "127.0.0.1:80",
            "0.0.0.0:80",
            "169.254.169.254:80",
            "224.0.0.1:80",
            "255.255.255.255:1",
        ] {
            assert!(
                parse("a", "tcp", "1", to, "", "").contains("private IPv4"),
                "{to}"
            );
        }
        assert!(parse("a", "tcp", "1-2", "10.0.0.1:80", "", "").contains("without a port: 10.0.0.1"));
        assert!(parse("a", "tcp", "1", "10.0.0.1:80", "10.0.0.0/99", "").contains("source network"));
        assert!(parse("a", "tcp", "1", "10.0.0.1:80", "", "127.0.0.1").contains("destination address"));
    }

    #[test]
    fn rules_that_share_a_packet_clash_and_the_other_is_named() {
        let clash = |a: DnatRule, b: DnatRule| check(&[a, b]).unwrap_err().to_string();
        assert!(
            clash(rule("a", "80", "", ""), rule("b", "70-90", "", "")).contains("a: tcp 80 -> 10.0.1.26")
        );
        assert!(
            clash(rule("a", "80", "", ""), rule("b", "80", "", "1.2.3.4"))
                .contains("takes packets of another")
        );
        assert!(
            clash(
                rule("a", "80", "10.0.0.0/8", ""),
                rule("b", "80", "10.1.0.0/16", "")
            )
            .contains("another")
        );
        assert!(clash(rule("a", "80", "", ""), rule("A", "81", "", "")).contains("a rule named `A` exists"));
    }

    #[test]
    fn rules_that_share_no_packet_live_together() {
        let udp = DnatRule {
            protocol: Protocol::Udp,
            ..rule("udp", "80", "", "")
        };
        check(&[
            rule("at-one", "80", "", "198.51.100.1"),
            rule("at-two", "80", "", "198.51.100.2"),
            rule("other-port", "81", "", ""),
            rule("from-one", "82", "10.0.0.0/8", ""),
            rule("from-two", "82", "11.0.0.0/8", ""),
            udp,
        ])
        .unwrap();
    }

    #[test]
    fn a_lookup_follows_the_rule() {
        let at = |text: &str| text.parse::<SocketAddrV4>().unwrap();
        let client = Ipv4Addr::new(10, 0, 0, 9);
        let range = rule("range", "8000-8010", "10.0.0.0/8", "");
        let look = |source, dest, local| range.translate(Protocol::Tcp, source, at(dest), local);
        assert_eq!(
            look(client, "192.168.30.1:8003", true),
            Some(at("10.0.1.26:8003"))
        );
        assert_eq!(look(client, "192.168.30.1:8011", true), None);
        assert_eq!(look(client, "1.1.1.1:8003", false), None);
        assert_eq!(look(Ipv4Addr::new(11, 0, 0, 1), "192.168.30.1:8003", true), None);
        let pinned = rule("pinned", "80", "", "198.51.100.7");
        assert_eq!(
            pinned.translate(Protocol::Tcp, client, at("198.51.100.7:80"), false),
            Some(at("10.0.1.26:80"))
        );
        assert_eq!(
            pinned.translate(Protocol::Tcp, client, at("192.168.30.1:80"), true),
            None
        );
        assert_eq!(
            pinned.translate(Protocol::Udp, client, at("198.51.100.7:80"), false),
            None
        );
    }
}
