//! Layer 3 switches: defined, kept and listed. None routes yet, and none is said to be online.
//!
//! What is refused with which number was asked of the stock server.

use std::net::{IpAddr, Ipv4Addr};

use protocol::error::ErrorCode;
use protocol::rpc::router::{
    SwitchInterface, SwitchInterfaceList, SwitchInterfaceRow, SwitchList, SwitchRoute, SwitchRouteList,
    SwitchRouteRow, SwitchRow,
};
use protocol::rpc::{Named, Nothing};

use super::{Administrator, Reply, count};
use crate::server::Server;
use crate::store::{HubName, Layer3Interface, Layer3Route, Layer3Switch, Result, StoreError};

pub(super) async fn create(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    let name = HubName::parse(&request.name).map_err(|_| ErrorCode::InvalidParameter)?;
    let switch = Layer3Switch::new(name);
    server
        .db
        .run(move |store| store.add_layer3_switch(&switch))
        .await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    let name = request.name.clone();
    server
        .db
        .run(move |store| store.delete_layer3_switch(&name))
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<SwitchList> {
    let switches = server.db.run(|store| store.layer3_switches()).await?;
    let row = |switch: Layer3Switch| SwitchRow {
        name: switch.name.to_string(),
        num_interfaces: count(switch.interfaces.len()),
        num_tables: count(switch.routes.len()),
        active: switch.active,
        online: false,
    };
    Ok(SwitchList {
        switches: switches.into_iter().map(row).collect(),
    })
}

pub(super) async fn start(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    change(server, &request.name, |switch| {
        if switch.interfaces.is_empty() {
            return Err(StoreError::Refused(ErrorCode::L3SwitchStart));
        }
        switch.active = true;
        Ok(())
    })
    .await?;
    Ok(request)
}

pub(super) async fn stop(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    change(server, &request.name, |switch| {
        switch.active = false;
        Ok(())
    })
    .await?;
    Ok(request)
}

pub(super) async fn add_interface(
    server: &Server,
    _: &Administrator,
    request: SwitchInterface,
) -> Reply<SwitchInterface> {
    let (address, mask) = (v4(request.ip_address)?, mask(request.subnet_mask)?);
    let hub = HubName::parse(&request.hub_name).map_err(|_| ErrorCode::InvalidParameter)?;
    // The address of a host: neither none, nor that of the network itself.
    if address.is_unspecified() || (address & !mask).is_unspecified() {
        return Err(ErrorCode::InvalidParameter);
    }
    let hub = hub.to_string();
    change(server, &request.name, move |switch| {
        if switch.interfaces.iter().any(|other| is_in(other, &hub)) {
            return Err(StoreError::Refused(ErrorCode::L3InterfaceExists));
        }
        if switch.active {
            return Err(StoreError::Refused(ErrorCode::L3InterfaceAdd));
        }
        switch.interfaces.push(Layer3Interface {
            hub: hub.clone(),
            address,
            mask,
        });
        Ok(())
    })
    .await?;
    Ok(request)
}

pub(super) async fn delete_interface(
    server: &Server,
    _: &Administrator,
    request: SwitchInterface,
) -> Reply<SwitchInterface> {
    let hub = request.hub_name.clone();
    change(server, &request.name, move |switch| {
        let before = switch.interfaces.len();
        switch.interfaces.retain(|interface| !is_in(interface, &hub));
        if switch.active || switch.interfaces.len() == before {
            return Err(StoreError::Refused(ErrorCode::L3InterfaceDelete));
        }
        Ok(())
    })
    .await?;
    Ok(request)
}

fn is_in(interface: &Layer3Interface, hub: &str) -> bool {
    interface.hub.eq_ignore_ascii_case(hub)
}

pub(super) async fn interfaces(
    server: &Server,
    _: &Administrator,
    request: Named,
) -> Reply<SwitchInterfaceList> {
    let switch = load(server, &request.name).await?;
    let row = |interface: Layer3Interface| SwitchInterfaceRow {
        hub_name: interface.hub,
        ip_address: interface.address.into(),
        subnet_mask: interface.mask.into(),
    };
    Ok(SwitchInterfaceList {
        name: request.name,
        interfaces: switch.interfaces.into_iter().map(row).collect(),
    })
}

pub(super) async fn add_route(
    server: &Server,
    _: &Administrator,
    request: SwitchRoute,
) -> Reply<SwitchRoute> {
    let route = route(&request.route)?;
    if route.gateway.is_unspecified() || route.network & route.mask != route.network {
        return Err(ErrorCode::InvalidParameter);
    }
    change(server, &request.name, move |switch| {
        if switch.active || route.metric == 0 || switch.routes.contains(&route) {
            return Err(StoreError::Refused(ErrorCode::L3RouteAdd));
        }
        switch.routes.push(route);
        Ok(())
    })
    .await?;
    Ok(request)
}

pub(super) async fn delete_route(
    server: &Server,
    _: &Administrator,
    request: SwitchRoute,
) -> Reply<SwitchRoute> {
    let route = route(&request.route)?;
    change(server, &request.name, move |switch| {
        let before = switch.routes.len();
        switch.routes.retain(|other| *other != route);
        if switch.active || switch.routes.len() == before {
            return Err(StoreError::Refused(ErrorCode::L3RouteDelete));
        }
        Ok(())
    })
    .await?;
    Ok(request)
}

pub(super) async fn routes(server: &Server, _: &Administrator, request: Named) -> Reply<SwitchRouteList> {
    let switch = load(server, &request.name).await?;
    let row = |route: Layer3Route| SwitchRouteRow {
        network_address: route.network.into(),
        subnet_mask: route.mask.into(),
        gateway_address: route.gateway.into(),
        metric: route.metric,
    };
    Ok(SwitchRouteList {
        name: request.name,
        routes: switch.routes.into_iter().map(row).collect(),
    })
}

async fn load(server: &Server, name: &str) -> Reply<Layer3Switch> {
    let name = name.to_owned();
    Ok(server.db.run(move |store| store.layer3_switch(&name)).await?)
}

async fn change(
    server: &Server,
    name: &str,
    edit: impl Fn(&mut Layer3Switch) -> Result<()> + Send + 'static,
) -> Reply<()> {
    let name = name.to_owned();
    server
        .db
        .run(move |store| store.update_layer3_switch(&name, &edit))
        .await?;
    Ok(())
}

fn route(row: &SwitchRouteRow) -> Reply<Layer3Route> {
    Ok(Layer3Route {
        network: v4(row.network_address)?,
        mask: mask(row.subnet_mask)?,
        gateway: v4(row.gateway_address)?,
        metric: row.metric,
    })
}

/// The switches know IPv4 alone.
fn v4(address: IpAddr) -> Reply<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(ErrorCode::InvalidParameter),
    }
}

/// A mask is ones, then zeros.
fn mask(address: IpAddr) -> Reply<Ipv4Addr> {
    let mask = v4(address)?;
    let bits = mask.to_bits();
    if bits.leading_ones() + bits.trailing_zeros() >= u32::BITS {
        Ok(mask)
    } else {
        Err(ErrorCode::InvalidParameter)
    }
}
