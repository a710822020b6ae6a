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
use tokio::net::TcpStream;
use tokio::time::{sleep_until, timeout};

use super::Shared;
use super::endpoint::{Buffers, Endpoint};
use super::flows::Flow;
use super::inbox::Inbox;
use super::side::{Side, Tally};
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

    async fn carry(self, mut stream: TcpStream) {
        let started = Instant::now();
        let mtu = self.shared.mtu();
        let Some(mut endpoint) =
            Endpoint::listen(started, self.request.target(), mtu, self.buffers, self.seed)
        else {
            return;
        };
        self.flow.set_tcp_state(TcpState::Established);
        let (mut side, mut tally) = (Side::default(), Counted(&self.flow));
        endpoint.input(self.request.bytes.clone());
        let mut batch = Vec::new();
        loop {
            let now = Instant::now();
            side.turn(now, &mut endpoint, &mut stream, &mut tally).await;
            self.shared.send(now, endpoint.output());
            let idle = self.flow.last_active() + self.shared.tcp_timeout();
            if endpoint.is_over() || idle <= now {
                break;
            }
            let due = endpoint.poll_timeout(now).map_or(idle, |at| at.min(idle));
            tokio::select! {
                more = self.inbox.receive(&mut batch) => {
                    if !more {
                        break;
                    }
                    batch.drain(..).for_each(|packet| endpoint.input(packet));
                }
                () = side.stream_ready(&mut endpoint, &stream) => {}
                () = sleep_until(due.into()) => {}
            }
        }
        // Both sides learn of an end that was not orderly.
        if !side.has_finished() {
            let _ = stream.set_zero_linger();
        }
        if !endpoint.is_over() {
            endpoint.socket().abort();
        }
        endpoint.put_out(Instant::now());
        self.shared.send(Instant::now(), endpoint.output());
    }
}

/// The books of a flow: what is moved counts for the station.
struct Counted<'a>(&'a Flow);

impl Tally for Counted<'_> {
    fn near_took(&mut self, now: Instant, bytes: usize) {
        self.0.sent(now, bytes);
    }

    fn near_gave(&mut self, now: Instant, bytes: usize) {
        self.0.received(now, bytes);
    }

    fn closing(&mut self) {
        self.0.set_tcp_state(TcpState::Closing);
    }
}
