//! TCP connections that are not part of a session yet, administration among them.

use super::message::{codes, message};

codes! {
    /// What a connection is for.
    pub enum ConnectionType {
        Client = 0,
        Initialising = 1,
        Login = 2,
        AdditionalConnection = 3,
        FarmRpc = 4,
        AdminRpc = 5,
        HubEnumeration = 6,
        PasswordChange = 7,
        Sstp = 8,
        OpenVpn = 9,
    }
}

message! {
    /// One connection in a [`ConnectionList`].
    pub struct ConnectionRow {
        name: str "Name",
        hostname: str "Hostname",
        ip: ip "Ip",
        port: u32 "Port",
        connected_time: time "ConnectedTime",
        kind: code ConnectionType "Type",
    }

    /// All connections.
    pub struct ConnectionList {
        connections: group ConnectionRow "ConnectionList",
    }

    /// One connection in detail.
    pub struct ConnectionInfo {
        name: str "Name",
        hostname: str "Hostname",
        ip: ip "Ip",
        port: u32 "Port",
        connected_time: time "ConnectedTime",
        kind: code ConnectionType "Type",
        server_str: str "ServerStr",
        server_ver: u32 "ServerVer",
        server_build: u32 "ServerBuild",
        client_str: str "ClientStr",
        client_ver: u32 "ClientVer",
        client_build: u32 "ClientBuild",
    }
}
