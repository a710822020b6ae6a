//! The virtio-net header, in which the kernel and its devices tell each other what is left to do in a frame.

const NEEDS_CHECKSUM: u8 = 1;
const VERIFIED: u8 = 2;
const ECN: u8 = 0x80;
const TCP4: u8 = 1;
const TCP6: u8 = 4;
const UDP: u8 = 5;

/// The ten bytes that stand before a frame (virtio 1.2 section 5.1.6), in little-endian order on every machine: flags, kind
/// of segments, length of the headers, size of a segment, where the checksum's range begins, where in it the checksum lies.
///
/// A header is what somebody claims. Whoever acts on one looks into the frame first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VnetHeader([u8; Self::LEN]);

/// What is left to be done in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) kind: Kind,
    /// The bytes of payload per segment.
    pub(super) size: usize,
    pub(super) checksum: Checksum,
}

/// What a frame is to be cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Tcp4,
    Tcp6,
    Udp,
}

/// How the transport checksum stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksum {
    /// In place, and nobody has looked.
    Complete,
    /// In place and right.
    Verified,
    /// To be computed: where its range begins and where it lies, both counted from the start of the frame.
    Partial { start: usize, at: usize },
}

impl VnetHeader {
    /// The header's length in bytes, without the count of merged buffers.
    pub const LEN: usize = 10;

    /// Nothing is left to do.
    pub const NONE: Self = Self([0; Self::LEN]);

    /// A header from its little-endian bytes.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its little-endian bytes.
    pub const fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }

    /// A header as the kernel gives it: its numbers are in the machine's order.
    pub(crate) fn from_kernel(bytes: [u8; Self::LEN]) -> Self {
        Self(turned(bytes))
    }

    /// A header as the kernel takes it.
    pub(crate) fn to_kernel(self) -> [u8; Self::LEN] {
        turned(self.0)
    }

    /// The header of several segments in one frame: `headers` bytes up to the payload, `size` bytes of payload each.
    pub(super) fn segments(
        kind: Kind,
        ecn: bool,
        headers: usize,
        size: usize,
        start: usize,
        at: usize,
    ) -> Self {
        let kind = match kind {
            Kind::Whole => 0,
            Kind::Tcp4 => TCP4,
            Kind::Tcp6 => TCP6,
            Kind::Udp => UDP,
        };
        let mut header = Self([0; Self::LEN]);
        header.0[0] = NEEDS_CHECKSUM;
        header.0[1] = kind | if ecn { ECN } else { 0 };
        for (place, number) in [(2, headers), (4, size), (6, start), (8, at - start)] {
            header.set(place, number as u16);
        }
        header
    }

    /// Whether the frame is to be cut into several.
    pub fn is_super(&self) -> bool {
        self.0[1] & !ECN != 0
    }

    /// Whether the frame needs nothing more: it is not to be cut and its checksum is in place.
    pub fn is_finished(&self) -> bool {
        !self.is_super() && self.0[0] & NEEDS_CHECKSUM == 0
    }

    /// Whether the segments of a super-frame are UDP datagrams.
    pub(crate) fn is_udp(&self) -> bool {
        self.0[1] & !ECN == UDP
    }

    /// Moves what the header points to by `by` bytes: a VLAN tag was put back before it.
    pub(crate) fn shift(&mut self, by: u16) {
        if self.0[0] & NEEDS_CHECKSUM != 0 {
            self.set(6, self.field(6).saturating_add(by));
        }
        if self.is_super() {
            self.set(2, self.field(2).saturating_add(by));
        }
    }

    /// What the header asks for; `None` when that is a kind of cutting unknown here.
    pub(super) fn work(&self) -> Option<Work> {
        let kind = match self.0[1] & !ECN {
            0 => Kind::Whole,
            TCP4 => Kind::Tcp4,
            TCP6 => Kind::Tcp6,
            UDP => Kind::Udp,
            _ => return None,
        };
        let start = usize::from(self.field(6));
        let checksum = if self.0[0] & NEEDS_CHECKSUM != 0 {
            let at = start + usize::from(self.field(8));
            Checksum::Partial { start, at }
        } else if self.0[0] & VERIFIED != 0 {
            Checksum::Verified
        } else {
            Checksum::Complete
        };
        Some(Work {
            kind,
            size: usize::from(self.field(4)),
            checksum,
        })
    }

    fn field(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn set(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
}

/// The same header in the other party's order, which is another one on big-endian machines only.
fn turned(mut bytes: [u8; VnetHeader::LEN]) -> [u8; VnetHeader::LEN] {
    if cfg!(target_endian = "big") {
        for at in [2, 4, 6, 8] {
            bytes.swap(at, at + 1);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_of_cutting_is_refused() {
        let mut bytes = [0; VnetHeader::LEN];
        bytes[1] = 3;
        let header = VnetHeader::from_bytes(bytes);
        assert!(header.is_super());
        assert_eq!(header.work(), None);
    }

    #[test]
    fn a_header_of_segments_reads_as_it_was_written_and_moves_with_a_tag() {
        let mut header = VnetHeader::segments(Kind::Tcp4, true, 66, 1448, 34, 50);
        assert_eq!(header.bytes(), [1, 0x81, 66, 0, 0xa8, 5, 34, 0, 16, 0]);
        header.shift(4);
        assert_eq!(header.bytes(), [1, 0x81, 70, 0, 0xa8, 5, 38, 0, 16, 0]);
        assert_eq!(
            header.work(),
            Some(Work {
                kind: Kind::Tcp4,
                size: 1448,
                checksum: Checksum::Partial { start: 38, at: 54 },
            })
        );
        let mut plain = VnetHeader::NONE;
        plain.shift(4);
        assert_eq!(plain, VnetHeader::NONE);
    }
}
