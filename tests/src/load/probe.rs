//! Two sessions of one hub that talk to each other: how long a frame takes, and how many pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use protocol::block::{BlockDecoder, BlockEncoder, Item, encode_keepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::client::{Client, Door, Visitor};
use super::crowd;

/// How long a frame may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long two sessions may take to hear of each other.
const LONGEST_GREETING: Duration = Duration::from_secs(60);

/// What one frame has on the wire.
const FRAME: usize = 64;

/// Frames of one write.
const BATCH: usize = 64;

type Stream = TlsStream<TcpStream>;

/// The number of frames that are there to be learned from and not to be counted.
const GREETING: u64 = u64::MAX;

/// A session that sends and receives frames.
pub struct Talker<S = Stream> {
    address: [u8; 6],
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    decoder: BlockDecoder,
    encoder: BlockEncoder,
    input: BytesMut,
    output: BytesMut,
}

/// An address that nobody else of the load generator has.
fn address(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x02, 0x5a, a, b, c, d]
}

/// A frame of a protocol that nobody knows (RFC 9542 §3.1: for local experiments), so that only addresses count.
fn frame(to: [u8; 6], from: [u8; 6], number: u64) -> Bytes {
    let mut bytes = [0; FRAME];
    bytes[..6].copy_from_slice(&to);
    bytes[6..12].copy_from_slice(&from);
    bytes[12..14].copy_from_slice(&[0x88, 0xb5]);
    bytes[14..22].copy_from_slice(&number.to_be_bytes());
    Bytes::copy_from_slice(&bytes)
}

/// The number in a frame of ours.
fn number_of(frame: &Bytes) -> Option<u64> {
    let ours = frame.get(12..14)? == [0x88, 0xb5];
    let number = frame.get(14..22)?.try_into().ok()?;
    ours.then(|| u64::from_be_bytes(number))
}

impl Talker {
    /// Logs in as a station of `hub` with a number of its own.
    pub async fn login(door: &Door, hub: &str, number: u32) -> Result<Self> {
        let visitor = Visitor {
            hub: hub.to_owned(),
            user: crowd::user(number as usize),
            source: crowd::source(number as usize),
            bridge: true,
        };
        let Client { stream, early, .. } = door.login(&visitor).await?;
        Ok(Self::new(stream, &early, number))
    }
}

impl<S: AsyncRead + AsyncWrite> Talker<S> {
    fn new(stream: S, early: &[u8], number: u32) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            address: address(number),
            reader,
            writer,
            decoder: BlockDecoder::new(false),
            encoder: BlockEncoder::new(false),
            input: BytesMut::from(early),
            output: BytesMut::new(),
        }
    }

    async fn send(&mut self, frames: impl Iterator<Item = Bytes>) -> Result<()> {
        self.output.clear();
        self.encoder.encode_group(frames, &mut self.output);
        self.writer.write_all(&self.output).await?;
        Ok(self.writer.flush().await?)
    }

    async fn keep_alive(&mut self) -> Result<()> {
        self.output.clear();
        encode_keepalive(&[0; 16], &mut self.output);
        self.writer.write_all(&self.output).await?;
        Ok(self.writer.flush().await?)
    }

    /// The number of the next frame.
    async fn receive(&mut self) -> Result<u64> {
        loop {
            while let Some(item) = self.decoder.decode(&mut self.input)? {
                if let Item::Frame(frame) = item
                    && let Some(number) = number_of(&frame)
                {
                    return Ok(number);
                }
            }
            self.input.reserve(64 * 1024);
            let read = self.reader.read_buf(&mut self.input).await?;
            ensure!(read > 0, "the server hung up");
        }
    }

    /// Makes the hub know it, which is so once `other` has heard of it.
    async fn greet(&mut self, other: &mut Self) -> Result<()> {
        let (from, all) = (self.address, [0xff; 6]);
        self.send(std::iter::once(frame(all, from, GREETING))).await?;
        while other.receive().await? != GREETING {}
        Ok(())
    }

    /// Makes the hub know `count` stations behind this session, by frames to somebody.
    pub async fn populate(&mut self, to: &Self, first: u32, count: u32) -> Result<()> {
        let stations: Vec<u32> = (first..first + count).collect();
        for some in stations.chunks(BATCH) {
            let frames = some
                .iter()
                .map(|number| frame(to.address, address(*number), GREETING));
            self.send(frames).await?;
        }
        Ok(())
    }
}

/// Two sessions that the hub knows.
pub struct Pair<S = Stream> {
    /// The one that sends.
    pub a: Talker<S>,
    /// The one that receives.
    pub b: Talker<S>,
}

/// What a pair has found.
#[derive(Debug, Default)]
pub struct Latencies {
    /// How long each frame took, in order of length; a lost one counts as `PATIENCE`.
    pub each: Vec<Duration>,
    /// Frames that did not arrive.
    pub lost: usize,
}

impl Pair {
    /// Plugs both into `hub`.
    pub async fn login(door: &Door, hub: &str) -> Result<Self> {
        let a = Talker::login(door, hub, 1).await?;
        let b = Talker::login(door, hub, 2).await?;
        Self::meet(a, b).await
    }
}

impl<S: AsyncRead + AsyncWrite> Pair<S> {
    /// Waits until the hub has learned where both are. An address may still be behind the session of an earlier pair, which a
    /// server keeps for some time after its peer has gone: a frame for it that overtakes its new owner's first word would go there,
    /// and be lost.
    async fn meet(mut a: Talker<S>, mut b: Talker<S>) -> Result<Self> {
        let met = async {
            a.greet(&mut b).await?;
            b.greet(&mut a).await
        };
        timeout(LONGEST_GREETING, met)
            .await
            .context("two sessions of a hub do not hear of each other")??;
        Ok(Self { a, b })
    }

    /// Keeps both sessions alive while others are busy.
    ///
    /// # Errors
    /// Always in the end: why one is over.
    pub async fn stay(&mut self) -> Result<()> {
        const PAUSE: Duration = Duration::from_secs(4);
        loop {
            self.a.keep_alive().await?;
            self.b.keep_alive().await?;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// How long a frame with this number takes from the one to the other; nothing if it does not arrive.
    pub async fn pass(&mut self, number: u64, patience: Duration) -> Result<Option<Duration>> {
        let begun = Instant::now();
        let sent = frame(self.b.address, self.a.address, number);
        self.a.send(std::iter::once(sent)).await?;
        let arrived = async {
            while self.b.receive().await? != number {}
            anyhow::Ok(begun.elapsed())
        };
        timeout(patience, arrived).await.ok().transpose()
    }

    /// How long a frame takes from the one to the other, again and again until `enough`.
    pub async fn latencies(&mut self, enough: &AtomicBool) -> Result<Latencies> {
        const PAUSE: Duration = Duration::from_millis(4);
        let mut found = Latencies::default();
        let mut number = 0;
        while !enough.load(Relaxed) {
            number += 1;
            match self.pass(number, PATIENCE).await? {
                Some(took) => found.each.push(took),
                None => {
                    found.each.push(PATIENCE);
                    found.lost += 1;
                }
            }
            if number % 500 == 0 {
                self.a.keep_alive().await?;
                self.b.keep_alive().await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        found.each.sort();
        Ok(found)
    }

    /// Sends as fast as the server takes it; how many frames were sent and received.
    pub async fn flood(&mut self, time: Duration) -> Result<(u64, u64)> {
        let Self { a, b } = self;
        let until = Instant::now() + time;
        let (to, from) = (b.address, a.address);
        // What is still on its way from before is not counted.
        let marker = 1;
        let sending = async {
            let mut sent = 0_u64;
            while Instant::now() < until {
                a.send((0..BATCH).map(|_| frame(to, from, marker))).await?;
                sent += BATCH as u64;
            }
            anyhow::Ok(sent)
        };
        let receiving = async {
            let mut received = 0_u64;
            let quiet = Duration::from_millis(500);
            while let Ok(number) = timeout(quiet, b.receive()).await {
                received += u64::from(number? == marker);
            }
            anyhow::Ok(received)
        };
        tokio::try_join!(sending, receiving)
    }
}

/// A pair that measures on a thread of its own until it is asked for what it has found.
pub struct Watch {
    enough: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Result<Latencies>>,
}

impl Watch {
    /// Begins to measure; on the network of the calling thread.
    pub fn begin(door: Door, hub: String) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let until = enough.clone();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut pair = Pair::login(&door, &hub).await?;
                pair.latencies(&until).await
            })
        });
        Self { enough, thread }
    }

    /// What was measured.
    pub fn end(self) -> Result<Latencies> {
        self.enough.store(true, Relaxed);
        let ended = self.thread.join().ok().context("the probe panicked")?;
        ended.context("the probe")
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// The hub's side of a session: what it hears and says there.
    struct Outlet(DuplexStream);

    impl Outlet {
        async fn hears(&mut self) -> Bytes {
            let (mut decoder, mut input) = (BlockDecoder::new(false), BytesMut::new());
            loop {
                if let Some(Item::Frame(frame)) = decoder.decode(&mut input).unwrap() {
                    return frame;
                }
                assert!(self.0.read_buf(&mut input).await.unwrap() > 0);
            }
        }

        async fn says(&mut self, frame: Bytes) {
            let mut output = BytesMut::new();
            BlockEncoder::new(false).encode_group(std::iter::once(frame), &mut output);
            self.0.write_all(&output).await.unwrap();
        }
    }

    fn session(number: u32) -> (Talker<DuplexStream>, Outlet) {
        let (near, far) = duplex(4096);
        (Talker::new(near, &[], number), Outlet(far))
    }

    /// The addresses may be those of an earlier pair, whose sessions the hub still has.
    #[tokio::test]
    async fn a_pair_sends_nothing_before_the_hub_has_learned_where_both_are() {
        let ((a, mut hub_a), (b, mut hub_b)) = (session(1), session(2));
        let mut meeting = Box::pin(Pair::meet(a, b));
        let mut has_met = || {
            let mut cx = Context::from_waker(Waker::noop());
            matches!(meeting.as_mut().poll(&mut cx), Poll::Ready(Ok(_)))
        };
        assert!(!has_met());
        let of_a = hub_a.hears().await;
        assert!(!has_met());
        hub_b.says(of_a).await;
        assert!(!has_met());
        let of_b = hub_b.hears().await;
        assert!(!has_met());
        hub_a.says(of_b).await;
        assert!(has_met());
    }
}
