//! IPv6 of a hub's SecureNAT.

use nat::ipv6::Condition;
use nat::{Ipv6Config, Ipv6Net};
use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::securenat::SecureNatIpv6;

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::Id;

/// The word for the network that was made for a hub.
const AUTO: &str = "auto";

pub(super) async fn get(server: &Server, _: &Administrator, request: HubRequest) -> Reply<SecureNatIpv6> {
    let name = request.hub_name.clone();
    let record = server.db.run(move |store| store.hub(&name)).await?;
    let condition = match server.hubs.named(&request.hub_name) {
        Some(hub) => hub.ipv6_condition().await,
        None => None,
    };
    let config = record.secure_nat.config.ipv6;
    Ok(SecureNatIpv6 {
        hub_name: record.name.to_string(),
        enabled: config.enabled,
        prefix: config.prefix.to_string(),
        name_servers: config.name_servers.to_string(),
        preferred_lifetime: config.preferred,
        valid_lifetime: config.valid,
        address: config.address().to_string(),
        status: words(condition.unwrap_or(Condition::Off)).to_owned(),
    })
}

fn words(condition: Condition) -> &'static str {
    match condition {
        Condition::Off => "off",
        Condition::Starting => "starting",
        Condition::AddressTaken => "another station has its address",
        Condition::LinkOnly => "announces addresses and name servers, no way out",
        Condition::Router => "router with a way out",
        Condition::Failed => "failed; the log says why",
    }
}

pub(super) async fn set(server: &Server, _: &Administrator, request: SecureNatIpv6) -> Reply<SecureNatIpv6> {
    let wanted = request.clone();
    let name = request.hub_name.clone();
    let hub = server.db.run(move |store| store.hub(&name)).await?;
    let config = config(&wanted, hub.id)?;
    let valid = config.validate(hub.secure_nat.config.mtu);
    valid.map_err(|error| refused(&wanted, &error.to_string()))?;
    server
        .db
        .run(move |store| {
            store.update_hub(&wanted.hub_name, &|hub| {
                hub.secure_nat.config.ipv6 = config.clone();
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

fn config(wanted: &SecureNatIpv6, hub: Id) -> Reply<Ipv6Config> {
    let usual = hub.default_ipv6();
    let prefix = match wanted.prefix.trim() {
        "" => usual.prefix,
        text if text.eq_ignore_ascii_case(AUTO) => usual.prefix,
        text => text
            .parse::<Ipv6Net>()
            .map_err(|error| refused(wanted, &error.to_string()))?,
    };
    let name_servers = wanted
        .name_servers
        .parse()
        .map_err(|error: nat::ipv6::Ipv6Error| refused(wanted, &error.to_string()))?;
    let or = |seconds: u32, usual: u32| if seconds == 0 { usual } else { seconds };
    Ok(Ipv6Config {
        enabled: wanted.enabled,
        prefix,
        name_servers,
        preferred: or(wanted.preferred_lifetime, usual.preferred),
        valid: or(wanted.valid_lifetime, usual.valid),
    })
}

/// The wire has a number for the caller, and the log the reason.
fn refused(wanted: &SecureNatIpv6, reason: &str) -> ErrorCode {
    tracing::info!(hub = wanted.hub_name, "IPv6 settings refused: {reason}");
    ErrorCode::InvalidParameter
}
