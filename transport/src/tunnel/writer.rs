//! The sending side of a connection: frames to blocks to records to the socket.
//!
//! Whoever has queued frames tries to send them at once, on its own thread: nobody is woken, and what was just written is
//! still in the cache. Only one does so at a time; what the others queue meanwhile is sent by that one. When the socket is
//! full the connection's task waits for it, and the queue fills.

use std::cell::RefCell;
use std::io;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::fence;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use hub_core::frame::Frame;
use protocol::block::{BlockEncoder, KEEPALIVE_BYTES, encode_keepalive};
use rand::RngExt;
use rustls::AlertDescription;

use super::Shared;
use super::link::{Link, LinkError};
use crate::tls::{Answer, Sealed, Sealer, scratch};

/// What is framed, sealed and written at once.
const BATCH_BYTES: usize = 128 * 1024;
/// Batches that one sender sends for others before the connection's task takes over.
const TURNS: usize = 8;

thread_local! {
    /// Frames on their way into records, and their blocks: needed between two system calls only.
    static BATCH: RefCell<(Vec<Frame>, BytesMut)> = RefCell::default();
}

/// How a flush ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits.
    All,
    /// The socket is full.
    Full,
    /// Others should have their turn.
    More,
}

pub(super) struct Writer {
    sealer: Sealer,
    encoder: BlockEncoder,
    /// Sealed, and not yet taken by the socket.
    pending: BytesMut,
    /// What went wrong on another thread than the task's.
    error: Option<LinkError>,
}

impl Writer {
    pub(super) fn new(sealer: Sealer, encoder: BlockEncoder, pending: BytesMut) -> Self {
        Self {
            sealer,
            encoder,
            pending,
            error: None,
        }
    }

    /// Whether sending is the task's business for now.
    fn is_stuck(&self) -> bool {
        !self.pending.is_empty() || self.error.is_some()
    }

    /// Puts a keep-alive behind what is pending: 0 to 511 bytes, as stock peers send (protocol §7.4).
    pub(super) fn keepalive(&mut self) -> Result<(), LinkError> {
        let mut body = [0; KEEPALIVE_BYTES];
        let length = rand::rng().random_range(0..KEEPALIVE_BYTES);
        rand::rng().fill(&mut body[..length]);
        let mut block = BytesMut::new();
        encode_keepalive(&body[..length], &mut block);
        self.put(|sealer, sealed| sealer.seal(&block, sealed))
    }

    /// Answers what the peer asked for on the level of TLS.
    pub(super) fn answer(&mut self, answer: Answer) -> Result<(), LinkError> {
        self.put(|sealer, sealed| sealer.answer(answer, sealed))
    }

    /// Puts the last words behind what is pending.
    pub(super) fn say_goodbye(&mut self, alert: Option<AlertDescription>) {
        let _ = self.put(|sealer, sealed| match alert {
            Some(alert) => sealer.alert(alert, sealed),
            None => sealer.close_notify(sealed),
        });
    }

    fn put(
        &mut self,
        seal: impl FnOnce(&mut Sealer, &mut Sealed) -> Result<(), rustls::Error>,
    ) -> Result<(), LinkError> {
        scratch::sealed(|sealed| {
            let outcome = seal(&mut self.sealer, sealed);
            self.pending.extend_from_slice(sealed.bytes());
            Ok(outcome?)
        })
    }

    /// Sends what is pending.
    pub(super) fn send_pending(&mut self, link: &Link) -> Result<Flushed, LinkError> {
        while !self.pending.is_empty() {
            match link.tcp.try_write(&self.pending) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => self.pending.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Full),
                Err(error) => return Err(error.into()),
            }
        }
        self.pending = BytesMut::new();
        Ok(Flushed::All)
    }

    /// Sends what is pending and what is queued, as far as the socket takes it.
    pub(super) fn flush(&mut self, shared: &Shared, link: &Link) -> Result<Flushed, LinkError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut sent = !self.pending.is_empty();
        let outcome = self.send_batches(shared, link, &mut sent);
        if sent {
            shared.book().tunnel.sent(Instant::now(), link.id);
        }
        outcome
    }

    fn send_batches(&mut self, shared: &Shared, link: &Link, sent: &mut bool) -> Result<Flushed, LinkError> {
        if self.send_pending(link)? == Flushed::Full {
            return Ok(Flushed::Full);
        }
        for _ in 0..TURNS {
            let frames = BATCH.with_borrow_mut(|(batch, blocks)| {
                // A queue that was closed is one that has nothing.
                let frames = link.queue.try_recv_batch(batch, BATCH_BYTES).unwrap_or(0);
                if frames == 0 {
                    return Ok(0);
                }
                blocks.clear();
                let refused = encode(&mut self.encoder, batch, blocks);
                shared.traffic.dropped.fetch_add(refused, Relaxed);
                let bytes: usize = batch.iter().map(Frame::len).sum();
                shared.traffic.frames_out.fetch_add(frames as u64, Relaxed);
                shared.traffic.bytes_out.fetch_add(bytes as u64, Relaxed);
                batch.clear();
                scratch::sealed(|sealed| {
                    self.sealer.seal(blocks, sealed)?;
                    self.write(link, sealed.bytes())
                })?;
                Ok::<_, LinkError>(frames)
            })?;
            if frames == 0 {
                return Ok(Flushed::All);
            }
            *sent = true;
            if !self.pending.is_empty() {
                return Ok(Flushed::Full);
            }
        }
        Ok(Flushed::More)
    }

    /// Writes, and keeps what the socket does not take.
    fn write(&mut self, link: &Link, mut records: &[u8]) -> Result<(), LinkError> {
        while !records.is_empty() {
            match link.tcp.try_write(records) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => records = &records[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pending.extend_from_slice(records);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
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

impl Link {
    /// Sends what is queued, unless somebody else is at it, who then does; or the socket is full, which the connection's task
    /// waits for.
    pub(super) fn flush(&self, shared: &Shared) {
        self.missed.store(true, Relaxed);
        self.flush_missed(shared);
    }

    /// Sends a keep-alive on the thread that keeps the clock; where the socket is full, or somebody else is at it, the connection's
    /// task does.
    pub(super) fn keep_alive(&self, shared: &Shared) {
        let Some(mut writer) = self.try_writer().filter(|writer| !writer.is_stuck()) else {
            return self.keepalive.notify_one();
        };
        let outcome = writer.keepalive().and_then(|()| writer.flush(shared, self));
        if self.leave(writer, outcome) {
            self.flush_missed(shared);
        }
    }

    /// Lets go of the writer after a flush; whether everything is sent. What is not, the connection's task sees to.
    fn leave(&self, mut writer: MutexGuard<'_, Writer>, outcome: Result<Flushed, LinkError>) -> bool {
        match outcome {
            Ok(Flushed::All) => return true,
            Ok(Flushed::Full | Flushed::More) => {}
            Err(error) => writer.error = Some(error),
        }
        drop(writer);
        self.attention.notify_one();
        false
    }

    fn flush_missed(&self, shared: &Shared) {
        loop {
            // Either the writer is seen to be free here, or who frees it sees `missed`: the fences of both sides pair.
            fence(SeqCst);
            if !self.missed.load(Relaxed) {
                return;
            }
            let Some(mut writer) = self.try_writer() else {
                return;
            };
            if writer.is_stuck() {
                return;
            }
            self.missed.store(false, Relaxed);
            let outcome = writer.flush(shared, self);
            if !self.leave(writer, outcome) {
                return;
            }
        }
    }

    /// Lets `first` write, then sends what is pending and what is queued: for the connection's task.
    pub(super) fn flush_with(
        &self,
        shared: &Shared,
        first: impl FnOnce(&mut Writer) -> Result<(), LinkError>,
    ) -> Result<Flushed, LinkError> {
        first(&mut self.writer())?;
        loop {
            self.missed.store(false, Relaxed);
            let flushed = self.writer().flush(shared, self)?;
            fence(SeqCst);
            if flushed != Flushed::All || !self.missed.load(Relaxed) {
                return Ok(flushed);
            }
        }
    }
}
