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
