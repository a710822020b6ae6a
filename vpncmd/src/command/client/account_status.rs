//! Connecting and disconnecting accounts, and how far they have come.

use protocol::{
    error::ErrorCode,
    rpc::{
        Secret,
        client::method::{Connect, Disconnect, GetAccountStatus},
    },
};

use super::{ACCOUNT, account};
use crate::{
    command::{Command, Scope, connection_state},
    failure::Outcome,
    params::Arguments,
    shell::Shell,
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
    // The service answers with an empty state then.
    if !state.active {
        return Err(ErrorCode::AccountInactive.into());
    }
    if shell.console.style.json {
        // Whoever has it can join the session.
        state.session_key = Secret::default();
        shell.json(&state);
        return Ok(());
    }
    let table = connection_state::table(&state, shell);
    shell.console.table(&table);
    Ok(())
}
