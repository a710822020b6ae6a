//! Rules by what a connection asks for: user NAT's lookup, as quick as that of the kernel's maps.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use super::part::Protocol;
use super::rule::{Client, DnatRule};

/// The places of rules in their list, by protocol and address.
#[derive(Debug, Default)]
pub(super) struct Index(HashMap<(Protocol, Option<Ipv4Addr>), Lane>);

/// Rules that differ in ports and clients only.
#[derive(Debug, Default)]
struct Lane {
    /// Their first ports, in order, and their places.
    rules: Vec<(u16, usize)>,
    /// The highest port of each and all before it: where it is too low, nothing further down matches.
    reach: Vec<u16>,
}

impl Index {
    pub(super) fn new(rules: &[DnatRule]) -> Self {
        let mut lanes: HashMap<_, Lane> = HashMap::new();
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.enabled) {
            for protocol in rule.protocols.each() {
                let lane = lanes.entry((*protocol, rule.dest)).or_default();
                lane.rules.push((rule.ports.first(), place));
            }
        }
        for lane in lanes.values_mut() {
            lane.rules.sort_unstable();
            let mut most = 0;
            lane.reach = lane
                .rules
                .iter()
                .map(|(_, place)| {
                    most = most.max(rules[*place].ports.last());
                    most
                })
                .collect();
        }
        Index(lanes)
    }

    /// The rule that a client's connection to `dest` matches, and where it leads.
    pub(super) fn find<'r>(
        &self,
        rules: &'r [DnatRule],
        protocol: Protocol,
        client: Client<'_>,
        dest: SocketAddrV4,
        dest_is_local: bool,
    ) -> Option<(&'r DnatRule, SocketAddrV4)> {
        [Some(*dest.ip()), None].into_iter().find_map(|at| {
            let lane = self.0.get(&(protocol, at))?;
            let end = lane.rules.partition_point(|(first, _)| *first <= dest.port());
            (0..end)
                .rev()
                .take_while(|i| lane.reach[*i] >= dest.port())
                .find_map(|i| {
                    let rule = &rules[lane.rules[i].1];
                    let to = rule.translate(protocol, client, dest, dest_is_local)?;
                    Some((rule, to))
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_what_the_rules_say_one_by_one() {
        let parse = |name: &str, protocols: &str, ports: &str, sources: &str, dest: &str| {
            DnatRule::parse(name, protocols, ports, "10.0.1.26", sources, dest).unwrap()
        };
        let mut rules = vec![
            parse("wide", "tcp", "1-100", "10.0.0.0/8", ""),
            parse("narrow", "tcp+udp", "50", "11.0.0.0/8", ""),
            parse("here", "tcp", "40-60", "", "198.51.100.7"),
            parse("off", "tcp", "200", "", ""),
            parse("late", "udp", "60-70", "", ""),
        ];
        rules[3].enabled = false;
        let index = Index::new(&rules);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for port in 0..=210 {
                for (dest, local) in [
                    ([198, 51, 100, 7], true),
                    ([192, 168, 30, 1], true),
                    ([1, 1, 1, 1], false),
                ] {
                    for source in [[10, 0, 0, 1], [11, 0, 0, 1]] {
                        let client = Client {
                            address: source.into(),
                            group: None,
                        };
                        let dest = SocketAddrV4::new(dest.into(), port);
                        let found = index.find(&rules, protocol, client, dest, local);
                        // Two rules of this list do match one packet; the one of the address itself goes first.
                        let one_by_one = rules.iter().rev().find_map(|rule| {
                            rule.translate(protocol, client, dest, local).map(|to| (rule, to))
                        });
                        assert_eq!(
                            found.is_some(),
                            one_by_one.is_some(),
                            "{protocol:?} {dest} {source:?}"
                        );
                        if let Some((rule, to)) = found {
                            assert_eq!(rule.translate(protocol, client, dest, local), Some(to));
                        }
                    }
                }
            }
        }
    }
}
