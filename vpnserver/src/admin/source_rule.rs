//! Where the clients of a hub may come from.

use protocol::rpc::HubRequest;
use protocol::rpc::access::{SourceRule as Wire, SourceRules};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::SourceRule;

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<SourceRules> {
    let name = request.hub_name.clone();
    let rules = server.db.run(move |store| store.source_rules(&name)).await?;
    let wire = |(id, rule): (u32, SourceRule)| Wire {
        id,
        priority: rule.priority,
        deny: rule.deny,
        ip_address: rule.address,
        masked: rule.mask.is_some(),
        subnet_mask: rule.mask.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()),
    };
    Ok(SourceRules {
        hub_name: request.hub_name,
        rules: (1..).zip(rules).map(wire).collect(),
    })
}

pub(super) async fn set(server: &Server, _: &Administrator, request: SourceRules) -> Reply<SourceRules> {
    let rule = |wire: &Wire| SourceRule {
        priority: wire.priority,
        deny: wire.deny,
        address: wire.ip_address,
        mask: wire.masked.then_some(wire.subnet_mask),
    };
    let rules: Vec<_> = request.rules.iter().map(rule).collect();
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| store.set_source_rules(&name, &rules))
        .await?;
    Ok(request)
}
