//! The tunnel pump: Ethernet frames in and out of one session's TLS connections.
//!
//! The decisions (which connection, when a keep-alive, when it is over) are taken by [`protocol::tunnel::Tunnel`];
//! here are the sockets, the queues and the clock. Every connection has one task, which reads and writes at once,
//! and a byte-bounded queue before it; a peer that does not read loses frames and never blocks anyone else.

mod link;
mod supervise;
mod writer;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hub_core::frame::{Frame, FrameView};
use protocol::block::{BlockDecoder, BlockEncoder};
use protocol::tunnel::{ConnectionId, Direction, Side};
use rand::RngExt;
use tokio::sync::{Notify, watch};

use self::link::Link;
use crate::acceleration::Lane;
use crate::acceleration::negotiate::Agreed;
use crate::tls::TlsStream;

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
    /// The way by UDP, if one was agreed on.
    lane: OnceLock<Arc<Lane>>,
}

struct Book {
    tunnel: protocol::tunnel::Tunnel,
    links: Vec<Arc<Link>>,
    heard_at: Instant,
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
            lane: OnceLock::new(),
        });
        tokio::spawn(supervise::supervise(shared.clone()));
        Self(shared)
    }

    /// The direction that the server chooses for the next additional connection (protocol §6.1), where those in `dead` do not count.
    #[must_use]
    pub fn next_direction(&self, dead: &[ConnectionId]) -> Direction {
        self.0.book().tunnel.next_direction(dead)
    }

    /// Takes a connection that has reached its data stage, with what of that stage was read already.
    pub fn add(&self, stream: TlsStream, early: &[u8], direction: Direction) {
        self.add_in_place_of(&[], stream, early, direction);
    }

    /// The same in place of connections that lead nowhere any more (see [`Tunnel::abandon`]).
    pub fn add_in_place_of(
        &self,
        dead: &[ConnectionId],
        stream: TlsStream,
        early: &[u8],
        direction: Direction,
    ) {
        let mut waiting = Vec::new();
        let (link, reader) = {
            let mut book = self.0.book();
            book.give_up(dead, &mut waiting);
            // Of several that were allowed to come at once, one may be too many by now.
            if self.0.state.borrow().over || book.tunnel.is_full() {
                return;
            }
            let id = book.tunnel.add(Instant::now(), direction);
            let (link, reader) = link::split(&self.0, stream.into_parts(), early, id);
            book.links.push(link.clone());
            book.heard_at = Instant::now();
            self.0.tasks.send_modify(|tasks| *tasks += 1);
            self.0.publish(&book);
            (link, reader)
        };
        self.0.traffic.connections.fetch_add(1, Relaxed);
        self.0.news.notify_one();
        tokio::spawn(link::run(self.0.clone(), link, reader));
        self.send(&mut waiting.into_iter());
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

    /// Opens a way by UDP beside the connections; a second one is not. `in_use` is told when frames begin and cease to go that way.
    pub fn accelerate(&self, agreed: Agreed, in_use: impl Fn(bool) + Send + 'static) {
        if let Some(lane) = Lane::open(self.clone(), agreed, Box::new(in_use)) {
            let _ = self.0.lane.set(lane);
        }
    }

    /// The way by UDP, if one was agreed on.
    #[must_use]
    pub fn lane(&self) -> Option<&Arc<Lane>> {
        self.0.lane.get()
    }

    /// Whether frames that are handed to [`Tunnel::send`] may be unfinished: the peer knows them, and datagrams, which do not carry
    /// them, are not the way at this moment.
    #[must_use]
    pub fn takes_super_frames(&self) -> bool {
        let by_udp = |lane: &Arc<Lane>| {
            lane.is_preferred() || lane.is_usable() && self.0.state.borrow().connections == 0
        };
        self.0.terms.super_frames && !self.0.lane.get().is_some_and(by_udp)
    }

    /// Frames have come by UDP.
    pub(crate) fn arrived(&self, frames: &mut Vec<Frame>) {
        let bytes: usize = frames.iter().map(Frame::len).sum();
        self.0.book().heard_at = Instant::now();
        self.0.traffic.frames_in.fetch_add(frames.len() as u64, Relaxed);
        self.0.traffic.bytes_in.fetch_add(bytes as u64, Relaxed);
        (self.0.inbound)(frames);
    }

    /// Frames have gone by UDP.
    pub(crate) fn went(&self, frames: usize, bytes: usize) {
        self.0.traffic.frames_out.fetch_add(frames as u64, Relaxed);
        self.0.traffic.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// Sends frames to the peer, by UDP where that is preferred or no connection is left, else at once if the sockets take them;
    /// those that find no room are dropped and counted.
    pub fn send(&self, frames: &mut dyn Iterator<Item = Frame>) {
        let lane = self.0.lane.get().filter(|lane| lane.is_usable());
        let preferred = lane.filter(|lane| lane.is_preferred());
        let mut chosen: Vec<Arc<Link>> = Vec::new();
        let mut dropped = 0;
        {
            let book = self.0.book();
            // A flow keeps its connection, and one connection has them all.
            let only = book.links.len() == 1;
            for mut frame in frames {
                if let Some(lane) = preferred {
                    match lane.push(frame) {
                        Ok(queued) => {
                            dropped += u64::from(!queued);
                            continue;
                        }
                        Err(long) => frame = long,
                    }
                }
                let view = if only {
                    None
                } else {
                    FrameView::parse(&frame.bytes)
                };
                let (priority, hash) = view.map_or((false, 0), |view| (view.is_priority(), view.flow_hash()));
                let link = book.tunnel.choose(priority, hash).and_then(|id| book.link(id));
                let Some(link) = link else {
                    let queued = lane.is_some_and(|lane| lane.push(frame).unwrap_or(false));
                    dropped += u64::from(!queued);
                    continue;
                };
                if !link.queue.push(frame) {
                    dropped += 1;
                    continue;
                }
                if !chosen.iter().any(|chosen| chosen.id == link.id) {
                    chosen.push(link.clone());
                }
            }
        }
        for link in chosen {
            link.flush(&self.0);
        }
        if dropped > 0 {
            self.0.traffic.dropped.fetch_add(dropped, Relaxed);
        }
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

    /// The connections of this moment.
    #[must_use]
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.0.book().links.iter().map(|link| link.id).collect()
    }

    /// Gives up connections that lead nowhere any more, at once and not only when they have been silent for long enough. What
    /// waits for them goes by those that are left, if there are any.
    pub fn abandon(&self, connections: &[ConnectionId]) {
        let mut waiting = Vec::new();
        {
            let mut book = self.0.book();
            book.give_up(connections, &mut waiting);
            self.0.publish(&book);
        }
        self.0.news.notify_one();
        self.send(&mut waiting.into_iter());
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

    /// Shows the sockets of its connections at this moment, one after the other.
    pub fn look_at_sockets(&self, look: &mut dyn FnMut(BorrowedFd<'_>)) {
        let links = self.0.book().links.clone();
        for link in links {
            look(link.tcp.as_fd());
        }
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

    /// Forgets connections; what waits for them is appended to `waiting`.
    fn give_up(&mut self, connections: &[ConnectionId], waiting: &mut Vec<Frame>) {
        for id in connections {
            let Some(link) = self.link(*id) else { continue };
            // The task of a connection that is closed says goodbye, where that still gets through.
            link.stop.notify_one();
            let _ = link.queue.try_recv_batch(waiting, usize::MAX);
            self.tunnel.remove(Instant::now(), *id);
        }
        self.links.retain(|link| !connections.contains(&link.id));
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
