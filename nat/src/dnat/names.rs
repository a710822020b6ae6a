//! Names of published hosts, as the virtual DNS of the hubs answers for them (RFC 1035).
//!
//! Only who may reach a host hears its name from us; everybody else's question goes on to the resolvers, as if there were
//! no rule. The address told is one that works for the client: the rule's own, or else the virtual host's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::part::HostName;
use super::rule::{Client, DnatRule};

const HEADER: usize = 12;
const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_ANY: u16 = 255;
const CLASS_IN: u16 = 1;
/// Seconds that a client may keep an answer: short, because groups and rules change.
const LIFETIME: u32 = 30;
/// Names told for one address: more would not fit a datagram that every client takes.
const MAX_NAMES: usize = 8;
/// What a datagram without EDNS holds (RFC 1035 §4.2.1).
const MAX_ANSWER: usize = 512;
/// The name that the question asked for, by its place (RFC 1035 §4.1.4).
const POINTER_TO_QUESTION: [u8; 2] = [0xc0, HEADER as u8];
/// Where names of addresses are.
const REVERSE: &str = ".in-addr.arpa";

/// The rules of each name, by their places in the list.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<HostName, Vec<usize>>);

/// A question as far as it matters here.
struct Question<'a> {
    message: &'a [u8],
    /// Where the question ends.
    end: usize,
    /// In lower case, without the dot at its end.
    name: String,
    kind: u16,
}

impl Names {
    pub(super) fn new(rules: &[DnatRule]) -> Self {
        let mut names: BTreeMap<HostName, Vec<usize>> = BTreeMap::new();
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            if let Some(name) = &rule.host_name {
                names.entry(name.clone()).or_default().push(place);
            }
        }
        Names(names)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The answer to a client of the virtual host `own`, if it is about a name of ours that the client may know.
    pub(super) fn answer(
        &self,
        rules: &[DnatRule],
        client: Client<'_>,
        own: Ipv4Addr,
        message: &[u8],
    ) -> Option<Vec<u8>> {
        let question = Question::parse(message)?;
        if let Some(address) = question.address() {
            let names = self.names_of(rules, client, own, address);
            return (!names.is_empty()).then(|| question.answer_names(&names));
        }
        let name: HostName = question.name.parse().ok()?;
        let admitting = self.0.get(&name)?.iter().map(|place| &rules[*place]);
        let addresses: BTreeSet<Ipv4Addr> = admitting
            .filter(|rule| rule.admits(client))
            .map(|rule| rule.dest.unwrap_or(own))
            .collect();
        (!addresses.is_empty()).then(|| question.answer_addresses(&addresses))
    }

    fn names_of(
        &self,
        rules: &[DnatRule],
        client: Client<'_>,
        own: Ipv4Addr,
        address: Ipv4Addr,
    ) -> Vec<&HostName> {
        let there = |rule: &DnatRule| rule.dest.unwrap_or(own) == address && rule.admits(client);
        self.0
            .iter()
            .filter(|(_, places)| places.iter().any(|place| there(&rules[*place])))
            .map(|(name, _)| name)
            .take(MAX_NAMES)
            .collect()
    }
}

impl<'a> Question<'a> {
    /// A standard query with one question of the Internet. Anything else is for the resolvers.
    fn parse(message: &'a [u8]) -> Option<Self> {
        let header = message.get(..HEADER)?;
        // QR and OPCODE are zero; one question, no answer, no authority.
        if header[2] & 0xf8 != 0 || header[4..10] != [0, 1, 0, 0, 0, 0] {
            return None;
        }
        let mut name = String::new();
        let mut at = HEADER;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // A pointer, which has nothing to point at yet, is longer than any label.
            let label = message.get(at..at + length).filter(|_| length < 64)?;
            if !name.is_empty() {
                name.push('.');
            }
            // Bytes that no name of ours has are told from its letters, which is all that matters.
            name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
            at += length;
            if name.len() > MAX_ANSWER {
                return None;
            }
        }
        let number = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let (kind, class) = (number(at)?, number(at + 2)?);
        (class == CLASS_IN).then_some(Question {
            message,
            end: at + 4,
            name,
            kind,
        })
    }

    /// The address whose name is asked for.
    fn address(&self) -> Option<Ipv4Addr> {
        if self.kind != TYPE_PTR {
            return None;
        }
        let reversed: Ipv4Addr = self.name.strip_suffix(REVERSE)?.parse().ok()?;
        let [a, b, c, d] = reversed.octets();
        Some(Ipv4Addr::new(d, c, b, a))
    }

    /// Addresses to who asks for them; to other questions that the name exists and has nothing of the kind.
    fn answer_addresses(&self, addresses: &BTreeSet<Ipv4Addr>) -> Vec<u8> {
        let told = matches!(self.kind, TYPE_A | TYPE_ANY);
        let data = addresses.iter().filter(|_| told).map(|ip| ip.octets().to_vec());
        self.answer(TYPE_A, data)
    }

    fn answer_names(&self, names: &[&HostName]) -> Vec<u8> {
        self.answer(TYPE_PTR, names.iter().map(|name| wire(name.as_str())))
    }

    fn answer(&self, kind: u16, records: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut answer = self.message[..self.end].to_vec();
        // An answer, authoritative, recursion as it was asked for and available, no error (RFC 1035 §4.1.1).
        answer[2] = 0x84 | (self.message[2] & 0x01);
        answer[3] = 0x80;
        answer[10..HEADER].fill(0);
        let mut count = 0_u16;
        for data in records {
            let length = data.len() as u16; // a name or an address
            if answer.len() + HEADER + data.len() > MAX_ANSWER {
                break;
            }
            answer.extend(POINTER_TO_QUESTION);
            answer.extend(kind.to_be_bytes());
            answer.extend(CLASS_IN.to_be_bytes());
            answer.extend(LIFETIME.to_be_bytes());
            answer.extend(length.to_be_bytes());
            answer.extend(data);
            count += 1;
        }
        answer[6..8].copy_from_slice(&count.to_be_bytes());
        answer
    }
}

/// A name as messages carry it.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        bytes.push(label.len() as u8); // at most 63, as the type has it
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
    const TYPE_AAAA: u16 = 28;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(wire(name));
        message.extend(kind.to_be_bytes());
        message.extend(CLASS_IN.to_be_bytes());
        message
    }

    fn named(name: &str, host: &str, port: &str, sources: &str, dest: &str) -> DnatRule {
        let mut rule = DnatRule::parse(name, "tcp", port, "10.0.1.26", sources, dest).unwrap();
        rule.host_name = Some(host.parse().unwrap());
        rule
    }

    fn rules() -> Vec<DnatRule> {
        let mut wiki = named("wiki", "wiki.private", "82", "", "");
        wiki.group = Some("office/staff".parse().unwrap());
        vec![
            named("web", "web.private", "80", "", ""),
            named("web2", "web.private", "443", "", "198.51.100.7"),
            named("lab", "lab.private", "81", "192.168.30.64/26", ""),
            wiki,
        ]
    }

    fn ask(client: [u8; 4], group: Option<&str>, message: &[u8]) -> Option<Vec<u8>> {
        let group = group.map(|group| group.parse().unwrap());
        let client = Client {
            address: client.into(),
            group: group.as_ref(),
        };
        Names::new(&rules()).answer(&rules(), client, OWN, message)
    }

    const NEAR: [u8; 4] = [192, 168, 30, 10];

    #[test]
    fn a_name_leads_to_addresses_that_work_whatever_its_case() {
        let asked = question("Web.PRIVATE", TYPE_A);
        let answer = ask(NEAR, None, &asked).unwrap();
        assert_eq!(answer[..4], [0xab, 0xcd, 0x85, 0x80]);
        assert_eq!(answer[4..12], [0, 1, 0, 2, 0, 0, 0, 0]);
        assert_eq!(
            answer[12..asked.len()],
            asked[12..],
            "the question as it was written"
        );
        assert_eq!(answer[asked.len() + 12..][..4], OWN.octets());
        assert_eq!(answer[answer.len() - 4..], [198, 51, 100, 7]);
    }

    #[test]
    fn other_types_of_a_name_exist_and_are_empty() {
        for kind in [TYPE_AAAA, 15, 65] {
            let asked = question("web.private", kind);
            let answer = ask(NEAR, None, &asked).unwrap();
            assert_eq!(
                (answer[3] & 0x0f, answer[7], answer.len()),
                (0, 0, asked.len()),
                "{kind}"
            );
        }
    }

    #[test]
    fn who_may_not_reach_a_host_does_not_hear_of_it() {
        let asked = question("lab.private", TYPE_A);
        assert!(ask(NEAR, None, &asked).is_none());
        assert!(ask([192, 168, 30, 70], None, &asked).is_some());
        let asked = question("wiki.private", TYPE_A);
        assert!(ask(NEAR, None, &asked).is_none() && ask(NEAR, Some("office/guests"), &asked).is_none());
        assert!(ask(NEAR, Some("Office/Staff"), &asked).is_some());
    }

    #[test]
    fn an_address_has_the_names_that_the_client_may_know() {
        let asked = question("1.30.168.192.in-addr.arpa", TYPE_PTR);
        let answer = ask(NEAR, None, &asked).unwrap();
        assert_eq!(answer[7], 1);
        assert!(answer.ends_with(&wire("web.private")));
        assert_eq!(ask(NEAR, Some("office/staff"), &asked).unwrap()[7], 2);
        assert!(ask(NEAR, None, &question("9.30.168.192.in-addr.arpa", TYPE_PTR)).is_none());
    }

    #[test]
    fn what_is_not_ours_goes_on_to_the_resolvers() {
        assert!(ask(NEAR, None, &question("example.org", TYPE_A)).is_none());
        let mut two = question("web.private", TYPE_A);
        two[5] = 2;
        assert!(ask(NEAR, None, &two).is_none());
        let chaos = [&question("web.private", TYPE_A)[..27], &[0, 3]].concat();
        assert!(ask(NEAR, None, &chaos).is_none());
    }

    proptest! {
        #[test]
        fn no_message_panics(message in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = ask(NEAR, None, &message);
            let mut query = message;
            for (i, byte) in [0, 0, 1, 0, 0, 1, 0, 0, 0, 0].into_iter().enumerate() {
                if let Some(at) = query.get_mut(i) {
                    *at = byte;
                }
            }
            let _ = ask(NEAR, None, &query);
        }
    }
}
