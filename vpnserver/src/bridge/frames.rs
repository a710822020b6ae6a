//! Frames between a hub's port and a device, both ways.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::frame::Frame;
use hub_core::relay::Relay;
use hub_core::switch::Port;
use nat::device;
use nat::segment::{Device, is_gone};
use netdev::{PacketSocket, Tap};

/// Bytes that are taken from the hub at once.
const BATCH_BYTES: usize = 256 * 1024;
/// How long a device that cannot be read (it is down, say) is left alone.
const REST: Duration = Duration::from_millis(50);

/// Carries frames until the device is gone or the port was closed, and closes the port.
pub(super) async fn carry(port: Port, device: Device) {
    tokio::select! {
        () = outward(&port, &device) => {}
        () = inward(&port, &device) => {}
    }
    port.close();
}

/// Hub to device: what came segment by segment is joined for it. A device that is full or down loses frames, as a cable
/// would.
async fn outward(port: &Port, device: &Device) {
    match device {
        Device::Tap(tap) => to_tap(port.clone(), tap.clone()).await,
        Device::Interface(socket) => to_interface(port, socket).await,
    }
}

/// A TAP device never lets anybody wait, so whoever sends through the hub writes to it.
async fn to_tap(port: Port, tap: Arc<Tap>) {
    let closing = port.clone();
    let mut joiner = tap.joiner();
    Relay::new(port, BATCH_BYTES, move |batch: &mut Vec<Frame>| {
        device::join(&mut joiner, batch.drain(..));
        if let Err(error) = tap.try_send_joined(&mut joiner)
            && is_gone(&error)
        {
            closing.close();
        }
    })
    .await;
}

async fn to_interface(port: &Port, socket: &PacketSocket) {
    let mut batch = Vec::new();
    let mut joiner = socket.joiner();
    while port.recv(&mut batch, BATCH_BYTES).await.is_ok() {
        device::join(&mut joiner, batch.drain(..));
        if let Err(error) = socket.send_joined(&mut joiner).await
            && is_gone(&error)
        {
            return;
        }
    }
}

/// Device to hub, a batch of what is there at once.
async fn inward(port: &Port, device: &Device) {
    let mut frames = Vec::new();
    loop {
        match device.recv(&mut frames).await {
            Ok(()) => port.send(Instant::now(), &mut frames.drain(..)),
            Err(error) if is_gone(&error) => return,
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}
