//! The session to ask for, as options.

use std::time::Duration;

use clap::Args;
use protocol::handshake::{SessionOptions, UdpUse};

use super::device;
use crate::retry::Patience;

/// What the options are about that say when to try again.
pub(super) const WHEN_IT_BREAKS: &str = "When the connection breaks";

#[derive(Debug, Args)]
#[command(next_help_heading = "The session")]
pub(super) struct SessionArgs {
    /// The number of TCP connections.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(super) connections: u32,
    /// Let each TCP connection carry data one way only.
    #[arg(long)]
    half_duplex: bool,
    /// Compress the data.
    #[arg(long)]
    compress: bool,
    /// Send and take only frames of ordinary length, also where the server would carry longer ones: for looking for a
    /// fault.
    #[arg(long)]
    no_super_frames: bool,
    /// Join the whole segment at this interface (or bridge of the kernel) to the hub, instead of this machine.
    #[arg(
        long,
        value_name = "IFACE",
        conflicts_with_all = device::ONLY,
        conflicts_with_all = ["router", "mac", "no_routes", "routes", "doors"]
    )]
    pub(super) bridge: Option<String>,
    /// Ask for the right to route, or bridge, for others behind this machine.
    #[arg(long)]
    router: bool,
    /// Send the data by UDP whenever that works. Unless given, a stock server gets it so, and one of ours only while there is no
    /// TCP connection, since TCP is faster where no packets are lost.
    #[arg(long)]
    udp: bool,
    /// Never send anything by UDP.
    #[arg(long, conflicts_with = "udp")]
    no_udp: bool,
    /// Give up after so many tries without success [default: never]
    #[arg(long, value_name = "N", conflicts_with = "once", help_heading = WHEN_IT_BREAKS)]
    retries: Option<u32>,
    /// The longest pause between two tries; they grow from a second [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600), help_heading = WHEN_IT_BREAKS)]
    retry_interval: Option<u64>,
}

impl SessionArgs {
    /// The session.
    pub(super) fn options(&self) -> SessionOptions {
        SessionOptions {
            max_connection: self.connections,
            use_compress: self.compress,
            half_connection: self.half_duplex,
            bridge: self.router || self.bridge.is_some(),
            super_frames: !self.no_super_frames && !self.compress,
            ..SessionOptions::default()
        }
    }

    /// How often to try again, and how long to wait in between at most.
    pub(super) fn patience(&self) -> Patience {
        let usual = Patience::default();
        Patience {
            tries: self.retries,
            longest: self.retry_interval.map_or(usual.longest, Duration::from_secs),
        }
    }

    /// Whether and when frames may go by UDP.
    pub(super) fn udp(&self) -> Option<UdpUse> {
        match (self.udp, self.no_udp) {
            (_, true) => None,
            (true, _) => Some(UdpUse::WhenUsable),
            (false, false) => Some(UdpUse::StandBy),
        }
    }
}
