//! Frames between a hub and the network devices of this machine.
//!
//! What is left undone in a frame is an `Offload` in the hub and a [`VnetHeader`] at a device, which is the same in two
//! crates that do not know each other.

use std::io;
use std::mem;

use bytes::{Bytes, BytesMut};
use hub_core::buffer;
use hub_core::frame::{Frame, MAX_SUPER_FRAME, Offload, SegmentKind, Segmentation};
use netdev::segment::{self, Joiner};
use netdev::{PacketSocket, Tap, VnetHeader};

/// What is taken from a device before it is handed on: enough that the hub's lock and the receiver's waking are shared by
/// many frames, not so much that the first of them waits.
const BATCH_FRAMES: usize = 64;
const BATCH_BYTES: usize = 256 * 1024;

/// What is left to do in a frame of the hub.
#[must_use]
pub fn header_of(frame: &Frame) -> VnetHeader {
    VnetHeader::from_bytes(frame.offload.to_virtio())
}

/// A frame of the hub from a device's; `None` when the device leaves work that nobody here knows.
fn frame_of(header: VnetHeader, bytes: Bytes) -> Option<Frame> {
    let offload = Offload::from_virtio(header.bytes())?;
    Some(Frame { bytes, offload })
}

/// A device that frames can be read from.
pub trait Source {
    /// Appends a frame that is there to `buf`, or fails with `WouldBlock`; returns its header and length.
    fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)>;
}

impl Source for Tap {
    fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.try_recv(buf)
    }
}

impl Source for PacketSocket {
    fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.try_recv(buf)
    }
}

/// Reads a device, a batch of what is there at a time.
///
/// The frame that ends a rest goes on alone, before the look at whether there is more: who sends a single frame often waits for the
/// answer, and after a rest, when nothing is in a cache, even that look takes its time.
#[derive(Debug)]
pub struct Reader {
    has_rested: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { has_rested: true }
    }
}

impl Reader {
    /// Appends the frames that are there to `frames`, up to a batch. None is no error: the device's readiness was a mistake.
    ///
    /// # Errors
    /// What the device says before the first frame. What it says later is said again at the next call, if it lasts.
    pub fn read(&mut self, device: &impl Source, frames: &mut Vec<Frame>) -> io::Result<()> {
        let most = if self.has_rested { 1 } else { BATCH_FRAMES };
        self.has_rested = false;
        let mut bytes = 0;
        let mut outcome = Ok(());
        let mut chunk = buffer::take(MAX_SUPER_FRAME);
        for _ in 0..most {
            if chunk.capacity() < MAX_SUPER_FRAME {
                buffer::give(mem::take(&mut chunk));
                chunk = buffer::take(MAX_SUPER_FRAME);
            }
            match device.read(&mut chunk) {
                Ok((header, len)) => {
                    bytes += len;
                    frames.extend(frame_of(header, chunk.split().freeze()));
                }
                Err(error) => {
                    self.has_rested = error.kind() == io::ErrorKind::WouldBlock;
                    if frames.is_empty() && !self.has_rested {
                        outcome = Err(error);
                    }
                    break;
                }
            }
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        buffer::give(chunk);
        outcome
    }
}

/// Gives frames to a joiner, whose device they are for.
pub fn join(joiner: &mut Joiner, frames: impl IntoIterator<Item = Frame>) {
    for frame in frames {
        joiner.push(header_of(&frame), frame.bytes);
    }
}

/// Finishes frames for those who take them only as they are on a wire.
#[derive(Debug, Default)]
pub struct Finisher {
    room: BytesMut,
    finished: Vec<Frame>,
}

impl Finisher {
    /// Cuts the super-frames among `frames` and completes checksums. A frame that is not what its header says is dropped;
    /// how many were.
    pub fn finish(&mut self, frames: &mut Vec<Frame>) -> usize {
        self.finish_those(frames, |offload| !offload.is_finished())
    }

    /// Cuts trains of datagrams, and leaves everything else as it is.
    pub fn finish_datagrams(&mut self, frames: &mut Vec<Frame>) -> usize {
        let is_train = |train: Segmentation| train.kind == SegmentKind::Udp;
        self.finish_those(frames, |offload| offload.segmentation.is_some_and(is_train))
    }

    fn finish_those(&mut self, frames: &mut Vec<Frame>, wanted: impl Fn(&Offload) -> bool) -> usize {
        if !frames.iter().any(|frame| wanted(&frame.offload)) {
            return 0;
        }
        let mut dropped = 0;
        for frame in frames.drain(..) {
            if !wanted(&frame.offload) {
                self.finished.push(frame);
                continue;
            }
            let header = header_of(&frame);
            let pieces = segment::finish(&header, frame.bytes, &mut self.room, |piece| {
                self.finished.push(Frame::new(piece));
            });
            dropped += usize::from(pieces == 0);
        }
        mem::swap(frames, &mut self.finished);
        dropped
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use hub_core::frame::Checksum;

    use super::*;

    /// Three UDP datagrams of ten bytes in one frame.
    fn super_frame() -> Frame {
        let mut bytes = vec![2; 12];
        bytes.extend([8, 0, 0x45, 0, 0, 58, 0, 1, 0x40, 0, 64, 17, 0, 0]);
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2, 0, 7, 0, 7, 0, 38, 0, 0]);
        bytes.extend([5; 30]);
        Frame {
            bytes: bytes.into(),
            offload: Offload {
                segmentation: Some(Segmentation {
                    kind: SegmentKind::Udp,
                    size: 10,
                    header_len: 42,
                    ecn: false,
                }),
                checksum: Checksum::Partial { start: 34, offset: 6 },
            },
        }
    }

    #[test]
    fn finished_frames_stay_where_they_are_among_pieces() {
        let plain = Frame::new(vec![1; 60]);
        let mut batch = vec![plain.clone(), super_frame(), plain.clone()];
        let mut finisher = Finisher::default();
        assert_eq!(finisher.finish(&mut batch), 0);
        assert!(batch.iter().all(|frame| frame.offload.is_finished()));
        assert_eq!(
            batch.iter().map(Frame::len).collect::<Vec<_>>(),
            [60, 52, 52, 52, 60]
        );
        let before = batch[0].bytes.as_ptr();
        finisher.finish(&mut batch);
        assert_eq!(batch[0].bytes.as_ptr(), before);
    }

    #[test]
    fn a_frame_that_is_not_what_it_says_is_dropped_and_counted() {
        let mut wrong = super_frame();
        wrong.bytes = wrong.bytes.slice(..30);
        let mut batch = vec![wrong, super_frame()];
        assert_eq!(Finisher::default().finish(&mut batch), 1);
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn a_batch_ends_with_what_is_there_and_an_error_waits_for_an_empty_one() {
        struct Two(std::cell::Cell<u8>);
        impl Source for Two {
            fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
                let left = self.0.get();
                self.0.set(left.saturating_sub(1));
                if left == 0 {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                buf.extend_from_slice(&[left; 60]);
                Ok((VnetHeader::NONE, 60))
            }
        }
        let (device, mut frames, mut reader) = (Two(2.into()), Vec::new(), Reader { has_rested: false });
        reader.read(&device, &mut frames).unwrap();
        assert_eq!(frames.len(), 2);
        frames.clear();
        assert!(reader.read(&device, &mut frames).is_err());
    }

    #[test]
    fn the_frame_that_ends_a_rest_goes_on_alone_and_the_others_together() {
        /// How many frames are there; afterwards there are none.
        struct Waiting(std::cell::Cell<u8>);
        impl Source for Waiting {
            fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
                let left = self.0.get().checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
                self.0.set(left);
                buf.extend_from_slice(&[left; 60]);
                Ok((VnetHeader::NONE, 60))
            }
        }
        let (device, mut reader) = (Waiting(10.into()), Reader::default());
        let mut read = || {
            let mut frames = Vec::new();
            reader.read(&device, &mut frames).unwrap();
            frames.len()
        };
        assert_eq!([read(), read(), read()], [1, 9, 0]);
        device.0.set(3);
        assert_eq!([read(), read(), read()], [1, 2, 0]);
    }
}
