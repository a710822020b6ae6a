//! What the server can do, in the words of the protocol (admin RPC §3). Tools hide what is not there.

use protocol::rpc::Nothing;
use protocol::rpc::caps::{Cap, Caps};

use super::{Administrator, Reply};
use crate::server::Server;

/// A limit that is none.
const UNLIMITED: u32 = u32::MAX;

/// Found out by the server: tools warn then that the machine's host may hold back frames of a bridge.
const IN_VM: &str = "b_is_in_vm";

/// Name, value, and what it is about. What stock servers have and we have not is named too, as 0: tools ask for it.
const TABLE: &[(&str, u32, &str)] = &[
    (
        "i_max_packet_size",
        1600,
        "Longest Ethernet frame of a session in bytes",
    ),
    ("i_max_hubs", 100_000, "Virtual hubs"),
    ("i_max_sessions", 100_000, "Sessions"),
    ("i_max_user_creation", UNLIMITED, "Users of all hubs together"),
    ("i_max_clients", UNLIMITED, "Sessions of clients"),
    ("i_max_bridges", UNLIMITED, "Sessions of bridges"),
    ("i_max_users_per_hub", UNLIMITED, "Users of one hub"),
    ("i_max_groups_per_hub", UNLIMITED, "Groups of one hub"),
    ("i_max_access_lists", 32_768, "Access list entries of one hub"),
    ("b_support_limit_multilogin", 1, "Limit of one user's sessions"),
    ("b_support_qos", 1, "A connection of its own for priority frames"),
    ("b_support_syslog", 1, "Sending logs to a syslog server"),
    ("b_support_ipsec", 0, "IPsec, L2TP and EtherIP"),
    ("b_support_sstp", 0, "SSTP"),
    ("b_support_openvpn", 0, "OpenVPN"),
    ("b_support_ddns", 0, "Dynamic DNS"),
    ("b_support_ddns_proxy", 0, "Dynamic DNS through a proxy"),
    ("b_support_special_listener", 0, "VPN over ICMP and DNS"),
    (
        "b_cluster_hub_type_fixed",
        1,
        "The type of a hub cannot be changed",
    ),
    ("i_max_mac_tables", 65_536, "MAC addresses of one hub"),
    ("i_max_ip_tables", 65_536, "IP addresses of one hub"),
    ("b_support_securenat", 1, "SecureNAT"),
    ("b_suppport_push_route", 1, "Routes told to DHCP clients"),
    ("b_suppport_push_route_config", 1, "These routes can be set"),
    ("i_max_secnat_tables", 4096, "Flows of one SecureNAT in user mode"),
    ("b_support_cascade", 0, "Cascade connections"),
    ("b_standalone", 1, "Works on its own"),
    ("b_support_config_hub", 1, "Hubs can be made and changed"),
    ("b_vpn_client_connect", 1, "Takes VPN clients"),
    ("b_support_radius", 1, "RADIUS and NT domain authentication"),
    ("b_local_bridge", 1, "Local bridges"),
    ("b_must_install_pcap", 0, "Needs a packet capture driver"),
    ("b_tap_supported", 1, "Local bridges to TAP devices"),
    ("b_support_cascade_cert", 0, "Certificates of cascade connections"),
    ("b_support_config_log", 1, "Log settings of hubs"),
    (
        "b_support_autodelete",
        1,
        "Old log files are deleted when the disk is full",
    ),
    (
        "b_support_config_rw",
        1,
        "The configuration can be read and written as a file",
    ),
    (
        "b_support_hub_admin_option",
        1,
        "Options that restrict a hub's administrator",
    ),
    (
        "b_support_cascade_client_cert",
        0,
        "Client certificates of cascade connections",
    ),
    ("b_support_hide_hub", 1, "Hubs can be hidden from strangers"),
    ("b_support_cluster_admin", 0, "Administration of a cluster"),
    ("b_is_softether", 0, "Is SoftEther VPN itself"),
    ("b_support_layer3", 0, "Virtual layer 3 switches"),
    ("i_max_l3_sw", 0, "Virtual layer 3 switches"),
    ("i_max_l3_if", 0, "Interfaces of one of them"),
    ("i_max_l3_table", 0, "Routes of one of them"),
    ("b_support_cluster", 0, "Clusters"),
    ("b_support_crl", 1, "Certificate revocation lists"),
    ("b_support_ac", 1, "Source address lists"),
    ("b_support_read_log", 1, "Log files can be read"),
    (
        "b_support_rename_cascade",
        0,
        "Cascade connections can be renamed",
    ),
    (IN_VM, 0, "Runs in a virtual machine"),
    ("b_support_check_mac", 1, "Policy CheckMac"),
    ("b_support_check_tcp_state", 1, "Access lists see TCP states"),
    (
        "b_support_radius_retry_interval_and_several_servers",
        1,
        "Several RADIUS servers",
    ),
    ("b_support_vlan", 1, "VLAN of a session by policy"),
    ("b_support_hub_ext_options", 1, "Extended options of hubs"),
    ("b_support_policy_ver_3", 1, "Policies of version 3"),
    ("b_support_ipv6_acl", 1, "Access lists for IPv6"),
    ("b_support_ex_acl", 1, "Access lists with delay, jitter and loss"),
    ("b_support_redirect_url_acl", 1, "Access lists that redirect HTTP"),
    ("b_support_acl_group", 1, "Access lists by group"),
    ("b_support_ipv6_ac", 1, "Source address lists for IPv6"),
    ("b_support_eth_vlan", 0, "VLAN settings of network cards"),
    ("b_support_msg", 1, "A message to users"),
    ("b_support_udp_acceleration", 0, "UDP acceleration"),
    ("b_support_aes_ni", 1, "AES by the processor"),
    ("b_support_azure", 0, "VPN Azure"),
    ("b_vpn3", 1, "Version 3 or newer of the protocol"),
    ("b_vpn4", 1, "Version 4 or newer of the protocol"),
];

pub(super) async fn list(_: &Server, _: &Administrator, _: Nothing) -> Reply<Caps> {
    let in_vm = u32::from(runs_in_a_machine());
    let cap = |(name, value, about): &(&str, u32, &str)| Cap {
        name: (*name).to_owned(),
        value: match *name {
            "b_support_aes_ni" => aes_in_hardware().into(),
            IN_VM => in_vm,
            _ => *value,
        },
        description: (*about).to_owned(),
    };
    Ok(Caps {
        caps: TABLE.iter().map(cap).collect(),
    })
}

/// Whether the processor has instructions for AES.
fn aes_in_hardware() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// A processor that a hypervisor shows says so.
fn runs_in_a_machine() -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = text.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"))
}
