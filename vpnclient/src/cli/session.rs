//! The session to ask for, as options.

use clap::Args;
use protocol::handshake::{SessionOptions, UdpUse};

#[derive(Debug, Args)]
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
    /// Ask for the right to bridge or route for others.
    #[arg(long)]
    bridge: bool,
    /// Send the data by UDP whenever that works. Unless given, a stock server gets it so, and one of ours only while there is no
    /// TCP connection, since TCP is faster where no packets are lost.
    #[arg(long)]
    udp: bool,
    /// Never send anything by UDP.
    #[arg(long, conflicts_with = "udp")]
    no_udp: bool,
}

impl SessionArgs {
    /// The session.
    pub(super) fn options(&self) -> SessionOptions {
        SessionOptions {
            max_connection: self.connections,
            use_compress: self.compress,
            half_connection: self.half_duplex,
            bridge: self.bridge,
            super_frames: !self.no_super_frames && !self.compress,
            ..SessionOptions::default()
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
