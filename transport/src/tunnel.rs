//! The tunnel pump: Ethernet frames in and out of one session's TLS connections.
//!
//! The decisions (which connection, when a keep-alive, when it is over) are taken by [`protocol::tunnel::Tunnel`];
//! here are the sockets, the queues and the clock. Every connection has one task, which reads and writes at once,
//! and a byte-bounded queue before it; a peer that does not read loses frames and never blocks anyone else.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use hub_core::frame::{Frame, FrameView, Offload};
use hub_core::queue::FrameQueue;
use protocol::block::{BlockDecoder, BlockEncoder, BlockError, Item, KEEPALIVE_BYTES, encode_keepalive};
use protocol::tunnel::{ConnectionId, Direction, Side, TunnelEvent};
use rand::RngExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep_until, timeout};
use tracing::{debug, warn};

/// The buffer that a connection is read into.
const READ_BYTES: usize = 64 * 1024;
/// The room that a read should have: one TLS record.
const MIN_ROOM: usize = 16 * 1024;
/// What is framed and sealed at once.
const BATCH_BYTES: usize = 64 * 1024;
/// How long a connection that ends may take for its last bytes and `close_notify`.
const GOODBYE: Duration = Duration::from_secs(1);

/// What both sides agreed on at login.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the session is called in the log.
    pub name: String,
    /// Which side we are.
    pub side: Side,
    /// Silence after which a connection, or the session, is dead.
    pub timeout: Duration,
    /// TCP connections at most.
    pub max_connections: u32,
    /// Every connection carries data one way only.
    pub half_duplex: bool,
    /// The newest connection is kept for priority frames.
    pub qos: bool,
    /// Every block is a zlib stream.
    pub compress: bool,
    /// Frames may travel unfinished, with their offload header (protocol §14.3); never together with `compress`.
    pub super_frames: bool,
    /// Bytes that may wait for one connection.
    pub queue_bytes: usize,
}

impl Terms {
    fn decoder(&self) -> BlockDecoder {
        if self.super_frames {
            BlockDecoder::with_super_frames()
        } else {
            BlockDecoder::new(self.compress)
        }
    }

    fn encoder(&self) -> BlockEncoder {
        if self.super_frames {
            BlockEncoder::with_super_frames()
        } else {
            BlockEncoder::new(self.compress)
        }
    }
}

/// Takes the frames that arrive, a batch per read; leaves the vector empty.
pub type Inbound = Arc<dyn Fn(&mut Vec<Frame>) + Send + Sync>;

/// How a tunnel stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// TCP connections at this moment.
    pub connections: usize,
    /// Set when it is over, for good.
    pub over: bool,
}

/// What went through a tunnel so far.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Frames received from the peer.
    pub frames_in: AtomicU64,
    /// Their bytes.
    pub bytes_in: AtomicU64,
    /// Frames written to the peer.
    pub frames_out: AtomicU64,
    /// Their bytes.
    pub bytes_out: AtomicU64,
    /// Frames that found no room or no connection.
    pub dropped: AtomicU64,
    /// Connections that were closed because the peer broke the framing.
    pub framing_errors: AtomicU64,
    /// TCP connections that ever belonged to it.
    pub connections: AtomicU64,
}

/// One session's connections. Clones share it; [`Tunnel::close`] ends it.
#[derive(Clone)]
pub struct Tunnel(Arc<Shared>);

struct Shared {
    terms: Terms,
    book: Mutex<Book>,
    inbound: Inbound,
    state: watch::Sender<State>,
    news: Notify,
    traffic: Traffic,
    /// Connections whose task has not ended: those in use and those that say goodbye.
    tasks: watch::Sender<usize>,
}

struct Book {
    tunnel: protocol::tunnel::Tunnel,
    links: Vec<Arc<Link>>,
    heard_at: Instant,
}

struct Link {
    id: ConnectionId,
    queue: FrameQueue,
    keepalive: Notify,
    stop: Notify,
}

impl Tunnel {
    /// A tunnel without connections yet; `inbound` is given what arrives.
    pub fn start(terms: Terms, inbound: Inbound) -> Self {
        let tunnel = protocol::tunnel::Tunnel::new(
            terms.side,
            terms.timeout,
            terms.max_connections,
            terms.half_duplex,
            terms.qos,
            Instant::now(),
            rand::rng().random(),
        );
        let shared = Arc::new(Shared {
            terms,
            book: Mutex::new(Book {
                tunnel,
                links: Vec::new(),
                heard_at: Instant::now(),
            }),
            inbound,
            state: watch::Sender::new(State::default()),
            news: Notify::new(),
            traffic: Traffic::default(),
            tasks: watch::Sender::new(0),
        });
        tokio::spawn(supervise(shared.clone()));
        Self(shared)
    }

    /// The direction that the server chooses for the next additional connection (protocol §6.1).
    #[must_use]
    pub fn next_direction(&self) -> Direction {
        self.0.book().tunnel.next_direction()
    }

    /// Takes a connection that has reached its data stage, with what of that stage was read already.
    pub fn add<S>(&self, stream: S, early: &[u8], direction: Direction)
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let link = {
            let mut book = self.0.book();
            // Of several that were allowed to come at once, one may be too many by now.
            if self.0.state.borrow().over || book.tunnel.is_full() {
                return;
            }
            let link = Arc::new(Link {
                id: book.tunnel.add(Instant::now(), direction),
                queue: FrameQueue::new(self.0.terms.queue_bytes),
                keepalive: Notify::new(),
                stop: Notify::new(),
            });
            book.links.push(link.clone());
            book.heard_at = Instant::now();
            self.0.tasks.send_modify(|tasks| *tasks += 1);
            self.0.publish(&book);
            link
        };
        self.0.traffic.connections.fetch_add(1, Relaxed);
        self.0.news.notify_one();
        tokio::spawn(run(self.0.clone(), link, stream, BytesMut::from(early)));
    }

    /// Whether another connection would be one more than is tolerated (protocol §6).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.book().tunnel.is_full()
    }

    /// Whether a client should open another connection.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.0.book().tunnel.wants_more()
    }

    /// The direction of the connection that logged in (protocol §6.1).
    #[must_use]
    pub fn first_direction(&self) -> Direction {
        self.0.book().tunnel.first_direction()
    }

    /// Sends frames to the peer; those that find no room are dropped and counted.
    pub fn send(&self, frames: &mut dyn Iterator<Item = Frame>) {
        let book = self.0.book();
        let mut dropped = 0;
        for frame in frames {
            let view = FrameView::parse(&frame.bytes);
            let (priority, hash) = view.map_or((false, 0), |view| (view.is_priority(), view.flow_hash()));
            let link = book.tunnel.choose(priority, hash).and_then(|id| book.link(id));
            if !link.is_some_and(|link| link.queue.push(frame)) {
                dropped += 1;
            }
        }
        self.0.traffic.dropped.fetch_add(dropped, Relaxed);
    }

    /// How it stands, and every change of that.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.state.subscribe()
    }

    /// Waits until it is over.
    pub async fn ended(&self) {
        let _ = self.watch().wait_for(|state| state.over).await;
    }

    /// Waits until every connection it had has said goodbye, or had no time left to; call it after the end.
    pub async fn closed(&self) {
        let _ = self.0.tasks.subscribe().wait_for(|tasks| *tasks == 0).await;
    }

    /// When something was last heard from the peer, keep-alives and new connections included.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.0.book().heard_at
    }

    /// Ends it: every connection says goodbye.
    pub fn close(&self) {
        self.0.end();
    }

    /// What went through it.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// What was agreed on at login.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.0.terms
    }
}

impl Book {
    fn link(&self, id: ConnectionId) -> Option<&Arc<Link>> {
        self.links.iter().find(|link| link.id == id)
    }

    fn heard(&mut self, now: Instant, id: ConnectionId) {
        self.tunnel.received(now, id);
        self.heard_at = now;
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, book: &Book) {
        self.state
            .send_modify(|state| state.connections = book.links.len());
    }

    fn remove(&self, id: ConnectionId) {
        let mut book = self.book();
        book.tunnel.remove(Instant::now(), id);
        book.links.retain(|link| link.id != id);
        self.publish(&book);
        drop(book);
        self.news.notify_one();
    }

    fn end(&self) {
        let book = self.book();
        self.state.send_modify(|state| state.over = true);
        for link in &book.links {
            link.stop.notify_one();
        }
        drop(book);
        self.news.notify_one();
    }
}

/// Keeps the clock of one tunnel: keep-alives, silent connections, the end.
async fn supervise(shared: Arc<Shared>) {
    while !shared.state.borrow().over {
        let (events, next) = {
            let mut book = shared.book();
            book.tunnel.handle_timeout(Instant::now());
            let mut events = Vec::new();
            while let Some(event) = book.tunnel.poll_event() {
                let link = match event {
                    TunnelEvent::KeepAlive(id) | TunnelEvent::Lost(id) => book.link(id).cloned(),
                    TunnelEvent::Over => None,
                };
                events.push((event, link));
            }
            (events, book.tunnel.poll_timeout())
        };
        for (event, link) in events {
            match (event, link) {
                (TunnelEvent::KeepAlive(_), Some(link)) => link.keepalive.notify_one(),
                (TunnelEvent::Lost(_), Some(link)) => link.stop.notify_one(),
                (TunnelEvent::Over, _) => shared.end(),
                (_, None) => {}
            }
        }
        match next {
            Some(at) => tokio::select! {
                () = sleep_until(at.into()) => {}
                () = shared.news.notified() => {}
            },
            None => shared.news.notified().await,
        }
    }
}

/// One connection from its first byte of data to its `close_notify`.
async fn run<S>(shared: Arc<Shared>, link: Arc<Link>, stream: S, early: BytesMut)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let _running = Running(&shared);
    let place = Place {
        shared: &shared,
        id: link.id,
    };
    let outcome = tokio::select! {
        outcome = read(&shared, &link, &mut reader, early) => outcome,
        outcome = write(&shared, &link, &mut writer) => outcome,
        () = link.stop.notified() => Ok(()),
    };
    match outcome {
        Err(LinkError::Framing(error)) => {
            shared.traffic.framing_errors.fetch_add(1, Relaxed);
            warn!(session = shared.terms.name, %error, "a connection broke the framing and was closed");
        }
        Err(LinkError::Io(error)) => debug!(session = shared.terms.name, %error, "a connection ended"),
        Ok(()) => {}
    }
    drop(place);
    let _ = timeout(GOODBYE, writer.shutdown()).await;
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

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the peer broke the framing: {0}")]
    Framing(#[from] BlockError),
}

async fn read<S>(
    shared: &Shared,
    link: &Link,
    reader: &mut ReadHalf<S>,
    mut buffer: BytesMut,
) -> Result<(), LinkError>
where
    S: AsyncRead + AsyncWrite,
{
    let mut decoder = shared.terms.decoder();
    let mut frames = Vec::new();
    loop {
        let mut heard = false;
        let mut bytes = 0;
        while let Some(item) = decoder.decode(&mut buffer)? {
            heard = true;
            let frame = match item {
                Item::Frame(frame) => Frame::new(frame),
                // What nobody here can do is no frame, whoever sent it; whether it fits its frame, the hub asks.
                Item::SuperFrame(header, bytes) => match Offload::from_virtio(header) {
                    Some(offload) => Frame { bytes, offload },
                    None => continue,
                },
                Item::KeepAlive(_) => continue,
            };
            bytes += frame.len() as u64;
            frames.push(frame);
        }
        if heard {
            shared.book().heard(Instant::now(), link.id);
        }
        if !frames.is_empty() {
            shared.traffic.frames_in.fetch_add(frames.len() as u64, Relaxed);
            shared.traffic.bytes_in.fetch_add(bytes, Relaxed);
            (shared.inbound)(&mut frames);
            frames.clear();
        }
        // Frames that wait somewhere pin the buffer they were read into, so a new one is begun only for want of room.
        if buffer.capacity() - buffer.len() < MIN_ROOM {
            buffer.reserve(READ_BYTES);
        }
        if reader.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

/// Frames a batch. What this peer cannot take should have been cut before it came here; it is left out, and the number
/// of such frames returned.
fn encode(encoder: &mut BlockEncoder, batch: &[Frame], out: &mut BytesMut) -> u64 {
    let mut group = encoder.group(out);
    for frame in batch {
        if frame.offload.is_finished() {
            group.push(&frame.bytes);
        } else {
            group.push_super(frame.offload.to_virtio(), &frame.bytes);
        }
    }
    batch.len() as u64 - u64::from(group.finish())
}

async fn write<S>(shared: &Shared, link: &Link, writer: &mut WriteHalf<S>) -> Result<(), LinkError>
where
    S: AsyncRead + AsyncWrite,
{
    let mut encoder = shared.terms.encoder();
    let mut batch: Vec<Frame> = Vec::new();
    let mut out = BytesMut::with_capacity(2 * BATCH_BYTES);
    loop {
        tokio::select! {
            biased;
            () = link.keepalive.notified() => {
                // 0 to 511 bytes, as stock peers send (protocol §7.4).
                let mut body = [0; KEEPALIVE_BYTES];
                let length = rand::rng().random_range(0..KEEPALIVE_BYTES);
                rand::rng().fill(&mut body[..length]);
                encode_keepalive(&body[..length], &mut out);
            }
            received = link.queue.recv_batch(&mut batch, BATCH_BYTES) => {
                if received.is_err() {
                    return Ok(());
                }
                let refused = encode(&mut encoder, &batch, &mut out);
                shared.traffic.dropped.fetch_add(refused, Relaxed);
            }
        }
        writer.write_all(&out).await?;
        writer.flush().await?;
        shared.book().tunnel.sent(Instant::now(), link.id);
        let bytes: usize = batch.iter().map(Frame::len).sum();
        shared.traffic.frames_out.fetch_add(batch.len() as u64, Relaxed);
        shared.traffic.bytes_out.fetch_add(bytes as u64, Relaxed);
        batch.clear();
        out.clear();
    }
}
