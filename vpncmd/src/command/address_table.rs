//! The MAC and IP tables of a hub.

use protocol::rpc::{
    HubKey, HubRequest,
    method::{DeleteIpTable, DeleteMacTable, EnumIpTable, EnumMacTable},
};

use crate::{
    check,
    command::{Command, Scope, session},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const SESSION: &[Param] = &[Param::word("session_name", "Only the entries of this session.")];
const ID: &[Param] = &[Param::word("id", "The ID that the table shows.")
    .ask("ID to Delete: ")
    .check(check::not_empty)];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "MacTable",
        title: "List the MAC addresses of the hub",
        help: "Lists which MAC address the hub has seen behind which session.",
        params: SESSION,
        scope: Scope::Hub,
        run: mac_table,
    },
    Command {
        name: "MacDelete",
        title: "Have the hub forget a MAC address",
        help: "Deletes an entry of MacTable. The hub learns the address again with its next frame.",
        params: ID,
        scope: Scope::Hub,
        run: mac_delete,
    },
    Command {
        name: "IpTable",
        title: "List the IP addresses of the hub",
        help: "Lists which IP address the hub has seen behind which session, and which of them DHCP has given.",
        params: SESSION,
        scope: Scope::Hub,
        run: ip_table,
    },
    Command {
        name: "IpDelete",
        title: "Have the hub forget an IP address",
        help: "Deletes an entry of IpTable. The hub learns the address again with its next packet.",
        params: ID,
        scope: Scope::Hub,
        run: ip_delete,
    },
];

/// Servers always answer with the whole table; a session is picked here.
fn wanted(arguments: &Arguments, session_name: &str) -> bool {
    let wanted = arguments.text("session_name");
    wanted.is_empty() || wanted.eq_ignore_ascii_case(session_name)
}

fn location(hostname: &str) -> String {
    if hostname.is_empty() {
        "On This Server".to_owned()
    } else {
        format!("On '{hostname}'")
    }
}

fn mac_table(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let mut answer = shell.call::<EnumMacTable>(&HubRequest { hub_name })?;
    answer
        .entries
        .retain(|entry| wanted(arguments, &entry.session_name));
    if shell.json(&answer) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Session Name",
        "VLAN ID",
        "MAC Address",
        "Created at",
        "Updated at",
        "Location",
    ]);
    for entry in answer.entries {
        table.row([
            entry.key.to_string(),
            entry.session_name,
            session::vlan(entry.vlan_id),
            text::mac(&entry.mac_address),
            shell.calendar.short(entry.created_time),
            shell.calendar.short(entry.updated_time),
            location(&entry.remote_hostname),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn ip_table(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let mut answer = shell.call::<EnumIpTable>(&HubRequest { hub_name })?;
    answer
        .entries
        .retain(|entry| wanted(arguments, &entry.session_name));
    if shell.json(&answer) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Session Name",
        "IP Address",
        "Created at",
        "Updated at",
        "Location",
    ]);
    for entry in answer.entries {
        let leased = if entry.dhcp_allocated { " (DHCP)" } else { "" };
        table.row([
            entry.key.to_string(),
            entry.session_name,
            format!("{}{leased}", entry.ip_address),
            shell.calendar.short(entry.created_time),
            shell.calendar.short(entry.updated_time),
            location(&entry.remote_hostname),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn key(shell: &Shell, arguments: &Arguments) -> HubKey {
    HubKey {
        hub_name: shell.hub_name(),
        key: arguments.number("id"),
    }
}

fn mac_delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    shell.call::<DeleteMacTable>(&request)?;
    Ok(())
}

fn ip_delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    shell.call::<DeleteIpTable>(&request)?;
    Ok(())
}
