//! Small UDP datagrams, as many as go: what a tunnel costs per frame.

use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, sendmmsg};

use super::path::Path;

/// A frame of 64 bytes as its receiver sees it: Ethernet 14, IPv4 20, UDP 8, and this. (With the check sequence that a
/// TAP device does not carry it would be one of 68 on a wire.)
const PAYLOAD: usize = 64 - 14 - 20 - 8;

/// Datagrams per system call.
const BATCH: usize = 64;

/// Left out of the measured time.
const WARM_UP: Duration = Duration::from_millis(300);

/// Frames per second.
#[derive(Debug, Clone, Copy)]
pub struct FrameRate {
    /// What the sender put into its device, or the device dropped.
    pub sent: f64,
    /// What the receiving program got.
    pub received: f64,
}

/// Sends from the client to the server as fast as one thread can, for `window`.
pub fn frame_rate(path: &Path, window: Duration) -> Result<FrameRate> {
    let receiver = path.far().within(|| UdpSocket::bind((path.far_address, 0)))??;
    let sender = path
        .client
        .within(|| UdpSocket::bind((path.client_address, 0)))??;
    sender.connect(receiver.local_addr()?)?;
    receiver.set_read_timeout(Some(Duration::from_millis(50)))?;
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    let done = AtomicBool::new(false);
    let rate = std::thread::scope(|scope| {
        let tasks = [
            scope.spawn(|| send(&sender, &sent, &done)),
            scope.spawn(|| receive(&receiver, &received, &done)),
        ];
        std::thread::sleep(WARM_UP);
        let count = || (sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed));
        let (before, begun) = (count(), Instant::now());
        std::thread::sleep(window);
        let (after, took) = (count(), begun.elapsed().as_secs_f64());
        done.store(true, Ordering::Relaxed);
        for task in tasks {
            task.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(FrameRate {
            sent: (after.0 - before.0) as f64 / took,
            received: (after.1 - before.1) as f64 / took,
        })
    })?;
    ensure!(rate.received > 0.0, "no datagram arrived\n{}", path.logs());
    Ok(rate)
}

fn send(socket: &UdpSocket, sent: &AtomicU64, done: &AtomicBool) -> Result<()> {
    let payload = [0x5a; PAYLOAD];
    let slices = [[IoSlice::new(&payload)]; BATCH];
    let addresses = [None::<SockaddrIn>; BATCH];
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    while !done.load(Ordering::Relaxed) {
        let outcome = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            &slices,
            addresses,
            [],
            MsgFlags::empty(),
        );
        match outcome.map(Iterator::count) {
            Ok(count) => {
                sent.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn receive(socket: &UdpSocket, received: &AtomicU64, done: &AtomicBool) -> Result<()> {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let mut buffers = [[0_u8; PAYLOAD]; BATCH];
    while !done.load(Ordering::Relaxed) {
        let mut slices: Vec<[IoSliceMut<'_>; 1]> = buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let outcome = recvmmsg(
            socket.as_raw_fd(),
            &mut headers,
            &mut slices,
            MsgFlags::MSG_WAITFORONE,
            None,
        );
        match outcome.map(Iterator::count) {
            Ok(count) => {
                received.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
