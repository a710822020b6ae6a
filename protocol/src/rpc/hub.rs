//! Virtual hubs.

use super::message::{codes, message};
use super::traffic::Traffic;

codes! {
    /// What a hub is to a cluster.
    pub enum HubType {
        Standalone = 0,
        Static = 1,
        Dynamic = 2,
    }
}

message! {
    /// A hub's own settings. `SetHub` writes all of them, so change one by reading first; only the password stays
    /// when neither form of it is given (admin RPC §2).
    pub struct HubSettings {
        hub_name: hub str "HubName",
        /// SHA-0 of the hub administrator's password; zeros for "as it is".
        hashed_password: secret "HashedPassword",
        /// SHA-0 of the password and `ADMINISTRATOR`; zeros for "as it is".
        secure_password: secret "SecurePassword",
        /// From JSON clients; wins over the hashes when it is not empty.
        admin_password_plain_text: password "AdminPasswordPlainText",
        online: bool "Online",
        /// 0 for no limit.
        max_session: u32 "MaxSession",
        /// Not shown to anonymous clients that ask for the list of hubs.
        no_enum: bool "NoEnum",
        hub_type: code HubType "HubType",
        /// IPv4, first octet lowest; from version 5.02.
        default_gateway: optional u32 "DefaultGateway",
        /// IPv4, first octet lowest; from version 5.02.
        default_subnet: optional u32 "DefaultSubnet",
    }

    /// One hub in a [`HubList`].
    pub struct HubRow {
        hub_name: hub str "HubName",
        online: bool "Online",
        hub_type: code HubType "HubType",
        num_sessions: u32 "NumSessions",
        num_users: u32 "NumUsers",
        num_groups: u32 "NumGroups",
        num_mac_tables: u32 "NumMacTables",
        num_ip_tables: u32 "NumIpTables",
        last_comm_time: time "LastCommTime",
        created_time: time "CreatedTime",
        last_login_time: time "LastLoginTime",
        num_login: u32 "NumLogin",
        /// The traffic counters are meant.
        is_traffic_filled: bool "IsTrafficFilled",
        traffic: flat Traffic "Ex.",
    }

    /// All hubs that the caller may see.
    pub struct HubList {
        hubs: group HubRow "HubList",
    }

    /// A hub's state and counters.
    pub struct HubStatus {
        hub_name: hub str "HubName",
        online: bool "Online",
        hub_type: code HubType "HubType",
        num_sessions: u32 "NumSessions",
        num_sessions_client: u32 "NumSessionsClient",
        num_sessions_bridge: u32 "NumSessionsBridge",
        num_access_lists: u32 "NumAccessLists",
        num_users: u32 "NumUsers",
        num_groups: u32 "NumGroups",
        num_mac_tables: u32 "NumMacTables",
        num_ip_tables: u32 "NumIpTables",
        secure_nat_enabled: bool "SecureNATEnabled",
        traffic: flat Traffic "",
        last_comm_time: time "LastCommTime",
        created_time: time "CreatedTime",
        last_login_time: time "LastLoginTime",
        num_login: u32 "NumLogin",
    }

    /// Puts a hub online or offline.
    pub struct HubOnline {
        hub_name: hub str "HubName",
        online: bool "Online",
    }

    /// A RADIUS server that a hub asks.
    pub struct HubRadius {
        hub_name: hub str "HubName",
        /// Several separated by comma or semicolon; empty for none.
        radius_server_name: str "RadiusServerName",
        radius_port: u32 "RadiusPort",
        radius_secret: password "RadiusSecret",
        /// Milliseconds.
        radius_retry_interval: u32 "RadiusRetryInterval",
        /// Milliseconds; from version 5.02.
        radius_retry_timeout: optional u32 "RadiusRetryTimeout",
    }

    /// A text for people: a hub's welcome, or the server's word to its administrators.
    pub struct HubMessage {
        hub_name: hub str "HubName",
        /// UTF-8.
        msg: data "Msg",
    }
}
