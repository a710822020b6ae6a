//! Small values in the words of the stock tool: numbers, sizes, addresses, yes and no.

use std::fmt::{Display, Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// `27,708`: thousands separated by commas.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `27,708 bytes`.
#[must_use]
pub fn bytes(number: u64) -> String {
    format!("{} bytes", thousands(number))
}

/// `27,708 packets`.
#[must_use]
pub fn packets(number: u64) -> String {
    format!("{} packets", thousands(number))
}

/// `Yes` or `No`.
#[must_use]
pub fn yes_no(value: bool) -> &'static str {
    if value { "Yes" } else { "No" }
}

/// `Enable` or `Disable`.
#[must_use]
pub fn enabled(value: bool) -> &'static str {
    if value { "Enable" } else { "Disable" }
}

/// `5E-11-22-33-44-55`.
#[must_use]
pub fn mac(address: &[u8]) -> String {
    hex_with(address, "-")
}

/// `0A 0B 0C`.
#[must_use]
pub fn hex_spaced(data: &[u8]) -> String {
    hex_with(data, " ")
}

/// `0A0B0C`.
#[must_use]
pub fn hex(data: &[u8]) -> String {
    hex_with(data, "")
}

fn hex_with(data: &[u8], separator: &str) -> String {
    let mut out = String::with_capacity(data.len() * (2 + separator.len()));
    for (index, byte) in data.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02X}");
    }
    out
}

/// A key of X25519 (32 bytes, RFC 7748 section 5) from Base64, as WireGuard writes them; `None` when it is not that.
#[must_use]
pub fn parse_x25519(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = STANDARD.decode(text).map(Zeroizing::new).ok();
    key.filter(|key| key.len() == 32)
}

/// Bytes from hexadecimal digits with `-`, `:`, blanks or nothing between them; `None` when it is not that.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !matches!(c, '-' | ':' | ' ' | '.'))
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    Some(
        digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

/// A MAC address from text; `None` when it does not have twelve hexadecimal digits.
#[must_use]
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    parse_hex(text)?.try_into().ok()
}

/// Whether a yes/no value says yes: it starts with y or t, or is a number other than zero.
#[must_use]
pub fn parse_yes(text: &str) -> bool {
    match text.trim_start().chars().next() {
        Some('y' | 'Y' | 't' | 'T') => true,
        _ => leading_number(text) != 0,
    }
}

/// The number that `text` starts with, or 0: the stock tool reads `abc` as 0 and `12x` as 12.
#[must_use]
pub fn leading_number(text: &str) -> u32 {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// `HOST`, `HOST:PORT`, an IPv6 address, or `[IPV6]:PORT`; the port is `default` unless it is there.
#[must_use]
pub fn parse_host(text: &str, default: u16) -> Option<(String, u16)> {
    let text = text.trim();
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((text.to_owned(), default));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.trim().parse().ok().filter(|port| *port != 0)?),
        None => (text, default),
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .trim();
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// An error as a sentence: with a capital, and a full stop.
#[must_use]
pub fn sentence(error: &impl Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// What a peer sent, fit for a terminal: control characters other than tab become `?`, so that a user's note cannot
/// move the cursor or recolour the screen of the administrator who lists it.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\t' { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (135_950, "135,950"),
            (1_000_000, "1,000,000"),
        ];
        for (number, text) in cases {
            assert_eq!(thousands(number), text);
        }
        assert_eq!(thousands(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn mac_addresses_are_read_in_all_their_spellings() {
        let address = [0x5e, 0x11, 0x22, 0x33, 0x44, 0x55];
        for text in ["5E-11-22-33-44-55", "5e:11:22:33:44:55", "5E1122334455"] {
            assert_eq!(parse_mac(text), Some(address), "{text}");
        }
        assert_eq!(mac(&address), "5E-11-22-33-44-55");
        for wrong in [
            "",
            "zz",
            "5E-11-22-33-44",
            "5E-11-22-33-44-5",
            "5E-11-22-33-44-55-66",
        ] {
            assert_eq!(parse_mac(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn yes_is_y_or_t_or_a_number_that_is_not_zero() {
        for yes in ["yes", "Y", "true", "1", "42"] {
            assert!(parse_yes(yes), "{yes}");
        }
        for no in ["no", "", "false", "0", "x"] {
            assert!(!parse_yes(no), "{no}");
        }
    }

    #[test]
    fn an_error_becomes_a_sentence() {
        assert_eq!(sentence(&"cannot reach it"), "Cannot reach it.");
        assert_eq!(sentence(&""), ".");
    }

    #[test]
    fn a_note_cannot_carry_terminal_escapes() {
        assert_eq!(printable("a\x1b[31mb\tc\r"), "a?[31mb\tc?");
    }
}
