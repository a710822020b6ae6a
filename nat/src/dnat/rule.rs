//! One published host.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::part::{Check, GroupName, HostName, MAX_NAME, PortRange, Protocol, Protocols, Sources, Target};
use super::refusal::{MAX_MOVED, RuleError};

/// A published host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnatRule {
    /// Its name, unique without regard to case: 1 to 64 of `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// Whether it is to be in force. One that is not clashes with nobody.
    pub enabled: bool,
    /// The protocols published.
    pub protocols: Protocols,
    /// The ports published.
    pub ports: PortRange,
    /// Where they lead.
    pub to: Target,
    /// Clients that may use it.
    pub sources: Sources,
    /// The address of this machine or of a virtual host that it is published at; `None` for every one.
    pub dest: Option<Ipv4Addr>,
    /// The group whose members alone may use it.
    pub group: Option<GroupName>,
    /// The name by which clients of hubs find it.
    pub host_name: Option<HostName>,
    /// How it is looked whether the private host answers.
    pub check: Option<Check>,
}

/// Who wants to use a rule: a client outside, or a station of a hub.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address.
    pub address: Ipv4Addr,
    /// The group of its user.
    pub group: Option<&'a GroupName>,
}

impl DnatRule {
    /// Builds a rule from the texts of a command line. Empty `sources` and `dest` mean everybody and everywhere. The
    /// other parts are set afterwards.
    pub fn parse(
        name: &str,
        protocols: &str,
        ports: &str,
        to: &str,
        sources: &str,
        dest: &str,
    ) -> Result<Self, RuleError> {
        let rule = DnatRule {
            name: name.to_owned(),
            enabled: true,
            protocols: protocols.parse()?,
            ports: ports.parse()?,
            to: to.parse()?,
            sources: sources.parse()?,
            dest: Some(dest.trim())
                .filter(|dest| !dest.is_empty())
                .map(str::parse)
                .transpose()
                .map_err(|_| RuleError::Dest(dest.to_owned()))?,
            group: None,
            host_name: None,
            check: None,
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
        if !self.to.is_usable() {
            return Err(RuleError::TargetHost(self.to.host));
        }
        if let Some(port) = self.to.port {
            if u32::from(port) + self.ports.count() - 1 > u32::from(u16::MAX) {
                return Err(RuleError::PastTheEnd {
                    ports: self.ports,
                    port,
                });
            }
            if self.moves_ports() && self.ports.count() > MAX_MOVED {
                return Err(RuleError::TooManyMoved(self.ports));
            }
        }
        if self.check.is_some() && !self.protocols.contains(Protocol::Tcp) {
            return Err(RuleError::CheckWithoutTcp);
        }
        match self.dest {
            Some(ip) if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast() => {
                Err(RuleError::Dest(ip.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Whether ports have another number behind the rule.
    pub(super) fn moves_ports(&self) -> bool {
        self.to.port.is_some_and(|port| port != self.ports.first())
    }

    /// Where a published port leads.
    pub(super) fn target_of(&self, port: u16) -> SocketAddrV4 {
        let first = self.to.port.unwrap_or(self.ports.first());
        SocketAddrV4::new(self.to.host, first + (port - self.ports.first()))
    }

    /// Whether some packet would match both rules.
    pub(super) fn overlaps(&self, other: &DnatRule) -> bool {
        let dest = self.dest.zip(other.dest).is_none_or(|(a, b)| a == b);
        // Nobody is in two groups at once.
        let group = self
            .group
            .as_ref()
            .zip(other.group.as_ref())
            .is_none_or(|(a, b)| a == b);
        self.enabled
            && other.enabled
            && self.ports.overlaps(other.ports)
            && dest
            && group
            && self.protocols.overlaps(other.protocols)
            && self.sources.overlaps(&other.sources)
    }

    /// Whether this client may use it.
    pub fn admits(&self, client: Client<'_>) -> bool {
        let group = self.group.as_ref();
        self.enabled
            && group.is_none_or(|group| client.group == Some(group))
            && self.sources.contains(client.address)
    }

    /// Where a client's connection to `dest` leads, if the rule matches it. `dest_is_local` says whether
    /// `dest` is an address of this machine or of a virtual host, which a rule without `dest` stands for.
    pub fn translate(
        &self,
        protocol: Protocol,
        client: Client<'_>,
        dest: SocketAddrV4,
        dest_is_local: bool,
    ) -> Option<SocketAddrV4> {
        let here = self.dest.map_or(dest_is_local, |ip| ip == *dest.ip());
        let matches = here
            && self.protocols.contains(protocol)
            && self.ports.contains(dest.port())
            && self.admits(client);
        matches.then(|| self.target_of(dest.port()))
    }
}

impl fmt::Display for DnatRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {} -> {}",
            self.name, self.protocols, self.ports, self.to
        )?;
        if !self.sources.is_everybody() {
            write!(f, " from {}", self.sources)?;
        }
        if let Some(dest) = self.dest {
            write!(f, " at {dest}")?;
        }
        if let Some(group) = &self.group {
            write!(f, " for {group}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, ports: &str, source: &str, dest: &str) -> DnatRule {
        DnatRule::parse(name, "TCP", ports, "10.0.1.26", source, dest).unwrap()
    }

    #[test]
    fn a_rule_reads_as_it_is_written() {
        let mut web = DnatRule::parse(
            "web",
            "tcp",
            "8080",
            "10.0.1.26:80",
            "203.0.113.0/24",
            "198.51.100.7",
        )
        .unwrap();
        web.group = Some("office/staff".parse().unwrap());
        assert_eq!(
            web.to_string(),
            "web: tcp 8080 -> 10.0.1.26:80 from 203.0.113.0/24 at 198.51.100.7 for office/staff"
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
        assert!(parse("a", "icmp", "1", "10.0.0.1:1", "", "").contains("tcp, udp or tcp+udp"));
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
        assert!(parse("a", "tcp", "1-9", "10.0.0.1:65530", "", "").contains("past 65535"));
        assert!(parse("a", "tcp", "1-2000", "10.0.0.1:80", "", "").contains("without a port"));
        assert!(parse("a", "tcp", "1", "10.0.0.1:80", "10.0.0.0/99", "").contains("source network"));
        assert!(parse("a", "tcp", "1", "10.0.0.1:80", "", "127.0.0.1").contains("destination address"));
        let mut game = DnatRule::parse("game", "udp", "1", "10.0.0.1", "", "").unwrap();
        game.check = Some(Check::default());
        assert_eq!(game.validate(), Err(RuleError::CheckWithoutTcp));
    }

    #[test]
    fn a_lookup_follows_the_rule() {
        let at = |text: &str| text.parse::<SocketAddrV4>().unwrap();
        let client = |address: [u8; 4]| Client {
            address: address.into(),
            group: None,
        };
        let near = client([10, 0, 0, 9]);
        let range = rule("range", "8000-8010", "10.0.0.0/8", "");
        let look = |who, dest, local| range.translate(Protocol::Tcp, who, at(dest), local);
        assert_eq!(look(near, "192.168.30.1:8003", true), Some(at("10.0.1.26:8003")));
        assert_eq!(look(near, "192.168.30.1:8011", true), None);
        assert_eq!(look(near, "1.1.1.1:8003", false), None);
        assert_eq!(look(client([11, 0, 0, 1]), "192.168.30.1:8003", true), None);
        let pinned = rule("pinned", "80", "", "198.51.100.7");
        assert_eq!(
            pinned.translate(Protocol::Tcp, near, at("198.51.100.7:80"), false),
            Some(at("10.0.1.26:80"))
        );
        assert_eq!(
            pinned.translate(Protocol::Tcp, near, at("192.168.30.1:80"), true),
            None
        );
        assert_eq!(
            pinned.translate(Protocol::Udp, near, at("198.51.100.7:80"), false),
            None
        );
        let moved = DnatRule::parse("moved", "tcp+udp", "8000-8010", "10.0.1.26:9000", "", "").unwrap();
        assert_eq!(
            moved.translate(Protocol::Udp, near, at("192.168.30.1:8003"), true),
            Some(at("10.0.1.26:9003"))
        );
    }

    #[test]
    fn a_group_keeps_everybody_else_out() {
        let (staff, guests) = ("office/staff".parse().unwrap(), "office/guests".parse().unwrap());
        let web = DnatRule {
            group: Some("OFFICE/Staff".parse().unwrap()),
            ..rule("web", "80", "", "")
        };
        let of = |group| Client {
            address: Ipv4Addr::new(192, 168, 30, 10),
            group,
        };
        assert!(web.admits(of(Some(&staff))));
        assert!(!web.admits(of(Some(&guests))) && !web.admits(of(None)));
        assert!(
            !DnatRule {
                enabled: false,
                ..web
            }
            .admits(of(Some(&staff)))
        );
    }
}
