//! Stateless DHCP for IPv6 (RFC 8415 §18.3.6): what stations ask beside the address that they make themselves.

use std::net::{Ipv6Addr, SocketAddrV6};

use hub_core::MacAddr;

use super::name;
use super::packet::{ALL_DHCP, Packet, Written};

const SERVER_PORT: u16 = 547;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
/// Addresses: their presence makes a request one for a server that keeps state.
const IDENTITY_ASSOCIATIONS: [u16; 3] = [3, 4, 25];
const OPTION_REQUEST: u16 = 6;
const NAME_SERVERS: u16 = 23;
const SEARCH_LIST: u16 = 24;
const REFRESH_TIME: u16 = 32;

/// Seconds after which a station asks again. An hour rather than the day that it would wait by itself: settings change.
const REFRESH: u32 = 3600;
/// The longest DUID (RFC 8415 §11.1).
const MAX_DUID: usize = 130;

/// A station's question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Who asks.
    client: SocketAddrV6,
    transaction: [u8; 3],
    client_id: Option<Vec<u8>>,
    wanted: Vec<u16>,
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) name_servers: &'a [Ipv6Addr],
    /// May be empty.
    pub(super) domain: &'a str,
}

/// Whether a packet is for a DHCP server of the link.
pub(super) fn is_for_server(packet: &Packet<'_>) -> bool {
    packet.destination == ALL_DHCP && matches!(packet.udp(), Some((_, SERVER_PORT, _)))
}

impl Request {
    /// Reads a question that the server with hardware address `own` answers (RFC 8415 §16.12).
    pub(super) fn read(packet: &Packet<'_>, own: MacAddr) -> Option<Self> {
        let (port, SERVER_PORT, message) = packet.udp()? else {
            return None;
        };
        let (&[kind, t0, t1, t2], options) = message.split_first_chunk()?;
        if kind != INFORMATION_REQUEST || packet.destination != ALL_DHCP || !is_link_local(packet.source) {
            return None;
        }
        let mut request = Request {
            client: SocketAddrV6::new(packet.source, port, 0, 0),
            transaction: [t0, t1, t2],
            client_id: None,
            wanted: Vec::new(),
        };
        for option in Options(options) {
            let (kind, content) = option?;
            match kind {
                CLIENT_ID if content.len() <= MAX_DUID => request.client_id = Some(content.to_vec()),
                SERVER_ID if content != duid(own) => return None,
                OPTION_REQUEST => {
                    request.wanted = content
                        .chunks_exact(2)
                        .map(|code| u16::from_be_bytes([code[0], code[1]]))
                        .collect();
                }
                kind if IDENTITY_ASSOCIATIONS.contains(&kind) => return None,
                _ => {}
            }
        }
        Some(request)
    }

    /// The answer of the server at `own` with the link-local address `from`.
    pub(super) fn answer(&self, own: MacAddr, from: Ipv6Addr, answer: &Answer<'_>) -> Written {
        let mut message = vec![REPLY];
        message.extend_from_slice(&self.transaction);
        if let Some(id) = &self.client_id {
            push(&mut message, CLIENT_ID, id);
        }
        push(&mut message, SERVER_ID, &duid(own));
        let servers: Vec<u8> = answer.name_servers.iter().flat_map(Ipv6Addr::octets).collect();
        if self.wants(NAME_SERVERS) && !servers.is_empty() {
            push(&mut message, NAME_SERVERS, &servers);
        }
        if self.wants(SEARCH_LIST)
            && let Some(domain) = name::encode(answer.domain)
        {
            push(&mut message, SEARCH_LIST, &domain);
        }
        if self.wants(REFRESH_TIME) {
            push(&mut message, REFRESH_TIME, &REFRESH.to_be_bytes());
        }
        Written::udp(SocketAddrV6::new(from, SERVER_PORT, 0, 0), self.client, &message)
    }

    /// A client that does not say what it wants gets all.
    fn wants(&self, option: u16) -> bool {
        self.wanted.is_empty() || self.wanted.contains(&option)
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// How a server at this hardware address is known (DUID-LL, RFC 8415 §11.4).
fn duid(mac: MacAddr) -> [u8; 10] {
    let [a, b, c, d, e, f] = mac.octets();
    [0, 3, 0, 1, a, b, c, d, e, f]
}

fn push(message: &mut Vec<u8>, kind: u16, content: &[u8]) {
    let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(&content[..usize::from(length)]);
}

/// The options of a message; one `None` at the end if they are cut short.
struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let option = self.0.split_first_chunk().and_then(|(&[k0, k1, l0, l1], rest)| {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let (content, rest) = rest.split_at_checked(length)?;
            self.0 = rest;
            Some((u16::from_be_bytes([k0, k1]), content))
        });
        if option.is_none() {
            self.0 = &[];
        }
        Some(option)
    }
}

#[cfg(test)]
mod tests {
    use hub_core::frame::{Frame, FrameView};
    use proptest::prelude::*;

    use super::*;

    const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);
    const US: MacAddr = MacAddr::new([0x5e, 1, 2, 3, 4, 5]);
    /// What dhclient sends, with a DUID-LL and a request for options 23, 24 and 32.
    const QUESTION: &[u8] = &[
        11, 0xaa, 0xbb, 0xcc, //
        0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9, //
        0, 6, 0, 6, 0, 23, 0, 24, 0, 32, //
        0, 8, 0, 2, 0, 0,
    ];

    fn frame(from: &str, message: &[u8]) -> Frame {
        let (from, to) = (from.parse().unwrap(), SocketAddrV6::new(ALL_DHCP, 547, 0, 0));
        Written::udp(from, to, message)
            .into_frames(STATION, US, 1500, 0)
            .remove(0)
    }

    fn request(from: &str, message: &[u8]) -> Option<Request> {
        let frame = frame(from, message);
        let view = FrameView::parse(&frame.bytes).unwrap();
        Request::read(&Packet::read(&frame, &view).unwrap(), US)
    }

    fn reply(request: &Request) -> Vec<u8> {
        let answer = Answer {
            name_servers: &["fd00::1".parse().unwrap()],
            domain: "corp",
        };
        let written = request.answer(US, "fe80::1".parse().unwrap(), &answer);
        let frame = written.into_frames(US, STATION, 1500, 0).remove(0);
        let view = FrameView::parse(&frame.bytes).unwrap();
        let packet = Packet::read(&frame, &view).unwrap();
        let (from, to, message) = packet.udp().unwrap();
        assert_eq!((from, to), (547, 546));
        message.to_vec()
    }

    #[test]
    fn a_question_is_answered_with_names_and_no_address() {
        let request = request("[fe80::9]:546", QUESTION).unwrap();
        let expected: Vec<u8> = [
            &[7, 0xaa, 0xbb, 0xcc][..],
            &[0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9],
            &[0, 2, 0, 10, 0, 3, 0, 1, 0x5e, 1, 2, 3, 4, 5],
            &[0, 23, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 24, 0, 6, 4, b'c', b'o', b'r', b'p', 0],
            &[0, 32, 0, 4, 0, 0, 0x0e, 0x10],
        ]
        .concat();
        assert_eq!(reply(&request), expected);
    }

    #[test]
    fn only_what_is_asked_for_is_told() {
        let request = request("[fe80::9]:546", &[11, 1, 2, 3, 0, 6, 0, 2, 0, 24]).unwrap();
        let reply = reply(&request);
        assert_eq!(reply[18..], [0, 24, 0, 6, 4, b'c', b'o', b'r', b'p', 0]);
    }

    #[test]
    fn what_is_for_another_server_or_for_one_with_addresses_is_not_answered() {
        let with = |option: &[u8]| request("[fe80::9]:546", &[&[11, 1, 2, 3][..], option].concat());
        assert!(with(&[]).is_some());
        assert_eq!(
            with(&[0, 2, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 7]),
            None,
            "another server"
        );
        assert!(
            with(&[0, 2, 0, 10, 0, 3, 0, 1, 0x5e, 1, 2, 3, 4, 5]).is_some(),
            "this one"
        );
        assert_eq!(
            with(&[0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "an address"
        );
        assert_eq!(with(&[0, 6, 0, 9, 0, 23]), None, "cut short");
        assert_eq!(request("[fe80::9]:546", &[1, 1, 2, 3]), None, "a solicitation");
        assert_eq!(request("[fd00::9]:546", QUESTION), None, "from elsewhere");
    }

    proptest! {
        #[test]
        fn any_message_is_read_or_refused(message in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut message = message;
            if let Some(kind) = message.first_mut() {
                *kind = INFORMATION_REQUEST;
            }
            if let Some(request) = request("[fe80::9]:546", &message) {
                let _ = reply(&request);
            }
        }
    }
}
