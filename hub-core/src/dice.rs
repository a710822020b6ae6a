//! Chance, from a seed.

use crate::hash::split_mix;

/// A sequence of numbers that its seed determines. It decides nothing that anybody could gain by guessing.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // The high half of a product is as even as the factor is (Lemire 2019), to 1 in 2^32.
        let word = split_mix(&mut self.0) >> 32;
        ((word * u64::from(bound)) >> 32) as u32
    }

    /// Whether something with a chance of this many percent happens.
    pub(crate) fn percent(&mut self, chance: u32) -> bool {
        chance > 0 && self.below(100) < chance
    }
}
