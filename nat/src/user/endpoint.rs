//! Our end of one TCP connection with a station of the hub, sans-IO: IPv4 packets in and out, smoltcp in between.
//!
//! Each connection has a smoltcp interface of its own with a single socket. smoltcp looks for the socket of a packet,
//! and for sockets with something to send, by walking over all of an interface's sockets; with one interface per
//! connection a packet costs the same however many connections there are, and each runs in its own task.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::{NonZeroU16, NonZeroUsize};
use std::time::{Duration, Instant};

use bytes::Bytes;
use smoltcp::iface::{Config, Interface, PollIngressSingleResult, PollResult, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, DeviceCapabilities, Medium, PacketMeta};
use smoltcp::socket::tcp::{self, Socket, SocketBuffer};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::packet::Outgoing;

/// Bytes on their way at first. smoltcp would begin with two segments; a page should not need five round trips, and the
/// queue before a station holds this many times over.
const FIRST_WINDOW: usize = 32 * 1024;
/// The longest IPv4 packet, and so the longest train of segments that is made at once.
const MAX_TRAIN: usize = 65_535;
/// Bytes of a connection that are on their way to a station at most.
const MOST_UNDERWAY: usize = 256 * 1024;
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
    /// Large ones as long as there are few connections. What waits in an [`Inbox`](super::inbox::Inbox) comes to the receive
    /// buffer once more; with that, as many connections as there may be ([`Limits`](super::Limits)) hold less than 1.25 GiB.
    pub(crate) fn among(connections: u32) -> Self {
        let each = match connections {
            0..=32 => 1024,
            33..=256 => 256,
            257..=1024 => 128,
            1025..=4096 => 32,
            _ => 8,
        } * 1024;
        Buffers {
            receive: each,
            // No more is on its way to a station than the queues before a stock client take: smoltcp knows no selective
            // acknowledgements, so each loss among many costs a round trip, or a second.
            send: each.min(MOST_UNDERWAY),
        }
    }
}

/// One connection, seen from the destination's side.
pub(crate) struct Endpoint {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    wire: Wire,
    started: Instant,
    /// Bytes that may be on their way while nothing has been lost; smoltcp's Cubic has the say afterwards. Until then this
    /// grows by what is acknowledged (slow start by bytes, RFC 3465), where Cubic would grow by one segment for each
    /// acknowledgement, of which a station that takes trains of segments sends one in 64 KiB.
    opening: Option<usize>,
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
            sent: Sent::default(),
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
        // Packets come in batches, and a batch gets one acknowledgement. To wait for a second packet would stop a station
        // that sends one train of segments at a time.
        socket.set_ack_delay(None);
        // Until something is lost, see `opening`.
        socket.set_congestion_control(tcp::CongestionControl::None);
        socket.set_timeout(Some(UNANSWERED.into()));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        Endpoint {
            interface,
            sockets,
            handle,
            wire,
            started: now,
            opening: Some(FIRST_WINDOW),
        }
    }

    /// An end that asks `remote` for a connection at the first [`put_out`](Self::put_out).
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

    /// Takes a packet of the connection; [`take_in`](Self::take_in) looks at it.
    pub(crate) fn input(&mut self, packet: Bytes) {
        self.wire.inbox.push_back(packet);
    }

    /// Looks at what came in.
    pub(crate) fn take_in(&mut self, now: Instant) {
        let now = self.time(now);
        let before = self.socket().send_queue();
        while self
            .interface
            .poll_ingress_single(now, &mut self.wire, &mut self.sockets)
            != PollIngressSingleResult::None
        {}
        let acknowledged = before.saturating_sub(self.socket().send_queue());
        if let Some(window) = &mut self.opening {
            *window = window.saturating_add(acknowledged);
        }
    }

    /// Makes packets of what is to be sent by `now`.
    pub(crate) fn put_out(&mut self, now: Instant) {
        let now = self.time(now);
        while self.interface.poll_egress(now, &mut self.wire, &mut self.sockets)
            == PollResult::SocketStateChanged
        {}
        if self.wire.sent.twice && self.opening.take().is_some() {
            // Many connections share the way to a station, whose queue drops what it cannot hold.
            self.socket()
                .set_congestion_control(tcp::CongestionControl::Cubic);
        }
    }

    /// How many bytes for the station would be taken now. Some may come with the next [`put_out`](Self::put_out), and with
    /// what the station acknowledges.
    pub(crate) fn room(&mut self) -> usize {
        let opening = self.opening;
        let socket = self.socket();
        if !socket.can_send() {
            return 0;
        }
        let free = socket.send_capacity() - socket.send_queue();
        free.min(opening.map_or(usize::MAX, |window| window.saturating_sub(socket.send_queue())))
    }

    /// Lets `read` fill room for bytes to the station and say how many it wrote; `None` if there is no
    /// [`room`](Self::room) now.
    pub(crate) fn send(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let allowed = self.room();
        if allowed == 0 {
            return None;
        }
        let mut outcome = Ok(0);
        let _ = self.socket().send(|room| {
            let len = room.len().min(allowed);
            outcome = read(&mut room[..len]);
            let moved = *outcome.as_ref().unwrap_or(&0);
            (moved, moved)
        });
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

    /// When [`put_out`](Self::put_out) wants to be called without any packet.
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
    sent: Sent,
}

/// Which bytes of the stream have been sent.
#[derive(Debug, Default)]
struct Sent {
    /// The sequence number behind the last one.
    end: Option<u32>,
    /// Some were sent again, so some were lost.
    twice: bool,
}

impl Sent {
    fn note(&mut self, packet: &Outgoing) {
        // One byte is a question to a station whose window is closed, and asked again and again.
        let Some((first, length @ 2..)) = packet.tcp_payload() else {
            return;
        };
        let end = first.wrapping_add(length);
        match self.end {
            // Sequence numbers are compared around their circle (RFC 9293 §3.4).
            Some(before) if (end.wrapping_sub(before) as i32) <= 0 => self.twice = true,
            _ => self.end = Some(end),
        }
    }
}

struct Received(Bytes);

struct Slot<'a> {
    outbox: &'a mut Vec<Outgoing>,
    sent: &'a mut Sent,
    /// Bytes of each segment, if the packet is a train of them.
    segment: Option<NonZeroU16>,
}

impl<'a> Slot<'a> {
    fn of(outbox: &'a mut Vec<Outgoing>, sent: &'a mut Sent) -> Self {
        Slot {
            outbox,
            sent,
            segment: None,
        }
    }
}

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Slot<'a>;

    fn receive(&mut self, _now: smoltcp::time::Instant) -> Option<(Received, Slot<'_>)> {
        let packet = self.inbox.pop_front()?;
        Some((Received(packet), Slot::of(&mut self.outbox, &mut self.sent)))
    }

    fn transmit(&mut self, _now: smoltcp::time::Instant) -> Option<Slot<'_>> {
        Some(Slot::of(&mut self.outbox, &mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        // What comes in was verified when it was taken from its frame, or is a frame whose checksum is yet to be made.
        // What goes out is finished by who needs it: a stock client's session, but no other station.
        let mut checksum = ChecksumCapabilities::default();
        checksum.ipv4 = Checksum::Tx;
        checksum.tcp = Checksum::None;
        capabilities.checksum = checksum;
        capabilities.segmentation.tcpv4 = NonZeroUsize::new(MAX_TRAIN);
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
        packet.leave_tcp_unfinished(self.segment);
        self.sent.note(&packet);
        self.outbox.push(packet);
        result
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size;
    }
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, TcpHeader, TcpOptionElement};
    use hub_core::frame::Checksum;

    use super::*;

    const STATION: [u8; 4] = [192, 168, 30, 9];
    const SERVER: [u8; 4] = [10, 0, 1, 26];
    const WINDOW: u16 = 0xffff;

    /// A connection that stands, and what a station would say in it.
    struct Open {
        endpoint: Endpoint,
        now: Instant,
        /// What the station expects next.
        next: u32,
    }

    fn packet(sequence: u32, acknowledged: Option<u32>, payload: &[u8]) -> Bytes {
        let mut header = TcpHeader::new(4000, 80, sequence, WINDOW);
        match acknowledged {
            Some(number) => (header.ack, header.acknowledgment_number) = (true, number),
            None => {
                header.syn = true;
                let options = [
                    TcpOptionElement::MaximumSegmentSize(1460),
                    TcpOptionElement::WindowScale(7),
                ];
                header.set_options(&options).unwrap();
            }
        }
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(STATION, SERVER, 64)
            .tcp_header(header)
            .write(&mut bytes, payload)
            .unwrap();
        bytes.into()
    }

    impl Open {
        fn new() -> Self {
            let now = Instant::now();
            let local = SocketAddrV4::new(SERVER.into(), 80);
            let endpoint = Endpoint::listen(now, local, 1500, Buffers::among(1), 7).unwrap();
            let mut open = Open {
                endpoint,
                now,
                next: 0,
            };
            let answer = open.hear(packet(999, None, &[])).remove(0);
            let number = answer.ip()[24..28].try_into().unwrap();
            open.next = u32::from_be_bytes(number).wrapping_add(1);
            open.acknowledge(0);
            open
        }

        /// What is said to a packet.
        fn hear(&mut self, packet: Bytes) -> Vec<Outgoing> {
            self.endpoint.input(packet);
            self.endpoint.take_in(self.now);
            self.put_out()
        }

        fn put_out(&mut self) -> Vec<Outgoing> {
            self.endpoint.put_out(self.now);
            self.endpoint.output().collect()
        }

        /// The station has got `bytes` more.
        fn acknowledge(&mut self, bytes: usize) -> Vec<Outgoing> {
            self.next = self.next.wrapping_add(bytes as u32);
            self.hear(packet(1000, Some(self.next), &[]))
        }

        /// The destination gives as much as is wanted; how much that was.
        fn fill(&mut self) -> usize {
            let mut given = 0;
            while let Some(Ok(moved)) = self.endpoint.send(|room| {
                room.fill(0x5a);
                Ok(room.len())
            }) {
                given += moved;
            }
            given
        }
    }

    fn payload(packets: &[Outgoing]) -> usize {
        packets
            .iter()
            .filter_map(Outgoing::tcp_payload)
            .map(|(_, length)| length as usize)
            .sum()
    }

    #[test]
    fn a_stream_leaves_in_trains_that_others_finish() {
        let mut open = Open::new();
        open.fill();
        let packets = open.put_out();
        assert_eq!((packets.len(), payload(&packets)), (1, FIRST_WINDOW));
        let frame = packets[0].clone().into_frame([2; 6], [4; 6]);
        let train = frame.offload.segmentation.unwrap();
        assert_eq!((train.size, train.header_len), (1460, 54));
        assert_eq!(
            frame.offload.checksum,
            Checksum::Partial {
                start: 34,
                offset: 16
            }
        );
        let mut batch = vec![frame];
        crate::device::Finisher::default().finish(&mut batch);
        assert_eq!(batch.len(), FIRST_WINDOW.div_ceil(1460));
        for piece in batch {
            let view = hub_core::frame::FrameView::parse(&piece.bytes).unwrap();
            let packet = crate::packet::Packet::from_frame(&piece, &view).unwrap();
            assert!(
                packet.tcp(Checksum::Complete).is_some(),
                "the checksum of a piece"
            );
        }
    }

    #[test]
    fn what_is_on_its_way_grows_by_what_was_acknowledged() {
        let mut open = Open::new();
        for window in [FIRST_WINDOW, 2 * FIRST_WINDOW, 4 * FIRST_WINDOW] {
            open.fill();
            open.put_out();
            assert_eq!(open.endpoint.socket().send_queue(), window);
            // Who waits for the destination now, though it has more, turns in circles and keeps others from running.
            assert_eq!(open.endpoint.room(), 0);
            // One acknowledgement for all of it, as a station that takes trains sends them.
            open.acknowledge(window);
        }
    }

    #[test]
    fn after_a_loss_the_window_is_cubics() {
        let mut open = Open::new();
        open.fill();
        open.put_out();
        open.now += Duration::from_secs(5);
        assert!(payload(&open.put_out()) >= 1460, "sent again");
        assert_eq!(open.endpoint.opening, None);
        open.acknowledge(FIRST_WINDOW);
        open.fill();
        assert!(payload(&open.put_out()) <= 4 * 1460, "it begins anew with little");
    }

    #[test]
    fn a_train_is_taken_whole_and_acknowledged_once_it_has_gone_on() {
        let mut open = Open::new();
        let train = packet(1000, Some(open.next), &[7; 40_000]);
        open.endpoint.input(train);
        open.endpoint.take_in(open.now);
        assert_eq!(
            open.endpoint.output().count(),
            0,
            "not before the destination has it"
        );
        let mut taken = 0;
        while let Some(Ok(part)) = open.endpoint.receive(|bytes| Ok(bytes.len())) {
            taken += part;
        }
        let answers = open.put_out();
        assert_eq!((taken, answers.len()), (40_000, 1));
        let acknowledged = u32::from_be_bytes(answers[0].ip()[28..32].try_into().unwrap());
        assert_eq!(acknowledged, 41_000);
    }

    #[test]
    fn as_many_connections_as_there_may_be_hold_less_than_they_are_said_to() {
        let most = super::super::Limits::default().total;
        let held = |connections| {
            let buffers = Buffers::among(connections);
            // The inbox holds as much as the receive buffer.
            2 * buffers.receive + buffers.send
        };
        let bytes: usize = (0..most).map(held).sum();
        assert!(bytes < 5 << 28, "{} MiB", bytes >> 20);
    }
}
