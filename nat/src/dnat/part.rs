//! What a rule is made of. Each part is parsed once and can only hold what makes sense.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use super::refusal::RuleError;
use crate::net::Ipv4Net;

/// The longest name of a rule, bytes.
pub(super) const MAX_NAME: usize = 64;
/// Source networks of one rule.
pub(super) const MAX_SOURCES: usize = 64;
/// The longest name that DNS carries, in text (RFC 1035 §2.3.4).
const MAX_HOST_NAME: usize = 253;
/// The longest part of one.
const MAX_LABEL: usize = 63;

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

/// The protocols that a rule publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// TCP alone.
    Tcp,
    /// UDP alone.
    Udp,
    /// Both.
    Both,
}

impl Protocols {
    /// Each of them.
    pub fn each(self) -> &'static [Protocol] {
        match self {
            Protocols::Tcp => &[Protocol::Tcp],
            Protocols::Udp => &[Protocol::Udp],
            Protocols::Both => &[Protocol::Tcp, Protocol::Udp],
        }
    }

    /// Whether this one is among them.
    pub fn contains(self, protocol: Protocol) -> bool {
        self.each().contains(&protocol)
    }

    /// Whether the two share one.
    pub fn overlaps(self, other: Protocols) -> bool {
        self == other || self == Protocols::Both || other == Protocols::Both
    }
}

impl fmt::Display for Protocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocols::Tcp => "tcp",
            Protocols::Udp => "udp",
            Protocols::Both => "tcp+udp",
        })
    }
}

impl FromStr for Protocols {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Protocols::Tcp),
            "udp" => Ok(Protocols::Udp),
            "tcp+udp" | "udp+tcp" => Ok(Protocols::Both),
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

    /// How many ports.
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether it is one port only.
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// Whether `port` is in it.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Whether the two share a port.
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
    /// Its port for the first published one, and the others follow in step; `None` keeps the ports as they are.
    pub port: Option<u16>,
}

impl Target {
    /// Whether there can be a private host of this address.
    pub(super) fn is_usable(self) -> bool {
        let host = self.host;
        !(host.is_unspecified()
            || host.is_loopback()
            || host.is_multicast()
            || host.is_broadcast()
            || host.is_link_local())
    }
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
        let target = Target {
            host: host.parse().map_err(|_| wrong())?,
            port,
        };
        if target.is_usable() {
            Ok(target)
        } else {
            Err(RuleError::TargetHost(target.host))
        }
    }
}

/// Who may come: networks that share no address, in order; none of them for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sources(Vec<Ipv4Net>);

impl Sources {
    /// The networks; empty for everybody.
    pub fn networks(&self) -> &[Ipv4Net] {
        &self.0
    }

    /// Whether everybody may come.
    pub fn is_everybody(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `address` may come.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        self.is_everybody() || self.0.iter().any(|net| net.contains(address))
    }

    /// Whether somebody may come to both.
    pub fn overlaps(&self, other: &Sources) -> bool {
        let shared = |net: &Ipv4Net| other.0.iter().any(|its| its.overlaps(net));
        self.is_everybody() || other.is_everybody() || self.0.iter().any(shared)
    }
}

impl From<Vec<Ipv4Net>> for Sources {
    /// A network inside another says nothing of its own, and nftables takes no two that overlap.
    fn from(mut networks: Vec<Ipv4Net>) -> Self {
        if networks.contains(&Ipv4Net::ANY) {
            return Sources::default();
        }
        // Of networks that overlap the wider comes first: same beginning, shorter prefix.
        networks.sort();
        networks.dedup_by(|inner, outer| outer.overlaps(inner));
        Sources(networks)
    }
}

impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, net) in self.0.iter().enumerate() {
            write!(f, "{}{net}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Sources {
    type Err = RuleError;

    /// Networks with commas or blanks between them.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let words = text.split([',', ' ']).filter(|word| !word.is_empty());
        let networks: Result<Vec<Ipv4Net>, RuleError> = words
            .map(|word| word.parse().map_err(|_| RuleError::Source(word.to_owned())))
            .collect();
        let sources = Sources::from(networks?);
        if sources.0.len() > MAX_SOURCES {
            return Err(RuleError::TooManySources);
        }
        Ok(sources)
    }
}

/// A group of users, by its hub and its name. Names are the same without regard to case.
#[derive(Clone, Debug)]
pub struct GroupName {
    /// The hub.
    pub hub: String,
    /// The group.
    pub group: String,
}

impl GroupName {
    fn folded(&self) -> (String, String) {
        (self.hub.to_ascii_lowercase(), self.group.to_ascii_lowercase())
    }
}

impl PartialEq for GroupName {
    fn eq(&self, other: &Self) -> bool {
        self.hub.eq_ignore_ascii_case(&other.hub) && self.group.eq_ignore_ascii_case(&other.group)
    }
}

impl Eq for GroupName {}

impl PartialOrd for GroupName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for GroupName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hub, self.group)
    }
}

impl FromStr for GroupName {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let plain = |name: &str| !name.is_empty() && !name.contains(|c: char| c == '/' || c.is_control());
        text.split_once('/')
            .filter(|(hub, group)| plain(hub) && plain(group) && text.len() <= 256)
            .map(|(hub, group)| GroupName {
                hub: hub.to_owned(),
                group: group.to_owned(),
            })
            .ok_or_else(|| RuleError::Group(text.to_owned()))
    }
}

/// A name that the virtual DNS answers for, in lower case and without the dot at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(String);

impl HostName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for HostName {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let label = |label: &str| {
            (1..=MAX_LABEL).contains(&label.len())
                && label.bytes().all(allowed)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if name.len() <= MAX_HOST_NAME && name.split('.').all(label) && name.parse::<Ipv4Addr>().is_err() {
            Ok(HostName(name))
        } else {
            Err(RuleError::HostName(text.to_owned()))
        }
    }
}

/// How it is looked whether a private host answers: by opening a TCP connection to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Check {
    interval: u16,
    timeout: u16,
}

impl Check {
    /// Seconds between two looks, unless told otherwise.
    pub const INTERVAL: u16 = 30;
    /// Seconds that an answer may take, unless told otherwise.
    pub const TIMEOUT: u16 = 3;
    /// The most seconds between two looks.
    pub const MAX_INTERVAL: u16 = 3600;
    /// The most seconds that an answer may take.
    pub const MAX_TIMEOUT: u16 = 60;

    /// A check every `interval` seconds that fails after `timeout` seconds.
    pub fn new(interval: u16, timeout: u16) -> Result<Self, RuleError> {
        let fits = (1..=Self::MAX_INTERVAL).contains(&interval)
            && (1..=Self::MAX_TIMEOUT).contains(&timeout)
            && timeout <= interval;
        if fits {
            Ok(Check { interval, timeout })
        } else {
            Err(RuleError::Check { interval, timeout })
        }
    }

    /// From the beginning of one look to that of the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs(self.interval.into())
    }

    /// How long an answer may take.
    pub fn timeout(self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

impl Default for Check {
    fn default() -> Self {
        Check {
            interval: Self::INTERVAL,
            timeout: Self::TIMEOUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_inside_others_are_left_out() {
        let sources: Sources = "10.1.0.0/16, 10.0.0.0/8 203.0.113.7,10.2.3.4".parse().unwrap();
        assert_eq!(sources.to_string(), "10.0.0.0/8,203.0.113.7/32");
        assert_eq!(
            "10.0.0.0/8,0.0.0.0/0".parse::<Sources>().unwrap(),
            Sources::default()
        );
        let many: Vec<String> = (0..=MAX_SOURCES).map(|i| format!("10.{i}.0.0/16")).collect();
        assert_eq!(many.join(",").parse::<Sources>(), Err(RuleError::TooManySources));
    }

    #[test]
    fn a_group_is_named_with_its_hub() {
        let group: GroupName = "Office/Staff".parse().unwrap();
        assert_eq!(group, "office/staff".parse().unwrap());
        for wrong in ["staff", "/staff", "office/", "a/b/c", ""] {
            assert!(wrong.parse::<GroupName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn host_names_are_those_of_dns() {
        assert_eq!(
            "Web.Private.".parse::<HostName>().unwrap().as_str(),
            "web.private"
        );
        for wrong in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a b",
            "10.0.0.1",
            &"a.".repeat(130),
            &"a".repeat(64),
        ] {
            assert!(wrong.parse::<HostName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_check_ends_before_the_next_begins() {
        assert!(Check::new(1, 1).is_ok() && Check::new(3600, 60).is_ok());
        for (interval, timeout) in [(0, 1), (1, 0), (5, 6), (3601, 1), (3600, 61)] {
            assert!(Check::new(interval, timeout).is_err(), "{interval} {timeout}");
        }
    }
}
