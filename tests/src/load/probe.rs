//! Two sessions of one hub that talk to each other: how long a frame takes, and how many pass.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{Bytes, BytesMut};
use protocol::block::{BlockDecoder, BlockEncoder, Item, encode_keepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::client::{Client, Door, Visitor};
use super::crowd;

/// How long a frame may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one frame has on the wire.
const FRAME: usize = 64;

/// Frames of one write.
const BATCH: usize = 64;

type Stream = TlsStream<TcpStream>;

/// A session that sends and receives frames.
pub struct Talker {
    address: [u8; 6],
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
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
    fn new(client: Client, number: u32) -> Self {
        let (reader, writer) = tokio::io::split(client.stream);
        Self {
            address: address(number),
            reader,
            writer,
            decoder: BlockDecoder::new(false),
            encoder: BlockEncoder::new(false),
            input: BytesMut::from(client.early.as_slice()),
            output: BytesMut::new(),
        }
    }

    /// Logs in as a station of `hub` with a number of its own.
    pub async fn login(door: &Door, hub: &str, number: u32) -> Result<Self> {
        let visitor = Visitor {
            hub: hub.to_owned(),
            user: crowd::user(number as usize),
            source: crowd::source(number as usize),
            bridge: true,
        };
        Ok(Self::new(door.login(&visitor).await?, number))
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

    /// Makes the hub know it.
    async fn speak(&mut self) -> Result<()> {
        let (from, all) = (self.address, [0xff; 6]);
        self.send(std::iter::once(frame(all, from, u64::MAX))).await
    }

    /// Makes the hub know `count` stations behind this session, by frames to somebody.
    pub async fn populate(&mut self, to: &Self, first: u32, count: u32) -> Result<()> {
        let stations: Vec<u32> = (first..first + count).collect();
        for some in stations.chunks(BATCH) {
            let frames = some
                .iter()
                .map(|number| frame(to.address, address(*number), u64::MAX));
            self.send(frames).await?;
        }
        Ok(())
    }
}

/// Two sessions that know each other.
pub struct Pair {
    /// The one that sends.
    pub a: Talker,
    /// The one that receives.
    pub b: Talker,
}

impl Pair {
    /// Plugs both into `hub`.
    pub async fn login(door: &Door, hub: &str) -> Result<Self> {
        let mut a = Talker::login(door, hub, 1).await?;
        let mut b = Talker::login(door, hub, 2).await?;
        a.speak().await?;
        b.speak().await?;
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

    /// How long a frame takes from the one to the other, again and again until `enough`; a lost one counts as
    /// `PATIENCE`. In order of length.
    pub async fn latencies(&mut self, enough: &AtomicBool) -> Result<Vec<Duration>> {
        const PAUSE: Duration = Duration::from_millis(4);
        let mut took = Vec::new();
        let mut number = 0;
        while !enough.load(Relaxed) {
            number += 1;
            let begun = Instant::now();
            let sent = frame(self.b.address, self.a.address, number);
            self.a.send(std::iter::once(sent)).await?;
            let arrived = async {
                while self.b.receive().await? != number {}
                anyhow::Ok(())
            };
            match timeout(PATIENCE, arrived).await {
                Ok(received) => {
                    received?;
                    took.push(begun.elapsed());
                }
                Err(_) => took.push(PATIENCE),
            }
            if number % 500 == 0 {
                self.a.keep_alive().await?;
                self.b.keep_alive().await?;
            }
            tokio::time::sleep(PAUSE).await;
        }
        took.sort();
        Ok(took)
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
    thread: std::thread::JoinHandle<Result<Vec<Duration>>>,
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

    /// What was measured, in order of length.
    pub fn end(self) -> Result<Vec<Duration>> {
        self.enough.store(true, Relaxed);
        let ended = self.thread.join().ok().context("the probe panicked")?;
        ended.context("the probe")
    }
}
