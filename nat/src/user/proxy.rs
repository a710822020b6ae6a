//! One TCP connection of a station, carried by an ordinary socket towards its destination.
//!
//! The station's request is answered only when the destination has answered ours, so that a refusal is a refusal and
//! an unreachable host is unreachable. From then on bytes are moved directly between the socket and the buffers of
//! the [`Endpoint`]: a side that does not read stops the other one by TCP's own windows.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::frame::Checksum;
use smoltcp::wire::Icmpv4DstUnreachable;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::Shared;
use super::endpoint::{Buffers, Endpoint};
use super::flows::Flow;
use super::inbox::Inbox;
use crate::packet::{Outgoing, Packet};
use crate::table::TcpState;

/// How long a destination may take to answer.
const CONNECT: Duration = Duration::from_secs(30);

/// Where a connection really goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To this address.
    Address(SocketAddrV4),
    /// To the first of the host's resolvers that answers.
    Resolver,
}

/// What the task of a connection needs.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) flow: Flow,
    /// The station's request.
    pub(crate) request: Packet,
    pub(crate) destination: Destination,
    /// Further packets of the connection.
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) buffers: Buffers,
    pub(crate) seed: u64,
}

impl Connection {
    /// Carries the connection to its end.
    pub(crate) async fn run(self) {
        match self.connect().await {
            Ok(stream) => self.carry(stream).await,
            Err(error) => self.refuse(&error),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let addresses: Vec<SocketAddr> = match self.destination {
            Destination::Address(address) => vec![address.into()],
            Destination::Resolver => self.shared.resolvers.servers(self.request.destination).await,
        };
        let mut last = io::Error::from(ErrorKind::HostUnreachable);
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }

    /// Tells the station what the destination told us. A destination that was silent is answered with silence: the
    /// station has been asking all the while.
    fn refuse(&self, error: &io::Error) {
        let unreachable = |reason| Outgoing::unreachable(self.shared.address(), &self.request, reason);
        let answer = match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => self
                .request
                .tcp(Checksum::Verified)
                .map(|segment| Outgoing::reset(&self.request, &segment)),
            ErrorKind::NetworkUnreachable => Some(unreachable(Icmpv4DstUnreachable::NetUnreachable)),
            ErrorKind::TimedOut => None,
            ErrorKind::PermissionDenied => Some(unreachable(Icmpv4DstUnreachable::CommProhibited)),
            _ => Some(unreachable(Icmpv4DstUnreachable::HostUnreachable)),
        };
        self.shared.send(Instant::now(), answer);
    }

    async fn carry(self, stream: TcpStream) {
        let started = Instant::now();
        let mtu = self.shared.mtu();
        let Some(endpoint) = Endpoint::listen(started, self.request.target(), mtu, self.buffers, self.seed)
        else {
            return;
        };
        self.flow.set_tcp_state(TcpState::Established);
        let mut pair = Pair {
            endpoint,
            stream,
            eof: false,
            shut: false,
        };
        pair.endpoint.input(self.request.bytes.clone());
        let mut batch = Vec::new();
        loop {
            let now = Instant::now();
            pair.turn(now, &self.flow).await;
            self.shared.send(now, pair.endpoint.output());
            let idle = self.flow.last_active() + self.shared.tcp_timeout();
            if pair.endpoint.is_over() || idle <= now {
                break;
            }
            let due = pair.endpoint.poll_timeout(now).map_or(idle, |at| at.min(idle));
            tokio::select! {
                more = self.inbox.receive(&mut batch) => {
                    if !more {
                        break;
                    }
                    batch.drain(..).for_each(|packet| pair.endpoint.input(packet));
                }
                () = pair.stream_ready() => {}
                () = sleep_until(due.into()) => {}
            }
        }
        pair.end();
        pair.endpoint.put_out(Instant::now());
        self.shared.send(Instant::now(), pair.endpoint.output());
    }
}

/// The two sides of a connection.
struct Pair {
    endpoint: Endpoint,
    stream: TcpStream,
    /// The destination has sent all it has.
    eof: bool,
    /// The destination was told that the station has sent all it has.
    shut: bool,
}

impl Pair {
    /// Moves what can be moved without waiting.
    async fn turn(&mut self, now: Instant, flow: &Flow) {
        self.endpoint.take_in(now);
        let sent = self.station_to_destination(now, flow).await;
        let received = self.destination_to_station(now, flow);
        if let Err(error) = sent.and(received)
            && error.kind() != ErrorKind::WouldBlock
        {
            self.endpoint.socket().abort();
        }
        // What was moved becomes segments, and one acknowledgement that tells of the room there is again.
        self.endpoint.put_out(now);
    }

    async fn station_to_destination(&mut self, now: Instant, flow: &Flow) -> io::Result<()> {
        while let Some(outcome) = self.endpoint.receive(|bytes| self.stream.try_write(bytes)) {
            match outcome {
                Ok(moved) => flow.sent(now, moved),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.endpoint.peer_has_finished() && !self.shut {
            self.shut = true;
            flow.set_tcp_state(TcpState::Closing);
            self.stream.shutdown().await?;
        }
        Ok(())
    }

    fn destination_to_station(&mut self, now: Instant, flow: &Flow) -> io::Result<()> {
        while !self.eof
            && let Some(outcome) = self.endpoint.send(|room| self.stream.try_read(room))
        {
            match outcome {
                Ok(0) => {
                    self.eof = true;
                    flow.set_tcp_state(TcpState::Closing);
                    self.endpoint.socket().close();
                }
                Ok(moved) => flow.received(now, moved),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the stream can take or give what the endpoint has or wants; for ever, if that is nothing.
    async fn stream_ready(&mut self) {
        let has_room = self.endpoint.room() > 0;
        let socket = self.endpoint.socket();
        let wants = (!self.eof && has_room).then_some(Interest::READABLE);
        let has = socket.can_recv().then_some(Interest::WRITABLE);
        let interest = match (wants, has) {
            (Some(read), Some(write)) => read | write,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return std::future::pending().await,
        };
        // An error shows in the next read or write.
        let _ = self.stream.ready(interest).await;
    }

    /// Both sides learn of an end that was not orderly.
    fn end(&mut self) {
        if !(self.eof && self.shut) {
            let _ = self.stream.set_zero_linger();
        }
        if !self.endpoint.is_over() {
            self.endpoint.socket().abort();
        }
    }
}
