//! TCP connections that are not a session's.

use protocol::rpc::{
    Named, Nothing,
    connection::ConnectionType,
    method::{DisconnectConnection, EnumConnection, GetConnectionInfo},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const NAME: &[Param] = &[Param::word("name", "The connection's name, CID-1 and the like.")
    .ask("Connection name: ")
    .check(check::not_empty)];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ConnectionList",
        title: "List the TCP connections that are no session's",
        help: "Lists the TCP connections to the server that do not belong to a session: administrators, and clients \
               that are about to log in.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "ConnectionGet",
        title: "Show one TCP connection",
        help: "Shows where a connection of ConnectionList comes from, since when, and which software is at both ends.",
        params: NAME,
        scope: Scope::Server,
        run: get,
    },
    Command {
        name: "ConnectionDisconnect",
        title: "Close one TCP connection",
        help: "Closes a connection of ConnectionList.",
        params: NAME,
        scope: Scope::Server,
        run: disconnect,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumConnection>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Connection Name", "Connection Source", "Connection Start", "Type"]);
    for row in list.connections {
        table.row([
            row.name,
            format!("{}: {}", row.hostname, row.port),
            shell.calendar.long(row.connected_time),
            kind(row.kind),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn kind(kind: ConnectionType) -> String {
    let text = match kind {
        ConnectionType::Client => "VPN Client",
        ConnectionType::Initialising => "Initializing",
        ConnectionType::Login => "Log in",
        ConnectionType::AdditionalConnection => "Additional Connection",
        ConnectionType::FarmRpc => "Cluster RPC",
        ConnectionType::AdminRpc => "Management RPC",
        ConnectionType::HubEnumeration => "Enumerating Virtual Hubs",
        ConnectionType::PasswordChange => "Changing Password",
        ConnectionType::Sstp => "SSTP",
        ConnectionType::OpenVpn => "OpenVPN",
        ConnectionType::Other(number) => return format!("Type {number}"),
    };
    text.to_owned()
}

fn named(arguments: &Arguments) -> Named {
    Named {
        name: arguments.text("name").to_owned(),
    }
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let info = shell.call::<GetConnectionInfo>(&named(arguments))?;
    if shell.json(&info) {
        return Ok(());
    }
    let mut table = Table::items();
    // "Sever" is how the stock tool spells it, and what scripts look for.
    table
        .item("Connection Name", info.name)
        .item("Connection Type", kind(info.kind))
        .item("Source Host Name", info.hostname)
        .item("Client Port Number (TCP)", info.port.to_string())
        .item("Connection Start", shell.calendar.long(info.connected_time))
        .item("Server Product Name", info.server_str)
        .item("Sever Version", super::session::version(info.server_ver))
        .item("Server Build Number", info.server_build.to_string())
        .item("Client Product Name", info.client_str)
        .item("Client Version", super::session::version(info.client_ver))
        .item("Client Build", info.client_build.to_string());
    shell.console.table(&table);
    Ok(())
}

fn disconnect(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DisconnectConnection>(&named(arguments))?;
    Ok(())
}
