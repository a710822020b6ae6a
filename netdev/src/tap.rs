//! TAP devices: virtual Ethernet cards whose cable ends in this process.
//!
//! A device is made without packet information (`IFF_NO_PI`) and without a virtio-net header, so one read or
//! write is one Ethernet frame, and the kernel has finished its checksums and segments. Offload
//! (`IFF_VNET_HDR`, `TUNSETOFFLOAD`) belongs into [`Tap::create`] and the four frame functions below, nowhere else.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use bytes::BytesMut;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::{Error, Result, mac, name, sys};

/// How to make a TAP device.
#[derive(Debug, Clone, Default)]
pub struct TapOptions {
    /// The device's name, 1 to 15 characters. A free TAP device of this name (a persistent one) is taken over.
    pub name: String,
    /// The hardware address; `None` is the stable one of [`mac::of_device`], or the kernel's choice without one. A
    /// device that was there keeps its own.
    pub mac: Option<[u8; 6]>,
    /// Whether the device stays when this process ends. A device that was there stays in any case.
    pub persist: bool,
}

impl TapOptions {
    /// A device of this name with its stable hardware address, gone when closed.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
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
        let file = open_tun()?;
        let was_there = crate::links::index_of(&options.name).is_ok();
        let flags = (libc::IFF_TAP | libc::IFF_NO_PI) as i16;
        let name = sys::tun_attach(file.as_fd(), &options.name, flags)
            .map_err(|e| attach_error(&options.name, e))?;
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
        let mac = sys::mac(file.as_fd()).map_err(failed("reading the hardware address"))?;
        let index = crate::links::index_of(&name)?;
        let file = sys::watch(file.into()).map_err(failed("watching the file"))?;
        Ok(Self {
            file,
            name,
            index,
            mac,
        })
    }

    /// The device's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device's number in its network namespace.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The hardware address that the device had when it was made.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Waits for a frame that the host sends through the device, appends it to `buf` and returns its length.
    ///
    /// Once the device was deleted this fails with `EBADFD`.
    pub async fn recv(&self, buf: &mut BytesMut) -> io::Result<usize> {
        self.file
            .async_io(sys::READABLE, |file| sys::read_frame(file.as_fd(), buf))
            .await
    }

    /// As [`Tap::recv`], with `WouldBlock` instead of waiting: for taking all that is there after [`Tap::recv`]
    /// or [`Tap::readable`].
    pub fn try_recv(&self, buf: &mut BytesMut) -> io::Result<usize> {
        sys::try_read(&self.file, |file| sys::read_frame(file.as_fd(), buf))
    }

    /// Hands one frame to the host, waiting while the device cannot take it.
    ///
    /// A device that is down answers `EIO`; the frame is lost, as on a card without a cable.
    pub async fn send(&self, frame: &[u8]) -> io::Result<()> {
        if let Some(done) = self.write_now(frame) {
            return done;
        }
        self.file
            .async_io(Interest::WRITABLE, |file| write(file, frame))
            .await
    }

    /// As [`Tap::send`], with `WouldBlock` instead of waiting.
    pub fn try_send(&self, frame: &[u8]) -> io::Result<()> {
        if let Some(done) = self.write_now(frame) {
            return done;
        }
        self.file.try_io(Interest::WRITABLE, |file| write(file, frame))
    }

    /// Writes without a look at the readiness: a device nearly always takes a frame, but one that is down is never
    /// "writable", and waiting for that would stop the caller.
    fn write_now(&self, frame: &[u8]) -> Option<io::Result<()>> {
        match write(self.file.get_ref(), frame) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            done => Some(done),
        }
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

fn write(file: &OwnedFd, frame: &[u8]) -> io::Result<()> {
    sys::write_frame(file.as_fd(), &[IoSlice::new(frame)]).map(drop)
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
