//! Sessions of a hub: users, bridges, cascades, SecureNAT, everything that has a port.

use super::message::{codes, message};
use super::traffic::Traffic;
use crate::policy::Policy;

codes! {
    /// How far a session has come.
    pub enum SessionState {
        Connecting = 0,
        Negotiating = 1,
        Authenticating = 2,
        Established = 3,
        WaitingToRetry = 4,
        Idle = 5,
    }
}

message! {
    /// One session in a [`SessionList`].
    pub struct SessionRow {
        name: str "Name",
        username: str "Username",
        ip: ip "Ip",
        client_ip: ip "ClientIP",
        hostname: str "Hostname",
        max_num_tcp: u32 "MaxNumTcp",
        current_num_tcp: u32 "CurrentNumTcp",
        /// Bytes both ways.
        packet_size: u64 "PacketSize",
        /// Frames both ways.
        packet_num: u64 "PacketNum",
        /// On another member of the cluster.
        remote_session: bool "RemoteSession",
        /// The server that has it.
        remote_hostname: str "RemoteHostname",
        link_mode: bool "LinkMode",
        secure_nat_mode: bool "SecureNATMode",
        bridge_mode: bool "BridgeMode",
        layer3_mode: bool "Layer3Mode",
        client_bridge_mode: bool "Client_BridgeMode",
        client_monitor_mode: bool "Client_MonitorMode",
        vlan_id: u32 "VLanId",
        unique_id: id16 "UniqueId",
        is_dormant_enabled: bool "IsDormantEnabled",
        is_dormant: bool "IsDormant",
        last_comm_dormant: time "LastCommDormant",
        created_time: time "CreatedTime",
        last_comm_time: time "LastCommTime",
    }

    /// All sessions of a hub.
    pub struct SessionList {
        hub_name: hub str "HubName",
        sessions: group SessionRow "SessionList",
    }

    /// What one session is, was promised and has done.
    pub struct SessionStatus {
        hub_name: hub str "HubName",
        name: str "Name",
        username: str "Username",
        real_username: str "RealUsername",
        group_name: str "GroupName",
        client_ip: ip "SessionStatus_ClientIp",
        /// IPv6 form of `client_ip`; zeros for IPv4.
        client_ip6: id16 "SessionStatus_ClientIp6",
        client_host_name: str "SessionStatus_ClientHostName",
        client_ip_address: ip "Client_Ip_Address",
        link: flat LinkState "",
        node: flat Node "",
    }

    /// The state of a connection between a session's two ends, as both a server's session and a client's
    /// connection show it.
    pub struct LinkState {
        account_name: unistr "AccountName",
        server_name: str "ServerName",
        server_product_name: str "ServerProductName",
        cipher_name: str "CipherName",
        session_name: str "SessionName",
        connection_name: str "ConnectionName",
        /// Lets further connections join the session.
        session_key: secret "SessionKey",
        active: bool "Active",
        connected: bool "Connected",
        session_state: code SessionState "SessionStatus",
        server_port: u32 "ServerPort",
        server_product_ver: u32 "ServerProductVer",
        server_product_build: u32 "ServerProductBuild",
        num_connections_established: u32 "NumConnectionsEstablished",
        half_connection: bool "HalfConnection",
        qos: bool "QoS",
        max_tcp_connections: u32 "MaxTcpConnections",
        num_tcp_connections: u32 "NumTcpConnections",
        num_tcp_connections_upload: u32 "NumTcpConnectionsUpload",
        num_tcp_connections_download: u32 "NumTcpConnectionsDownload",
        use_encrypt: bool "UseEncrypt",
        use_compress: bool "UseCompress",
        is_rudp_session: bool "IsRUDPSession",
        underlay_protocol: str "UnderlayProtocol",
        is_udp_acceleration_enabled: bool "IsUdpAccelerationEnabled",
        is_using_udp_acceleration: bool "IsUsingUdpAcceleration",
        is_bridge_mode: bool "IsBridgeMode",
        is_monitor_mode: bool "IsMonitorMode",
        start_time: time "StartTime",
        first_connection_established_time: time "FirstConnectionEstablisiedTime",
        current_connection_established_time: time "CurrentConnectionEstablishTime",
        /// Bytes after compression.
        total_send_size: u64 "TotalSendSize",
        total_recv_size: u64 "TotalRecvSize",
        /// Bytes before compression.
        total_send_size_real: u64 "TotalSendSizeReal",
        total_recv_size_real: u64 "TotalRecvSizeReal",
        vlan_id: u32 "VLanId",
        policy: flat Policy "",
        traffic: flat Traffic "",
        /// The server's certificate, DER.
        server_x: optional data "ServerX",
        /// The client's certificate, DER.
        client_x: optional data "ClientX",
        /// From version 5.02.
        protocol_version: optional str "ProtocolVersion",
        /// From version 5.02.
        protocol_details: optional str "ProtocolDetails",
    }

    /// Both ends of a session as the client described them at login.
    pub struct Node {
        client_product_name: str "ClientProductName",
        client_product_ver: swapped "ClientProductVer",
        client_product_build: swapped "ClientProductBuild",
        client_os_name: str "ClientOsName",
        client_os_ver: str "ClientOsVer",
        client_os_product_id: str "ClientOsProductId",
        client_hostname: str "ClientHostname",
        client_ip_address: ip "ClientIpAddress",
        /// Zeros for IPv4.
        client_ip_address6: id16 "ClientIpAddress6",
        client_port: swapped "ClientPort",
        server_hostname: str "ServerHostname",
        server_ip_address: ip "ServerIpAddress",
        /// Zeros for IPv4.
        server_ip_address6: id16 "ServerIpAddress6",
        server_port: swapped "ServerPort2",
        proxy_hostname: str "ProxyHostname",
        proxy_ip_address: ip "ProxyIpAddress",
        /// Zeros for IPv4.
        proxy_ip_address6: id16 "ProxyIpAddress6",
        proxy_port: swapped "ProxyPort",
        unique_id: id16 "UniqueId",
    }
}
