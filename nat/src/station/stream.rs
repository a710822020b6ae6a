//! TCP connections of a station: opened by us ([`Station::dial`]) or by others ([`Station::listen`]), and carried by any
//! stream of this machine.

use std::io::{self, ErrorKind};
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::frame::Checksum;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::{BACKLOG, Ends, News, Shared, Station};
use crate::packet::{Outgoing, Packet};
use crate::user::endpoint::{Buffers, Endpoint};
pub use crate::user::side::Near;
use crate::user::side::{Side, Tally};

/// How long the other side may take to answer.
const CONNECT: Duration = Duration::from_secs(30);
/// News of a connection that wait for its task: a receive buffer's worth of segments.
const QUEUE: usize = 1024;
/// News taken at one time.
const BATCH: usize = 64;
/// Room for each connection, either way. It bounds the speed to this much per round trip.
const BUFFERS: Buffers = Buffers {
    receive: 1024 * 1024,
    send: 1024 * 1024,
};

impl Station {
    /// Opens a connection.
    ///
    /// # Errors
    /// `NetworkDown` without an address, `NetworkUnreachable` without a way, `ConnectionRefused`, `HostUnreachable`,
    /// `TimedOut`, as the other side or the silence says.
    pub async fn dial(&self, to: SocketAddrV4) -> io::Result<Dialed> {
        let (ip, mtu) = self.shared.local()?;
        let registration = self.shared.register_from(ip, to)?;
        let (local, seed) = (registration.place.ends.0, rand::random());
        let endpoint = Endpoint::connect(Instant::now(), local, to, mtu, BUFFERS, seed)
            .ok_or(ErrorKind::AddrNotAvailable)?;
        let mut dialed = Dialed::new(endpoint, registration);
        dialed.open().await?;
        Ok(dialed)
    }

    /// Takes connections to `port`, until the listener is dropped.
    ///
    /// # Errors
    /// `AddrInUse` when there is a listener already.
    pub fn listen(&self, port: u16) -> io::Result<Listener> {
        let mut flows = self.shared.flows();
        if flows.listeners.contains_key(&port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let (sender, requests) = mpsc::channel(BACKLOG);
        flows.listeners.insert(port, sender);
        drop(flows);
        Ok(Listener {
            shared: Arc::clone(&self.shared),
            port,
            requests,
        })
    }
}

/// A port that others may connect to.
pub struct Listener {
    shared: Arc<Shared>,
    port: u16,
    requests: mpsc::Receiver<Packet>,
}

impl Listener {
    /// The next request.
    pub async fn request(&mut self) -> Request {
        loop {
            let Some(packet) = self.requests.recv().await else {
                // The sender is in the table until this listener is dropped.
                return std::future::pending().await;
            };
            // A repeated request belongs to the connection that was made of the first.
            if let Some(registration) = self.shared.register((packet.target(), packet.client())) {
                return Request { packet, registration };
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.flows().listeners.remove(&self.port);
    }
}

/// Somebody's wish to connect, which is neither granted nor refused yet.
pub struct Request {
    packet: Packet,
    registration: Registration,
}

impl Request {
    /// Who wants to connect.
    #[must_use]
    pub fn from(&self) -> SocketAddrV4 {
        self.packet.client()
    }

    /// Grants it.
    ///
    /// # Errors
    /// `NetworkDown` when the address is gone meanwhile.
    pub fn grant(self) -> io::Result<Dialed> {
        let (_, mtu) = self.registration.place.shared.local()?;
        let local = self.packet.target();
        let mut endpoint = Endpoint::listen(Instant::now(), local, mtu, BUFFERS, rand::random())
            .ok_or(ErrorKind::AddrNotAvailable)?;
        endpoint.input(self.packet.bytes);
        Ok(Dialed::new(endpoint, self.registration))
    }

    /// Refuses it, as a host does that has nobody at this port.
    pub fn refuse(self) {
        if let Some(segment) = self.packet.tcp(Checksum::Verified) {
            let reset = Outgoing::reset(&self.packet, &segment);
            self.registration.place.shared.send([reset]);
        }
    }
}

/// A connection's place in the table, and what is sent there.
struct Registration {
    place: Place,
    news: mpsc::Receiver<News>,
}

struct Place {
    shared: Arc<Shared>,
    ends: Ends,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.flows().streams.remove(&self.ends);
    }
}

impl Shared {
    /// A place for a connection from a free port of ours.
    fn register_from(self: &Arc<Self>, ip: std::net::Ipv4Addr, to: SocketAddrV4) -> io::Result<Registration> {
        let mut flows = self.flows();
        let taken =
            |flows: &super::Flows, port| flows.streams.contains_key(&(SocketAddrV4::new(ip, port), to));
        let port = flows.free_port(taken).ok_or(ErrorKind::AddrNotAvailable)?;
        drop(flows);
        self.register((SocketAddrV4::new(ip, port), to))
            .ok_or_else(|| ErrorKind::AddrInUse.into())
    }

    fn register(self: &Arc<Self>, ends: Ends) -> Option<Registration> {
        let mut flows = self.flows();
        if flows.streams.contains_key(&ends) {
            return None;
        }
        let (sender, news) = mpsc::channel(QUEUE);
        flows.streams.insert(ends, sender);
        drop(flows);
        let shared = Arc::clone(self);
        Some(Registration {
            place: Place { shared, ends },
            news,
        })
    }
}

/// A connection with the other side.
pub struct Dialed {
    endpoint: Endpoint,
    place: Place,
    news: mpsc::Receiver<News>,
    batch: Vec<News>,
}

/// What a connection carried, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// To the other side.
    pub sent: u64,
    /// From it.
    pub received: u64,
}

impl Dialed {
    fn new(endpoint: Endpoint, registration: Registration) -> Self {
        Self {
            endpoint,
            place: registration.place,
            news: registration.news,
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// The far end.
    #[must_use]
    pub fn peer(&self) -> SocketAddrV4 {
        self.place.ends.1
    }

    /// Our end.
    #[must_use]
    pub fn local(&self) -> SocketAddrV4 {
        self.place.ends.0
    }

    fn flush(&mut self) -> bool {
        self.place.shared.send(self.endpoint.output())
    }

    /// Waits until the other side has answered the request that the endpoint makes.
    async fn open(&mut self) -> io::Result<()> {
        let give_up = Instant::now() + CONNECT;
        loop {
            let now = Instant::now();
            self.endpoint.take_in(now);
            self.endpoint.put_out(now);
            if !self.flush() {
                return Err(ErrorKind::NetworkUnreachable.into());
            }
            if self.endpoint.is_open() {
                return Ok(());
            }
            if self.endpoint.is_over() {
                return Err(ErrorKind::ConnectionRefused.into());
            }
            if now >= give_up {
                self.endpoint.socket().abort();
                self.endpoint.put_out(now);
                self.flush();
                return Err(ErrorKind::TimedOut.into());
            }
            let due = self
                .endpoint
                .poll_timeout(now)
                .map_or(give_up, |at| at.min(give_up));
            tokio::select! {
                received = self.news.recv_many(&mut self.batch, BATCH) => {
                    if received == 0 {
                        return Err(ErrorKind::NetworkDown.into());
                    }
                    for news in self.batch.drain(..) {
                        match news {
                            News::Segment(packet) => self.endpoint.input(packet.bytes),
                            News::Unreachable(kind) => return Err(kind.into()),
                        }
                    }
                }
                () = sleep_until(due.into()) => {}
            }
        }
    }

    /// Carries bytes between `near` and the other side until both have finished or one has broken off. `early` was read
    /// from `near` before.
    pub async fn carry(mut self, mut near: impl Near, early: &[u8]) -> Carried {
        let mut side = Side::new(early);
        let mut carried = Carried::default();
        loop {
            let now = Instant::now();
            side.turn(now, &mut self.endpoint, &mut near, &mut carried).await;
            self.flush();
            if self.endpoint.is_over() {
                return carried;
            }
            let due = self.endpoint.poll_timeout(now);
            let timer = async {
                match due {
                    Some(at) => sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.news.recv_many(&mut self.batch, BATCH) => {
                    if received == 0 {
                        return carried;
                    }
                    for news in self.batch.drain(..) {
                        // A router's opinion does not end a connection that works (RFC 5927 §6).
                        if let News::Segment(packet) = news {
                            self.endpoint.input(packet.bytes);
                        }
                    }
                }
                () = side.stream_ready(&mut self.endpoint, &near) => {}
                () = timer => {}
            }
        }
    }
}

impl Tally for Carried {
    fn near_took(&mut self, _: Instant, bytes: usize) {
        self.received += bytes as u64;
    }

    fn near_gave(&mut self, _: Instant, bytes: usize) {
        self.sent += bytes as u64;
    }
}
