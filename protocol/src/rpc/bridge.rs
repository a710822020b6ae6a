//! Local bridges between a hub and an Ethernet device of the server.

use super::message::message;

message! {
    /// One Ethernet device in an [`EthernetList`].
    pub struct EthernetRow {
        device_name: str "DeviceName",
        /// What Windows calls it; of ours, what it is and which addresses it has.
        network_connection_name: unistr "NetworkConnectionName",
    }

    /// The Ethernet devices a hub can be bridged to.
    pub struct EthernetList {
        devices: counted EthernetRow "EthList",
    }

    /// A bridge to make or to end.
    pub struct LocalBridge {
        device_name: key str "DeviceName",
        hub_name: hub str "HubNameLB",
        /// A new TAP device `tap_NAME`, rather than an existing one.
        tap_mode: bool "TapMode",
        /// The server's address on the TAP device, such as 192.168.30.1/24; ours.
        host_address: optional str "HostAddress",
        /// In an answer, what to know about the device; ours.
        advice: optional unistr "Advice",
    }

    /// One bridge in a [`LocalBridgeList`].
    pub struct LocalBridgeRow {
        device_name: str "DeviceName",
        hub_name: hub str "HubNameLB",
        /// The hub is online.
        online: bool "Online",
        /// The device works.
        active: bool "Active",
        tap_mode: bool "TapMode",
        /// The server's address on the TAP device; ours.
        host_address: optional str "HostAddress",
        /// Why it does not work; ours.
        problem: optional unistr "Problem",
    }

    /// All bridges.
    pub struct LocalBridgeList {
        bridges: counted LocalBridgeRow "LocalBridgeList",
    }

    /// One adapter in a [`VlanAdapterList`].
    pub struct VlanAdapterRow {
        device_name: str "DeviceName",
        guid: str "Guid",
        device_instance_id: str "DeviceInstanceId",
        driver_name: str "DriverName",
        driver_type: str "DriverType",
        support: bool "Support",
        enabled: bool "Enabled",
    }

    /// Adapters of a Windows server whose driver can be made to pass VLAN tags.
    pub struct VlanAdapterList {
        adapters: group VlanAdapterRow "Devices",
    }

    /// Whether this system can bridge at all.
    pub struct BridgeSupport {
        is_bridge_supported_os: bool "IsBridgeSupportedOs",
        is_win_pcap_needed: bool "IsWinPcapNeeded",
    }
}
