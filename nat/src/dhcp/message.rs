//! DHCP messages (RFC 2131, RFC 2132, long options of RFC 3396).
//!
//! Written by hand because the server must join and split long options, which the classless routes of a hub
//! easily become, and must take nothing from a stranger without a bound.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use hub_core::MacAddr;

/// The longest message that is read, bytes; what arrives comes out of one Ethernet frame.
pub const MAX_MESSAGE: usize = 1472;
/// The shortest message sent: BOOTP's size, below which old clients do not listen (RFC 1542 §2.1).
const MIN_REPLY: usize = 300;
const HEADER: usize = 236;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const BROADCAST: u16 = 0x8000;
/// Fields of the header that may hold options (option 52).
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
/// The longest reply to a client that says it takes more than a frame holds.
const MAX_REPLY: usize = 4068;
/// What the IP and UDP headers take of a client's limit.
const IP_AND_UDP: usize = 28;
/// What every client takes, with the headers (RFC 2131 §2).
const LEAST_LIMIT: usize = 576;

/// Option codes (RFC 2132 unless noted).
pub mod option {
    #![allow(missing_docs)] // the names are the standard's
    pub const PAD: u8 = 0;
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS_SERVERS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN_NAME: u8 = 15;
    pub const REQUESTED_ADDRESS: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const OVERLOAD: u8 = 52;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER_ID: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const MAX_SIZE: u8 = 57;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const CLIENT_ID: u8 = 61;
    /// RFC 3442.
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// The same routes under the code that older Windows asks for.
    pub const CLASSLESS_ROUTES_MS: u8 = 249;
    pub const END: u8 = 255;
}

/// What a message is about (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the standard's
pub enum MessageType {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
    Inform = 8,
}

impl MessageType {
    fn from_code(code: u8) -> Option<Self> {
        use MessageType::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
        let all = [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform];
        all.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Whether a message goes to or comes from a server (the field `op`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// From a client.
    Request = 1,
    /// From a server.
    Reply = 2,
}

/// A DHCP message. Relays (`giaddr`), hop counts and the boot file fields are not kept: a hub is one link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Direction.
    pub op: Op,
    /// What it is about.
    pub kind: MessageType,
    /// The client's transaction number.
    pub xid: u32,
    /// Whether the client can only hear broadcasts yet.
    pub broadcast: bool,
    /// The address the client has.
    pub ciaddr: Ipv4Addr,
    /// The address the client gets.
    pub yiaddr: Ipv4Addr,
    /// The client's hardware address.
    pub chaddr: MacAddr,
    /// The options but for the message type, each whole.
    pub options: BTreeMap<u8, Vec<u8>>,
}

impl Message {
    /// Reads a message; `None` if it is not DHCP over Ethernet or ends early.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER + MAGIC.len()
            || bytes.len() > MAX_MESSAGE
            || bytes[HEADER..HEADER + 4] != MAGIC
        {
            return None;
        }
        let op = match bytes[0] {
            1 => Op::Request,
            2 => Op::Reply,
            _ => return None,
        };
        let (htype, hlen) = (bytes[1], bytes[2]);
        let chaddr = MacAddr::new(bytes[28..34].try_into().ok()?);
        if htype != 1 || hlen != 6 || !chaddr.is_unicast() {
            return None;
        }
        let mut options = decode_options(bytes);
        let kind = match options.remove(&option::MESSAGE_TYPE)?.as_slice() {
            [code] => MessageType::from_code(*code)?,
            _ => return None,
        };
        Some(Message {
            op,
            kind,
            xid: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            broadcast: u16::from_be_bytes([bytes[10], bytes[11]]) & BROADCAST != 0,
            ciaddr: ip_at(bytes, 12)?,
            yiaddr: ip_at(bytes, 16)?,
            chaddr,
            options,
        })
    }

    /// The message as bytes, message type first, options in the order of their codes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.header();
        for (code, value) in &self.options {
            encode_option(*code, value, &mut out);
        }
        out.push(option::END);
        out.resize(out.len().max(MIN_REPLY), option::PAD);
        out
    }

    /// As [`Message::encode`], in at most `limit` bytes: what is too much goes into the fields `file` and `sname`
    /// (RFC 2132 §9.3), a long option in pieces (RFC 3396 §5). `None` if that is not enough.
    pub fn encode_within(&self, limit: usize) -> Option<Vec<u8>> {
        let plain = self.encode();
        if plain.len() <= limit {
            return Some(plain);
        }
        let mut out = self.header();
        let overload = out.len() + 2;
        out.extend_from_slice(&[option::OVERLOAD, 1, 0]);
        // The end of each is marked.
        let rooms = [limit.checked_sub(out.len() + 1)?, FILE.len() - 1, SNAME.len() - 1];
        let [here, file, sname] = self.packed(rooms)?;
        out.extend_from_slice(&here);
        out.push(option::END);
        for (bit, place, options) in [(1, FILE, file), (2, SNAME, sname)] {
            if !options.is_empty() {
                out[overload] |= bit;
                out[place.start..place.start + options.len()].copy_from_slice(&options);
                out[place.start + options.len()] = option::END;
            }
        }
        Some(out)
    }

    /// The options in three places of these sizes, filled in the order in which they are read.
    fn packed(&self, rooms: [usize; 3]) -> Option<[Vec<u8>; 3]> {
        let mut places: [Vec<u8>; 3] = Default::default();
        let mut place = 0;
        for (code, value) in &self.options {
            let mut rest = value.as_slice();
            loop {
                let room = rooms.get(place)?.saturating_sub(places[place].len() + 2);
                // Only an option that is cut anyway is cut where a place ends.
                let piece = match value.len() > 255 {
                    true => rest.len().min(255).min(room),
                    false => rest.len(),
                };
                if piece > room || (piece == 0 && !rest.is_empty()) {
                    place += 1;
                    continue;
                }
                let (now, later) = rest.split_at(piece);
                encode_option(*code, now, &mut places[place]);
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
        Some(places)
    }

    fn header(&self) -> Vec<u8> {
        let mut out = vec![0; HEADER];
        out[0] = self.op as u8;
        out[1] = 1; // Ethernet
        out[2] = 6;
        out[4..8].copy_from_slice(&self.xid.to_be_bytes());
        out[10..12].copy_from_slice(&if self.broadcast { BROADCAST } else { 0 }.to_be_bytes());
        out[12..16].copy_from_slice(&self.ciaddr.octets());
        out[16..20].copy_from_slice(&self.yiaddr.octets());
        out[28..34].copy_from_slice(&self.chaddr.octets());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[option::MESSAGE_TYPE, 1, self.kind as u8]);
        out
    }

    /// The value of an option that holds one address.
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        self.options
            .get(&code)
            .filter(|value| value.len() == 4)
            .and_then(|value| ip_at(value, 0))
    }

    /// Whether the client's parameter list (option 55) asks for an option; without a list it leaves it to us.
    pub fn asks_for(&self, code: u8) -> Option<bool> {
        self.options
            .get(&option::PARAMETERS)
            .map(|codes| codes.contains(&code))
    }

    /// The sizes that a reply may have, bytes, those to be tried first before others. `mtu` is the longest IP packet of
    /// the link.
    ///
    /// A client says in option 57 what it takes; nobody may ask for less than 576. Clients read replies from the raw
    /// link and do not put fragments together, unless they say that they take more than a frame holds. One that says
    /// nothing should get no more than 576, but those without the option (dhclient, Windows) take what a frame holds, and
    /// without its routes the VPN is of no use to it.
    pub fn limits(&self, mtu: usize) -> impl Iterator<Item = usize> + use<> {
        let frame = mtu.min(MAX_MESSAGE + IP_AND_UDP);
        let asked = match self.options.get(&option::MAX_SIZE).map(Vec::as_slice) {
            Some([high, low]) => Some(usize::from(u16::from_be_bytes([*high, *low])).max(LEAST_LIMIT)),
            _ => None,
        };
        let (first, then) = match asked {
            Some(asked) if asked > MAX_MESSAGE + IP_AND_UDP => (frame, Some(asked)),
            Some(asked) => (asked.min(frame), None),
            None => (LEAST_LIMIT.min(frame), Some(frame)),
        };
        let message = |packet: usize| packet.saturating_sub(IP_AND_UDP).min(MAX_REPLY);
        [Some(first), then].into_iter().flatten().map(message)
    }
}

/// A value longer than 255 bytes is written as several options of the same code (RFC 3396).
fn encode_option(code: u8, value: &[u8], out: &mut Vec<u8>) {
    if value.is_empty() {
        out.extend_from_slice(&[code, 0]);
    }
    for piece in value.chunks(255) {
        out.extend_from_slice(&[code, piece.len() as u8]);
        out.extend_from_slice(piece);
    }
}

/// All options, those in the `file` and `sname` fields included; several of one code are one (RFC 3396 §5).
fn decode_options(message: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut options = BTreeMap::new();
    collect_options(&message[HEADER + MAGIC.len()..], &mut options);
    let overload = match options.get(&option::OVERLOAD).map(Vec::as_slice) {
        Some([fields]) => *fields,
        _ => 0,
    };
    if overload & 1 != 0 {
        collect_options(&message[FILE], &mut options);
    }
    if overload & 2 != 0 {
        collect_options(&message[SNAME], &mut options);
    }
    options
}

/// An option that claims more than is left ends the list; what came before it stands.
fn collect_options(mut rest: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) {
    while let Some((&code, tail)) = rest.split_first() {
        match code {
            option::PAD => rest = tail,
            option::END => return,
            _ => {
                let Some((&len, tail)) = tail.split_first() else {
                    return;
                };
                let Some((value, tail)) = tail.split_at_checked(len.into()) else {
                    return;
                };
                options.entry(code).or_default().extend_from_slice(value);
                rest = tail;
            }
        }
    }
}

fn ip_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes
        .get(at..)?
        .first_chunk::<4>()
        .map(|octets| Ipv4Addr::from(*octets))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::net::Ipv4Net;
    use crate::routes::{PushRoute, decode_classless, encode_classless};
    use proptest::prelude::*;

    /// Reads the options of a message that is longer than any that is read otherwise.
    pub(in crate::dhcp) fn collect_all(bytes: &[u8], options: &mut BTreeMap<u8, Vec<u8>>) {
        *options = decode_options(bytes);
    }

    fn discover() -> Message {
        Message {
            op: Op::Request,
            kind: MessageType::Discover,
            xid: 0x1234_5678,
            broadcast: true,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: MacAddr::new([2, 0, 0, 0, 0, 1]),
            options: BTreeMap::from([(option::PARAMETERS, vec![1, 3, 6, 121])]),
        }
    }

    #[test]
    fn a_message_survives_encoding() {
        assert_eq!(Message::decode(&discover().encode()), Some(discover()));
    }

    /// So many that they cannot be merged: the shortest encoding of a route takes 6 bytes, these take 6 and 7.
    fn with_routes(eights: u32, sixteens: u32) -> (Message, Vec<PushRoute>) {
        let gateway = Ipv4Addr::new(192, 168, 30, 1);
        let route = |address: u32, prefix| PushRoute {
            network: Ipv4Net::new(Ipv4Addr::from_bits(address), prefix),
            gateway,
        };
        let eights = (0..eights).map(|i| route((2 * i + 1) << 24, 8));
        let sixteens = (0..sixteens).map(|i| route((10 << 24) + (i << 17), 16));
        let routes: Vec<_> = eights.chain(sixteens).collect();
        let mut message = discover();
        let payload = encode_classless(routes.iter().copied());
        message.options.insert(option::CLASSLESS_ROUTES, payload);
        (message, routes)
    }

    fn routes_in(bytes: &[u8]) -> Option<Vec<PushRoute>> {
        let message = Message::decode(bytes)?;
        decode_classless(message.options.get(&option::CLASSLESS_ROUTES)?)
    }

    #[test]
    fn two_hundred_routes_fit_one_frame_in_pieces_and_come_back_whole() {
        let (message, routes) = with_routes(100, 100);
        let bytes = message.encode_within(MAX_MESSAGE).unwrap();
        assert!(bytes.len() <= MAX_MESSAGE);
        assert_eq!(routes_in(&bytes), Some(routes));
    }

    #[test]
    fn what_is_too_much_goes_into_the_fields_of_the_boot_file() {
        let (message, routes) = with_routes(70, 0);
        assert!(message.encode().len() > 548);
        let bytes = message.encode_within(548).unwrap();
        assert!(bytes.len() <= 548);
        assert_eq!(bytes[243..246], [option::OVERLOAD, 1, 3], "both fields are used");
        assert_eq!(routes_in(&bytes), Some(routes));
        assert_eq!(
            with_routes(100, 0).0.encode_within(548),
            None,
            "more than all three hold"
        );
    }

    #[test]
    fn options_in_the_file_field_are_found() {
        let mut message = discover();
        message.options.insert(option::OVERLOAD, vec![1]);
        let mut bytes = message.encode();
        bytes[108..112].copy_from_slice(&[option::HOST_NAME, 2, b'p', b'c']);
        bytes[112] = option::END;
        assert_eq!(
            Message::decode(&bytes).unwrap().options[&option::HOST_NAME],
            b"pc"
        );
    }

    #[test]
    fn what_is_not_dhcp_over_ethernet_is_refused() {
        let bytes = discover().encode();
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            Message::decode(&bytes)
        };
        assert_eq!(with(0, 3), None, "op");
        assert_eq!(with(1, 6), None, "hardware type");
        assert_eq!(with(2, 16), None, "hardware address length");
        assert_eq!(with(28, 1), None, "group address");
        assert_eq!(with(236, 0), None, "magic");
        assert_eq!(with(242, 9), None, "message type");
        assert_eq!(Message::decode(&bytes[..239]), None, "short");
    }

    #[test]
    fn a_reply_is_no_longer_than_the_client_takes() {
        let limits = |asked: Option<u16>, mtu| {
            let mut message = discover();
            if let Some(value) = asked {
                message
                    .options
                    .insert(option::MAX_SIZE, value.to_be_bytes().to_vec());
            }
            message.limits(mtu).collect::<Vec<_>>()
        };
        assert_eq!(limits(None, 1500), [548, 1472]);
        assert_eq!(limits(None, 1400), [548, 1372]);
        assert_eq!(limits(Some(10), 1500), [548]);
        assert_eq!(limits(Some(576), 1500), [548]);
        assert_eq!(limits(Some(1500), 1500), [1472]);
        assert_eq!(limits(Some(1500), 1400), [1372]);
        assert_eq!(limits(Some(4096), 1500), [1472, 4068]);
        assert_eq!(limits(Some(u16::MAX), 1500), [1472, 4068]);
    }

    proptest! {
        #[test]
        fn hostile_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn a_message_survives_every_way_of_packing(
            options in prop::collection::btree_map(1u8..52, prop::collection::vec(any::<u8>(), 0..600), 0..6),
            limit in 300usize..1472,
        ) {
            let message = Message { options, ..discover() };
            if let Some(bytes) = message.encode_within(limit) {
                prop_assert!(bytes.len() <= limit);
                let mut seen = Message::decode(&bytes).unwrap();
                seen.options.remove(&option::OVERLOAD);
                prop_assert_eq!(seen, message);
            }
        }

        #[test]
        fn hostile_options_behind_a_good_header_give_an_answer(
            tail in prop::collection::vec(any::<u8>(), 0..1200)
        ) {
            let mut bytes = discover().encode();
            bytes.truncate(HEADER + MAGIC.len());
            bytes.extend_from_slice(&[option::MESSAGE_TYPE, 1, 1]);
            bytes.extend_from_slice(&tail);
            if let Some(message) = Message::decode(&bytes) {
                let held: usize = message.options.values().map(Vec::len).sum();
                prop_assert!(held <= bytes.len());
            }
        }
    }
}
