//! VLANs at the edge of the hub: tags put on and taken off where a frame passes between a port that belongs
//! to one VLAN and a port that sees them all.

use bytes::{Bytes, BytesMut};

use super::port::VlanId;
use crate::frame::MIN_FRAME;
use crate::{Frame, FrameView};

const TAG_LEN: usize = 4;
/// Where the first tag begins: behind both addresses.
const TAG_AT: usize = MIN_FRAME - 2;

/// The VLAN that the outermost tag of a frame names, if it names one.
pub(super) fn of_frame(view: &FrameView) -> Option<VlanId> {
    VlanId::new(view.vlan?.id())
}

/// Whether an unfinished frame begins with a tag that only this hub knows: who is to finish it would not find its headers.
pub(super) fn hides_headers(frame: &Frame, tag_type: u16) -> bool {
    /// The types of tags that everybody reads (802.1Q).
    const COMMON: [u16; 2] = [0x8100, 0x88a8];
    !COMMON.contains(&tag_type)
        && !frame.offload.is_finished()
        && frame.bytes.get(TAG_AT..TAG_AT + 2) == Some(&tag_type.to_be_bytes()[..])
}

/// One frame in the two shapes that ports may want it in. The second is made when the first port asks for it.
pub(super) struct Shapes<'a> {
    frame: &'a Frame,
    view: &'a FrameView,
    /// The VLAN the frame belongs to, by its tag or by the port it came from.
    vlan: Option<VlanId>,
    /// Whether `frame` says so itself.
    tagged: bool,
    /// The protocol identifier of tags that are put on.
    tag_type: u16,
    other: Option<Frame>,
}

impl<'a> Shapes<'a> {
    pub(super) fn new(frame: &'a Frame, view: &'a FrameView, vlan: Option<VlanId>, tag_type: u16) -> Self {
        Self {
            frame,
            view,
            vlan,
            tagged: of_frame(view).is_some(),
            tag_type,
            other: None,
        }
    }

    /// The frame as a port of `port_vlan` sees it; `None` if it belongs to another VLAN.
    pub(super) fn seen_from(&mut self, port_vlan: Option<VlanId>) -> Option<&Frame> {
        if port_vlan.is_some() && port_vlan != self.vlan {
            return None;
        }
        let wants_tag = port_vlan.is_none();
        match self.vlan {
            Some(vlan) if wants_tag != self.tagged => {
                let (frame, view, tag_type) = (self.frame, self.view, self.tag_type);
                let other = || {
                    if wants_tag {
                        tag(frame, view, vlan, tag_type)
                    } else {
                        untag(frame)
                    }
                };
                Some(self.other.get_or_insert_with(other))
            }
            _ => Some(self.frame),
        }
    }
}

/// The frame with a tag for `vlan`. A tag that only carried a priority becomes that tag.
fn tag(frame: &Frame, view: &FrameView, vlan: VlanId, tag_type: u16) -> Frame {
    let (addresses, rest) = frame.bytes.split_at(TAG_AT);
    let mut bytes = BytesMut::with_capacity(frame.len() + TAG_LEN);
    bytes.extend_from_slice(addresses);
    if view.vlan.is_some() {
        bytes.extend_from_slice(rest);
        bytes[TAG_AT + 2] |= (vlan.get() >> 8) as u8;
        bytes[TAG_AT + 3] = vlan.get() as u8;
        return Frame {
            bytes: bytes.freeze(),
            offload: frame.offload,
        };
    }
    bytes.extend_from_slice(&tag_type.to_be_bytes());
    bytes.extend_from_slice(&vlan.get().to_be_bytes());
    bytes.extend_from_slice(rest);
    Frame {
        bytes: bytes.freeze(),
        offload: frame.offload.shifted(TAG_LEN as i16),
    }
}

/// The frame without its outermost tag.
fn untag(frame: &Frame) -> Frame {
    let bytes: Bytes = [&frame.bytes[..TAG_AT], &frame.bytes[TAG_AT + TAG_LEN..]]
        .concat()
        .into();
    Frame {
        bytes,
        offload: frame.offload.shifted(-(TAG_LEN as i16)),
    }
}
