//! Smart cards, for services that have their drivers.

use crate::rpc::message::message;

message! {
    /// Which driver.
    pub struct CardDevice {
        device_id: u32 "DeviceId",
    }

    /// One driver in a [`CardDeviceList`].
    pub struct CardDeviceRow {
        device_id: u32 "DeviceId",
        /// 0 for a smart card, 1 for a USB token.
        kind: u32 "Type",
        device_name: str "DeviceName",
        manufacturer: str "Manufacturer",
    }

    /// All drivers.
    pub struct CardDeviceList {
        devices: counted CardDeviceRow "SecureDeviceList",
    }

    /// One object on a card.
    pub struct CardObjectRow {
        item_name: str "ItemName",
        item_type: u32 "ItemType",
    }

    /// What is on the card.
    pub struct CardObjectList {
        /// The window that asks, on Windows.
        window: u32 "hWnd",
        objects: counted CardObjectRow "SecureObjectList",
    }
}
