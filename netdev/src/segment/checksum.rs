//! The Internet checksum (RFC 1071).

/// A running sum of 16-bit words. The words are added in the machine's byte order and turned round once at the end, which
/// gives the same sum (RFC 1071 section 2 B).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum(u64);

impl Sum {
    /// A sum that begins with a number, such as a length of a pseudo-header.
    pub(super) fn of_number(number: u32) -> Self {
        Self(u64::from(number.to_be()))
    }

    /// Adds `bytes`; an odd last byte counts as the upper half of a word, so only the last addition may be odd.
    pub(super) fn add(self, bytes: &[u8]) -> Self {
        // Eight sums of 32-bit words side by side: independent of each other, so the compiler can use vector registers,
        // and far from overflow for anything that a frame can hold.
        let (blocks, rest) = bytes.as_chunks::<32>();
        let mut lanes = [0u64; 8];
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let mut sum = self.0 + lanes.iter().sum::<u64>();
        let (words, rest) = rest.as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        Self(sum + u64::from(u32::from_ne_bytes(last)))
    }

    /// The sum as one 16-bit word, not complemented.
    pub(super) fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::from_be(sum as u16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 1071 section 4.1 writes it.
    fn by_the_book(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn the_example_of_the_rfc_has_its_sum() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().add(&bytes).fold(), 0xddf2);
        assert_eq!(Sum::of_number(0x0001_f203).add(&bytes[4..]).fold(), 0xddf2);
    }

    proptest! {
        #[test]
        fn the_fast_sum_is_the_sum_by_the_book(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..150,
        ) {
            let (front, back) = bytes.split_at((2 * cut).min(bytes.len() & !1));
            prop_assert_eq!(Sum::default().add(front).add(back).fold(), by_the_book(&bytes));
        }
    }
}
