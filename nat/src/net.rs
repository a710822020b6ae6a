//! An IPv4 network: what rules, routes and refusals are written in.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 network with its prefix length; host bits are always zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv4Net {
    address: Ipv4Addr,
    prefix: u8,
}

impl Ipv4Net {
    /// Every IPv4 address.
    pub const ANY: Ipv4Net = Ipv4Net {
        address: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
    };

    /// The network of `prefix` bits that holds `address`; prefixes past 32 count as 32.
    pub const fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = if prefix > 32 { 32 } else { prefix };
        let address = Ipv4Addr::from_bits(address.to_bits() & mask_bits(prefix));
        Ipv4Net { address, prefix }
    }

    /// The network of `address` under a dotted mask; `None` if the mask has holes.
    pub fn with_mask(address: Ipv4Addr, mask: Ipv4Addr) -> Option<Self> {
        prefix_of_mask(mask).map(|prefix| Self::new(address, prefix))
    }

    /// The first address, which names the network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Bits of the prefix, 0 to 32.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The dotted mask.
    pub fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask_bits(self.prefix))
    }

    /// The last address: the broadcast address of a network of up to 30 bits.
    pub fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask_bits(self.prefix))
    }

    /// Whether `address` lies inside.
    pub const fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask_bits(self.prefix) == self.address.to_bits()
    }

    /// Whether the two networks share an address.
    pub fn overlaps(&self, other: &Ipv4Net) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Whether `address` can belong to a host here: neither the network's own address nor its broadcast.
    /// Networks of 31 and 32 bits have neither (RFC 3021).
    pub fn is_host(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && (self.prefix > 30 || (address != self.address && address != self.last()))
    }
}

const fn mask_bits(prefix: u8) -> u32 {
    if prefix == 0 {
        0
    } else {
        u32::MAX << (32 - prefix as u32)
    }
}

/// The prefix length of a dotted mask; `None` if ones follow a zero.
pub fn prefix_of_mask(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let prefix = bits.leading_ones() as u8;
    (mask_bits(prefix) == bits).then_some(prefix)
}

impl fmt::Display for Ipv4Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Why a text is no IPv4 network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 network; write it as 10.0.0.0/8, 10.0.0.0/255.0.0.0 or a single address")]
pub struct ParseNetError(pub String);

impl FromStr for Ipv4Net {
    type Err = ParseNetError;

    fn from_str(text: &str) -> Result<Self, ParseNetError> {
        let parsed = match text.split_once('/') {
            None => text.parse().ok().map(|address| Ipv4Net::new(address, 32)),
            Some((address, mask)) => address
                .parse()
                .ok()
                .and_then(|address| with_suffix(address, mask)),
        };
        parsed.ok_or_else(|| ParseNetError(text.to_owned()))
    }
}

fn with_suffix(address: Ipv4Addr, suffix: &str) -> Option<Ipv4Net> {
    if suffix.contains('.') {
        return Ipv4Net::with_mask(address, suffix.parse().ok()?);
    }
    let prefix: u8 = suffix.parse().ok()?;
    (prefix <= 32).then(|| Ipv4Net::new(address, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn every_way_of_writing_a_network_is_understood() {
        assert_eq!(net("10.1.2.3/8").to_string(), "10.0.0.0/8");
        assert_eq!(net("10.1.2.3/255.255.0.0").to_string(), "10.1.0.0/16");
        assert_eq!(net("10.1.2.3").to_string(), "10.1.2.3/32");
        assert_eq!(net("0.0.0.0/0"), Ipv4Net::ANY);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/255.0.255.0",
            "10.0.0/8",
            "::/0",
            "10.0.0.0/-1",
            "a/8",
        ] {
            assert!(text.parse::<Ipv4Net>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn networks_and_their_ends_are_no_hosts() {
        let lan = net("192.168.30.0/24");
        assert!(lan.is_host(Ipv4Addr::new(192, 168, 30, 1)));
        assert!(!lan.is_host(Ipv4Addr::new(192, 168, 30, 0)));
        assert!(!lan.is_host(Ipv4Addr::new(192, 168, 30, 255)));
        assert!(!lan.is_host(Ipv4Addr::new(192, 168, 31, 1)));
        assert!(net("10.0.0.0/31").is_host(Ipv4Addr::new(10, 0, 0, 0)));
    }

    #[test]
    fn overlap_is_symmetric() {
        assert!(net("10.0.0.0/8").overlaps(&net("10.200.0.0/16")));
        assert!(net("10.200.0.0/16").overlaps(&net("10.0.0.0/8")));
        assert!(!net("10.0.0.0/16").overlaps(&net("10.1.0.0/16")));
    }
}
