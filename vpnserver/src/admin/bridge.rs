//! Local bridges.

use netdev::Links;
use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::bridge::{
    BridgeSupport, EthernetList, EthernetRow, LocalBridge, LocalBridgeList, LocalBridgeRow,
};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{self, HubName};

/// Longest name after `tap_`: a device's has 15 characters at most.
const TAP_NAME: usize = 11;
/// Longest name of a device (`IFNAMSIZ` less its NUL).
const DEVICE_NAME: usize = 15;

pub(super) async fn devices(_: &Server, _: &Administrator, _: Nothing) -> Reply<EthernetList> {
    let links = Links::new()
        .map_err(|error| failed(&error))?
        .list()
        .await
        .map_err(|error| failed(&error))?;
    let mut names: Vec<String> = links
        .into_iter()
        .filter(|link| !link.loopback && link.mac.is_some() && !nat::Tag::has_device(&link.name))
        .map(|link| link.name)
        .collect();
    names.sort_unstable();
    let devices = names.into_iter().map(|device_name| EthernetRow {
        device_name,
        network_connection_name: String::new(),
    });
    Ok(EthernetList {
        devices: devices.collect(),
    })
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
    };
    server
        .db
        .run(move |store| store.add_local_bridge(&bridge))
        .await?;
    Ok(request)
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
        let active = match server.hubs.named(bridge.hub.as_str()) {
            Some(hub) => hub.bridge_is_working(&bridge.device).await,
            None => false,
        };
        rows.push(LocalBridgeRow {
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
