//! Whether somebody on the link has an address already (RFC 5227): a question, and those who say that it is theirs.

use std::net::Ipv4Addr;

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::BROADCAST;

/// Ethernet with ARP for IPv4 over Ethernet: hardware, protocol and their lengths are always these.
const KIND: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];
const LEN: usize = 42;
const REPLY: [u8; 2] = [0, 2];

/// "Who has this address?", from nobody's.
pub(super) fn probe(mac: [u8; 6], address: Ipv4Addr) -> Bytes {
    let mut frame = BytesMut::with_capacity(LEN);
    frame.put_slice(&BROADCAST);
    frame.put_slice(&mac);
    frame.put_slice(&KIND);
    frame.put_slice(&[0, 1]);
    frame.put_slice(&mac);
    frame.put_slice(&[0; 4 + 6]);
    frame.put_slice(&address.octets());
    frame.freeze()
}

/// Whether a frame is an answer to a question about an address.
pub(crate) fn is_reply(frame: &[u8]) -> bool {
    frame.len() >= LEN && frame[12..20] == KIND && frame[20..22] == REPLY
}

/// Who says in an ARP frame that an address is theirs.
pub(super) fn sender(frame: &[u8]) -> Option<([u8; 6], Ipv4Addr)> {
    if frame.len() < LEN || frame[12..20] != KIND {
        return None;
    }
    let station = frame[22..28].try_into().ok()?;
    let address: [u8; 4] = frame[28..32].try_into().ok()?;
    Some((station, address.into()))
}

/// For tests: the frame by which a station says that an address is its own.
#[cfg(test)]
pub(super) fn answer(from: [u8; 6], address: Ipv4Addr, to: [u8; 6]) -> Vec<u8> {
    let mut frame = probe(from, address).to_vec();
    frame[..6].copy_from_slice(&to);
    frame[20..22].copy_from_slice(&REPLY);
    frame[28..32].copy_from_slice(&address.octets());
    frame
}
