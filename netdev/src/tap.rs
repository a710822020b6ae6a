//! TAP devices: virtual Ethernet cards whose cable ends in this process.
//!
//! Where the kernel can, a frame travels with a virtio-net header (`IFF_VNET_HDR`, `TUNSETOFFLOAD`): the host's TCP hands over
//! up to 64 KiB as one frame and leaves cutting and checksums to whoever needs them, and takes such frames. What a device
//! cannot do is done here, so callers need not ask.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use bytes::{Bytes, BytesMut};
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::segment::{self, Joiner};
use crate::{Error, Result, VnetHeader, mac, name, self_test, sys};

/// Frames that the host may have waiting for us (docs/adr/0011-offload-at-devices.md).
const QUEUE_FRAMES: u32 = 500;

/// What a device may be asked to leave undone, from most to least. The kernel says no to a whole set.
const FEATURES: [libc::c_uint; 5] = [
    TSO | libc::TUN_F_TSO_ECN | libc::TUN_F_USO4 | libc::TUN_F_USO6,
    TSO | libc::TUN_F_TSO_ECN,
    TSO,
    libc::TUN_F_CSUM,
    0,
];
const TSO: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;

/// How to make a TAP device.
#[derive(Debug, Clone)]
pub struct TapOptions {
    /// The device's name, 1 to 15 characters. A free TAP device of this name (a persistent one) is taken over.
    pub name: String,
    /// The hardware address; `None` is the stable one of [`mac::of_device`], or the kernel's choice without one. A
    /// device that was there keeps its own.
    pub mac: Option<[u8; 6]>,
    /// Whether the device stays when this process ends. A device that was there stays in any case.
    pub persist: bool,
    /// Whether frames may be left unfinished between the host and this process, where the kernel can. Without it every
    /// frame is as it would be on a wire.
    pub offload: bool,
}

impl TapOptions {
    /// A device of this name with its stable hardware address and with offload, gone when closed.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mac: None,
            persist: false,
            offload: true,
        }
    }
}

/// A TAP device. Dropping it takes the device away, unless it was made to persist.
#[derive(Debug)]
pub struct Tap {
    file: AsyncFd<OwnedFd>,
    name: String,
    index: u32,
    mac: [u8; 6],
    was_there: bool,
    /// What the device leaves undone (`TUN_F_*`), if its frames have a virtio-net header.
    features: Option<libc::c_uint>,
}

impl Tap {
    /// Makes the device, or takes over a free one of that name. It is down and has no addresses.
    ///
    /// Must be called within a tokio runtime; needs CAP_NET_ADMIN in the network namespace of this thread.
    pub fn create(options: &TapOptions) -> Result<Self> {
        name::check(&options.name)?;
        if let Some(mac) = options.mac {
            mac::check(mac)?;
        }
        let offload = options.offload && self_test::passes();
        let was_there = crate::links::index_of(&options.name).is_ok();
        let (file, name, features) = attach(&options.name, offload)?;
        let failed = |what: &str| {
            let what = format!("{what} of {name}");
            move |e| Error::from_io(what, e)
        };
        if options.persist {
            sys::tun_persist(file.as_fd(), true).map_err(failed("setting the persistence"))?;
        }
        let wanted = options
            .mac
            .or_else(|| if was_there { None } else { mac::of_device(&name) });
        if let Some(mac) = wanted {
            sys::set_mac(file.as_fd(), mac).map_err(failed("setting the hardware address"))?;
        }
        match sys::set_queue_length(&name, QUEUE_FRAMES) {
            // Only root of the whole machine may; in a namespace of an ordinary user the kernel's length has to do.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done.map_err(failed("setting the queue's length"))?,
        }
        let mac = sys::mac(file.as_fd()).map_err(failed("reading the hardware address"))?;
        let index = crate::links::index_of(&name)?;
        let file = sys::watch(file.into()).map_err(failed("watching the file"))?;
        Ok(Self {
            file,
            name,
            index,
            mac,
            was_there,
            features,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the device was there before, and will be there after.
    pub fn was_there(&self) -> bool {
        self.was_there
    }

    /// The device's number in its network namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The hardware address that the device had when it was made.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Whether super-frames of TCP can be exchanged with the host.
    pub fn has_offload(&self) -> bool {
        self.features.is_some_and(|features| features & TSO == TSO)
    }

    /// Whether super-frames of UDP can be exchanged with the host (Linux 6.2).
    pub fn has_udp_offload(&self) -> bool {
        self.features.is_some_and(takes_udp)
    }

    /// Waits for a frame that the host sends through the device, appends it to `buf` and returns its header and length. A
    /// buffer with less than 64 KiB of room takes long frames, too, by one copy more.
    ///
    /// Once the device was deleted this fails with `EBADFD`.
    pub async fn recv(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.file
            .async_io(sys::READABLE, |file| self.read(file, buf))
            .await
    }

    /// As [`Tap::recv`], with `WouldBlock` instead of waiting: for taking all that is there after [`Tap::recv`]
    /// or [`Tap::readable`].
    pub fn try_recv(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        sys::try_read(&self.file, |file| self.read(file, buf))
    }

    /// As [`Tap::try_recv`], but asks the device itself and not what was heard of it last: the host may have answered what was
    /// just sent, and news of it comes later.
    pub fn recv_now(&self, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        self.read(self.file.get_ref(), buf)
    }

    fn read(&self, file: &OwnedFd, buf: &mut BytesMut) -> io::Result<(VnetHeader, usize)> {
        if self.features.is_some() {
            let (header, len) = sys::read_with_header(file.as_fd(), buf)?;
            Ok((VnetHeader::from_kernel(header), len))
        } else {
            let len = sys::read_frame(file.as_fd(), buf)?;
            Ok((VnetHeader::NONE, len))
        }
    }

    /// Hands one frame to the host, waiting while the device cannot take it. What the device cannot do of what is left to
    /// do in the frame is done before; a frame that is not what its header says is lost.
    ///
    /// A device that is down answers `EIO`; the frame is lost, as on a card without a cable.
    pub async fn send(&self, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
        match self.write(header, frame) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.file
                    .async_io(Interest::WRITABLE, |_| self.write(header, frame))
                    .await
            }
            done => done,
        }
    }

    /// As [`Tap::send`], with `WouldBlock` instead of waiting.
    ///
    /// It writes without a look at the readiness: a device nearly always takes a frame, but one that is down is never
    /// "writable", and waiting for that would stop the caller.
    pub fn try_send(&self, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
        self.write(header, frame)
    }

    /// A joiner that joins what this device takes joined.
    #[must_use]
    pub fn joiner(&self) -> Joiner {
        Joiner::new(self.has_offload(), self.has_udp_offload())
    }

    /// Hands the frames of a joiner to the host, each by one call and without a copy. A frame that the device cannot take is
    /// lost, as in [`Tap::try_send`]; the last error is returned.
    pub fn try_send_joined(&self, joiner: &mut Joiner) -> io::Result<()> {
        let mut outcome = Ok(());
        let fd = self.file.get_ref().as_fd();
        joiner.drain(|parts| {
            let header = parts.header();
            let done = if !self.takes(&header) {
                self.write_finished(&header, parts.to_bytes())
            } else if self.features.is_some() {
                sys::write_frame(fd, parts.with_header()).map(drop)
            } else {
                sys::write_frame(fd, parts.frame()).map(drop)
            };
            if done.is_err() {
                outcome = done;
            }
            ControlFlow::Continue(())
        });
        outcome
    }

    /// Whether the device takes what is described so.
    fn takes(&self, header: &VnetHeader) -> bool {
        match self.features {
            Some(features) => !header.is_udp() || takes_udp(features),
            None => header.is_finished(),
        }
    }

    fn write(&self, header: &VnetHeader, frame: &[u8]) -> io::Result<()> {
        if !self.takes(header) {
            return self.write_finished(header, Bytes::copy_from_slice(frame));
        }
        let raw = header.to_kernel();
        let parts = [IoSlice::new(&raw), IoSlice::new(frame)];
        let skip = usize::from(self.features.is_none());
        sys::write_frame(self.file.get_ref().as_fd(), &parts[skip..]).map(drop)
    }

    /// Does first what is left to do in the frame.
    fn write_finished(&self, header: &VnetHeader, frame: Bytes) -> io::Result<()> {
        let mut outcome = Ok(());
        segment::finish(header, frame, &mut BytesMut::new(), |piece| {
            if let Err(error) = self.write(&VnetHeader::NONE, &piece) {
                outcome = Err(error);
            }
        });
        outcome
    }

    /// Waits until there may be a frame to receive.
    pub async fn readable(&self) -> io::Result<()> {
        self.file.ready(sys::READABLE).await.map(drop)
    }

    /// Waits until a frame may be sent.
    pub async fn writable(&self) -> io::Result<()> {
        self.file.writable().await.map(drop)
    }

    /// Changes whether the device stays when this process ends.
    pub fn set_persist(&self, persist: bool) -> Result<()> {
        sys::tun_persist(self.file.get_ref().as_fd(), persist)
            .map_err(|e| Error::from_io(format!("setting the persistence of {}", self.name), e))
    }
}

fn takes_udp(features: libc::c_uint) -> bool {
    const USO: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    features & USO == USO
}

/// Attaches to the device, with as much offload as the kernel grants; returns what it leaves undone, if frames have a
/// header.
///
/// A device that somebody else left behind may have other settings, so all of them are made, also those that are the
/// default.
pub(crate) fn attach(device: &str, offload: bool) -> Result<(File, String, Option<libc::c_uint>)> {
    let base = libc::IFF_TAP | libc::IFF_NO_PI;
    if offload {
        let file = open_tun()?;
        match sys::tun_attach(file.as_fd(), device, (base | libc::IFF_VNET_HDR) as i16) {
            Ok(name) => {
                if let Some(features) = leave_undone(&file) {
                    return Ok((file, name, Some(features)));
                }
            }
            Err(e) if e.raw_os_error() != Some(libc::EINVAL) => return Err(attach_error(device, e)),
            Err(_) => {}
        }
    }
    let file = open_tun()?;
    let name = sys::tun_attach(file.as_fd(), device, base as i16).map_err(|e| attach_error(device, e))?;
    // A kernel that does not know the call leaves nothing undone.
    let _ = sys::tun_offload(file.as_fd(), 0);
    Ok((file, name, None))
}

fn leave_undone(file: &File) -> Option<libc::c_uint> {
    sys::tun_vnet_header_size(file.as_fd(), VnetHeader::LEN).ok()?;
    FEATURES
        .into_iter()
        .find(|features| sys::tun_offload(file.as_fd(), *features).is_ok())
}

/// Opens the clone device; its errors name what is missing.
pub(crate) fn open_tun() -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .map_err(|e| match e.raw_os_error() {
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => Error::NoTunDevice,
            Some(libc::EACCES | libc::EPERM) => Error::TunDeviceForbidden,
            _ => Error::from_io("opening /dev/net/tun", e),
        })
}

fn attach_error(device: &str, source: io::Error) -> Error {
    let device = device.to_owned();
    match source.raw_os_error() {
        Some(libc::EBUSY) => Error::Busy { device },
        // The name belongs to another kind of device, or to a TAP device with other queues.
        Some(libc::EINVAL | libc::EEXIST) => Error::NotATap { device },
        _ => Error::from_io(format!("making the TAP device {device}"), source),
    }
}
