//! Cutting super-frames, as Linux does for a card that cannot.

use bytes::{Bytes, BytesMut};

use super::checksum::Sum;
use super::header::{Checksum, Kind, VnetHeader, Work};
use super::layout::{
    IP_ID, Layout, TCP_CWR, TCP_FIN, TCP_FLAGS, TCP_PUSH, TCP_SEQUENCE, UDP_CHECKSUM, set_u16,
    store_checksum, u16_at,
};

/// Bytes that one frame may become. The kernel's TCP sends pieces of 8 bytes and more and stays below it; a peer's header
/// could make a hundred megabytes of one frame without a bound.
const MAX_CUT: usize = 1 << 20;

/// Hands `frame` on as frames that need nothing more: as it is when it is finished, else with its checksum, or cut.
/// Returns how many there were: none when the frame is not what its header says.
///
/// Frames that are made anew share the memory of `room`, which a caller keeps from call to call; what it holds is lost.
pub fn finish(header: &VnetHeader, frame: Bytes, room: &mut BytesMut, mut emit: impl FnMut(Bytes)) -> usize {
    if header.is_finished() {
        emit(frame);
        return 1;
    }
    if header.is_super() {
        return split(header, &frame, room, emit);
    }
    room.clear();
    room.extend_from_slice(&frame);
    let fits = complete(header, room);
    if fits {
        emit(room.split().freeze());
    }
    usize::from(fits)
}

/// Completes the checksum of a frame that is not to be cut; whether the header fits it. The field holds the
/// pseudo-header's sum already.
pub fn complete(header: &VnetHeader, frame: &mut [u8]) -> bool {
    let Some(Work { checksum, .. }) = header.work() else {
        return false;
    };
    let Checksum::Partial { start, at } = checksum else {
        return true;
    };
    if at + 2 > frame.len() {
        return false;
    }
    let sum = Sum::default().add(&frame[start..]).fold();
    store_checksum(frame, at, sum, at - start == UDP_CHECKSUM);
    true
}

/// Cuts a super-frame into frames as a card would, each with its own lengths, numbers and checksums, and returns how many
/// there were: none when the frame is not what the header says.
pub fn split(header: &VnetHeader, frame: &[u8], room: &mut BytesMut, mut emit: impl FnMut(Bytes)) -> usize {
    let Some((layout, size)) = plan(header, frame) else {
        return 0;
    };
    let (headers, payload) = frame.split_at(layout.payload);
    let count = payload.len().div_ceil(size);
    room.clear();
    room.reserve(payload.len() + count * headers.len());
    for (i, part) in payload.chunks(size).enumerate() {
        room.extend_from_slice(headers);
        room.extend_from_slice(part);
        finish_piece(&layout, room, i, i * size, i + 1 == count);
        emit(room.split().freeze());
    }
    count
}

/// How a super-frame is to be cut, if it is what its header says: its headers, and bytes of payload per piece.
fn plan(header: &VnetHeader, frame: &[u8]) -> Option<(Layout, usize)> {
    let work = header.work()?;
    let layout = Layout::of(frame)?;
    let kind_fits = match work.kind {
        Kind::Whole => false,
        Kind::Tcp4 => layout.tcp && !layout.v6,
        Kind::Tcp6 => layout.tcp && layout.v6,
        Kind::Udp => !layout.tcp,
    };
    let checksum_fits = match work.checksum {
        Checksum::Partial { start, at } => start == layout.transport && at == layout.checksum_at(),
        Checksum::Complete | Checksum::Verified => true,
    };
    let payload = frame.len() - layout.payload;
    let pieces_fit =
        work.size > 0 && payload > 0 && payload.div_ceil(work.size) * layout.payload + payload <= MAX_CUT;
    let length_fits = layout.payload + work.size.min(payload) - layout.ip <= usize::from(u16::MAX);
    (kind_fits && checksum_fits && pieces_fit && length_fits).then_some((layout, work.size))
}

/// Gives piece `i`, whose payload begins at `offset` of the whole, its own header fields.
fn finish_piece(layout: &Layout, piece: &mut [u8], i: usize, offset: usize, last: bool) {
    if !layout.v6 {
        let id = u16_at(piece, layout.ip + IP_ID).unwrap_or_default();
        set_u16(piece, layout.ip + IP_ID, id.wrapping_add(i as u16));
    }
    layout.set_length(piece, piece.len() - layout.ip);
    if layout.tcp {
        let at = layout.transport + TCP_SEQUENCE;
        let sequence = u32::from_be_bytes([piece[at], piece[at + 1], piece[at + 2], piece[at + 3]]);
        piece[at..at + 4].copy_from_slice(&sequence.wrapping_add(offset as u32).to_be_bytes());
        let flags = &mut piece[layout.transport + TCP_FLAGS];
        if i > 0 {
            *flags &= !TCP_CWR; // one congestion answer, not one per segment (RFC 3168 section 6.1.2)
        }
        if !last {
            *flags &= !(TCP_FIN | TCP_PUSH);
        }
    }
    let at = layout.checksum_at();
    set_u16(piece, at, 0);
    let pseudo = layout.pseudo_sum(piece, piece.len() - layout.transport);
    let sum = pseudo.add(&piece[layout.transport..]).fold();
    store_checksum(piece, at, sum, !layout.tcp);
}
