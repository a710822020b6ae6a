//! Who is in the groups that published hosts are for: the stations behind the sessions of their users, by the addresses
//! that were leased to them or that they were seen to use.
//!
//! A login, a lease, a logout and a change of users are followed at once; an address that a station chose itself is found
//! by looking. A station keeps what it has while its session lasts, also when it is silent for longer than the hub
//! remembers addresses, until somebody else shows the address to be theirs.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hub_core::MacAddr;
use nat::dnat::{HubMembers, Member};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::events::{Event, Events};
use crate::hubs::VirtualHub;
use crate::server::Server;
use crate::store::{Store, StoreError, folded};

/// How often it is looked for addresses that stations chose themselves.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Looking may take one part of this many of the time.
const SHARE: u32 = 50;

/// The group of a user, if there is one, by hub and user.
type GroupsOfUsers = HashMap<(String, String), Option<String>>;

/// What is known of the members, and the wish to know anew.
#[derive(Clone, Default)]
pub(crate) struct Membership {
    news: Arc<Notify>,
    known: Arc<tokio::sync::Mutex<Known>>,
    /// As the store had them.
    groups: Arc<Mutex<GroupsOfUsers>>,
}

#[derive(Default)]
struct Known {
    hubs: BTreeMap<String, BTreeMap<Ipv4Addr, Station>>,
    trouble: Option<String>,
}

/// A station that is a member.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Station {
    session: String,
    mac: MacAddr,
    group: String,
}

impl Membership {
    /// Hears of what may change it.
    pub(crate) fn listening_to(events: &Events) -> Self {
        let membership = Self::default();
        let news = Arc::clone(&membership.news);
        events.read_with(move |event| {
            if matches!(
                event,
                Event::SessionOpened { .. } | Event::SessionEnded { .. } | Event::LeaseGiven { .. }
            ) {
                news.notify_one();
            }
        });
        membership
    }

    /// Users, groups, or the rules that name them have changed.
    pub(crate) fn forget_users(&self) {
        self.news.notify_one();
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Server {
    /// Follows the members of groups, for ever. While no rule names a group, nothing is looked for.
    pub(crate) async fn follow_members(&self) {
        let news = Arc::clone(&self.membership.news);
        loop {
            let began = Instant::now();
            self.bring_members().await;
            let pause = LOOK_INTERVAL.max(began.elapsed() * SHARE);
            if self.publisher().groups().is_empty() {
                news.notified().await;
            } else {
                tokio::select! {
                    () = news.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// Brings the members of groups to what is so now.
    pub(crate) async fn bring_members(&self) {
        let mut known = self.membership.known.lock().await;
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for group in self.publisher().groups() {
            wanted
                .entry(folded(&group.hub))
                .or_default()
                .insert(folded(&group.group));
        }
        let hubs: Vec<String> = wanted.keys().chain(known.hubs.keys()).cloned().collect();
        for hub in hubs.into_iter().collect::<BTreeSet<_>>() {
            let before = known.hubs.remove(&hub).unwrap_or_default();
            let members = match (self.hubs.named(&hub), wanted.get(&hub)) {
                (Some(running), Some(groups)) => {
                    match self.members_of(&running, groups, before.clone()).await {
                        Ok((now, members)) => {
                            known.hubs.insert(hub.clone(), now);
                            members
                        }
                        Err(error) => {
                            tracing::warn!(hub, %error, "members of groups are as they were: the store cannot be read");
                            known.hubs.insert(hub, before);
                            continue;
                        }
                    }
                }
                _ => HubMembers::default(),
            };
            let trouble = self.publisher().set_members(&hub, members).await.err();
            self.report_members(&mut known, &hub, trouble.map(|error| error.to_string()));
        }
    }

    /// Says what is wrong once.
    fn report_members(&self, known: &mut Known, hub: &str, trouble: Option<String>) {
        if let Some(reason) = &trouble
            && known.trouble != trouble
        {
            self.events.report(&Event::PartFailed {
                hub: Some(hub.to_owned()),
                part: "published hosts of groups".to_owned(),
                reason: reason.clone(),
            });
        }
        known.trouble = trouble;
    }

    async fn members_of(
        &self,
        hub: &VirtualHub,
        groups: &BTreeSet<String>,
        mut before: BTreeMap<Ipv4Addr, Station>,
    ) -> Result<(BTreeMap<Ipv4Addr, Station>, HubMembers), StoreError> {
        let sessions = self.groups_of_sessions(&hub.name).await?;
        let devices = hub.devices().await;
        let group_of = |session: &str| {
            sessions
                .get(session)
                .filter(|group| groups.contains(&folded(*group)))
        };
        let now = Instant::now();
        let mut members = BTreeMap::new();
        for (ip, mac, session) in addresses(hub, now) {
            // Whoever shows an address to be theirs has it, member or not.
            before.remove(&ip);
            if let Some(group) = group_of(&session) {
                let group = group.clone();
                members.insert(ip, Station { session, mac, group });
            }
        }
        for (ip, member) in before {
            if group_of(&member.session) == Some(&member.group) {
                members.insert(ip, member);
            }
        }
        let stations = members.iter().map(|(ip, member)| Member {
            group: member.group.clone(),
            mac: member.mac,
            ip: *ip,
        });
        let stations = stations.collect();
        Ok((members, HubMembers { devices, stations }))
    }

    /// The groups that the users of a hub's sessions are in now, by the sessions' names.
    async fn groups_of_sessions(&self, hub: &str) -> Result<HashMap<String, String>, StoreError> {
        let sessions: Vec<(String, String)> = self
            .sessions
            .of_hub(hub)
            .iter()
            .map(|session| (session.origin.name.clone(), folded(&session.origin.user)))
            .collect();
        let unknown: HashSet<String> = {
            let groups = self
                .membership
                .groups
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let users = sessions.iter().map(|(_, user)| user);
            users
                .filter(|user| !groups.contains_key(&key(hub, user)))
                .cloned()
                .collect()
        };
        if !unknown.is_empty() {
            let name = hub.to_owned();
            let found = self
                .db
                .run(move |store| {
                    let users = unknown.into_iter();
                    users
                        .map(|user| group_of(store, &name, user))
                        .collect::<Result<Vec<_>, _>>()
                })
                .await?;
            let mut groups = self
                .membership
                .groups
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            groups.extend(found.into_iter().map(|(user, group)| (key(hub, &user), group)));
        }
        let groups = self
            .membership
            .groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let in_group = |(session, user): (String, String)| {
            let group = groups.get(&key(hub, &user))?.clone()?;
            Some((session, group))
        };
        Ok(sessions.into_iter().filter_map(in_group).collect())
    }
}

fn key(hub: &str, user: &str) -> (String, String) {
    (folded(hub), user.to_owned())
}

/// A user without a record has that of `*`, as at the login.
fn group_of(store: &dyn Store, hub: &str, user: String) -> Result<(String, Option<String>), StoreError> {
    let found = match store.user(hub, &user) {
        Err(StoreError::UserNotFound { .. }) => store.user(hub, "*"),
        found => found,
    };
    let group = match found {
        Ok(found) => found.group.map(|group| group.to_string()),
        Err(StoreError::UserNotFound { .. } | StoreError::HubNotFound(_)) => None,
        Err(error) => return Err(error),
    };
    Ok((user, group))
}

/// The IPv4 addresses that the hub knows, their stations, and the names of the ports that they are behind.
fn addresses(hub: &VirtualHub, now: Instant) -> Vec<(Ipv4Addr, MacAddr, String)> {
    hub.switch.with(|hub| {
        let entries = hub.ip_table(now).into_iter();
        entries
            .filter_map(|entry| {
                let IpAddr::V4(ip) = entry.ip else { return None };
                let port = hub.port(entry.port)?;
                Some((ip, entry.mac, port.config.name.clone()))
            })
            .collect()
    })
}
