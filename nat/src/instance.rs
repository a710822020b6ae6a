//! A NAT instance: the networks of a cloud reach the outside under this machine's address.
//!
//! What the start script of such a machine does with iptables and sysctl, as one nftables table of ours and settings that
//! are put back at the end. Only what comes from those networks and leaves them by the public interface is translated:
//! published hosts, hubs and whatever else this machine routes are as before, and answers to what was published leave
//! by the connection they belong to.

use std::time::Duration;

use netdev::Links;
use nftables::expr::{Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::Nftables;
use nftables::stmt::Statement;
use nftables::types::{NfChainType, NfHook};

use crate::forwarding::{self, Forwarding, HoldError};
use crate::keeper::{self, Keeper};
use crate::net::Ipv4Net;
use crate::nft::{self, NftError, Ruleset, field, is, is_not, meta, network, word};
use crate::tag::Tag;

/// The tag of all NAT instances: a machine is one once.
pub const TAG: &str = "instance";

/// Why this machine is no NAT instance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// The rules.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// The kernel settings.
    #[error(transparent)]
    Forwarding(#[from] HoldError),
    /// The devices.
    #[error(transparent)]
    Device(#[from] netdev::Error),
}

/// Whose packets leave by which interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The networks, in order and each once.
    pub networks: Vec<Ipv4Net>,
    /// The public interface.
    pub out: String,
}

impl Translation {
    /// The networks, sorted; those inside another are left to it.
    pub fn new(networks: impl IntoIterator<Item = Ipv4Net>, out: &str) -> Self {
        let mut sorted: Vec<_> = networks.into_iter().collect();
        sorted.sort_by_key(|net| (net.prefix(), net.address()));
        let mut kept: Vec<Ipv4Net> = Vec::with_capacity(sorted.len());
        for net in sorted {
            if !kept.iter().any(|wider| wider.overlaps(&net)) {
                kept.push(net);
            }
        }
        kept.sort();
        Self {
            networks: kept,
            out: out.to_owned(),
        }
    }
}

/// A NAT instance in operation. It is to be ended by [`NatInstance::stop`]: its rules outlive one that is merely dropped.
#[derive(Debug)]
pub struct NatInstance {
    translation: Translation,
    watch: Duration,
    keeper: Keeper,
    forwarding: Forwarding,
}

impl NatInstance {
    /// Begins. When it fails nothing is left behind.
    ///
    /// # Errors
    /// When the interface is not there, or rules or settings cannot be made.
    pub async fn start(translation: Translation) -> Result<Self, InstanceError> {
        let watch = keeper::EVERY;
        let forwarding = hold(&translation).await?;
        let document = render(&translation);
        if let Err(error) = nft::apply(&document).await {
            forwarding.release().await;
            return Err(error.into());
        }
        Ok(Self {
            translation,
            watch,
            keeper: Keeper::start(table(), document, watch),
            forwarding,
        })
    }

    /// What is in force.
    pub fn translation(&self) -> &Translation {
        &self.translation
    }

    /// Chains of others that may drop what is to pass, in words for an administrator.
    pub async fn warnings(&self) -> Vec<String> {
        nft::dropping_forward_chains().await.unwrap_or_default()
    }

    /// Changes networks and interface, in one transaction; connections go on. After an error the former ones are in force.
    ///
    /// # Errors
    /// As for [`NatInstance::start`].
    pub async fn set(&mut self, translation: Translation) -> Result<(), InstanceError> {
        if translation.out != self.translation.out {
            // Held under the same tag, so the former hold ends with this one's beginning.
            self.forwarding = hold(&translation).await?;
        }
        let document = render(&translation);
        nft::apply(&document).await?;
        // Begun before the former one ends; both put the same table back, and the former only where there is none.
        self.keeper = Keeper::start(table(), document, self.watch);
        self.translation = translation;
        Ok(())
    }

    /// Sets once more what came back with other settings, such as an interface that was away.
    pub async fn look_after(&self) {
        forwarding::reassert().await;
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// When the rules cannot be taken away; the settings are put back all the same.
    pub async fn stop(self) -> Result<(), InstanceError> {
        self.keeper.stop().await;
        let removed = nft::remove(&table()).await;
        self.forwarding.release().await;
        Ok(removed?)
    }
}

/// The device of the default route that the kernel prefers.
///
/// # Errors
/// When there is none.
pub async fn default_device() -> Result<String, netdev::Error> {
    let links = Links::new()?;
    let routes = links.routes().await?;
    let default = routes
        .iter()
        .filter(|route| route.destination.is_ipv4() && route.prefix == 0)
        .filter_map(|route| Some((route.metric.unwrap_or(0), route.device?)))
        .min();
    let none = || netdev::Error::NoRoute {
        destination: std::net::Ipv4Addr::UNSPECIFIED.into(),
    };
    let (_, index) = default.ok_or_else(none)?;
    let all = links.list().await?;
    all.into_iter()
        .find(|link| link.index == index)
        .map(|link| link.name)
        .ok_or_else(none)
}

fn table() -> String {
    Tag::new(TAG).nat_table()
}

/// What comes in and leaves by the same interface would be told of a shorter way, which is none in a cloud.
async fn hold(translation: &Translation) -> Result<Forwarding, InstanceError> {
    netdev::index_of(&translation.out)?;
    Ok(Forwarding::hold(&Tag::new(TAG), &[translation.out.as_str()]).await?)
}

fn render(translation: &Translation) -> Nftables<'static> {
    let networks = || {
        let items = translation.networks.iter();
        let items = items.map(|net| SetItem::Element(network(*net))).collect();
        Expression::Named(NamedExpression::Set(items))
    };
    let mut set = Ruleset::replace(&table());
    set.base_chain("postrouting", NfChainType::NAT, NfHook::Postrouting, 100);
    set.rule(
        "postrouting",
        vec![
            is(field("ip", "saddr"), networks()),
            is_not(field("ip", "daddr"), networks()),
            is(meta(MetaKey::Oifname), word(translation.out.clone())),
            Statement::Masquerade(None),
        ],
        "the networks' way out",
    );
    set.into_document()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks_are_in_order_and_those_inside_another_are_left_to_it() {
        let order = ["10.1.0.0/16", "10.0.0.0/16", "10.0.3.0/24", "10.0.0.0/16"];
        let translation = Translation::new(networks(&order), "eth0");
        assert_eq!(translation.networks, networks(&["10.0.0.0/16", "10.1.0.0/16"]));
        let turned = Translation::new(networks(&order).into_iter().rev(), "eth0");
        assert_eq!(translation, turned);
    }
}
