//! Questions for addresses and their answers, as bytes (RFC 1035 §4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The longest name, with its dots (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Names that an answer may lead through before there is an address.
const MAX_ALIASES: usize = 16;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
const HEADER: usize = 12;

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4.
    V4,
    /// IPv6 (RFC 3596).
    V6,
}

/// What a name server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The name's addresses, of the family that was asked for; there may be none. And how long they may be remembered.
    Addresses(Vec<IpAddr>, Duration),
    /// There is no such name.
    NoSuchName,
    /// The answer is too long for a datagram.
    Truncated,
    /// The server cannot or will not say.
    Failed(u8),
}

/// The question for the addresses of `name`; `None` if that cannot be a name.
pub(crate) fn question(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() || name.len() > MAX_NAME || !name.is_ascii() {
        return None;
    }
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    message.extend(id.to_be_bytes());
    message.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired, one question
    for label in name.split('.') {
        let len = u8::try_from(label.len())
            .ok()
            .filter(|len| (1..=MAX_LABEL).contains(&usize::from(*len)))?;
        message.push(len);
        message.extend(label.bytes());
    }
    message.push(0);
    let kind = match family {
        Family::V4 => TYPE_A,
        Family::V6 => TYPE_AAAA,
    };
    message.extend(kind.to_be_bytes());
    message.extend(CLASS_IN.to_be_bytes());
    Some(message)
}

/// What `message` says about `asked`; `None` if it is no answer to that question.
pub(crate) fn reply(asked: &[u8], message: &[u8]) -> Option<Reply> {
    let same_id = message.get(..2)? == asked.get(..2)?;
    let flags = message.get(2..4)?;
    let is_answer = flags[0] & 0xf8 == 0x80; // a response to a standard query
    let counts = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    if !same_id || !is_answer || counts(4)? != 1 {
        return None;
    }
    // Servers may change the letters' case, not the question.
    let question = message.get(HEADER..asked.len())?;
    if !question.eq_ignore_ascii_case(asked.get(HEADER..)?) {
        return None;
    }
    if flags[0] & 0x02 != 0 {
        return Some(Reply::Truncated);
    }
    match flags[1] & 0x0f {
        0 => addresses(message, asked.len(), counts(6)?),
        3 => Some(Reply::NoSuchName),
        code => Some(Reply::Failed(code)),
    }
}

struct Record {
    owner: Vec<u8>,
    kind: u16,
    ttl: u32,
    data: std::ops::Range<usize>,
}

fn addresses(message: &[u8], mut at: usize, count: u16) -> Option<Reply> {
    let mut records = Vec::new();
    for _ in 0..count {
        let (owner, next) = name(message, at)?;
        let fixed: &[u8; 10] = message.get(next..next + 10)?.try_into().ok()?;
        let len = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let data = next + 10..next + 10 + len;
        message.get(data.clone())?;
        at = data.end;
        if u16::from_be_bytes([fixed[2], fixed[3]]) == CLASS_IN {
            records.push(Record {
                owner,
                kind: u16::from_be_bytes([fixed[0], fixed[1]]),
                ttl: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
                data,
            });
        }
    }
    let (mut wanted, end) = name(message, HEADER)?;
    let kind = u16::from_be_bytes([*message.get(end)?, *message.get(end + 1)?]);
    let mut ttl = u32::MAX;
    for _ in 0..MAX_ALIASES {
        let alias = records.iter().find(|r| r.kind == TYPE_CNAME && r.owner == wanted);
        let Some(alias) = alias else { break };
        ttl = ttl.min(alias.ttl);
        wanted = name(message, alias.data.start)?.0;
    }
    let mut found = Vec::new();
    for record in records.iter().filter(|r| r.kind == kind && r.owner == wanted) {
        let data = message.get(record.data.clone())?;
        found.push(match kind {
            TYPE_AAAA => Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into(),
            _ => Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into(),
        });
        ttl = ttl.min(record.ttl);
    }
    let ttl = if found.is_empty() { 0 } else { ttl };
    Some(Reply::Addresses(found, Duration::from_secs(ttl.into())))
}

/// The name at `at`, in lower case with its length octets, and where what follows it begins.
fn name(message: &[u8], at: usize) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut end) = (at, None);
    let mut name = Vec::new();
    loop {
        let len = usize::from(*message.get(at)?);
        match len >> 6 {
            0 if len == 0 => return Some((name, end.unwrap_or(at + 1))),
            0 => {
                let label = message.get(at..at + 1 + len)?;
                name.extend(label.iter().map(u8::to_ascii_lowercase));
                if name.len() > MAX_NAME + 1 {
                    return None;
                }
                at += 1 + len;
            }
            3 => {
                // A pointer leads backwards (RFC 1035 §4.1.4), so that names end.
                let to = (len & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                if to >= at {
                    return None;
                }
                end.get_or_insert(at + 2);
                at = to;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(asked: &[u8], flags: u8, records: &[(&[u8], u16, u32, &[u8])]) -> Vec<u8> {
        let mut message = asked.to_vec();
        message[2] = 0x81 | flags;
        message[3] = 0x80;
        message[7] = records.len() as u8;
        for (owner, kind, ttl, data) in records {
            message.extend_from_slice(owner);
            message.extend(kind.to_be_bytes());
            message.extend(CLASS_IN.to_be_bytes());
            message.extend(ttl.to_be_bytes());
            message.extend((data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    const THE_NAME: &[u8] = &[0xc0, 12];

    #[test]
    fn an_alias_leads_to_the_address_and_the_shortest_time_counts() {
        let asked = question(7, "www.example", Family::V4).unwrap();
        let alias: &[u8] = b"\x04host\x07EXAMPLE\x00";
        let host: &[u8] = b"\x04HOST\x07example\x00";
        let message = answer(
            &asked,
            0,
            &[
                (THE_NAME, TYPE_CNAME, 30, alias),
                (host, TYPE_A, 60, &[10, 0, 1, 2]),
                (b"\x05other\x00", TYPE_A, 60, &[6, 6, 6, 6]),
            ],
        );
        let address = Ipv4Addr::new(10, 0, 1, 2);
        let expected = Reply::Addresses(vec![address.into()], Duration::from_secs(30));
        assert_eq!(reply(&asked, &message), Some(expected));
    }

    #[test]
    fn who_asks_for_the_other_family_gets_that_one() {
        let asked = question(7, "www.example", Family::V6).unwrap();
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let records: [(&[u8], u16, u32, &[u8]); 2] = [
            (THE_NAME, TYPE_A, 60, &[10, 0, 1, 2]),
            (THE_NAME, TYPE_AAAA, 60, &address.octets()),
        ];
        let expected = Reply::Addresses(vec![address.into()], Duration::from_secs(60));
        assert_eq!(reply(&asked, &answer(&asked, 0, &records)), Some(expected));
        let short: [(&[u8], u16, u32, &[u8]); 1] = [(THE_NAME, TYPE_AAAA, 60, &[1, 2, 3, 4])];
        assert_eq!(reply(&asked, &answer(&asked, 0, &short)), None);
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let asked = question(7, "a.example", Family::V4).unwrap();
        for other in [
            question(8, "a.example", Family::V4),
            question(7, "b.example", Family::V4),
        ] {
            let message = answer(&other.unwrap(), 0, &[(THE_NAME, TYPE_A, 60, &[10, 0, 1, 2])]);
            assert_eq!(reply(&asked, &message), None);
        }
        assert_eq!(reply(&asked, &asked), None, "the question itself");
    }

    #[test]
    fn refusals_and_cut_answers_are_told_apart() {
        let asked = question(7, "a.example", Family::V4).unwrap();
        let mut message = answer(&asked, 0, &[]);
        assert_eq!(
            reply(&asked, &message),
            Some(Reply::Addresses(Vec::new(), Duration::ZERO))
        );
        message[3] = 0x83;
        assert_eq!(reply(&asked, &message), Some(Reply::NoSuchName));
        message[3] = 0x82;
        assert_eq!(reply(&asked, &message), Some(Reply::Failed(2)));
        message[2] |= 2;
        assert_eq!(reply(&asked, &message), Some(Reply::Truncated));
    }

    #[test]
    fn what_is_no_name_is_not_asked_for() {
        for name in [
            "",
            ".",
            "a..b",
            &"x".repeat(64),
            &"x.".repeat(128),
            "müller.example",
        ] {
            assert_eq!(question(1, name, Family::V4), None, "{name}");
        }
        assert!(question(1, "a.example.", Family::V4).is_some());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_loop(tail in prop::collection::vec(any::<u8>(), 0..120), count in 0u8..9) {
            let asked = question(7, "www.example", Family::V4).unwrap();
            let mut message = answer(&asked, 0, &[]);
            message[7] = count;
            message.extend(tail);
            let _ = reply(&asked, &message);
        }
    }
}
