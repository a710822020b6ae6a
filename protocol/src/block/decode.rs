//! Bytes to frames. Frames are lent out as slices of the read buffer: nothing is copied or allocated per frame.

use std::ops::RangeInclusive;

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};

use super::{
    BLOCK_BYTES, FRAME_BYTES, KEEPALIVE_BYTES, KEEPALIVE_MARK, SUPER_FRAME_BYTES, SUPER_HEADER_BYTES,
    SUPER_MARK, SuperHeader,
};

/// Room taken at once for inflated frames.
const INFLATE_CHUNK: usize = 64 * 1024;

/// What a peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An Ethernet frame of 1 to [`FRAME_BYTES`] bytes.
    Frame(Bytes),
    /// An Ethernet frame of 1 to [`SUPER_FRAME_BYTES`] bytes, and what is still to be done to it.
    SuperFrame(SuperHeader, Bytes),
    /// A keep-alive; its bytes are random but for hints of UDP acceleration.
    KeepAlive(Bytes),
}

/// Why a connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// A block longer than [`BLOCK_BYTES`].
    #[error("the peer announced a block of {0} bytes")]
    BlockTooLong(u32),
    /// A super-frame that is empty or longer than [`SUPER_FRAME_BYTES`].
    #[error("the peer announced a super-frame in a block of {0} bytes")]
    SuperFrameSize(u32),
    /// A keep-alive longer than [`KEEPALIVE_BYTES`].
    #[error("the peer announced a keep-alive of {0} bytes")]
    KeepAliveTooLong(u32),
}

/// Blocks that were well framed and yet held no frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Longer than [`FRAME_BYTES`], after decompression if that is on.
    pub oversize: u64,
    /// No valid zlib stream.
    pub undecodable: u64,
}

/// Reads one direction of one TCP connection.
#[derive(Debug)]
pub struct BlockDecoder {
    inflater: Option<Inflater>,
    super_frames: bool,
    /// Blocks of the present group that are still to come.
    blocks: u32,
    /// Bytes of a dropped block that are still to come.
    skip: usize,
    dropped: Dropped,
}

impl BlockDecoder {
    /// A decoder at the start of the data stage.
    #[must_use]
    pub fn new(compressed: bool) -> Self {
        Self {
            inflater: compressed.then(Inflater::new),
            super_frames: false,
            blocks: 0,
            skip: 0,
            dropped: Dropped::default(),
        }
    }

    /// The same for a session that agreed on super-frames, which is never a compressed one (protocol §14.3).
    #[must_use]
    pub fn with_super_frames() -> Self {
        Self {
            super_frames: true,
            ..Self::new(false)
        }
    }

    /// The next item, or `None` when `input` must grow first. What was read is taken off the front of `input`, which
    /// never has to hold more than one block. No memory is taken for what is only announced.
    ///
    /// # Errors
    /// [`BlockError`]: the connection must be closed; it is out of step for ever.
    #[inline]
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Item>, BlockError> {
        loop {
            if self.skip > 0 {
                let skipped = self.skip.min(input.len());
                input.advance(skipped);
                self.skip -= skipped;
                if self.skip > 0 {
                    return Ok(None);
                }
            }
            if self.blocks == 0 {
                let Some(count) = peek(input, 0) else {
                    return Ok(None);
                };
                if count == KEEPALIVE_MARK {
                    return keepalive(input);
                }
                self.blocks = count;
                input.advance(4);
                continue;
            }
            let Some(announced) = peek(input, 0) else {
                return Ok(None);
            };
            if self.super_frames && announced & SUPER_MARK != 0 {
                return self.super_frame(announced & !SUPER_MARK, input);
            }
            let size = announced as usize;
            if size > BLOCK_BYTES {
                return Err(BlockError::BlockTooLong(announced));
            }
            if size > FRAME_BYTES && self.inflater.is_none() {
                self.dropped.oversize += 1;
                self.blocks -= 1;
                self.skip = size;
                input.advance(4);
                continue;
            }
            if input.len() < 4 + size {
                return Ok(None);
            }
            input.advance(4);
            self.blocks -= 1;
            let block = input.split_to(size);
            if let Some(frame) = self.open(block) {
                return Ok(Some(Item::Frame(frame)));
            }
        }
    }

    /// What was dropped so far.
    #[must_use]
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Reads a block of `announced` bytes whose size has the mark.
    fn super_frame(&mut self, announced: u32, input: &mut BytesMut) -> Result<Option<Item>, BlockError> {
        const SIZES: RangeInclusive<usize> = SUPER_HEADER_BYTES + 1..=SUPER_HEADER_BYTES + SUPER_FRAME_BYTES;
        let size = announced as usize;
        if !SIZES.contains(&size) {
            return Err(BlockError::SuperFrameSize(announced));
        }
        if input.len() < 4 + size {
            return Ok(None);
        }
        input.advance(4);
        self.blocks -= 1;
        let mut block = input.split_to(size).freeze();
        let mut header = SuperHeader::default();
        block.copy_to_slice(&mut header);
        Ok(Some(Item::SuperFrame(header, block)))
    }

    fn open(&mut self, block: BytesMut) -> Option<Bytes> {
        if block.is_empty() {
            return None;
        }
        match &mut self.inflater {
            None => Some(block.freeze()),
            Some(inflater) => inflater.inflate(&block, &mut self.dropped),
        }
    }
}

fn keepalive(input: &mut BytesMut) -> Result<Option<Item>, BlockError> {
    let Some(announced) = peek(input, 4) else {
        return Ok(None);
    };
    let size = announced as usize;
    if size > KEEPALIVE_BYTES {
        return Err(BlockError::KeepAliveTooLong(announced));
    }
    if input.len() < 8 + size {
        return Ok(None);
    }
    input.advance(8);
    Ok(Some(Item::KeepAlive(input.split_to(size).freeze())))
}

fn peek(input: &BytesMut, at: usize) -> Option<u32> {
    let bytes = input.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

/// Every block is a zlib stream of its own (protocol §7.3); the state and the room for frames are kept between them.
#[derive(Debug)]
struct Inflater {
    zlib: Decompress,
    room: BytesMut,
}

impl Inflater {
    fn new() -> Self {
        Self {
            zlib: Decompress::new(true),
            room: BytesMut::new(),
        }
    }

    /// Never writes more than one byte beyond a frame, however far a block would inflate.
    fn inflate(&mut self, block: &[u8], dropped: &mut Dropped) -> Option<Bytes> {
        const WINDOW: usize = FRAME_BYTES + 1;
        if self.room.len() < WINDOW {
            self.room = BytesMut::zeroed(INFLATE_CHUNK);
        }
        self.zlib.reset(true);
        let status = self
            .zlib
            .decompress(block, &mut self.room[..WINDOW], FlushDecompress::Finish);
        let size = usize::try_from(self.zlib.total_out()).unwrap_or(WINDOW);
        if size >= WINDOW {
            dropped.oversize += 1;
            return None;
        }
        if !matches!(status, Ok(Status::StreamEnd)) {
            dropped.undecodable += 1;
            return None;
        }
        (size > 0).then(|| self.room.split_to(size).freeze())
    }
}
