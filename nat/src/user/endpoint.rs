//! Our end of one TCP connection with a station of the hub, sans-IO: IPv4 packets in and out, smoltcp in between.
//!
//! Each connection has a smoltcp interface of its own with a single socket. smoltcp looks for the socket of a packet,
//! and for sockets with something to send, by walking over all of an interface's sockets; with one interface per
//! connection a packet costs the same however many connections there are, and each runs in its own task.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::socket::tcp::{self, Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::packet::Outgoing;

/// Bytes sent at once before the station's acknowledgements set the pace. smoltcp would begin with two segments; a
/// page should not need five round trips, and the queue before a station holds this many times over.
const HEAD_START: usize = 32 * 1024;
/// How long a station may leave our data unacknowledged.
const UNANSWERED: Duration = Duration::from_secs(60);

/// What a connection may hold each way, bytes. It bounds the speed to this per round trip, and is only used up by
/// connections whose station, or whose destination, is slower than the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffers {
    /// From the station, waiting for the destination.
    pub(crate) receive: usize,
    /// To the station, not acknowledged yet.
    pub(crate) send: usize,
}

impl Buffers {
    /// Large ones as long as there are few connections, so that all of them together stay below 1 GiB.
    pub(crate) fn among(connections: u32) -> Self {
        let (receive, send) = match connections {
            0..=256 => (512 * 1024, 512 * 1024),
            257..=1024 => (128 * 1024, 256 * 1024),
            _ => (64 * 1024, 64 * 1024),
        };
        Buffers { receive, send }
    }
}

/// One connection, seen from the destination's side.
pub(crate) struct Endpoint {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    wire: Wire,
    started: Instant,
    /// What is left of the head start; `None` once acknowledgements set the pace.
    head_start: Option<usize>,
}

impl Endpoint {
    /// An end that answers as `local` once the connection request is [`input`](Self::input).
    pub(crate) fn listen(
        now: Instant,
        local: SocketAddrV4,
        mtu: usize,
        buffers: Buffers,
        seed: u64,
    ) -> Option<Self> {
        let mut endpoint = Self::idle(now, *local.ip(), mtu, buffers, seed);
        let address = (IpAddress::Ipv4(*local.ip()), local.port());
        endpoint.socket().listen(address).ok()?;
        Some(endpoint)
    }

    fn idle(now: Instant, ip: Ipv4Addr, mtu: usize, buffers: Buffers, seed: u64) -> Self {
        let mut wire = Wire {
            mtu,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
        };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // With a prefix of 0 every station is a neighbour, and no route is needed.
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(ip), 0));
        });
        let mut socket = Socket::new(
            SocketBuffer::new(vec![0; buffers.receive]),
            SocketBuffer::new(vec![0; buffers.send]),
        );
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(UNANSWERED.into()));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Endpoint {
            interface,
            sockets,
            handle,
            wire,
            started: now,
            head_start: Some(HEAD_START),
        }
    }

    /// An end that asks `remote` for a connection at the first [`poll`](Self::poll).
    pub(crate) fn connect(
        now: Instant,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        mtu: usize,
        buffers: Buffers,
        seed: u64,
    ) -> Option<Self> {
        let mut endpoint = Self::idle(now, *local.ip(), mtu, buffers, seed);
        let end = |address: SocketAddrV4| (IpAddress::Ipv4(*address.ip()), address.port());
        let (interface, handle) = (&mut endpoint.interface, endpoint.handle);
        let socket = endpoint.sockets.get_mut::<Socket<'_>>(handle);
        socket
            .connect(interface.context(), end(remote), end(local))
            .ok()?;
        Some(endpoint)
    }

    /// Takes a packet of the connection; [`poll`](Self::poll) looks at it.
    pub(crate) fn input(&mut self, packet: Bytes) {
        self.wire.inbox.push_back(packet);
    }

    /// Looks at what came in, and makes packets of what is to be sent by `now`.
    pub(crate) fn poll(&mut self, now: Instant) {
        let now = self.time(now);
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
        if self.head_start == Some(0) {
            // Many connections share the way to a station, whose queue drops what it cannot hold.
            self.head_start = None;
            self.socket()
                .set_congestion_control(tcp::CongestionControl::Cubic);
        }
    }

    /// Lets `read` fill room for bytes to the station and say how many it wrote; `None` if there is no room now. Some
    /// may come with the next [`poll`](Self::poll).
    pub(crate) fn send(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let allowed = self.head_start.unwrap_or(usize::MAX);
        let socket = self.sockets.get_mut::<Socket<'_>>(self.handle);
        if allowed == 0 || !socket.can_send() {
            return None;
        }
        let mut outcome = Ok(0);
        let moved = socket.send(|room| {
            let len = room.len().min(allowed);
            outcome = read(&mut room[..len]);
            let moved = *outcome.as_ref().unwrap_or(&0);
            (moved, moved)
        });
        if let (Ok(moved), Some(left)) = (moved, &mut self.head_start) {
            *left -= moved;
        }
        Some(outcome)
    }

    /// Lets `write` take bytes of the station and say how many it took; `None` if there are none.
    pub(crate) fn receive(
        &mut self,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let socket = self.socket();
        if !socket.can_recv() {
            return None;
        }
        let mut outcome = Ok(0);
        let taken = socket.recv(|bytes| {
            outcome = write(bytes);
            let taken = *outcome.as_ref().unwrap_or(&0);
            (taken, taken)
        });
        taken.is_ok().then_some(outcome)
    }

    /// The packets for the station made so far.
    pub(crate) fn output(&mut self) -> std::vec::Drain<'_, Outgoing> {
        self.wire.outbox.drain(..)
    }

    /// When [`poll`](Self::poll) wants to be called without any packet.
    pub(crate) fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        let at = self.interface.poll_at(self.time(now), &self.sockets)?;
        Some(self.started + Duration::from_micros(at.total_micros().max(0) as u64))
    }

    /// The connection's stream.
    pub(crate) fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut(self.handle)
    }

    /// Whether both sides have agreed to talk.
    pub(crate) fn is_open(&mut self) -> bool {
        self.socket().may_send()
    }

    /// Whether the other side has sent all it has, and all of it was taken.
    pub(crate) fn peer_has_finished(&mut self) -> bool {
        let socket = self.socket();
        let finished = matches!(
            socket.state(),
            tcp::State::CloseWait | tcp::State::LastAck | tcp::State::Closing | tcp::State::TimeWait
        );
        finished && socket.recv_queue() == 0
    }

    /// Whether both sides have finished or one has broken off.
    pub(crate) fn is_over(&mut self) -> bool {
        matches!(self.socket().state(), tcp::State::Closed | tcp::State::TimeWait)
    }

    fn time(&self, now: Instant) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros(now.duration_since(self.started).as_micros() as i64)
    }
}

/// The interface's "device": two queues of packets.
struct Wire {
    mtu: usize,
    inbox: VecDeque<Bytes>,
    outbox: Vec<Outgoing>,
}

struct Received(Bytes);

struct Slot<'a>(&'a mut Vec<Outgoing>);

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Slot<'_>)> {
        let packet = self.inbox.pop_front()?;
        Some((Received(packet), Slot(&mut self.outbox)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Slot<'_>> {
        Some(Slot(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What comes in was verified when it was taken from its frame, or is a frame whose checksum is yet to be made.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::Tx;
        capabilities.checksum = checksum;
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = Outgoing::zeroed(len);
        let result = f(packet.ip_mut());
        self.0.push(packet);
        result
    }
}
