//! TCP streams from one host to another that send as fast as they can, and what arrives of them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::path::{End, Path};
use super::{cpu, tls};

/// What one call of the sender writes and of the receiver reads: what iperf3 takes.
const PART: usize = 128 * 1024;

/// Left out of the measured time: slow start, and buffers that fill.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the far end.
    Up,
    /// From the far end to the client.
    Down,
}

/// Running streams. Dropping it ends them.
#[derive(Debug)]
pub struct Streams {
    received: Arc<AtomicU64>,
    sockets: Vec<TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Streams {
    /// Opens `count` streams over `path` and begins to send.
    pub fn open(path: &Path, direction: Direction, count: usize) -> Result<Self> {
        let pairs = pairs(path, count)?;
        let mut streams = Self {
            received: Arc::default(),
            sockets: Vec::new(),
            threads: Vec::new(),
        };
        for (near, far) in pairs {
            let (sender, receiver) = match direction {
                Direction::Up => (near, far),
                Direction::Down => (far, near),
            };
            streams.start(sender, receiver, path.tls)?;
        }
        Ok(streams)
    }

    fn start(&mut self, sender: TcpStream, receiver: TcpStream, is_tls: bool) -> Result<()> {
        self.sockets.push(sender.try_clone()?);
        self.sockets.push(receiver.try_clone()?);
        let received = Arc::clone(&self.received);
        if is_tls {
            let (sender, receiver) = tls::pair(sender, receiver)?;
            self.threads.push(std::thread::spawn(move || send(sender)));
            self.threads
                .push(std::thread::spawn(move || receive(receiver, &received)));
        } else {
            self.threads.push(std::thread::spawn(move || send(sender)));
            self.threads
                .push(std::thread::spawn(move || receive(receiver, &received)));
        }
        Ok(())
    }

    /// How many bytes have arrived.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for socket in &self.sockets {
            // One that broke before is shut already.
            let _ = socket.shutdown(Shutdown::Both);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Connected pairs of sockets, one on either host. The client opens them, as a station behind a NAT must.
fn pairs(path: &Path, count: usize) -> Result<Vec<(TcpStream, TcpStream)>> {
    let far = path.far_address;
    let listener = path.far().within(|| TcpListener::bind((far, 0)))??;
    let address = listener.local_addr()?;
    path.client.within(|| -> Result<_> {
        (0..count)
            .map(|_| {
                let near = match path.door {
                    None => TcpStream::connect_timeout(&address, CONNECT)
                        .with_context(|| format!("TCP to {address}"))?,
                    Some(door) => through(door, far, address.port())
                        .with_context(|| format!("TCP to {address} by way of {door}"))?,
                };
                Ok((near, listener.accept()?.0))
            })
            .collect()
    })?
}

/// A connection by way of a SOCKS5 proxy (RFC 1928).
fn through(door: SocketAddr, to: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&door, CONNECT)?;
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    let mut request = vec![5, 1, 0, 1];
    request.extend(to.octets());
    request.extend(port.to_be_bytes());
    stream.write_all(&request)?;
    let mut answer = [0; 10];
    stream.read_exact(&mut answer)?;
    ensure!(answer[1] == 0, "the proxy refuses with {}", answer[1]);
    Ok(stream)
}

fn send(mut stream: impl Write) {
    let part = vec![0xa5; PART];
    while stream.write_all(&part).is_ok() {}
}

fn receive(mut stream: impl Read, received: &AtomicU64) {
    let mut part = vec![0; PART];
    while let Ok(length @ 1..) = stream.read(&mut part) {
        received.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// What streams achieved.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    /// Megabits that arrived per second.
    pub megabits: f64,
    /// Seconds of a core that the client's program took for a gigabyte, where there is one.
    pub client_seconds: Option<f64>,
    /// The same of the server's program.
    pub server_seconds: Option<f64>,
}

/// Measures `count` streams for `window`.
pub fn throughput(path: &Path, direction: Direction, count: usize, window: Duration) -> Result<Throughput> {
    let streams = Streams::open(path, direction, count)?;
    std::thread::sleep(WARM_UP);
    let before = Moment::now(path, &streams)?;
    std::thread::sleep(window);
    let after = Moment::now(path, &streams)?;
    let bytes = (after.received - before.received) as f64;
    ensure!(
        bytes > 0.0,
        "{count} streams stood still for {window:?}\n{}",
        path.logs()
    );
    let per_gigabyte = |before: Option<Duration>, after: Option<Duration>| {
        Some(after?.checked_sub(before?)?.as_secs_f64() / bytes * 1e9)
    };
    Ok(Throughput {
        megabits: bytes * 8.0 / 1e6 / (after.at - before.at).as_secs_f64(),
        client_seconds: per_gigabyte(before.client, after.client),
        server_seconds: per_gigabyte(before.server, after.server),
    })
}

/// Everything that is counted, at one time.
struct Moment {
    at: Instant,
    received: u64,
    client: Option<Duration>,
    server: Option<Duration>,
}

impl Moment {
    fn now(path: &Path, streams: &Streams) -> Result<Self> {
        let of = |end: &Option<End>| end.as_ref().map(|end| cpu::processor_time(end.pid())).transpose();
        Ok(Self {
            client: of(&path.client_end)?,
            server: of(&path.server_end)?,
            received: streams.received(),
            at: Instant::now(),
        })
    }
}
