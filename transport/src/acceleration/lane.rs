//! The way by UDP of one session: a queue, a task, and whether frames should go there.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hub_core::buffer;
use hub_core::frame::{Frame, MAX_PLAIN_FRAME};
use hub_core::queue::FrameQueue;
use protocol::acceleration::{Accelerator, Version};
use protocol::handshake::UdpUse;
use tokio::time::{Sleep, sleep_until};
use tracing::{debug, info};

use super::negotiate::Agreed;
use super::socket::{Batch, Socket};
use crate::tunnel::Tunnel;

/// What may wait for the socket.
const QUEUE_BYTES: usize = 1 << 20;
/// What is sealed and sent at once.
const BATCH_BYTES: usize = 64 * 1024;
/// System calls that receive before anything is sent again.
const RECEIVES: usize = 4;

/// Is told when frames begin and cease to go by UDP.
pub(crate) type InUse = Box<dyn Fn(bool) + Send>;

/// A session's way by UDP.
#[derive(Debug)]
pub struct Lane {
    queue: FrameQueue,
    version: Version,
    usable: AtomicBool,
    /// Whether it is preferred to TCP.
    preferred: bool,
    frames_in: AtomicU64,
    frames_out: AtomicU64,
    refused: AtomicU64,
}

/// How a way by UDP stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The version of its datagrams.
    pub version: Version,
    /// Both ends hear each other.
    pub usable: bool,
    /// Frames go this way rather than over TCP.
    pub in_use: bool,
    /// Frames that came and went this way.
    pub frames: (u64, u64),
    /// Datagrams that were not the peer's, or too late.
    pub refused: u64,
}

impl Lane {
    /// Opens the way for a tunnel; `in_use` is told when frames begin and cease to go this way. It is not ready before the peer was
    /// heard for a while.
    pub(crate) fn open(tunnel: Tunnel, agreed: Agreed, in_use: InUse) -> Option<Arc<Self>> {
        let end = Accelerator::new(&agreed.settings, Instant::now(), rand::random())?;
        let lane = Arc::new(Self {
            queue: FrameQueue::with_turns(QUEUE_BYTES),
            version: agreed.settings.version,
            usable: AtomicBool::new(false),
            preferred: agreed.when == UdpUse::WhenUsable,
            frames_in: AtomicU64::new(0),
            frames_out: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let runner = Runner {
            lane: lane.clone(),
            tunnel,
            socket: Socket::new(agreed.socket),
            end,
            batch: Batch::default(),
            frames: Vec::new(),
            busy: false,
            in_use,
        };
        tokio::spawn(runner.run());
        Some(lane)
    }

    /// Whether frames should go this way, whatever other ways there are.
    pub(crate) fn is_preferred(&self) -> bool {
        self.preferred && self.is_usable()
    }

    /// Whether frames can go this way.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Relaxed)
    }

    /// Queues a frame; whether there was room.
    ///
    /// # Errors
    /// The frame, when it is none that fits a datagram.
    pub(crate) fn push(&self, frame: Frame) -> Result<bool, Frame> {
        if frame.is_empty() || frame.len() > MAX_PLAIN_FRAME || !frame.offload.is_finished() {
            return Err(frame);
        }
        Ok(self.queue.push(frame))
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            version: self.version,
            usable: self.is_usable(),
            in_use: self.is_preferred(),
            frames: (self.frames_in.load(Relaxed), self.frames_out.load(Relaxed)),
            refused: self.refused.load(Relaxed),
        }
    }
}

/// The task of a lane.
struct Runner {
    lane: Arc<Lane>,
    tunnel: Tunnel,
    socket: Socket,
    end: Accelerator,
    batch: Batch,
    frames: Vec<Frame>,
    /// Whether anything but keep-alives was sent since the last look.
    busy: bool,
    in_use: InUse,
}

impl Runner {
    async fn run(mut self) {
        let tunnel = self.tunnel.clone();
        let lane = self.lane.clone();
        let mut over = pin!(tunnel.ended());
        let mut timer = pin!(sleep_until(self.end.poll_timeout().into()));
        loop {
            self.publish();
            set(timer.as_mut(), self.end.poll_timeout());
            tokio::select! {
                () = &mut over => break,
                readable = self.socket.readable() => {
                    if let Err(error) = readable.and_then(|()| self.receive()) {
                        self.fail(&error);
                    }
                }
                received = lane.queue.recv_batch(&mut self.frames, BATCH_BYTES) => {
                    if received.is_err() {
                        break;
                    }
                    self.send().await;
                }
                () = &mut timer => {
                    self.end.handle_timeout(Instant::now());
                    if !std::mem::take(&mut self.busy) {
                        self.batch.shrink();
                    }
                }
            }
            self.keep_alive().await;
        }
        lane.usable.store(false, Relaxed);
        lane.queue.close();
    }

    /// Lets the tunnel know whether the path works. What waits when it does not any more goes over TCP.
    fn publish(&mut self) {
        let usable = self.end.is_usable(Instant::now());
        let session = &self.tunnel.terms().name;
        if self.lane.usable.swap(usable, Relaxed) != usable {
            if self.lane.preferred {
                (self.in_use)(usable);
            }
            let peer = self.end.peer();
            if usable {
                info!(session, %peer, "UDP acceleration works");
            } else {
                info!(session, %peer, "UDP acceleration works no more; frames go over TCP");
            }
        }
        if !usable {
            while matches!(
                self.lane.queue.try_recv_batch(&mut self.frames, BATCH_BYTES),
                Ok(1..)
            ) {
                self.tunnel.send(&mut self.frames.drain(..));
            }
        }
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let now = Instant::now();
        let mut chunk = buffer::take(MAX_PLAIN_FRAME);
        let mut outcome = Ok(());
        for _ in 0..RECEIVES {
            let mut some = false;
            let Self {
                lane,
                socket,
                end,
                frames,
                ..
            } = self;
            outcome = socket.receive(&mut |from: SocketAddr, datagram: &mut [u8]| {
                some = true;
                match end.handle_input(now, from, datagram) {
                    Ok([]) => {}
                    Ok(frame) => {
                        if chunk.capacity() - chunk.len() < frame.len() {
                            buffer::give(std::mem::take(&mut chunk));
                            chunk = buffer::take(MAX_PLAIN_FRAME);
                        }
                        chunk.extend_from_slice(frame);
                        frames.push(Frame::new(chunk.split().freeze()));
                    }
                    Err(_) => {
                        lane.refused.fetch_add(1, Relaxed);
                    }
                }
            });
            if outcome.is_err() || !some {
                break;
            }
        }
        buffer::give(chunk);
        if !self.frames.is_empty() {
            self.lane.frames_in.fetch_add(self.frames.len() as u64, Relaxed);
            self.tunnel.arrived(&mut self.frames);
            self.frames.clear();
        }
        outcome
    }

    /// Seals and sends what was taken from the queue; what does not get through goes over TCP.
    async fn send(&mut self) {
        let now = Instant::now();
        if !self.end.is_usable(now) {
            self.publish();
            self.tunnel.send(&mut self.frames.drain(..));
            return;
        }
        self.busy = true;
        self.batch.clear();
        let (batch, end) = (&mut self.batch, &mut self.end);
        // A frame that no datagram takes was not let in; the count is right nevertheless.
        self.frames
            .retain(|frame| batch.push(|out| end.seal(now, &frame.bytes, out)));
        let sent = match self.socket.send(&self.batch, self.end.peer()).await {
            Ok(()) => self.frames.len(),
            Err((error, sent)) => {
                self.fail(&error);
                sent
            }
        };
        let bytes: usize = self.frames[..sent].iter().map(Frame::len).sum();
        self.lane.frames_out.fetch_add(sent as u64, Relaxed);
        self.tunnel.went(sent, bytes);
        if sent < self.frames.len() {
            self.publish();
            self.tunnel.send(&mut self.frames.drain(sent..));
        }
        self.frames.clear();
    }

    async fn keep_alive(&mut self) {
        while let Some(transmit) = self.end.poll_output() {
            let mut batch = Batch::default();
            batch.push(|out| {
                out.extend_from_slice(&transmit.datagram);
                true
            });
            if let Err((error, _)) = self.socket.send(&batch, transmit.to).await {
                self.fail(&error);
            }
        }
    }

    fn fail(&mut self, error: &std::io::Error) {
        debug!(session = self.tunnel.terms().name, %error, "a datagram was not delivered");
        self.end.send_failed();
    }
}

/// Sets the timer anew if it is not set so already.
fn set(timer: std::pin::Pin<&mut Sleep>, at: Instant) {
    // Timers count in milliseconds.
    let at = at + Duration::from_micros(500);
    if timer.deadline() != at.into() {
        timer.reset(at.into());
    }
}
