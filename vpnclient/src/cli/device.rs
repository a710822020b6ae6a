//! How this machine takes part with a device, as options.

use clap::Args;

use crate::attachment::DeviceSettings;
use crate::network::{Lan, RouteMode};

/// What has a meaning with a device alone: whoever says it and does without one is told so, rather than left without a kill switch
/// that they believe to be on.
pub(super) const ONLY: [&str; 7] = [
    "tap",
    "no_dhcp",
    "no_dns",
    "no_ipv6",
    "kill_switch",
    "allow_lan",
    "block_lan",
];

#[derive(Debug, Args)]
#[command(next_help_heading = "With a device")]
pub(super) struct DeviceArgs {
    /// The name of the TAP device.
    #[arg(long, value_name = "NAME", default_value = "hubward0")]
    tap: String,
    /// The hardware address of the TAP device; unless given one that is always the same here.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_mac)]
    pub(super) mac: Option<[u8; 6]>,
    /// Exchange only finished frames of ordinary length with the TAP device: slower, for kernels whose offload is broken.
    #[arg(long)]
    no_offload: bool,
    /// Ask for no address; something else configures the TAP device.
    #[arg(long)]
    no_dhcp: bool,
    /// Set no routes into the VPN: the same as --routes none.
    #[arg(long, conflicts_with = "routes")]
    no_routes: bool,
    /// Which routes lead into the VPN.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    routes: RouteMode,
    /// Leave the name servers alone.
    #[arg(long)]
    no_dns: bool,
    /// No IPv6 on the TAP device.
    #[arg(long)]
    no_ipv6: bool,
    /// Let nothing leave this machine but the tunnel, also while the client reconnects or after it was killed; `vpnclient cleanup`
    /// lets everything out again. Needs `nft`.
    #[arg(long)]
    kill_switch: bool,
    /// Reach the private networks that this machine is on in spite of --kill-switch; without it they are reached anyway.
    #[arg(long)]
    allow_lan: bool,
    /// Reach nothing local: what the hub names goes through the VPN, even if it is this machine's own network.
    #[arg(long, conflicts_with = "allow_lan")]
    block_lan: bool,
}

impl DeviceArgs {
    /// Which routes lead into the VPN.
    pub(super) fn routes(&self) -> RouteMode {
        if self.no_routes {
            RouteMode::None
        } else {
            self.routes
        }
    }

    /// With a device on it.
    pub(super) fn settings(&self) -> DeviceSettings {
        DeviceSettings {
            tap: self.tap.clone(),
            mac: self.mac,
            offload: !self.no_offload,
            dhcp: !self.no_dhcp,
            routes: self.routes(),
            dns: !self.no_dns,
            ipv6: !self.no_ipv6,
            lan: if self.block_lan || (self.kill_switch && !self.allow_lan) {
                Lan::Nothing
            } else {
                Lan::Private
            },
            kill_switch: self.kill_switch,
        }
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], String> {
    netdev::mac::parse(text)
        .ok_or_else(|| "a hardware address is six pairs of hexadecimal digits, 02:00:5e:10:00:01".to_owned())
}
