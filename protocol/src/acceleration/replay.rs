//! Which counted datagrams have come already.

/// How far behind the newest one a datagram may come.
const WINDOW: u64 = 4096;
const WORD: u64 = u64::BITS as u64;
const WORDS: usize = (WINDOW / WORD) as usize;

/// A window of RFC 6479 over the counts of one sender.
pub(super) struct Replay {
    /// One more than the newest count; none has come before the first.
    next: Option<u64>,
    seen: [u64; WORDS],
}

impl Replay {
    pub(super) fn new() -> Self {
        Self {
            next: None,
            seen: [0; WORDS],
        }
    }

    /// Whether this count comes for the first time, and not too late to know.
    pub(super) fn is_new(&mut self, count: u64) -> bool {
        let next = *self.next.get_or_insert(count);
        // As distances, so that a count may run over.
        let ahead = count.wrapping_sub(next);
        if ahead < 1 << 63 {
            self.forget(next, ahead);
            self.next = Some(count.wrapping_add(1));
        } else if next.wrapping_sub(count) > WINDOW - WORD {
            return false;
        }
        let (word, bit) = place(count);
        let first = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        first
    }

    /// Clears the words that the counts from `next` on, and `ahead` more, enter anew.
    fn forget(&mut self, next: u64, ahead: u64) {
        let first = next.wrapping_sub(1) / WORD;
        let last = next.wrapping_add(ahead) / WORD;
        let entered = (last.wrapping_sub(first) & (u64::MAX / WORD)).min(WORDS as u64);
        for n in 1..=entered {
            let (word, _) = place(first.wrapping_add(n).wrapping_mul(WORD));
            self.seen[word] = 0;
        }
    }
}

fn place(count: u64) -> (usize, u64) {
    let word = (count / WORD) as usize % WORDS;
    (word, 1 << (count % WORD))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a set: nothing is taken twice, and what is new and recent is taken.
        #[test]
        fn every_count_is_new_once(start: u64, steps in proptest::collection::vec(-5000_i64..5000, 1..300)) {
            let (mut replay, mut taken) = (Replay::new(), HashSet::new());
            let (mut count, mut newest) = (start, None::<u64>);
            for step in steps {
                count = count.wrapping_add_signed(step);
                let behind = newest.map(|newest: u64| newest.wrapping_sub(count));
                let is_recent = behind.is_none_or(|behind| !(WINDOW - WORD..1 << 63).contains(&behind));
                prop_assert_eq!(replay.is_new(count), is_recent && !taken.contains(&count), "{}", count);
                if is_recent {
                    taken.insert(count);
                    if behind.is_none_or(|behind| behind >= 1 << 63) {
                        newest = Some(count);
                    }
                }
            }
        }
    }
}
