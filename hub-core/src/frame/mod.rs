//! Ethernet frames: their bytes, what is still to be done to them, and what their headers say.

mod checksum;
mod dhcp;
mod offload;
mod transport;
mod unfinished;
mod view;

use bytes::Bytes;

pub use checksum::checksum;
pub(crate) use checksum::corrected;
pub use dhcp::{DhcpAck, DhcpSide};
pub use offload::{Checksum, Offload, SegmentKind, Segmentation, VIRTIO_HEADER};
pub use transport::{TcpFlags, Transport};
pub use unfinished::OnWire;
pub(crate) use unfinished::packet_end;
pub use view::{Arp, FrameView, Ipv4, Ipv6, Network, Ports, VlanTag};

/// The longest frame, in bytes, that may carry [`Offload::NONE`], and the longest piece of a super-frame. Stock peers drop longer ones (protocol
/// §7.2).
pub const MAX_PLAIN_FRAME: usize = 1600;

/// The longest frame of all, in bytes: a full IP packet behind an Ethernet header with two VLAN tags.
pub const MAX_SUPER_FRAME: usize = 65_535 + 22;

/// The length of an Ethernet header, and so of the shortest frame, in bytes.
pub const MIN_FRAME: usize = 14;

/// One Ethernet frame from destination address to payload, without preamble, padding or check sequence.
///
/// Cloning shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The frame as it stands on the wire.
    pub bytes: Bytes,
    /// What the sender left for others to do.
    pub offload: Offload,
}

impl Frame {
    /// A finished frame: one that carries [`Offload::NONE`].
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            offload: Offload::NONE,
        }
    }

    /// The length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
