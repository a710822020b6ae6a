//! Buffers that are needed between two system calls only: one of each per thread, so that a quiet connection has none.

use std::cell::RefCell;

use super::record::{HEADER, MAX_BODY, Sealed};

/// What one read can take from a socket, behind the part of a record that is there already.
pub(crate) const READ_BYTES: usize = 256 * 1024;

thread_local! {
    static INCOMING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SEALED: RefCell<Sealed> = RefCell::new(Sealed::default());
}

/// Lends the thread's buffer for bytes from a socket. Not to be used within itself.
pub(crate) fn incoming<R>(act: impl FnOnce(&mut [u8]) -> R) -> R {
    INCOMING.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(HEADER + MAX_BODY + READ_BYTES, 0);
        }
        act(buffer)
    })
}

/// Lends the thread's empty buffer for bytes to a socket. Not to be used within itself.
pub(crate) fn sealed<R>(act: impl FnOnce(&mut Sealed) -> R) -> R {
    SEALED.with_borrow_mut(|buffer| {
        buffer.clear();
        act(buffer)
    })
}
