//! What policies and options make of ports and hubs (policies §1, §2): the frames themselves are judged in `hub-core`.

use std::net::IpAddr;

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
    let mut port = port_under(&origin.policy, origin.peer.ip(), origin.name.clone());
    port.user = Some(origin.user.clone());
    port.group.clone_from(&origin.group);
    port.monitor = origin.login.options.monitor;
    port
}

/// A port for a session under this policy, whose peer is there.
fn port_under(policy: &Policy, peer: IpAddr, name: String) -> PortConfig {
    let mut port = PortConfig::new(PortKind::Session, name);
    port.offload = true;
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
    port.over_ipv6 = peer.to_canonical().is_ipv6();
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
    port.offload = true;
    port.user = Some("Local Bridge".to_owned());
    port
}

/// The port of SecureNAT.
#[must_use]
pub fn port_of_secure_nat(name: String) -> PortConfig {
    let mut port = PortConfig::new(PortKind::SecureNat, name);
    port.offload = true;
    port.user = Some("SecureNAT".to_owned());
    port
}

/// Where SecureNAT may do its work: what the hub's options leave of what the server offers, best first. Nothing may be left.
#[must_use]
pub fn nat_modes(options: &HubOptions, offered: nat::Mode, is_forced: bool) -> Vec<nat::Mode> {
    let mut modes = vec![offered];
    if offered != nat::Mode::User && !is_forced {
        modes.push(nat::Mode::User);
    }
    modes.retain(|mode| {
        !options.is_on(match mode {
            nat::Mode::Kernel => HubOption::DisableKernelModeSecureNat,
            nat::Mode::User => HubOption::DisableUserModeSecureNat,
        })
    });
    modes
}

/// How much each station may hold of SecureNAT in user mode, and all together; an option that is 0 leaves the usual bound.
#[must_use]
pub fn nat_limits(options: &HubOptions, descriptors: u32) -> nat::Limits {
    let usual = nat::Limits::default();
    let bound = |option, usual| match options.get(option) {
        0 => usual,
        chosen => chosen,
    };
    nat::Limits {
        tcp_per_client: bound(HubOption::SecureNatMaxTcpSessionsPerIp, usual.tcp_per_client),
        connecting_per_client: bound(
            HubOption::SecureNatMaxTcpSynSentPerIp,
            usual.connecting_per_client,
        ),
        udp_per_client: bound(HubOption::SecureNatMaxUdpSessionsPerIp, usual.udp_per_client),
        dns_per_client: bound(HubOption::SecureNatMaxDnsSessionsPerIp, usual.dns_per_client),
        icmp_per_client: bound(HubOption::SecureNatMaxIcmpSessionsPerIp, usual.icmp_per_client),
        total: usual.total.min(descriptors),
    }
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
        clamp_ports: !on(HubOption::DisableAdjustTcpMss),
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use protocol::policy::TABLE;

    use super::*;

    fn port(policy: &Policy, peer: IpAddr) -> PortConfig {
        port_under(policy, peer, "SID-ALICE-1".to_owned())
    }

    #[test]
    fn every_policy_about_frames_changes_the_port() {
        // These are about logins, connections and clients.
        const OTHERS: [&str; 9] = [
            "Access",
            "MonitorPort",
            "MaxConnection",
            "TimeOut",
            "FixPassword",
            "MultiLogins",
            "NoQoS",
            "NoSavePassword",
            "AutoDisconnect",
        ];
        let peer = Ipv6Addr::LOCALHOST.into();
        let plain = port(&Policy::default(), peer);
        for row in TABLE {
            let mut policy = Policy::default();
            row.set(&mut policy, 1);
            let same = port(&policy, peer) == plain;
            assert_eq!(same, OTHERS.contains(&row.name), "{}", row.name);
        }
    }

    #[test]
    fn a_link_over_ipv6_is_told_from_one_over_ipv4() {
        let policy = Policy {
            no_default_router_in_ra_when_ip_v6: true,
            ..Policy::default()
        };
        for (address, over_ipv6) in [
            ("2001:db8::1", true),
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
        ] {
            let port = port(&policy, address.parse().unwrap());
            assert_eq!(
                (port.over_ipv6, port.no_default_router),
                (over_ipv6, over_ipv6),
                "{address}"
            );
        }
    }

    #[test]
    fn no_policy_takes_a_session_its_last_addresses() {
        let least = Policy {
            max_mac: 1,
            max_ip: 1,
            max_ip_v6: 1,
            ..Policy::default()
        };
        let port = port(&least, Ipv4Addr::LOCALHOST.into());
        assert_eq!(
            (port.max_macs, port.max_ipv4, port.max_ipv6),
            (Some(3), Some(4), Some(5))
        );
    }

    #[test]
    fn options_leave_the_modes_that_they_do_not_forbid() {
        use nat::Mode::{Kernel, User};
        let modes = |kernel_off: bool, user_off: bool, offered, is_forced| {
            let mut options = HubOptions::default();
            options.set(HubOption::DisableKernelModeSecureNat, kernel_off.into());
            options.set(HubOption::DisableUserModeSecureNat, user_off.into());
            nat_modes(&options, offered, is_forced)
        };
        for (kernel_off, user_off, offered, is_forced, expected) in [
            (false, false, Kernel, false, &[Kernel, User][..]),
            (false, false, Kernel, true, &[Kernel]),
            (false, false, User, false, &[User]),
            (true, false, Kernel, false, &[User]),
            (true, false, Kernel, true, &[]),
            (false, true, Kernel, false, &[Kernel]),
            (false, true, User, false, &[]),
            (true, true, Kernel, false, &[]),
        ] {
            assert_eq!(modes(kernel_off, user_off, offered, is_forced), expected);
        }
    }

    #[test]
    fn every_bound_of_a_station_has_its_option() {
        for option in [
            HubOption::SecureNatMaxTcpSessionsPerIp,
            HubOption::SecureNatMaxTcpSynSentPerIp,
            HubOption::SecureNatMaxUdpSessionsPerIp,
            HubOption::SecureNatMaxDnsSessionsPerIp,
            HubOption::SecureNatMaxIcmpSessionsPerIp,
        ] {
            let mut options = HubOptions::default();
            assert_eq!(nat_limits(&options, u32::MAX), nat::Limits::default());
            options.set(option, 7);
            let limits = nat_limits(&options, u32::MAX);
            assert_ne!(limits, nat::Limits::default(), "{}", option.row().name);
        }
        assert_eq!(nat_limits(&HubOptions::default(), 256).total, 256);
    }

    #[test]
    fn every_option_about_frames_changes_the_hub() {
        const ABOUT_FRAMES: [HubOption; 21] = [
            HubOption::NoIpTable,
            HubOption::ManageOnlyPrivateIp,
            HubOption::ManageOnlyLocalUnicastIpv6,
            HubOption::DisableIpParsing,
            HubOption::BroadcastStormDetectionThreshold,
            HubOption::FilterPppoe,
            HubOption::FilterOspf,
            HubOption::FilterIpv4,
            HubOption::FilterIpv6,
            HubOption::FilterNonIp,
            HubOption::FilterBpdu,
            HubOption::NoIpv6DefaultRouterInRaWhenIpv6,
            HubOption::NoManageVlanId,
            HubOption::VlanTypeId,
            HubOption::AdjustTcpMssValue,
            HubOption::DisableAdjustTcpMss,
            HubOption::ApplyIpv4AccessListOnArp,
            HubOption::DisableCheckMacOnLocalBridge,
            HubOption::BroadcastLimiterStrictMode,
            HubOption::DropBroadcastsInPrivacyFilterMode,
            HubOption::DropArpInPrivacyFilterMode,
        ];
        let shown = |options: &HubOptions| format!("{:?}", hub_with(HubConfig::new(7), options));
        let plain = shown(&HubOptions::default());
        for option in ABOUT_FRAMES {
            let mut options = HubOptions::default();
            let value = match option {
                HubOption::VlanTypeId => 0x9100,
                _ => u32::from(option.row().default == 0),
            };
            options.set(option, value);
            assert_ne!(shown(&options), plain, "{}", option.row().name);
        }
    }
}
