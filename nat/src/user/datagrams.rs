//! UDP and ping of stations, carried by ordinary sockets.
//!
//! A station's socket (its address and port, or its address and ping identifier) has one socket of ours, whomever it
//! talks to, so that its peers see it at one address (RFC 4787 REQ-1). Only peers that it has written to can answer
//! (address- and port-dependent filtering).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};
use smoltcp::wire::{Icmpv4Message, Icmpv4Packet};
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use super::Shared;
use super::flows::Flow;
use crate::dnat::Grant;
use crate::event::FlowProtocol;
use crate::packet::{Echo, Outgoing};

/// The largest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams taken from a socket before others get their turn.
const BATCH: usize = 64;

/// A datagram of a station and where it goes.
pub(crate) struct Datagram<'a> {
    /// UDP or ping.
    pub(crate) protocol: FlowProtocol,
    /// The station's socket; of a ping, the port is its identifier.
    pub(crate) client: SocketAddrV4,
    /// Whom the station wrote to.
    pub(crate) destination: SocketAddrV4,
    /// Where that really is.
    pub(crate) target: SocketAddrV4,
    /// The rule of published hosts that leads there.
    pub(crate) grant: Option<&'a Grant>,
    /// The payload; of a ping, the whole message.
    pub(crate) data: &'a [u8],
}

/// What became of a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way, or was dropped as datagrams may be.
    Done,
    /// It is on its way, and its socket is new: [`Socket::run`] must be spawned.
    Opened(Arc<Socket>),
    /// There is no way to the destination.
    Unreachable,
    /// This process may not send such datagrams.
    Forbidden,
}

/// The sockets of all stations.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    open: Mutex<HashMap<(FlowProtocol, SocketAddrV4), Arc<Socket>>>,
}

/// One station's socket.
#[derive(Debug)]
pub(crate) struct Socket {
    protocol: FlowProtocol,
    client: SocketAddrV4,
    socket: UdpSocket,
    peers: Mutex<HashMap<SocketAddrV4, Peer>>,
}

#[derive(Debug)]
struct Peer {
    /// The address that the station knows it by.
    known_as: SocketAddrV4,
    grant: Option<Grant>,
    flow: Flow,
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Socket {}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, HashMap<(FlowProtocol, SocketAddrV4), Arc<Socket>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a datagram, from the station's socket if it has one. The table stays locked, so that a socket cannot be
    /// closed for being idle while it is used; nothing here waits.
    pub(crate) fn send(&self, now: Instant, shared: &Shared, datagram: &Datagram<'_>) -> Sent {
        let mut open = self.lock();
        let key = (datagram.protocol, datagram.client);
        let existing = open.get(&key).cloned();
        let is_new = existing.is_none();
        let socket = match existing.map_or_else(|| Socket::open(datagram).map(Arc::new), Ok) {
            Ok(socket) => socket,
            Err(error) => return outcome_of(&error),
        };
        if !socket.admit(now, shared, datagram) {
            return Sent::Done;
        }
        match socket.send(datagram) {
            Err(error) => outcome_of(&error),
            Ok(()) if is_new => {
                open.insert(key, Arc::clone(&socket));
                Sent::Opened(socket)
            }
            Ok(()) => Sent::Done,
        }
    }

    fn close_if_idle(&self, socket: &Socket) -> bool {
        let mut open = self.lock();
        let idle = socket.peers().is_empty();
        if idle {
            open.remove(&(socket.protocol, socket.client));
        }
        idle
    }

    /// Forgets every socket; their tasks are gone.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }
}

fn outcome_of(error: &io::Error) -> Sent {
    match error.kind() {
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Sent::Unreachable,
        ErrorKind::PermissionDenied => Sent::Forbidden,
        _ => Sent::Done,
    }
}

impl Socket {
    fn open(datagram: &Datagram<'_>) -> io::Result<Self> {
        let socket = match datagram.protocol {
            FlowProtocol::Icmp => ping_socket()?,
            _ => std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
        };
        socket.set_nonblocking(true)?;
        Ok(Socket {
            protocol: datagram.protocol,
            client: datagram.client,
            socket: UdpSocket::from_std(socket)?,
            peers: Mutex::default(),
        })
    }

    /// Sends without waiting. The runtime's own `try_send_to` would refuse until it has seen the new socket once,
    /// and lose the first datagrams.
    fn send(&self, datagram: &Datagram<'_>) -> io::Result<()> {
        let to = SockaddrIn::from(datagram.target);
        match sendto(
            self.socket.as_raw_fd(),
            datagram.data,
            &to,
            MsgFlags::MSG_DONTWAIT,
        ) {
            Ok(_) | Err(Errno::EAGAIN) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<SocketAddrV4, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whom the station writes to; `false` if it may not write to anybody more.
    fn admit(&self, now: Instant, shared: &Shared, datagram: &Datagram<'_>) -> bool {
        let mut peers = self.peers();
        let peer = match peers.entry(datagram.target) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let Some(mut flow) = shared
                    .flows
                    .open(self.protocol, self.client, datagram.destination)
                else {
                    return false;
                };
                if let Some(grant) = datagram.grant {
                    flow.publish(grant);
                }
                place.insert(Peer {
                    known_as: datagram.destination,
                    grant: datagram.grant.cloned(),
                    flow,
                })
            }
        };
        peer.known_as = datagram.destination;
        peer.flow.sent(now, datagram.data.len());
        true
    }

    /// Carries answers to the station until nobody has been written or listened to for the configured time.
    pub(crate) async fn run(self: Arc<Self>, shared: Arc<Shared>) {
        // Before this nobody can have been silent for long enough: there may be thousands of peers to look through.
        let mut due = Instant::now() + shared.udp_timeout();
        loop {
            tokio::select! {
                ready = self.socket.readable() => {
                    if ready.is_err() {
                        return; // the runtime is going away
                    }
                    self.receive(&shared);
                }
                () = sleep_until(due.into()) => {
                    let (now, timeout) = (Instant::now(), shared.udp_timeout());
                    due = self.forget_silent(now, timeout).unwrap_or(now) + timeout;
                    if shared.sockets.close_if_idle(&self) {
                        return;
                    }
                }
            }
        }
    }

    /// Ends the flows of peers that were silent for `timeout`; when the one that is silent longest last was not.
    fn forget_silent(&self, now: Instant, timeout: Duration) -> Option<Instant> {
        let mut peers = self.peers();
        peers.retain(|_, peer| peer.flow.last_active() + timeout > now);
        peers.values().map(|peer| peer.flow.last_active()).min()
    }

    fn receive(&self, shared: &Shared) {
        let now = Instant::now();
        let mut buffer = Vec::with_capacity(MAX_DATAGRAM);
        let mut answers = Vec::new();
        for _ in 0..BATCH {
            buffer.clear();
            match self.socket.try_recv_buf_from(&mut buffer) {
                Ok((_, SocketAddr::V4(from))) => answers.extend(self.answer(now, from, &buffer)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // The error of an earlier datagram; the socket is as good as before.
                Err(_) => {}
            }
        }
        shared.send(now, answers);
    }

    fn answer(&self, now: Instant, from: SocketAddrV4, data: &[u8]) -> Option<Outgoing> {
        let peers = self.peers();
        let peer = peers.get(&from)?;
        if peer.grant.as_ref().is_some_and(|grant| !grant.holds()) {
            return None;
        }
        peer.flow.received(now, data.len());
        if self.protocol != FlowProtocol::Icmp {
            return Some(Outgoing::udp(peer.known_as, self.client, data));
        }
        let message = Icmpv4Packet::new_checked(data).ok()?;
        if message.msg_type() != Icmpv4Message::EchoReply {
            return None;
        }
        let echo = Echo {
            ident: self.client.port(),
            sequence: message.echo_seq_no(),
            data: message.data(),
        };
        Some(Outgoing::echo_reply(
            *peer.known_as.ip(),
            *self.client.ip(),
            &echo,
        ))
    }
}

/// A socket for echo requests only, which needs no privilege where `net.ipv4.ping_group_range` allows it (icmp(7)).
fn ping_socket() -> io::Result<std::net::UdpSocket> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Inet, SockType::Datagram, flags, SockProtocol::Icmp)?;
    Ok(socket.into())
}
