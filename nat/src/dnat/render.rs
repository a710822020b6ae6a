//! Rules of published hosts as one nftables transaction.

use std::collections::HashMap;

use nftables::expr::FibFlag;
use nftables::schema::Nftables;
use nftables::stmt::{NAT, Statement};
use nftables::types::{NfChainType, NfHook};

use super::publisher::RuleCounter;
use super::rule::DnatRule;
use crate::net::Ipv4Net;
use crate::nft::{self, Ruleset, address, address_type, ct_has, field, is, is_not, network, ports, word};
use crate::tag::Tag;

/// Addresses that only ever mean this machine; a rule without `dest` leaves its own services alone.
const LOOPBACK: Ipv4Net = Ipv4Net::new(std::net::Ipv4Addr::LOCALHOST, 8);

/// The transaction that makes `rules` the content of the table of `tag`, and touches no other table.
///
/// `links` are the networks this machine is directly connected to: a client on the same one as the target would
/// be answered past us, so its connections alone are masqueraded. `counters` are values to go on from.
pub fn render(
    rules: &[DnatRule],
    tag: &Tag,
    links: &[Ipv4Net],
    counters: &HashMap<String, RuleCounter>,
) -> Nftables<'static> {
    let mut set = Ruleset::replace(&tag.dnat_table());
    // The priorities are `dstnat` and `srcnat` of nft(8).
    set.base_chain("prerouting", NfChainType::NAT, NfHook::Prerouting, -100);
    set.base_chain("output", NfChainType::NAT, NfHook::Output, -100);
    set.base_chain("postrouting", NfChainType::NAT, NfHook::Postrouting, 100);
    for rule in rules {
        let seen = counters.get(&rule.name).copied().unwrap_or_default();
        set.rule("prerouting", translation(rule, seen), &rule.name);
        set.rule("output", translation(rule, RuleCounter::default()), &rule.name);
        for statements in return_paths(rule, links) {
            set.rule("postrouting", statements, &rule.name);
        }
    }
    set.into_document()
}

/// What sends a packet to the private host.
fn translation(rule: &DnatRule, seen: RuleCounter) -> Vec<Statement<'static>> {
    let mut statements = Vec::new();
    if let Some(source) = rule.source {
        statements.push(is(field("ip", "saddr"), network(source)));
    }
    match rule.dest {
        Some(dest) => statements.push(is(field("ip", "daddr"), address(dest))),
        None => {
            // Without this a NAT instance would catch everything it forwards for others as well.
            statements.push(is(address_type(FibFlag::Daddr), word("local")));
            statements.push(is_not(field("ip", "daddr"), network(LOOPBACK)));
        }
    }
    statements.push(is(field(rule.protocol.as_str(), "dport"), ports(rule.ports)));
    statements.push(nft::counter(seen.connections, seen.bytes));
    statements.push(Statement::DNAT(Some(NAT {
        addr: Some(address(rule.to.host)),
        family: None,
        port: rule
            .to
            .port
            .map(|port| nftables::expr::Expression::Number(port.into())),
        flags: None,
    })));
    statements
}

/// What brings the answers back through us where the private host would send them elsewhere: to a neighbour on
/// its own network (hairpin), and to this machine itself when it used a public address of its own. Everybody
/// else is answered through the private host's default route, and keeps their address.
fn return_paths(rule: &DnatRule, links: &[Ipv4Net]) -> Vec<Vec<Statement<'static>>> {
    let to_target = || {
        let seen_ports = rule.to.port.map_or(ports(rule.ports), |port| {
            nftables::expr::Expression::Number(port.into())
        });
        vec![
            ct_has("status", "dnat"),
            is(field("ip", "daddr"), address(rule.to.host)),
            is(field(rule.protocol.as_str(), "dport"), seen_ports),
        ]
    };
    let masquerade = |condition: Statement<'static>| {
        let mut statements = to_target();
        statements.push(condition);
        statements.push(Statement::Masquerade(None));
        statements
    };
    let hairpin = links
        .iter()
        .filter(|link| link.contains(rule.to.host))
        .map(|link| masquerade(is(field("ip", "saddr"), network(*link))));
    let own = masquerade(is(address_type(FibFlag::Saddr), word("local")));
    hairpin.chain([own]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rendered(rules: &[DnatRule], links: &[&str]) -> Vec<Value> {
        let links: Vec<Ipv4Net> = links.iter().map(|l| l.parse().unwrap()).collect();
        let document = render(rules, &Tag::new("t1"), &links, &HashMap::new());
        serde_json::to_value(document).unwrap()["nftables"]
            .as_array()
            .unwrap()
            .clone()
    }

    fn rules_of(commands: &[Value], chain: &str) -> Vec<Value> {
        commands
            .iter()
            .map(|c| c["add"]["rule"].clone())
            .filter(|rule| rule["chain"] == chain)
            .collect()
    }

    fn web() -> DnatRule {
        DnatRule::parse(
            "web",
            "tcp",
            "8080",
            "10.0.1.26:80",
            "203.0.113.0/24",
            "198.51.100.7",
        )
        .unwrap()
    }

    #[test]
    fn only_our_own_table_is_named() {
        let commands = rendered(&[web()], &["10.0.1.0/24"]);
        assert_eq!(
            commands[0],
            json!({"add": {"table": {"family": "ip", "name": "hubward_t1.dnat"}}})
        );
        assert_eq!(
            commands[1],
            json!({"delete": {"table": {"family": "ip", "name": "hubward_t1.dnat"}}})
        );
        assert_eq!(commands[2], commands[0]);
        for command in &commands[3..] {
            let object = command["add"].as_object().unwrap().values().next().unwrap();
            assert_eq!(object["table"], "hubward_t1.dnat");
        }
    }

    #[test]
    fn a_rule_becomes_what_an_administrator_would_write() {
        let prerouting = rules_of(&rendered(&[web()], &[]), "prerouting");
        assert_eq!(
            prerouting,
            [json!({
                "family": "ip", "table": "hubward_t1.dnat", "chain": "prerouting", "comment": "web",
                "expr": [
                    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                               "right": {"prefix": {"addr": "203.0.113.0", "len": 24}}}},
                    {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
                               "right": "198.51.100.7"}},
                    {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                               "right": 8080}},
                    {"counter": {"packets": 0, "bytes": 0}},
                    {"dnat": {"addr": "10.0.1.26", "port": 80}},
                ]
            })]
        );
    }

    #[test]
    fn a_rule_without_destination_takes_only_what_is_meant_for_this_machine() {
        let rule = DnatRule::parse("any", "udp", "7000-7010", "10.0.1.26", "", "").unwrap();
        let output = rules_of(&rendered(&[rule], &[]), "output");
        assert_eq!(
            output[0]["expr"],
            json!([
                {"match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}},
                {"match": {"op": "!=", "left": {"payload": {"protocol": "ip", "field": "daddr"}},
                           "right": {"prefix": {"addr": "127.0.0.0", "len": 8}}}},
                {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
                           "right": {"range": [7000, 7010]}}},
                {"counter": {"packets": 0, "bytes": 0}},
                {"dnat": {"addr": "10.0.1.26"}},
            ])
        );
    }

    #[test]
    fn only_neighbours_of_the_target_and_this_machine_are_masqueraded() {
        let postrouting = rules_of(
            &rendered(&[web()], &["10.0.1.0/24", "203.0.113.0/24"]),
            "postrouting",
        );
        assert_eq!(postrouting.len(), 2);
        assert_eq!(
            postrouting[0]["expr"][3]["match"]["right"],
            json!({"prefix": {"addr": "10.0.1.0", "len": 24}})
        );
        assert_eq!(postrouting[1]["expr"][3]["match"]["right"], "local");
        for rule in &postrouting {
            assert_eq!(rule["expr"][1]["match"]["right"], "10.0.1.26");
            assert_eq!(rule["expr"][2]["match"]["right"], 80);
            assert!(rule["expr"][4].as_object().unwrap().contains_key("masquerade"));
        }
    }

    #[test]
    fn counters_go_on_where_they_were() {
        let counters = HashMap::from([(
            "web".to_owned(),
            RuleCounter {
                connections: 7,
                bytes: 420,
            },
        )]);
        let document = render(&[web()], &Tag::new("t1"), &[], &counters);
        let commands = serde_json::to_value(document).unwrap()["nftables"]
            .as_array()
            .unwrap()
            .clone();
        let counted = &rules_of(&commands, "prerouting")[0]["expr"][3];
        assert_eq!(*counted, json!({"counter": {"packets": 7, "bytes": 420}}));
    }
}
