//! A whole segment of this machine joins the hub: what is behind an interface and what is on the hub are one Ethernet.
//!
//! For a site that cannot be reached from outside: its side calls. This machine gives only its interface; it has no address on the
//! hub, and by a plain interface it does not take part itself (see [`nat::segment`]). An interface that vanishes is waited for.
//!
//! The tunnel's own packets must never go into the tunnel. A packet socket does not see what this machine sends, and leaves what is
//! sent to it; at a port of a bridge of the kernel both could be seen, and are kept out by [`Underlay`].

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hub_core::frame::{Frame, FrameView, Network};
use hub_core::queue::FrameQueue;
use nat::device::{self, Finisher, Reader};
use nat::segment::{self, Device, is_gone};
use netdev::segment::Joiner;
use netdev::{Link, Links, News, VnetHeader};
use tokio::sync::{Notify, mpsc};
use tokio::time::{interval, sleep, timeout};
use transport::tunnel::{Inbound, Tunnel};

use super::Attachment;
use crate::dhcp::Lease;
use crate::failure::Failure;
use crate::report::Reporter;

/// Bytes that wait for the segment at most; what finds no room is lost, as on any Ethernet.
const QUEUE_BYTES: usize = 4 << 20;
/// Bytes that are taken of them at once.
const BATCH_BYTES: usize = 256 * 1024;
/// How long an interface that cannot be read (it is down, say) is left alone.
const REST: Duration = Duration::from_millis(50);
/// How often a missing interface is looked for without news of it.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is asked whether the segment is joined to the hub by another way as well.
const ASK: Duration = Duration::from_secs(30);
/// The type of a frame that asks (IEEE 802, "local experimental ethertype 1").
const EXPERIMENTAL: [u8; 2] = [0x88, 0xb5];

/// A segment that is at an interface of this machine.
pub struct Segment {
    name: String,
    mac: [u8; 6],
    advice: Option<String>,
    shared: Arc<Shared>,
}

/// What the sessions of one client share.
struct Shared {
    name: String,
    offload: bool,
    links: Links,
    /// The interface, as it was entered last.
    place: Mutex<Option<Place>>,
    /// From the hub.
    queue: FrameQueue,
    underlay: Mutex<Underlay>,
    question: Question,
    /// A question came back.
    circles: Notify,
}

/// An interface that was entered.
#[derive(Clone)]
struct Place {
    device: Device,
    /// The number of what the name stood for.
    index: u32,
}

impl Segment {
    /// Enters the segment at the interface, or bridge of the kernel, called `name`; nothing is carried yet. `offload` is whether frames may
    /// be exchanged unfinished with a bridge. Needs a running runtime.
    pub async fn open(name: &str, offload: bool) -> Result<Self, Failure> {
        let links = Links::new()?;
        let link = links.link(name).await?;
        let Some(mac) = link.mac.filter(|_| !link.loopback) else {
            return Err(Failure::Usage(format!(
                "{name} is no Ethernet interface; --bridge wants one, or a bridge of the kernel"
            )));
        };
        let shared = Shared {
            name: name.to_owned(),
            offload,
            place: Mutex::default(),
            queue: FrameQueue::new(QUEUE_BYTES),
            underlay: Mutex::new(Underlay { mac, server: None }),
            question: Question::new(rand::random()),
            circles: Notify::new(),
            links,
        };
        let place = shared.enter(&link).await?;
        *shared.place() = Some(place);
        Ok(Self {
            name: name.to_owned(),
            mac,
            advice: advice(&link, &shared.links).await,
            shared: Arc::new(shared),
        })
    }

    /// What a user should know who expects more of this interface than it can give.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }
}

async fn advice(link: &Link, links: &Links) -> Option<String> {
    let name = &link.name;
    if Path::new("/sys/class/net").join(name).join("phy80211").exists() {
        return Some(format!(
            "{name} is wireless: most access points take frames of its own hardware address only; bridge a wired interface"
        ));
    }
    segment::advice(link, links).await
}

impl Attachment for Segment {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Local(error.to_string())
    }

    fn wants_address(&self) -> bool {
        false
    }

    fn inbound(&self, _dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound {
        let shared = self.shared.clone();
        Arc::new(move |frames: &mut Vec<Frame>| {
            shared.keep_out(frames);
            for frame in frames.drain(..) {
                if shared.question.is(&frame.bytes) {
                    shared.circles.notify_one();
                } else {
                    shared.queue.push(frame);
                }
            }
        })
    }

    fn outbound(&self, tunnel: Tunnel) -> impl Future<Output = io::Error> + Send + 'static {
        let shared = self.shared.clone();
        async move {
            tokio::select! {
                never = shared.carry(&tunnel) => match never {},
                () = shared.circles.notified() => io::Error::other(format!(
                    "{} is joined to the hub by another way as well, and frames would go in circles; end one of the two (is there a \
                     local bridge of the server to the same segment?)",
                    shared.name
                )),
            }
        }
    }

    fn return_answer(&self, _frame: &[u8]) {}

    async fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    fn found(&mut self, server: SocketAddr) {
        self.shared.underlay().server = Some(server.ip().to_canonical());
    }

    async fn take(&mut self, _: &Lease, _: IpAddr, _: &Reporter) -> Result<(), Failure> {
        Ok(()) // it asks for none
    }

    async fn renewed(&mut self) {}

    async fn clear(&mut self) {}

    async fn find_server(&mut self, _server: IpAddr) -> Result<(), Failure> {
        Ok(()) // this machine's routes are as they were
    }

    async fn suspend_names(&mut self) {}
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn underlay(&self) -> MutexGuard<'_, Underlay> {
        self.underlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, link: &Link) -> netdev::Result<Place> {
        // The server has ports of its own at the kernel's bridges.
        let device = Device::join(link, "client", self.offload, &self.links).await?;
        if let Some(mac) = link.mac {
            self.underlay().mac = mac;
        }
        Ok(Place {
            device,
            index: link.index,
        })
    }

    /// Carries frames both ways, for as long as it takes.
    async fn carry(&self, tunnel: &Tunnel) -> Infallible {
        let mut news = News::listen().ok();
        loop {
            let entered = self.place().clone();
            let place = match entered.filter(|place| self.is_there(place)) {
                Some(place) => place,
                None => self.returned(news.as_mut()).await,
            };
            tokio::select! {
                () = self.inward(&place.device, tunnel) => {}
                () = self.outward(&place.device) => {}
                () = self.ask(&place.device) => {}
                () = self.vanished(&place, news.as_mut()) => {}
            }
            if !self.is_there(&place) {
                tracing::warn!(interface = self.name, "the interface is gone; it is waited for");
                *self.place() = None;
            }
            sleep(REST).await;
        }
    }

    /// Whether the name still stands for the same interface.
    fn is_there(&self, place: &Place) -> bool {
        netdev::index_of(&self.name).is_ok_and(|index| index == place.index)
    }

    /// Waits for an interface of this name, and enters it.
    async fn returned(&self, mut news: Option<&mut News>) -> Place {
        loop {
            if let Ok(link) = self.links.link(&self.name).await {
                match self.enter(&link).await {
                    Ok(place) => {
                        tracing::warn!(interface = self.name, "the interface is there again");
                        *self.place() = Some(place.clone());
                        return place;
                    }
                    Err(error) => tracing::info!(%error, "the interface cannot be entered yet"),
                }
            }
            changed(news.as_deref_mut()).await;
        }
    }

    async fn vanished(&self, place: &Place, mut news: Option<&mut News>) {
        while self.is_there(place) {
            changed(news.as_deref_mut()).await;
        }
    }

    /// Segment to hub.
    async fn inward(&self, device: &Device, tunnel: &Tunnel) {
        let (mut reader, mut frames) = (Reader::default(), Vec::new());
        let mut finisher = Finisher::default();
        loop {
            match device.recv(&mut reader, &mut frames).await {
                Ok(()) => {}
                Err(error) if is_gone(&error) => return,
                Err(_) => sleep(REST).await,
            }
            self.keep_out(&mut frames);
            // A stock server, and a datagram, knows frames of ordinary length only.
            if !tunnel.takes_super_frames() {
                finisher.finish(&mut frames);
            }
            tunnel.send(&mut frames.drain(..));
        }
    }

    /// Hub to segment: what came piece by piece is joined for it.
    async fn outward(&self, device: &Device) {
        let mut batch = Vec::new();
        let mut joiner = match device {
            Device::Tap(tap) => tap.joiner(),
            Device::Interface(socket) => socket.joiner(),
        };
        while self.queue.recv_batch(&mut batch, BATCH_BYTES).await.is_ok() {
            device::join(&mut joiner, batch.drain(..));
            if let Err(error) = send(device, &mut joiner).await
                && is_gone(&error)
            {
                return;
            }
        }
    }

    /// Sends a question into the segment now and then. It can only come back through the hub if something else carries it there.
    async fn ask(&self, device: &Device) {
        let mut ticks = interval(ASK);
        loop {
            ticks.tick().await;
            let _ = match device {
                Device::Tap(tap) => tap.try_send(&VnetHeader::NONE, self.question.frame()),
                Device::Interface(socket) => socket.try_send(&VnetHeader::NONE, self.question.frame()),
            };
        }
    }

    fn keep_out(&self, frames: &mut Vec<Frame>) {
        let underlay = *self.underlay();
        frames.retain(|frame| !underlay.carries(&frame.bytes));
    }
}

async fn send(device: &Device, joiner: &mut Joiner) -> io::Result<()> {
    match device {
        Device::Tap(tap) => tap.try_send_joined(joiner),
        Device::Interface(socket) => socket.send_joined(joiner).await,
    }
}

/// News of this machine's interfaces, or some time.
async fn changed(news: Option<&mut News>) {
    let told = match news {
        Some(news) => timeout(LOOK, news.changed()).await,
        None => Ok(false),
    };
    if told == Ok(false) {
        sleep(LOOK).await;
    }
}

/// What carries the tunnel: packets between this machine and the server.
#[derive(Debug, Clone, Copy)]
struct Underlay {
    /// The hardware address of this machine in the segment.
    mac: [u8; 6],
    server: Option<IpAddr>,
}

impl Underlay {
    /// Whether a frame is part of it.
    fn carries(&self, frame: &[u8]) -> bool {
        let (Some(server), Some(addresses)) = (self.server, frame.get(..12)) else {
            return false;
        };
        if addresses[..6] != self.mac && addresses[6..] != self.mac {
            return false;
        }
        match FrameView::parse(frame).map(|view| view.network) {
            Some(Network::Ipv4(ip)) => [ip.source, ip.destination].map(IpAddr::V4).contains(&server),
            Some(Network::Ipv6(ip)) => [ip.source, ip.destination].map(IpAddr::V6).contains(&server),
            _ => false,
        }
    }
}

/// A frame that nobody else sends.
#[derive(Debug)]
struct Question([u8; 60]);

impl Question {
    fn new(secret: [u8; 32]) -> Self {
        const NAME: &[u8] = b"hubward loop";
        let mut frame = [0; 60];
        frame[..6].fill(0xff);
        // Of its own, so that no switch thinks that this machine has moved.
        frame[6..12].copy_from_slice(&secret[26..]);
        frame[6] = 2;
        frame[12..14].copy_from_slice(&EXPERIMENTAL);
        frame[14..26].copy_from_slice(NAME);
        frame[26..52].copy_from_slice(&secret[..26]);
        Self(frame)
    }

    fn frame(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is it; a VLAN may have been put before it.
    fn is(&self, frame: &[u8]) -> bool {
        (self.0.len()..self.0.len() + 16).contains(&frame.len())
            && frame[6..12] == self.0[6..12]
            && frame.windows(self.0.len() - 12).any(|part| part == &self.0[12..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 3];
    const SERVER: [u8; 4] = [203, 0, 113, 1];
    const OTHER: [u8; 4] = [10, 0, 1, 26];

    fn packet(to: [u8; 6], from: [u8; 6], source: [u8; 4], destination: [u8; 4], tag: bool) -> Vec<u8> {
        let mut frame = [to, from].concat();
        if tag {
            frame.extend([0x81, 0, 0, 7]);
        }
        frame.extend([8, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        frame.extend(source);
        frame.extend(destination);
        frame.extend([0; 20]);
        frame
    }

    #[test]
    fn the_tunnels_own_packets_are_told_from_those_of_the_neighbours() {
        let underlay = Underlay {
            mac: OURS,
            server: Some(SERVER.into()),
        };
        for tag in [false, true] {
            assert!(underlay.carries(&packet(ROUTER, OURS, [10, 0, 1, 2], SERVER, tag)));
            assert!(underlay.carries(&packet(OURS, ROUTER, SERVER, [10, 0, 1, 2], tag)));
            assert!(!underlay.carries(&packet(ROUTER, NEIGHBOUR, [10, 0, 1, 3], SERVER, tag)));
            assert!(!underlay.carries(&packet(NEIGHBOUR, OURS, [10, 0, 1, 2], OTHER, tag)));
        }
        assert!(!underlay.carries(&OURS));
        let nobody = Underlay {
            server: None,
            ..underlay
        };
        assert!(!nobody.carries(&packet(ROUTER, OURS, OTHER, SERVER, false)));
    }

    #[test]
    fn a_question_is_known_again_with_and_without_a_tag_and_others_questions_are_not() {
        let question = Question::new([7; 32]);
        assert!(question.is(question.frame()));
        let mut tagged = question.frame().to_vec();
        tagged.splice(12..12, [0x81, 0, 0, 7]);
        assert!(question.is(&tagged));
        let other = Question::new([8; 32]);
        assert!(!question.is(other.frame()));
        assert!(!question.is(&question.frame()[..40]));
    }
}
