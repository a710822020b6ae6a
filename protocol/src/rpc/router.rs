//! Layer 3 switches: routers between hubs.

use super::message::message;

message! {
    /// One switch in a [`SwitchList`].
    pub struct SwitchRow {
        name: str "Name",
        num_interfaces: u32 "NumInterfaces",
        num_tables: u32 "NumTables",
        /// Started.
        active: bool "Active",
        /// Started, and every hub of its interfaces works.
        online: bool "Online",
    }

    /// All switches.
    pub struct SwitchList {
        switches: counted SwitchRow "L3SWList",
    }

    /// An interface of a switch.
    pub struct SwitchInterface {
        name: key str "Name",
        hub_name: hub str "HubName",
        ip_address: ip "IpAddress",
        subnet_mask: ip "SubnetMask",
    }

    /// One interface in a [`SwitchInterfaceList`].
    pub struct SwitchInterfaceRow {
        hub_name: hub str "HubName",
        ip_address: ip "IpAddress",
        subnet_mask: ip "SubnetMask",
    }

    /// All interfaces of a switch.
    pub struct SwitchInterfaceList {
        name: str "Name",
        interfaces: counted SwitchInterfaceRow "L3IFList",
    }

    /// A route of a switch.
    pub struct SwitchRoute {
        name: key str "Name",
        route: flat SwitchRouteRow "",
    }

    /// One route in a [`SwitchRouteList`].
    pub struct SwitchRouteRow {
        network_address: ip "NetworkAddress",
        subnet_mask: ip "SubnetMask",
        gateway_address: ip "GatewayAddress",
        metric: u32 "Metric",
    }

    /// All routes of a switch.
    pub struct SwitchRouteList {
        name: str "Name",
        routes: counted SwitchRouteRow "L3Table",
    }
}
