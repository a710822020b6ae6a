//! The data stage: Ethernet frames in groups of blocks, and keep-alives (protocol §7).
//!
//! ```text
//! group      := u32 N , N × block
//! block      := u32 size , size bytes
//! keep-alive := u32 0xFFFFFFFF , u32 size , size random bytes
//! ```

mod decode;
mod encode;

pub use decode::{BlockDecoder, BlockError, Dropped, Item};
pub use encode::{BlockEncoder, encode_keepalive};

/// Longest Ethernet frame, without checksum (protocol §7.2).
pub const FRAME_BYTES: usize = 1600;
/// Longest block that is read; those between [`FRAME_BYTES`] and this are read and dropped.
pub const BLOCK_BYTES: usize = 3200;
/// Longest body of a keep-alive.
pub const KEEPALIVE_BYTES: usize = 512;

/// Stands in place of a group's count.
const KEEPALIVE_MARK: u32 = u32::MAX;

#[cfg(test)]
mod tests;
