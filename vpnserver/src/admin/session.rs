//! Sessions of a hub: those of users, and what is plugged in beside them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime};

use hub_core::hub::{Counters, PortKind, PortState};
use protocol::error::ErrorCode;
use protocol::policy::Policy;
use protocol::rpc::session::{LinkState, Node, SessionList, SessionRow, SessionState, SessionStatus};
use protocol::rpc::traffic::Traffic;
use protocol::rpc::{HubObject, HubRequest};

use transport::cipher::Cipher;

use super::{Administrator, Reply, count, time};
use crate::connection::PRODUCT;
use crate::hubs::VirtualHub;
use crate::server::Server;
use crate::session::Session;
use crate::store;

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<SessionList> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    // Ten thousand ports are many to copy while no frame is forwarded: of a session the name says which it is.
    let ports: Vec<Result<PortState, String>> = hub.switch.with(|hub| {
        let of_port = |port: &PortState| match port.config.kind {
            PortKind::Session => Err(port.config.name.clone()),
            _ => Ok(port.clone()),
        };
        hub.ports().map(of_port).collect()
    });
    let sessions = ports
        .into_iter()
        .filter_map(|port| match port {
            Ok(part) => Some(of_part(&hub, &part)),
            // One that is just ending has a port and is in no book.
            Err(name) => Some(of_user(&*server.sessions.named(&hub.name, &name)?)),
        })
        .collect();
    Ok(SessionList {
        hub_name: request.hub_name,
        sessions,
    })
}

fn of_user(session: &Session) -> SessionRow {
    let origin = &session.origin;
    let traffic = session.tunnel.traffic();
    let (bytes_in, bytes_out) = session.bytes();
    let options = &origin.login.options;
    SessionRow {
        name: origin.name.clone(),
        username: origin.user.clone(),
        ip: origin.peer.ip(),
        client_ip: origin.peer.ip(),
        hostname: host_of(origin.peer),
        max_num_tcp: session.tunnel.terms().max_connections,
        current_num_tcp: count(session.tunnel.watch().borrow().connections),
        packet_size: bytes_in + bytes_out,
        packet_num: traffic.frames_in.load(Relaxed) + traffic.frames_out.load(Relaxed),
        client_bridge_mode: options.bridge,
        client_monitor_mode: options.monitor,
        vlan_id: origin.policy.vlan_id,
        unique_id: origin
            .login
            .node
            .as_ref()
            .map(|node| node.unique_id)
            .unwrap_or_default(),
        created_time: time(origin.opened_at),
        last_comm_time: time(session.last_heard()),
        ..SessionRow::default()
    }
}

/// SecureNAT or a bridge.
fn of_part(hub: &VirtualHub, port: &PortState) -> SessionRow {
    let now = Instant::now();
    let wall = |at: Instant| SystemTime::now() - now.saturating_duration_since(at);
    let counters = &port.counters;
    let name = &port.config.name;
    let secure_nat = port.config.kind == PortKind::SecureNat;
    SessionRow {
        name: name.clone(),
        username: if secure_nat { "SecureNAT" } else { "Local Bridge" }.to_owned(),
        ip: Ipv4Addr::UNSPECIFIED.into(),
        client_ip: Ipv4Addr::UNSPECIFIED.into(),
        hostname: String::new(),
        client_bridge_mode: true,
        packet_size: counters.received.bytes() + counters.sent.bytes(),
        packet_num: counters.received.frames() + counters.sent.frames(),
        secure_nat_mode: secure_nat,
        bridge_mode: port.config.kind == PortKind::LocalBridge,
        created_time: time(wall(port.attached)),
        last_comm_time: time(wall(last_frame(hub, port, now))),
        ..SessionRow::default()
    }
}

/// When one of the stations behind a port last sent something; when it was plugged in, if there is none.
fn last_frame(hub: &VirtualHub, port: &PortState, now: Instant) -> Instant {
    hub.switch
        .with(|hub| hub.last_sent(now, port.id))
        .unwrap_or(port.attached)
}

pub(super) async fn status(server: &Server, _: &Administrator, request: HubObject) -> Reply<SessionStatus> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    let Some(session) = server.sessions.named(&hub.name, &request.name) else {
        let named = |port: &&PortState| port.config.name.eq_ignore_ascii_case(&request.name);
        let part = hub.switch.with(|hub| hub.ports().find(named).cloned());
        let part = part.ok_or(ErrorCode::ObjectNotFound)?;
        if part.config.kind == PortKind::Session {
            return Err(ErrorCode::ObjectNotFound);
        }
        return Ok(status_of_part(&hub, &part));
    };
    let origin = &session.origin;
    Ok(SessionStatus {
        hub_name: origin.hub.clone(),
        name: origin.name.clone(),
        username: origin.user.clone(),
        real_username: origin.user.clone(),
        group_name: origin.group.clone().unwrap_or_default(),
        client_ip: origin.peer.ip(),
        client_ip6: v6(origin.peer.ip()),
        client_host_name: host_of(origin.peer),
        client_ip_address: origin.peer.ip(),
        link: link(server, &session),
        node: node(&session),
    })
}

/// What a part is to the hub it is plugged into: a session without a connection, which may do what parts may.
fn status_of_part(hub: &VirtualHub, part: &PortState) -> SessionStatus {
    let row = of_part(hub, part);
    let policy = Policy {
        no_broadcast_limiter: true,
        ..Policy::default()
    };
    SessionStatus {
        hub_name: hub.name.clone(),
        name: row.name.clone(),
        username: row.username,
        link: LinkState {
            server_product_name: PRODUCT.to_owned(),
            server_product_ver: protocol::VERSION,
            server_product_build: protocol::BUILD,
            session_name: row.name,
            connection_name: NO_CONNECTION.to_owned(),
            active: true,
            connected: true,
            session_state: SessionState::Established,
            num_connections_established: 1,
            qos: true,
            is_bridge_mode: true,
            start_time: row.created_time,
            first_connection_established_time: row.created_time,
            current_connection_established_time: row.created_time,
            traffic: traffic_of_peer(&part.counters),
            policy,
            ..LinkState::default()
        },
        ..SessionStatus::default()
    }
}

/// How the stock server names the connection of a session that has none.
const NO_CONNECTION: &str = "INITING";

fn underlay(peer: SocketAddr) -> &'static str {
    if peer.is_ipv4() {
        "Standard TCP/IP (IPv4)"
    } else {
        "Standard TCP/IP (IPv6)"
    }
}

fn link(server: &Server, session: &Session) -> LinkState {
    let (origin, terms) = (&session.origin, session.tunnel.terms());
    let counters = session.port().counters();
    let (bytes_in, bytes_out) = session.bytes();
    let udp = session.tunnel.lane().map(|lane| lane.status());
    LinkState {
        server_name: origin.local.ip().to_string(),
        server_port: origin.local.port().into(),
        server_product_name: PRODUCT.to_owned(),
        server_product_ver: protocol::VERSION,
        server_product_build: protocol::BUILD,
        cipher_name: origin.cipher.map(Cipher::name).unwrap_or_default().to_owned(),
        session_name: origin.name.clone(),
        connection_name: origin.connection.clone(),
        active: true,
        connected: true,
        session_state: SessionState::Established,
        num_connections_established: u32::try_from(session.tunnel.traffic().connections.load(Relaxed))
            .unwrap_or(u32::MAX),
        half_connection: terms.half_duplex,
        qos: terms.qos,
        max_tcp_connections: terms.max_connections,
        num_tcp_connections: count(session.tunnel.watch().borrow().connections),
        use_encrypt: true,
        use_compress: terms.compress,
        is_bridge_mode: origin.login.options.bridge,
        is_monitor_mode: origin.login.options.monitor,
        start_time: time(origin.opened_at),
        first_connection_established_time: time(origin.opened_at),
        current_connection_established_time: time(session.last_joined()),
        // Said from the peer's side, as its counters are.
        total_send_size: bytes_in,
        total_recv_size: bytes_out,
        total_send_size_real: bytes_in,
        total_recv_size_real: bytes_out,
        underlay_protocol: underlay(origin.peer).to_owned(),
        is_udp_acceleration_enabled: udp.is_some(),
        is_using_udp_acceleration: udp.is_some_and(|udp| udp.in_use),
        vlan_id: origin.policy.vlan_id,
        traffic: traffic_of_peer(&counters),
        server_x: Some(server.identity().certificate.to_vec()),
        policy: origin.policy.clone(),
        ..LinkState::default()
    }
}

fn node(session: &Session) -> Node {
    let origin = &session.origin;
    let Some(told) = &origin.login.node else {
        return Node {
            client_product_name: origin.login.client.product.clone(),
            client_product_ver: origin.login.client.version,
            client_product_build: origin.login.client.build,
            client_ip_address: origin.peer.ip(),
            client_port: origin.peer.port().into(),
            server_ip_address: origin.local.ip(),
            server_port: origin.local.port().into(),
            ..Node::default()
        };
    };
    Node {
        client_product_name: told.client_product.clone(),
        client_product_ver: told.client_version,
        client_product_build: told.client_build,
        client_os_name: told.client_os.clone(),
        client_os_ver: told.client_os_version.clone(),
        client_os_product_id: told.client_os_product_id.clone(),
        client_hostname: told.client_host.clone(),
        client_ip_address: told.client_ip,
        client_ip_address6: v6(told.client_ip),
        client_port: told.client_port.into(),
        server_hostname: told.server_host.clone(),
        server_ip_address: told.server_ip,
        server_ip_address6: v6(told.server_ip),
        server_port: told.server_port.into(),
        proxy_hostname: told.proxy_host.clone(),
        proxy_ip_address: told.proxy_ip,
        proxy_ip_address6: v6(told.proxy_ip),
        proxy_port: told.proxy_port.into(),
        unique_id: told.unique_id,
    }
}

pub(super) async fn end(server: &Server, _: &Administrator, request: HubObject) -> Reply<HubObject> {
    let hub = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    match server.sessions.named(&hub.name, &request.name) {
        Some(session) => session.end(crate::session::reason::DISCONNECTED),
        None => {
            let kind = hub.switch.with(|hub| {
                let found = hub
                    .ports()
                    .find(|port| port.config.name.eq_ignore_ascii_case(&request.name));
                found.map(|port| port.config.kind)
            });
            return Err(match kind {
                Some(PortKind::SecureNat) => ErrorCode::SecureNatCannotDisconnect,
                Some(PortKind::LocalBridge) => ErrorCode::BridgeCannotDisconnect,
                Some(_) => ErrorCode::LinkCannotDisconnect,
                None => ErrorCode::ObjectNotFound,
            });
        }
    }
    Ok(request)
}

/// The counters of the hub in the protocol's words.
pub(super) fn traffic(counters: &Counters) -> Traffic {
    Traffic {
        recv_broadcast_bytes: counters.received.broadcast_bytes,
        recv_broadcast_count: counters.received.broadcast_frames,
        recv_unicast_bytes: counters.received.unicast_bytes,
        recv_unicast_count: counters.received.unicast_frames,
        send_broadcast_bytes: counters.sent.broadcast_bytes,
        send_broadcast_count: counters.sent.broadcast_frames,
        send_unicast_bytes: counters.sent.unicast_bytes,
        send_unicast_count: counters.sent.unicast_frames,
    }
}

/// The counters of a port from the side of the peer: what the hub received is what it sent.
fn traffic_of_peer(counters: &Counters) -> Traffic {
    traffic(&Counters {
        received: counters.sent,
        sent: counters.received,
        ..*counters
    })
}

/// The counters of a user in the protocol's words, from the user's side.
pub(super) fn stored_traffic(traffic: &store::Traffic) -> Traffic {
    Traffic {
        recv_broadcast_bytes: traffic.sent.broadcast_bytes,
        recv_broadcast_count: traffic.sent.broadcast_packets,
        recv_unicast_bytes: traffic.sent.unicast_bytes,
        recv_unicast_count: traffic.sent.unicast_packets,
        send_broadcast_bytes: traffic.received.broadcast_bytes,
        send_broadcast_count: traffic.received.broadcast_packets,
        send_unicast_bytes: traffic.received.unicast_bytes,
        send_unicast_count: traffic.received.unicast_packets,
    }
}

/// Names are not looked up: an address tells as much and asks nobody.
pub(super) fn host_of(address: SocketAddr) -> String {
    address.ip().to_string()
}

fn v6(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(_) => [0; 16],
    }
}
