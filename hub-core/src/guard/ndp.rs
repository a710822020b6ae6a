//! Router advertisements (RFC 4861 §4.2).

use bytes::BytesMut;

use crate::Frame;
use crate::frame::{Checksum, FrameView, Network, Transport, corrected};

pub(super) const ROUTER_SOLICITATION: u8 = 133;
pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;

/// Where an advertisement says for how many seconds its sender is a default router.
const LIFETIME_AT: usize = 6;

/// The frame with an advertisement that its sender is no default router; none if it does not claim to be one.
pub(crate) fn without_default_router(frame: &Frame, view: &FrameView, transport: Transport) -> Option<Frame> {
    let kind = Transport::Icmpv6 {
        kind: ROUTER_ADVERTISEMENT,
    };
    let Network::Ipv6(ip) = &view.network else {
        return None;
    };
    let at = usize::from(ip.transport_offset);
    let message = frame.bytes.get(at..)?;
    let (sum, lifetime) = (word(message, 2)?, word(message, LIFETIME_AT)?);
    if transport != kind || lifetime == 0 {
        return None;
    }
    let mut bytes = BytesMut::from(&frame.bytes[..]);
    bytes[at + LIFETIME_AT..][..2].fill(0);
    if !matches!(frame.offload.checksum, Checksum::Partial { .. }) {
        bytes[at + 2..][..2].copy_from_slice(&corrected(sum, lifetime, 0).to_be_bytes());
    }
    Some(Frame {
        bytes: bytes.freeze(),
        offload: frame.offload,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}
