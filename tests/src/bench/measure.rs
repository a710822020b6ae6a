//! What is measured of a path, and the figures that come of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;

use super::path::Path;
use super::streams::{Direction, Streams, WARM_UP, throughput};
use super::{datagrams, ping};
use crate::transfer::{GIBIBYTE, equal_at_both_ends, fetched_equal_at_both_ends};

/// One figure: a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Figure {
    /// One TCP stream from the client to the far end, Mbit/s.
    Up,
    /// One TCP stream from the far end to the client, Mbit/s.
    Down,
    /// Four at once, from the client to the server, Mbit/s.
    FourUp,
    /// Frames of 64 bytes that arrived in a second, from the client to the server.
    Frames,
    /// Frames of 64 bytes that were sent in a second for it.
    FramesSent,
    /// Median round-trip time, ms.
    Idle,
    /// Its 99th percentile, ms.
    IdleTail,
    /// Median round-trip time while one TCP stream goes up, ms.
    Loaded,
    /// Its 99th percentile, ms.
    LoadedTail,
    /// Seconds of a core that the client's program takes for a gigabyte, mean of up and down.
    ClientCpu,
    /// The same of the server's program.
    ServerCpu,
    /// Megabits a second of a transfer whose bytes were made, hashed and found equal at both ends.
    Verified,
}

impl Figure {
    /// All of them, in the table's order.
    pub const ALL: [Figure; 12] = [
        Figure::Up,
        Figure::Down,
        Figure::FourUp,
        Figure::Frames,
        Figure::FramesSent,
        Figure::Idle,
        Figure::IdleTail,
        Figure::Loaded,
        Figure::LoadedTail,
        Figure::ClientCpu,
        Figure::ServerCpu,
        Figure::Verified,
    ];

    /// The head of its column.
    pub fn title(self) -> &'static str {
        match self {
            Figure::Up => "TCP up",
            Figure::Down => "TCP down",
            Figure::FourUp => "4 up",
            Figure::Frames => "frames/s",
            Figure::FramesSent => "of sent",
            Figure::Idle => "RTT",
            Figure::IdleTail => "p99",
            Figure::Loaded => "loaded",
            Figure::LoadedTail => "p99 loaded",
            Figure::ClientCpu => "client s/GB",
            Figure::ServerCpu => "server s/GB",
            Figure::Verified => "hashed",
        }
    }

    /// `value` with the digits that mean something.
    pub fn shown(self, value: f64) -> String {
        match self {
            Figure::Up | Figure::Down | Figure::FourUp | Figure::Verified => {
                format!("{value:.0}")
            }
            Figure::Frames | Figure::FramesSent => format!("{:.0} k", value / 1e3),
            _ => format!("{value:.2}"),
        }
    }
}

/// What can be asked for: one or a few figures that are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// One TCP stream up, one down, and what they cost the processor.
    Tcp,
    /// Four TCP streams up.
    Four,
    /// UDP frames of 64 bytes.
    Frames,
    /// Round-trip times, idle and under one TCP stream.
    Rtt,
    /// A gibibyte, half of it each way, whose hashes at both ends must be equal.
    Integrity,
    /// An idle server with one hub and SecureNAT, ours and the stock one.
    Idle,
    /// Round-trip times of ours and of the stock software, in turns.
    Rest,
}

impl What {
    /// All of it, in the order in which it is measured.
    pub const ALL: [What; 7] = [
        What::Rtt,
        What::Tcp,
        What::Four,
        What::Frames,
        What::Integrity,
        What::Idle,
        What::Rest,
    ];

    /// Measures `path`, `window` for each figure.
    pub fn take(self, path: &Path, window: Duration) -> Result<Vec<(Figure, f64)>> {
        match self {
            What::Tcp => tcp(path, window),
            What::Four => {
                let up = throughput(path, Direction::Up, 4, window)?;
                Ok(vec![(Figure::FourUp, up.megabits)])
            }
            What::Frames => {
                let rate = datagrams::frame_rate(path, window)?;
                Ok(vec![
                    (Figure::Frames, rate.received),
                    (Figure::FramesSent, rate.sent),
                ])
            }
            What::Rtt => round_trips(path, window),
            What::Integrity => integrity(path),
            // Not of one path: see `idle` and `rest`.
            What::Idle | What::Rest => Ok(Vec::new()),
        }
    }
}

fn tcp(path: &Path, window: Duration) -> Result<Vec<(Figure, f64)>> {
    let up = throughput(path, Direction::Up, 1, window)?;
    let down = throughput(path, Direction::Down, 1, window)?;
    let mut figures = vec![(Figure::Up, up.megabits), (Figure::Down, down.megabits)];
    for (figure, up, down) in [
        (Figure::ClientCpu, up.client_seconds, down.client_seconds),
        (Figure::ServerCpu, up.server_seconds, down.server_seconds),
    ] {
        if let (Some(up), Some(down)) = (up, down) {
            figures.push((figure, f64::midpoint(up, down)));
        }
    }
    Ok(figures)
}

/// The seed is another each time, so that no transfer can be mistaken for the one before.
fn integrity(path: &Path) -> Result<Vec<(Figure, f64)>> {
    static SEED: AtomicU64 = AtomicU64::new(0x9e37_79b9_7f4a_7c15);
    let mut took = Duration::ZERO;
    let address = (path.far_address, 5001).into();
    let seed = || SEED.fetch_add(2, Ordering::Relaxed);
    took += equal_at_both_ends(&path.client, path.far(), address, GIBIBYTE / 2, seed())?;
    took += fetched_equal_at_both_ends(path.far(), &path.client, address, GIBIBYTE / 2, seed())?;
    let megabits = GIBIBYTE as f64 * 8.0 / 1e6 / took.as_secs_f64();
    Ok(vec![(Figure::Verified, megabits)])
}

fn round_trips(path: &Path, window: Duration) -> Result<Vec<(Figure, f64)>> {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    let idle = ping::round_trips(&path.client, path.far_address, window)?;
    let streams = Streams::open(path, Direction::Up, 1)?;
    std::thread::sleep(WARM_UP);
    let loaded = ping::round_trips(&path.client, path.far_address, window)?;
    drop(streams);
    Ok(vec![
        (Figure::Idle, milliseconds(idle.percentile(50))),
        (Figure::IdleTail, milliseconds(idle.percentile(99))),
        (Figure::Loaded, milliseconds(loaded.percentile(50))),
        (Figure::LoadedTail, milliseconds(loaded.percentile(99))),
    ])
}
