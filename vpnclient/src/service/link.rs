//! The state of an account's connection as managers want it (client RPC §3.2).

use std::net::SocketAddr;
use std::time::SystemTime;

use protocol::rpc::session::{LinkState, SessionState};
use protocol::rpc::traffic::Traffic;
use protocol::rpc::{Secret, Timestamp};

use crate::status::{Board, Live, State, Udp};

/// The state of the account called `name`; `None` when nothing is being done for it.
pub(super) fn state(name: &str, board: &Board) -> Option<LinkState> {
    let status = board.status();
    if !status.state.is_active() {
        return None;
    }
    let (begun, first) = board.times();
    let mut state = LinkState {
        account_name: name.to_owned(),
        active: true,
        connected: matches!(status.state, State::Connected | State::Interrupted),
        session_state: session_state(status.state),
        num_connections_established: status.sessions,
        start_time: time(begun),
        first_connection_established_time: time(first),
        ..LinkState::default()
    };
    let Some(live) = board.live() else {
        return Some(state);
    };
    add_session(&mut state, &live);
    state.num_tcp_connections = status.connections;
    state.is_udp_acceleration_enabled = status.udp != Udp::Off;
    state.is_using_udp_acceleration = status.udp == Udp::InUse;
    state.total_send_size = status.bytes_sent;
    state.total_recv_size = status.bytes_received;
    state.total_send_size_real = status.bytes_sent;
    state.total_recv_size_real = status.bytes_received;
    // Broadcasts are not counted apart.
    state.traffic = Traffic {
        recv_unicast_bytes: status.bytes_received,
        recv_unicast_count: status.frames_received,
        send_unicast_bytes: status.bytes_sent,
        send_unicast_count: status.frames_sent,
        ..Traffic::default()
    };
    Some(state)
}

fn add_session(state: &mut LinkState, live: &Live) {
    let welcome = &live.welcome;
    state.server_name.clone_from(&live.place.target.host);
    state.server_port = live.place.target.port.into();
    state.server_product_name.clone_from(&live.product);
    state.server_product_ver = live.server.version;
    state.server_product_build = live.server.build;
    state.cipher_name.clone_from(&live.server.cipher);
    state.server_x = Some(live.server.certificate.clone()).filter(|der| !der.is_empty());
    state.session_name.clone_from(&welcome.session_name);
    state.connection_name.clone_from(&welcome.connection_name);
    state.session_key = Secret::new(welcome.session_key.to_vec());
    state.current_connection_established_time = time(Some(live.since));
    state.half_connection = welcome.half_connection;
    state.qos = welcome.qos;
    state.max_tcp_connections = live.tunnel.terms().max_connections;
    state.use_encrypt = true;
    state.use_compress = welcome.use_compress;
    state.vlan_id = welcome.vlan_id;
    state.policy = welcome.policy.clone();
    let family = match live.place.peer {
        SocketAddr::V4(_) => "IPv4",
        SocketAddr::V6(_) => "IPv6",
    };
    state.underlay_protocol = format!("Standard TCP/IP ({family})");
}

fn session_state(state: State) -> SessionState {
    match state {
        State::Connecting => SessionState::Connecting,
        State::Negotiating => SessionState::Negotiating,
        State::Authenticating => SessionState::Authenticating,
        State::Connected | State::Interrupted => SessionState::Established,
        State::Waiting => SessionState::WaitingToRetry,
        State::Idle | State::Failed | State::Closed => SessionState::Idle,
    }
}

fn time(at: Option<SystemTime>) -> Timestamp {
    at.map_or(Timestamp::NONE, |at| Timestamp(crate::status::millis(at)))
}
