//! Hardware addresses that stay the same from one start to the next.

use crate::{Error, Result};

/// A locally administered unicast address that is always the same for the same `seed` parts.
///
/// Used so that a device keeps its address, and with it its DHCP lease and its place in the switches' tables,
/// over restarts. The hash is 64-bit FNV-1a: it spreads well enough for 46 bits and needs no secret.
pub fn stable(seed: &[&[u8]]) -> [u8; 6] {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = OFFSET;
    for part in seed {
        // The length keeps ["ab", "c"] and ["a", "bc"] apart.
        for byte in (part.len() as u64).to_be_bytes().iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
    let bytes = (hash ^ (hash >> 29)).to_be_bytes();
    let mut mac = [0; 6];
    mac.copy_from_slice(&bytes[2..]);
    mac[0] = (mac[0] & 0xfc) | 0x02; // unicast, locally administered (IEEE 802 section 8.4)
    mac
}

/// The address of a device called `name` on this machine, or `None` where the machine has no identity.
///
/// The identity is `/etc/machine-id` and the network namespace, so that two namespaces of one machine (and two
/// containers made from one image on it) that use the same device name do not collide.
pub fn of_device(name: &str) -> Option<[u8; 6]> {
    let machine = std::fs::read("/etc/machine-id")
        .ok()
        .filter(|id| !id.is_empty())?;
    let namespace = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    Some(stable(&[
        &machine,
        namespace.as_os_str().as_encoded_bytes(),
        name.as_bytes(),
    ]))
}

/// Refuses an address that cannot be a station's own: groups and all zero.
pub(crate) fn check(mac: [u8; 6]) -> Result<()> {
    if mac[0] & 1 == 1 || mac == [0; 6] {
        Err(Error::BadMac { mac: text(mac) })
    } else {
        Ok(())
    }
}

/// The usual notation, `02:00:5e:10:00:01`.
pub fn text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// An address in any of the usual notations: twelve hexadecimal digits, mostly in pairs with `:` or `-` in between.
pub fn parse(text: &str) -> Option<[u8; 6]> {
    let digits: Vec<_> = text
        .chars()
        .filter(|c| !matches!(c, ':' | '-'))
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<_> = digits
        .chunks_exact(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    bytes.try_into().ok().filter(|_| digits.len() == 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_every_notation_and_written_in_one() {
        let mac = [2, 0, 0x5e, 0x10, 0, 0x0a];
        for notation in ["02:00:5e:10:00:0a", "02-00-5E-10-00-0A", "02005E10000a"] {
            assert_eq!(parse(notation), Some(mac), "{notation}");
        }
        assert_eq!(parse(&text(mac)), Some(mac));
        for wrong in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:0a:0b",
            "02:00:5e:10:00:0a:0",
            "2:0:5e:10:0:a",
            "0x:00:5e:10:00:0a",
            "+2:00:5e:10:00:0a",
            "é2:00:5e:10:00:0",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_local_unicast_address() {
        let mac = stable(&[b"machine", b"tap0"]);
        assert_eq!(mac, stable(&[b"machine", b"tap0"]));
        assert_eq!(mac[0] & 0x03, 0x02);
        assert!(check(mac).is_ok());
    }

    #[test]
    fn different_seeds_and_different_splits_give_different_addresses() {
        let all = [
            stable(&[b"machine", b"tap0"]),
            stable(&[b"machine", b"tap1"]),
            stable(&[b"machinet", b"ap0"]),
        ];
        assert_ne!(all[0], all[1]);
        assert_ne!(all[0], all[2]);
    }

    #[test]
    fn group_and_zero_addresses_are_refused() {
        assert!(check([0x01, 0, 0x5e, 0, 0, 1]).is_err());
        assert!(check([0xff; 6]).is_err());
        assert!(check([0; 6]).is_err());
    }
}
