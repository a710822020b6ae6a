//! Connections that belong to no session.

use protocol::error::ErrorCode;
use protocol::rpc::connection::{ConnectionInfo, ConnectionList, ConnectionRow, ConnectionType};
use protocol::rpc::{Named, Nothing};

use super::session::host_of;
use super::{Administrator, Reply, time};
use crate::connection::PRODUCT;
use crate::connections::{Connection, Purpose};
use crate::server::Server;

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<ConnectionList> {
    let row = |connection: Connection| ConnectionRow {
        kind: kind(&connection),
        hostname: host_of(connection.peer),
        ip: connection.peer.ip(),
        port: connection.peer.port().into(),
        connected_time: time(connection.since),
        name: connection.name,
    };
    Ok(ConnectionList {
        connections: server.connections.all().into_iter().map(row).collect(),
    })
}

pub(super) async fn info(server: &Server, _: &Administrator, request: Named) -> Reply<ConnectionInfo> {
    let connection = server
        .connections
        .named(&request.name)
        .ok_or(ErrorCode::ObjectNotFound)?;
    Ok(ConnectionInfo {
        kind: kind(&connection),
        hostname: host_of(connection.peer),
        ip: connection.peer.ip(),
        port: connection.peer.port().into(),
        connected_time: time(connection.since),
        server_str: PRODUCT.to_owned(),
        server_ver: protocol::VERSION,
        server_build: protocol::BUILD,
        client_str: connection.client,
        client_ver: connection.version.0,
        client_build: connection.version.1,
        name: connection.name,
    })
}

pub(super) async fn hang_up(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    server
        .connections
        .named(&request.name)
        .ok_or(ErrorCode::ObjectNotFound)?
        .hang_up();
    Ok(request)
}

fn kind(connection: &Connection) -> ConnectionType {
    match connection.purpose {
        Purpose::Negotiating => ConnectionType::Initialising,
        Purpose::Administration => ConnectionType::AdminRpc,
    }
}
