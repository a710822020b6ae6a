//! Checks of parameter values. Each answers with one sentence that says what is wanted; the value is asked for again.

use std::{net::Ipv4Addr, path::Path};

use crate::{calendar::Calendar, text};

/// A check of one value: `Err` holds what to tell the user.
pub type Check = fn(&str) -> Result<(), String>;

/// Every value will do.
///
/// # Errors
/// Never.
pub fn anything(_: &str) -> Result<(), String> {
    Ok(())
}

/// # Errors
/// The value is empty.
pub fn not_empty(value: &str) -> Result<(), String> {
    require(!value.is_empty(), "A value is required here.")
}

/// # Errors
/// The value is neither a number nor empty.
pub fn number_or_none(value: &str) -> Result<(), String> {
    let known = value.is_empty() || value.parse::<u32>().is_ok();
    require(known, "A number is required here.")
}

/// # Errors
/// The value is no TCP or UDP port.
pub fn port(value: &str) -> Result<(), String> {
    let port = value.trim().parse::<u16>().unwrap_or(0);
    require(port != 0, "A port number is a number from 1 to 65535.")
}

/// # Errors
/// The value is no IPv4 address.
pub fn ipv4(value: &str) -> Result<(), String> {
    require(
        value.parse::<Ipv4Addr>().is_ok(),
        "An IPv4 address is required here, such as 192.168.30.1.",
    )
}

/// # Errors
/// The value is neither an IPv4 address nor empty.
pub fn ipv4_or_none(value: &str) -> Result<(), String> {
    let known = value.is_empty() || value.parse::<Ipv4Addr>().is_ok();
    require(
        known,
        "An IPv4 address is required here, such as 192.168.30.1, or 'none'.",
    )
}

/// # Errors
/// The value is no MAC address.
pub fn mac(value: &str) -> Result<(), String> {
    require(
        text::parse_mac(value).is_some(),
        "A MAC address is required here, such as 5E-11-22-33-44-55.",
    )
}

/// # Errors
/// The value is neither bytes in hexadecimal nor empty.
pub fn hex(value: &str) -> Result<(), String> {
    require(
        text::parse_hex(value).is_some(),
        "A number in hexadecimal digits is required here, such as 0A0B0C.",
    )
}

/// # Errors
/// There is no such file.
pub fn file(value: &str) -> Result<(), String> {
    if Path::new(value).is_file() {
        Ok(())
    } else {
        Err(format!("There is no file \"{value}\"."))
    }
}

/// # Errors
/// The value is neither a date with a time nor empty.
pub fn time_or_none(value: &str) -> Result<(), String> {
    // The form does not depend on the zone; only a time that summer time skips could, and that is no reason to refuse.
    let known = value.is_empty() || Calendar::utc().parse(value).is_some();
    require(
        known,
        "A date and time are six numbers, such as \"2030/01/31 19:30:00\", or 'none'.",
    )
}

/// # Errors
/// The value is outside the range of the virtual NAT's MTU.
pub fn nat_mtu(value: &str) -> Result<(), String> {
    range(value, 62, 1500, "The MTU is a number of bytes")
}

/// # Errors
/// The value is outside the range of the NAT's timeout for TCP sessions.
pub fn nat_tcp_timeout(value: &str) -> Result<(), String> {
    range(value, 60, 2_000_000, "The TCP timeout is a number of seconds")
}

/// # Errors
/// The value is outside the range of the NAT's timeout for UDP sessions.
pub fn nat_udp_timeout(value: &str) -> Result<(), String> {
    range(value, 10, 2_000_000, "The UDP timeout is a number of seconds")
}

/// # Errors
/// The value is outside the range of a DHCP lease.
pub fn dhcp_lease(value: &str) -> Result<(), String> {
    range(value, 10, 2_000_000, "The lease time is a number of seconds")
}

/// # Errors
/// The value is outside the range of the keep-alive interval.
pub fn keep_interval(value: &str) -> Result<(), String> {
    range(value, 5, 600, "The interval is a number of seconds")
}

/// # Errors
/// The value is outside the range of a RADIUS retry interval.
pub fn radius_retry(value: &str) -> Result<(), String> {
    // What stock servers take, whatever their tool says.
    range(
        value,
        1000,
        15_000,
        "The retry interval is a number of milliseconds",
    )
}

/// # Errors
/// The value is no host with a port.
pub fn host_and_port(value: &str) -> Result<(), String> {
    let known = text::parse_host(value, 0).is_some_and(|(_, port)| port != 0);
    require(
        known,
        "A host and a port are required here, such as 192.0.2.1:80.",
    )
}

/// # Errors
/// The value is no host, with or without a port.
pub fn host(value: &str) -> Result<(), String> {
    require(
        text::parse_host(value, 1).is_some(),
        "A host is required here, such as log.example.org or 192.0.2.1:514.",
    )
}

fn range(value: &str, low: u32, high: u32, what: &str) -> Result<(), String> {
    let inside = value
        .trim()
        .parse()
        .is_ok_and(|number: u32| (low..=high).contains(&number));
    if inside {
        Ok(())
    } else {
        Err(format!("{what} from {low} to {high}."))
    }
}

fn require(met: bool, message: &str) -> Result<(), String> {
    if met { Ok(()) } else { Err(message.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_takes_what_it_says_and_nothing_else() {
        let cases: &[(Check, &[&str], &[&str])] = &[
            (not_empty, &["x"], &[""]),
            (port, &["1", "65535"], &["0", "65536", "", "x"]),
            (ipv4, &["192.168.30.1", "0.0.0.0"], &["", "1.2.3", "foo", "::1"]),
            (ipv4_or_none, &["", "8.8.8.8"], &["1.2.3"]),
            (mac, &["5E-11-22-33-44-55"], &["zz", ""]),
            (hex, &["", "0A0B0C", "0a:0b"], &["0A0", "xyz"]),
            (
                time_or_none,
                &["", "2030/01/02 03:04:05"],
                &["garbage", "2030/01/02"],
            ),
            (nat_mtu, &["62", "1500"], &["61", "1501", "x"]),
            (nat_tcp_timeout, &["60", "2000000"], &["59", "2000001"]),
            (nat_udp_timeout, &["10"], &["9"]),
            (dhcp_lease, &["10"], &["9", ""]),
            (keep_interval, &["5", "600"], &["4", "601"]),
            (radius_retry, &["1000", "15000"], &["700", "15001"]),
            (
                host_and_port,
                &["a.example:80", "[2001:db8::1]:80"],
                &["a.example", "", "a:0", "a:b"],
            ),
            (
                host,
                &["a.example", "192.0.2.1:514", "2001:db8::1"],
                &["", ":514", "a:x"],
            ),
        ];
        for (index, (check, good, bad)) in cases.iter().enumerate() {
            for value in *good {
                assert_eq!(check(value), Ok(()), "case {index}: {value}");
            }
            for value in *bad {
                assert!(check(value).is_err(), "case {index}: {value}");
            }
        }
    }
}
