//! Cascade connections: a hub that is a client of another hub.

use super::message::{codes, message};
use super::session::LinkState;
use crate::policy::Policy;

codes! {
    /// How a cascade reaches its server.
    pub enum ProxyType {
        Direct = 0,
        Http = 1,
        Socks4 = 2,
        Socks5 = 3,
    }

    /// How a cascade proves who it is.
    pub enum LinkAuthType {
        Anonymous = 0,
        /// By the hash of a password.
        Password = 1,
        /// By the password itself.
        PlainPassword = 2,
        Certificate = 3,
        SmartCard = 4,
        OpensslEngine = 5,
    }
}

message! {
    /// Which cascade, for methods that call the hub `HubName`.
    pub struct LinkName {
        hub_name: hub str "HubName",
        account_name: key unistr "AccountName",
    }

    /// Which cascade, for methods that call the hub `HubName_Ex`.
    pub struct LinkRequest {
        hub_name: hub str "HubName_Ex",
        account_name: key unistr "AccountName",
    }

    /// A new name for a cascade.
    pub struct LinkRename {
        hub_name: hub str "HubName",
        old_account_name: key unistr "OldAccountName",
        new_account_name: unistr "NewAccountName",
    }

    /// A cascade. `SetLink` writes all of it, so change one thing by reading first.
    pub struct Link {
        /// Our hub.
        hub_name: hub str "HubName_Ex",
        online: bool "Online",
        account_name: key unistr "AccountName",
        hostname: str "Hostname",
        port: u32 "Port",
        port_udp: u32 "PortUDP",
        /// The hub there.
        remote_hub_name: str "HubName",
        proxy_type: code ProxyType "ProxyType",
        proxy_name: str "ProxyName",
        proxy_port: u32 "ProxyPort",
        proxy_username: str "ProxyUsername",
        proxy_password: password "ProxyPassword",
        /// Lines for the HTTP proxy.
        custom_http_header: str "CustomHttpHeader",
        device_name: str "DeviceName",
        /// 4,294,967,295 for ever.
        num_retry: u32 "NumRetry",
        /// Seconds.
        retry_interval: u32 "RetryInterval",
        max_connection: u32 "MaxConnection",
        use_encrypt: bool "UseEncrypt",
        use_compress: bool "UseCompress",
        half_connection: bool "HalfConnection",
        no_routing_tracking: bool "NoRoutingTracking",
        /// Seconds.
        additional_connection_interval: u32 "AdditionalConnectionInterval",
        /// Seconds that one TCP connection lives; 0 for ever.
        connection_disconnect_span: u32 "ConnectionDisconnectSpan",
        hide_status_window: bool "HideStatusWindow",
        hide_nic_info_window: bool "HideNicInfoWindow",
        require_monitor_mode: bool "RequireMonitorMode",
        require_bridge_routing_mode: bool "RequireBridgeRoutingMode",
        disable_qos: bool "DisableQoS",
        from_admin_pack: bool "FromAdminPack",
        no_udp_acceleration: bool "NoUdpAcceleration",
        host_unique_key: id20 "HostUniqueKey",
        /// None in requests that only ask, as is the user name.
        auth_type: optional code LinkAuthType "AuthType",
        username: optional str "Username",
        /// For [`LinkAuthType::Password`]: SHA-0 of the password and the upper-case user name.
        hashed_password: optional secret "HashedPassword",
        /// For [`LinkAuthType::PlainPassword`].
        plain_password: optional password "PlainPassword",
        /// For [`LinkAuthType::Certificate`]: X.509 in DER.
        client_x: optional data "ClientX",
        /// For [`LinkAuthType::Certificate`]: its RSA key in DER.
        client_k: optional secret "ClientK",
        /// For [`LinkAuthType::SmartCard`].
        secure_public_cert_name: optional str "SecurePublicCertName",
        /// For [`LinkAuthType::SmartCard`].
        secure_private_key_name: optional str "SecurePrivateKeyName",
        /// For [`LinkAuthType::OpensslEngine`]; from version 5.02, as are the fields that follow.
        openssl_engine_private_key_name: optional str "OpensslEnginePrivateKeyName",
        openssl_engine_name: optional str "OpensslEngineName",
        check_server_cert: bool "CheckServerCert",
        /// The one certificate to accept, DER.
        server_cert: optional data "ServerCert",
        /// Trust the system's authorities; from version 5.02.
        add_default_ca: optional bool "AddDefaultCA",
        /// Our address for the connection; from version 5.02.
        bind_local_ip: optional ip "BindLocalIP",
        /// Our port for the connection; from version 5.02.
        bind_local_port: optional u32 "BindLocalPort",
        policy: flat Policy "",
    }

    /// One cascade in a [`LinkList`].
    pub struct LinkRow {
        account_name: unistr "AccountName",
        hostname: str "Hostname",
        /// The hub there, as it is set.
        target_hub_name: str "TargetHubName",
        /// The hub there, as it is connected.
        connected_hub_name: str "ConnectedHubName",
        online: bool "Online",
        connected: bool "Connected",
        connected_time: time "ConnectedTime",
        /// Error number; 0 for none.
        last_error: u32 "LastError",
    }

    /// All cascades of a hub.
    pub struct LinkList {
        hub_name: hub str "HubName",
        links: group LinkRow "LinkList",
    }

    /// The state of a cascade's connection.
    pub struct LinkStatus {
        hub_name: hub str "HubName_Ex",
        state: flat LinkState "",
    }
}
