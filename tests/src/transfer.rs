//! Moving a lot of bytes from one host to another, and knowing whether they are the same bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::digest::{Context as Hash, SHA256};

use crate::host::Host;
use crate::process::{IN_TIME, eventually};

/// One gibibyte.
pub const GIBIBYTE: u64 = 1 << 30;

/// How long a stream may stand still before the transfer counts as broken.
const STALL: Duration = Duration::from_secs(60);

/// Sends `bytes` pseudo-random bytes from one host to `address` on another, compares the SHA-256 that either side
/// computed, and returns how long it took.
pub fn equal_at_both_ends(
    from: &Host,
    to: &Host,
    address: SocketAddr,
    bytes: u64,
    seed: u64,
) -> Result<Duration> {
    let begun = Instant::now();
    let (dialled, accepted) = connect(from, to, address)?;
    equal(&dialled, accepted, bytes, seed)?;
    Ok(begun.elapsed())
}

/// The same the other way: `to` dials, as a station behind a NAT must, and `from` sends.
pub fn fetched_equal_at_both_ends(
    from: &Host,
    to: &Host,
    address: SocketAddr,
    bytes: u64,
    seed: u64,
) -> Result<Duration> {
    let begun = Instant::now();
    let (dialled, accepted) = connect(to, from, address)?;
    equal(&accepted, dialled, bytes, seed)?;
    Ok(begun.elapsed())
}

/// A connection that `from` opens to `address` on `to`: both ends.
fn connect(from: &Host, to: &Host, address: SocketAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = to
        .within(|| TcpListener::bind(address))?
        .with_context(|| format!("{address}"))?;
    let what = format!("a connection of {} to {address}", from.name());
    let stream = eventually(IN_TIME, &what, || {
        match from.within(|| TcpStream::connect_timeout(&address, STALL))? {
            Ok(stream) => Ok(Some(stream)),
            // A device has its address a moment before there is a way to others of its network.
            Err(error) if error.kind() == ErrorKind::NetworkUnreachable => Ok(None),
            Err(error) => Err(error.into()),
        }
    })?;
    Ok((stream, listener.accept()?.0))
}

fn equal(sender: &TcpStream, receiver: TcpStream, bytes: u64, seed: u64) -> Result<()> {
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || receive(&receiver));
        let sent = send(sender, bytes, seed)?;
        let (received, count) = receiver
            .join()
            .map_err(|_| anyhow::anyhow!("the receiver panicked"))??;
        ensure!(count == bytes, "{count} of {bytes} bytes arrived");
        ensure!(
            sent == received,
            "the bytes that arrived are not those that were sent"
        );
        Ok(())
    })
}

fn send(mut stream: &TcpStream, bytes: u64, seed: u64) -> Result<Vec<u8>> {
    stream.set_write_timeout(Some(STALL))?;
    let mut hash = Hash::new(&SHA256);
    let mut part = vec![0; 256 * 1024];
    let mut state = seed | 1;
    let mut left = bytes;
    while left > 0 {
        for word in part.chunks_exact_mut(8) {
            // xorshift64: fast, and no two parts of it look alike to a compressor.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(part.len());
        hash.update(&part[..now]);
        stream
            .write_all(&part[..now])
            .with_context(|| format!("with {left} bytes left to send"))?;
        left -= now as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    Ok(hash.finish().as_ref().to_vec())
}

fn receive(mut stream: &TcpStream) -> Result<(Vec<u8>, u64)> {
    stream.set_read_timeout(Some(STALL))?;
    let mut hash = Hash::new(&SHA256);
    let mut part = vec![0; 256 * 1024];
    let mut count = 0;
    loop {
        match stream
            .read(&mut part)
            .with_context(|| format!("after {count} bytes"))?
        {
            0 => return Ok((hash.finish().as_ref().to_vec(), count)),
            n => {
                hash.update(&part[..n]);
                count += n as u64;
            }
        }
    }
}
