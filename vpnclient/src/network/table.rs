//! A routing table of our own, and the rules that lead into it.
//!
//! The main table stays as it is. Ours is asked before it by everything but the tunnel's own packets, which are marked: so no
//! route that this machine learns from the local network, however exact, comes before one of ours. Tables, rules and routes
//! carry numbers of ours, by which those of a killed client are found; the number of a table is held by an abstract socket name,
//! which ends with its process.

use std::net::IpAddr;

use nat::leftovers::Presence;
use netdev::Rule;
use transport::underlay::{MARK, MARK_MASK};

/// The first table of ours, and how many there may be.
const FIRST: u32 = 720_000;
const COUNT: u32 = 10_000;
/// The rule for answers of the server, at this number plus the table's.
const ANSWERS: u32 = 7_000;
/// All tables are asked for what they name first, then for the rest: a VPN that takes everything leaves another its networks.
const NETWORKS: u32 = ANSWERS + COUNT;
const EVERYTHING: u32 = NETWORKS + 1;

/// A table that belongs to this process.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) number: u32,
    /// `None` where all numbers are somebody's.
    held: Option<Presence>,
}

impl Table {
    /// The table of this device: always the same one, unless somebody else has it.
    pub(super) fn take(device: &str) -> Self {
        let first = device.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let number = |step: u32| FIRST + first.wrapping_add(step) % COUNT;
        let free = (0..COUNT).map(number).find_map(|number| {
            let held = Presence::announce(&name(number))?;
            Some(Self {
                number,
                held: Some(held),
            })
        });
        free.unwrap_or(Self {
            number: number(0),
            held: None,
        })
    }

    /// Its number, if nobody else can have anything in it.
    pub(super) fn alone(&self) -> Option<u32> {
        self.held.as_ref().map(|_| self.number)
    }

    /// The rules that lead into it, in the order in which they are added.
    pub(super) fn rules(&self, ipv4: bool, everything: bool) -> Vec<Rule> {
        let of = if ipv4 { Rule::v4 } else { Rule::v6 };
        let unless = Some((MARK, MARK_MASK));
        let networks = Rule {
            unless,
            without_default: true,
            ..of(NETWORKS, self.number)
        };
        let rest = Rule {
            unless,
            ..of(EVERYTHING, self.number)
        };
        std::iter::once(networks)
            .chain(everything.then_some(rest))
            .collect()
    }

    /// The rule by which whoever is strict about the way back (see `way_back`) sees that the server's answers come in where this
    /// machine would send: they look for that way without the mark. Packets that are not marked and have the address of the local
    /// network as their source are those that somebody bound to it, or answers to it; with IPv6, where the kernel takes the rule for one
    /// about the address that would be chosen, also those that are bound to none.
    pub(super) fn answers(&self, local: IpAddr, server: IpAddr) -> Rule {
        let of = if server.is_ipv4() { Rule::v4 } else { Rule::v6 };
        Rule {
            from: Some(local),
            to: Some(server),
            ..of(ANSWERS + self.number - FIRST, Rule::MAIN)
        }
    }
}

/// The table that a rule or route of ours belongs to.
pub(super) fn of_rule(rule: &Rule) -> Option<u32> {
    let by_priority = rule.priority.checked_sub(ANSWERS).map(|n| n + FIRST);
    let table = if rule.table == Rule::MAIN {
        by_priority
    } else {
        Some(rule.table)
    };
    table.filter(|table| is_ours(*table))
}

/// Whether a number is that of a table of ours.
pub(super) fn is_ours(table: u32) -> bool {
    (FIRST..FIRST + COUNT).contains(&table)
}

/// Whether a client lives that has this table. Somebody else's name counts, too: what is in doubt stays.
pub(super) fn is_held(table: u32) -> bool {
    Presence::announce(&name(table)).is_none()
}

fn name(table: u32) -> String {
    format!("client-table-{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_has_its_table_as_long_as_the_client_lives() {
        let device = format!("t{}", std::process::id());
        let first = Table::take(&device);
        let second = Table::take(&device);
        assert_ne!(first.number, second.number);
        assert!(is_ours(first.number) && is_held(first.number));
        let number = first.number;
        drop(first);
        assert!(!is_held(number));
        assert_eq!(Table::take(&device).number, number);
    }

    #[test]
    fn every_rule_leads_back_to_its_table() {
        let table = Table::take("vpn-of-a-test");
        let (local, server) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut rules = table.rules(true, true);
        rules.extend(table.rules(false, true));
        rules.push(table.answers(local, server));
        assert!(
            rules.iter().all(|rule| of_rule(rule) == Some(table.number)),
            "{rules:?}"
        );
        assert_eq!(of_rule(&Rule::v4(32_766, Rule::MAIN)), None);
    }
}
