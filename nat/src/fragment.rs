//! IPv4 fragments: putting together what stations send, cutting what is too long for them (RFC 791).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use smoltcp::wire::Ipv4Packet;

use crate::packet::{Outgoing, Packet};

/// How long the pieces of a packet wait for the others.
const PATIENCE: Duration = Duration::from_secs(15);
/// Packets in pieces at one time. With the largest packet this bounds the memory to 4 MiB.
const MAX_PACKETS: usize = 64;
/// Pieces of one packet: the largest packet cut for the smallest link that anybody uses.
const MAX_PIECES: usize = 128;
const MAX_PACKET: usize = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    ident: u16,
}

#[derive(Debug)]
struct Pieces {
    since: Instant,
    /// Offset in the payload and the piece.
    pieces: Vec<(usize, Packet)>,
    /// The payload's length, once the last piece is there.
    total: Option<usize>,
}

/// Puts packets together.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    packets: HashMap<Key, Pieces>,
}

impl Reassembly {
    /// Takes a packet; gives it back at once if it is whole, or the whole packet if this was the missing piece.
    pub(crate) fn take(&mut self, now: Instant, packet: Packet) -> Option<Packet> {
        let header = Ipv4Packet::new_checked(&packet.bytes[..]).ok()?;
        let (offset, more) = (usize::from(header.frag_offset()), header.more_frags());
        if offset == 0 && !more {
            return Some(packet);
        }
        let key = Key {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            ident: header.ident(),
        };
        let end = offset + packet.payload().len();
        if end > MAX_PACKET - 60 || packet.payload().is_empty() {
            return None;
        }
        self.packets
            .retain(|_, pieces| now.duration_since(pieces.since) < PATIENCE);
        if self.packets.len() >= MAX_PACKETS && !self.packets.contains_key(&key) {
            return None;
        }
        let entry = self.packets.entry(key).or_insert(Pieces {
            since: now,
            pieces: Vec::new(),
            total: None,
        });
        if !entry.insert(offset, end, more, packet) {
            // Pieces that overlap or contradict each other are an attack or a broken sender (RFC 8900 §3.6).
            self.packets.remove(&key);
            return None;
        }
        if !entry.is_complete() {
            return None;
        }
        self.packets.remove(&key).and_then(Pieces::join)
    }
}

impl Pieces {
    fn insert(&mut self, offset: usize, end: usize, more: bool, packet: Packet) -> bool {
        let overlaps = |(at, piece): &(usize, Packet)| offset < at + piece.payload().len() && *at < end;
        let beyond = self.total.is_some_and(|total| end > total);
        let two_ends = !more && self.total.is_some();
        if self.pieces.iter().any(overlaps) || beyond || two_ends || self.pieces.len() == MAX_PIECES {
            return false;
        }
        if !more {
            self.total = Some(end);
        }
        self.pieces.push((offset, packet));
        self.pieces
            .iter()
            .all(|(at, piece)| self.total.is_none_or(|total| at + piece.payload().len() <= total))
    }

    /// Pieces do not overlap, so those that add up to the length fill it.
    fn is_complete(&self) -> bool {
        let held: usize = self.pieces.iter().map(|(_, piece)| piece.payload().len()).sum();
        self.total == Some(held)
    }

    fn join(mut self) -> Option<Packet> {
        self.pieces.sort_by_key(|(offset, _)| *offset);
        let (_, first) = self.pieces.first()?;
        let mut bytes = first.bytes[..first.payload_at].to_vec();
        for (_, piece) in &self.pieces {
            bytes.extend_from_slice(piece.payload());
        }
        let total = u16::try_from(bytes.len()).ok()?;
        let mut header = Ipv4Packet::new_unchecked(&mut bytes[..]);
        header.set_total_len(total);
        header.clear_flags();
        header.set_frag_offset(0);
        header.fill_checksum();
        Some(Packet {
            bytes: bytes.into(),
            ..first.clone()
        })
    }
}

/// Cuts a packet of ours into ones of at most `mtu` bytes, which share `ident`. A packet that fits stays whole, and so does a
/// train of segments, which is cut by those.
pub(crate) fn cut(packet: Outgoing, mtu: usize, ident: u16) -> Vec<Outgoing> {
    const HEADER: usize = 20; // what we write has no options
    if packet.ip().len() <= mtu || packet.is_train() {
        return vec![packet];
    }
    let (header, payload) = packet.ip().split_at(HEADER);
    let step = mtu.saturating_sub(HEADER).max(8) / 8 * 8; // offsets count in eights
    let last = payload.chunks(step).count() - 1;
    let piece = |(i, data): (usize, &[u8])| {
        let mut piece = Outgoing::zeroed(HEADER + data.len());
        piece.ip_mut()[..HEADER].copy_from_slice(header);
        piece.ip_mut()[HEADER..].copy_from_slice(data);
        let total = piece.ip().len() as u16;
        let mut ip = Ipv4Packet::new_unchecked(piece.ip_mut());
        ip.set_total_len(total);
        ip.set_ident(ident);
        ip.clear_flags();
        ip.set_more_frags(i < last);
        ip.set_frag_offset((i * step) as u16);
        ip.fill_checksum();
        piece
    };
    payload.chunks(step).enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::tests::packet;
    use hub_core::frame::Checksum;
    use proptest::prelude::*;

    fn pieces(data: &[u8], mtu: usize) -> Vec<Packet> {
        let whole = Outgoing::udp(
            "192.168.30.9:5000".parse().unwrap(),
            "1.1.1.1:53".parse().unwrap(),
            data,
        );
        cut(whole, mtu, 77)
            .into_iter()
            .map(|piece| packet(&piece.into_frame([2; 6], [4; 6])))
            .collect()
    }

    #[test]
    fn a_packet_that_fits_is_left_alone() {
        let mut reassembly = Reassembly::default();
        let only = pieces(&[7; 1000], 1500);
        assert_eq!(only.len(), 1);
        assert!(reassembly.take(Instant::now(), only[0].clone()).is_some());
    }

    #[test]
    fn overlapping_pieces_are_thrown_away() {
        let (mut reassembly, now) = (Reassembly::default(), Instant::now());
        let parts = pieces(&[1; 3000], 1500);
        assert!(reassembly.take(now, parts[0].clone()).is_none());
        assert!(reassembly.take(now, parts[0].clone()).is_none());
        assert!(reassembly.packets.is_empty());
    }

    #[test]
    fn pieces_of_many_packets_do_not_pile_up() {
        let (mut reassembly, now) = (Reassembly::default(), Instant::now());
        for ident in 0..1000u16 {
            let whole = Outgoing::udp(
                "192.168.30.9:5".parse().unwrap(),
                "1.1.1.1:5".parse().unwrap(),
                &[0; 3000],
            );
            let first = cut(whole, 1500, ident).remove(0).into_frame([2; 6], [4; 6]);
            reassembly.take(now, packet(&first));
        }
        assert_eq!(reassembly.packets.len(), MAX_PACKETS);
        reassembly.take(now + PATIENCE, pieces(&[0; 3000], 1500).remove(0));
        assert_eq!(reassembly.packets.len(), 1);
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_become_the_packet(
            len in 1500usize..9000, mtu in 68usize..1500, shuffle in any::<prop::sample::Index>()
        ) {
            let data: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut parts = pieces(&data, mtu);
            prop_assert!(parts.iter().all(|part| part.bytes.len() <= mtu));
            let middle = shuffle.index(parts.len());
            parts.rotate_left(middle);
            parts.reverse();
            let (mut reassembly, now) = (Reassembly::default(), Instant::now());
            let done: Vec<Packet> = parts.into_iter().filter_map(|part| reassembly.take(now, part)).collect();
            if len.div_ceil(mtu.saturating_sub(20) / 8 * 8) < MAX_PIECES {
                prop_assert_eq!(done.len(), 1);
                prop_assert_eq!(done[0].udp(Checksum::Complete), Some(&data[..]));
            }
        }
    }
}
