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
        for (code, value) in &self.options {
            encode_option(*code, value, &mut out);
        }
        out.push(option::END);
        out.resize(out.len().max(MIN_REPLY), option::PAD);
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

    /// The largest message that the client takes, bytes (option 57). Nobody may ask for less than 576.
    pub fn max_size(&self) -> usize {
        let asked = match self.options.get(&option::MAX_SIZE).map(Vec::as_slice) {
            Some([high, low]) => usize::from(u16::from_be_bytes([*high, *low])),
            _ => 576,
        };
        // The option counts the IP and UDP headers, which take 28 bytes.
        asked.max(576).saturating_sub(28).min(MAX_MESSAGE)
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
    const SNAME: std::ops::Range<usize> = 44..108;
    const FILE: std::ops::Range<usize> = 108..236;
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
mod tests {
    use super::*;
    use crate::net::Ipv4Net;
    use crate::routes::{PushRoute, decode_classless, encode_classless};
    use proptest::prelude::*;

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

    #[test]
    fn two_hundred_routes_fill_several_options_and_come_back_as_one() {
        let routes: Vec<PushRoute> = (0..200u32)
            .map(|i| PushRoute {
                network: Ipv4Net::new(Ipv4Addr::from_bits(0x0a00_0000 + (i << 8)), 24),
                gateway: Ipv4Addr::new(192, 168, 30, 1),
            })
            .collect();
        let mut message = discover();
        message
            .options
            .insert(option::CLASSLESS_ROUTES, encode_classless(routes.iter().copied()));
        let bytes = message.encode();
        assert!(
            bytes.len() > MAX_MESSAGE,
            "this many routes no longer fit a frame"
        );
        let mut options = BTreeMap::new();
        collect_options(&bytes[HEADER + 4..], &mut options);
        assert_eq!(
            decode_classless(&options[&option::CLASSLESS_ROUTES]),
            Some(routes)
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
    fn the_largest_reply_follows_option_57_within_bounds() {
        let size = |value: Option<u16>| {
            let mut message = discover();
            if let Some(value) = value {
                message
                    .options
                    .insert(option::MAX_SIZE, value.to_be_bytes().to_vec());
            }
            message.max_size()
        };
        assert_eq!(size(None), 548);
        assert_eq!(size(Some(10)), 548);
        assert_eq!(size(Some(1500)), 1472);
        assert_eq!(size(Some(u16::MAX)), 1472);
    }

    proptest! {
        #[test]
        fn hostile_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..1600)) {
            let _ = Message::decode(&bytes);
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
