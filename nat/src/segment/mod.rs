//! The way onto an Ethernet segment that this machine is at.
//!
//! An interface is entered by a packet socket; a bridge of the kernel gets a TAP device of ours as one more port. A packet socket
//! puts frames on the wire and takes them from it, so this machine itself stays outside of what is carried; a port of the kernel's
//! bridge is on one segment with it.

mod advice;

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use hub_core::frame::Frame;
use netdev::{Link, Links, PacketSocket, Tap, TapOptions, VnetHeader, sysctl};
use nix::libc;

pub use advice::{about, advice};

use crate::device::{Reader, Source};
use crate::tag::Tag;

/// How the names of our ports of the kernel's bridges begin.
const PORT: &str = "hwb_";

/// Whether a device of this name is a port of ours at a bridge of the kernel.
#[must_use]
pub fn is_port_of_ours(name: &str) -> bool {
    name.starts_with(PORT)
}

/// Where frames of a segment come from and go to.
#[derive(Debug, Clone)]
pub enum Device {
    /// A device of ours.
    Tap(Arc<Tap>),
    /// An interface that was there.
    Interface(Arc<PacketSocket>),
}

impl Device {
    /// Joins the segment of this link; `owner` tells the ports of several programs at one bridge from each other, `offload` is whether
    /// such a port may leave frames unfinished.
    ///
    /// # Errors
    /// When the link cannot be had; nothing is left behind then.
    pub async fn join(link: &Link, owner: &str, offload: bool, links: &Links) -> netdev::Result<Self> {
        if link.is_bridge {
            return Self::join_bridge(link, owner, offload, links).await;
        }
        let socket = PacketSocket::open(&link.name)?;
        links.set_up(&link.name).await?;
        Ok(Self::Interface(Arc::new(socket)))
    }

    /// A port that has no say in IP: what the bridge's own device has is this machine's part in the segment.
    async fn join_bridge(bridge: &Link, owner: &str, offload: bool, links: &Links) -> netdev::Result<Self> {
        let device = port_device(owner, &bridge.name);
        let mut mac: [u8; 6] = rand::random();
        mac[0] = 0xfe; // a bridge takes the lowest address of its ports for its own, and must keep the one it has
        let tap = Tap::create(&TapOptions {
            mac: Some(mac),
            offload,
            ..TapOptions::new(&device)
        })?;
        // A kernel without IPv6 has no such setting; where `/proc/sys` is read-only the default stands.
        if let Err(error) = sysctl::write(&format!("net.ipv6.conf.{device}.disable_ipv6"), "1") {
            tracing::debug!(%error, "a port of a bridge keeps IPv6");
        }
        links.set_mtu(&device, bridge.mtu).await?;
        links.set_master(&device, bridge.index).await?;
        links.set_up(&device).await?;
        links.set_up(&bridge.name).await?;
        Ok(Self::Tap(Arc::new(tap)))
    }

    /// Waits for frames and appends those that are there.
    ///
    /// # Errors
    /// What the device says; [`is_gone`] tells whether it will say anything else.
    pub async fn recv(&self, reader: &mut Reader, frames: &mut Vec<Frame>) -> io::Result<()> {
        match self {
            Self::Tap(tap) => {
                tap.readable().await?;
                reader.read(&**tap, frames)
            }
            Self::Interface(socket) => {
                socket.readable().await?;
                reader.read(&**socket, frames)
            }
        }
    }

    /// Appends the frames with which this machine has already answered what was just sent to a device of ours. None is no error.
    ///
    /// # Errors
    /// As [`Device::recv`].
    pub fn recv_answers(&self, reader: &mut Reader, frames: &mut Vec<Frame>) -> io::Result<()> {
        match self {
            Self::Tap(tap) => reader.read(&Now(tap), frames),
            Self::Interface(_) => Ok(()),
        }
    }
}

/// A device that is asked without waiting for its news.
struct Now<'a>(&'a Tap);

impl Source for Now<'_> {
    fn read(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.0.recv_now(buf)
    }
}

/// Whether a device is gone for good, as opposed to passing troubles such as one that is down (`EIO`, `ENETDOWN`) or full
/// (`ENOBUFS`).
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::EBADF)
    )
}

/// The name of a port for a bridge of the kernel: short enough, and another one for every bridge and owner.
fn port_device(owner: &str, bridge: &str) -> String {
    format!("{PORT}{}", Tag::new(&format!("{owner}{bridge}")))
}
