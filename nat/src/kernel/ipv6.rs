//! IPv6 of kernel mode: the device's addresses, an nftables table `ip6`, forwarding, and NAT to this machine's own address.
//!
//! What cannot be had costs the hub its IPv6 and nothing else: one line says why, and the router stays silent.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use netdev::{Links, sysctl};
use nftables::types::NfFamily;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{name_service, ruleset6};
use crate::config::SecureNatConfig;
use crate::forwarding::{Forwarding, HoldError};
use crate::ipv6::{Ipv6Net, Reach, link_local};
use crate::keeper::Keeper;
use crate::nft::{self, NftError};
use crate::tag::Tag;
use crate::user::Shared;

/// The kernel's routes, as it shows them to everybody.
const ROUTES: &str = "/proc/net/ipv6_route";
/// The bits that link-local addresses have in common.
const LINK_LOCAL_PREFIX: u8 = 64;

/// Why there is no IPv6.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("this machine has IPv6 switched off; boot it without ipv6.disable=1")]
    NoIpv6,
    #[error(
        "the network {network} is in use by the device {device}; give this hub another one (SecureNatIPv6Set /PREFIX)"
    )]
    NetworkTaken { network: Ipv6Net, device: String },
    #[error(transparent)]
    Device(#[from] netdev::Error),
    #[error(transparent)]
    Settings(#[from] HoldError),
    #[error(transparent)]
    Nft(#[from] NftError),
}

/// IPv6 in operation.
pub(super) struct KernelIpv6 {
    tasks: JoinSet<()>,
    table: String,
    keeper: Keeper,
    forwarding: Forwarding,
}

impl KernelIpv6 {
    /// Sets IPv6 up on `device` if the settings want it, after what a killed process left is away.
    pub(super) async fn start(
        shared: &Arc<Shared>,
        config: &SecureNatConfig,
        tag: &Tag,
        device: &str,
        watch: Duration,
    ) -> Option<Self> {
        let table = tag.nat_table();
        if let Err(error) = nft::remove_in(NfFamily::IP6, &table).await {
            tracing::debug!(table, %error, "an nftables table may be left behind");
        }
        if !config.ipv6.enabled {
            return None;
        }
        match Self::set_up(shared, config, tag, device, watch).await {
            Ok(running) => Some(running),
            Err(trouble) => {
                tracing::warn!(network = %config.ipv6.prefix, "this hub has no IPv6: {trouble}");
                shared.set_reach(Reach::Nowhere);
                let _ = sysctl::write(&format!("net.ipv6.conf.{device}.disable_ipv6"), "1");
                let _ = nft::remove_in(NfFamily::IP6, &table).await;
                None
            }
        }
    }

    async fn set_up(
        shared: &Arc<Shared>,
        config: &SecureNatConfig,
        tag: &Tag,
        device: &str,
        watch: Duration,
    ) -> Result<Self, Trouble> {
        if sysctl::read("net.ipv6.conf.all.disable_ipv6").is_err() {
            return Err(Trouble::NoIpv6);
        }
        refuse_taken_network(config.ipv6.prefix).await?;
        let table = tag.nat_table();
        let document = ruleset6::render(config, &table, device);
        // The rules are there before the device has an address that they are about.
        nft::apply(&document).await?;
        let forwarding = Forwarding::hold_ipv6(tag).await?;
        if let Err(trouble) = give_addresses(config, device).await {
            forwarding.release().await;
            return Err(trouble);
        }
        let mut tasks = JoinSet::new();
        name_service::spawn(&mut tasks, shared, config.ipv6.address().into()).await;
        shared.set_reach(reach());
        tasks.spawn(follow_routes(Arc::clone(shared), watch));
        let keeper = Keeper::start_in(NfFamily::IP6, table.clone(), document, watch);
        Ok(KernelIpv6 {
            tasks,
            table,
            keeper,
            forwarding,
        })
    }

    /// Takes everything down; the addresses go with the device.
    pub(super) async fn stop(mut self) -> Result<(), NftError> {
        self.tasks.shutdown().await;
        self.keeper.stop().await;
        let removed = nft::remove_in(NfFamily::IP6, &self.table).await;
        self.forwarding.release().await;
        removed
    }
}

/// A network that another device has would be reached by either.
async fn refuse_taken_network(network: Ipv6Net) -> Result<(), Trouble> {
    let links = Links::new()?;
    for link in links.list().await? {
        // A link may vanish between the two questions.
        for address in links.addresses(&link.name).await.unwrap_or_default() {
            if let IpAddr::V6(ip) = address.ip
                && Ipv6Net::new(ip, address.prefix).overlaps(&network)
            {
                let device = link.name;
                return Err(Trouble::NetworkTaken { network, device });
            }
        }
    }
    Ok(())
}

async fn give_addresses(config: &SecureNatConfig, device: &str) -> Result<(), Trouble> {
    for (setting, value) in [
        // Addresses are ours to give.
        ("addr_gen_mode", "1"),
        ("accept_ra", "0"),
        ("accept_redirects", "0"),
        ("forwarding", "1"),
        // Last: from now on the device has IPv6.
        ("disable_ipv6", "0"),
    ] {
        sysctl::write(&format!("net.ipv6.conf.{device}.{setting}"), value)?;
    }
    let links = Links::new()?;
    // Our router asks the hub whether it may have them.
    let own = [
        (link_local(config.mac_address), LINK_LOCAL_PREFIX),
        (config.ipv6.address(), config.ipv6.prefix.prefix()),
    ];
    for (address, prefix) in own {
        links.add_address_unasked(device, address.into(), prefix).await?;
    }
    Ok(())
}

/// Tells the router when the way out comes or goes: a station with a default route that leads nowhere waits for answers in vain
/// (RFC 7084, G-4).
async fn follow_routes(shared: Arc<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        shared.set_reach(reach());
    }
}

fn reach() -> Reach {
    let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
    if routes.lines().any(leads_out) {
        Reach::Outside
    } else {
        Reach::Link
    }
}

/// Whether a line of the kernel's is a route beyond this machine and its hubs.
fn leads_out(line: &str) -> bool {
    const UP: u32 = 0x1;
    const REJECT: u32 = 0x200;
    let words: Vec<&str> = line.split_whitespace().collect();
    let [destination, _, _, _, _, _, _, _, flags, device] = words[..] else {
        return false;
    };
    let Ok(destination) = u128::from_str_radix(destination, 16) else {
        return false;
    };
    let destination = Ipv6Addr::from_bits(destination);
    let [first, ..] = destination.segments();
    let on_link = destination.is_multicast() || first & 0xffc0 == 0xfe80;
    let flags = u32::from_str_radix(flags, 16).unwrap_or_default();
    let usable = flags & UP != 0 && flags & REJECT == 0;
    usable && !on_link && device != "lo" && !Tag::has_device(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_other_devices_lead_out_and_those_of_links_do_not() {
        let zeros = "0".repeat(32);
        let line = |to: &str, flags: &str, device: &str| {
            format!("{to:0<32} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 {flags} {device:>8}")
        };
        assert!(leads_out(&line("20010db80001", "00000001", "wan0")));
        assert!(leads_out(&line("", "00450003", "eth0")), "a default route");
        for (to, flags, device) in [
            ("fe80", "00000001", "wan0"),
            ("ff", "00000001", "wan0"),
            ("", "00200200", "lo"),
            ("20010db80001", "00000201", "wan0"),
            ("fd12", "00000001", "hwn_t1"),
            ("20010db80001", "80200001", "lo"),
        ] {
            assert!(!leads_out(&line(to, flags, device)), "{to} {flags} {device}");
        }
        assert!(!leads_out("nonsense"));
    }
}
