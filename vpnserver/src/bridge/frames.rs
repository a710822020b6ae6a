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

/// What the tests of `netdev` run in.
#[cfg(test)]
#[path = "../../../netdev/tests/namespace/mod.rs"]
mod namespace;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::Ipv4Addr;
    use std::task::Poll;

    use bytes::Bytes;
    use hub_core::switch::Switch;
    use hub_core::{Hub, HubConfig, PortConfig, PortKind};
    use netdev::{Links, TapOptions, sysctl};

    use super::namespace::in_namespace;
    use super::*;

    const STATION: [u8; 6] = [2, 0, 0, 0, 0, 9];

    /// Who has 10.1.0.1? Tell 10.1.0.2.
    fn question() -> Frame {
        let head = [&[0xff; 6][..], &STATION, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
        let parts = [&head[..], &STATION, &[10, 1, 0, 2], &[0; 6], &[10, 1, 0, 1]];
        Frame::new(Bytes::from(parts.concat()))
    }

    /// Looks for an answer whenever it is its turn, `turns` times: the runtime has always something to do meanwhile, and does not ask the
    /// kernel for news (it does after 61 turns, `event_interval`).
    async fn answer(station: &Port, turns: usize) -> Option<Frame> {
        let (mut left, mut frames) = (turns, Vec::new());
        poll_fn(|context| {
            station.try_recv(&mut frames, BATCH_BYTES).unwrap();
            if left == 0 || !frames.is_empty() {
                return Poll::Ready(());
            }
            left -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        frames.pop()
    }

    #[test]
    fn an_answer_goes_on_before_the_runtime_looks_for_news() {
        in_namespace(|| async {
            sysctl::write("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
            let links = Links::new().unwrap();
            let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
            let ours = Ipv4Addr::new(10, 1, 0, 1).into();
            links.add_address("tap0", ours, 24).await.unwrap();
            links.set_up("tap0").await.unwrap();
            let switch = Switch::new(Hub::new(HubConfig::new(7)));
            let attach = |kind, name| switch.attach(Instant::now(), PortConfig::new(kind, name), BATCH_BYTES);
            let bridge = attach(PortKind::LocalBridge, "SID-LOCALBRIDGE-1");
            let station = attach(PortKind::Session, "SID-TEST-1");
            tokio::spawn(carry(bridge, Device::Tap(Arc::new(tap))));
            // With this answer the runtime has looked for news, so that the count of turns begins anew.
            station.send(Instant::now(), &mut std::iter::once(question()));
            station.recv(&mut Vec::new(), BATCH_BYTES).await.unwrap();

            let asking = tokio::spawn(async move {
                station.send(Instant::now(), &mut std::iter::once(question()));
                answer(&station, 20).await
            });
            let answer = asking.await.unwrap().expect("nothing was read");
            assert_eq!(&answer.bytes[..6], &STATION);
        });
    }
}
