//! The Internet checksum (RFC 1071).

/// The Internet checksum (RFC 1071) over `parts`, which stand one after the other; all but the last have even lengths. 0 if they hold
/// their right one already.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let sum: u64 = words
        .map(|pair| match *pair {
            [high, low] => u64::from(u16::from_be_bytes([high, low])),
            [high] => u64::from(high) << 8,
            _ => 0,
        })
        .sum();
    !folded(sum)
}

/// The checksum after a word that it covers has changed (RFC 1624).
pub(crate) fn corrected(sum: u16, before: u16, after: u16) -> u16 {
    !folded(u64::from(!sum) + u64::from(!before) + u64::from(after))
}

/// A sum in one's complement.
fn folded(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
