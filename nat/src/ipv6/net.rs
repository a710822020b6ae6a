//! An IPv6 network: what the virtual host announces, and what rules and refusals are written in.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// An IPv6 network with its prefix length; host bits are always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv6Net {
    address: Ipv6Addr,
    prefix: u8,
}

/// The bits of a network in which stations make their own addresses (RFC 4862 §5.5.3, RFC 2464 §4).
pub(super) const LINK_PREFIX: u8 = 64;

impl Ipv6Net {
    /// The network of `prefix` bits that holds `address`; prefixes past 128 count as 128.
    pub const fn new(address: Ipv6Addr, prefix: u8) -> Self {
        let prefix = if prefix > 128 { 128 } else { prefix };
        let address = Ipv6Addr::from_bits(address.to_bits() & mask_bits(prefix));
        Ipv6Net { address, prefix }
    }

    /// The unique local network of a link (RFC 4193 §3.2), whose global identifier is the beginning of `identity`. It must be random.
    pub fn unique_local(identity: &[u8; 16]) -> Self {
        let [a, b, c, d, e, ..] = *identity;
        let mut octets = [0; 16];
        octets[..6].copy_from_slice(&[0xfd, a, b, c, d, e]);
        Ipv6Net::new(octets.into(), LINK_PREFIX)
    }

    /// The first address, which names the network.
    pub fn address(&self) -> Ipv6Addr {
        self.address
    }

    /// Bits of the prefix, 0 to 128.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The address of this number in the network; bits of the number that belong to the network do not count.
    pub fn host(&self, number: u64) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.address.to_bits() | (u128::from(number) & !mask_bits(self.prefix)))
    }

    /// Whether `address` lies inside.
    pub const fn contains(&self, address: Ipv6Addr) -> bool {
        address.to_bits() & mask_bits(self.prefix) == self.address.to_bits()
    }

    /// Whether the two networks share an address.
    pub fn overlaps(&self, other: &Ipv6Net) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

const fn mask_bits(prefix: u8) -> u128 {
    if prefix == 0 {
        0
    } else {
        u128::MAX << (128 - prefix as u32)
    }
}

impl fmt::Display for Ipv6Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is no IPv6 network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv6 network; write it as fd12:3456:789a::/64")]
pub struct ParseNet6Error(pub String);

impl FromStr for Ipv6Net {
    type Err = ParseNet6Error;

    fn from_str(text: &str) -> Result<Self, ParseNet6Error> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            (prefix <= 128).then(|| Ipv6Net::new(address, prefix))
        };
        parse().ok_or_else(|| ParseNet6Error(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_written_without_host_bits() {
        assert_eq!(net("2001:db8:1:2:3::9/64").to_string(), "2001:db8:1:2::/64");
        assert_eq!(net("::/0").to_string(), "::/0");
        for text in ["", "::", "fd00::/129", "fd00::/-1", "fd00::/x", "10.0.0.0/8"] {
            assert!(text.parse::<Ipv6Net>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_unique_local_network_is_made_of_its_identity() {
        let mut identity = [0; 16];
        identity[..6].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0x9a, 0xff]);
        let made = Ipv6Net::unique_local(&identity);
        assert_eq!(made.to_string(), "fd12:3456:789a::/64");
        assert_eq!(made.host(1).to_string(), "fd12:3456:789a::1");
    }

    #[test]
    fn containment_and_overlap() {
        assert!(net("fd00::/8").contains("fdff::1".parse().unwrap()));
        assert!(!net("fd00::/64").contains("fd00:0:0:1::".parse().unwrap()));
        assert!(
            net("fd00::/8").overlaps(&net("fd12:3456::/32")) && net("fd12::/16").overlaps(&net("fd00::/8"))
        );
        assert!(!net("fd00::/64").overlaps(&net("fd00:0:0:1::/64")));
    }
}
