//! Why a rule is refused, in words that say how to mend it.

use std::net::Ipv4Addr;

use super::part::{Check, MAX_NAME, MAX_SOURCES, PortRange};

/// Published ports that may each get another number behind the rule.
pub(super) const MAX_MOVED: u32 = 1000;

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
    #[error("`{0}` cannot be published; the protocol is tcp, udp or tcp+udp")]
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
    /// The last of the ports would have a number past 65535.
    #[error("the ports {ports} do not fit behind port {port} of the target; they would end past 65535")]
    PastTheEnd {
        /// The range.
        ports: PortRange,
        /// The target's first port.
        port: u16,
    },
    /// Each port that changes its number is an element of its own.
    #[error(
        "the ports {0} are too many to change their numbers (at most {MAX_MOVED}); write the target without a port, or with \
         the same first port"
    )]
    TooManyMoved(PortRange),
    /// Not a network.
    #[error("`{0}` is not a source network; write it as 203.0.113.0/24, or leave it out for everybody")]
    Source(String),
    /// Too many networks.
    #[error("a rule has at most {MAX_SOURCES} source networks; use wider ones, or another rule")]
    TooManySources,
    /// Not an address of this machine.
    #[error(
        "`{0}` is not a destination address; write an IPv4 address of this machine, or leave it out for all"
    )]
    Dest(String),
    /// Not a group of a hub.
    #[error("`{0}` does not name a group; write HUB/GROUP, such as office/staff")]
    Group(String),
    /// Not a name that DNS could carry.
    #[error(
        "`{0}` is not a host name; write letters, digits, `-` and `_` with dots between, such as web.private"
    )]
    HostName(String),
    /// Times that a check cannot have.
    #[error(
        "a check every {interval} s with {timeout} s to answer cannot be; the interval is 1 to {} s, the time to answer 1 to {} s \
         and not longer than the interval",
        Check::MAX_INTERVAL,
        Check::MAX_TIMEOUT
    )]
    Check {
        /// Seconds between two looks.
        interval: u16,
        /// Seconds that an answer may take.
        timeout: u16,
    },
    /// There is nothing to connect to.
    #[error("a rule of udp alone cannot be checked by tcp; leave the check out")]
    CheckWithoutTcp,
    /// Two rules match the same packet.
    #[error(
        "rule `{rule}` takes packets of another ({with}); change its port, source, destination or group, or delete or disable \
         the other"
    )]
    Clash {
        /// The later rule.
        rule: String,
        /// The earlier rule, in words.
        with: String,
    },
}
