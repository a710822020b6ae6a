//! Connecting and disconnecting accounts, and how far they have come.

use protocol::rpc::{
    Secret,
    client::method::{Connect, Disconnect, GetAccountStatus},
    session::{LinkState, SessionState},
};

use super::{ACCOUNT, account};
use crate::{
    command::{Command, Scope, session},
    failure::Outcome,
    params::Arguments,
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountConnect",
        title: "Begin to connect an account",
        help: "Returns at once. AccountStatusGet shows how far the connection has come.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: connect,
    },
    Command {
        name: "AccountDisconnect",
        title: "Disconnect an account",
        help: "Ends the connection, or the attempts to make it.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: disconnect,
    },
    Command {
        name: "AccountStatusGet",
        title: "Show the connection of an account",
        help: "Shows how far the connection has come, and once it stands what it has carried.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: status,
    },
];

fn connect(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<Connect>(&account::named(arguments))?;
    Ok(())
}

fn disconnect(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<Disconnect>(&account::named(arguments))?;
    Ok(())
}

fn status(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut state = shell.call_client::<GetAccountStatus>(&account::named(arguments))?;
    if shell.console.style.json {
        // Whoever has it can join the session.
        state.session_key = Secret::default();
        shell.json(&state);
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("VPN Connection Setting Name", state.account_name.as_str())
        .item("Session Status", words(state.session_state));
    if state.session_state == SessionState::Established {
        established(&mut table, &state, shell);
    } else {
        begun(&mut table, &state, shell);
    }
    shell.console.table(&table);
    Ok(())
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
