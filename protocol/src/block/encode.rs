//! Frames to bytes.

use bytes::{BufMut, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

use super::{FRAME_BYTES, KEEPALIVE_BYTES, KEEPALIVE_MARK};

/// What deflate can add to an incompressible frame: headers, checksum, and stored-block headers.
const DEFLATE_GROWTH: usize = 64;

/// Writes one direction of one TCP connection.
#[derive(Debug)]
pub struct BlockEncoder {
    zlib: Option<Compress>,
}

impl BlockEncoder {
    /// An encoder at the start of the data stage.
    #[must_use]
    pub fn new(compressed: bool) -> Self {
        Self {
            zlib: compressed.then(|| Compress::new(Compression::default(), true)),
        }
    }

    /// Appends one group with all frames to `out` and returns how many there are. Frames that no peer would take,
    /// empty or longer than [`FRAME_BYTES`], are left out; without any other frame nothing is written.
    pub fn encode_group<I>(&mut self, frames: I, out: &mut BytesMut) -> u32
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let start = out.len();
        let mut count = 0_u32;
        out.put_u32(0);
        for frame in frames {
            let frame = frame.as_ref();
            if frame.is_empty() || frame.len() > FRAME_BYTES {
                continue;
            }
            match &mut self.zlib {
                None => {
                    out.reserve(4 + frame.len());
                    out.put_u32(frame.len() as u32);
                    out.put_slice(frame);
                }
                Some(zlib) => {
                    if !deflate(zlib, frame, out) {
                        continue;
                    }
                }
            }
            count += 1;
        }
        if count == 0 {
            out.truncate(start);
        } else {
            out[start..start + 4].copy_from_slice(&count.to_be_bytes());
        }
        count
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
