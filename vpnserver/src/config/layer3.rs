//! `VirtualLayer3SwitchList`: routers between hubs.

use std::net::Ipv4Addr;

use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError, count};
use crate::store::{HubName, Layer3Interface, Layer3Route, Layer3Switch, StoreError};

const FOLDER: &str = "VirtualLayer3SwitchList";

impl Import<'_> {
    pub(super) fn layer3_switches(&mut self, root: &Place<'_>) -> Result<(), ImportError> {
        for old in self.store.layer3_switches()? {
            self.store.delete_layer3_switch(old.name.as_str())?;
        }
        let places = root.folders_of(FOLDER);
        for place in &places {
            let switch = switch(place)?;
            place.keep(self.store.add_layer3_switch(&switch))?;
        }
        if !places.is_empty() {
            self.taken(count(places.len(), "layer 3 switch definition"));
        }
        Ok(())
    }
}

fn switch(place: &Place<'_>) -> Result<Layer3Switch, ImportError> {
    let name = HubName::parse(place.name()).map_err(|error| place.error(error))?;
    let interfaces = place.folders_of("InterfaceList");
    let routes = place.folders_of("RoutingTable");
    Ok(Layer3Switch {
        name,
        active: place.flag("Active")?,
        interfaces: interfaces.iter().map(interface).collect::<Result<_, _>>()?,
        routes: routes.iter().map(route).collect::<Result<_, _>>()?,
    })
}

fn interface(place: &Place<'_>) -> Result<Layer3Interface, ImportError> {
    Ok(Layer3Interface {
        hub: place.text("HubName")?,
        address: address(place, "IpAddress")?,
        mask: address(place, "SubnetMask")?,
    })
}

fn route(place: &Place<'_>) -> Result<Layer3Route, ImportError> {
    Ok(Layer3Route {
        network: address(place, "NetworkAddress")?,
        mask: address(place, "SubnetMask")?,
        gateway: address(place, "GatewayAddress")?,
        metric: place.uint_or("Metric", 1)?,
    })
}

fn address(place: &Place<'_>, key: &str) -> Result<Ipv4Addr, ImportError> {
    let address = place.parsed(key, "an IPv4 address")?;
    address.ok_or_else(|| place.wrong(key, "must be an IPv4 address").into())
}

impl Exporter<'_> {
    pub(super) fn layer3_switches(&self, root: &mut Folder) -> Result<(), StoreError> {
        let list = root.folder_mut(FOLDER);
        for switch in self.store.layer3_switches()? {
            let folder = list.folder_mut(switch.name.as_str());
            folder.set("Active", switch.active);
            let interfaces = folder.folder_mut("InterfaceList");
            for (number, interface) in switch.interfaces.into_iter().enumerate() {
                let folder = interfaces.folder_mut(&format!("Interface{number}"));
                folder.set("HubName", interface.hub);
                folder.set("IpAddress", interface.address.to_string());
                folder.set("SubnetMask", interface.mask.to_string());
            }
            let routes = folder.folder_mut("RoutingTable");
            for (number, route) in switch.routes.into_iter().enumerate() {
                let folder = routes.folder_mut(&format!("Entry{number}"));
                folder.set("NetworkAddress", route.network.to_string());
                folder.set("SubnetMask", route.mask.to_string());
                folder.set("GatewayAddress", route.gateway.to_string());
                folder.set("Metric", route.metric);
            }
        }
        Ok(())
    }
}
