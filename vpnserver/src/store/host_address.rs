//! An address of this machine with the length of its network.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use nat::Ipv4Net;

/// An IPv4 address that a device of this machine can have, with the length of its network: `192.168.30.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostAddress {
    ip: Ipv4Addr,
    prefix: u8,
}

/// What is wrong with a text that should be such an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address with the length of its network is wanted, such as 192.168.30.1/24, and a host's")]
pub struct NoHostAddress;

impl HostAddress {
    /// The address.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    /// The bits that name the network.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The network it is in.
    #[must_use]
    pub fn network(&self) -> Ipv4Net {
        Ipv4Net::new(self.ip, self.prefix)
    }
}

impl FromStr for HostAddress {
    type Err = NoHostAddress;

    fn from_str(text: &str) -> Result<Self, NoHostAddress> {
        let (ip, prefix) = text.split_once('/').ok_or(NoHostAddress)?;
        let this = Self {
            ip: ip.parse().map_err(|_| NoHostAddress)?,
            prefix: prefix
                .parse()
                .ok()
                .filter(|bits| (1..=32).contains(bits))
                .ok_or(NoHostAddress)?,
        };
        let ip = this.ip;
        let is_special =
            ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.octets()[0] >= 240;
        if is_special || !this.network().is_host(ip) {
            return Err(NoHostAddress);
        }
        Ok(this)
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_hosts_and_is_printed_as_it_was_written() {
        for text in ["192.168.30.1/24", "10.0.0.1/8", "10.0.0.0/31", "10.0.0.7/32"] {
            assert_eq!(text.parse::<HostAddress>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "192.168.30.1",
            "192.168.30.1/33",
            "192.168.30.1/0",
            "192.168.30.0/24",
            "192.168.30.255/24",
            "127.0.0.1/8",
            "0.0.0.0/8",
            "224.0.0.1/4",
            "255.255.255.255/32",
            "fd00::1/64",
            "192.168.30.1/24 ",
        ] {
            assert!(text.parse::<HostAddress>().is_err(), "{text:?}");
        }
    }
}
