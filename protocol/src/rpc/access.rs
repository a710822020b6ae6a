//! What may pass: the access list of a hub, and the addresses its clients may come from.

use super::message::message;

message! {
    /// One rule of an access list. Conditions that are zero or empty do not count; the others must all hold.
    pub struct AccessRule {
        /// Position from 1 on; in answers only.
        id: u32 "Id",
        note: unistr "Note",
        active: bool "Active",
        /// The list is tried in ascending order.
        priority: u32 "Priority",
        /// Drop rather than pass.
        discard: bool "Discard",
        /// The addresses with a `6` are meant; those without hold fillers then.
        is_ipv6: bool "IsIPv6",
        src_ip_address: ip "SrcIpAddress",
        src_subnet_mask: ip "SrcSubnetMask",
        dest_ip_address: ip "DestIpAddress",
        dest_subnet_mask: ip "DestSubnetMask",
        src_ip_address6: id16 "SrcIpAddress6",
        src_subnet_mask6: id16 "SrcSubnetMask6",
        dest_ip_address6: id16 "DestIpAddress6",
        dest_subnet_mask6: id16 "DestSubnetMask6",
        /// IP protocol number.
        protocol: u32 "Protocol",
        src_port_start: u32 "SrcPortStart",
        src_port_end: u32 "SrcPortEnd",
        dest_port_start: u32 "DestPortStart",
        dest_port_end: u32 "DestPortEnd",
        /// User or group of the session that sends.
        src_username: str "SrcUsername",
        /// User or group of the session that receives.
        dest_username: str "DestUsername",
        check_src_mac: bool "CheckSrcMac",
        src_mac_address: mac "SrcMacAddress",
        src_mac_mask: mac "SrcMacMask",
        check_dest_mac: bool "CheckDstMac",
        dest_mac_address: mac "DstMacAddress",
        dest_mac_mask: mac "DstMacMask",
        check_tcp_state: bool "CheckTcpState",
        /// With `check_tcp_state`: established connections, rather than new ones.
        established: bool "Established",
        /// Milliseconds that what passes is held back.
        delay: u32 "Delay",
        /// Percent by which the delay varies.
        jitter: u32 "Jitter",
        /// Percent of what passes that is dropped.
        loss: u32 "Loss",
        /// Names the rule until the server restarts; 32,768 and more.
        unique_id: u32 "UniqueId",
        /// Where HTTP requests are sent instead.
        redirect_url: str "RedirectUrl",
    }

    /// A rule to add.
    pub struct NewAccessRule {
        hub_name: hub str "HubName",
        rule: flat AccessRule "",
    }

    /// A rule to delete.
    pub struct AccessKey {
        hub_name: hub str "HubName",
        /// Position from 1 on, or unique id.
        id: key u32 "Id",
    }

    /// The access list of a hub. Setting replaces all of it.
    pub struct AccessList {
        hub_name: hub str "HubName",
        rules: group AccessRule "AccessList",
    }

    /// One rule about the addresses that clients come from.
    pub struct SourceRule {
        /// Position from 1 on; ignored when set.
        id: u32 "Id",
        /// The first rule in ascending order that fits decides; none means allowed.
        priority: u32 "Priority",
        deny: bool "Deny",
        ip_address: ip "IpAddress",
        /// `subnet_mask` is meant; otherwise the one address is.
        masked: bool "Masked",
        subnet_mask: ip "SubnetMask",
    }

    /// All rules about addresses of a hub. Setting replaces all of them.
    pub struct SourceRules {
        hub_name: hub str "HubName",
        rules: counted SourceRule "ACList",
    }
}
