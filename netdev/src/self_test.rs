//! Whether this kernel's offload can be trusted: tried once, at the first device, on a device of its own.
//!
//! Kernels and their patches have refused super-frames that they had said they would take, and lost them without a word.
//! Then a tunnel carries pings and no downloads. So two super-frames are sent through a scratch device, one each way,
//! and must arrive whole; if they do not, devices are made without offload, which always works.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use bytes::BytesMut;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tracing::{debug, warn};

use crate::{VnetHeader, links, sys, tap};

/// The kernel puts a number in place of `%d`.
const DEVICE: &str = "hwtest%d";
/// Too small for IPv6, so that the kernel sends nothing of its own through the device.
const MTU: i32 = 1200;
/// How long a frame may take through the kernel, on a machine that is busy.
const PATIENCE: u16 = 500;
/// Frames of others that may come first.
const OTHERS: usize = 64;

const SEGMENT: usize = 1000;
const HEADERS: usize = 54;
const FRAME: usize = HEADERS + 3 * SEGMENT;
/// Partial checksum, TCP over IPv4, 54 bytes of headers, segments of 1,000, TCP from byte 34, checksum 16 into it.
const HEADER: VnetHeader = VnetHeader::from_bytes([1, 1, 54, 0, 0xe8, 3, 34, 0, 16, 0]);

/// Whether super-frames pass. The answer of the first call holds for this process.
pub(crate) fn passes() -> bool {
    static PASSES: OnceLock<bool> = OnceLock::new();
    *PASSES.get_or_init(|| match run() {
        Ok(Outcome::Passed) => true,
        Ok(Outcome::Unknown(error)) => {
            debug!(%error, "the offload of TAP devices could not be tried both ways; it is used");
            true
        }
        Ok(Outcome::Lost(way)) => {
            warn!("offload of TAP devices is off: a super-frame was lost or changed {way}");
            false
        }
        Err(error) => {
            debug!(%error, "the offload of TAP devices could not be tried");
            false
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// One was taken; whether it arrives could not be seen.
    Unknown(String),
    /// It did not arrive, or not as it was.
    Lost(&'static str),
}

fn run() -> crate::Result<Outcome> {
    let (file, device, features) = tap::attach(DEVICE, true)?;
    let io = |e: io::Error| crate::Error::from_io(format!("trying offload on {device}"), e);
    if features.is_none_or(|features| features & libc::TUN_F_TSO4 == 0) {
        return Ok(Outcome::Lost("by a kernel that has none"));
    }
    sys::configure(&device, MTU, libc::IFF_UP | libc::IFF_NOARP).map_err(io)?;
    let index = links::index_of(&device)?;
    let witness = listen(index);
    if write(&file, &frame(1)).is_err() {
        return Ok(Outcome::Lost("on its way to the host"));
    }
    let witness = match witness {
        Ok(witness) => witness,
        // A process may have the right to make devices and not the one to listen on them.
        Err(error) => return Ok(Outcome::Unknown(error.to_string())),
    };
    if !arrives(&witness, &frame(1), |buf| {
        let (_, notes) = sys::recv_packet(witness.as_fd(), buf)?;
        Ok(notes.vnet)
    }) {
        return Ok(Outcome::Lost("on its way to the host"));
    }
    let sent = write(&witness, &frame(2));
    if sent.is_err()
        || !arrives(&file, &frame(2), |buf| {
            Ok(sys::read_with_header(file.as_fd(), buf)?.0)
        })
    {
        return Ok(Outcome::Lost("on its way from the host"));
    }
    Ok(Outcome::Passed)
}

fn listen(index: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let witness = socket(AddressFamily::Packet, SockType::Raw, flags, None)?;
    sys::packet_option(witness.as_fd(), libc::PACKET_VNET_HDR, 1)?;
    sys::bind_packet(witness.as_fd(), index)?;
    Ok(witness)
}

fn write(to: &impl AsFd, frame: &[u8]) -> io::Result<usize> {
    let header = HEADER.to_kernel();
    sys::write_frame(to.as_fd(), &[IoSlice::new(&header), IoSlice::new(frame)])
}

/// Whether `wanted` comes out whole, and still to be cut.
fn arrives(
    from: &impl AsFd,
    wanted: &[u8],
    mut read: impl FnMut(&mut BytesMut) -> io::Result<[u8; 10]>,
) -> bool {
    let mut buf = BytesMut::new();
    for _ in 0..OTHERS {
        buf.clear();
        match read(&mut buf) {
            Ok(header) if buf == wanted => return VnetHeader::from_kernel(header).is_super(),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if !sys::wait_readable(from.as_fd(), PATIENCE).unwrap_or(false) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    false
}

/// Three TCP segments in one frame between two stations that are not there (RFC 5737 section 3, documentation).
fn frame(number: u8) -> [u8; FRAME] {
    let mut frame = [number; FRAME];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
    let length = ((FRAME - 14) as u16).to_be_bytes();
    frame[12..34].copy_from_slice(&[
        8, 0, 0x45, 0, length[0], length[1], 0, 1, 0x40, 0, 1, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    ]);
    let header = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 14, 0, 10, 0]);
    // The IP header's checksum over its 20 bytes; the field is zero so far.
    crate::segment::complete(&header, &mut frame[..34]);
    frame[34..54].copy_from_slice(&[0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0]);
    frame
}
