//! Payloads of sessions with compression: a zlib stream each (protocol §8.2).

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::block::FRAME_BYTES;

/// What deflate can add to an incompressible frame.
const GROWTH: usize = 64;

/// Both directions. The state is made when it is first needed, which in most sessions is never.
#[derive(Default)]
pub(super) struct Zlib {
    deflater: Option<Compress>,
    inflater: Option<Decompress>,
    room: Vec<u8>,
}

impl Zlib {
    /// The stream of a frame.
    pub(super) fn deflate(&mut self, frame: &[u8]) -> Option<&[u8]> {
        let zlib = self
            .deflater
            .get_or_insert_with(|| Compress::new(Compression::default(), true));
        self.room.resize(frame.len() + GROWTH, 0);
        zlib.reset();
        let status = zlib.compress(frame, &mut self.room, FlushCompress::Finish);
        let size = usize::try_from(zlib.total_out()).ok()?;
        matches!(status, Ok(Status::StreamEnd)).then_some(())?;
        self.room.get(..size)
    }

    /// The frame of a stream; none if it is no stream or more than a frame.
    pub(super) fn inflate(&mut self, stream: &[u8]) -> Option<&[u8]> {
        let zlib = self.inflater.get_or_insert_with(|| Decompress::new(true));
        self.room.resize(FRAME_BYTES + 1, 0);
        zlib.reset(true);
        let status = zlib.decompress(stream, &mut self.room, FlushDecompress::Finish);
        let size = usize::try_from(zlib.total_out()).ok()?;
        matches!(status, Ok(Status::StreamEnd)).then_some(())?;
        self.room.get(..size)
    }
}
