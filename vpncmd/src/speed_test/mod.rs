//! The speed test of the stock tools, both sides (client RPC §5).

pub mod client;
pub mod server;

use std::io;

use tokio::runtime::{Builder, Runtime};

/// What is sent at once. Random, so that nothing on the way can make it shorter.
const BLOCK_BYTES: usize = 64 * 1024;

fn block() -> Vec<u8> {
    let mut block = vec![0; BLOCK_BYTES];
    for piece in block.chunks_mut(8) {
        let random = rand::random::<[u8; 8]>();
        piece.copy_from_slice(&random[..piece.len()]);
    }
    block
}

/// A runtime with a thread per core: this is about speed.
pub(crate) fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().build()
}
