//! DHCPv6 messages in Ethernet frames, both ways.

use std::net::Ipv6Addr;

use bytes::{BufMut, Bytes, BytesMut};
use hub_core::frame::checksum;

const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const UDP: u8 = 17;
const CLIENT_PORT: u16 = 546;
const SERVER_PORT: u16 = 547;
const ETHERNET: usize = 14;
const IP: usize = 40;
const UDP_HEADER: usize = 8;
const HEAD: usize = ETHERNET + IP + UDP_HEADER;

/// All servers and relays of the link (RFC 8415 section 7.1), and the group's hardware address (RFC 2464 section 7).
const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const SERVERS_MAC: [u8; 6] = [0x33, 0x33, 0, 1, 0, 2];

/// Whether a frame may be for a DHCPv6 client. The client looks more closely.
pub(crate) fn is_to_client(frame: &[u8]) -> bool {
    frame.len() >= HEAD
        && frame[12..14] == ETHERTYPE_IPV6
        && frame[ETHERNET + 6] == UDP
        && frame[ETHERNET + IP + 2..][..2] == CLIENT_PORT.to_be_bytes()
}

/// The message in a frame for the DHCPv6 client of the link. The UDP checksum is not looked at, see the same for IPv4.
pub(super) fn message(frame: &[u8]) -> Option<&[u8]> {
    if !is_to_client(frame) {
        return None;
    }
    let len = usize::from(u16::from_be_bytes([
        frame[ETHERNET + IP + 4],
        frame[ETHERNET + IP + 5],
    ]));
    frame.get(HEAD..ETHERNET + IP + len)
}

/// Puts a message into a frame from this client to all servers.
pub(super) fn build(from_mac: [u8; 6], from: Ipv6Addr, message: &[u8]) -> Bytes {
    let len = UDP_HEADER + message.len();
    let mut frame = BytesMut::with_capacity(HEAD + message.len());
    frame.put_slice(&SERVERS_MAC);
    frame.put_slice(&from_mac);
    frame.put_slice(&ETHERTYPE_IPV6);
    frame.put_slice(&[0x60, 0, 0, 0]);
    frame.put_u16(len as u16);
    frame.put_slice(&[UDP, 1]); // to nobody behind a router
    frame.put_slice(&from.octets());
    frame.put_slice(&SERVERS.octets());
    frame.put_u16(CLIENT_PORT);
    frame.put_u16(SERVER_PORT);
    frame.put_u16(len as u16);
    frame.put_u16(0);
    frame.put_slice(message);
    let [high, low] = (len as u16).to_be_bytes();
    let sum = match checksum(&[&[0, UDP, high, low], &frame[ETHERNET + 8..]]) {
        0 => 0xffff, // zero would mean "no checksum"
        sum => sum,
    };
    frame[ETHERNET + IP + 6..][..2].copy_from_slice(&sum.to_be_bytes());
    frame.freeze()
}

/// For tests: the frame that a server would send.
#[cfg(test)]
pub(super) fn from_server(message: &[u8]) -> Vec<u8> {
    let mut frame = build([2, 0, 0, 0, 0, 9], Ipv6Addr::LOCALHOST, message).to_vec();
    frame[ETHERNET + IP..][..4].copy_from_slice(&[0x02, 0x23, 0x02, 0x22]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_to_the_client_is_taken_out_of_its_frame() {
        let mut frame = from_server(b"message");
        frame.extend([0; 9]); // padding
        assert_eq!(message(&frame), Some(&b"message"[..]));
        for len in 0..HEAD + 7 {
            assert_eq!(message(&frame[..len]), None, "cut off at {len}");
        }
        for (at, value) in [(12, 8), (20, 6), (ETHERNET + IP + 3, 67), (ETHERNET + IP + 5, 3)] {
            let mut other = frame.clone();
            other[at] = value;
            assert_eq!(message(&other), None, "byte {at}");
        }
    }

    #[test]
    fn checksums_of_what_we_send_are_right() {
        let frame = build([2, 0, 0, 0, 0, 1], "fe80::1".parse().unwrap(), b"odd");
        assert_eq!(checksum(&[&[0, 17, 0, 11], &frame[ETHERNET + 8..]]), 0);
        assert_eq!(message(&frame), None, "it is for servers");
    }
}
