//! Hashing for the tables that a stranger fills.
//!
//! Every frame looks its addresses up, so SipHash's cost would be paid millions of times a second; and
//! whoever may send frames chooses the keys, so an unseeded hash would let him pile them all into one bucket.
//! Multiply-shift (Dietzfelbinger 1996, in its form for vectors) is both fast and strongly universal: for any
//! two keys chosen without knowledge of the multipliers, their 64-bit hashes are independent and uniform. One
//! multiplication per 64-bit word.

use std::hash::{BuildHasher, Hasher};

/// Words of a key that get a multiplier of their own: the longest key, a flow in the access list, has nine and a length.
const WORDS: usize = 10;

/// The secret multipliers of one table.
#[derive(Clone, Debug)]
pub(crate) struct SeededState {
    multipliers: [u128; WORDS],
    addend: u128,
}

impl SeededState {
    /// Expands `seed`, which should come from a random generator, into the multipliers.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut wide = || u128::from(split_mix(&mut state)) << 64 | u128::from(split_mix(&mut state));
        Self {
            multipliers: std::array::from_fn(|_| wide()),
            addend: wide(),
        }
    }
}

impl BuildHasher for SeededState {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher {
            sum: self.addend,
            multipliers: self.multipliers,
            next: 0,
        }
    }
}

/// The sum so far. Keys write themselves as 64-bit words.
pub(crate) struct SeededHasher {
    sum: u128,
    multipliers: [u128; WORDS],
    next: usize,
}

impl Hasher for SeededHasher {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let multiplier = self.multipliers[self.next % WORDS];
        self.sum = self.sum.wrapping_add(multiplier.wrapping_mul(u128::from(word)));
        self.next += 1;
    }

    #[inline]
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    /// A bijection of the universal hash is as universal; this one breaks up the arithmetic progressions into
    /// which multiplication turns consecutive keys.
    #[inline]
    fn finish(&self) -> u64 {
        mix((self.sum >> 64) as u64)
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a seed over as many words as are needed.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mix(*state)
}

/// SplitMix64's finaliser: a bijection in which every input bit reaches every output bit.
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MacAddr;
    use std::collections::HashSet;

    fn mac(n: u64) -> MacAddr {
        let [_, _, rest @ ..] = n.to_be_bytes();
        MacAddr::new(rest)
    }

    #[test]
    fn consecutive_addresses_spread_over_buckets_and_tags() {
        // hashbrown takes the bucket from the low bits and a 7-bit tag from the high ones.
        for seed in 0..64 {
            let state = SeededState::new(seed);
            let hashes: Vec<u64> = (0..4096)
                .map(|n| state.hash_one(mac(0x0200_0000_0000 + n)))
                .collect();
            let buckets: HashSet<u64> = hashes.iter().map(|h| h & 4095).collect();
            let tags: HashSet<u64> = hashes.iter().map(|h| h >> 57).collect();
            // Throwing 4096 balls at random hits 1 - 1/e of the buckets: 2589.
            assert!(buckets.len() > 1800, "seed {seed}: {} buckets", buckets.len());
            assert!(tags.len() > 64, "seed {seed}: {} tags", tags.len());
        }
    }

    #[test]
    fn keys_that_collide_under_one_seed_do_not_under_another() {
        let known = SeededState::new(1);
        let crowded: Vec<MacAddr> = (0..1 << 20)
            .map(mac)
            .filter(|m| known.hash_one(m) & 1023 == 0)
            .take(512)
            .collect();
        let secret = SeededState::new(2);
        let buckets: HashSet<u64> = crowded.iter().map(|m| secret.hash_one(m) & 1023).collect();
        assert!(
            buckets.len() > 256,
            "{} keys in {} buckets",
            crowded.len(),
            buckets.len()
        );
    }
}
