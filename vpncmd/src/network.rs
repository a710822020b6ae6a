//! Addresses with masks, as rules have them: reading and printing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `a.b.c.d`, `a.b.c.d/len` or `a.b.c.d/mask`: the address and its mask. A mask may have holes, as stock servers
/// take it.
#[must_use]
pub fn parse_v4(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (address, mask) = text.split_once('/').unwrap_or((text, "32"));
    let mask = match mask.trim().parse::<u32>() {
        Ok(length) if length <= 32 => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Ok(_) => return None,
        Err(_) => mask.trim().parse::<Ipv4Addr>().ok()?.to_bits(),
    };
    Some((address.trim().parse().ok()?, Ipv4Addr::from_bits(mask)))
}

/// An IPv6 address, alone or with `/len` or `/mask`.
#[must_use]
pub fn parse_v6(text: &str) -> Option<(Ipv6Addr, Ipv6Addr)> {
    let (address, mask) = text.split_once('/').unwrap_or((text, "128"));
    let mask = match mask.trim().parse::<u32>() {
        Ok(length) if length <= 128 => u128::MAX.checked_shl(128 - length).unwrap_or(0),
        Ok(_) => return None,
        Err(_) => mask.trim().parse::<Ipv6Addr>().ok()?.to_bits(),
    };
    Some((address.trim().parse().ok()?, Ipv6Addr::from_bits(mask)))
}

/// Whether a text is the address of a host with the length of its network, such as 192.168.30.1/24.
#[must_use]
pub fn is_host_address(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else {
        return false;
    };
    let (Ok(address), Ok(length)) = (address.parse::<Ipv4Addr>(), length.parse::<u32>()) else {
        return false;
    };
    let host_bits = u32::MAX.checked_shr(length).unwrap_or(0);
    let host = address.to_bits() & host_bits;
    (1..=32).contains(&length) && (length > 30 || (host != 0 && host != host_bits))
}

/// `a.b.c.d/len`, or the whole mask where it has holes.
#[must_use]
pub fn show(address: IpAddr, mask: IpAddr) -> String {
    match mask {
        IpAddr::V4(bits) if is_whole(bits.to_bits().into(), 32) => {
            format!("{address}/{}", bits.to_bits().leading_ones())
        }
        IpAddr::V6(bits) if is_whole(bits.to_bits(), 128) => {
            format!("{address}/{}", bits.to_bits().leading_ones())
        }
        _ => format!("{address}/{mask}"),
    }
}

/// Whether the ones of a mask of this width all come first.
fn is_whole(mask: u128, width: u32) -> bool {
    let ones = mask.count_ones();
    mask << (128 - width) == u128::MAX.checked_shl(128 - ones).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        let v4 = parse_v4(text).map(|(address, mask)| show(address.into(), mask.into()));
        v4.or_else(|| parse_v6(text).map(|(address, mask)| show(address.into(), mask.into())))
    }

    #[test]
    fn a_mask_is_a_length_or_a_mask_or_absent() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.168.30.0/255.255.255.0", "192.168.30.0/24"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("10.0.0.1/255.0.255.0", "10.0.0.1/255.0.255.0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::/ffff:ff00::", "2001:db8::/24"),
            ("::/0", "::/0"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_or_mask_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "2001:db8::/129",
            "/8",
            "10.0.0.0/",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn a_hosts_address_has_the_length_of_its_network_and_is_no_broadcast() {
        for text in ["192.168.30.1/24", "10.0.0.0/31", "10.0.0.7/32"] {
            assert!(is_host_address(text), "{text}");
        }
        for text in [
            "",
            "192.168.30.1",
            "192.168.30.0/24",
            "192.168.30.255/24",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "x/24",
        ] {
            assert!(!is_host_address(text), "{text}");
        }
    }
}
