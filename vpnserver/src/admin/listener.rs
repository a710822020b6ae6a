//! TCP listeners.

use protocol::error::ErrorCode;
use protocol::rpc::Nothing;
use protocol::rpc::listener::{Listener, ListenerList, ListenerRow, SpecialListener, UdpPorts};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store;

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<ListenerList> {
    let listeners = if server.settings.listen.is_empty() {
        let stored = server.db.run(|store| store.listeners()).await?;
        stored
            .iter()
            .map(|listener| ListenerRow {
                port: listener.port.into(),
                enabled: listener.enabled,
                error: listener.enabled && !server.listeners.is_open(server.stored_address(listener.port)),
            })
            .collect()
    } else {
        let given = server.settings.listen.iter();
        given
            .map(|address| ListenerRow {
                port: address.port().into(),
                enabled: true,
                error: !server.listeners.is_open(*address),
            })
            .collect()
    };
    Ok(ListenerList { listeners })
}

pub(super) async fn create(server: &Server, _: &Administrator, request: Listener) -> Reply<Listener> {
    let listener = store::Listener {
        port: port(&request)?,
        enabled: true,
    };
    server.db.run(move |store| store.add_listener(listener)).await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: Listener) -> Reply<Listener> {
    let port = port(&request)?;
    server.db.run(move |store| store.delete_listener(port)).await?;
    Ok(request)
}

pub(super) async fn enable(server: &Server, _: &Administrator, request: Listener) -> Reply<Listener> {
    let (port, enabled) = (port(&request)?, request.enable);
    server
        .db
        .run(move |store| store.set_listener(port, enabled))
        .await?;
    Ok(request)
}

/// There are no protocols over UDP.
pub(super) async fn udp_ports(_: &Server, _: &Administrator, _: Nothing) -> Reply<UdpPorts> {
    Ok(UdpPorts::default())
}

/// Nothing hides in ICMP or DNS.
pub(super) async fn special(_: &Server, _: &Administrator, _: Nothing) -> Reply<SpecialListener> {
    Ok(SpecialListener::default())
}

fn port(request: &Listener) -> Reply<u16> {
    u16::try_from(request.port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or(ErrorCode::InvalidParameter)
}
