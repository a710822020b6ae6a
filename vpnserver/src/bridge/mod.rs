//! A local bridge: a hub's port whose other side is a network device of this machine.
//!
//! Three kinds of device: a TAP device that is made here, perhaps with an address for this machine; an interface, by a packet
//! socket; and a bridge of the kernel, which gets a TAP device of ours as one more port. A packet socket puts frames on the
//! wire and takes them from it, so this machine itself stays outside of what it joins; a port of the kernel's bridge is on
//! one segment with it.

mod address;
mod frames;

use std::sync::Arc;

use hub_core::switch::Port;
use nat::Tag;
use nat::segment::Device;
use netdev::{Links, Tap, TapOptions, sysctl};
use tokio::task::JoinHandle;

pub use address::AddressError;
pub use nat::segment::{about, advice, is_port_of_ours};

use self::address::Held;
use crate::store::{HostAddress, LocalBridge};

/// A working bridge. It is to be ended by [`Bridge::end`]; merely dropped, it ends a moment later.
#[derive(Debug)]
pub struct Bridge {
    task: JoinHandle<()>,
    device: String,
    index: u32,
    /// Whether the device was made here, and nobody else has settings of it.
    is_ours: bool,
    /// The hardware address that this machine has on the hub, if it is on it.
    mac: Option<[u8; 6]>,
    address: Option<Held>,
    advice: Option<String>,
}

/// The device that a bridge works with.
#[must_use]
pub fn device_of(bridge: &LocalBridge) -> String {
    match bridge.tap {
        Some(_) => tap_device(&bridge.device),
        None => bridge.device.clone(),
    }
}

/// The TAP device of a bridge made for the name `NAME`.
#[must_use]
pub fn tap_device(name: &str) -> String {
    format!("tap_{name}")
}

impl Bridge {
    /// Joins the hub behind `port` to the device, with `offload` if wanted. The device has no address of ours yet.
    ///
    /// # Errors
    /// When the device cannot be had; nothing is left behind then.
    pub async fn start(port: Port, bridge: &LocalBridge, offload: bool) -> netdev::Result<Self> {
        let links = Links::new()?;
        if let Some(mac) = bridge.tap {
            return Self::to_tap(port, &bridge.device, mac, offload, &links).await;
        }
        let link = links.link(&bridge.device).await?;
        let device = Device::join(&link, "", offload, &links).await?;
        let advice = match device {
            Device::Interface(_) => advice(&link, &links).await,
            // This machine is at the segment of a bridge that it has.
            Device::Tap(_) => None,
        };
        // What the bridge's name stands for is looked at, not the port: the port goes with it only in part.
        let mut this = Self::run(port, device, link.name, link.index);
        this.advice = advice;
        Ok(this)
    }

    async fn to_tap(
        port: Port,
        name: &str,
        mac: [u8; 6],
        offload: bool,
        links: &Links,
    ) -> netdev::Result<Self> {
        let device = tap_device(name);
        let is_ours = !links.exists(&device).await?;
        // A device that was there keeps what it has.
        let tap = Tap::create(&TapOptions {
            mac: is_ours.then_some(mac),
            offload,
            ..TapOptions::new(&device)
        })?;
        if is_ours {
            settle_in(&device);
        }
        links.set_up(&device).await?;
        let (index, mac) = (tap.index(), tap.mac());
        let mut this = Self::run(port, Device::Tap(Arc::new(tap)), device, index);
        (this.is_ours, this.mac) = (is_ours, Some(mac));
        Ok(this)
    }

    fn run(port: Port, device: Device, name: String, index: u32) -> Self {
        Self {
            task: tokio::spawn(frames::carry(port, device)),
            device: name,
            index,
            is_ours: true,
            mac: None,
            address: None,
            advice: None,
        }
    }

    /// Whether it still works: a device that vanished has ended it, and one that took its name is another.
    #[must_use]
    pub fn is_working(&self) -> bool {
        !self.task.is_finished() && netdev::index_of(&self.device).is_ok_and(|index| index == self.index)
    }

    /// What an administrator should know who expects this machine itself in the segment.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// The hardware address that this machine has on the hub, by a TAP device.
    #[must_use]
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.mac
    }

    /// The address in force.
    #[must_use]
    pub fn address(&self) -> Option<HostAddress> {
        self.address.as_ref().map(Held::address)
    }

    /// Gives the TAP device another address, or none, without a break for the frames; says whether anything changed. `tag` is this
    /// server's.
    ///
    /// # Errors
    /// When the device cannot have it; it has none then, and carries frames all the same.
    pub async fn set_address(
        &mut self,
        address: Option<HostAddress>,
        tag: &str,
    ) -> Result<bool, AddressError> {
        if self.address() == address {
            return Ok(false);
        }
        let links = Links::new()?;
        if let Some(held) = self.address.take() {
            held.give_back(&self.device, &links).await;
        }
        if let Some(address) = address {
            address::check(address, &self.device, &links).await?;
            let tag = tag_of(tag, &self.device);
            self.address = Some(Held::begin(address, &self.device, self.is_ours, &tag, &links).await?);
        }
        Ok(true)
    }

    /// Takes the port off the hub, and off this machine what was made for the bridge; returns when all is gone.
    pub async fn end(mut self) {
        if let Some(held) = self.address.take() {
            match Links::new() {
                Ok(links) => held.give_back(&self.device, &links).await,
                Err(error) => tracing::warn!(device = self.device, %error, "the address may stay"),
            }
        }
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The tag under which a device's settings are held.
fn tag_of(server: &str, device: &str) -> Tag {
    Tag::new(&format!("{server}{device}"))
}

/// Settings of a TAP device that was made here.
///
/// Stations of a hub are strangers: of them this machine takes neither routers nor shorter ways. It has no IPv6 address there that
/// nobody gave it; an administrator can add one (`ip address add`).
fn settle_in(device: &str) {
    for (family, setting, value) in [
        // The host must not tell stations of the segment of a shorter way that goes around it.
        ("ipv4", "send_redirects", "0"),
        ("ipv4", "accept_redirects", "0"),
        // Stations hear of the address as soon as it is there.
        ("ipv4", "arp_notify", "1"),
        ("ipv6", "accept_ra", "0"),
        ("ipv6", "accept_redirects", "0"),
        ("ipv6", "addr_gen_mode", "1"),
    ] {
        let device = device.replace('.', "/");
        set(&format!("net.{family}.conf.{device}.{setting}"), value);
    }
}

/// A kernel without IPv6 has not all of them; where `/proc/sys` is read-only the defaults stand.
fn set(key: &str, value: &str) {
    if let Err(error) = sysctl::write(key, value) {
        tracing::debug!(%error, "a setting of a bridge's device stays as it is");
    }
}
