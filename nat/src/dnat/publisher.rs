//! Keeps what is published equal to a set of rules: in the kernel's table, and for the clients of user NAT.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use netdev::Links;
use tokio::sync::{Mutex, watch};

use super::clash::check;
use super::counter::{Meter, RuleCounter};
use super::index::Index;
use super::kernel::Kernel;
use super::members::{HubMembers, Members};
use super::names::Names;
use super::part::{GroupName, Protocol};
use super::probe::{Health, HealthChange, Listener, Probes};
use super::refusal::RuleError;
use super::rule::{Client, DnatRule};
use crate::forwarding::HoldError;
use crate::keeper;
use crate::nft::{self, NftError};
use crate::tag::Tag;

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
/// Connections that exist when a rule goes away live on until they end, as conntrack has it; those of somebody who
/// leaves a rule's group do not.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

struct Shared {
    tag: Tag,
    in_force: RwLock<Arc<InForce>>,
    members: RwLock<Members>,
    /// Counts the changes of the members.
    moves: watch::Sender<u64>,
    probes: Probes,
    listener: RwLock<Listener>,
    kernel: Option<Mutex<Kernel>>,
}

/// The rules in force, and what lookups need of them.
#[derive(Default)]
struct InForce {
    rules: Vec<DnatRule>,
    index: Index,
    names: Names,
    meters: HashMap<String, Arc<Meter>>,
}

impl InForce {
    /// Rules that were there before go on with their meters.
    fn after(before: &InForce, rules: &[DnatRule]) -> Self {
        let meter = |rule: &DnatRule| before.meters.get(&rule.name).cloned().unwrap_or_default();
        InForce {
            index: Index::new(rules),
            names: Names::new(rules),
            meters: rules
                .iter()
                .map(|rule| (rule.name.clone(), meter(rule)))
                .collect(),
            rules: rules.to_vec(),
        }
    }
}

impl Publisher {
    /// A publisher that puts its rules into the kernel's table named after `tag`.
    pub fn kernel(tag: Tag) -> Self {
        Self::kernel_watched(tag, keeper::EVERY)
    }

    /// As [`kernel`](Self::kernel), looking every so often whether somebody removed the table, to put it back.
    pub fn kernel_watched(tag: Tag, watch: Duration) -> Self {
        let kernel = Kernel::new(tag.clone(), watch);
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
                in_force: RwLock::default(),
                members: RwLock::default(),
                moves: watch::Sender::default(),
                probes: Probes::default(),
                listener: RwLock::new(Arc::new(|_| {})),
                kernel,
            }),
        }
    }

    /// Tells `listener` from now on when a private host that is looked at begins or ceases to answer. It must not block.
    pub fn on_health(&self, listener: impl Fn(HealthChange) + Send + Sync + 'static) {
        *self
            .shared
            .listener
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(listener);
    }

    /// Puts exactly `rules` into force, in one transaction; counters of rules that stay go on.
    pub async fn apply(&self, rules: &[DnatRule]) -> Result<Applied, DnatError> {
        check(rules)?;
        let mut applied = Applied::default();
        if let Some(kernel) = &self.shared.kernel {
            let mut kernel = kernel.lock().await;
            if rules.iter().any(|rule| rule.enabled) {
                let members = self.members().clone();
                kernel.apply(rules, &members).await?;
                applied.warnings = nft::dropping_forward_chains().await.unwrap_or_default();
                applied.warnings.extend(strange_destinations(rules).await);
            } else {
                kernel.clear().await?;
            }
        }
        let next = Arc::new(InForce::after(&self.shared.in_force(), rules));
        *self
            .shared
            .in_force
            .write()
            .unwrap_or_else(PoisonError::into_inner) = next;
        let listener = Arc::clone(
            &self
                .shared
                .listener
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        self.shared.probes.set(rules, &listener);
        Ok(applied)
    }

    /// Takes every rule out of force and the table away; also one that a killed process of this tag left.
    pub async fn clear(&self) -> Result<(), DnatError> {
        self.apply(&[]).await.map(drop)
    }

    /// Takes the members of one hub's groups in the place of those it had, in one transaction. Who is no longer among
    /// them loses what is open as well.
    pub async fn set_members(&self, hub: &str, members: HubMembers) -> Result<(), DnatError> {
        let mut kernel = match &self.shared.kernel {
            Some(kernel) => Some(kernel.lock().await),
            None => None,
        };
        let news = {
            let mut known = self
                .shared
                .members
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            known.set(hub, members)
        };
        if news {
            self.shared.moves.send_modify(|moves| *moves += 1);
        }
        if let Some(kernel) = &mut kernel {
            let members = self.members().clone();
            kernel.set_members(&members).await?;
        }
        Ok(())
    }

    fn members(&self) -> std::sync::RwLockReadGuard<'_, Members> {
        self.shared.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups that rules in force name, each once.
    pub fn groups(&self) -> Vec<GroupName> {
        let in_force = self.shared.in_force();
        let enabled = in_force.rules.iter().filter(|rule| rule.enabled);
        let mut groups: Vec<GroupName> = enabled.filter_map(|rule| rule.group.clone()).collect();
        groups.sort();
        groups.dedup();
        groups
    }

    /// What each rule in force has carried.
    pub async fn counters(&self) -> Result<HashMap<String, RuleCounter>, DnatError> {
        let mut counters = match &self.shared.kernel {
            Some(kernel) => kernel.lock().await.counters().await?,
            None => HashMap::new(),
        };
        for (name, meter) in &self.shared.in_force().meters {
            counters.entry(name.clone()).or_default().add(meter.read());
        }
        Ok(counters)
    }

    /// What is known of the private hosts of rules with a check.
    pub fn health(&self) -> HashMap<String, Health> {
        self.shared.probes.health()
    }

    /// The rules in force.
    pub fn rules(&self) -> Vec<DnatRule> {
        self.shared.in_force().rules.clone()
    }

    /// What is published, as the clients of one hub see it.
    pub fn for_hub(&self, hub: &str) -> Published {
        Published {
            shared: Arc::clone(&self.shared),
            hub: hub.to_ascii_lowercase(),
        }
    }
}

impl Shared {
    fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn group_of(&self, hub: &str, address: Ipv4Addr) -> Option<GroupName> {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.group_of(hub, address).cloned()
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

/// What is published, as the clients of one hub see it.
#[derive(Clone)]
pub struct Published {
    shared: Arc<Shared>,
    /// In lower case.
    hub: String,
}

impl Published {
    /// Where a client's connection to `dest` leads, if a rule in force matches. `dest_is_local` is whether
    /// `dest` is the virtual host's address, which a rule without a destination stands for.
    pub(crate) fn open(
        &self,
        protocol: Protocol,
        source: Ipv4Addr,
        dest: SocketAddrV4,
        dest_is_local: bool,
    ) -> Option<Grant> {
        let in_force = self.shared.in_force();
        if in_force.rules.is_empty() {
            return None;
        }
        let group = self.shared.group_of(&self.hub, source);
        let client = Client {
            address: source,
            group: group.as_ref(),
        };
        let (rule, target) = in_force
            .index
            .find(&in_force.rules, protocol, client, dest, dest_is_local)?;
        Some(Grant {
            target,
            meter: in_force.meters.get(&rule.name).cloned().unwrap_or_default(),
            group: rule.group.clone(),
            source,
            published: self.clone(),
        })
    }

    /// Answers a question for a published name, or for the name of an address where one is published; `None` when the
    /// resolvers are to be asked. `own` is the virtual host's address.
    pub(crate) fn answer(&self, client: Ipv4Addr, own: Ipv4Addr, question: &[u8]) -> Option<Vec<u8>> {
        let in_force = self.shared.in_force();
        if in_force.names.is_empty() {
            return None;
        }
        let group = self.shared.group_of(&self.hub, client);
        let client = Client {
            address: client,
            group: group.as_ref(),
        };
        in_force.names.answer(&in_force.rules, client, own, question)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Published").field("hub", &self.hub).finish()
    }
}

/// A client's use of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    target: SocketAddrV4,
    meter: Arc<Meter>,
    group: Option<GroupName>,
    source: Ipv4Addr,
    published: Published,
}

impl Grant {
    /// Where it leads.
    pub(crate) fn target(&self) -> SocketAddrV4 {
        self.target
    }

    /// What counts it.
    pub(crate) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// Notes a new connection.
    pub(crate) fn opened(&self) {
        self.meter.opened();
    }

    /// Whether the client is still in the rule's group.
    pub(crate) fn holds(&self) -> bool {
        let Published { shared, hub } = &self.published;
        self.group.is_none() || shared.group_of(hub, self.source) == self.group
    }

    /// Waits until it does not hold any more.
    pub(crate) async fn revoked(&self) {
        let mut moves = self.published.shared.moves.subscribe();
        while self.holds() {
            if moves.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// Rules at addresses that this machine does not have. They may come yet, or be routed here; so it is said and no more.
async fn strange_destinations(rules: &[DnatRule]) -> Vec<String> {
    let enabled = rules.iter().filter(|rule| rule.enabled);
    let wanted: Vec<(Ipv4Addr, &str)> = enabled
        .filter_map(|rule| rule.dest.zip(Some(rule.name.as_str())))
        .collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let Ok(own) = own_addresses().await else {
        return Vec::new();
    };
    wanted
        .into_iter()
        .filter(|(dest, _)| !own.contains(dest))
        .map(|(dest, name)| {
            format!(
                "rule `{name}` is published at {dest}, which is no address of this machine now; \
                 it works once the address is there, or is routed here"
            )
        })
        .collect()
}

async fn own_addresses() -> Result<Vec<Ipv4Addr>, netdev::Error> {
    let links = Links::new()?;
    let mut own = Vec::new();
    for link in links.list().await? {
        // A link may vanish between the two questions.
        let addresses = links.addresses(&link.name).await.unwrap_or_default();
        own.extend(addresses.iter().filter_map(|address| match address.ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        }));
    }
    Ok(own)
}
