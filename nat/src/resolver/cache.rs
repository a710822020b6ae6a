//! Answers that are given again while they hold, sans-IO.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::message::{self, Question};

/// Answers kept, and their bytes with those of their questions. A full cache forgets what it has had longest.
const MAX_ANSWERS: usize = 8192;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What came of a question: the answer, and the one that was cut for a datagram, if it had to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) whole: Vec<u8>,
    pub(super) cut: Option<Vec<u8>>,
}

impl Answer {
    /// As it goes to who asks `question` by UDP, `age` after it came.
    pub(super) fn to(&self, question: &Question<'_>, age: Duration) -> Vec<u8> {
        let fitting = self.cut.as_ref().filter(|_| self.whole.len() > question.fits());
        let mut answer = fitting.unwrap_or(&self.whole).clone();
        question.adopt(&mut answer, age);
        answer
    }

    fn len(&self) -> usize {
        self.whole.len() + self.cut.as_ref().map_or(0, Vec::len)
    }
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    came: Instant,
    holds: Duration,
    number: u64,
}

/// The answers of a name service that still hold.
#[derive(Debug, Default)]
pub(super) struct Cache {
    kept: HashMap<Box<[u8]>, Kept>,
    /// By age; those that were replaced since are not in `kept` under this number.
    order: VecDeque<(u64, Box<[u8]>)>,
    bytes: usize,
    next: u64,
}

impl Cache {
    /// The answer to a question, as it is now.
    pub(super) fn answer(&mut self, now: Instant, question: &Question<'_>, key: &[u8]) -> Option<Vec<u8>> {
        let kept = self.kept.get(key)?;
        let age = now.saturating_duration_since(kept.came);
        if age >= kept.holds {
            self.forget(key);
            return None;
        }
        Some(kept.answer.to(question, age))
    }

    /// Keeps an answer, if it may be.
    pub(super) fn keep(&mut self, now: Instant, key: &[u8], answer: &Answer) {
        let Some(holds) = message::holds_for(&answer.whole) else {
            return;
        };
        self.forget(key);
        self.bytes += size(key, answer);
        self.next += 1;
        let kept = Kept {
            answer: answer.clone(),
            came: now,
            holds,
            number: self.next,
        };
        self.kept.insert(key.into(), kept);
        self.order.push_back((self.next, key.into()));
        while self.bytes > MAX_BYTES || self.order.len() > MAX_ANSWERS {
            let Some((number, oldest)) = self.order.pop_front() else {
                break;
            };
            if self.kept.get(&oldest).is_some_and(|kept| kept.number == number) {
                self.forget(&oldest);
            }
        }
    }

    /// Forgets everything: other resolvers may say something else.
    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }

    fn forget(&mut self, key: &[u8]) {
        if let Some(kept) = self.kept.remove(key) {
            self.bytes -= size(key, &kept.answer);
        }
    }
}

fn size(key: &[u8], answer: &Answer) -> usize {
    2 * key.len() + answer.len()
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{answer, question};
    use super::*;

    fn kept(cache: &mut Cache, now: Instant, name: &str, ttl: u32, data: &[u8]) {
        let asked = question(1, name, None);
        let whole = answer(&asked, 0, &[(0, 1, ttl, data)]);
        let key = Question::parse(&asked).unwrap().key();
        cache.keep(now, &key, &Answer { whole, cut: None });
    }

    fn found(cache: &mut Cache, now: Instant, name: &str) -> Option<Vec<u8>> {
        let asked = question(2, name, None);
        let question = Question::parse(&asked).unwrap();
        cache.answer(now, &question, &question.key())
    }

    #[test]
    fn an_answer_is_given_until_it_no_longer_holds() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        kept(&mut cache, now, "web", 10, &[1; 4]);
        let aged = answer(&question(2, "web", None), 0, &[(0, 1, 1, &[1; 4])]);
        assert_eq!(found(&mut cache, now + Duration::from_secs(9), "web"), Some(aged));
        assert_eq!(found(&mut cache, now + Duration::from_secs(10), "web"), None);
        assert_eq!((cache.bytes, cache.kept.len()), (0, 0));
    }

    #[test]
    fn a_flood_of_names_forgets_the_oldest_and_stays_within_its_bounds() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        for i in 0..3 * MAX_ANSWERS {
            kept(&mut cache, now, &format!("n{i}"), 600, &[1; 4]);
            kept(&mut cache, now, "again", 600, &[1; 4]);
        }
        assert!(cache.order.len() <= MAX_ANSWERS && cache.kept.len() <= MAX_ANSWERS);
        assert!(found(&mut cache, now, "n0").is_none() && found(&mut cache, now, "again").is_some());
        for i in 0..200 {
            kept(&mut cache, now, &format!("big{i}"), 600, &[1; 60_000]);
            assert!(cache.bytes <= MAX_BYTES);
        }
        assert!(found(&mut cache, now, "big199").is_some());
        cache.clear();
        assert_eq!(found(&mut cache, now, "big199"), None);
    }

    #[test]
    fn what_does_not_fit_a_datagram_is_given_cut() {
        let (small, large) = (question(1, "web", None), question(1, "web", Some(4096)));
        let whole = answer(&small, 0, &[(0, 16, 60, &[7; 900])]);
        let mut cut = answer(&small, 0, &[]);
        cut[2] |= 2;
        let both = Answer {
            whole: whole.clone(),
            cut: Some(cut.clone()),
        };
        let to = |asked: &[u8]| both.to(&Question::parse(asked).unwrap(), Duration::ZERO);
        assert_eq!((to(&small), to(&large)), (cut, whole));
    }
}
