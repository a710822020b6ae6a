//! A station on a hub: smoltcp with an Ethernet address of its own, driven by the test.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use hub_core::{Frame, MacAddr, Port};
use nat::device::Finisher;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};

use super::GATEWAY;

const PATIENCE: Duration = Duration::from_secs(20);

/// A machine of a hub user.
pub(crate) struct Station {
    port: Port,
    interface: Interface,
    sockets: SocketSet<'static>,
    wire: Wire,
    started: Instant,
    mac: [u8; 6],
    pub(crate) ip: Ipv4Addr,
    gateway_mac: Option<[u8; 6]>,
    next_port: u16,
    /// One frame of this many is lost, each way.
    pub(crate) loss: Option<u32>,
    dice: u32,
    /// Frames that arrived, for tests that look at them.
    seen: VecDeque<Frame>,
}

/// How a connection attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Connected {
    Yes(SocketHandle),
    Refused,
    Silence,
}

impl Station {
    pub(crate) fn new(port: Port, last: u8) -> Self {
        let (mac, ip) = ([2, 0, 0, 0, 0, last], Ipv4Addr::new(192, 168, 30, last));
        let mut wire = Wire::default();
        let mut config = Config::new(EthernetAddress(mac).into());
        config.random_seed = 42 + u64::from(last);
        let mut interface = Interface::new(config, &mut wire, smoltcp::time::Instant::ZERO);
        interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(IpAddress::Ipv4(ip), 24)).unwrap());
        interface.routes_mut().add_default_ipv4_route(GATEWAY).unwrap();
        let sockets = SocketSet::new(Vec::new());
        let started = Instant::now();
        let (gateway_mac, next_port, seen) = (None, 40_000, VecDeque::new());
        Station {
            port,
            interface,
            sockets,
            wire,
            started,
            mac,
            ip,
            gateway_mac,
            next_port,
            loss: None,
            dice: 1,
            seen,
        }
    }

    fn time(&self) -> smoltcp::time::Instant {
        smoltcp::time::Instant::from_micros(self.started.elapsed().as_micros() as i64)
    }

    /// Whether the next frame is lost.
    fn loses(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.loss
            .is_some_and(|loss| (self.dice >> 8).is_multiple_of(loss))
    }

    fn flush(&mut self) {
        let mut out = std::mem::take(&mut self.wire.outbox);
        out.retain(|_| !self.loses());
        self.port
            .send(Instant::now(), &mut out.into_iter().map(Frame::new));
    }

    /// Lets the station run until `done` says so; `false` if that takes too long.
    pub(crate) async fn drive(
        &mut self,
        patience: Duration,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        let end = Instant::now() + patience;
        let mut batch = Vec::new();
        let mut finisher = Finisher::default();
        loop {
            let now = self.time();
            self.interface.poll(now, &mut self.wire, &mut self.sockets);
            self.flush();
            if done(self) {
                self.interface.poll(now, &mut self.wire, &mut self.sockets);
                self.flush();
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            let pause = self
                .interface
                .poll_delay(self.time(), &self.sockets)
                .map_or(100_000, |d| d.total_micros());
            let wait = Duration::from_micros(pause.clamp(1, 100_000));
            let _ = tokio::time::timeout(wait, self.port.recv(&mut batch, 1 << 20)).await;
            finisher.finish(&mut batch);
            for frame in batch.drain(..) {
                if self.loses() {
                    continue;
                }
                self.seen.push_back(frame.clone());
                if self.seen.len() > 256 {
                    self.seen.pop_front();
                }
                self.wire.inbox.push_back(frame);
            }
        }
    }

    pub(crate) fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// The station's hardware address.
    pub(crate) fn mac(&self) -> MacAddr {
        MacAddr::new(self.mac)
    }

    /// Sends everything back that comes to this TCP port, until its client finishes.
    pub(crate) async fn echo_once(&mut self, port: u16) {
        let buffer = || SocketBuffer::new(vec![0; 64 * 1024]);
        let handle = self.sockets.add(Socket::new(buffer(), buffer()));
        self.socket(handle).listen(port).unwrap();
        let done = |station: &mut Station| {
            let socket = station.socket(handle);
            while socket.can_recv() && socket.can_send() {
                let room = socket.send_capacity() - socket.send_queue();
                let heard = socket.recv(|bytes| {
                    let piece = &bytes[..bytes.len().min(room)];
                    (piece.len(), piece.to_vec())
                });
                socket.send_slice(&heard.unwrap()).unwrap();
            }
            if socket.state() == State::CloseWait && socket.recv_queue() == 0 {
                socket.close();
            }
            matches!(socket.state(), State::Closed | State::TimeWait)
        };
        assert!(self.drive(PATIENCE, done).await, "no client came and finished");
    }

    /// Asks for a connection, and does not wait for the answer.
    pub(crate) fn begin(&mut self, to: &str) -> SocketHandle {
        let to: SocketAddrV4 = to.parse().unwrap();
        let buffer = || SocketBuffer::new(vec![0; 256 * 1024]);
        let handle = self.sockets.add(Socket::new(buffer(), buffer()));
        self.next_port += 1;
        let remote = (IpAddress::Ipv4(*to.ip()), to.port());
        let context = self.interface.context();
        self.sockets
            .get_mut::<Socket<'_>>(handle)
            .connect(context, remote, self.next_port)
            .unwrap();
        handle
    }

    /// Asks for a connection.
    pub(crate) async fn connect(&mut self, to: &str, patience: Duration) -> Connected {
        let handle = self.begin(to);
        let settled = |station: &mut Station| station.socket(handle).state() != State::SynSent;
        if !self.drive(patience, settled).await {
            self.sockets.remove(handle);
            return Connected::Silence;
        }
        match self.socket(handle).state() {
            State::Established | State::CloseWait => Connected::Yes(handle),
            _ => Connected::Refused,
        }
    }

    /// Sends `data`, finishes, and gives all that comes back before the other side finishes.
    pub(crate) async fn exchange(&mut self, to: &str, data: &[u8]) -> Vec<u8> {
        let Connected::Yes(handle) = self.connect(to, PATIENCE).await else {
            panic!("no connection to {to}")
        };
        let (mut sent, mut finished, mut received) = (0, false, Vec::new());
        let done = |station: &mut Station| {
            let socket = station.socket(handle);
            if sent < data.len() && socket.can_send() {
                sent += socket.send_slice(&data[sent..]).unwrap();
            }
            if sent == data.len() && !finished {
                socket.close();
                finished = true;
            }
            while socket.can_recv() {
                socket
                    .recv(|bytes| (bytes.len(), received.extend_from_slice(bytes)))
                    .unwrap();
            }
            finished && !socket.may_recv()
        };
        assert!(
            self.drive(PATIENCE, done).await,
            "the exchange with {to} stopped after {} bytes",
            received.len()
        );
        received
    }

    /// Finds out the gateway's hardware address, as smoltcp does for itself.
    async fn gateway(&mut self) -> [u8; 6] {
        if let Some(mac) = self.gateway_mac {
            return mac;
        }
        let mut question = [[0xff; 6], self.mac].concat();
        question.extend_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        question.extend_from_slice(&self.mac);
        question.extend_from_slice(&self.ip.octets());
        question.extend_from_slice(&[0; 6]);
        question.extend_from_slice(&GATEWAY.octets());
        self.send(question);
        let answer = self
            .await_frame(|bytes| {
                bytes[12..14] == [8, 6] && bytes[21] == 2 && bytes[28..32] == GATEWAY.octets()
            })
            .await
            .expect("the virtual host does not answer ARP");
        let mac = answer[6..12].try_into().unwrap();
        self.gateway_mac = Some(mac);
        mac
    }

    fn send(&self, frame: Vec<u8>) {
        self.port
            .send(Instant::now(), &mut std::iter::once(Frame::new(frame)));
    }

    /// The next frame that `wanted` accepts.
    async fn await_frame(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut found = None;
        self.seen.clear();
        let look = |station: &mut Station| {
            found = found
                .take()
                .or_else(|| station.seen.drain(..).find(|frame| wanted(&frame.bytes)));
            found.is_some()
        };
        self.drive(Duration::from_secs(5), look).await;
        found.map(|frame| frame.bytes.to_vec())
    }

    /// Sends a datagram and gives the answer, put together from its pieces.
    pub(crate) async fn ask(&mut self, from: u16, to: &str, data: &[u8]) -> Option<Vec<u8>> {
        let gateway = self.gateway().await;
        let to: SocketAddrV4 = to.parse().unwrap();
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.mac, gateway)
            .ipv4(self.ip.octets(), to.ip().octets(), 64)
            .udp(from, to.port())
            .write(&mut frame, data)
            .unwrap();
        for piece in pieces(&frame) {
            self.send(piece);
        }
        let mut parts: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut total = None;
        self.await_frame(|bytes| {
            let Some((offset, more, payload)) = udp_piece(bytes, to, self_ip(bytes)) else {
                return false;
            };
            if !more {
                total = Some(offset + payload.len());
            }
            parts.push((offset, payload));
            total == Some(parts.iter().map(|(_, part)| part.len()).sum())
        })
        .await?;
        parts.sort();
        Some(parts.into_iter().flat_map(|(_, part)| part).skip(8).collect())
    }

    /// Pings and says whether an answer came from that host.
    pub(crate) async fn ping(&mut self, to: Ipv4Addr) -> bool {
        let gateway = self.gateway().await;
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(self.mac, gateway)
            .ipv4(self.ip.octets(), to.octets(), 64)
            .icmpv4_echo_request(77, 3)
            .write(&mut frame, b"are you there")
            .unwrap();
        self.send(frame);
        let answer = self
            .await_frame(|b| b.len() > 42 && b[23] == 1 && b[26..30] == to.octets())
            .await;
        answer.is_some_and(|b| {
            b[34] == 0 && b[38..42] == [0, 77, 0, 3] && b[42..].starts_with(b"are you there")
        })
    }
}

fn self_ip(frame: &[u8]) -> [u8; 4] {
    frame
        .get(30..34)
        .and_then(|ip| ip.try_into().ok())
        .unwrap_or_default()
}

/// A frame's packet in pieces of at most 1500 bytes.
fn pieces(frame: &[u8]) -> Vec<Vec<u8>> {
    let payload = &frame[34..];
    let chunks: Vec<&[u8]> = payload.chunks(1480).collect();
    let piece = |(i, data): (usize, &&[u8])| {
        let mut header = etherparse::Ipv4Header::from_slice(&frame[14..34]).unwrap().0;
        header.identification = 99;
        header.dont_fragment = false;
        header.more_fragments = i + 1 < chunks.len();
        header.fragment_offset = etherparse::IpFragOffset::try_new((i * 1480 / 8) as u16).unwrap();
        header.total_len = (20 + data.len()) as u16;
        header.header_checksum = header.calc_header_checksum();
        let mut piece = frame[..14].to_vec();
        header.write(&mut piece).unwrap();
        piece.extend_from_slice(data);
        piece
    };
    chunks.iter().enumerate().map(piece).collect()
}

fn udp_piece(frame: &[u8], from: SocketAddrV4, _to: [u8; 4]) -> Option<(usize, bool, Vec<u8>)> {
    let sliced = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(NetSlice::Ipv4(ip)) = &sliced.net else {
        return None;
    };
    let header = ip.header();
    if header.source_addr() != *from.ip() || header.protocol().0 != 17 {
        return None;
    }
    if let Some(TransportSlice::Udp(udp)) = &sliced.transport
        && udp.source_port() != from.port()
    {
        return None;
    }
    let offset = usize::from(header.fragments_offset().value()) * 8;
    Some((offset, header.more_fragments(), ip.payload().payload.to_vec()))
}

#[derive(Default)]
struct Wire {
    inbox: VecDeque<Frame>,
    outbox: Vec<Vec<u8>>,
}

struct Received(Frame);
struct Slot<'a>(&'a mut Vec<Vec<u8>>);

impl Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Slot<'_>)> {
        let frame = self.inbox.pop_front()?;
        Some((Received(frame), Slot(&mut self.outbox)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Slot<'_>> {
        Some(Slot(&mut self.outbox))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0.bytes)
    }
}

impl TxToken for Slot<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}
