//! The service itself: its version, its password, what it does by itself.

use crate::rpc::cascade::ProxyType;
use crate::rpc::keep::Keep;
use crate::rpc::message::message;

message! {
    /// What the service is.
    pub struct ServiceVersion {
        product_name: str "ClientProductName",
        version: str "ClientVersionString",
        build_info: str "ClientBuildInfoString",
        /// Hundreds are the major version.
        version_number: u32 "ClientVerInt",
        build: u32 "ClientBuildInt",
        process_id: u32 "ProcessId",
        os_type: u32 "OsType",
        /// Adapters must be called VPN, VPN2, ... VPN127.
        vlan_name_regulated: bool "IsVLanNameRegulated",
        vgc_supported: bool "IsVgcSupported",
        show_vgc_link: bool "ShowVgcLink",
        client_id: str "ClientId",
    }

    /// How much a graphical manager shows.
    pub struct ManagerSetting {
        easy_mode: bool "EasyMode",
        lock_mode: bool "LockMode",
        /// SHA-0 of the password that unlocks it.
        hashed_password: secret "HashedPassword",
    }

    /// A new password of the service. It travels as it is, so only on this machine.
    pub struct NewPassword {
        password: password "Password",
        /// Ask callers on this machine for none.
        remote_only: bool "PasswordRemoteOnly",
    }

    /// Whether the service has a password.
    pub struct PasswordSetting {
        present: bool "IsPasswordPresented",
        remote_only: bool "PasswordRemoteOnly",
    }

    /// What the service does by itself.
    pub struct ServiceConfig {
        keep: flat Keep "",
        /// Take calls from other machines.
        allow_remote: bool "AllowRemoteConfig",
    }

    /// The proxy of accounts that use the system's.
    pub struct CommonProxy {
        proxy_type: code ProxyType "ProxyType",
        host: str "ProxyHostName",
        port: u32 "ProxyPort",
        username: str "ProxyUsername",
        password: password "ProxyPassword",
        /// Lines for an HTTP proxy.
        custom_http_header: str "CustomHttpHeader",
    }
}
