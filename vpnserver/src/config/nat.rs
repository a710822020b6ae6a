//! `SecureNAT` of a hub (policies §5).

use std::net::Ipv4Addr;

use hub_core::MacAddr;
use protocol::config::Folder;

use super::ImportError;
use super::bridge::mac_text;
use super::place::Place;
use crate::store::SecureNat;

const FOLDER: &str = "SecureNAT";

/// Sets what the file has; what is missing stays as it is.
pub(super) fn read(hub: &Place<'_>, nat: &mut SecureNat) -> Result<(), ImportError> {
    let Some(place) = hub.folder(FOLDER) else {
        return Ok(());
    };
    nat.enabled = !place.flag_or("Disabled", true)?;
    let config = &mut nat.config;
    config.save_log = place.flag_or("SaveLog", config.save_log)?;
    if let Some(host) = place.folder("VirtualHost") {
        set(&mut config.ip, address(&host, "VirtualHostIp")?);
        set(&mut config.mask, address(&host, "VirtualHostIpSubnetMask")?);
        let mac =
            host.parsed::<MacAddr>("VirtualHostMacAddress", "a MAC address such as 5E-00-00-00-00-01")?;
        set(&mut config.mac_address, mac);
    }
    if let Some(router) = place.folder("VirtualRouter") {
        config.use_nat = router.flag_or("NatEnabled", config.use_nat)?;
        config.mtu = router.uint_or("NatMtu", config.mtu)?;
        config.nat_tcp_timeout = router.uint_or("NatTcpTimeout", config.nat_tcp_timeout)?;
        config.nat_udp_timeout = router.uint_or("NatUdpTimeout", config.nat_udp_timeout)?;
    }
    if let Some(dhcp) = place.folder("VirtualDhcpServer") {
        config.use_dhcp = dhcp.flag_or("DhcpEnabled", config.use_dhcp)?;
        set(
            &mut config.dhcp_lease_ip_start,
            address(&dhcp, "DhcpLeaseIPStart")?,
        );
        set(&mut config.dhcp_lease_ip_end, address(&dhcp, "DhcpLeaseIPEnd")?);
        set(&mut config.dhcp_subnet_mask, address(&dhcp, "DhcpSubnetMask")?);
        config.dhcp_expire_time_span = dhcp.uint_or("DhcpExpireTimeSpan", config.dhcp_expire_time_span)?;
        set(
            &mut config.dhcp_gateway_address,
            address(&dhcp, "DhcpGatewayAddress")?,
        );
        set(
            &mut config.dhcp_dns_server_address,
            address(&dhcp, "DhcpDnsServerAddress")?,
        );
        set(
            &mut config.dhcp_dns_server_address2,
            address(&dhcp, "DhcpDnsServerAddress2")?,
        );
        config.dhcp_domain_name = dhcp.text("DhcpDomainName")?;
        let routes = dhcp.text("DhcpPushRoutes")?;
        config.dhcp_push_routes = routes
            .parse()
            .map_err(|error| dhcp.wrong("DhcpPushRoutes", error))?;
        let reservations = dhcp.text("DhcpReservations")?;
        config.dhcp_reservations = reservations
            .parse()
            .map_err(|error| dhcp.wrong("DhcpReservations", error))?;
    }
    config.validate().map_err(|error| place.error(error).into())
}

fn set<T>(setting: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *setting = value;
    }
}

fn address(place: &Place<'_>, key: &str) -> Result<Option<Ipv4Addr>, ImportError> {
    Ok(place.parsed(key, "an IPv4 address")?)
}

pub(super) fn write(hub: &mut Folder, nat: &SecureNat) {
    let config = &nat.config;
    let folder = hub.folder_mut(FOLDER);
    folder.set("Disabled", !nat.enabled);
    folder.set("SaveLog", config.save_log);
    let host = folder.folder_mut("VirtualHost");
    host.set("VirtualHostIp", config.ip.to_string());
    host.set("VirtualHostIpSubnetMask", config.mask.to_string());
    host.set("VirtualHostMacAddress", mac_text(config.mac_address.octets()));
    let router = folder.folder_mut("VirtualRouter");
    router.set("NatEnabled", config.use_nat);
    router.set("NatMtu", config.mtu);
    router.set("NatTcpTimeout", config.nat_tcp_timeout);
    router.set("NatUdpTimeout", config.nat_udp_timeout);
    let dhcp = folder.folder_mut("VirtualDhcpServer");
    dhcp.set("DhcpEnabled", config.use_dhcp);
    dhcp.set("DhcpLeaseIPStart", config.dhcp_lease_ip_start.to_string());
    dhcp.set("DhcpLeaseIPEnd", config.dhcp_lease_ip_end.to_string());
    dhcp.set("DhcpSubnetMask", config.dhcp_subnet_mask.to_string());
    dhcp.set("DhcpExpireTimeSpan", config.dhcp_expire_time_span);
    dhcp.set("DhcpGatewayAddress", config.dhcp_gateway_address.to_string());
    dhcp.set("DhcpDnsServerAddress", config.dhcp_dns_server_address.to_string());
    dhcp.set(
        "DhcpDnsServerAddress2",
        config.dhcp_dns_server_address2.to_string(),
    );
    dhcp.set("DhcpDomainName", config.dhcp_domain_name.as_str());
    dhcp.set("DhcpPushRoutes", config.dhcp_push_routes.to_string());
    // Ours; the stock server leaves what it does not know.
    if !config.dhcp_reservations.is_empty() {
        dhcp.set("DhcpReservations", config.dhcp_reservations.to_string());
    }
}
