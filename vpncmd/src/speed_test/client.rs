//! The client of the speed test.

use std::{io, pin::pin, time::Duration};

use protocol::speed_test::{Direction, GREETING, MAX_CONNECTIONS, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{BLOCK_BYTES, block};

/// Opening one connection, and waiting for its greeting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How long after the end of the span a server may take to report.
const REPORT_TIMEOUT: Duration = Duration::from_secs(20);

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The direction of each connection.
    pub directions: Vec<Direction>,
    /// How long to send.
    pub span: Duration,
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How long it took indeed.
    pub span: Duration,
    /// Bytes that came from the server.
    pub download: u64,
    /// Bytes that came to the server.
    pub upload: u64,
}

/// Opens the connections one after the other, tells of each by its number, and measures on all of them at once.
///
/// # Errors
/// The server cannot be reached, is no server of the speed test, or hangs up.
pub async fn measure(plan: &Plan, mut connected: impl FnMut(usize, Direction)) -> io::Result<Measured> {
    let mut streams = Vec::new();
    for (index, &direction) in plan.directions.iter().take(MAX_CONNECTIONS as usize).enumerate() {
        let stream = timeout(CONNECT_TIMEOUT, connect(plan))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        connected(index + 1, direction);
        streams.push((stream, direction));
    }
    let measurement = rand::random();
    let start = Instant::now();
    let end = start + plan.span;
    let mut transfers = JoinSet::new();
    for (stream, direction) in streams {
        let request = Request {
            direction,
            measurement,
            span: u64::try_from(plan.span.as_millis()).unwrap_or(u64::MAX),
        };
        transfers.spawn(async move {
            let bytes = match direction {
                Direction::Download => download(stream, request, end).await,
                Direction::Upload => upload(stream, request, end).await,
            };
            bytes.map(|bytes| (direction, bytes))
        });
    }
    let (mut down, mut up) = (0_u64, 0_u64);
    while let Some(done) = transfers.join_next().await {
        match done.map_err(io::Error::other)?? {
            (Direction::Download, bytes) => down = down.saturating_add(bytes),
            (Direction::Upload, bytes) => up = up.saturating_add(bytes),
        }
    }
    Ok(Measured {
        // Waiting for a report is no part of the measurement.
        span: start.elapsed().min(plan.span),
        download: down,
        upload: up,
    })
}

async fn connect(plan: &Plan) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((plan.host.as_str(), plan.port)).await?;
    let mut greeting = [0; GREETING.len()];
    stream.read_exact(&mut greeting).await?;
    if greeting == GREETING {
        Ok(stream)
    } else {
        let text = "what answers is no server of the speed test";
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// Counts what arrives until the span is over. A server that ends earlier has sent all it wanted.
async fn download(mut stream: TcpStream, request: Request, end: Instant) -> io::Result<u64> {
    stream.write_all(&request.encode()).await?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut bytes = 0_u64;
    loop {
        match timeout_at(end, stream.read(&mut buffer)).await {
            Err(_) | Ok(Ok(0)) => return Ok(bytes),
            Ok(read) => bytes += read? as u64,
        }
    }
}

/// Sends until the span is over, and returns what the server says has arrived.
async fn upload(mut stream: TcpStream, request: Request, end: Instant) -> io::Result<u64> {
    stream.write_all(&request.encode()).await?;
    let (mut reader, mut writer) = stream.split();
    let block = block();
    let send = async {
        loop {
            if let Err(error) = writer.write_all(&block).await {
                break error;
            }
        }
    };
    let mut report = [0; 8];
    {
        let mut read = pin!(reader.read_exact(&mut report));
        tokio::select! {
            // The server's clock may be before ours.
            done = &mut read => done.map(drop)?,
            broken = timeout_at(end, send) => match broken {
                Ok(error) => return Err(error),
                Err(_) => timeout(REPORT_TIMEOUT, read)
                    .await
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
                    .map(drop)?,
            },
        }
    }
    Ok(u64::from_be_bytes(report))
}
