//! Ports the server listens on.

use super::message::message;

message! {
    /// A TCP port to open, close, start or stop.
    pub struct Listener {
        port: key u32 "Port",
        enable: bool "Enable",
    }

    /// One TCP port in a [`ListenerList`].
    pub struct ListenerRow {
        port: u32 "Ports",
        enabled: bool "Enables",
        /// Enabled, but the port cannot be bound.
        error: bool "Errors",
    }

    /// All TCP ports.
    pub struct ListenerList {
        listeners: group ListenerRow "ListenerList",
    }

    /// All UDP ports.
    pub struct UdpPorts {
        ports: list u32 "Ports",
    }

    /// Listeners that hide in other protocols.
    pub struct SpecialListener {
        vpn_over_icmp: bool "VpnOverIcmpListener",
        vpn_over_dns: bool "VpnOverDnsListener",
    }
}
