//! Local bridges.

use netdev::Links;
use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::bridge::{
    BridgeSupport, EthernetList, EthernetRow, LocalBridge, LocalBridgeList, LocalBridgeRow,
};

use super::{Administrator, Reply};
use crate::bridge;
use crate::server::Server;
use crate::store::{self, HostAddress, HubName};

/// Longest name after `tap_`: a device's has 15 characters at most.
const TAP_NAME: usize = 11;
/// Longest name of a device (`IFNAMSIZ` less its NUL).
const DEVICE_NAME: usize = 15;

pub(super) async fn devices(_: &Server, _: &Administrator, _: Nothing) -> Reply<EthernetList> {
    let links = Links::new().map_err(|error| failed(&error))?;
    let mut all = links.list().await.map_err(|error| failed(&error))?;
    all.retain(|link| {
        let is_ours = nat::Tag::has_device(&link.name) || bridge::is_port_of_ours(&link.name);
        !link.loopback && link.mac.is_some() && !is_ours
    });
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let mut devices = Vec::with_capacity(all.len());
    for link in all {
        devices.push(EthernetRow {
            network_connection_name: bridge::about(&link, &links).await,
            device_name: link.name,
        });
    }
    Ok(EthernetList { devices })
}

pub(super) async fn create(server: &Server, _: &Administrator, request: LocalBridge) -> Reply<LocalBridge> {
    let longest = if request.tap_mode { TAP_NAME } else { DEVICE_NAME };
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    if !(1..=longest).contains(&request.device_name.len()) || !request.device_name.chars().all(legal) {
        return Err(ErrorCode::InvalidParameter);
    }
    let mut mac: [u8; 6] = rand::random();
    mac[0] = mac[0] & 0xfc | 0x02; // a station's address, locally administered
    let bridge = store::LocalBridge {
        hub: HubName::parse(&request.hub_name).map_err(|_| ErrorCode::InvalidParameter)?,
        device: request.device_name.clone(),
        tap: request.tap_mode.then_some(mac),
        address: address(&request)?,
    };
    server
        .db
        .run(move |store| store.add_local_bridge(&bridge))
        .await?;
    let advice = match request.tap_mode {
        true => None,
        false => advice(&request.device_name).await,
    };
    Ok(LocalBridge { advice, ..request })
}

/// Changes the address alone: what else a bridge is, is its name.
pub(super) async fn set(server: &Server, _: &Administrator, request: LocalBridge) -> Reply<LocalBridge> {
    let address = address(&request)?;
    let (hub, device) = (request.hub_name.clone(), request.device_name.clone());
    server
        .db
        .run(move |store| store.set_bridge_address(&hub, &device, address))
        .await?;
    Ok(request)
}

fn address(request: &LocalBridge) -> Reply<Option<HostAddress>> {
    match request.host_address.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| ErrorCode::InvalidParameter),
    }
}

/// An interface that cannot be looked at is explained by the bridge that does not start.
async fn advice(device: &str) -> Option<String> {
    let links = Links::new().ok()?;
    let link = links.link(device).await.ok()?;
    bridge::advice(&link, &links).await
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: LocalBridge) -> Reply<LocalBridge> {
    let (hub, device) = (request.hub_name.clone(), request.device_name.clone());
    server
        .db
        .run(move |store| store.delete_local_bridge(&hub, &device))
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, caller: &Administrator, _: Nothing) -> Reply<LocalBridgeList> {
    let (bridges, hubs) = server
        .db
        .run(|store| Ok((store.local_bridges()?, store.hubs()?)))
        .await?;
    let online = |name: &HubName| hubs.iter().any(|hub| hub.name == *name && hub.online);
    let mut rows = Vec::with_capacity(bridges.len());
    for bridge in bridges
        .into_iter()
        .filter(|bridge| caller.sees(bridge.hub.as_str()))
    {
        let (active, problem) = match server.hubs.named(bridge.hub.as_str()) {
            Some(hub) => (
                hub.bridge_is_working(&bridge.device).await,
                hub.bridge_trouble(&bridge).await,
            ),
            None => (false, None),
        };
        rows.push(LocalBridgeRow {
            host_address: bridge.address.map(|address| address.to_string()),
            problem,
            online: online(&bridge.hub),
            hub_name: bridge.hub.to_string(),
            device_name: bridge.device,
            active,
            tap_mode: bridge.tap.is_some(),
        });
    }
    Ok(LocalBridgeList { bridges: rows })
}

/// Whether this process could make one now.
pub(super) async fn support(_: &Server, _: &Administrator, _: Nothing) -> Reply<BridgeSupport> {
    let supported = netdev::capability::probe().net_admin;
    Ok(BridgeSupport {
        is_bridge_supported_os: supported,
        is_win_pcap_needed: false,
    })
}

fn failed(error: &netdev::Error) -> ErrorCode {
    tracing::warn!(%error, "the network devices cannot be listed");
    ErrorCode::Internal
}
