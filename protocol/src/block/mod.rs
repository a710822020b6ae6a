//! The data stage: Ethernet frames in groups of blocks, and keep-alives (protocol §7).
//!
//! ```text
//! group      := u32 N , N × block
//! block      := u32 size , size bytes
//! keep-alive := u32 0xFFFFFFFF , u32 size , size random bytes
//! ```
//!
//! Where both ends agreed on super-frames (protocol §14.3), a block may also be
//!
//! ```text
//! block      := u32 0x80000000 + size , 10 bytes of virtio-net header , size - 10 bytes of frame
//! ```

mod decode;
mod encode;

pub use decode::{BlockDecoder, BlockError, Dropped, Item};
pub use encode::{BlockEncoder, Group, encode_keepalive};

/// Longest Ethernet frame, without checksum (protocol §7.2).
pub const FRAME_BYTES: usize = 1600;
/// Longest block that is read; those between [`FRAME_BYTES`] and this are read and dropped.
pub const BLOCK_BYTES: usize = 3200;
/// Longest body of a keep-alive.
pub const KEEPALIVE_BYTES: usize = 512;

/// Longest frame behind a [`SuperHeader`]: a full IP packet behind an Ethernet header with two VLAN tags.
pub const SUPER_FRAME_BYTES: usize = 65_535 + 22;

/// What a frame's sender left undone: a virtio-net header without a count of buffers (virtio 1.2, §5.1.6), little-endian.
/// What is in it is not looked at here.
pub type SuperHeader = [u8; SUPER_HEADER_BYTES];

/// The length of a [`SuperHeader`].
const SUPER_HEADER_BYTES: usize = 10;
/// Marks the size of a block that begins with a [`SuperHeader`].
const SUPER_MARK: u32 = 1 << 31;

/// Stands in place of a group's count.
const KEEPALIVE_MARK: u32 = u32::MAX;

#[cfg(test)]
mod tests;
