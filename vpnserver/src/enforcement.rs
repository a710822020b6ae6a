//! What policies and options make of ports and hubs (policies §1, §2): the frames themselves are judged in `hub-core`.

use hub_core::guard::{Families, Guards, HubFilters};
use hub_core::hub::{HubConfig, PortConfig, PortKind, Privacy, StormLimit, VlanId};
use protocol::policy::Policy;

use crate::session::Origin;
use crate::store::{HubOption, HubOptions};

/// A session that may not bridge has a few addresses all the same: its own and what its system makes (protocol §9).
const MACS_WITHOUT_BRIDGE: u32 = 3;
/// A session that may not route has a few IP addresses of each version (protocol §9).
const IPV4_WITHOUT_ROUTING: u32 = 4;
const IPV6_WITHOUT_ROUTING: u32 = 15;
/// No policy limits a session to fewer addresses than these (policies §7).
const LEAST_MACS: u32 = 3;
const LEAST_IPV4: u32 = 4;
const LEAST_IPV6: u32 = 5;

/// The port of a session.
#[must_use]
pub fn port_of_session(origin: &Origin) -> PortConfig {
    let policy = &origin.policy;
    let mut port = PortConfig::new(PortKind::Session, origin.name.clone());
    port.user = Some(origin.user.clone());
    port.group.clone_from(&origin.group);
    port.monitor = origin.login.options.monitor;
    port.check_mac = policy.check_mac;
    port.check_ipv4 = policy.check_ip;
    port.check_ipv6 = policy.check_ip_v6;
    port.leased_only = policy.dhcp_force;
    port.max_macs = tighter(
        limit(policy.max_mac, LEAST_MACS),
        policy.no_bridge.then_some(MACS_WITHOUT_BRIDGE),
    );
    port.max_ipv4 = tighter(
        limit(policy.max_ip, LEAST_IPV4),
        policy.no_routing.then_some(IPV4_WITHOUT_ROUTING),
    );
    port.max_ipv6 = tighter(
        limit(policy.max_ip_v6, LEAST_IPV6),
        policy.no_routing_v6.then_some(IPV6_WITHOUT_ROUTING),
    );
    port.guards = guards(policy);
    port.private = policy.privacy_filter;
    port.storm_limit = !policy.no_broadcast_limiter;
    port.over_ipv6 = origin.peer.ip().to_canonical().is_ipv6();
    port.no_default_router =
        policy.no_default_router_in_ra || port.over_ipv6 && policy.no_default_router_in_ra_when_ip_v6;
    port.upload = limit(policy.max_upload, 1);
    port.download = limit(policy.max_download, 1);
    port.vlan = u16::try_from(policy.vlan_id).ok().and_then(VlanId::new);
    port
}

fn guards(policy: &Policy) -> Guards {
    Guards {
        families: Families {
            ipv4: policy.filter_ip_v4,
            ipv6: policy.filter_ip_v6,
            other: policy.filter_non_ip,
        },
        dhcp: policy.dhcp_filter,
        dhcp_server: policy.dhcp_no_server,
        dhcpv6: policy.dhcp_v6_filter,
        dhcpv6_server: policy.dhcp_v6_no_server,
        router_messages: policy.rs_and_ra_filter,
        router_advertisements: policy.ra_filter,
        tcp_server: policy.no_server,
        tcp_server_v6: policy.no_server_v6,
        broadcasts: policy.arp_dhcp_only,
    }
}

/// The port of a local bridge: no policy binds it, but stations behind it cannot take over addresses in use.
#[must_use]
pub fn port_of_bridge(name: String) -> PortConfig {
    let mut port = PortConfig::new(PortKind::LocalBridge, name);
    port.user = Some("Local Bridge".to_owned());
    port
}

/// The port of SecureNAT.
#[must_use]
pub fn port_of_secure_nat(name: String) -> PortConfig {
    let mut port = PortConfig::new(PortKind::SecureNat, name);
    port.user = Some("SecureNAT".to_owned());
    port
}

/// A hub with these options; `config` is what it was before.
#[must_use]
pub fn hub_with(config: HubConfig, options: &HubOptions) -> HubConfig {
    let on = |option| options.is_on(option);
    let adjusted = u16::try_from(options.get(HubOption::AdjustTcpMssValue))
        .ok()
        .filter(|size| *size != 0 && !on(HubOption::DisableAdjustTcpMss));
    HubConfig {
        ip_table: !on(HubOption::NoIpTable),
        only_private_ipv4: on(HubOption::ManageOnlyPrivateIp),
        only_local_ipv6: on(HubOption::ManageOnlyLocalUnicastIpv6),
        ip_parsing: !on(HubOption::DisableIpParsing),
        arp_as_ipv4: on(HubOption::ApplyIpv4AccessListOnArp),
        filters: HubFilters {
            families: Families {
                ipv4: on(HubOption::FilterIpv4),
                ipv6: on(HubOption::FilterIpv6),
                other: on(HubOption::FilterNonIp),
            },
            pppoe: on(HubOption::FilterPppoe),
            ospf: on(HubOption::FilterOspf),
            bpdu: on(HubOption::FilterBpdu),
        },
        privacy: Privacy {
            drop_broadcasts: on(HubOption::DropBroadcastsInPrivacyFilterMode),
            drop_arp: on(HubOption::DropArpInPrivacyFilterMode),
        },
        storm: StormLimit {
            per_second: match options.get(HubOption::BroadcastStormDetectionThreshold) {
                0 => StormLimit::DEFAULT_PER_SECOND,
                chosen => chosen,
            },
            strict: on(HubOption::BroadcastLimiterStrictMode),
        },
        segment_size: adjusted,
        no_default_router_over_ipv6: on(HubOption::NoIpv6DefaultRouterInRaWhenIpv6),
        bridges_check_mac: !on(HubOption::DisableCheckMacOnLocalBridge),
        vlan_type: u16::try_from(options.get(HubOption::VlanTypeId))
            .ok()
            .filter(|kind| *kind >= 0x0600)
            .unwrap_or(0x8100),
        vlans_apart: !on(HubOption::NoManageVlanId),
        ..config
    }
}

/// The lower of two limits, where there are any.
fn tighter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.into_iter().chain(other).min()
}

/// A limit of a policy; 0 is none, and a lower one than `least` is that.
fn limit(value: u32, least: u32) -> Option<u32> {
    (value != 0).then(|| value.max(least))
}
