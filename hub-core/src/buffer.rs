//! Memory for frames that arrive: large chunks that frames are slices of, used again when all of their frames are gone.
//!
//! Whoever reads takes a chunk, appends to it, splits frames off its front and gives back what is left of it. The next
//! reader on the same thread goes on where this one stopped, so that a thousand quiet readers hold no memory at all,
//! and a busy one allocates nothing: a chunk that is full waits here until nobody has a frame of it any more. Nothing is
//! locked, because every thread has chunks of its own.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::BytesMut;

/// The size of a chunk: a few of the longest frames, and many reads of short ones.
pub const CHUNK_BYTES: usize = 256 * 1024;

/// Chunks that a thread keeps. More are in use only where frames wait in queues, and go to the allocator afterwards.
const KEPT: usize = 16;

/// Full chunks that are looked at, oldest first, before another one is allocated.
const LOOKED_AT: usize = 4;

thread_local! {
    static CHUNKS: RefCell<Chunks> = RefCell::new(Chunks::default());
}

/// An empty buffer with at least `room` free bytes.
///
/// The caller splits off what it fills, and [gives back](give) the rest. It is not held while waiting, unless it has
/// the beginning of a frame.
#[must_use]
pub fn take(room: usize) -> BytesMut {
    CHUNKS
        .try_with(|chunks| chunks.borrow_mut().take(room))
        .unwrap_or_else(|_| BytesMut::with_capacity(room))
}

/// Gives back what is left of a buffer. Bytes in it are forgotten.
pub fn give(rest: BytesMut) {
    // A thread that ends has no use for it.
    let _ = CHUNKS.try_with(|chunks| chunks.borrow_mut().give(rest));
}

#[derive(Debug, Default)]
struct Chunks {
    /// What was given back and may have room still, the newest last.
    open: Vec<BytesMut>,
    /// What had too little room, until its frames are gone; the oldest first.
    full: VecDeque<BytesMut>,
}

impl Chunks {
    fn take(&mut self, room: usize) -> BytesMut {
        while let Some(chunk) = self.open.pop() {
            if chunk.capacity() >= room {
                return chunk;
            }
            self.full.push_back(chunk);
        }
        if self.full.len() > KEPT {
            self.full.pop_front();
        }
        let size = room.max(CHUNK_BYTES);
        for at in 0..self.full.len().min(LOOKED_AT) {
            if self.full[at].try_reclaim(size) {
                return self.full.remove(at).unwrap_or_default();
            }
        }
        BytesMut::with_capacity(size)
    }

    fn give(&mut self, mut rest: BytesMut) {
        rest.clear();
        // One without any room is kept as well: it is the handle by which its chunk is found again.
        if self.open.len() + self.full.len() < 2 * KEPT {
            self.open.push(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(chunks: &mut Chunks, len: usize) -> Bytes {
        let mut chunk = chunks.take(len);
        chunk.resize(len, 7);
        let frame = chunk.split().freeze();
        chunks.give(chunk);
        frame
    }

    #[test]
    fn readers_of_one_thread_share_a_chunk() {
        let mut chunks = Chunks::default();
        let (a, b) = (frame(&mut chunks, 100), frame(&mut chunks, 200));
        assert_eq!(a.as_ptr().wrapping_add(100), b.as_ptr());
    }

    #[test]
    fn a_chunk_is_used_again_once_its_frames_are_gone_and_not_before() {
        let mut chunks = Chunks::default();
        let held = frame(&mut chunks, CHUNK_BYTES);
        let other = frame(&mut chunks, CHUNK_BYTES);
        assert_ne!(held.as_ptr(), other.as_ptr());
        let place = held.as_ptr();
        drop(held);
        assert_eq!(frame(&mut chunks, CHUNK_BYTES).as_ptr(), place);
        assert_eq!(&other[..], &[7; CHUNK_BYTES][..], "what is held stays as it is");
    }

    #[test]
    fn steady_traffic_goes_round_in_a_few_chunks() {
        let mut chunks = Chunks::default();
        let mut held = VecDeque::new();
        let mut places = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let frame = frame(&mut chunks, 60_000);
            places.insert(frame.as_ptr() as usize);
            held.push_back(frame);
            if held.len() > 8 {
                held.pop_front();
            }
        }
        // Four frames a chunk.
        assert!(places.len() <= 4 * 4, "{} places", places.len());
    }

    #[test]
    fn a_burst_that_is_held_for_long_is_not_kept() {
        let mut chunks = Chunks::default();
        let burst: Vec<_> = (0..100).map(|_| frame(&mut chunks, CHUNK_BYTES)).collect();
        drop(burst);
        assert!(chunks.full.len() + chunks.open.len() <= KEPT + 2);
    }

    #[test]
    fn there_is_room_for_what_is_longer_than_a_chunk() {
        assert!(Chunks::default().take(3 * CHUNK_BYTES).capacity() >= 3 * CHUNK_BYTES);
        let chunk = take(10);
        assert!(chunk.is_empty() && chunk.capacity() >= 10);
        give(chunk);
    }
}
