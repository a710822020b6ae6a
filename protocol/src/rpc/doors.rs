//! Other protocols that lead into hubs: OpenVPN, SSTP, L2TP/IPsec, EtherIP, WireGuard.

use super::message::{codes, message};

codes! {
    /// What the value of a protocol's option is.
    pub enum OptionType {
        /// Text as bytes.
        Text = 1,
        /// One byte.
        Flag = 2,
    }
}

message! {
    /// Which protocol.
    pub struct ProtocolRequest {
        protocol: str "Protocol",
    }

    /// One option of a protocol.
    pub struct ProtocolOption {
        name: str "Name",
        kind: code OptionType "Type",
        value: data "Value",
    }

    /// Options of a protocol. (The stock server's JSON has three parallel arrays here.)
    pub struct ProtocolOptions {
        protocol: key str "Protocol",
        options: group ProtocolOption "OptionList",
    }

    /// L2TP, with and without IPsec, and EtherIP.
    pub struct IpsecServices {
        l2tp_raw: bool "L2TP_Raw",
        l2tp_ipsec: bool "L2TP_IPsec",
        etherip_ipsec: bool "EtherIP_IPsec",
        ipsec_secret: password "IPsec_Secret",
        l2tp_default_hub: str "L2TP_DefaultHub",
    }

    /// Which EtherIP client.
    pub struct EtherIpRequest {
        id: str "Id",
    }

    /// The user of a hub as whom an EtherIP client comes in.
    pub struct EtherIp {
        /// The name it gives in IKE.
        id: key str "Id",
        hub_name: hub str "HubName",
        user_name: str "UserName",
        password: password "Password",
    }

    /// All EtherIP clients.
    pub struct EtherIpList {
        clients: counted EtherIp "Settings",
    }

    /// OpenVPN and SSTP, as versions before 5.01 switched them.
    pub struct OpenVpnSstp {
        enable_open_vpn: bool "EnableOpenVPN",
        enable_sstp: bool "EnableSSTP",
    }

    /// The user of a hub as whom a WireGuard peer comes in.
    pub struct WireGuardKey {
        /// Public key, base64.
        key: str "Key",
        hub: str "Hub",
        user: str "User",
    }

    /// WireGuard peers; from version 5.02.
    pub struct WireGuardKeys {
        keys: group WireGuardKey "WgkList",
    }
}
