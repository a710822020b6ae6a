//! What a router tells the stations of its link (RFC 4861 §4.2, RFC 8106).

use std::net::Ipv6Addr;

use hub_core::MacAddr;

use super::name;
use super::neighbour::{SOURCE_ADDRESS, address_option, find, options_are_sound};
use super::net::Ipv6Net;
use super::packet::{ALL_ROUTERS, HOPS, ICMP, ON_LINK, Packet, Written};

const SOLICITATION: u8 = 133;
const ADVERTISEMENT: u8 = 134;

/// Kinds of options.
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const NAME_SERVERS: u8 = 25;
const SEARCH_LIST: u8 = 31;

/// "Other configuration": there is stateless DHCPv6. Addresses are not managed, so the M flag is never set.
const OTHER_CONFIGURATION: u8 = 0x40;
/// Flags of a prefix: it is on the link, and stations make their own addresses in it.
const ON_LINK_AND_AUTONOMOUS: u8 = 0xc0;
const SOLICITATION_LENGTH: usize = 8;

/// One advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advertisement {
    /// Seconds during which the sender is a default router; 0 if it is none.
    pub(super) router_lifetime: u16,
    pub(super) mac: MacAddr,
    pub(super) mtu: u32,
    pub(super) prefixes: Vec<Prefix>,
    pub(super) name_servers: Vec<Ipv6Addr>,
    /// The domain in which short names are looked up; may be empty.
    pub(super) domain: String,
    /// Seconds during which name servers and domain count.
    pub(super) names_lifetime: u32,
}

/// A network of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) net: Ipv6Net,
    /// Seconds.
    pub(super) valid: u32,
    /// Seconds.
    pub(super) preferred: u32,
}

impl Advertisement {
    /// The same, told for the last time: the router leaves, its networks and name servers with it (RFC 4861 §6.2.5,
    /// RFC 9096 §3.5).
    pub(super) fn farewell(mut self) -> Self {
        self.router_lifetime = 0;
        self.names_lifetime = 0;
        for prefix in &mut self.prefixes {
            (prefix.valid, prefix.preferred) = (0, 0);
        }
        self
    }

    /// The packet that tells it.
    pub(super) fn write(&self, from: Ipv6Addr, to: Ipv6Addr) -> Written {
        let mut message = vec![ADVERTISEMENT, 0, 0, 0, HOPS, OTHER_CONFIGURATION];
        message.extend_from_slice(&self.router_lifetime.to_be_bytes());
        message.extend_from_slice(&[0; 8]); // reachable and retransmission times: the stations' own
        message.extend_from_slice(&address_option(SOURCE_ADDRESS, self.mac));
        message.extend_from_slice(&[MTU, 1, 0, 0]);
        message.extend_from_slice(&self.mtu.to_be_bytes());
        for prefix in &self.prefixes {
            message.extend_from_slice(&[PREFIX, 4, prefix.net.prefix(), ON_LINK_AND_AUTONOMOUS]);
            message.extend_from_slice(&prefix.valid.to_be_bytes());
            message.extend_from_slice(&prefix.preferred.to_be_bytes());
            message.extend_from_slice(&[0; 4]);
            message.extend_from_slice(&prefix.net.address().octets());
        }
        if !self.name_servers.is_empty() {
            let servers: Vec<u8> = self.name_servers.iter().flat_map(Ipv6Addr::octets).collect();
            self.push_names(&mut message, NAME_SERVERS, &servers);
        }
        if let Some(domain) = name::encode(&self.domain) {
            self.push_names(&mut message, SEARCH_LIST, &domain);
        }
        Written::icmp(from, to, ON_LINK, message)
    }

    /// An option of RFC 8106: a lifetime and names, filled up to eight bytes.
    fn push_names(&self, message: &mut Vec<u8>, kind: u8, names: &[u8]) {
        let words = names.len().div_ceil(8);
        // A domain name is at most 255 bytes long, and there are few servers.
        let length = u8::try_from(words + 1).unwrap_or(u8::MAX);
        message.extend_from_slice(&[kind, length, 0, 0]);
        message.extend_from_slice(&self.names_lifetime.to_be_bytes());
        message.extend_from_slice(names);
        message.resize(message.len() + words * 8 - names.len(), 0);
    }
}

/// Whether a packet asks for an advertisement (RFC 4861 §6.1.1).
pub(super) fn is_solicitation(packet: &Packet<'_>) -> bool {
    let Some(options) = packet.payload.get(SOLICITATION_LENGTH..) else {
        return false;
    };
    let nameless = packet.source.is_unspecified();
    packet.protocol == ICMP
        && packet.payload[..2] == [SOLICITATION, 0]
        && packet.hop_limit == ON_LINK
        && options_are_sound(options)
        && !(nameless && find(options, SOURCE_ADDRESS).is_some())
        && (packet.destination == ALL_ROUTERS || !packet.destination.is_multicast())
}

#[cfg(test)]
mod tests {
    use hub_core::frame::FrameView;

    use super::*;

    const US: MacAddr = MacAddr::new([0x5e, 1, 2, 3, 4, 5]);

    fn advertisement() -> Advertisement {
        Advertisement {
            router_lifetime: 1800,
            mac: US,
            mtu: 1500,
            prefixes: vec![Prefix {
                net: "fd12:3456:789a::/64".parse().unwrap(),
                valid: 5400,
                preferred: 2700,
            }],
            name_servers: vec!["fd12:3456:789a::1".parse().unwrap()],
            domain: "example.org".into(),
            names_lifetime: 1800,
        }
    }

    fn bytes(advertisement: &Advertisement) -> Vec<u8> {
        let from = "fe80::1".parse().unwrap();
        let frames = advertisement
            .write(from, super::super::packet::ALL_NODES)
            .into_frames(US, MacAddr::BROADCAST, 1500, 0);
        let view = FrameView::parse(&frames[0].bytes).unwrap();
        let packet = Packet::read(&frames[0], &view).unwrap();
        assert_eq!(
            (packet.hop_limit, frames[0].bytes[..6].to_vec()),
            (255, vec![0x33, 0x33, 0, 0, 0, 1])
        );
        let mut message = packet.payload.to_vec();
        message[2..4].fill(0); // the checksum was right, or there would be no packet
        message
    }

    #[test]
    fn an_advertisement_is_the_bytes_that_the_rfcs_want() {
        let expected: Vec<u8> = [
            &[134, 0, 0, 0, 64, 0x40, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 1, 0x5e, 1, 2, 3, 4, 5],
            &[5, 1, 0, 0, 0, 0, 5, 0xdc],
            &[3, 4, 64, 0xc0, 0, 0, 0x15, 0x18, 0, 0, 0x0a, 0x8c, 0, 0, 0, 0],
            &[0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[25, 3, 0, 0, 0, 0, 7, 8],
            &[0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[31, 3, 0, 0, 0, 0, 7, 8],
            b"\x07example\x03org\x00\x00\x00\x00",
        ]
        .concat();
        assert_eq!(bytes(&advertisement()), expected);
    }

    #[test]
    fn a_farewell_takes_everything_back() {
        let message = bytes(&advertisement().farewell());
        assert_eq!(message[6..8], [0, 0], "no router");
        assert_eq!(message[36..44], [0; 8], "no network");
        assert_eq!(
            (&message[68..72], &message[92..96]),
            (&[0; 4][..], &[0; 4][..]),
            "no names"
        );
    }

    #[test]
    fn what_there_is_not_is_not_told() {
        let bare = Advertisement {
            prefixes: Vec::new(),
            name_servers: Vec::new(),
            domain: "no..name".into(),
            ..advertisement()
        };
        assert_eq!(bytes(&bare).len(), 32);
    }
}
