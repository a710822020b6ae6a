//! `LocalBridgeList`: hubs joined to network devices.

use hub_core::MacAddr;
use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError, count};
use crate::store::{HostAddress, HubName, LocalBridge, StoreError};

const FOLDER: &str = "LocalBridgeList";
/// This machine's address on a TAP device; ours.
const ADDRESS: &str = "HubwardAddress";

impl Import<'_> {
    pub(super) fn bridges(&mut self, root: &Place<'_>) -> Result<(), ImportError> {
        for old in self.store.local_bridges()? {
            self.store.delete_local_bridge(old.hub.as_str(), &old.device)?;
        }
        let mut taken = 0;
        for place in root.folders_of(FOLDER) {
            let bridge = bridge(&place)?;
            match self.store.add_local_bridge(&bridge) {
                Ok(()) => taken += 1,
                // The stock server takes any text for a device and waits for one of that name.
                Err(StoreError::Invalid(why)) => {
                    self.report
                        .leave(format!("local bridge to {}", bridge.device), why);
                }
                Err(error) => return place.keep(Err(error)),
            }
        }
        self.taken(count(taken, "local bridge"));
        Ok(())
    }
}

fn bridge(place: &Place<'_>) -> Result<LocalBridge, ImportError> {
    let hub = place.text("HubName")?;
    let mac = place.parsed::<MacAddr>("TapMacAddress", "a MAC address such as 5E-00-00-00-00-01")?;
    let tap = place.flag("TapMode")?;
    let address = place.parsed::<HostAddress>(ADDRESS, "an address such as 192.168.30.1/24")?;
    Ok(LocalBridge {
        hub: HubName::parse(&hub).map_err(|error| place.wrong("HubName", error))?,
        device: place.text("DeviceName")?,
        tap: tap.then(|| {
            mac.filter(|mac| mac.is_unicast())
                .map_or_else(new_mac, MacAddr::octets)
        }),
        address: address.filter(|_| tap),
    })
}

/// A station's address, locally administered.
fn new_mac() -> [u8; 6] {
    let mut mac: [u8; 6] = rand::random();
    mac[0] = mac[0] & 0xfc | 0x02;
    mac
}

impl Exporter<'_> {
    pub(super) fn bridges(&self, root: &mut Folder) -> Result<(), StoreError> {
        let list = root.folder_mut(FOLDER);
        list.set("DoNotDisableOffloading", false);
        for (number, bridge) in self.store.local_bridges()?.into_iter().enumerate() {
            let folder = list.folder_mut(&format!("LocalBridge{number}"));
            folder.set("DeviceName", bridge.device);
            folder.set("HubName", bridge.hub.as_str());
            folder.set("LimitBroadcast", false);
            folder.set("MonitorMode", false);
            folder.set("NoPromiscuousMode", false);
            folder.set("TapMode", bridge.tap.is_some());
            if let Some(mac) = bridge.tap {
                folder.set("TapMacAddress", mac_text(mac));
            }
            if let Some(address) = bridge.address {
                folder.set(ADDRESS, address.to_string());
            }
        }
        Ok(())
    }
}

/// `5E-00-00-00-00-01`, as the stock server writes it.
pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02X}")).join("-")
}
