//! SecureNAT of a hub.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use nat::{FlowProtocol, LeaseEntry, Mode, NatEntry, SecureNatConfig, TcpState};
use protocol::error::ErrorCode;
use protocol::rpc::securenat::{
    DhcpRow, DhcpTable, NatProtocol, NatRow, NatTable, NatTcpState, SecureNatOption, SecureNatRequest,
    SecureNatStatus,
};
use protocol::rpc::{HubRequest, Timestamp};

use super::{Administrator, Reply, time};
use crate::server::Server;
use crate::store::AdminOption;

/// Bytes of pushed routes that a stock tool keeps.
const STOCK_ROUTES: usize = 3199;

pub(super) async fn enable(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubRequest> {
    switch(server, &request, true).await?;
    Ok(request)
}

pub(super) async fn disable(server: &Server, _: &Administrator, request: HubRequest) -> Reply<HubRequest> {
    switch(server, &request, false).await?;
    Ok(request)
}

async fn switch(server: &Server, request: &HubRequest, enabled: bool) -> Reply<()> {
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                hub.secure_nat.enabled = enabled;
                Ok(())
            })
        })
        .await?;
    Ok(())
}

pub(super) async fn get(
    server: &Server,
    _: &Administrator,
    request: SecureNatRequest,
) -> Reply<SecureNatOption> {
    let hub = server.db.run(move |store| store.hub(&request.hub_name)).await?;
    let config = hub.secure_nat.config;
    Ok(SecureNatOption {
        hub_name: hub.name.to_string(),
        mac_address: config.mac_address.octets(),
        ip: config.ip.into(),
        mask: config.mask.into(),
        use_nat: config.use_nat,
        mtu: config.mtu,
        nat_tcp_timeout: config.nat_tcp_timeout,
        nat_udp_timeout: config.nat_udp_timeout,
        use_dhcp: config.use_dhcp,
        dhcp_lease_ip_start: config.dhcp_lease_ip_start.into(),
        dhcp_lease_ip_end: config.dhcp_lease_ip_end.into(),
        dhcp_subnet_mask: config.dhcp_subnet_mask.into(),
        dhcp_expire_time_span: config.dhcp_expire_time_span,
        dhcp_gateway_address: config.dhcp_gateway_address.into(),
        dhcp_dns_server_address: config.dhcp_dns_server_address.into(),
        dhcp_dns_server_address2: config.dhcp_dns_server_address2.into(),
        dhcp_domain_name: config.dhcp_domain_name.clone(),
        save_log: config.save_log,
        apply_dhcp_push_routes: true,
        dhcp_push_routes: config.dhcp_push_routes.to_string(),
        dhcp_reservations: Some(config.dhcp_reservations.to_string()),
    })
}

pub(super) async fn set(
    server: &Server,
    caller: &Administrator,
    request: SecureNatOption,
) -> Reply<SecureNatOption> {
    let wanted = request.clone();
    let name = request.hub_name.clone();
    let former = server
        .db
        .run(move |store| store.hub(&name))
        .await?
        .secure_nat
        .config;
    let mut config = config(&wanted, &former)?;
    // Tools write all settings to change one, so what this administrator may not switch on stays as it is.
    if caller.is_restricted(AdminOption::NoSecureNatEnableNat) {
        config.use_nat &= former.use_nat;
    }
    if caller.is_restricted(AdminOption::NoSecureNatEnableDhcp) {
        config.use_dhcp &= former.use_dhcp;
    }
    config.validate().map_err(|_| ErrorCode::InvalidParameter)?;
    check_reservations(&config, &former)?;
    server
        .db
        .run(move |store| {
            store.update_hub(&wanted.hub_name, &|hub| {
                let mut config = config.clone();
                if wanted.dhcp_reservations.is_none() {
                    // Somebody may have made one since they were read.
                    config.dhcp_reservations = hub.secure_nat.config.dhcp_reservations.clone();
                }
                hub.secure_nat.config = config;
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

fn config(option: &SecureNatOption, former: &SecureNatConfig) -> Reply<SecureNatConfig> {
    let wrong = ErrorCode::InvalidParameter;
    // Clients that know nothing of pushed routes, or of so many, must not take them away (policies §5).
    let keeps = !option.apply_dhcp_push_routes || is_cut(&option.dhcp_push_routes, former);
    let dhcp_push_routes = if keeps {
        former.dhcp_push_routes.clone()
    } else {
        option.dhcp_push_routes.parse().map_err(|_| wrong)?
    };
    let dhcp_reservations = match &option.dhcp_reservations {
        Some(text) => text.parse().map_err(|_| wrong)?,
        None => former.dhcp_reservations.clone(),
    };
    Ok(SecureNatConfig {
        mac_address: option.mac_address.into(),
        ip: v4(option.ip)?,
        mask: v4(option.mask)?,
        use_nat: option.use_nat,
        mtu: option.mtu,
        nat_tcp_timeout: option.nat_tcp_timeout,
        nat_udp_timeout: option.nat_udp_timeout,
        use_dhcp: option.use_dhcp,
        dhcp_lease_ip_start: v4(option.dhcp_lease_ip_start)?,
        dhcp_lease_ip_end: v4(option.dhcp_lease_ip_end)?,
        dhcp_subnet_mask: v4(option.dhcp_subnet_mask)?,
        dhcp_expire_time_span: option.dhcp_expire_time_span,
        dhcp_gateway_address: v4(option.dhcp_gateway_address)?,
        dhcp_dns_server_address: v4(option.dhcp_dns_server_address)?,
        dhcp_dns_server_address2: v4(option.dhcp_dns_server_address2)?,
        dhcp_domain_name: option.dhcp_domain_name.clone(),
        save_log: option.save_log,
        dhcp_push_routes,
        dhcp_reservations,
        ipv6: former.ipv6.clone(),
    })
}

/// Whether routes are those of the settings without their end: the stock tools keep 3,199 bytes of what they read, and write
/// them back with whatever they change.
fn is_cut(routes: &str, former: &SecureNatConfig) -> bool {
    routes.len() == STOCK_ROUTES && former.dhcp_push_routes.to_string().starts_with(routes)
}

/// Those that were made before may be out of force, because the network has changed since.
fn check_reservations(config: &SecureNatConfig, former: &SecureNatConfig) -> Reply<()> {
    let is_new = |ip| former.dhcp_reservations.holder(ip).is_none();
    let mut made = config.dhcp_reservations.iter().filter(|made| is_new(made.ip));
    if made.any(|made| config.check_reservation(made.ip).is_err()) {
        return Err(ErrorCode::InvalidParameter);
    }
    Ok(())
}

fn v4(address: IpAddr) -> Reply<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(ErrorCode::InvalidParameter),
    }
}

pub(super) async fn status(
    server: &Server,
    _: &Administrator,
    request: HubRequest,
) -> Reply<SecureNatStatus> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    // As the stock server, tells of nothing where nothing runs.
    let Some(status) = hub.secure_nat_status().await else {
        return Ok(SecureNatStatus {
            hub_name: request.hub_name,
            ..SecureNatStatus::default()
        });
    };
    Ok(SecureNatStatus {
        hub_name: request.hub_name,
        num_tcp_sessions: status.tcp,
        num_udp_sessions: status.udp,
        num_icmp_sessions: status.icmp,
        num_dns_sessions: status.dns,
        num_dhcp_clients: status.dhcp_clients,
        is_kernel_mode: status.mode == Mode::Kernel,
        is_raw_ip_mode: false,
        num_dhcp_addresses: Some(status.pool.addresses),
        num_dhcp_available: Some(status.pool.available),
        num_dhcp_set_aside: Some(status.pool.set_aside),
        num_dhcp_reserved: Some(status.pool.reserved),
        num_dhcp_turned_away: Some(status.turned_away),
    })
}

pub(super) async fn nat_table(server: &Server, _: &Administrator, request: HubRequest) -> Reply<NatTable> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    let flows = hub.nat_table().await.unwrap_or_default();
    let at = |time_of: Option<SystemTime>| time_of.map_or(Timestamp::NONE, time);
    let row = |flow: NatEntry| NatRow {
        id: flow.id as u32,
        protocol: match flow.protocol {
            FlowProtocol::Tcp => NatProtocol::Tcp,
            FlowProtocol::Udp => NatProtocol::Udp,
            FlowProtocol::Icmp => NatProtocol::Icmp,
            FlowProtocol::Dns => NatProtocol::Dns,
        },
        src_ip: (*flow.client.ip()).into(),
        src_host: flow.client.ip().to_string(),
        src_port: flow.client.port().into(),
        dest_ip: (*flow.destination.ip()).into(),
        dest_host: flow.destination.ip().to_string(),
        dest_port: flow.destination.port().into(),
        created_time: at(flow.opened),
        last_comm_time: at(flow.last_active),
        send_size: flow.sent.unwrap_or_default(),
        recv_size: flow.received.unwrap_or_default(),
        tcp_state: match flow.tcp_state {
            Some(TcpState::Connecting) | None => NatTcpState::Connecting,
            Some(TcpState::Established) => NatTcpState::Established,
            Some(TcpState::Closing) => NatTcpState::Closing,
        },
    };
    Ok(NatTable {
        hub_name: request.hub_name,
        sessions: flows.into_iter().map(row).collect(),
    })
}

pub(super) async fn dhcp_table(server: &Server, _: &Administrator, request: HubRequest) -> Reply<DhcpTable> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    let leases = hub.dhcp_table().await.unwrap_or_default();
    let name = request.hub_name.clone();
    let mask = server
        .db
        .run(move |store| store.hub(&name))
        .await?
        .secure_nat
        .config
        .dhcp_subnet_mask;
    let row = |(number, lease): (usize, LeaseEntry)| DhcpRow {
        id: super::count(number + 1),
        leased_time: time(lease.since),
        expire_time: time(lease.until),
        mac_address: lease.mac.octets(),
        ip_address: lease.ip.into(),
        mask: u32::from_le_bytes(mask.octets()),
        hostname: lease.host_name,
    };
    Ok(DhcpTable {
        hub_name: request.hub_name,
        leases: leases.into_iter().enumerate().map(row).collect(),
    })
}
