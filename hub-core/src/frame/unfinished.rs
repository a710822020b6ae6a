//! Unfinished frames: whether their description is true, and what a wire would carry for them.

use super::view::{Ports, chunk};
use super::{Checksum, Frame, FrameView, Network, Offload, SegmentKind, Transport};

/// Pieces that one super-frame may be cut into. Linux does not make that many; without a bound the description in a
/// peer's frame could turn it into megabytes.
const MAX_PIECES: usize = 8192;

/// The ports of DHCP for IPv4.
const DHCP_PORTS: [u16; 2] = [67, 68];

/// Where the checksum is stored, in bytes from the start of the transport header.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;
const ICMPV6_CHECKSUM: u16 = 2;

/// Frames and their bytes, as a wire would carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnWire {
    /// How many.
    pub frames: u64,
    /// Their bytes, Ethernet headers included.
    pub bytes: u64,
}

impl Frame {
    /// What a wire would carry for this frame: itself, or the pieces that a super-frame is cut into. Counters, meters and
    /// limits go by it, so that they do not tell whether offload is on.
    #[must_use]
    pub fn on_wire(&self) -> OnWire {
        let whole = OnWire {
            frames: 1,
            bytes: self.len() as u64,
        };
        let Some(segmentation) = self.offload.segmentation else {
            return whole;
        };
        let Some(headers) = FrameView::parse(&self.bytes).and_then(|view| headers(&view, &self.bytes)) else {
            return whole;
        };
        let pieces = self
            .len()
            .saturating_sub(headers)
            .div_ceil(usize::from(segmentation.size).max(1))
            .max(1);
        OnWire {
            frames: pieces as u64,
            bytes: (self.len() + (pieces - 1) * headers) as u64,
        }
    }
}

impl Offload {
    /// Whether the description is true of a frame, which must be the bytes that `view` and `transport` were read from.
    ///
    /// A description comes from wherever the frame comes from, and whoever acts on it writes into the frame, long after
    /// the hub has looked at it. So a checksum may be stored in no other place than the one of its transport protocol
    /// (else it could change the address or the ports by which the frame was let in), and the pieces of a super-frame
    /// must be frames that the hub would have judged the same one by one.
    pub(crate) fn is_true_of(&self, view: &FrameView, transport: Transport, frame: &[u8]) -> bool {
        if self.is_finished() {
            return true;
        }
        let (Some(start), Some(offset)) = (view.transport_offset(), checksum_offset(transport)) else {
            return false;
        };
        let checksum_is_true = match self.checksum {
            Checksum::Complete | Checksum::Verified => true,
            partial @ Checksum::Partial { .. } => partial == Checksum::Partial { start, offset },
        };
        !is_fragment(view) && checksum_is_true && self.pieces_are_alike(view, transport, frame)
    }

    /// Whether the pieces of the frame are what it is itself. The first is looked at; in none of the others may be
    /// something else.
    fn pieces_are_alike(&self, view: &FrameView, transport: Transport, frame: &[u8]) -> bool {
        let Some(segmentation) = self.segmentation else {
            return true;
        };
        let kind_is_true = match (segmentation.kind, &view.network, transport) {
            (SegmentKind::TcpV4, Network::Ipv4(_), Transport::Tcp { .. })
            | (SegmentKind::TcpV6, Network::Ipv6(_), Transport::Tcp { .. }) => true,
            // What a datagram says in DHCP is read from its payload, and of a train only the first one's is.
            (SegmentKind::Udp, Network::Ipv4(_) | Network::Ipv6(_), Transport::Udp { ports }) => {
                !is_dhcp(ports)
            }
            _ => false,
        };
        let Some(payload) = headers(view, frame).and_then(|headers| frame.len().checked_sub(headers)) else {
            return false;
        };
        let pieces = payload.div_ceil(usize::from(segmentation.size).max(1));
        kind_is_true && packet_end(view, frame) == Some(frame.len()) && (1..=MAX_PIECES).contains(&pieces)
    }

    /// The length of the longest frame that a wire would carry for one of `len` bytes.
    pub(crate) fn longest_piece(&self, view: &FrameView, frame: &[u8]) -> usize {
        let Some(segmentation) = self.segmentation else {
            return frame.len();
        };
        let headers = headers(view, frame).unwrap_or_default();
        frame.len().min(headers + usize::from(segmentation.size))
    }
}

/// Where the payload of TCP or UDP begins, in bytes from the start of the frame.
fn headers(view: &FrameView, frame: &[u8]) -> Option<usize> {
    let at = usize::from(view.transport_offset()?);
    match Transport::read(view, frame) {
        Transport::Tcp { .. } => {
            let header: &[u8; 20] = chunk(frame, at)?;
            let length = usize::from(header[12] >> 4) * 4;
            (length >= header.len() && at + length <= frame.len()).then_some(at + length)
        }
        Transport::Udp { .. } => Some(at + 8),
        Transport::Icmpv6 { .. } | Transport::Other | Transport::Broken => None,
    }
}

/// Where the IP packet ends in the frame; padding may follow.
pub(crate) fn packet_end(view: &FrameView, frame: &[u8]) -> Option<usize> {
    let at = usize::from(view.network_offset);
    let length = |field: usize| chunk(frame, at + field).map(|word| usize::from(u16::from_be_bytes(*word)));
    match view.network {
        Network::Ipv4(_) => Some(at + length(2)?),
        Network::Ipv6(_) => Some(at + 40 + length(4)?),
        Network::Arp(_) | Network::Other => None,
    }
}

fn checksum_offset(transport: Transport) -> Option<u16> {
    match transport {
        Transport::Tcp { .. } => Some(TCP_CHECKSUM),
        Transport::Udp { .. } => Some(UDP_CHECKSUM),
        Transport::Icmpv6 { .. } => Some(ICMPV6_CHECKSUM),
        Transport::Other | Transport::Broken => None,
    }
}

fn is_fragment(view: &FrameView) -> bool {
    match &view.network {
        Network::Ipv4(ip) => ip.fragment,
        Network::Ipv6(ip) => ip.fragment,
        Network::Arp(_) | Network::Other => false,
    }
}

fn is_dhcp(ports: Ports) -> bool {
    DHCP_PORTS.contains(&ports.source) || DHCP_PORTS.contains(&ports.destination)
}
