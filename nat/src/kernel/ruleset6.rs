//! The nftables table of one hub's IPv6: the twin of [`super::ruleset`] in the family `ip6`.

use nftables::expr::{Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::Nftables;
use nftables::stmt::Statement;
use nftables::types::{NfChainType, NfFamily, NfHook};

use crate::config::SecureNatConfig;
use crate::ipv6::{Ipv6Net, link_local};
use crate::nft::{Ruleset, accept, answers, discard, field, is, is_not, meta, network6, refuse, word};
use crate::refused::REFUSED6;
use crate::resolver::DNS_PORT;

/// Messages without which there is no link: neighbour discovery, and the questions of switches that watch groups
/// (RFC 4890 §4.4.1).
const LINK_MESSAGES: [&str; 3] = ["nd-neighbor-solicit", "nd-neighbor-advert", "mld-listener-query"];

/// The transaction that makes the table of `config` the content of `table`.
pub(super) fn render(config: &SecureNatConfig, table: &str, device: &str) -> Nftables<'static> {
    let mut set = Ruleset::replace_in(NfFamily::IP6, table);
    let hub = Hub {
        network: config.ipv6.prefix,
        own: [config.ipv6.address(), link_local(config.mac_address)].map(|own| Ipv6Net::new(own, 128)),
        device: device.to_owned(),
    };
    hub.way_out(&mut set);
    hub.forward(&mut set);
    hub.input(&mut set);
    set.into_document()
}

struct Hub {
    network: Ipv6Net,
    own: [Ipv6Net; 2],
    device: String,
}

impl Hub {
    fn is_from_hub(&self) -> Statement<'static> {
        is(meta(MetaKey::Iifname), word(self.device.clone()))
    }

    fn is_to_hub(&self) -> Statement<'static> {
        is(meta(MetaKey::Oifname), word(self.device.clone()))
    }

    fn to_virtual_host(&self) -> Statement<'static> {
        is(field("ip6", "daddr"), set_of(&self.own))
    }

    /// NAT66: stations have addresses that nobody else routes here.
    fn way_out(&self, set: &mut Ruleset) {
        set.base_chain("postrouting", NfChainType::NAT, NfHook::Postrouting, 100);
        let outside = is_not(meta(MetaKey::Oifname), word(self.device.clone()));
        let from_network = is(field("ip6", "saddr"), network6(self.network));
        set.rule(
            "postrouting",
            vec![from_network, outside, Statement::Masquerade(None)],
            "the hub's way out",
        );
    }

    fn forward(&self, set: &mut Ruleset) {
        set.base_chain("forward", NfChainType::Filter, NfHook::Forward, 0);
        let stranger = is_not(field("ip6", "saddr"), network6(self.network));
        let refused = is(field("ip6", "daddr"), set_of(&REFUSED6));
        let rules = [
            (
                vec![self.is_from_hub(), stranger, discard()],
                "sources outside the hub's network",
            ),
            (
                vec![self.is_from_hub(), refused, discard()],
                "never reached through us",
            ),
            (vec![self.is_to_hub(), answers(), accept()], "answers"),
            (
                vec![self.is_to_hub(), discard()],
                "nobody outside opens connections to the hub",
            ),
        ];
        for (statements, comment) in rules {
            set.rule("forward", statements, comment);
        }
    }

    fn input(&self, set: &mut Ruleset) {
        set.base_chain("input", NfChainType::Filter, NfHook::Input, 0);
        // Link-local senders, and those that have no address yet.
        let neighbours = [
            self.network,
            Ipv6Net::new([0xfe80, 0, 0, 0, 0, 0, 0, 0].into(), 10),
            Ipv6Net::new([0; 8].into(), 128),
        ];
        let stranger = is_not(field("ip6", "saddr"), set_of(&neighbours));
        let link = is(field("icmpv6", "type"), words(&LINK_MESSAGES));
        let to_group = is_not(meta(MetaKey::Pkttype), word("host"));
        let ping = is(field("icmpv6", "type"), word("echo-request"));
        let name_service = |protocol| is(field(protocol, "dport"), Expression::Number(DNS_PORT.into()));
        let rules = [
            (vec![stranger, discard()], "sources outside the hub's network"),
            (vec![link, accept()], "the link itself"),
            (vec![to_group, discard()], "groups"),
            (vec![answers(), accept()], "answers"),
            (
                vec![self.to_virtual_host(), name_service("udp"), accept()],
                "the name service",
            ),
            (
                vec![self.to_virtual_host(), name_service("tcp"), accept()],
                "the name service",
            ),
            (vec![self.to_virtual_host(), ping, accept()], "ping"),
            (
                vec![self.to_virtual_host(), refuse()],
                "no other service of this machine",
            ),
        ];
        for (mut statements, comment) in rules {
            statements.insert(0, self.is_from_hub());
            set.rule("input", statements, comment);
        }
    }
}

fn words(words: &[&'static str]) -> Expression<'static> {
    let items = words.iter().map(|text| SetItem::Element(word(*text)));
    Expression::Named(NamedExpression::Set(items.collect()))
}

fn set_of(networks: &[Ipv6Net]) -> Expression<'static> {
    let items = networks.iter().map(|net| SetItem::Element(network6(*net)));
    Expression::Named(NamedExpression::Set(items.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rendered() -> Vec<Value> {
        let mut config = SecureNatConfig::with_random_mac([0; 5]);
        config.ipv6.prefix = "fd12:3456:789a::/64".parse().unwrap();
        let document = render(&config, "hubward_t1", "hwn_t1");
        serde_json::to_value(document).unwrap()["nftables"]
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn everything_is_in_our_own_table_of_the_family_ip6() {
        for command in rendered() {
            let (_, what) = command.as_object().unwrap().iter().next().unwrap();
            let (kind, object) = what.as_object().unwrap().iter().next().unwrap();
            let name = if kind == "table" { "name" } else { "table" };
            assert_eq!(
                (&object["family"], &object[name]),
                (&json!("ip6"), &json!("hubward_t1"))
            );
        }
    }

    #[test]
    fn what_leaves_the_hub_is_masqueraded() {
        let rules = rendered();
        let rule = rules
            .iter()
            .find(|c| c["add"]["rule"]["chain"] == "postrouting")
            .unwrap();
        assert_eq!(
            rule["add"]["rule"]["expr"],
            json!([
                {"match": {"op": "==", "left": {"payload": {"protocol": "ip6", "field": "saddr"}},
                           "right": {"prefix": {"addr": "fd12:3456:789a::", "len": 64}}}},
                {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "hwn_t1"}},
                {"masquerade": null},
            ])
        );
    }

    #[test]
    fn only_traffic_of_the_hub_is_judged() {
        let rules = rendered();
        let filters = rules
            .iter()
            .map(|c| &c["add"]["rule"])
            .filter(|r| r["chain"] == "forward" || r["chain"] == "input");
        assert_eq!(filters.clone().count(), 12);
        for rule in filters {
            assert_eq!(rule["expr"][0]["match"]["right"], "hwn_t1", "{rule}");
        }
    }
}
