//! Accounts: the connections that a client service knows how to make.

use crate::rpc::cascade::{LinkAuthType, ProxyType};
use crate::rpc::message::message;

message! {
    /// Which account.
    pub struct AccountName {
        account_name: unistr "AccountName",
    }

    /// A new name for an account.
    pub struct AccountRename {
        old_name: unistr "OldName",
        new_name: unistr "NewName",
    }

    /// An account. `SetAccount` writes all of it, so change one thing by reading first.
    pub struct Account {
        account_name: unistr "AccountName",
        /// Connect when the service starts.
        startup: bool "StartupAccount",
        check_server_cert: bool "CheckServerCert",
        /// Try again where a certificate that is not trusted would end the attempts.
        retry_on_server_cert: bool "RetryOnServerCert",
        /// The one certificate to accept, DER.
        server_cert: optional data "ServerCert",
        /// Trust the system's authorities; from version 5.02.
        add_default_ca: optional bool "AddDefaultCA",
        /// Lets other programs connect and disconnect the account (client RPC §1).
        shortcut_key: id20 "ShortcutKey",
        option: flat ConnectionOption "",
        auth: flat ConnectionAuth "",
        /// The service's own; absent in what a manager sends.
        created: optional time "CreateDateTime",
        updated: optional time "UpdateDateTime",
        last_connected: optional time "LastConnectDateTime",
    }

    /// Where a connection goes, and how.
    pub struct ConnectionOption {
        hostname: str "Hostname",
        port: u32 "Port",
        port_udp: u32 "PortUDP",
        hub_name: str "HubName",
        /// The virtual network adapter.
        device_name: str "DeviceName",
        proxy_type: code ProxyType "ProxyType",
        proxy_name: str "ProxyName",
        proxy_port: u32 "ProxyPort",
        proxy_username: str "ProxyUsername",
        proxy_password: password "ProxyPassword",
        /// Lines for the HTTP proxy.
        custom_http_header: str "CustomHttpHeader",
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
        /// Our address for the connection; from version 5.02.
        bind_local_ip: optional ip "BindLocalIP",
        /// Our port for the connection; from version 5.02.
        bind_local_port: optional u32 "BindLocalPort",
    }

    /// How a connection proves who its user is.
    pub struct ConnectionAuth {
        auth_type: code LinkAuthType "AuthType",
        username: str "Username",
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
        /// For [`LinkAuthType::OpensslEngine`]; from version 5.02.
        openssl_engine_private_key_name: optional str "OpensslEnginePrivateKeyName",
        /// For [`LinkAuthType::OpensslEngine`]; from version 5.02.
        openssl_engine_name: optional str "OpensslEngineName",
    }

    /// One account in an [`AccountList`].
    pub struct AccountRow {
        account_name: unistr "AccountName",
        user_name: str "UserName",
        server_name: str "ServerName",
        port: u32 "Port",
        hub_name: str "HubName",
        device_name: str "DeviceName",
        proxy_type: code ProxyType "ProxyType",
        proxy_name: str "ProxyName",
        startup: bool "StartupAccount",
        /// It has been told to connect.
        active: bool "Active",
        /// It is connected.
        connected: bool "Connected",
        created: time "CreateDateTime",
        updated: time "UpdateDateTime",
        last_connected: time "LastConnectDateTime",
    }

    /// All accounts.
    pub struct AccountList {
        accounts: counted AccountRow "AccountList",
    }
}

/// Tries without end.
pub const RETRY_FOR_EVER: u32 = u32::MAX;

impl ConnectionOption {
    /// What stock managers set in a new account.
    #[must_use]
    pub fn usual() -> Self {
        Self {
            num_retry: RETRY_FOR_EVER,
            retry_interval: 15,
            max_connection: 1,
            use_encrypt: true,
            additional_connection_interval: 1,
            ..Self::default()
        }
    }
}
