//! A local bridge: a hub's port whose other side is a network device of this machine.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hub_core::frame::Frame;
use hub_core::switch::Port;
use netdev::{Links, PacketSocket, Tap, TapOptions, sysctl};
use nix::libc;
use tokio::task::JoinHandle;

/// Frames that are taken from a device before the hub is asked to switch them.
const BATCH_FRAMES: usize = 64;
/// Bytes that are taken from the hub at once.
const BATCH_BYTES: usize = 256 * 1024;
/// How long a device that cannot be read (it is down, say) is left alone.
const REST: Duration = Duration::from_millis(50);

/// A working bridge. Dropping it takes the port off the hub and a TAP device off the machine.
#[derive(Debug)]
pub struct Bridge {
    task: JoinHandle<()>,
}

/// The TAP device of a bridge made for the name `NAME`.
#[must_use]
pub fn tap_device(name: &str) -> String {
    format!("tap_{name}")
}

enum Device {
    Tap(Tap),
    Interface(PacketSocket),
}

impl Bridge {
    /// Joins the hub behind `port` to a TAP device of this name, made and brought up here.
    ///
    /// # Errors
    /// When the device cannot be made; the error says what is missing.
    pub async fn to_tap(port: Port, name: &str, mac: [u8; 6]) -> netdev::Result<Self> {
        let device = tap_device(name);
        let tap = Tap::create(&TapOptions {
            name: device.clone(),
            mac: Some(mac),
            persist: false,
        })?;
        // The host must not tell stations of the segment of a shorter way that goes around it.
        sysctl::write(&format!("net.ipv4.conf.{device}.send_redirects"), "0")?;
        Links::new()?.set_up(&device).await?;
        Ok(Self::run(port, Device::Tap(tap)))
    }

    /// Joins the hub behind `port` to an interface that exists.
    ///
    /// # Errors
    /// When there is none of that name or it may not be opened.
    pub async fn to_interface(port: Port, device: &str) -> netdev::Result<Self> {
        let socket = PacketSocket::open(device)?;
        Links::new()?.set_up(device).await?;
        Ok(Self::run(port, Device::Interface(socket)))
    }

    fn run(port: Port, device: Device) -> Self {
        let device = Arc::new(device);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = outward(&port, &device) => {}
                () = inward(&port, &device) => {}
            }
            port.close();
        });
        Self { task }
    }

    /// Whether it still works: a device that vanished has ended it.
    #[must_use]
    pub fn is_working(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hub to device. A device that is full or down loses frames, as a cable would.
async fn outward(port: &Port, device: &Device) {
    let mut batch = Vec::new();
    while port.recv(&mut batch, BATCH_BYTES).await.is_ok() {
        for frame in batch.drain(..) {
            if let Err(error) = device.send(&frame.bytes).await
                && is_gone(&error)
            {
                return;
            }
        }
    }
}

/// Device to hub, a batch of what is there at once.
async fn inward(port: &Port, device: &Device) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::with_capacity(BATCH_FRAMES);
    loop {
        match device.recv(&mut buffer).await {
            Ok(_) => frames.push(Frame::new(buffer.split())),
            Err(error) if is_gone(&error) => return,
            Err(_) => {
                tokio::time::sleep(REST).await;
                continue;
            }
        }
        while frames.len() < BATCH_FRAMES && device.try_recv(&mut buffer).is_ok() {
            frames.push(Frame::new(buffer.split()));
        }
        port.send(Instant::now(), &mut frames.drain(..));
    }
}

/// Told apart from passing troubles such as a device that is down (`EIO`, `ENETDOWN`) or full (`ENOBUFS`).
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EBADFD | libc::ENODEV | libc::ENXIO | libc::EBADF)
    )
}

impl Device {
    async fn recv(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tap(tap) => tap.recv(buffer).await,
            Self::Interface(socket) => socket.recv(buffer).await,
        }
    }

    fn try_recv(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tap(tap) => tap.try_recv(buffer),
            Self::Interface(socket) => socket.try_recv(buffer),
        }
    }

    async fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self {
            Self::Tap(tap) => tap.send(frame).await,
            Self::Interface(socket) => socket.send(frame).await,
        }
    }
}
