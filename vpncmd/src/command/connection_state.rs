//! The state of a connection that a cascade or a client's account makes.

use protocol::rpc::session::{LinkState, SessionState};

use crate::{command::session, shell::Shell, table::Table, text};

/// How far it has come, and once it stands what it has carried.
pub(super) fn table(state: &LinkState, shell: &Shell) -> Table {
    let mut table = Table::items();
    table
        .item("VPN Connection Setting Name", state.account_name.as_str())
        .item("Session Status", words(state.session_state));
    if state.session_state == SessionState::Established {
        established(&mut table, state, shell);
    } else {
        begun(&mut table, state, shell);
    }
    table
}

fn words(state: SessionState) -> &'static str {
    match state {
        SessionState::Connecting => "Connection to VPN Server Started",
        SessionState::Negotiating => "Negotiating",
        SessionState::Authenticating => "Authenticating User",
        SessionState::Established => "Connection Completed (Session Established)",
        SessionState::WaitingToRetry => "Retrying",
        SessionState::Idle => "Idle",
        SessionState::Other(_) => "Unknown",
    }
}

fn established(table: &mut Table, state: &LinkState, shell: &Shell) {
    table
        .item("VLAN ID", session::vlan(state.vlan_id))
        .item("Server Name", state.server_name.as_str());
    if state.server_port != 0 {
        table.item("Port Number", format!("TCP Port {}", state.server_port));
    }
    session::link_head(table, state, shell);
    table.item("Number of Established Sessions", times(state));
    session::link_body(table, state);
}

fn begun(table: &mut Table, state: &LinkState, shell: &Shell) {
    table
        .item("Connection Started at", shell.calendar.long(state.start_time))
        .item(
            "First Session has been Established since",
            shell
                .calendar
                .long_or(state.first_connection_established_time, "-"),
        )
        .item("Number of Established Sessions", times(state));
}

fn times(state: &LinkState) -> String {
    let number = text::thousands(state.num_connections_established.into());
    format!("{number} Times")
}
