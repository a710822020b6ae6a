//! One TCP connection of a tunnel: its task, which reads, waits and says goodbye, and its place in the books.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hub_core::buffer;
use hub_core::frame::{Frame, Offload};
use hub_core::queue::FrameQueue;
use protocol::block::{BlockDecoder, BlockError, Item};
use protocol::tunnel::ConnectionId;
use rustls::AlertDescription;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Shared;
use super::writer::{Flushed, Writer};
use crate::tls::{Intake, Parts, ReadError};

/// What is read at once.
const READ_BYTES: usize = 128 * 1024;
/// Reads before others on the same thread have their turn.
const READS: usize = 4;
/// What may wait in a socket before the network is ready for it: enough to keep it busy, and little enough that what
/// is urgent waits in our own queue instead, where it has its turn (ADR 0013).
const NOT_SENT: u32 = 128 * 1024;
/// How long a connection that ends may take for its last bytes and `close_notify`.
const GOODBYE: Duration = Duration::from_secs(1);

/// One connection, as those who send see it.
pub(super) struct Link {
    pub(super) id: ConnectionId,
    pub(super) queue: FrameQueue,
    pub(super) tcp: TcpStream,
    pub(super) keepalive: Notify,
    pub(super) stop: Notify,
    /// Something is queued that whoever holds the writer may have missed.
    pub(super) missed: AtomicBool,
    /// The task must see to the writer: the socket is full, or broken.
    pub(super) attention: Notify,
    writer: Mutex<Writer>,
}

/// What belongs to the task alone.
pub(super) struct Reader {
    intake: Intake,
    plain: BytesMut,
    decoder: BlockDecoder,
}

thread_local! {
    /// Frames between the decoder and those who take them.
    static FRAMES: Cell<Vec<Frame>> = const { Cell::new(Vec::new()) };
}

/// The two sides of a connection that has reached its data stage, with what of that stage was read already.
pub(super) fn split(shared: &Shared, parts: Parts, early: &[u8], id: ConnectionId) -> (Arc<Link>, Reader) {
    let Parts {
        tcp,
        intake,
        sealer,
        plain: rest,
        pending,
    } = parts;
    // Where the kernel does not know it, what is urgent comes later.
    let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(NOT_SENT);
    let mut plain = BytesMut::from(early);
    plain.extend_from_slice(&rest);
    let link = Arc::new(Link {
        id,
        queue: FrameQueue::with_turns(shared.terms.queue_bytes),
        tcp,
        keepalive: Notify::new(),
        stop: Notify::new(),
        missed: AtomicBool::new(false),
        attention: Notify::new(),
        writer: Mutex::new(Writer::new(sealer, shared.terms.encoder(), pending)),
    });
    let reader = Reader {
        intake,
        plain,
        decoder: shared.terms.decoder(),
    };
    (link, reader)
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer broke the rules of TLS: {error}")]
    Tls {
        alert: Option<AlertDescription>,
        error: rustls::Error,
    },
    #[error("the peer broke the framing: {0}")]
    Framing(#[from] BlockError),
}

impl From<rustls::Error> for LinkError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls { alert: None, error }
    }
}

impl Link {
    /// The writer, for whoever may have to wait for it.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The writer, if nobody has it.
    pub(super) fn try_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(writer),
            Err(std::sync::TryLockError::Poisoned(writer)) => Some(writer.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

/// One connection from its first byte of data to its `close_notify`.
pub(super) async fn run(shared: Arc<Shared>, link: Arc<Link>, mut reader: Reader) {
    let _running = Running(&shared);
    let place = Place {
        shared: &shared,
        id: link.id,
    };
    let outcome = tokio::select! {
        biased;
        outcome = live(&shared, &link, &mut reader) => outcome,
        () = link.stop.notified() => Ok(()),
    };
    buffer::give(std::mem::take(&mut reader.plain));
    let mut alert = None;
    match outcome {
        Err(LinkError::Framing(error)) => {
            shared.traffic.framing_errors.fetch_add(1, Relaxed);
            warn!(session = shared.terms.name, %error, "a connection broke the framing and was closed");
        }
        Err(error) => {
            debug!(session = shared.terms.name, %error, "a connection ended");
            if let LinkError::Tls { alert: said, .. } = error {
                alert = said;
            }
        }
        Ok(()) => {}
    }
    drop(place);
    let _ = timeout(GOODBYE, goodbye(&link, alert)).await;
}

/// Reads, and sees to the writer where those who send cannot.
async fn live(shared: &Shared, link: &Link, reader: &mut Reader) -> Result<(), LinkError> {
    // What came before the data stage began may be complete.
    reader.decode(shared, link)?;
    let mut full = is_full(link, link.flush_with(shared, |_| Ok(()))?);
    loop {
        tokio::select! {
            biased;
            () = link.keepalive.notified() => {
                full = is_full(link, link.flush_with(shared, Writer::keepalive)?);
            }
            () = link.attention.notified(), if !full => {
                full = is_full(link, link.flush_with(shared, |_| Ok(()))?);
            }
            ready = link.tcp.writable(), if full => {
                ready?;
                full = is_full(link, link.flush_with(shared, |_| Ok(()))?);
            }
            ready = link.tcp.readable() => {
                ready?;
                if reader.read(shared, link)? {
                    return Ok(());
                }
                // Others on this thread have their turn, and what is to be sent is seen to.
                tokio::task::consume_budget().await;
            }
        }
    }
}

/// Whether the socket must be waited for.
fn is_full(link: &Link, flushed: Flushed) -> bool {
    if flushed == Flushed::More {
        link.attention.notify_one();
    }
    flushed == Flushed::Full
}

/// Says what remains to be said.
async fn goodbye(link: &Link, alert: Option<AlertDescription>) {
    link.writer().say_goodbye(alert);
    loop {
        let sent = link.writer().send_pending(link);
        if !matches!(sent, Ok(Flushed::Full)) || link.tcp.writable().await.is_err() {
            return;
        }
    }
}

impl Reader {
    /// Takes what the socket has, and hands on the frames in it. Returns whether that was the end.
    fn read(&mut self, shared: &Shared, link: &Link) -> Result<bool, LinkError> {
        for _ in 0..READS {
            let mut drained = false;
            let outcome = self.intake.read(READ_BYTES, &mut self.plain, make_room, |room| {
                let (len, all) = try_read(&link.tcp, room)?;
                drained = all;
                Ok(len)
            });
            if let Some(answer) = self.intake.opener.poll_answer()
                && link.flush_with(shared, |writer| writer.answer(answer))? != Flushed::All
            {
                link.attention.notify_one();
            }
            match outcome {
                Ok(0) => return Ok(true),
                Ok(_) => {}
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(ReadError::Io(error)) => return Err(error.into()),
                Err(ReadError::Refused(refusal)) => {
                    return Err(LinkError::Tls {
                        alert: refusal.alert,
                        error: refusal.error,
                    });
                }
            }
            self.decode(shared, link)?;
            if self.intake.opener.is_closed() {
                return Ok(true);
            }
            if drained {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Hands on the frames that are complete.
    fn decode(&mut self, shared: &Shared, link: &Link) -> Result<(), LinkError> {
        let mut frames = FRAMES.take();
        let (mut heard, mut bytes) = (false, 0);
        let outcome = loop {
            match self.decoder.decode(&mut self.plain) {
                Ok(None) => break Ok(()),
                Ok(Some(item)) => {
                    heard = true;
                    let frame = match item {
                        Item::Frame(frame) => Frame::new(frame),
                        // What nobody here can do is no frame, whoever sent it; whether it fits its frame, the hub asks.
                        Item::SuperFrame(header, bytes) => match Offload::from_peer(header) {
                            Some(offload) => Frame { bytes, offload },
                            None => continue,
                        },
                        Item::KeepAlive(_) => continue,
                    };
                    bytes += frame.len() as u64;
                    frames.push(frame);
                }
                Err(error) => break Err(error.into()),
            }
        };
        if self.plain.is_empty() {
            buffer::give(std::mem::take(&mut self.plain));
        }
        // Frames first: somebody waits for them, and for nothing that is noted.
        let count = frames.len() as u64;
        if count > 0 {
            (shared.inbound)(&mut frames);
            frames.clear();
            shared.traffic.frames_in.fetch_add(count, Relaxed);
            shared.traffic.bytes_in.fetch_add(bytes, Relaxed);
        }
        FRAMES.set(frames);
        if heard {
            shared.book().heard(Instant::now(), link.id);
        }
        outcome
    }
}

/// A chunk with room for `more` behind what `plain` holds, which is the beginning of a frame at most.
fn make_room(plain: &mut BytesMut, more: usize) {
    if plain.capacity() - plain.len() < more {
        let mut chunk = buffer::take(plain.len() + more);
        chunk.extend_from_slice(plain);
        buffer::give(std::mem::replace(plain, chunk));
    }
}

/// Reads once, and tells whether the socket is empty now: a read that does not fill its room has emptied it, so that the
/// one that would find nothing is spared (epoll(7), about edge-triggered events).
fn try_read(tcp: &TcpStream, room: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut read = None;
    let outcome = tcp.try_io(Interest::READABLE, || {
        let len = tcp.try_read(room)?;
        read = Some(len);
        if 0 < len && len < room.len() {
            // tokio forgets that the socket was readable, unless it has become so again meanwhile.
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    });
    match (read, outcome) {
        (Some(len), outcome) => Ok((len, outcome.is_err())),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// A connection's place in the books, given back also when its task panics.
struct Place<'a> {
    shared: &'a Shared,
    id: ConnectionId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.remove(self.id);
    }
}

/// A connection's task, counted until it has ended.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}
