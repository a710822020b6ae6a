//! The segment size that TCP peers agree on (RFC 9293 §3.7.1).

use bytes::BytesMut;

use crate::Frame;
use crate::frame::{Checksum, FrameView, Network, Transport, corrected};

const END: u8 = 0;
const NOTHING: u8 = 1;
const SEGMENT_SIZE: u8 = 2;
/// The header without options.
const HEADER: usize = 20;

/// The frame with a segment size of at most `most`; none if it offers no larger one.
pub(crate) fn with_segment_size(
    frame: &Frame,
    view: &FrameView,
    transport: Transport,
    most: u16,
) -> Option<Frame> {
    let (Transport::Tcp { flags, .. }, Network::Ipv4(_) | Network::Ipv6(_)) = (transport, &view.network)
    else {
        return None;
    };
    if !flags.syn() {
        return None;
    }
    let at = usize::from(view.transport_offset()?);
    let header = frame.bytes.get(at..)?;
    let length = usize::from(header.get(12)? >> 4) * 4;
    let options = header.get(HEADER..length)?;
    let place = at + HEADER + find(options)?;
    let offered = u16::from_be_bytes(*frame.bytes.get(place..)?.first_chunk()?);
    if offered <= most {
        return None;
    }
    let sum = u16::from_be_bytes(*header.get(16..)?.first_chunk()?);
    let mut bytes = BytesMut::from(&frame.bytes[..]);
    bytes[place..][..2].copy_from_slice(&most.to_be_bytes());
    if !matches!(frame.offload.checksum, Checksum::Partial { .. }) {
        // A word that begins at an odd place counts with its bytes exchanged.
        let odd = !(place - at).is_multiple_of(2);
        let seen = |word: u16| if odd { word.swap_bytes() } else { word };
        let sum = corrected(sum, seen(offered), seen(most));
        bytes[at + 16..][..2].copy_from_slice(&sum.to_be_bytes());
    }
    Some(Frame {
        bytes: bytes.freeze(),
        offload: frame.offload,
    })
}

/// Where in the options the segment size stands.
fn find(options: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *options.get(at..)? {
            [] | [END, ..] => return None,
            [NOTHING, ..] => at += 1,
            [SEGMENT_SIZE, 4, _, _, ..] => return Some(at + 2),
            [_, length, ..] if length >= 2 => at += usize::from(length),
            _ => return None,
        }
    }
}
