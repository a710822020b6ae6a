//! Packet sockets: all frames of an existing interface, for a local bridge to it.

use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use bytes::{BufMut, Bytes, BytesMut};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, sockopt};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::segment::{self, Joiner};
use crate::{Error, Result, VnetHeader, name, sys};

/// What may wait in the socket each way, in bytes.
const SOCKET_BYTES: usize = 4 << 20;

/// A tap into an existing interface: what arrives there is received, what is sent here leaves there.
///
/// - The interface passes frames for any address while the socket is open (promiscuous).
/// - The host itself does not take part: what it sends and what is addressed to the interface is not received.
///   A packet socket can put frames on the wire, but not into the host, so a station behind the bridge could never
///   answer; and a switch that saw only the one half would flood the host's traffic to everybody.
/// - A VLAN tag that the kernel took out is put back. What the kernel left undone, or joined on receiving, is told by a
///   frame's header: a card that joins segments (GRO) delivers super-frames, and they are received whole.
#[derive(Debug)]
pub struct PacketSocket {
    socket: AsyncFd<OwnedFd>,
    name: String,
    index: u32,
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
        let socket = nix::sys::socket::socket(AddressFamily::Packet, SockType::Raw, flags, None).map_err(
            |e| match e {
                // The latter is what a service manager's RestrictAddressFamilies= answers.
                Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT => Error::NoPacketSocket {
                    device: device.to_owned(),
                },
                e => failed("opening a packet socket")(e.into()),
            },
        )?;
        let fd = socket.as_fd();
        for (option, what) in [
            (libc::PACKET_VNET_HDR, "asking for offload notes"),
            (libc::PACKET_AUXDATA, "asking for VLAN tags"),
            (libc::PACKET_IGNORE_OUTGOING, "leaving out the host's own frames"),
        ] {
            sys::packet_option(fd, option, 1).map_err(failed(what))?;
        }
        // A super-frame takes as much of a socket's buffer as sixty others, and the usual buffer holds three.
        if nix::sys::socket::setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BYTES).is_err() {
            let _ = nix::sys::socket::setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BYTES);
        }
        if nix::sys::socket::setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BYTES).is_err() {
            let _ = nix::sys::socket::setsockopt(&socket, sockopt::SndBuf, &SOCKET_BYTES);
        }
        sys::bind_packet(fd, index).map_err(failed("binding a packet socket"))?;
        sys::packet_promiscuous(fd, index).map_err(failed("asking for all frames"))?;
        let socket = sys::watch(socket).map_err(failed("watching a packet socket"))?;
        Ok(Self {
            socket,
            name: device.to_owned(),
            index,
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

    /// Waits for a frame, appends it to `buf` and returns its header and length. A buffer with less than 64 KiB of room
    /// takes long frames, too, by one copy more.
    ///
    /// When the interface goes down this fails once with `ENETDOWN` and then waits for it to come up again.
    pub async fn recv(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.socket.async_io(sys::READABLE, |fd| receive(fd, buf)).await
    }

    /// As [`PacketSocket::recv`], with `WouldBlock` instead of waiting.
    pub fn try_recv(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        sys::try_read(&self.socket, |fd| receive(fd, buf))
    }

    /// Sends one frame, waiting while the interface cannot take it. A super-frame that it refuses is cut.
    ///
    /// A frame longer than the interface's MTU allows is refused with `EMSGSIZE`.
    pub async fn send(&self, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
        self.socket
            .async_io(Interest::WRITABLE, |fd| send(fd, header, frame))
            .await
    }

    /// As [`PacketSocket::send`], with `WouldBlock` instead of waiting.
    pub fn try_send(&self, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
        self.socket
            .try_io(Interest::WRITABLE, |fd| send(fd, header, frame))
    }

    /// Waits until there may be a frame to receive.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.ready(sys::READABLE).await.map(drop)
    }

    /// Waits until a frame may be sent.
    pub async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await.map(drop)
    }

    /// A joiner for what is sent here. What the interface refuses joined is cut again, so it joins all that it can.
    #[must_use]
    pub fn joiner(&self) -> Joiner {
        Joiner::new(true, true)
    }

    /// Sends the frames of a joiner, each by one call and without a copy, waiting while the interface cannot take one. A
    /// frame that it refuses is lost; the last error is returned.
    pub async fn send_joined(&self, joiner: &mut Joiner) -> io::Result<()> {
        let mut outcome = Ok(());
        self.socket
            .async_io(Interest::WRITABLE, |fd| {
                drain(fd, joiner, &mut outcome);
                if joiner.is_empty() {
                    Ok(())
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                }
            })
            .await?;
        outcome
    }
}

/// Sends what `joiner` has until the socket is full.
fn drain(fd: &OwnedFd, joiner: &mut Joiner, outcome: &mut io::Result<()>) {
    joiner.drain(|parts| {
        let done = match sys::write_frame(fd.as_fd(), parts.with_header()) {
            Err(error) if parts.header().is_super() && is_refusal(&error) => {
                send_cut(fd, &parts.header(), parts.to_bytes())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ControlFlow::Break(()),
            done => done.map(drop),
        };
        if done.is_err() {
            *outcome = done;
        }
        ControlFlow::Continue(())
    });
}

/// One frame from the socket, with its tag put back.
fn receive(fd: &OwnedFd, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
    let start = buf.len();
    loop {
        buf.truncate(start);
        let (_, notes) = sys::recv_packet(fd.as_fd(), buf)?;
        let is_group = buf.get(start).is_some_and(|first| first & 1 == 1);
        if notes.to_host && !is_group {
            continue;
        }
        let mut header = VnetHeader::from_kernel(notes.vnet);
        if let Some((protocol, control)) = notes.vlan {
            header.shift(put_back_tag(buf, start, protocol, control));
        }
        return Ok((header, buf.len() - start));
    }
}

fn send(fd: &OwnedFd, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
    match write(fd, header, frame) {
        Err(error) if header.is_super() && is_refusal(&error) => {
            send_cut(fd, header, Bytes::copy_from_slice(frame))
        }
        done => done,
    }
}

/// Whether an interface, or a kernel without this kind of offload, will not have the frame as it is.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EMSGSIZE))
}

fn send_cut(fd: &OwnedFd, header: &VnetHeader, frame: Bytes) -> io::Result<()> {
    let mut outcome = Ok(());
    segment::finish(header, frame, &mut BytesMut::new(), |piece| {
        if let Err(error) = write(fd, &VnetHeader::NONE, &piece) {
            outcome = Err(error);
        }
    });
    outcome
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

fn write(fd: &OwnedFd, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
    let header = header.to_kernel();
    sys::write_frame(fd.as_fd(), &[IoSlice::new(&header), IoSlice::new(frame)]).map(drop)
}
