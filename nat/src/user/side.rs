//! Bytes between an [`Endpoint`] and a stream of this machine, both ways.
//!
//! They are moved directly between the stream and the endpoint's buffers, so a side that does not read stops the other one by TCP's
//! own windows. The same for NAT, where the stream leads to a destination, and for a station, where a program is behind it.

use std::io::{self, ErrorKind};
use std::time::Instant;

use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{TcpStream, UnixStream};

use super::endpoint::Endpoint;

/// A stream of this machine at the near end of a connection.
pub trait Near: Send {
    /// Reads what is there, or fails with `WouldBlock`.
    fn try_read(&self, room: &mut [u8]) -> io::Result<usize>;
    /// Writes what there is room for, or fails with `WouldBlock`.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Waits until one of the two may succeed.
    fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<()>> + Send;
    /// Says that nothing more will be written.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

macro_rules! near {
    ($($stream:ty),*) => {$(
        impl Near for $stream {
            fn try_read(&self, room: &mut [u8]) -> io::Result<usize> {
                <$stream>::try_read(self, room)
            }
            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                <$stream>::try_write(self, bytes)
            }
            async fn ready(&self, interest: Interest) -> io::Result<()> {
                <$stream>::ready(self, interest).await.map(drop)
            }
            async fn finish(&mut self) -> io::Result<()> {
                self.shutdown().await
            }
        }
    )*};
}
near!(TcpStream, UnixStream);

/// Hears of what is moved.
pub(crate) trait Tally {
    /// So many bytes went from the endpoint to the stream.
    fn near_took(&mut self, now: Instant, bytes: usize);
    /// And so many from the stream to the endpoint.
    fn near_gave(&mut self, now: Instant, bytes: usize);
    /// One of the two has sent all it has.
    fn closing(&mut self) {}
}

/// The near side's state.
#[derive(Default)]
pub(crate) struct Side<'a> {
    /// Read from the stream before.
    early: &'a [u8],
    /// The stream has given all it has.
    eof: bool,
    /// The stream was told that the endpoint's peer has sent all it has.
    shut: bool,
}

impl<'a> Side<'a> {
    /// The side of a stream from which `early` was read already.
    pub(crate) fn new(early: &'a [u8]) -> Self {
        Self {
            early,
            ..Self::default()
        }
    }

    /// Takes in what has come for the endpoint, moves what can be moved without waiting, and makes segments of it, acknowledgements
    /// and wider windows. A stream that breaks breaks the connection.
    pub(crate) async fn turn(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        near: &mut impl Near,
        tally: &mut (impl Tally + Send),
    ) {
        endpoint.take_in(now);
        let given = self.give_near(now, endpoint, near, tally).await;
        let taken = self.take_near(now, endpoint, near, tally);
        if given.and(taken).is_err() {
            endpoint.socket().abort();
        }
        endpoint.put_out(now);
    }

    async fn give_near(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        near: &mut impl Near,
        tally: &mut (impl Tally + Send),
    ) -> io::Result<()> {
        while let Some(outcome) = endpoint.receive(|bytes| near.try_write(bytes)) {
            match outcome {
                Ok(moved) => tally.near_took(now, moved),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if endpoint.peer_has_finished() && !self.shut {
            self.shut = true;
            tally.closing();
            near.finish().await?;
        }
        Ok(())
    }

    fn take_near(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        near: &impl Near,
        tally: &mut impl Tally,
    ) -> io::Result<()> {
        while !self.eof {
            let early = self.early;
            let outcome = endpoint.send(|room| {
                if early.is_empty() {
                    return near.try_read(room);
                }
                let len = early.len().min(room.len());
                room[..len].copy_from_slice(&early[..len]);
                Ok(len)
            });
            match outcome {
                None => return Ok(()),
                Some(Ok(0)) => {
                    self.eof = true;
                    tally.closing();
                    endpoint.socket().close();
                }
                Some(Ok(moved)) => {
                    self.early = &early[moved.min(early.len())..];
                    tally.near_gave(now, moved);
                }
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the stream can give or take what the endpoint wants or has; for ever, if that is nothing.
    pub(crate) async fn stream_ready(&self, endpoint: &mut Endpoint, near: &impl Near) {
        match self.interest(endpoint) {
            // An error shows in the next read or write.
            Some(interest) => drop(near.ready(interest).await),
            None => std::future::pending().await,
        }
    }

    fn interest(&self, endpoint: &mut Endpoint) -> Option<Interest> {
        let has_room = endpoint.room() > 0;
        let socket = endpoint.socket();
        let wants = (!self.eof && has_room).then_some(Interest::READABLE);
        let has = socket.can_recv().then_some(Interest::WRITABLE);
        match (wants, has) {
            (Some(read), Some(write)) => Some(read | write),
            (one, other) => one.or(other),
        }
    }

    /// Whether both have sent all they have, and have been told so.
    pub(crate) fn has_finished(&self) -> bool {
        self.eof && self.shut
    }
}
