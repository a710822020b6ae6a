//! MD4 (RFC 1320), for the one place that still wants it: a stock server keeps MD4 of a user's password in UTF-16LE
//! for MS-CHAP, and its administration tools compute it so that the password itself need not travel.

/// What MS-CHAP calls the NT hash of a password.
#[must_use]
pub fn nt_hash(password: &str) -> [u8; 16] {
    let bytes: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
    md4(&zeroize::Zeroizing::new(bytes))
}

fn md4(message: &[u8]) -> [u8; 16] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut padded = zeroize::Zeroizing::new(message.to_vec());
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend((message.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in padded.chunks_exact(64) {
        let mut words = [0; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        compress(&mut state, &words);
    }
    let mut digest = [0; 16];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

/// One round: mixing function, constant, order of the words, rotations.
type Round = (fn(u32, u32, u32) -> u32, u32, [usize; 16], [u32; 4]);

const ROUNDS: [Round; 3] = [
    (
        |x, y, z| (x & y) | (!x & z),
        0,
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [3, 7, 11, 19],
    ),
    (
        |x, y, z| (x & y) | (x & z) | (y & z),
        0x5a82_7999,
        [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15],
        [3, 5, 9, 13],
    ),
    (
        |x, y, z| x ^ y ^ z,
        0x6ed9_eba1,
        [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15],
        [3, 9, 11, 15],
    ),
];

fn compress(state: &mut [u32; 4], words: &[u32; 16]) {
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, rotations) in ROUNDS {
        for (step, word) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(words[word])
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(rotations[step % 4]), b, c);
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hex;

    #[test]
    fn the_digests_of_rfc_1320_come_out() {
        for (message, digest) in [
            ("", "31D6CFE0D16AE931B73C59D7E0C089C0"),
            ("a", "BDE52CB31DE33E46245E05FBDBD6FB24"),
            ("abc", "A448017AAF21D8525FC10AE87AA6729D"),
            ("message digest", "D9130A8164549FE818874806E1C7014B"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "E33B4DDC9C38F2199C3E7B164FCC0536",
            ),
        ] {
            assert_eq!(hex(&md4(message.as_bytes())), digest, "{message}");
        }
    }

    #[test]
    fn the_nt_hash_is_what_the_stock_tool_sends() {
        assert_eq!(hex(&nt_hash("pass1")), "8D7A851DDE3E7BED903A41D686CD33BE");
    }
}
