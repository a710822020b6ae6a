//! Virtual network adapters: the devices that frames of accounts come out of.

use crate::rpc::message::message;

message! {
    /// Which adapter.
    pub struct AdapterName {
        device_name: str "DeviceName",
    }

    /// An adapter's address, twelve hexadecimal digits.
    pub struct AdapterAddress {
        device_name: str "DeviceName",
        mac_address: str "MacAddress",
    }

    /// What is known of an adapter. Services on Linux answer questions for it with 33.
    pub struct Adapter {
        device_name: str "DeviceName",
        enabled: bool "Enabled",
        mac_address: str "MacAddress",
        version: str "Version",
        file_name: str "FileName",
        guid: str "Guid",
    }

    /// One adapter in an [`AdapterList`].
    pub struct AdapterRow {
        device_name: str "DeviceName",
        enabled: bool "Enabled",
        /// Twelve hexadecimal digits.
        mac_address: str "MacAddress",
        version: str "Version",
    }

    /// All adapters.
    pub struct AdapterList {
        adapters: counted AdapterRow "AdapterList",
    }
}
