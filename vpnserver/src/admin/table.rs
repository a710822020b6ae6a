//! The MAC and the IP table of a hub.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use hub_core::hub::PortId;
use protocol::error::ErrorCode;
use protocol::rpc::table::{IpRow, IpTable, MacRow, MacTable};
use protocol::rpc::{HubKey, HubRequest, Timestamp};

use super::{Administrator, Reply, time};
use crate::hubs::VirtualHub;
use crate::server::Server;

pub(super) async fn macs(server: &Server, _: &Administrator, request: HubRequest) -> Reply<MacTable> {
    let now = Now::read();
    let entries = find(server, &request.hub_name)?.switch.with(|hub| {
        let name = |port: PortId| {
            hub.port(port)
                .map(|port| port.config.name.clone())
                .unwrap_or_default()
        };
        let row = |entry: hub_core::hub::MacEntry| MacRow {
            key: entry.key,
            session_name: name(entry.port),
            mac_address: entry.mac.octets(),
            vlan_id: entry.vlan.map_or(0, |vlan| vlan.get().into()),
            created_time: now.wall(entry.created),
            updated_time: now.wall(entry.updated),
            ..MacRow::default()
        };
        hub.mac_table(now.instant).into_iter().map(row).collect()
    });
    Ok(MacTable {
        hub_name: request.hub_name,
        entries,
    })
}

pub(super) async fn forget_mac(server: &Server, _: &Administrator, request: HubKey) -> Reply<HubKey> {
    let forgotten = find(server, &request.hub_name)?.switch.with(|hub| {
        let table = hub.mac_table(Instant::now());
        let entry = table.iter().find(|entry| entry.key == request.key)?;
        hub.delete_mac(entry.mac, entry.vlan).then_some(())
    });
    forgotten.map(|()| request).ok_or(ErrorCode::ObjectNotFound)
}

pub(super) async fn ips(server: &Server, _: &Administrator, request: HubRequest) -> Reply<IpTable> {
    let now = Now::read();
    let entries = find(server, &request.hub_name)?.switch.with(|hub| {
        let name = |port: PortId| {
            hub.port(port)
                .map(|port| port.config.name.clone())
                .unwrap_or_default()
        };
        let row = |entry: hub_core::hub::IpEntry| IpRow {
            key: entry.key,
            session_name: name(entry.port),
            ip: match entry.ip {
                v4 @ IpAddr::V4(_) => v4,
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.into(),
            },
            ip_v6: entry.ip,
            ip_address: entry.ip,
            dhcp_allocated: entry.leased,
            created_time: now.wall(entry.created),
            updated_time: now.wall(entry.updated),
            ..IpRow::default()
        };
        hub.ip_table(now.instant).into_iter().map(row).collect()
    });
    Ok(IpTable {
        hub_name: request.hub_name,
        entries,
    })
}

pub(super) async fn forget_ip(server: &Server, _: &Administrator, request: HubKey) -> Reply<HubKey> {
    let forgotten = find(server, &request.hub_name)?.switch.with(|hub| {
        let table = hub.ip_table(Instant::now());
        let entry = table.iter().find(|entry| entry.key == request.key)?;
        hub.delete_ip(entry.ip).then_some(())
    });
    forgotten.map(|()| request).ok_or(ErrorCode::ObjectNotFound)
}

fn find(server: &Server, hub: &str) -> Reply<Arc<VirtualHub>> {
    server.hubs.named(hub).ok_or(ErrorCode::HubNotFound)
}

/// One moment on both clocks: the hub counts from one, people read the other.
struct Now {
    instant: Instant,
    wall: SystemTime,
}

impl Now {
    fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    fn wall(&self, at: Instant) -> Timestamp {
        time(self.wall - self.instant.saturating_duration_since(at))
    }
}
