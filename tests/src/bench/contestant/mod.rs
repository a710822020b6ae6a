//! Who is measured.

mod ours;
mod stock;

use anyhow::Result;
use clap::ValueEnum;

use super::What;
use super::options::Options;
use super::path::Path;
use crate::lab::Lab;

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum Contestant {
    /// The stock client on the stock server over TCP, without UDP acceleration and QoS: its fastest setting.
    Stock,
    /// The stock client on the stock server as both come, once its UDP acceleration is in use.
    StockDefault,
    /// The stock client, fastest setting, on our server.
    StockOnOurs,
    /// Our client on our server.
    Ours,
    /// A TCP stream over the cable itself.
    BareTcp,
    /// A TLS stream over the cable itself.
    BareTls,
}

impl Contestant {
    /// All of them, in the order of the table and of a round.
    pub const ALL: [Contestant; 6] = [
        Contestant::Stock,
        Contestant::StockDefault,
        Contestant::StockOnOurs,
        Contestant::Ours,
        Contestant::BareTcp,
        Contestant::BareTls,
    ];

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Contestant::Stock => "SoftEther, fastest",
            Contestant::StockDefault => "SoftEther as it comes",
            Contestant::StockOnOurs => "vpnserver, stock client",
            Contestant::Ours => "vpnserver and vpnclient",
            Contestant::BareTcp => "bare TCP",
            Contestant::BareTls => "bare TLS",
        }
    }

    /// Whether this is measured of it: the ceilings are for streams only.
    pub fn takes_part_in(self, what: What) -> bool {
        match self {
            Contestant::BareTls => matches!(what, What::Tcp | What::Four),
            _ => true,
        }
    }

    /// Builds its path, fresh, and waits until it carries packets.
    pub fn path(self, lab: &Lab, options: &Options) -> Result<Path> {
        let path = Path::cable(lab)?;
        match self {
            Contestant::Stock => stock::fastest(path),
            Contestant::StockDefault => stock::as_it_comes(path),
            Contestant::StockOnOurs => ours::with_stock_client(path, options),
            Contestant::Ours => ours::with_our_client(path, options),
            Contestant::BareTcp => Ok(path),
            Contestant::BareTls => Ok(Path { tls: true, ..path }),
        }
    }
}
