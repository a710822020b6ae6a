//! Frames to bytes.

use bytes::{BufMut, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::{
    FRAME_BYTES, KEEPALIVE_BYTES, KEEPALIVE_MARK, SUPER_FRAME_BYTES, SUPER_HEADER_BYTES, SUPER_MARK,
    SuperHeader,
};

/// What deflate can add to an incompressible frame: headers, checksum, and stored-block headers.
const DEFLATE_GROWTH: usize = 64;

/// Writes one direction of one TCP connection.
#[derive(Debug)]
pub struct BlockEncoder {
    zlib: Option<Compress>,
    super_frames: bool,
}

impl BlockEncoder {
    /// An encoder at the start of the data stage.
    #[must_use]
    pub fn new(compressed: bool) -> Self {
        Self {
            zlib: compressed.then(|| Compress::new(Compression::default(), true)),
            super_frames: false,
        }
    }

    /// The same for a session that agreed on super-frames, which is never a compressed one (protocol §14.3).
    #[must_use]
    pub fn with_super_frames() -> Self {
        Self {
            zlib: None,
            super_frames: true,
        }
    }

    /// Appends one group with all frames to `out` and returns how many there are. Frames that no peer would take,
    /// empty or longer than [`FRAME_BYTES`], are left out; without any other frame nothing is written.
    pub fn encode_group<I>(&mut self, frames: I, out: &mut BytesMut) -> u32
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let mut group = self.group(out);
        for frame in frames {
            group.push(frame.as_ref());
        }
        group.finish()
    }

    /// Begins a group at the end of `out`.
    pub fn group<'a>(&'a mut self, out: &'a mut BytesMut) -> Group<'a> {
        let start = out.len();
        out.put_u32(0);
        Group {
            encoder: self,
            out,
            start,
            count: 0,
        }
    }
}

/// A group that is being written. Dropped without [`Group::finish`] it is the same as finished.
#[derive(Debug)]
pub struct Group<'a> {
    encoder: &'a mut BlockEncoder,
    out: &'a mut BytesMut,
    start: usize,
    count: u32,
}

impl Group<'_> {
    /// Appends a finished frame. `false`: no peer would take it, for it is empty or longer than [`FRAME_BYTES`].
    #[inline]
    pub fn push(&mut self, frame: &[u8]) -> bool {
        if frame.is_empty() || frame.len() > FRAME_BYTES {
            return false;
        }
        match &mut self.encoder.zlib {
            None => {
                self.out.reserve(4 + frame.len());
                self.out.put_u32(frame.len() as u32);
                self.out.put_slice(frame);
            }
            Some(zlib) => {
                if !deflate(zlib, frame, self.out) {
                    return false;
                }
            }
        }
        self.count += 1;
        true
    }

    /// Appends a frame to which something is still to be done. `false`: this peer takes none, or the frame is empty or
    /// longer than [`SUPER_FRAME_BYTES`].
    #[inline]
    pub fn push_super(&mut self, header: SuperHeader, frame: &[u8]) -> bool {
        if !self.encoder.super_frames || frame.is_empty() || frame.len() > SUPER_FRAME_BYTES {
            return false;
        }
        let size = SUPER_HEADER_BYTES + frame.len();
        self.out.reserve(4 + size);
        self.out.put_u32(SUPER_MARK | size as u32);
        self.out.put_slice(&header);
        self.out.put_slice(frame);
        self.count += 1;
        true
    }

    /// Ends the group and returns how many frames are in it; with none, nothing was written.
    pub fn finish(self) -> u32 {
        self.count
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if self.count == 0 {
            self.out.truncate(self.start);
        } else {
            self.out[self.start..self.start + 4].copy_from_slice(&self.count.to_be_bytes());
        }
    }
}

/// Appends a keep-alive with (at most [`KEEPALIVE_BYTES`] of) `body`.
pub fn encode_keepalive(body: &[u8], out: &mut BytesMut) {
    let body = &body[..body.len().min(KEEPALIVE_BYTES)];
    out.reserve(8 + body.len());
    out.put_u32(KEEPALIVE_MARK);
    out.put_u32(body.len() as u32);
    out.put_slice(body);
}

/// Appends size and zlib stream; nothing when the stream does not fit its bound, which deflate rules out.
fn deflate(zlib: &mut Compress, frame: &[u8], out: &mut BytesMut) -> bool {
    let start = out.len();
    out.put_u32(0);
    let body = out.len();
    out.resize(body + frame.len() + DEFLATE_GROWTH, 0);
    zlib.reset();
    let status = zlib.compress(frame, &mut out[body..], FlushCompress::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) {
        out.truncate(start);
        return false;
    }
    let size = zlib.total_out() as u32;
    out.truncate(body + size as usize);
    out[start..body].copy_from_slice(&size.to_be_bytes());
    true
}
