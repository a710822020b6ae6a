//! How the process holds its memory.

use crate::sys;

/// Blocks of this size are mapped by themselves, and given back when they are freed.
const LARGE: i32 = 1 << 20;

/// Has the C library give large blocks back to the kernel when they are freed, for as long as the process lives.
///
/// Left alone it moves the boundary up to the largest block that was ever freed, some 20 MiB after the first password
/// check, and keeps from then on what is freed below it in the heap of each thread (mallopt(3), `M_MMAP_THRESHOLD`): a
/// server that was busy once stays large. Does nothing with a C library that knows no such boundary. To be called before
/// there are threads.
pub fn give_back_large_blocks() {
    sys::set_mmap_threshold(LARGE);
}

/// Asks for large pages in memory that is read here and there: a processor then finds it without looking its pages up one by
/// one, and touching it for the first time takes a few faults where it took thousands. To be called before it is written to. Where
/// the kernel has no large pages, nothing changes.
pub fn prefer_large_pages<T>(memory: &mut [T]) {
    let _ = sys::prefer_large_pages(memory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_taken_for_whole_pages_and_leaves_what_is_there() {
        let mut memory: Vec<u8> = (0..1 << 20).map(|number| number as u8).collect();
        for (from, to) in [(0, 1 << 20), (1, (1 << 20) - 1), (7, 4100), (5, 5), (9, 300)] {
            if let Err(error) = sys::prefer_large_pages(&mut memory[from..to]) {
                // A kernel without large pages.
                assert_eq!(error.raw_os_error(), Some(nix::libc::EINVAL));
            }
        }
        assert!(
            memory
                .iter()
                .enumerate()
                .all(|(number, byte)| *byte == number as u8)
        );
    }
}
