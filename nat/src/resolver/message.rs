//! What of a DNS message (RFC 1035 §4) its proxy has to understand: what is asked, and how long an answer holds.

use std::time::Duration;

/// Bytes of a header.
pub(super) const HEADER: usize = 12;
/// The longest answer by UDP to who does not say more (RFC 1035 §4.2.1).
const PLAIN_UDP: usize = 512;
/// Bytes of a resource record behind its name.
const RECORD: usize = 10;
/// The longest that an answer is kept, and that the news of there being none is (RFC 2308 §5 recommends one to three hours).
const LONGEST: u32 = 24 * 3600;
const LONGEST_NEGATIVE: u32 = 3 * 3600;

const SOA: u16 = 6;
/// The pseudo-record of EDNS (RFC 6891 §6.1.2): its class is a size, its time to live holds flags.
const OPT: u16 = 41;
/// Transfers of zones, which are no answers (RFC 5936, RFC 1995).
const TRANSFERS: [u16; 2] = [251, 252];

const NO_ERROR: u8 = 0;
const SERVER_FAILURE: u8 = 2;
const NAME_ERROR: u8 = 3;
const NOT_IMPLEMENTED: u8 = 4;
const REFUSED: u8 = 5;

/// Whether a message is a question of any kind.
pub(super) fn is_question(message: &[u8]) -> bool {
    message.len() >= HEADER && message[2] & 0x80 == 0
}

/// The question back, as an answer that says "server failure" (RFC 1035 §4.1.1).
pub(super) fn failure(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = answer[3] & 0x70 | 0x80 | SERVER_FAILURE;
    answer
}

/// Whether another resolver may know better than this answer's.
pub(super) fn is_disappointing(answer: &[u8]) -> bool {
    matches!(code(answer), SERVER_FAILURE | NOT_IMPLEMENTED | REFUSED)
}

/// Whether an answer was cut to fit a datagram.
pub(super) fn is_truncated(answer: &[u8]) -> bool {
    answer[2] & 0x02 != 0
}

fn code(answer: &[u8]) -> u8 {
    answer[3] & 0x0f
}

fn word(message: &[u8], at: usize) -> Option<u16> {
    let &[a, b] = message.get(at..at + 2)? else {
        return None;
    };
    Some(u16::from_be_bytes([a, b]))
}

fn long(message: &[u8], at: usize) -> Option<u32> {
    let &[a, b, c, d] = message.get(at..at + 4)? else {
        return None;
    };
    Some(u32::from_be_bytes([a, b, c, d]))
}

/// Where a name ends that begins at `at`. Pointers are not followed: they end it.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            192.. => return Some(at + 2),
            _ => return None,
        }
    }
}

/// An ordinary question: one name, one type, and what EDNS adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    message: &'a [u8],
    /// Where its name, type and class end.
    end: usize,
}

impl<'a> Question<'a> {
    /// The question in a message, if it is one whose answers can be shared; others are passed on all the same.
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let is_query = is_question(message) && message[2] & 0x78 == 0;
        let counts = [word(message, 4)?, word(message, 6)?, word(message, 8)?];
        if !is_query || counts != [1, 0, 0] {
            return None;
        }
        let name = name_end(message, HEADER)?;
        let kind = word(message, name)?;
        let end = name + 4;
        (end <= message.len() && !TRANSFERS.contains(&kind)).then_some(Question { message, end })
    }

    /// What two questions have in common that one answer will do for: everything but their number and the case of the
    /// name. What EDNS adds belongs to it as it stands: the size that fits, whether signatures are wanted, cookies.
    pub(super) fn key(&self) -> Box<[u8]> {
        let mut key = Vec::with_capacity(self.message.len());
        // Recursion desired; authentic data and checking disabled (RFC 4035 §3.2).
        key.extend([self.message[2] & 0x01, self.message[3] & 0x30]);
        key.extend_from_slice(&self.message[10..]);
        // Lengths of labels are no letters.
        let name = &mut key[4..4 + self.end - HEADER - 4];
        name.make_ascii_lowercase();
        key.into()
    }

    /// Whether an answer repeats this question, as answers do (RFC 1035 §4.1.2). Errors may leave it out.
    pub(super) fn is_repeated_by(&self, answer: &[u8]) -> bool {
        let Some(count) = word(answer, 4) else {
            return false;
        };
        let repeated = answer.get(HEADER..self.end);
        let same = repeated.is_some_and(|it| it.eq_ignore_ascii_case(&self.message[HEADER..self.end]));
        (count == 1 && same) || (count == 0 && code(answer) != NO_ERROR)
    }

    /// The longest answer that fits its asker's datagram.
    pub(super) fn fits(&self) -> usize {
        let offered = records(self.message, self.end)
            .find_map(|record| (record.kind == OPT).then_some(usize::from(record.class)));
        offered.unwrap_or(PLAIN_UDP).max(PLAIN_UDP)
    }

    /// Makes an answer that was given to somebody else one to this question: its number, its spelling of the name
    /// (RFC 5452 §9.3 has askers who look at it), and `age` taken from every time to live.
    pub(super) fn adopt(&self, answer: &mut [u8], age: Duration) {
        answer[..2].copy_from_slice(&self.message[..2]);
        if word(answer, 4) == Some(1) {
            answer[HEADER..self.end].copy_from_slice(&self.message[HEADER..self.end]);
        }
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let places: Vec<usize> = answered(answer)
            .filter(|record| record.kind != OPT)
            .map(|record| record.ttl_at)
            .collect();
        for at in places {
            let left = long(answer, at).map_or(0, lifetime).saturating_sub(age);
            answer[at..at + 4].copy_from_slice(&left.to_be_bytes());
        }
    }
}

/// How long an answer may be given to others; `None` if it may not.
pub(super) fn holds_for(answer: &[u8]) -> Option<Duration> {
    if is_truncated(answer) || !matches!(code(answer), NO_ERROR | NAME_ERROR) {
        return None;
    }
    let answers = word(answer, 6)?;
    let all: u32 = [6, 8, 10]
        .into_iter()
        .filter_map(|at| word(answer, at))
        .map(u32::from)
        .sum();
    let records: Vec<Record> = answered(answer).collect();
    // A message that ends before its records do is nobody's answer.
    if records.len() as u32 != all {
        return None;
    }
    let of_soa = records
        .iter()
        .skip(answers.into())
        .take(word(answer, 8)?.into())
        .find(|record| record.kind == SOA)
        .and_then(|record| record.minimum);
    let shortest = records
        .iter()
        .filter(|record| record.kind != OPT)
        .map(|record| record.ttl)
        .min()?;
    let seconds = if answers > 0 && code(answer) == NO_ERROR {
        shortest.min(LONGEST)
    } else {
        // RFC 2308 §5: the SOA record says how long nothing is nothing; without one it is not kept.
        shortest.min(of_soa?).min(LONGEST_NEGATIVE)
    };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// RFC 2181 §8: a time to live with its highest bit set is none.
fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

#[derive(Clone, Copy, Debug)]
struct Record {
    kind: u16,
    class: u16,
    ttl: u32,
    ttl_at: usize,
    /// Of a SOA record, its last number.
    minimum: Option<u32>,
}

/// The records behind the question of an answer.
fn answered(answer: &[u8]) -> impl Iterator<Item = Record> {
    let behind = match word(answer, 4) {
        Some(0) => Some(HEADER),
        Some(1) => name_end(answer, HEADER).map(|name| name + 4),
        _ => None,
    };
    records(answer, behind.unwrap_or(answer.len()))
}

/// The whole records from `at` on.
fn records(message: &[u8], mut at: usize) -> impl Iterator<Item = Record> {
    std::iter::from_fn(move || {
        let name = name_end(message, at)?;
        let end = name + RECORD + usize::from(word(message, name + 8)?);
        let data = message.get(name + RECORD..end)?;
        let kind = word(message, name)?;
        let last = data.len().checked_sub(4).and_then(|last| long(data, last));
        at = end;
        Some(Record {
            kind,
            class: word(message, name + 2)?,
            ttl: lifetime(long(message, name + 4)?),
            ttl_at: name + 4,
            minimum: last.filter(|_| kind == SOA).map(lifetime),
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A question for `name`, which is one label, with what EDNS adds.
    pub(crate) fn question(id: u16, name: &str, edns: Option<u16>) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())]);
        message.push(name.len() as u8);
        message.extend(name.bytes());
        message.extend([0, 0, 1, 0, 1]);
        if let Some(size) = edns {
            message.extend([0, 0, 41]);
            message.extend(size.to_be_bytes());
            message.extend([0, 0, 0x80, 0, 0, 0]);
        }
        message
    }

    /// The answer to it: `code`, and records as section, type, time to live and data.
    pub(crate) fn answer(question: &[u8], code: u8, records: &[(usize, u16, u32, &[u8])]) -> Vec<u8> {
        let end = Question::parse(question).unwrap().end;
        let mut message = question[..end].to_vec();
        message[2] |= 0x80;
        message[3] = 0x80 | code;
        message[10..12].fill(0);
        for (section, kind, ttl, data) in records {
            message[7 + 2 * section] += 1;
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1]);
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend(*data);
        }
        message
    }

    const ADDRESS: &[u8] = &[203, 0, 113, 9];
    /// The end of a SOA record's data: minimum 60.
    const ZONE: &[u8] = &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 60];

    #[test]
    fn an_answer_holds_as_long_as_its_shortest_record() {
        let asked = question(7, "web", None);
        let seconds = |code, records: &[(usize, u16, u32, &[u8])]| {
            holds_for(&answer(&asked, code, records)).map(|time| time.as_secs())
        };
        for (what, code, records, expected) in [
            (
                "two records",
                0,
                &[(0, 5, 300, ADDRESS), (0, 1, 30, ADDRESS)][..],
                Some(30),
            ),
            ("a week", 0, &[(0, 1, 604_800, ADDRESS)], Some(86_400)),
            ("not a second", 0, &[(0, 1, 0, ADDRESS)], None),
            ("the highest bit", 0, &[(0, 1, 0x8000_0001, ADDRESS)], None),
            (
                "flags of EDNS",
                0,
                &[(0, 1, 30, ADDRESS), (2, 41, 0x8000, &[])],
                Some(30),
            ),
            ("no such name", 3, &[(1, 6, 900, ZONE)], Some(60)),
            (
                "an alias of no name",
                3,
                &[(0, 5, 20, ADDRESS), (1, 6, 900, ZONE)],
                Some(20),
            ),
            ("no such record", 0, &[(1, 6, 50, ZONE)], Some(50)),
            ("nothing, and no zone", 3, &[], None),
            ("a referral", 0, &[(1, 2, 900, ADDRESS)], None),
            ("a failure", 2, &[(0, 1, 30, ADDRESS)], None),
        ] {
            assert_eq!(seconds(code, records), expected, "{what}");
        }
        let mut cut = answer(&asked, 0, &[(0, 1, 30, ADDRESS)]);
        cut[2] |= 0x02;
        assert_eq!(holds_for(&cut), None, "truncated");
        let whole = answer(&asked, 0, &[(0, 1, 30, ADDRESS)]);
        assert_eq!(holds_for(&whole[..whole.len() - 1]), None, "shorter than it says");
    }

    #[test]
    fn questions_are_the_same_in_any_case_and_with_any_number() {
        let key = |message: &[u8]| Question::parse(message).map(|question| question.key());
        let one = key(&question(1, "Web", None));
        assert_eq!(one, key(&question(2, "wEB", None)));
        assert_ne!(one, key(&question(1, "web", Some(1232))), "EDNS");
        assert_ne!(
            key(&question(1, "web", Some(1232))),
            key(&question(1, "web", Some(4096)))
        );
        assert_ne!(one, key(&question(1, "wob", None)));
        let mut checking_disabled = question(1, "web", None);
        checking_disabled[3] |= 0x10;
        assert_ne!(one, key(&checking_disabled));
        let mut transfer = question(1, "web", None);
        transfer[18] = 252;
        assert_eq!(key(&transfer), None);
    }

    #[test]
    fn an_adopted_answer_has_the_askers_number_and_spelling_and_has_aged() {
        let (asked, again) = (question(1, "web", None), question(9, "WeB", None));
        let mut given = answer(&asked, 0, &[(0, 1, 300, ADDRESS), (2, 41, 0x8000, &[])]);
        Question::parse(&again)
            .unwrap()
            .adopt(&mut given, Duration::from_secs(100));
        let expected = answer(&again, 0, &[(0, 1, 200, ADDRESS), (2, 41, 0x8000, &[])]);
        assert_eq!(given, expected);
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let asked = question(1, "web", None);
        let parsed = Question::parse(&asked).unwrap();
        assert!(parsed.is_repeated_by(&answer(&question(1, "WEB", None), 0, &[])));
        assert!(!parsed.is_repeated_by(&answer(&question(1, "wob", None), 0, &[])));
        let bare = |code| [0, 1, 0x80, code, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(parsed.is_repeated_by(&bare(1)) && !parsed.is_repeated_by(&bare(0)));
    }

    #[test]
    fn the_askers_datagram_is_as_large_as_it_says() {
        let fits = |edns| Question::parse(&question(1, "web", edns)).unwrap().fits();
        assert_eq!((fits(None), fits(Some(1232)), fits(Some(100))), (512, 1232, 512));
    }

    proptest! {
        #[test]
        fn no_message_does_harm(question: Vec<u8>, mut answer in prop::collection::vec(any::<u8>(), HEADER..200)) {
            let _ = holds_for(&answer);
            if let Some(question) = Question::parse(&question) {
                let _ = (question.key(), question.fits());
                if question.is_repeated_by(&answer) {
                    question.adopt(&mut answer, Duration::from_secs(9));
                }
            }
        }
    }
}
