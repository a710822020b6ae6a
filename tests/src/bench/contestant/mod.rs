//! Who is measured.

mod openvpn;
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
    /// OpenVPN over TCP.
    OpenvpnTcp,
    /// OpenVPN over UDP.
    OpenvpnUdp,
    /// The stock client, fastest setting, on our server.
    StockOnOurs,
    /// Our client on our server.
    Ours,
    /// The same, once its frames go by UDP.
    OursUdp,
    /// Our client on our server, with frames of ordinary length only.
    OursOrdinary,
    /// Our client on our server, with compression: for integrity, since what compresses well says nothing of speed.
    OursCompressed,
    /// The stock client through the SecureNAT of the stock server, as it comes, to a host behind it.
    StockNat,
    /// The stock client through our SecureNAT in kernel mode.
    StockOnKernelNat,
    /// The stock client through our SecureNAT in user mode.
    StockOnUserNat,
    /// Our client through our SecureNAT in kernel mode.
    KernelNat,
    /// Our client through our SecureNAT in user mode.
    UserNat,
    /// Through the SOCKS5 proxy of our client without a device, to the server's device.
    Socks5,
    /// A TCP stream over the cable itself.
    BareTcp,
    /// A TLS stream over the cable itself.
    BareTls,
}

impl Contestant {
    /// All of them, in the order of the table and of a round.
    pub const ALL: [Contestant; 17] = [
        Contestant::Stock,
        Contestant::StockDefault,
        Contestant::OpenvpnTcp,
        Contestant::OpenvpnUdp,
        Contestant::StockOnOurs,
        Contestant::Ours,
        Contestant::OursUdp,
        Contestant::OursOrdinary,
        Contestant::OursCompressed,
        Contestant::StockNat,
        Contestant::StockOnKernelNat,
        Contestant::StockOnUserNat,
        Contestant::KernelNat,
        Contestant::UserNat,
        Contestant::Socks5,
        Contestant::BareTcp,
        Contestant::BareTls,
    ];

    /// What the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Contestant::Stock => "SoftEther, fastest",
            Contestant::StockDefault => "SoftEther as it comes",
            Contestant::OpenvpnTcp => "OpenVPN over TCP",
            Contestant::OpenvpnUdp => "OpenVPN over UDP",
            Contestant::StockOnOurs => "vpnserver, stock client",
            Contestant::Ours => "vpnserver and vpnclient",
            Contestant::OursUdp => "by UDP acceleration",
            Contestant::OursOrdinary => "without super-frames",
            Contestant::OursCompressed => "with compression",
            Contestant::StockNat => "SoftEther, SecureNAT",
            Contestant::StockOnKernelNat => "kernel NAT, stock client",
            Contestant::StockOnUserNat => "user NAT, stock client",
            Contestant::KernelNat => "kernel NAT, vpnclient",
            Contestant::UserNat => "user NAT, vpnclient",
            Contestant::Socks5 => "SOCKS5 of vpnclient",
            Contestant::BareTcp => "bare TCP",
            Contestant::BareTls => "bare TLS",
        }
    }

    /// Whether its far end is behind a SecureNAT: such paths are compared with each other.
    pub fn is_translated(self) -> bool {
        matches!(
            self,
            Contestant::StockNat
                | Contestant::StockOnKernelNat
                | Contestant::StockOnUserNat
                | Contestant::KernelNat
                | Contestant::UserNat
        )
    }

    /// Whether this is measured of it, and in which rounds: ceilings are for streams, and what costs time and says little is measured once.
    pub fn takes_part_in(self, what: What, round: u32) -> bool {
        match (self, what) {
            (_, What::Idle | What::Rest) => false,
            (Contestant::OursCompressed, _) => what == What::Integrity && round == 1,
            // Nothing is promised beside these.
            (Contestant::OpenvpnTcp | Contestant::OpenvpnUdp, _) if round > 2 => false,
            (Contestant::StockNat, _) => what == What::Tcp,
            (translated, What::Integrity) if translated.is_translated() => round == 1,
            (translated, _) if translated.is_translated() => what == What::Tcp,
            (Contestant::OursOrdinary | Contestant::StockOnOurs, What::Integrity) => round == 1,
            (Contestant::OursOrdinary | Contestant::Socks5, _) => what == What::Tcp,
            (Contestant::BareTls, _) => matches!(what, What::Tcp | What::Four),
            (Contestant::BareTcp, _) => matches!(what, What::Rtt | What::Tcp | What::Four),
            (_, What::Integrity) => matches!(self, Contestant::Ours | Contestant::OursUdp),
            _ => true,
        }
    }

    /// Whether this build of ours can do it.
    pub fn is_there(self) -> Result<bool> {
        Ok(self != Contestant::OursUdp || ours::knows_udp()?)
    }

    /// Builds its path, fresh, and waits until it carries packets.
    pub fn path(self, lab: &Lab, options: &Options) -> Result<Path> {
        let path = match self.is_translated() {
            true => Path::with_a_host_beyond(lab)?,
            false => Path::cable(lab)?,
        };
        match self {
            Contestant::Stock => stock::fastest(path),
            Contestant::StockDefault => stock::as_it_comes(path),
            Contestant::OpenvpnTcp => openvpn::tunnel(path, lab.folder(), openvpn::Carrier::Tcp),
            Contestant::OpenvpnUdp => openvpn::tunnel(path, lab.folder(), openvpn::Carrier::Udp),
            Contestant::StockOnOurs => ours::with_stock_client(path, options),
            Contestant::Ours => ours::with_our_client(path, options, &[]),
            Contestant::OursUdp => ours::by_udp(path, options),
            Contestant::OursOrdinary => ours::with_our_client(path, options, &["--no-super-frames"]),
            Contestant::OursCompressed => ours::with_our_client(path, options, &["--compress"]),
            Contestant::StockNat => stock::through_secure_nat(path),
            Contestant::StockOnKernelNat => ours::stock_client_through_nat(path, options, "kernel"),
            Contestant::StockOnUserNat => ours::stock_client_through_nat(path, options, "user"),
            Contestant::KernelNat => ours::our_client_through_nat(path, options, "kernel"),
            Contestant::UserNat => ours::our_client_through_nat(path, options, "user"),
            Contestant::Socks5 => ours::through_socks5(path, options),
            Contestant::BareTcp => Ok(path),
            Contestant::BareTls => Ok(Path { tls: true, ..path }),
        }
    }
}
