//! What a frame's sender left undone: the meaning of the virtio-net header (virtio 1.2, §5.1.6).

/// The work that a frame still needs before a peer without offload may see it.
///
/// A super-frame (one TCP segment train in one frame of up to 64 KiB) travels whole between ports that take
/// it. A hub does not cut: it keeps super-frames from ports that do not take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// How to cut the frame into wire-sized ones, if it is a super-frame.
    pub segmentation: Option<Segmentation>,
    /// The state of the transport checksum.
    pub checksum: Checksum,
}

/// How a super-frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// Which headers repeat in each piece.
    pub kind: SegmentKind,
    /// Payload bytes per piece (the maximum segment size); never 0 in a frame that a hub forwards.
    pub size: u16,
    /// Length in bytes of the headers up to the payload. A hint: whoever cuts reads the headers itself.
    pub header_len: u16,
    /// Whether the TCP flow uses explicit congestion notification (RFC 3168), so that CWR belongs to the
    /// first piece only.
    pub ecn: bool,
}

/// The protocol whose segments a super-frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
    /// UDP datagrams of one flow (`UDP_L4`), over IPv4 or IPv6.
    Udp,
}

/// The state of a frame's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// In place; nothing is known about its truth.
    #[default]
    Complete,
    /// In place, and somebody trustworthy has verified it.
    Verified,
    /// To be computed over everything from `start`, and stored `offset` bytes after `start`.
    Partial {
        /// Where the sum begins, in bytes from the start of the frame.
        start: u16,
        /// Where the sum is stored, in bytes from `start`.
        offset: u16,
    },
}

impl Offload {
    /// Nothing is left to do: the bytes are an ordinary frame.
    pub const NONE: Self = Self {
        segmentation: None,
        checksum: Checksum::Complete,
    };

    /// Whether any port can take the frame as it is: it is not a super-frame and its checksum is in place.
    pub fn is_finished(&self) -> bool {
        self.segmentation.is_none() && !matches!(self.checksum, Checksum::Partial { .. })
    }

    /// Whether the description holds together for a frame of `len` bytes: the checksum field lies inside the
    /// frame, and pieces have a size.
    pub fn fits(&self, len: usize) -> bool {
        let checksum_inside = match self.checksum {
            Checksum::Complete | Checksum::Verified => true,
            Checksum::Partial { start, offset } => usize::from(start) + usize::from(offset) + 2 <= len,
        };
        let cuttable = self
            .segmentation
            .is_none_or(|s| s.size > 0 && usize::from(s.header_len) <= len);
        checksum_inside && cuttable
    }

    /// The same description after `by` bytes were put in front of (or taken from) the network header.
    pub(crate) fn shifted(self, by: i16) -> Self {
        let shift = |at: u16| at.saturating_add_signed(by);
        Self {
            segmentation: self.segmentation.map(|s| Segmentation {
                header_len: shift(s.header_len),
                ..s
            }),
            checksum: match self.checksum {
                Checksum::Partial { start, offset } => Checksum::Partial {
                    start: shift(start),
                    offset,
                },
                other => other,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSO: Offload = Offload {
        segmentation: Some(Segmentation {
            kind: SegmentKind::TcpV4,
            size: 1448,
            header_len: 66,
            ecn: false,
        }),
        checksum: Checksum::Partial {
            start: 34,
            offset: 16,
        },
    };

    #[test]
    fn verified_checksums_need_no_work_and_partial_ones_do() {
        assert!(Offload::NONE.is_finished());
        assert!(
            Offload {
                checksum: Checksum::Verified,
                ..Offload::NONE
            }
            .is_finished()
        );
        assert!(
            !Offload {
                checksum: TSO.checksum,
                ..Offload::NONE
            }
            .is_finished()
        );
        assert!(
            !Offload {
                segmentation: TSO.segmentation,
                ..Offload::NONE
            }
            .is_finished()
        );
    }

    #[test]
    fn a_checksum_field_must_lie_inside_the_frame() {
        let partial = Offload {
            checksum: Checksum::Partial {
                start: 34,
                offset: 16,
            },
            ..Offload::NONE
        };
        assert!(partial.fits(52));
        assert!(!partial.fits(51));
        let wild = Offload {
            checksum: Checksum::Partial {
                start: u16::MAX,
                offset: u16::MAX,
            },
            ..Offload::NONE
        };
        assert!(!wild.fits(65_535));
    }

    #[test]
    fn a_super_frame_needs_a_segment_size() {
        assert!(TSO.fits(40_000));
        let sizeless = Offload {
            segmentation: TSO.segmentation.map(|s| Segmentation { size: 0, ..s }),
            ..TSO
        };
        assert!(!sizeless.fits(40_000));
    }

    #[test]
    fn a_vlan_tag_moves_the_checksum_with_the_headers() {
        let tagged = TSO.shifted(4);
        assert_eq!(
            tagged.checksum,
            Checksum::Partial {
                start: 38,
                offset: 16
            }
        );
        assert_eq!(tagged.segmentation.map(|s| s.header_len), Some(70));
        assert_eq!(tagged.shifted(-4), TSO);
    }
}
