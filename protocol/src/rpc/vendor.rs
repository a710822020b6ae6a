//! Services of the original vendor: dynamic DNS, relay through the cloud, licences. Our server has none of them; the
//! messages are here because our tool administers servers that do.

use super::cascade::ProxyType;
use super::message::message;

message! {
    /// Dynamic DNS.
    pub struct DdnsStatus {
        /// Error number; 0 for none.
        error_ipv4: u32 "Err_IPv4",
        error_ipv6: u32 "Err_IPv6",
        error_text_ipv4: unistr "ErrStr_IPv4",
        error_text_ipv6: unistr "ErrStr_IPv6",
        current_host_name: str "CurrentHostName",
        current_fqdn: str "CurrentFqdn",
        dns_suffix: str "DnsSuffix",
        current_ipv4: str "CurrentIPv4",
        current_ipv6: str "CurrentIPv6",
    }

    /// The proxy on the way to dynamic DNS.
    pub struct InternetSetting {
        proxy_type: code ProxyType "ProxyType",
        proxy_host_name: str "ProxyHostName",
        proxy_port: u32 "ProxyPort",
        proxy_username: str "ProxyUsername",
        proxy_password: password "ProxyPassword",
        custom_http_header: str "CustomHttpHeader",
    }

    /// Relay through the cloud.
    pub struct AzureStatus {
        is_connected: bool "IsConnected",
        is_enabled: bool "IsEnabled",
    }

    /// One licence key in a [`LicenseKeyList`].
    pub struct LicenseKeyRow {
        id: u32 "Id",
        license_key: str "LicenseKey",
        license_id: str "LicenseId",
        license_name: str "LicenseName",
        expires: time "Expires",
        status: u32 "Status",
        product_id: u32 "ProductId",
        system_id: u64 "SystemId",
        serial_id: u32 "SerialId",
    }

    /// All licence keys.
    pub struct LicenseKeyList {
        keys: counted LicenseKeyRow "LicenseKeyList",
    }

    /// What the licences allow.
    pub struct LicenseStatus {
        edition_id: u32 "EditionId",
        edition_str: str "EditionStr",
        system_id: u64 "SystemId",
        system_expires: time "SystemExpires",
        num_client_connect_license: u32 "NumClientConnectLicense",
        num_bridge_connect_license: u32 "NumBridgeConnectLicense",
        need_subscription: bool "NeedSubscription",
        allow_enterprise_function: bool "AllowEnterpriseFunction",
        subscription_expires: time "SubscriptionExpires",
        is_subscription_expired: bool "IsSubscriptionExpired",
        num_user_creation_license: u32 "NumUserCreationLicense",
        release_date: time "ReleaseDate",
    }
}
