//! What a frame's sender left undone: the meaning of the virtio-net header (virtio 1.2, §5.1.6).

/// The length in bytes of a virtio-net header without a count of buffers.
pub const VIRTIO_HEADER: usize = 10;

/// Flags of the header.
const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const NEEDS_CSUM_AND_VALID: u8 = NEEDS_CSUM | DATA_VALID;

/// Kinds of super-frames in the header, and the bit that goes with those of TCP.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

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

    /// Reads a virtio-net header of 10 bytes, whose numbers are little-endian. `None` for work that nobody here can do:
    /// unknown flags and kinds of super-frames, and super-frames whose pieces would be empty.
    #[must_use]
    pub fn from_virtio(header: [u8; VIRTIO_HEADER]) -> Option<Self> {
        let [flags, kind, l0, l1, z0, z1, s0, s1, o0, o1] = header;
        let checksum = match flags {
            0 => Checksum::Complete,
            DATA_VALID => Checksum::Verified,
            // What is yet to be computed is not verified: the kernel reads both flags so, too.
            NEEDS_CSUM | NEEDS_CSUM_AND_VALID => Checksum::Partial {
                start: u16::from_le_bytes([s0, s1]),
                offset: u16::from_le_bytes([o0, o1]),
            },
            _ => return None,
        };
        let (ecn, kind) = (kind & GSO_ECN != 0, kind & !GSO_ECN);
        let kind = match kind {
            GSO_NONE if !ecn => None,
            GSO_TCPV4 => Some(SegmentKind::TcpV4),
            GSO_TCPV6 => Some(SegmentKind::TcpV6),
            GSO_UDP_L4 if !ecn => Some(SegmentKind::Udp),
            _ => return None,
        };
        let size = u16::from_le_bytes([z0, z1]);
        if kind.is_some() && size == 0 {
            return None;
        }
        let segmentation = kind.map(|kind| Segmentation {
            kind,
            size,
            header_len: u16::from_le_bytes([l0, l1]),
            ecn,
        });
        Some(Self {
            segmentation,
            checksum,
        })
    }

    /// The same for a header that came from a peer, whose word that a checksum is right counts for nothing.
    #[must_use]
    pub fn from_peer(header: [u8; VIRTIO_HEADER]) -> Option<Self> {
        let mut offload = Self::from_virtio(header)?;
        if offload.checksum == Checksum::Verified {
            offload.checksum = Checksum::Complete;
        }
        Some(offload)
    }

    /// The description as a virtio-net header of 10 bytes, whose numbers are little-endian.
    #[must_use]
    pub fn to_virtio(self) -> [u8; VIRTIO_HEADER] {
        let (flags, start, offset) = match self.checksum {
            Checksum::Complete => (0, 0, 0),
            Checksum::Verified => (DATA_VALID, 0, 0),
            Checksum::Partial { start, offset } => (NEEDS_CSUM, start, offset),
        };
        let (kind, size, header_len) = match self.segmentation {
            None => (GSO_NONE, 0, 0),
            Some(s) => {
                let kind = match s.kind {
                    SegmentKind::TcpV4 => GSO_TCPV4,
                    SegmentKind::TcpV6 => GSO_TCPV6,
                    SegmentKind::Udp => GSO_UDP_L4,
                };
                let ecn = s.ecn && s.kind != SegmentKind::Udp;
                (if ecn { kind | GSO_ECN } else { kind }, s.size, s.header_len)
            }
        };
        let [l0, l1] = header_len.to_le_bytes();
        let [z0, z1] = size.to_le_bytes();
        let [s0, s1] = start.to_le_bytes();
        let [o0, o1] = u16::to_le_bytes(offset);
        [flags, kind, l0, l1, z0, z1, s0, s1, o0, o1]
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
    use proptest::prelude::*;

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

    /// What Linux writes before a TCP segment train on a TAP device: hdr_len 66, gso_size 1448.
    #[test]
    fn the_header_is_that_of_virtio() {
        let header = [1, 1, 66, 0, 0xa8, 0x05, 34, 0, 16, 0];
        assert_eq!(Offload::from_virtio(header), Some(TSO));
        assert_eq!(TSO.to_virtio(), header);
        assert_eq!(Offload::NONE.to_virtio(), [0; 10]);
    }

    #[test]
    fn work_that_nobody_can_do_is_refused() {
        let with = |flags, kind, size| Offload::from_virtio([flags, kind, 66, 0, size, 0, 34, 0, 16, 0]);
        for kind in 0..=u8::MAX {
            let known = matches!(kind, 0 | 1 | 4 | 5 | 0x81 | 0x84);
            assert_eq!(with(1, kind, 100).is_some(), known, "kind {kind:#x}");
        }
        for flags in 0..=u8::MAX {
            assert_eq!(with(flags, 1, 100).is_some(), flags < 4, "flags {flags:#x}");
        }
        assert_eq!(with(1, 1, 0), None, "pieces of no bytes");
    }

    #[test]
    fn flags_say_how_the_checksum_stands() {
        let checksum = |flags| Offload::from_virtio([flags, 0, 0, 0, 0, 0, 34, 0, 16, 0]).map(|o| o.checksum);
        assert_eq!(checksum(0), Some(Checksum::Complete));
        assert_eq!(checksum(2), Some(Checksum::Verified));
        assert_eq!(checksum(1), Some(TSO.checksum));
        assert_eq!(
            checksum(3),
            Some(TSO.checksum),
            "what is yet to be computed is not verified"
        );
    }

    #[test]
    fn what_a_peer_has_verified_is_not() {
        let header = [2, 1, 66, 0, 0xa8, 0x05, 0, 0, 0, 0];
        let offload = Offload::from_peer(header).unwrap();
        assert_eq!(offload.checksum, Checksum::Complete);
        assert_eq!(offload.segmentation, TSO.segmentation);
        assert_eq!(Offload::from_peer(TSO.to_virtio()), Some(TSO));
        assert_eq!(Offload::from_peer([8; 10]), None);
    }

    fn any_offload() -> impl Strategy<Value = Offload> {
        let kind = prop_oneof![
            Just((SegmentKind::TcpV4, false)),
            Just((SegmentKind::TcpV4, true)),
            Just((SegmentKind::TcpV6, false)),
            Just((SegmentKind::TcpV6, true)),
            Just((SegmentKind::Udp, false)),
        ];
        let segmentation =
            (kind, 1_u16.., any::<u16>()).prop_map(|((kind, ecn), size, header_len)| Segmentation {
                kind,
                size,
                header_len,
                ecn,
            });
        let checksum = prop_oneof![
            Just(Checksum::Complete),
            Just(Checksum::Verified),
            (any::<u16>(), any::<u16>()).prop_map(|(start, offset)| Checksum::Partial { start, offset }),
        ];
        (prop::option::of(segmentation), checksum).prop_map(|(segmentation, checksum)| Offload {
            segmentation,
            checksum,
        })
    }

    proptest! {
        #[test]
        fn every_description_survives_as_a_header(offload in any_offload()) {
            prop_assert_eq!(Offload::from_virtio(offload.to_virtio()), Some(offload));
        }

        #[test]
        fn no_header_does_harm(header: [u8; VIRTIO_HEADER], len in 0..70_000_usize) {
            if let Some(offload) = Offload::from_virtio(header) {
                prop_assert_eq!(Offload::from_virtio(offload.to_virtio()), Some(offload));
                let _ = (offload.fits(len), offload.is_finished());
            }
        }
    }
}
