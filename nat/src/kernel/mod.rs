//! NAT by the kernel: a TAP device on the hub, an nftables table of our own, and forwarding switched on.
//!
//! DHCP stays with our own server, which takes its frames before the device sees them. Everything that is set up is
//! taken down by [`KernelNat::stop`]; what a killed process left is found and taken down by the next start.

pub(crate) mod conntrack;
mod ipv6;
mod name_service;
mod ruleset;
mod ruleset6;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hub_core::frame::Frame;
use hub_core::{Closed, MacAddr};
use ipv6::KernelIpv6;
use netdev::{Links, Tap, TapOptions, sysctl};
use nftables::schema::Nftables;
use tokio::task::JoinSet;

use crate::config::SecureNatConfig;
use crate::device::{self, Reader};
use crate::forwarding::Forwarding;
use crate::keeper::Keeper;
use crate::net::Ipv4Net;
use crate::nft;
use crate::secure_nat::StartError;
use crate::tag::Tag;
use crate::user::Shared;

/// Bytes of frames taken from the hub at one time.
const BATCH: usize = 256 * 1024;
/// The least MTU that the kernel gives an interface with IPv4.
const MIN_MTU: u32 = 68;

/// Kernel NAT in operation.
pub(crate) struct KernelNat {
    tasks: JoinSet<()>,
    table: String,
    keeper: Keeper,
    ipv6: Option<KernelIpv6>,
    forwarding: Forwarding,
}

impl KernelNat {
    /// Sets everything up for the settings of `shared`. When it fails nothing is left behind.
    pub(crate) async fn start(
        shared: &Arc<Shared>,
        tag: &Tag,
        watch: Duration,
        offload: bool,
    ) -> Result<Self, StartError> {
        let config = shared.host().config().clone();
        let table = tag.nat_table();
        nft::remove(&table).await?; // what a killed process left
        refuse_taken_network(config.network()).await?;
        let forwarding = Forwarding::hold(tag, &[]).await?;
        let (tap, document) = match set_up(&config, tag, offload).await {
            Ok(done) => done,
            Err(error) => {
                forwarding.release().await;
                return Err(error);
            }
        };
        for warning in nft::dropping_forward_chains().await.unwrap_or_default() {
            tracing::warn!(hub = %config.network(), "SecureNAT may not reach the outside: {warning}");
        }
        let ipv6 = KernelIpv6::start(shared, &config, tag, tap.name(), watch).await;
        let mut tasks = JoinSet::new();
        let tap = Arc::new(tap);
        tasks.spawn(device_to_hub(Arc::clone(&tap), Arc::clone(shared)));
        tasks.spawn(hub_to_device(
            tap,
            Arc::clone(shared),
            config.mac_address,
            ipv6.is_some(),
        ));
        name_service::spawn(&mut tasks, shared, config.ip.into()).await;
        let keeper = Keeper::start(table.clone(), document, watch);
        Ok(KernelNat {
            tasks,
            table,
            keeper,
            ipv6,
            forwarding,
        })
    }

    /// Takes everything down.
    pub(crate) async fn stop(mut self) -> Result<(), StartError> {
        // The device goes with its last user, and its addresses and routes with it.
        self.tasks.shutdown().await;
        self.keeper.stop().await;
        let without_ipv6 = match self.ipv6 {
            Some(ipv6) => ipv6.stop().await,
            None => Ok(()),
        };
        let without_rules = nft::remove(&self.table).await;
        self.forwarding.release().await;
        without_rules?;
        Ok(without_ipv6?)
    }
}

/// The device and the rules; the device goes when they cannot be had.
async fn set_up(
    config: &SecureNatConfig,
    tag: &Tag,
    offload: bool,
) -> Result<(Tap, Nftables<'static>), StartError> {
    let tap = make_device(config, &tag.device(), offload).await?;
    let document = ruleset::render(config, &tag.nat_table(), tap.name());
    nft::apply(&document).await?;
    Ok((tap, document))
}

/// Two devices with one network confuse the kernel's routing: answers would leave by either. New hubs all begin with
/// the same network, so this is the first thing to go wrong with two of them.
async fn refuse_taken_network(network: Ipv4Net) -> Result<(), StartError> {
    let links = Links::new()?;
    for link in links.list().await? {
        // A link may vanish between the two questions.
        for address in links.addresses(&link.name).await.unwrap_or_default() {
            if let IpAddr::V4(ip) = address.ip
                && Ipv4Net::new(ip, address.prefix).overlaps(&network)
            {
                return Err(StartError::NetworkTaken {
                    network,
                    device: link.name,
                });
            }
        }
    }
    Ok(())
}

async fn make_device(config: &SecureNatConfig, name: &str, offload: bool) -> Result<Tap, StartError> {
    let options = TapOptions {
        mac: Some(config.mac_address.octets()),
        offload,
        ..TapOptions::new(name)
    };
    let tap = Tap::create(&options)?;
    for (key, value) in [
        // The host shall not appear on the hub with an IPv6 address before rules of ours cover it.
        (format!("net.ipv6.conf.{name}.disable_ipv6"), "1"),
        // Only the virtual host's address is answered for, not the machine's others.
        (format!("net.ipv4.conf.{name}.arp_ignore"), "1"),
        (format!("net.ipv4.conf.{name}.arp_announce"), "2"),
        (format!("net.ipv4.conf.{name}.send_redirects"), "0"),
        (format!("net.ipv4.conf.{name}.accept_redirects"), "0"),
        // The ruleset checks sources; a stricter check of the kernel would also drop what policy routing sends here.
        (format!("net.ipv4.conf.{name}.rp_filter"), "0"),
    ] {
        // A kernel without IPv6 has no such setting; a read-only /proc is reported by forwarding, which needs it.
        if let Err(error) = sysctl::write(&key, value) {
            tracing::debug!(%error, "a setting of the SecureNAT device stays as it is");
        }
    }
    let links = Links::new()?;
    links.set_mtu(name, config.mtu.max(MIN_MTU)).await?;
    links.set_up(name).await?;
    links
        .add_address(name, IpAddr::V4(config.ip), config.network().prefix())
        .await?;
    Ok(tap)
}

/// Frames of the hub that are for the virtual host go to the device, but for DHCP.
async fn hub_to_device(tap: Arc<Tap>, shared: Arc<Shared>, mac: MacAddr, ipv6: bool) {
    let mut batch = Vec::new();
    let mut joiner = tap.joiner();
    loop {
        let due = shared.host().poll_timeout();
        tokio::select! {
            received = shared.port.recv(&mut batch, BATCH) => {
                if let Err(Closed) = received {
                    return;
                }
            }
            () = until(due) => shared.handle_timeout(),
            () = shared.sooner() => {}
        }
        let for_device = batch
            .drain(..)
            .filter(|frame| is_for(frame, mac, ipv6) && !shared.handle_dhcp_frame(frame));
        device::join(&mut joiner, for_device);
        // A device that is down, or full, loses frames as a card would.
        let _ = tap.try_send_joined(&mut joiner);
    }
}

/// The kernel would throw other stations' frames away anyway; this saves the system call.
fn is_for(frame: &Frame, mac: MacAddr, ipv6: bool) -> bool {
    /// How addresses of IPv6 groups begin (RFC 2464 §7).
    const GROUP: [u8; 2] = [0x33, 0x33];
    frame.bytes.get(..6).is_some_and(|to| {
        to == mac.octets() || to == MacAddr::BROADCAST.octets() || ipv6 && to.starts_with(&GROUP)
    })
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

async fn device_to_hub(tap: Arc<Tap>, shared: Arc<Shared>) {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    loop {
        if tap.readable().await.is_err() || reader.read(&*tap, &mut frames).is_err() {
            return; // the device is gone
        }
        if !frames.is_empty() {
            shared.port.send(Instant::now(), &mut frames.drain(..));
        }
    }
}
