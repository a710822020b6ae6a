//! Keeps the kernel's table of published hosts equal to a set of rules.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use netdev::Links;
use nftables::schema::Nftables;
use nftables::types::NfFamily;
use tokio::sync::Mutex;

use super::render::render;
use super::rule::{DnatRule, Protocol, RuleError, check};
use crate::forwarding::{self, Forwarding, HoldError};
use crate::keeper::{self, Keeper};
use crate::net::Ipv4Net;
use crate::nft::{self, NftError};
use crate::tag::Tag;

/// What a rule has carried so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleCounter {
    /// Connections begun, from outside and from this machine.
    pub connections: u64,
    /// Bytes of their first packets. nftables shows its translation chains no others.
    pub bytes: u64,
}

/// A set of rules that is in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What may keep published traffic from arriving although the rules are in place, in words for the administrator.
    pub warnings: Vec<String>,
}

/// Why rules are not in force. Those that were in force before still are.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnatError {
    /// A rule, or two together, cannot be.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// nftables did not take them.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// Forwarding cannot be switched on.
    #[error(transparent)]
    Forwarding(#[from] HoldError),
    /// The list of addresses is out of reach.
    #[error(transparent)]
    Device(#[from] netdev::Error),
}

/// The published hosts of one instance. Clones are the same publisher.
///
/// nftables tables of other programs are never written. They may still drop what is published: a chain of ours
/// cannot overrule a drop in a chain of theirs, so [`Applied::warnings`] names the chains that look like it.
/// Connections that exist when a rule goes away live on until they end, as conntrack has it.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    tag: Tag,
    /// What is in force; user NAT looks its clients' destinations up here.
    rules: RwLock<Vec<DnatRule>>,
    kernel: Option<Mutex<Kernel>>,
}

struct Kernel {
    watch: Duration,
    in_force: Option<InForce>,
}

/// What the kernel has of us.
struct InForce {
    document: Nftables<'static>,
    keeper: Keeper,
    forwarding: Forwarding,
}

impl Publisher {
    /// A publisher that puts its rules into the kernel's table named after `tag`.
    pub fn kernel(tag: Tag) -> Self {
        Self::kernel_watched(tag, keeper::EVERY)
    }

    /// As [`kernel`](Self::kernel), looking every so often whether somebody removed the table, to put it back.
    pub fn kernel_watched(tag: Tag, watch: Duration) -> Self {
        let kernel = Kernel {
            watch,
            in_force: None,
        };
        Self::new(tag, Some(Mutex::new(kernel)))
    }

    /// A publisher without privileges: its rules hold for clients of hubs with user-mode NAT only.
    pub fn hubs_only(tag: Tag) -> Self {
        Self::new(tag, None)
    }

    fn new(tag: Tag, kernel: Option<Mutex<Kernel>>) -> Self {
        Publisher {
            shared: Arc::new(Shared {
                tag,
                rules: RwLock::default(),
                kernel,
            }),
        }
    }

    /// Puts exactly `rules` into force, in one transaction; counters of rules that stay go on.
    pub async fn apply(&self, rules: &[DnatRule]) -> Result<Applied, DnatError> {
        check(rules)?;
        let mut applied = Applied::default();
        if let Some(kernel) = &self.shared.kernel {
            let mut kernel = kernel.lock().await;
            if rules.is_empty() {
                kernel.clear(&self.shared.tag).await?;
            } else {
                kernel.apply(&self.shared.tag, rules).await?;
                applied.warnings = nft::dropping_forward_chains().await.unwrap_or_default();
            }
        }
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = rules.to_vec();
        Ok(applied)
    }

    /// Takes every rule out of force and the table away; also one that a killed process of this tag left.
    pub async fn clear(&self) -> Result<(), DnatError> {
        self.apply(&[]).await.map(drop)
    }

    /// What each rule in force has carried. Empty without the kernel.
    pub async fn counters(&self) -> Result<HashMap<String, RuleCounter>, DnatError> {
        match &self.shared.kernel {
            Some(kernel) => {
                let _guard = kernel.lock().await;
                Ok(read_counters(&self.shared.tag).await?)
            }
            None => Ok(HashMap::new()),
        }
    }

    /// The rules in force.
    pub fn rules(&self) -> Vec<DnatRule> {
        self.shared
            .rules
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Where a hub client's connection to `dest` leads, if a rule in force matches. `dest_is_local` is whether
    /// `dest` is the virtual host's address, which a rule without a destination stands for.
    pub fn translate(
        &self,
        protocol: Protocol,
        source: Ipv4Addr,
        dest: SocketAddrV4,
        dest_is_local: bool,
    ) -> Option<SocketAddrV4> {
        let rules = self.shared.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules
            .iter()
            .find_map(|rule| rule.translate(protocol, source, dest, dest_is_local))
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("tag", &self.shared.tag)
            .field("rules", &self.rules())
            .finish()
    }
}

impl Kernel {
    async fn apply(&mut self, tag: &Tag, rules: &[DnatRule]) -> Result<(), DnatError> {
        let counters = read_counters(tag).await?;
        let links = connected_networks().await?;
        let former = self.in_force.take();
        let (before, forwarding) = match former {
            Some(InForce {
                document,
                keeper,
                forwarding,
            }) => {
                // Two hands on one table: the keeper's must rest first.
                keeper.stop().await;
                (Some(document), forwarding)
            }
            None => (None, Forwarding::hold(tag, &[]).await?),
        };
        let document = render(rules, tag, &links, &counters);
        let outcome = nft::apply(&document).await;
        let in_force = if outcome.is_ok() { Some(document) } else { before };
        self.in_force = in_force.map(|document| InForce {
            keeper: Keeper::start(NfFamily::IP, tag.dnat_table(), document.clone(), self.watch),
            document,
            forwarding,
        });
        Ok(outcome?)
    }

    async fn clear(&mut self, tag: &Tag) -> Result<(), DnatError> {
        match self.in_force.take() {
            Some(InForce {
                keeper, forwarding, ..
            }) => {
                keeper.stop().await;
                nft::remove(&tag.dnat_table()).await?;
                forwarding.release().await;
                Ok(())
            }
            None => match clear_left_behind(tag).await {
                // Nothing of ours is in force, and what cannot be asked has nothing of ours either.
                Err(NftError::Missing | NftError::Forbidden) => Ok(()),
                outcome => Ok(outcome?),
            },
        }
    }
}

/// Takes away what a killed process left.
async fn clear_left_behind(tag: &Tag) -> Result<(), NftError> {
    nft::remove(&tag.dnat_table()).await?;
    for notes in forwarding::unclaimed(|other| other == tag.as_str()).await? {
        notes.settle().await;
    }
    Ok(())
}

async fn read_counters(tag: &Tag) -> Result<HashMap<String, RuleCounter>, NftError> {
    let mut counters: HashMap<String, RuleCounter> = HashMap::new();
    for rule in nft::rules(&tag.dnat_table()).await?.unwrap_or_default() {
        if let Some(name) = &rule.comment
            && matches!(rule.chain.as_ref(), "prerouting" | "output")
        {
            let (packets, bytes) = nft::counted(&rule);
            let counter = counters.entry(name.clone().into_owned()).or_default();
            counter.connections += packets;
            counter.bytes += bytes;
        }
    }
    Ok(counters)
}

/// The IPv4 networks on this machine's own links, as they are now.
async fn connected_networks() -> Result<Vec<Ipv4Net>, netdev::Error> {
    let links = Links::new()?;
    let mut networks = Vec::new();
    for link in links.list().await?.into_iter().filter(|link| !link.loopback) {
        // A link may vanish between the two questions.
        for address in links.addresses(&link.name).await.unwrap_or_default() {
            if let IpAddr::V4(ip) = address.ip {
                networks.push(Ipv4Net::new(ip, address.prefix));
            }
        }
    }
    networks.sort();
    networks.dedup();
    Ok(networks)
}
