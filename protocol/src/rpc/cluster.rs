//! Several servers as one.

use super::message::message;
use super::server::ServerType;

message! {
    /// What this server is to a cluster.
    pub struct FarmSetting {
        server_type: code ServerType "ServerType",
        /// Of this member, for clients.
        ports: list u32 "Ports",
        public_ip: ip "PublicIp",
        controller_name: str "ControllerName",
        controller_port: u32 "ControllerPort",
        /// SHA-0 of the controller's password.
        member_password: secret "MemberPassword",
        /// Wins over the hash when it is not empty.
        member_password_plaintext: password "MemberPasswordPlaintext",
        weight: u32 "Weight",
        /// A controller without hubs of its own.
        controller_only: bool "ControllerOnly",
    }

    /// Which member.
    pub struct FarmMemberRequest {
        id: u32 "Id",
    }

    /// One hub of a member.
    pub struct FarmHub {
        hub_name: hub str "HubName",
        dynamic: bool "DynamicHub",
    }

    /// One member in detail.
    pub struct FarmMember {
        id: u32 "Id",
        controller: bool "Controller",
        connected_time: time "ConnectedTime",
        ip: ip "Ip",
        hostname: str "Hostname",
        point: u32 "Point",
        ports: list u32 "Ports",
        /// X.509 in DER.
        server_cert: optional data "ServerCert",
        hubs: group FarmHub "HubsList",
        num_sessions: u32 "NumSessions",
        num_tcp_connections: u32 "NumTcpConnections",
        weight: u32 "Weight",
    }

    /// One member in a [`FarmMemberList`].
    pub struct FarmMemberRow {
        id: u32 "Id",
        controller: bool "Controller",
        connected_time: time "ConnectedTime",
        ip: ip "Ip",
        hostname: str "Hostname",
        point: u32 "Point",
        num_sessions: u32 "NumSessions",
        num_tcp_connections: u32 "NumTcpConnections",
        num_hubs: u32 "NumHubs",
        assigned_client_license: u32 "AssignedClientLicense",
        assigned_bridge_license: u32 "AssignedBridgeLicense",
    }

    /// All members.
    pub struct FarmMemberList {
        members: group FarmMemberRow "FarmMemberList",
    }

    /// A member's connection to its controller.
    pub struct FarmConnection {
        ip: ip "Ip",
        port: u32 "Port",
        online: bool "Online",
        /// Error number; 0 for none.
        last_error: u32 "LastError",
        started_time: time "StartedTime",
        current_connected_time: time "CurrentConnectedTime",
        first_connected_time: time "FirstConnectedTime",
        num_connected: u32 "NumConnected",
        num_try: u32 "NumTry",
        num_failed: u32 "NumFailed",
    }
}
