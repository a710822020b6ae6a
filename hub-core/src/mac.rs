//! Ethernet addresses.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// The address of everybody on the segment.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The address of nobody; never valid in a frame.
    pub const ZERO: Self = Self([0; 6]);

    /// The address with these octets, in wire order.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// The octets in wire order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether the group bit is set: multicast, broadcast included.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether this is [`MacAddr::BROADCAST`].
    pub fn is_broadcast(self) -> bool {
        self == Self::BROADCAST
    }

    /// Whether one station can own this address: neither a group nor zero.
    pub fn is_unicast(self) -> bool {
        !self.is_multicast() && self != Self::ZERO
    }

    /// The six octets at `at` in `bytes`, or `None` past the end.
    pub(crate) fn read(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(|octets| Self(*octets))
    }

    /// The address as a number below 2^48.
    pub(crate) fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// One word instead of six bytes: the tables hash an address for every frame.
impl Hash for MacAddr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.to_u64());
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

impl From<MacAddr> for [u8; 6] {
    fn from(mac: MacAddr) -> Self {
        mac.0
    }
}

/// Lower-case hexadecimal with colons, as Linux prints it: `5e:16:31:c3:a5:86`.
impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not an Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a MAC address: write it as 5e:16:31:c3:a5:86, 5E-16-31-C3-A5-86 or 5E1631C3A586")]
pub struct InvalidMacAddr;

/// Reads twelve hexadecimal digits, in pairs parted by `:` or `-` throughout, or not parted at all.
impl FromStr for MacAddr {
    type Err = InvalidMacAddr;

    fn from_str(text: &str) -> Result<Self, InvalidMacAddr> {
        let text = text.as_bytes();
        let stride = match text.len() {
            12 => 2,
            17 if matches!(text[2], b':' | b'-') => 3,
            _ => return Err(InvalidMacAddr),
        };
        let mut octets = [0; 6];
        for (i, octet) in octets.iter_mut().enumerate() {
            let at = i * stride;
            if stride == 3 && i > 0 && text[at - 1] != text[2] {
                return Err(InvalidMacAddr);
            }
            *octet = hex_digit(text[at])? << 4 | hex_digit(text[at + 1])?;
        }
        Ok(Self(octets))
    }
}

fn hex_digit(digit: u8) -> Result<u8, InvalidMacAddr> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidMacAddr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr::new([0x5e, 0x16, 0x31, 0xc3, 0xa5, 0x86]);

    #[test]
    fn three_spellings_name_one_address() {
        for text in ["5e:16:31:c3:a5:86", "5E-16-31-C3-A5-86", "5E1631C3A586"] {
            assert_eq!(text.parse(), Ok(MAC), "{text}");
        }
        assert_eq!(MAC.to_string(), "5e:16:31:c3:a5:86");
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "5e:16:31:c3:a5",
            "5e:16:31:c3:a5:8g",
            "5e:16-31:c3:a5:86",
            "5e.16.31.c3.a5.86",
            "5e:16:31:c3:a5:86:",
            "+e1631c3a586",
            "é:16:31:c3:a5:8",
        ] {
            assert_eq!(text.parse::<MacAddr>(), Err(InvalidMacAddr), "{text}");
        }
    }

    #[test]
    fn groups_and_zero_are_not_stations() {
        assert!(MAC.is_unicast());
        assert!(!MacAddr::ZERO.is_unicast());
        assert!(!MacAddr::BROADCAST.is_unicast());
        assert!(!MacAddr::new([1, 0, 0x5e, 0, 0, 1]).is_unicast());
        assert!(MacAddr::BROADCAST.is_multicast() && MacAddr::BROADCAST.is_broadcast());
    }
}
