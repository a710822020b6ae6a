//! A host of its own on a hub's segment, without a device: what a client without privileges is.
//!
//! Frames of the hub go in by [`Station::input`], and leave through what [`Station::connect_to`] was given. In between are
//! an address ([`Address`]), TCP connections ([`Station::dial`], [`Station::listen`]) and UDP sockets ([`Station::bind`]).
//! Each TCP connection has an endpoint of its own, as in user-mode NAT.

mod datagram;
mod host;
mod stream;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hub_core::MacAddr;
use hub_core::frame::{Checksum, Frame};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::sleep_until;

use crate::packet::{ICMP, Outgoing, Packet, TCP, UDP};
use datagram::Datagram;
pub use datagram::Socket;
pub use host::Address;
use host::Host;
pub use stream::{Carried, Dialed, Listener, Near, Request};

/// The ports from which a station opens connections (RFC 6335 §6).
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// Requests that wait for a listener.
const BACKLOG: usize = 128;

/// Takes the frames that a station sends.
pub type Outlet = Arc<dyn Fn(&mut dyn Iterator<Item = Frame>) + Send + Sync>;

/// The host. Clones are the same one.
#[derive(Clone)]
pub struct Station {
    shared: Arc<Shared>,
}

/// One end of a connection and the other.
type Ends = (SocketAddrV4, SocketAddrV4);

pub(crate) struct Shared {
    host: Mutex<Host>,
    outlet: Mutex<Option<Outlet>>,
    flows: Mutex<Flows>,
    /// The host's next time-out may have come nearer.
    sooner: Notify,
    /// The address now in use.
    address: watch::Sender<Option<Ipv4Addr>>,
}

/// What a connection hears from the hub.
enum News {
    /// A segment, which is sound.
    Segment(Packet),
    /// Somebody on the way says that it does not get there.
    Unreachable(io::ErrorKind),
}

/// Who gets which packets.
#[derive(Default)]
struct Flows {
    /// By local and remote end.
    streams: HashMap<Ends, mpsc::Sender<News>>,
    listeners: HashMap<u16, mpsc::Sender<Packet>>,
    sockets: HashMap<u16, mpsc::Sender<Datagram>>,
    next_port: u16,
}

impl Flows {
    /// A port that is not in use, from a place that nobody can foresee.
    fn free_port(&mut self, in_use: impl Fn(&Self, u16) -> bool) -> Option<u16> {
        let ports = u32::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1;
        if self.next_port == 0 {
            self.next_port = rand::random();
        }
        for _ in 0..ports {
            self.next_port = self.next_port.wrapping_add(1);
            let port = EPHEMERAL.start() + u16::try_from(u32::from(self.next_port) % ports).unwrap_or(0);
            if !in_use(self, port) {
                return Some(port);
            }
        }
        None
    }
}

impl Station {
    /// A station with this hardware address, which cannot do anything yet. [`Station::run`] must run beside it.
    #[must_use]
    pub fn new(mac: [u8; 6]) -> Self {
        Self {
            shared: Arc::new(Shared {
                host: Mutex::new(Host::new(MacAddr::new(mac))),
                outlet: Mutex::default(),
                flows: Mutex::default(),
                sooner: Notify::new(),
                address: watch::Sender::new(None),
            }),
        }
    }

    /// Sends frames through `outlet` from now on; through nothing while there is none.
    pub fn connect_to(&self, outlet: Option<Outlet>) {
        *self.shared.outlet() = outlet;
    }

    /// Takes an address, or gives it up. Connections from another address end.
    pub fn set_address(&self, address: Option<Address>) {
        let ip = address.as_ref().map(|address| address.ip);
        let mut host = self.shared.host();
        let moved = host.address().map(|address| address.ip) != ip;
        host.set_address(address);
        self.shared.flush(host);
        if moved {
            self.shared.flows().streams.clear();
        }
        self.shared.address.send_replace(ip);
    }

    /// Waits until there is an address.
    ///
    /// # Errors
    /// `NotConnected` when the station is gone.
    pub async fn ready(&self) -> io::Result<Ipv4Addr> {
        let mut address = self.shared.address.subscribe();
        let ip = address.wait_for(Option::is_some).await;
        ip.ok()
            .and_then(|ip| *ip)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Takes frames of the hub; leaves the vector empty.
    pub fn input(&self, frames: &mut Vec<Frame>) {
        let now = Instant::now();
        let mut host = self.shared.host();
        let packets: Vec<_> = frames
            .drain(..)
            .filter_map(|frame| host.handle_frame(now, &frame))
            .collect();
        self.shared.flush(host);
        for (packet, checksum) in packets {
            self.shared.deliver(packet, checksum);
        }
    }

    /// Does what is due by the clock, until the future is dropped.
    pub async fn run(&self) {
        loop {
            let due = self.shared.host().poll_timeout();
            let timer = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {
                    let mut host = self.shared.host();
                    host.handle_timeout(Instant::now());
                    self.shared.flush(host);
                }
                () = self.shared.sooner.notified() => {}
            }
        }
    }
}

impl Shared {
    fn host(&self) -> MutexGuard<'_, Host> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flows(&self) -> MutexGuard<'_, Flows> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outlet(&self) -> MutexGuard<'_, Option<Outlet>> {
        self.outlet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Own address and MTU, or why nothing can be sent.
    fn local(&self) -> io::Result<(Ipv4Addr, usize)> {
        let host = self.host();
        let address = host.address().ok_or_else(|| {
            io::Error::new(io::ErrorKind::NetworkDown, "there is no address on the hub yet")
        })?;
        Ok((address.ip, address.mtu))
    }

    /// Sends packets; whether there was a way for all of them.
    fn send(&self, packets: impl IntoIterator<Item = Outgoing>) -> bool {
        let now = Instant::now();
        let mut packets = packets.into_iter().peekable();
        if packets.peek().is_none() {
            return true;
        }
        let mut host = self.host();
        let before = host.poll_timeout();
        let mut ways = true;
        packets.for_each(|packet| ways &= host.send_packet(now, packet));
        if host.poll_timeout() != before {
            self.sooner.notify_one();
        }
        self.flush(host);
        ways
    }

    fn flush(&self, mut host: MutexGuard<'_, Host>) {
        let frames: Vec<Frame> = std::iter::from_fn(|| host.poll_frame()).collect();
        drop(host);
        if frames.is_empty() {
            return;
        }
        let outlet = self.outlet().clone();
        if let Some(outlet) = outlet {
            outlet(&mut frames.into_iter());
        }
    }

    fn deliver(&self, packet: Packet, checksum: Checksum) {
        match packet.protocol {
            TCP => self.deliver_segment(packet, checksum),
            UDP => {
                let Some(data) = packet.udp(checksum) else { return };
                let datagram = Datagram {
                    from: packet.client(),
                    data: packet.bytes.slice_ref(data),
                };
                if let Some(socket) = self.flows().sockets.get(&packet.target().port()) {
                    // A socket that does not read loses datagrams, as everywhere.
                    let _ = socket.try_send(datagram);
                }
            }
            ICMP => self.deliver_error(&packet),
            _ => {}
        }
    }

    /// Tells a connection what a router or its destination says about it (RFC 792).
    fn deliver_error(&self, packet: &Packet) {
        let Some(error) = packet.unreachable_flow() else {
            return;
        };
        if error.protocol == TCP
            && let Some(stream) = self.flows().streams.get(&(error.from, error.to))
        {
            let _ = stream.try_send(News::Unreachable(error.kind));
        }
    }

    fn deliver_segment(&self, packet: Packet, checksum: Checksum) {
        let Some(segment) = packet.tcp(checksum) else {
            return;
        };
        let flows = self.flows();
        if let Some(stream) = flows.streams.get(&(packet.target(), packet.client())) {
            // A full queue is a peer that ignores our window; TCP repeats what is dropped.
            let _ = stream.try_send(News::Segment(packet.clone()));
            return;
        }
        let opens = segment.syn() && !segment.ack();
        let listener = flows.listeners.get(&packet.target().port()).filter(|_| opens);
        if let Some(listener) = listener {
            let _ = listener.try_send(packet);
            return;
        }
        drop(flows);
        if !segment.rst() {
            let reset = Outgoing::reset(&packet, &segment);
            self.send([reset]);
        }
    }
}
