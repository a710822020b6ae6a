//! DHCP messages in Ethernet frames: the few header fields between the two, both ways.

use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};
use hub_core::frame::checksum;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const UDP: u8 = 17;
const CLIENT_PORT: u16 = 68;
const SERVER_PORT: u16 = 67;
const ETHERNET: usize = 14;
const IP: usize = 20;
const UDP_HEADER: usize = 8;

/// The address of every station of the link.
pub(super) const BROADCAST: [u8; 6] = [0xff; 6];

/// A message to a DHCP client on its way to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received<'a> {
    /// The station that put the frame on the link: the server, or the router before it.
    pub(super) from: [u8; 6],
    /// The DHCP message.
    pub(super) message: &'a [u8],
}

/// Takes a frame apart if it is for the DHCP client with this hardware address.
///
/// The UDP checksum is not looked at: servers on virtual machines hand it to a network card that does not exist,
/// and a client that insists gets no address.
pub(super) fn parse(frame: &[u8], mac: [u8; 6]) -> Option<Received<'_>> {
    let (header, ip) = frame.split_at_checked(ETHERNET)?;
    let to = &header[..6];
    if (to != mac && to != BROADCAST) || header[12..] != ETHERTYPE_IPV4 {
        return None;
    }
    let header_len = usize::from(ip.first()? & 0x0f) * 4;
    let total = usize::from(u16_at(ip, 2)?);
    let is_ipv4 = ip.first()? >> 4 == 4 && header_len >= IP && total >= header_len && total <= ip.len();
    let is_fragment = u16_at(ip, 6)? & 0x3fff != 0;
    if !is_ipv4 || is_fragment || *ip.get(9)? != UDP || checksum(&[&ip[..header_len]]) != 0 {
        return None;
    }
    let udp = &ip[header_len..total];
    let len = usize::from(u16_at(udp, 4)?);
    if u16_at(udp, 2)? != CLIENT_PORT || len > udp.len() {
        return None;
    }
    let mut from = [0; 6];
    from.copy_from_slice(&header[6..12]);
    Some(Received {
        from,
        message: udp.get(UDP_HEADER..len)?,
    })
}

/// Puts a message into a frame from this client to a server.
pub(super) fn build(
    (from_mac, from): ([u8; 6], Ipv4Addr),
    (to_mac, to): ([u8; 6], Ipv4Addr),
    message: &[u8],
) -> Bytes {
    let udp_len = UDP_HEADER + message.len();
    let mut frame = BytesMut::with_capacity(ETHERNET + IP + udp_len);
    frame.put_slice(&to_mac);
    frame.put_slice(&from_mac);
    frame.put_slice(&ETHERTYPE_IPV4);
    frame.put_slice(&[0x45, 0x10]); // low delay, as DHCP clients ask for
    frame.put_u16((IP + udp_len) as u16);
    frame.put_slice(&[0, 0, 0, 0, 64, UDP, 0, 0]);
    frame.put_slice(&from.octets());
    frame.put_slice(&to.octets());
    let sum = checksum(&[&frame[ETHERNET..]]);
    frame[ETHERNET + 10..][..2].copy_from_slice(&sum.to_be_bytes());
    frame.put_u16(CLIENT_PORT);
    frame.put_u16(SERVER_PORT);
    frame.put_u16(udp_len as u16);
    frame.put_u16(0);
    frame.put_slice(message);
    let [high, low] = (udp_len as u16).to_be_bytes();
    let sum = match checksum(&[&[0, UDP, high, low], &frame[ETHERNET + 12..]]) {
        0 => 0xffff, // zero would mean "no checksum" (RFC 768)
        sum => sum,
    };
    frame[ETHERNET + IP + 6..][..2].copy_from_slice(&sum.to_be_bytes());
    frame.freeze()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// For tests: the frame that a server would send.
#[cfg(test)]
pub(super) fn from_server(from_mac: [u8; 6], from: Ipv4Addr, to_mac: [u8; 6], message: &[u8]) -> Vec<u8> {
    let mut frame = build((from_mac, from), (to_mac, Ipv4Addr::BROADCAST), message).to_vec();
    frame[ETHERNET + IP..][..4].copy_from_slice(&[0, 67, 0, 68]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const SERVER: [u8; 6] = [2, 0, 0, 0, 0, 9];
    const SERVER_IP: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);

    #[test]
    fn a_message_to_us_or_to_all_is_taken_out_of_its_frame() {
        for to in [OURS, BROADCAST] {
            let frame = from_server(SERVER, SERVER_IP, to, b"message");
            assert_eq!(
                parse(&frame, OURS),
                Some(Received {
                    from: SERVER,
                    message: b"message"
                })
            );
        }
    }

    #[test]
    fn padding_behind_the_packet_is_left_out() {
        let mut frame = from_server(SERVER, SERVER_IP, OURS, b"message");
        frame.extend([0; 18]);
        assert_eq!(parse(&frame, OURS).unwrap().message, b"message");
    }

    #[test]
    fn other_traffic_is_none_of_our_business() {
        let good = from_server(SERVER, SERVER_IP, OURS, b"message");
        assert_eq!(parse(&good, SERVER), None, "for another station");
        for (at, value, what) in [
            (12, 0x86, "another protocol"),
            (23, 6, "TCP"),
            (20, 0x20, "a fragment"),
            (37, 67, "to another port"),
            (24, 0, "a broken header"),
        ] {
            let mut frame = good.clone();
            frame[at] = value;
            assert_eq!(parse(&frame, OURS), None, "{what}");
        }
        for len in 0..good.len() {
            assert_eq!(parse(&good[..len], OURS), None, "cut off at {len}");
        }
    }

    #[test]
    fn checksums_of_what_we_send_are_right() {
        let frame = build(
            (OURS, Ipv4Addr::UNSPECIFIED),
            (BROADCAST, Ipv4Addr::BROADCAST),
            b"odd",
        );
        assert_eq!(checksum(&[&frame[14..34]]), 0);
        assert_eq!(checksum(&[&[0, 17, 0, 11], &frame[26..]]), 0);
    }
}
