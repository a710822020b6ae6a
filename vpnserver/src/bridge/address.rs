//! The address that this machine has on a TAP device, and forwarding as long as it has it.

use std::net::{IpAddr, Ipv4Addr};

use nat::{Forwarding, HoldError, Ipv4Net, Tag};
use netdev::Links;

use crate::store::HostAddress;

/// Why a device cannot have an address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Another device has it.
    #[error(
        "the address {address} is in use by the device {device} of this machine; give another one (BridgeSet ... /IP)"
    )]
    Taken {
        /// The address.
        address: Ipv4Addr,
        /// Who has it.
        device: String,
    },
    /// Part of its network is reached by way of another device.
    #[error(
        "the network {network} overlaps the route to {route} by way of {device}; give another one (BridgeSet ... /IP)"
    )]
    Overlap {
        /// The network of the address.
        network: Ipv4Net,
        /// The route that is in its way.
        route: Ipv4Net,
        /// The device of that route.
        device: String,
    },
    /// The devices of this machine, or the address itself.
    #[error(transparent)]
    Device(#[from] netdev::Error),
    /// Forwarding.
    #[error(transparent)]
    Forwarding(#[from] HoldError),
}

/// Refuses what would take packets from where they go now: an address that another device has, and a network to which, or
/// to a part of which, there is a way already. A way to a larger network goes on for the rest of it, which is worth a line.
///
/// # Errors
/// What is in the way.
pub(super) async fn check(address: HostAddress, device: &str, links: &Links) -> Result<(), AddressError> {
    let network = address.network();
    let all = links.list().await?;
    for link in all.iter().filter(|link| link.name != device) {
        // A link may vanish between the two questions.
        let addresses = links.addresses(&link.name).await.unwrap_or_default();
        if addresses.iter().any(|other| other.ip == IpAddr::V4(address.ip())) {
            return Err(AddressError::Taken {
                address: address.ip(),
                device: link.name.clone(),
            });
        }
    }
    for route in links.routes().await? {
        let name = all
            .iter()
            .find(|link| Some(link.index) == route.device)
            .map_or("several devices", |link| link.name.as_str());
        let IpAddr::V4(destination) = route.destination else {
            continue;
        };
        let other = Ipv4Net::new(destination, route.prefix);
        if name == device || other.prefix() == 0 || !other.overlaps(&network) {
            continue;
        }
        if other.prefix() >= network.prefix() {
            return Err(AddressError::Overlap {
                network,
                route: other,
                device: name.to_owned(),
            });
        }
        tracing::warn!(
            %network,
            route = %other,
            by = name,
            device,
            "part of a network that was reached by way of another device is now on a bridge's"
        );
    }
    Ok(())
}

/// An address in force.
#[derive(Debug)]
pub(super) struct Held {
    address: HostAddress,
    forwarding: Forwarding,
}

impl Held {
    /// Gives the device its address and switches forwarding on. `is_new` is whether the device has no settings of others.
    pub(super) async fn begin(
        address: HostAddress,
        device: &str,
        is_new: bool,
        tag: &Tag,
        links: &Links,
    ) -> Result<Self, AddressError> {
        // Of a device that was made here the setting is made, and goes, with it.
        let others = if is_new { &[][..] } else { &[device] };
        let forwarding = Forwarding::hold(tag, others).await?;
        match links
            .add_address(device, address.ip().into(), address.prefix())
            .await
        {
            Err(error) if !error.is_exists() => {
                forwarding.release().await;
                Err(error.into())
            }
            _ => Ok(Self { address, forwarding }),
        }
    }

    pub(super) fn address(&self) -> HostAddress {
        self.address
    }

    /// Takes the address from the device, and puts the settings back.
    pub(super) async fn give_back(self, device: &str, links: &Links) {
        let (ip, prefix) = (self.address.ip().into(), self.address.prefix());
        match links.remove_address(device, ip, prefix).await {
            Err(error) if !error.is_absent() => {
                tracing::warn!(device, address = %self.address, %error, "an address could not be taken back");
            }
            _ => {}
        }
        self.forwarding.release().await;
    }
}
