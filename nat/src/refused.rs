//! Destinations that no station of a hub reaches through this machine, in either mode.
//!
//! Traffic of a hub leaves with this machine's identity. What only this machine should reach is therefore refused:
//! its own loopback services, the link-local range, where clouds hand out credentials, and the two such services that
//! live elsewhere. Other addresses of this machine are reachable, as they are for any other neighbour; in user mode
//! such connections come from a local address, so services on them must not trust that alone. Rules of published hosts
//! cannot lead to loopback or link-local addresses either (see [`crate::dnat`]).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ipv6::Ipv6Net;
use crate::net::Ipv4Net;

/// The refused destinations.
pub(crate) const REFUSED: [Ipv4Net; 7] = [
    // "This host": connecting to it reaches loopback services (RFC 1122 §3.2.1.3).
    Ipv4Net::new(Ipv4Addr::new(0, 0, 0, 0), 8),
    Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link-local, with the metadata service of most clouds at 169.254.169.254.
    Ipv4Net::new(Ipv4Addr::new(169, 254, 0, 0), 16),
    // Metadata service of Alibaba Cloud.
    Ipv4Net::new(Ipv4Addr::new(100, 100, 100, 200), 32),
    // Platform service of Azure.
    Ipv4Net::new(Ipv4Addr::new(168, 63, 129, 16), 32),
    // Groups, and what is reserved, the limited broadcast included.
    Ipv4Net::new(Ipv4Addr::new(224, 0, 0, 0), 4),
    Ipv4Net::new(Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same in IPv6.
pub(crate) const REFUSED6: [Ipv6Net; 7] = [
    // Unspecified and loopback, and IPv4 addresses in disguise (RFC 4291 §2.5.5), which would get around the list above.
    Ipv6Net::new(Ipv6Addr::UNSPECIFIED, 96),
    Ipv6Net::new(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
    Ipv6Net::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    Ipv6Net::new(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    // Metadata services of Amazon, Google and Oracle.
    Ipv6Net::new(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254), 128),
    Ipv6Net::new(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254), 128),
    Ipv6Net::new(Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
];

/// Whether a destination is refused.
pub(crate) fn is_refused6(destination: Ipv6Addr) -> bool {
    REFUSED6.iter().any(|net| net.contains(destination))
}

/// Whether a destination is refused.
pub(crate) fn is_refused(destination: Ipv4Addr) -> bool {
    REFUSED.iter().any(|net| net.contains(destination))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_metadata_are_refused_and_the_internet_is_not() {
        for refused in [
            "127.0.0.1",
            "127.255.0.1",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(is_refused(refused.parse().unwrap()), "{refused}");
        }
        for refused in [
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::10.0.0.1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(is_refused6(refused.parse().unwrap()), "{refused}");
        }
        for allowed in ["2001:db8::1", "fd00:ec2::253", "fd12::1", "64:ff9b::808:808"] {
            assert!(!is_refused6(allowed.parse().unwrap()), "{allowed}");
        }
        for allowed in [
            "1.1.1.1",
            "10.0.1.26",
            "192.168.1.1",
            "100.100.100.201",
            "172.31.0.1",
        ] {
            assert!(!is_refused(allowed.parse().unwrap()), "{allowed}");
        }
    }
}
