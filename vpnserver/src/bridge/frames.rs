//! Frames between a hub's port and a device, both ways.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::frame::Frame;
use hub_core::relay::Relay;
use hub_core::switch::Port;
use nat::device::{self, Reader};
use nat::segment::{Device, is_gone};
use netdev::{PacketSocket, Tap};
use tokio::sync::Notify;

/// Bytes that are taken from the hub at once.
const BATCH_BYTES: usize = 256 * 1024;
/// What is sent to the host in so few bytes is often a question, which it has answered before the call returns.
const QUESTION_BYTES: usize = 2048;
/// How long a device that cannot be read (it is down, say) is left alone.
const REST: Duration = Duration::from_millis(50);

/// Carries frames until the device is gone or the port was closed, and closes the port.
pub(super) async fn carry(port: Port, device: Device) {
    let asked = Arc::new(Notify::new());
    // Others write to most devices, so what wakes this task is nearly always something to read.
    tokio::select! {
        biased;
        () = inward(&port, &device, &asked) => {}
        () = outward(&port, &device, &asked) => {}
    }
    port.close();
}

/// Hub to device: what came segment by segment is joined for it. A device that is full or down loses frames, as a cable
/// would.
async fn outward(port: &Port, device: &Device, asked: &Arc<Notify>) {
    match device {
        Device::Tap(tap) => to_tap(port.clone(), tap.clone(), asked.clone()).await,
        Device::Interface(socket) => to_interface(port, socket).await,
    }
}

/// A TAP device never lets anybody wait, so whoever sends through the hub writes to it.
async fn to_tap(port: Port, tap: Arc<Tap>, asked: Arc<Notify>) {
    let closing = port.clone();
    let mut joiner = tap.joiner();
    Relay::new(port, BATCH_BYTES, move |batch: &mut Vec<Frame>| {
        let bytes: usize = batch.iter().map(Frame::len).sum();
        device::join(&mut joiner, batch.drain(..));
        match tap.try_send_joined(&mut joiner) {
            Err(error) if is_gone(&error) => closing.close(),
            _ if bytes < QUESTION_BYTES => asked.notify_one(),
            _ => {}
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

/// Device to hub, a batch of what is there at once. After a question it is read without waiting for news of the device, which the
/// runtime looks for only when it has nothing else to do.
async fn inward(port: &Port, device: &Device, asked: &Notify) {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    loop {
        let received = tokio::select! {
            biased;
            () = asked.notified() => device.recv_answers(&mut reader, &mut frames),
            received = device.recv(&mut reader, &mut frames) => received,
        };
        match received {
            Ok(()) if frames.is_empty() => {}
            Ok(()) => port.send(Instant::now(), &mut frames.drain(..)),
            Err(error) if is_gone(&error) => return,
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}
