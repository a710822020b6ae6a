//! The nftables table of one hub's kernel NAT.

use nftables::expr::{Expression, MetaKey, NamedExpression, SetItem};
use nftables::schema::Nftables;
use nftables::stmt::Statement;
use nftables::types::{NfChainType, NfHook};

use crate::config::SecureNatConfig;
use crate::nft::{
    Ruleset, accept, address, answers, ct_has, discard, field, is, is_not, meta, network, refuse, word,
};
use crate::refused::REFUSED;
use crate::resolver::DNS_PORT;

/// The transaction that makes the table of `config` the content of `table`.
///
/// Its chains say what user mode does: stations with addresses of the hub's network reach the outside under this
/// machine's address; of the virtual host itself they reach the name service and ping; nobody outside opens
/// connections to them, unless published.
pub(crate) fn render(config: &SecureNatConfig, table: &str, device: &str) -> Nftables<'static> {
    let hub = config.network();
    let from_hub = || is(meta(MetaKey::Iifname), word(device.to_owned()));
    let to_hub = || is(meta(MetaKey::Oifname), word(device.to_owned()));
    let stranger = || is_not(field("ip", "saddr"), network(hub));
    let virtual_host = || is(field("ip", "daddr"), address(config.ip));

    let mut set = Ruleset::replace(table);

    set.base_chain("postrouting", NfChainType::NAT, NfHook::Postrouting, 100);
    let outside = is_not(meta(MetaKey::Oifname), word(device.to_owned()));
    let from_network = is(field("ip", "saddr"), network(hub));
    set.rule(
        "postrouting",
        vec![from_network, outside, Statement::Masquerade(None)],
        "the hub's way out",
    );

    set.base_chain("forward", NfChainType::Filter, NfHook::Forward, 0);
    set.rule(
        "forward",
        vec![from_hub(), stranger(), discard()],
        "sources outside the hub's network",
    );
    set.rule(
        "forward",
        vec![from_hub(), is(field("ip", "daddr"), refused()), discard()],
        "never reached through us",
    );
    set.rule(
        "forward",
        vec![to_hub(), ct_has("status", "dnat"), accept()],
        "published hosts on the hub",
    );
    set.rule("forward", vec![to_hub(), answers(), accept()], "answers");
    set.rule(
        "forward",
        vec![to_hub(), discard()],
        "nobody outside opens connections to the hub",
    );

    set.base_chain("input", NfChainType::Filter, NfHook::Input, 0);
    set.rule(
        "input",
        vec![from_hub(), stranger(), discard()],
        "sources outside the hub's network",
    );
    set.rule(
        "input",
        vec![
            from_hub(),
            is_not(meta(MetaKey::Pkttype), word("host")),
            discard(),
        ],
        "broadcasts",
    );
    set.rule("input", vec![from_hub(), answers(), accept()], "answers");
    for protocol in ["udp", "tcp"] {
        let dns = is(field(protocol, "dport"), Expression::Number(DNS_PORT.into()));
        set.rule(
            "input",
            vec![from_hub(), virtual_host(), dns, accept()],
            "the name service",
        );
    }
    let ping = is(field("icmp", "type"), word("echo-request"));
    set.rule("input", vec![from_hub(), virtual_host(), ping, accept()], "ping");
    set.rule(
        "input",
        vec![from_hub(), virtual_host(), refuse()],
        "no other service of this machine",
    );
    set.into_document()
}

fn refused() -> Expression<'static> {
    let items = REFUSED
        .iter()
        .map(|net| SetItem::Element(network(*net)))
        .collect();
    Expression::Named(NamedExpression::Set(items))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn rendered() -> Vec<Value> {
        let config = SecureNatConfig::with_random_mac([0; 5]);
        let document = render(&config, "hubward_t1", "hwn_t1");
        serde_json::to_value(document).unwrap()["nftables"]
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn only_our_own_table_is_named() {
        for command in rendered() {
            let (_, what) = command.as_object().unwrap().iter().next().unwrap();
            let (kind, object) = what.as_object().unwrap().iter().next().unwrap();
            let name = if kind == "table" {
                &object["name"]
            } else {
                &object["table"]
            };
            assert_eq!(name, "hubward_t1");
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
                {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}},
                           "right": {"prefix": {"addr": "192.168.30.0", "len": 24}}}},
                {"match": {"op": "!=", "left": {"meta": {"key": "oifname"}}, "right": "hwn_t1"}},
                {"masquerade": null},
            ])
        );
    }

    #[test]
    fn every_chain_accepts_what_is_not_ours() {
        let chains: Vec<Value> = rendered()
            .iter()
            .map(|c| c["add"]["chain"].clone())
            .filter(|c| !c.is_null())
            .collect();
        assert_eq!(
            chains.iter().filter(|chain| chain["policy"] == "accept").count(),
            3
        );
        let rules = rendered();
        let filters = rules
            .iter()
            .map(|c| &c["add"]["rule"])
            .filter(|r| r["chain"] == "forward" || r["chain"] == "input");
        for rule in filters {
            let first = &rule["expr"][0]["match"];
            assert_eq!(
                first["right"], "hwn_t1",
                "a rule that touches traffic of others: {rule}"
            );
        }
    }
}
