//! Packet sockets: all frames of an existing interface, for a local bridge to it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{BufMut, Bytes, BytesMut};
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::segment::{self, VnetHeader};
use crate::{Error, Result, name, sys};

/// A tap into an existing interface: what arrives there is received, what is sent here leaves there.
///
/// - The interface passes frames for any address while the socket is open (promiscuous).
/// - The host itself does not take part: what it sends and what is addressed to the interface is not received.
///   A packet socket can put frames on the wire, but not into the host, so a station behind the bridge could never
///   answer; and a switch that saw only the one half would flood the host's traffic to everybody.
/// - A VLAN tag that the kernel took out is put back, and work that the kernel left to a card (checksums, cutting
///   up of segments) is done, so that a frame is as it would be on the wire.
#[derive(Debug)]
pub struct PacketSocket {
    socket: AsyncFd<OwnedFd>,
    name: String,
    index: u32,
    /// Frames that came out of one super-frame and wait for their `recv`.
    waiting: Mutex<VecDeque<Bytes>>,
}

impl PacketSocket {
    /// Opens the interface called `device`. It must exist; it need not be up.
    ///
    /// Must be called within a tokio runtime; needs CAP_NET_RAW in the network namespace of this thread.
    pub fn open(device: &str) -> Result<Self> {
        name::check(device)?;
        let index = crate::links::index_of(device)?;
        let failed = |what: &str| {
            let what = format!("{what} on {device}");
            move |e: io::Error| Error::from_io(what, e)
        };
        // Protocol 0 receives nothing until bind: no frame of another interface slips in before.
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = nix::sys::socket::socket(AddressFamily::Packet, SockType::Raw, flags, None)
            .map_err(|e| failed("opening a packet socket")(e.into()))?;
        let fd = socket.as_fd();
        for (option, what) in [
            (libc::PACKET_VNET_HDR, "asking for offload notes"),
            (libc::PACKET_AUXDATA, "asking for VLAN tags"),
            (libc::PACKET_IGNORE_OUTGOING, "leaving out the host's own frames"),
        ] {
            sys::packet_option(fd, option, 1).map_err(failed(what))?;
        }
        sys::bind_packet(fd, index).map_err(failed("binding a packet socket"))?;
        sys::packet_promiscuous(fd, index).map_err(failed("asking for all frames"))?;
        let socket = sys::watch(socket).map_err(failed("watching a packet socket"))?;
        Ok(Self {
            socket,
            name: device.to_owned(),
            index,
            waiting: Mutex::default(),
        })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's number in its network namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Waits for a frame, appends it to `buf` and returns its length.
    ///
    /// When the interface goes down this fails once with `ENETDOWN` and then waits for it to come up again.
    pub async fn recv(&self, buf: &mut BytesMut) -> io::Result<usize> {
        if let Some(len) = self.take_waiting(buf) {
            return Ok(len);
        }
        self.socket
            .async_io(sys::READABLE, |fd| self.receive(fd, buf))
            .await
    }

    /// As [`PacketSocket::recv`], with `WouldBlock` instead of waiting.
    pub fn try_recv(&self, buf: &mut BytesMut) -> io::Result<usize> {
        if let Some(len) = self.take_waiting(buf) {
            return Ok(len);
        }
        sys::try_read(&self.socket, |fd| self.receive(fd, buf))
    }

    /// Sends one frame, waiting while the interface cannot take it.
    ///
    /// A frame longer than the interface's MTU allows is refused with `EMSGSIZE`.
    pub async fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket
            .async_io(Interest::WRITABLE, |fd| write(fd, frame))
            .await
    }

    /// As [`PacketSocket::send`], with `WouldBlock` instead of waiting.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.try_io(Interest::WRITABLE, |fd| write(fd, frame))
    }

    /// Waits until there may be a frame to receive.
    pub async fn readable(&self) -> io::Result<()> {
        if self.waiting().is_empty() {
            self.socket.ready(sys::READABLE).await.map(drop)
        } else {
            Ok(())
        }
    }

    /// Waits until a frame may be sent.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await.map(drop)
    }

    /// One frame from the socket, with everything the kernel left undone done.
    fn receive(&self, fd: &OwnedFd, buf: &mut BytesMut) -> io::Result<usize> {
        let start = buf.len();
        loop {
            buf.truncate(start);
            let (_, notes) = sys::recv_packet(fd.as_fd(), buf)?;
            let is_group = buf.get(start).is_some_and(|first| first & 1 == 1);
            if notes.to_host && !is_group {
                continue;
            }
            let Some(mut header) = VnetHeader::parse(&notes.vnet) else {
                continue;
            };
            if let Some((protocol, control)) = notes.vlan {
                header.shift(put_back_tag(buf, start, protocol, control));
            }
            if !header.is_split() {
                segment::finish(&header, &mut buf[start..]);
                return Ok(buf.len() - start);
            }
            let whole = buf.split_off(start);
            let mut waiting = self.waiting();
            segment::split(&header, &whole, |frame| waiting.push_back(frame.freeze()));
            if let Some(first) = waiting.pop_front() {
                buf.put_slice(&first);
                return Ok(first.len());
            }
        }
    }

    fn take_waiting(&self, buf: &mut BytesMut) -> Option<usize> {
        let frame = self.waiting().pop_front()?;
        buf.put_slice(&frame);
        Some(frame.len())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Bytes>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts an 802.1Q tag behind the addresses of the frame at `start`; returns the number of bytes added.
fn put_back_tag(buf: &mut BytesMut, start: usize, protocol: u16, control: u16) -> u16 {
    const ADDRESSES: usize = 12;
    if buf.len() < start + ADDRESSES {
        return 0;
    }
    let end = buf.len();
    buf.put_u32(0);
    buf.copy_within(start + ADDRESSES..end, start + ADDRESSES + 4);
    buf[start + ADDRESSES..][..2].copy_from_slice(&protocol.to_be_bytes());
    buf[start + ADDRESSES + 2..][..2].copy_from_slice(&control.to_be_bytes());
    4
}

/// Writes a frame with an empty virtio-net header: nothing is left to do.
fn write(fd: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    let header = [0; VnetHeader::LEN];
    sys::write_frame(fd.as_fd(), &[IoSlice::new(&header), IoSlice::new(frame)]).map(drop)
}
