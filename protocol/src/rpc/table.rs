//! The MAC and IP tables of a hub.

use super::message::message;

message! {
    /// One line of a [`MacTable`].
    pub struct MacRow {
        /// What `DeleteMacTable` takes.
        key: u32 "Key",
        session_name: str "SessionName",
        mac_address: mac "MacAddress",
        vlan_id: u32 "VlanId",
        created_time: time "CreatedTime",
        updated_time: time "UpdatedTime",
        /// On another member of the cluster.
        remote_item: bool "RemoteItem",
        /// The server that has it.
        remote_hostname: str "RemoteHostname",
    }

    /// Which MAC address is behind which session.
    pub struct MacTable {
        hub_name: hub str "HubName",
        entries: group MacRow "MacTable",
    }

    /// One line of an [`IpTable`].
    pub struct IpRow {
        /// What `DeleteIpTable` takes.
        key: u32 "Key",
        session_name: str "SessionName",
        /// The address, for clients that know IPv4 only; `::` when it is IPv6.
        ip: ip "Ip",
        /// The address again, for clients of another age.
        ip_v6: ip "IpV6",
        /// The address.
        ip_address: ip "IpAddress",
        /// Given by a DHCP server that the hub watched.
        dhcp_allocated: bool "DhcpAllocated",
        created_time: time "CreatedTime",
        updated_time: time "UpdatedTime",
        /// On another member of the cluster.
        remote_item: bool "RemoteItem",
        /// The server that has it.
        remote_hostname: str "RemoteHostname",
    }

    /// Which IP address is behind which session.
    pub struct IpTable {
        hub_name: hub str "HubName",
        entries: group IpRow "IpTable",
    }
}
