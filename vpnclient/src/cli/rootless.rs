//! Doors into the VPN, as options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::device;
use crate::failure::Failure;
use crate::network::RouteMode;
use crate::rootless::{Forward, ProxyPassword, Reverse, RootlessSettings, parse_listen};

/// Doors into the VPN without a device, and so without privileges.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Without privileges (no device; any of these)",
    group = ArgGroup::new("doors")
        .args(["rootless", "socks5", "http_proxy", "forward", "reverse"])
        .multiple(true)
        .conflicts_with("no_offload")
        .conflicts_with_all(device::ONLY)
)]
pub(super) struct RootlessArgs {
    /// Make no device; programs get through by `vpnclient nc`.
    #[arg(long)]
    rootless: bool,
    /// A SOCKS5 proxy, with UDP; a PORT alone is open to this machine only.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    socks5: Vec<SocketAddr>,
    /// An HTTP proxy.
    #[arg(long, value_name = "[ADDR:]PORT", value_parser = parse_listen)]
    http_proxy: Vec<SocketAddr>,
    /// Clients of the proxies must know the NAME:PASSWORD in this file.
    #[arg(long, value_name = "FILE")]
    proxy_password_file: Option<PathBuf>,
    /// A port here that stands for a host and port over there; repeat it for more.
    #[arg(long, value_name = "[ADDR:]PORT=HOST:PORT")]
    forward: Vec<Forward>,
    /// A port of ours on the hub that stands for a host and port of this side; repeat it for more.
    #[arg(long, value_name = "PORT=HOST:PORT")]
    reverse: Vec<Reverse>,
    /// How `vpnclient nc --via` and `vpnclient status` call this client [default: the hub's name]
    #[arg(long, value_name = "NAME", help_heading = None)]
    pub(super) name: Option<String>,
}

impl RootlessArgs {
    /// Whether this machine is to take part without a device.
    pub(super) fn is_wanted(&self) -> bool {
        self.rootless
            || !self.socks5.is_empty()
            || !self.http_proxy.is_empty()
            || !self.forward.is_empty()
            || !self.reverse.is_empty()
    }

    /// The doors to open, if this machine is to take part without a device.
    pub(super) fn settings(
        &self,
        mac: Option<[u8; 6]>,
        routes: RouteMode,
    ) -> Result<Option<RootlessSettings>, Failure> {
        if !self.is_wanted() {
            return Ok(None);
        }
        let password = self.proxy_password_file.as_deref();
        Ok(Some(RootlessSettings {
            mac,
            routes,
            socks5: self.socks5.clone(),
            http: self.http_proxy.clone(),
            password: password.map(ProxyPassword::from_file).transpose()?,
            forwards: self.forward.clone(),
            reverses: self.reverse.clone(),
        }))
    }
}
