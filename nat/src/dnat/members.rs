//! Who is in the groups that rules name, at this moment.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use hub_core::MacAddr;

use super::part::GroupName;

/// A station of a hub whose user is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The group, of the hub that the station is on.
    pub group: String,
    /// The station.
    pub mac: MacAddr,
    /// Its address.
    pub ip: Ipv4Addr,
}

/// The members of a hub's groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubMembers {
    /// The devices of this machine that are plugged into the hub. What comes in elsewhere comes from no member, whatever
    /// address it shows.
    pub devices: Vec<String>,
    /// The stations; an address is there once.
    pub stations: Vec<Member>,
}

/// The members of all hubs, by the hubs' names.
#[derive(Clone, Debug, Default)]
pub(super) struct Members {
    hubs: HashMap<String, HubMembers>,
    /// The groups of addresses, for lookups.
    by_address: HashMap<String, HashMap<Ipv4Addr, GroupName>>,
}

/// A member as the kernel sees it.
pub(super) struct Station<'a> {
    pub(super) device: &'a str,
    pub(super) mac: MacAddr,
    pub(super) ip: Ipv4Addr,
}

impl Members {
    /// Takes the members of one hub in the place of those it had; whether that is news.
    pub(super) fn set(&mut self, hub: &str, members: HubMembers) -> bool {
        let key = hub.to_ascii_lowercase();
        let before = self.hubs.get(&key);
        if before == Some(&members) || (before.is_none() && members == HubMembers::default()) {
            return false;
        }
        let named = |member: &Member| GroupName {
            hub: hub.to_owned(),
            group: member.group.clone(),
        };
        let groups = members.stations.iter().map(|member| (member.ip, named(member)));
        self.by_address.insert(key.clone(), groups.collect());
        self.hubs.insert(key, members);
        true
    }

    /// The group that an address of a hub is in. The hub is named in lower case.
    pub(super) fn group_of(&self, hub: &str, ip: Ipv4Addr) -> Option<&GroupName> {
        self.by_address.get(hub)?.get(&ip)
    }

    /// The members of a group on the hub's devices.
    pub(super) fn stations(&self, group: &GroupName) -> impl Iterator<Item = Station<'_>> {
        let hub = self.hubs.get(&group.hub.to_ascii_lowercase());
        let of_group = move |member: &&Member| member.group.eq_ignore_ascii_case(&group.group);
        hub.into_iter().flat_map(move |hub| {
            let members = hub.stations.iter().filter(of_group);
            members.flat_map(move |member| {
                hub.devices.iter().map(move |device| Station {
                    device,
                    mac: member.mac,
                    ip: member.ip,
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_group_of_its_hub_alone() {
        let mut members = Members::default();
        let ip = Ipv4Addr::new(192, 168, 30, 10);
        let of = |group: &str| HubMembers {
            devices: vec!["hwn_t1".to_owned()],
            stations: vec![Member {
                group: group.to_owned(),
                mac: MacAddr::new([2, 0, 0, 0, 0, 1]),
                ip,
            }],
        };
        assert!(members.set("Office", of("staff")) && members.set("lab", of("guests")));
        assert!(!members.set("OFFICE", of("staff")), "the same again");
        assert_eq!(
            members.group_of("office", ip),
            Some(&"office/Staff".parse().unwrap())
        );
        assert_eq!(members.group_of("lab", ip), Some(&"lab/guests".parse().unwrap()));
        assert_eq!(members.stations(&"office/guests".parse().unwrap()).count(), 0);
        assert!(members.set("office", HubMembers::default()));
        assert_eq!(members.group_of("office", ip), None);
    }
}
