//! The UDP socket of an accelerated session: many datagrams a system call, both ways.
//!
//! Equal datagrams in a row go out as one (UDP_SEGMENT), and come in as one where the kernel has joined them (UDP_GRO); on
//! the wire nothing shows of it. Where that cannot be, `sendmmsg` and `recvmmsg` do.

use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, recvmsg,
    sendmmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::underlay;

/// The ports that a server takes, as the stock one does (protocol §8.1).
const PORTS: std::ops::RangeInclusive<u16> = 40_000..=44_999;
/// What may wait in the kernel. What is received waits while this process does something else; what is sent should not wait
/// at all, and does in our own queue, which drops.
const RECEIVE_BYTES: usize = 4 << 20;
const SEND_BYTES: usize = 1 << 20;
/// Datagrams, or runs of joined ones, taken at once.
const AT_ONCE: usize = 16;
/// The longest run of joined datagrams.
const RUN_BYTES: usize = 65_535;
/// What the kernel takes as one run: its number (UDP_MAX_SEGMENTS of Linux) and its bytes, the head of UDP and IPv6 included.
const SEGMENTS: usize = 64;
const SEGMENTED_BYTES: usize = 65_535 - 48;
/// Longer datagrams are not joined into runs: they would have to be cut on the usual Ethernet, which a run may not be.
const LONGEST_SEGMENT: usize = 1_452;

/// A socket of a server on this address, in the range that stock servers use.
///
/// # Errors
/// When every port of the range is taken, or the address is not this machine's.
pub(super) fn bind_in_range(ip: IpAddr) -> io::Result<UdpSocket> {
    // Where the last search ended: the ports before are likely to be in use.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end() - PORTS.start() + 1;
    let start = NEXT.load(Relaxed);
    for n in 0..count {
        let step = (start + n) % count;
        match bind(SocketAddr::new(ip, PORTS.start() + step)) {
            Ok(socket) => {
                NEXT.store((step + 1) % count, Relaxed);
                return Ok(socket);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// A socket on any port of this address.
///
/// # Errors
/// What the kernel says.
pub(super) fn bind_anywhere(ip: IpAddr) -> io::Result<UdpSocket> {
    let socket = bind(SocketAddr::new(ip, 0))?;
    underlay::mark(&socket)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Datagrams that go to one place, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Appends what `write` appends as one datagram.
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.bytes.len();
        let written = write(&mut self.bytes);
        if !written {
            self.bytes.truncate(start);
        } else {
            self.ends.push(self.bytes.len());
        }
        written
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Gives the memory of a burst back.
    pub(super) fn shrink(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    fn get(&self, at: usize) -> &[u8] {
        &self.bytes[self.start(at)..self.ends[at]]
    }

    /// How many datagrams from `at` on can go as one run: all of one length, but that the last may be shorter.
    fn run(&self, at: usize) -> usize {
        let size = self.get(at).len();
        if size > LONGEST_SEGMENT {
            return 1;
        }
        let most = SEGMENTS.min(SEGMENTED_BYTES / size.max(1));
        let mut count = 1;
        while count < most && at + count < self.len() {
            let next = self.get(at + count).len();
            if next > size {
                break;
            }
            count += 1;
            if next < size {
                break;
            }
        }
        count
    }
}

thread_local! {
    /// Where datagrams are received; a quiet session has no memory for it of its own.
    static ROOM: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The socket of one session.
#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    segments: AtomicBool,
}

impl Socket {
    pub(super) fn new(udp: UdpSocket) -> Self {
        // Each of these makes it faster or does nothing. What the limits of the system allow is taken where more needs a
        // privilege.
        if setsockopt(&udp, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
            let _ = setsockopt(&udp, sockopt::RcvBuf, &RECEIVE_BYTES);
        }
        if setsockopt(&udp, sockopt::SndBufForce, &SEND_BYTES).is_err() {
            let _ = setsockopt(&udp, sockopt::SndBuf, &SEND_BYTES);
        }
        let _ = setsockopt(&udp, sockopt::UdpGroSegment, &true);
        // What routers say of what was sent is told to sockets without a peer of their own only when they ask.
        let _ = match udp.local_addr() {
            Ok(SocketAddr::V6(_)) => setsockopt(&udp, sockopt::Ipv6RecvErr, &true),
            _ => setsockopt(&udp, sockopt::Ipv4RecvErr, &true),
        };
        Self {
            udp,
            segments: AtomicBool::new(true),
        }
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.udp.readable().await
    }

    /// Hands `each` the datagrams that are there, with where they came from: one system call, which may find none.
    ///
    /// # Errors
    /// When a datagram that was sent is known not to have been delivered: nobody listens, or no way leads there.
    pub(super) fn receive(&self, each: &mut dyn FnMut(SocketAddr, &mut [u8])) -> io::Result<()> {
        let received: io::Result<()> = ROOM.with_borrow_mut(|room| {
            room.resize_with(AT_ONCE, || vec![0; RUN_BYTES]);
            let mut runs = [(0, 0, None); AT_ONCE];
            let count = self
                .udp
                .try_io(Interest::READABLE, || receive_runs(&self.udp, room, &mut runs))?;
            for (buffer, (bytes, segment, from)) in room.iter_mut().zip(&runs[..count]) {
                let Some(from) = *from else { continue };
                for datagram in buffer[..*bytes].chunks_mut(*segment) {
                    each(from, datagram);
                }
            }
            Ok(())
        });
        match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => {
                self.forget_errors();
                if is_too_long(&error) { Ok(()) } else { Err(error) }
            }
            done => done,
        }
    }

    /// Empties the queue of errors, whose copies of what was sent take room from what is received. That there was one is known.
    fn forget_errors(&self) {
        let mut copy = [0; 64];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        while recvmsg::<()>(
            self.udp.as_raw_fd(),
            &mut [IoSliceMut::new(&mut copy)],
            None,
            flags,
        )
        .is_ok()
        {}
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// What the kernel said, of these datagrams or of one that went before and was not delivered (nobody listens, or no way leads there), and how many datagrams had gone before.
    pub(super) async fn send(&self, batch: &Batch, to: SocketAddr) -> Result<(), (io::Error, usize)> {
        let to = SockaddrStorage::from(to);
        let mut at = 0;
        while at < batch.len() {
            let sent = self
                .udp
                .try_io(Interest::WRITABLE, || self.send_some(batch, at, &to));
            match sent {
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.udp.writable().await.map_err(|error| (error, at))?;
                }
                // News of one that went before; the kernel cuts from now on. This one is lost, as on any path.
                Err(error) if is_too_long(&error) => {
                    self.forget_errors();
                    at += 1;
                }
                Err(error) => {
                    self.forget_errors();
                    return Err((error, at));
                }
            }
        }
        Ok(())
    }

    /// One system call; how many datagrams went.
    fn send_some(&self, batch: &Batch, at: usize, to: &SockaddrStorage) -> io::Result<usize> {
        let segments = self.segments.load(Relaxed);
        let run = if segments { batch.run(at) } else { 1 };
        if run > 1 {
            match self.send_run(batch, at, run, to) {
                // A device that cannot, or a path on which these datagrams must be cut.
                Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO | Errno::EOPNOTSUPP) => {
                    self.segments.store(false, Relaxed);
                }
                sent => return sent.map(|()| run).map_err(Into::into),
            }
        }
        let segments = self.segments.load(Relaxed);
        let singles = (at..batch.len())
            .take(AT_ONCE)
            .take_while(|&single| single == at || !segments || batch.run(single) == 1)
            .map(|single| [IoSlice::new(batch.get(single))])
            .collect::<Vec<_>>();
        let mut headers = MultiHeaders::preallocate(singles.len(), None);
        let addresses = vec![Some(*to); singles.len()];
        let sent = sendmmsg(
            self.udp.as_raw_fd(),
            &mut headers,
            &singles,
            addresses,
            [],
            MsgFlags::empty(),
        )?;
        Ok(sent.count())
    }

    fn send_run(&self, batch: &Batch, at: usize, run: usize, to: &SockaddrStorage) -> nix::Result<()> {
        let bytes = &batch.bytes[batch.start(at)..batch.ends[at + run - 1]];
        let segment = u16::try_from(batch.get(at).len()).map_err(|_| Errno::EMSGSIZE)?;
        sendmsg(
            self.udp.as_raw_fd(),
            &[IoSlice::new(bytes)],
            &[ControlMessage::UdpGsoSegments(&segment)],
            MsgFlags::empty(),
            Some(to),
        )
        .map(drop)
    }
}

/// A router could not pass a datagram on whole, which says nothing against the path.
fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EMSGSIZE as i32)
}

/// What came into a buffer: bytes, the length of each datagram of them, from where.
type Run = (usize, usize, Option<SocketAddr>);

fn receive_runs(udp: &UdpSocket, room: &mut [Vec<u8>], runs: &mut [Run]) -> io::Result<usize> {
    let mut slices = room
        .iter_mut()
        .map(|buffer| [IoSliceMut::new(buffer)])
        .collect::<Vec<_>>();
    // Made anew each time: the kernel writes into them how long the control messages were, and nix does not undo it.
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), Some(cmsg_space!(i32)));
    let received = recvmmsg(
        udp.as_raw_fd(),
        &mut headers,
        slices.iter_mut(),
        MsgFlags::MSG_DONTWAIT,
        None,
    )?;
    let mut count = 0;
    for (message, run) in received.zip(runs) {
        let joined = message
            .cmsgs()
            .ok()
            .and_then(|mut messages| {
                messages.find_map(|message| match message {
                    ControlMessageOwned::UdpGroSegments(size) => usize::try_from(size).ok(),
                    _ => None,
                })
            })
            .filter(|size| *size > 0);
        *run = (
            message.bytes,
            joined.unwrap_or(message.bytes).max(1),
            message.address.as_ref().and_then(address),
        );
        count += 1;
    }
    Ok(count)
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn batch(lengths: &[usize]) -> Batch {
        let mut batch = Batch::default();
        for (n, &length) in lengths.iter().enumerate() {
            assert!(batch.push(|out| {
                out.resize(out.len() + length, n as u8);
                true
            }));
        }
        batch
    }

    async fn received(socket: &Socket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut all = Vec::new();
        while all.len() < count {
            socket.readable().await.unwrap();
            socket
                .receive(&mut |from, datagram| all.push((from, datagram.to_vec())))
                .unwrap();
        }
        all
    }

    #[tokio::test]
    async fn datagrams_arrive_as_they_were_however_they_were_joined() {
        let lengths = [
            vec![1400; 50],
            vec![1400, 1400, 700, 1400, 60, 60, 60],
            vec![2000, 1500, 1, 9000],
            vec![100; 200],
            (1..150).collect(),
        ];
        for segments in [true, false] {
            let (a, b) = (bind_anywhere(HERE).unwrap(), bind_anywhere(HERE).unwrap());
            let (from, to) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            let (a, b) = (Socket::new(a), Socket::new(b));
            a.segments.store(segments, Relaxed);
            for lengths in &lengths {
                let batch = batch(lengths);
                a.send(&batch, to).await.unwrap();
                let arrived = tokio::time::timeout(Duration::from_secs(20), received(&b, lengths.len()));
                for (n, (source, datagram)) in arrived.await.unwrap().iter().enumerate() {
                    assert_eq!((source, &datagram[..]), (&from, batch.get(n)), "datagram {n}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_gone_is_known_by_the_next_datagram() {
        for here in [HERE, IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)] {
            let gone = bind_anywhere(here).unwrap().local_addr().unwrap();
            let socket = Socket::new(bind_anywhere(here).unwrap());
            socket.send(&batch(&[100]), gone).await.unwrap();
            let (error, sent) = socket.send(&batch(&[100, 100]), gone).await.unwrap_err();
            assert_eq!(sent, 0);
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            // It is told once, and the socket goes on.
            let there = bind_anywhere(here).unwrap();
            let address = there.local_addr().unwrap();
            socket.send(&batch(&[7]), address).await.unwrap();
            assert_eq!(received(&Socket::new(there), 1).await.len(), 1);
        }
    }

    #[test]
    fn a_run_ends_where_a_datagram_is_longer_and_after_a_shorter_one() {
        let batch = batch(&[100, 100, 40, 100, 200, 1500, 1500]);
        let runs: Vec<_> = (0..batch.len()).map(|at| batch.run(at)).collect();
        assert_eq!(runs, [3, 2, 1, 1, 1, 1, 1]);
        assert_eq!(super::tests::batch(&[1000; 100]).run(0), 64);
        assert_eq!(super::tests::batch(&[1400; 100]).run(0), 46);
    }

    #[tokio::test]
    async fn a_server_takes_ports_of_the_range_one_after_the_other() {
        let first = bind_in_range(HERE).unwrap();
        let second = bind_in_range(HERE).unwrap();
        for socket in [&first, &second] {
            assert!(PORTS.contains(&socket.local_addr().unwrap().port()));
        }
        assert!(bind_in_range("192.0.2.77".parse().unwrap()).is_err(), "not ours");
    }
}
