//! Which rules can stand beside each other.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;

use super::refusal::RuleError;
use super::rule::DnatRule;

/// Checks every rule, that names are unique and that no packet matches two rules.
pub fn check(rules: &[DnatRule]) -> Result<(), RuleError> {
    let mut names = HashSet::with_capacity(rules.len());
    for rule in rules {
        rule.validate()?;
        if !names.insert(rule.name.to_ascii_lowercase()) {
            return Err(RuleError::NameTaken(rule.name.clone()));
        }
    }
    match first_clash(rules) {
        Some((earlier, later)) => Err(RuleError::Clash {
            rule: rules[later].name.clone(),
            with: rules[earlier].to_string(),
        }),
        None => Ok(()),
    }
}

/// Two rules that some packet would match, by their places. The ports are swept from the lowest on, and a rule meets only
/// those that are open at its first port and may have its address, so ten thousand rules are compared with few others each.
fn first_clash(rules: &[DnatRule]) -> Option<(usize, usize)> {
    let mut by_port: Vec<usize> = (0..rules.len()).filter(|&i| rules[i].enabled).collect();
    by_port.sort_by_key(|&i| rules[i].ports.first());
    let mut open: BTreeMap<Option<Ipv4Addr>, Vec<usize>> = BTreeMap::new();
    for i in by_port {
        let rule = &rules[i];
        let clashes = |others: &mut Vec<usize>| {
            others.retain(|&other| rules[other].ports.last() >= rule.ports.first());
            others.iter().copied().find(|&other| rules[other].overlaps(rule))
        };
        let found = match rule.dest {
            None => open.values_mut().find_map(clashes),
            dest => [None, dest]
                .iter()
                .find_map(|at| open.get_mut(at).and_then(clashes)),
        };
        if let Some(other) = found {
            return Some((other.min(i), other.max(i)));
        }
        open.entry(rule.dest).or_default().push(i);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dnat::part::{Protocol, Protocols};
    use crate::dnat::rule::Client;
    use crate::dnat::{GroupName, Sources};

    fn rule(name: &str, ports: &str, source: &str, dest: &str) -> DnatRule {
        DnatRule::parse(name, "TCP", ports, "10.0.1.26", source, dest).unwrap()
    }

    fn of_group(rule: DnatRule, group: &str) -> DnatRule {
        DnatRule {
            group: Some(group.parse().unwrap()),
            ..rule
        }
    }

    #[test]
    fn rules_that_share_a_packet_clash_and_the_other_is_named() {
        let clash = |a: DnatRule, b: DnatRule| check(&[a, b]).unwrap_err().to_string();
        let text = clash(rule("a", "80", "", ""), rule("b", "70-90", "", ""));
        assert!(
            text.contains("rule `b`") && text.contains("(a: tcp 80 -> 10.0.1.26)"),
            "{text}"
        );
        let everywhere = clash(rule("a", "80", "", ""), rule("b", "80", "", "1.2.3.4"));
        assert!(everywhere.contains("takes packets of another"), "{everywhere}");
        let inner = clash(
            rule("a", "80", "10.0.0.0/8", ""),
            rule("b", "80", "11.0.0.0/8,10.1.0.0/16", ""),
        );
        assert!(inner.contains("another"), "{inner}");
        let all = clash(
            rule("a", "80", "", ""),
            of_group(rule("b", "80", "", ""), "office/staff"),
        );
        assert!(all.contains("another"), "{all}");
        assert!(clash(rule("a", "80", "", ""), rule("A", "81", "", "")).contains("a rule named `A` exists"));
    }

    #[test]
    fn rules_that_share_no_packet_live_together() {
        let udp = DnatRule {
            protocols: Protocols::Udp,
            ..rule("udp", "80", "", "")
        };
        let resting = DnatRule {
            enabled: false,
            ..rule("resting", "80", "", "")
        };
        check(&[
            rule("at-one", "80", "", "198.51.100.1"),
            rule("at-two", "80", "", "198.51.100.2"),
            rule("other-port", "81", "", ""),
            rule("from-one", "82", "10.0.0.0/8", ""),
            rule("from-two", "82", "11.0.0.0/8", ""),
            of_group(rule("staff", "83", "", ""), "office/staff"),
            of_group(rule("guests", "83", "", ""), "office/guests"),
            udp,
            resting,
        ])
        .unwrap();
    }

    const PORTS: std::ops::RangeInclusive<u16> = 1..=6;
    const DESTS: [Option<&str>; 3] = [None, Some("198.51.100.1"), Some("198.51.100.2")];
    const NETS: [&str; 6] = [
        "",
        "10.0.0.0/30",
        "10.0.0.0/31",
        "10.0.0.2/31",
        "10.0.0.1",
        "10.0.0.0/31,10.0.0.3",
    ];
    const GROUPS: [Option<&str>; 3] = [None, Some("h/a"), Some("h/b")];

    prop_compose! {
        fn any_rule()(
            first in PORTS, more in 0_u16..3, protocols in 0_usize..3, dest in 0..DESTS.len(), net in 0..NETS.len(),
            group in 0..GROUPS.len(), enabled in prop::bool::weighted(0.9),
        ) -> DnatRule {
            let protocols = ["tcp", "udp", "tcp+udp"][protocols];
            let ports = format!("{first}-{}", (first + more).min(*PORTS.end()));
            let mut rule = DnatRule::parse("r", protocols, &ports, "10.0.1.26", NETS[net], DESTS[dest].unwrap_or("")).unwrap();
            rule.group = GROUPS[group].map(|group| group.parse().unwrap());
            rule.enabled = enabled;
            rule
        }
    }

    /// The model: every packet of a small world, and the rules that it matches.
    fn some_packet_matches_two(rules: &[DnatRule]) -> bool {
        let groups: Vec<Option<GroupName>> = GROUPS.iter().map(|g| g.map(|g| g.parse().unwrap())).collect();
        let mut packets = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for port in PORTS {
                for dest in DESTS {
                    // An address of ours that no rule names stands for the rest of them.
                    let dest: Ipv4Addr = dest.unwrap_or("198.51.100.3").parse().unwrap();
                    for source in 0..4 {
                        packets.extend(groups.iter().map(|group| (protocol, port, dest, source, group)));
                    }
                }
            }
        }
        packets.into_iter().any(|(protocol, port, dest, source, group)| {
            let client = Client {
                address: Ipv4Addr::new(10, 0, 0, source),
                group: group.as_ref(),
            };
            let to = std::net::SocketAddrV4::new(dest, port);
            rules
                .iter()
                .filter(|rule| rule.translate(protocol, client, to, true).is_some())
                .count()
                > 1
        })
    }

    proptest! {
        #[test]
        fn rules_clash_exactly_when_a_packet_matches_two(mut rules in prop::collection::vec(any_rule(), 2..6)) {
            for (i, rule) in rules.iter_mut().enumerate() {
                rule.name = format!("r{i}");
            }
            prop_assert_eq!(check(&rules).is_err(), some_packet_matches_two(&rules));
        }

        #[test]
        fn sources_say_the_same_in_few_words(nets in prop::collection::vec(0_usize..NETS.len(), 0..5)) {
            let words: Vec<&str> = nets.iter().map(|&i| NETS[i]).filter(|net| !net.is_empty()).collect();
            let sources: Sources = words.join(",").parse().unwrap();
            let each: Vec<Sources> = words.iter().map(|word| word.parse().unwrap()).collect();
            for host in 0..8 {
                let ip = Ipv4Addr::new(10, 0, 0, host);
                let said = each.is_empty() || each.iter().any(|net| net.contains(ip));
                prop_assert_eq!(sources.contains(ip), said);
            }
            let networks = sources.networks();
            prop_assert!((1..networks.len()).all(|i| !networks[i - 1].overlaps(&networks[i])));
        }
    }
}
