//! Virtual hubs: making, choosing, switching, their own settings.

use protocol::{
    password,
    rpc::{
        HubRequest, Nothing, Secret,
        hub::{HubOnline, HubSettings, HubType},
        method::{CreateHub, DeleteHub, EnumHub, GetHub, GetHubStatus, SetHub, SetHubOnline},
    },
};

use crate::{
    check,
    command::{Command, Scope, server},
    failure::Outcome,
    names::Names,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

/// The user whose password a hub's second hash is (admin RPC §1.1).
const HUB_ADMINISTRATOR: &str = "ADMINISTRATOR";

const NEW_HUB: &[Param] = &[
    Param::word("name", "The name of the hub.")
        .ask("Name of Virtual Hub to be created: ")
        .check(check::not_empty),
    Param::named(
        "PASSWORD",
        "The password of the hub's administrator; empty for none.",
    )
    .secret(),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "HubCreate",
        title: "Make a Virtual Hub",
        help: "Makes a hub and puts it online. Its administrator can log in with the password and manage this hub \
               alone.",
        params: NEW_HUB,
        scope: Scope::Server,
        run: create,
    },
    Command {
        name: "HubCreateDynamic",
        title: "Make a dynamic Virtual Hub of a cluster",
        help: "Makes a hub on a cluster's controller that lives on one member at a time, where its users are.",
        params: NEW_HUB,
        scope: Scope::Server,
        run: create_dynamic,
    },
    Command {
        name: "HubCreateStatic",
        title: "Make a static Virtual Hub of a cluster",
        help: "Makes a hub on a cluster's controller that lives on every member, for remote access to networks that \
               all of them are bridged to.",
        params: NEW_HUB,
        scope: Scope::Server,
        run: create_static,
    },
    Command {
        name: "HubDelete",
        title: "Delete a Virtual Hub",
        help: "Deletes a hub with its users, groups and settings, and ends its sessions. There is no way back.",
        params: &[Param::word("name", "The name of the hub.")
            .ask("Name of Virtual Hub to delete: ")
            .check(check::not_empty)
            .of(Names::Hub)],
        scope: Scope::Server,
        run: delete,
    },
    Command {
        name: "HubList",
        title: "List the Virtual Hubs",
        help: "Lists the hubs with their state and counters. The administrator of a hub sees that one.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "Hub",
        title: "Select the Virtual Hub to manage",
        help: "Selects the hub that the following commands are about. Without a name, none is selected.",
        params: &[Param::word("name", "The name of the hub.").of(Names::Hub)],
        scope: Scope::Server,
        run: select,
    },
    Command {
        name: "Online",
        title: "Put the hub online",
        help: "Lets users connect to the hub again.",
        params: &[],
        scope: Scope::Hub,
        run: online,
    },
    Command {
        name: "Offline",
        title: "Put the hub offline",
        help: "Ends all sessions of the hub and lets nobody connect until it is put online.",
        params: &[],
        scope: Scope::Hub,
        run: offline,
    },
    Command {
        name: "SetMaxSession",
        title: "Limit the sessions of the hub",
        help: "Sets how many sessions of clients the hub has at most; 0 is no limit. Bridges, cascades and SecureNAT \
               are not counted.",
        params: &[Param::word("max_session", "The number of sessions, or 0.")
            .ask("Max Number of Sessions: ")
            .check(check::not_empty)],
        scope: Scope::Hub,
        run: set_max_session,
    },
    Command {
        name: "SetHubPassword",
        title: "Set the hub administrator's password",
        help: "Sets the password that the administrator of this hub logs in with. Without a value it is asked for \
               twice and not shown. Only its hash is sent.",
        params: &[Param::word("password", "The new password.").secret()],
        scope: Scope::Hub,
        run: set_password,
    },
    Command {
        name: "SetEnumAllow",
        title: "Show the hub to strangers",
        help: "Names the hub to clients that ask for the list of hubs before they log in.",
        params: &[],
        scope: Scope::Hub,
        run: show_to_strangers,
    },
    Command {
        name: "SetEnumDeny",
        title: "Hide the hub from strangers",
        help: "Leaves the hub out of the list that clients can ask for before they log in. Who knows its name can \
               connect as before.",
        params: &[],
        scope: Scope::Hub,
        run: hide_from_strangers,
    },
    Command {
        name: "OptionsGet",
        title: "Show the hub's own settings",
        help: "Shows whether strangers see the hub, its limit of sessions, whether it is online, and its type.",
        params: &[],
        scope: Scope::Hub,
        run: options,
    },
    Command {
        name: "StatusGet",
        title: "Show the hub's state and counters",
        help: "Shows the hub's state, how many users, sessions and table entries it has, and what it has carried.",
        params: &[],
        scope: Scope::Hub,
        run: status,
    },
];

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    create_as(shell, arguments, HubType::Standalone)
}

fn create_dynamic(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    create_as(shell, arguments, HubType::Dynamic)
}

fn create_static(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    create_as(shell, arguments, HubType::Static)
}

fn create_as(shell: &mut Shell, arguments: &Arguments, hub_type: HubType) -> Outcome {
    let mut hub = HubSettings {
        hub_name: arguments.text("name").to_owned(),
        online: true,
        hub_type,
        ..HubSettings::default()
    };
    give_password(&mut hub, arguments.text("PASSWORD"));
    shell.call::<CreateHub>(&hub)?;
    Ok(())
}

/// A hub keeps its password in two hashes: for administrators, and for a VPN session of the administrator.
pub(crate) fn give_password(hub: &mut HubSettings, text: &str) {
    hub.hashed_password = Secret::new(password::admin_hash(text.as_bytes()).as_bytes().to_vec());
    let user = password::user_hash(text.as_bytes(), HUB_ADMINISTRATOR);
    hub.secure_password = Secret::new(user.as_bytes().to_vec());
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.text("name");
    shell.call::<DeleteHub>(&HubRequest {
        hub_name: name.to_owned(),
    })?;
    if shell
        .hub
        .as_deref()
        .is_some_and(|selected| selected.eq_ignore_ascii_case(name))
    {
        shell.hub = None;
    }
    Ok(())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumHub>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Virtual Hub Name",
        "Status",
        "Type",
        "Users",
        "Groups",
        "Sessions",
        "MAC Tables",
        "IP Tables",
        "Num Logins",
        "Last Login",
        "Last Communication",
        "Transfer Bytes",
        "Transfer Packets",
    ]);
    for hub in list.hubs {
        table.row([
            hub.hub_name,
            online_text(hub.online).to_owned(),
            hub_type(hub.hub_type),
            hub.num_users.to_string(),
            hub.num_groups.to_string(),
            hub.num_sessions.to_string(),
            hub.num_mac_tables.to_string(),
            hub.num_ip_tables.to_string(),
            hub.num_login.to_string(),
            shell.calendar.short_or(hub.last_login_time, "(Unknown)"),
            shell.calendar.short_or(hub.last_comm_time, "(Unknown)"),
            text::thousands(hub.traffic.bytes()),
            text::thousands(hub.traffic.packets()),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn online_text(online: bool) -> &'static str {
    if online { "Online" } else { "Offline" }
}

fn hub_type(kind: HubType) -> String {
    match kind {
        HubType::Standalone => "Standalone".to_owned(),
        HubType::Static => "Static Hub".to_owned(),
        HubType::Dynamic => "Dynamic Hub".to_owned(),
        HubType::Other(number) => format!("Type {number}"),
    }
}

fn select(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.hub = match arguments.text("name") {
        "" => None,
        name => Some(exists(shell, name)?),
    };
    Ok(())
}

/// Asks the server for a hub and says that it is selected from now on. Returns the name as the server writes it.
pub(crate) fn exists(shell: &mut Shell, name: &str) -> Outcome<String> {
    let name = find(shell, name)?;
    if !shell.console.style.json {
        shell.console.print_line(&format!(
            "The Virtual Hub \"{}\" has been selected.",
            text::printable(&name)
        ));
    }
    Ok(name)
}

/// Asks the server for a hub. Returns its name as the server writes it.
pub(crate) fn find(shell: &mut Shell, name: &str) -> Outcome<String> {
    Ok(shell
        .call::<GetHubStatus>(&HubRequest {
            hub_name: name.to_owned(),
        })?
        .hub_name)
}

fn online(shell: &mut Shell, _: &Arguments) -> Outcome {
    switch(shell, true)
}

fn offline(shell: &mut Shell, _: &Arguments) -> Outcome {
    switch(shell, false)
}

fn switch(shell: &mut Shell, online: bool) -> Outcome {
    let hub_name = shell.hub_name();
    shell.call::<SetHubOnline>(&HubOnline { hub_name, online })?;
    Ok(())
}

/// Changes some of the hub's settings and leaves the others, its password among them, as they are.
fn change(shell: &mut Shell, change: impl FnOnce(&mut HubSettings)) -> Outcome {
    let hub_name = shell.hub_name();
    let mut hub = shell.call::<GetHub>(&HubRequest { hub_name })?;
    let blank = || Secret::new(vec![0; 20]);
    (hub.hashed_password, hub.secure_password) = (blank(), blank());
    change(&mut hub);
    shell.call::<SetHub>(&hub)?;
    Ok(())
}

fn set_max_session(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, |hub| hub.max_session = arguments.number("max_session"))
}

fn set_password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, |hub| give_password(hub, arguments.text("password")))
}

fn show_to_strangers(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |hub| hub.no_enum = false)
}

fn hide_from_strangers(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |hub| hub.no_enum = true)
}

fn options(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let hub = shell.call::<GetHub>(&HubRequest { hub_name })?;
    if shell.json(&hub) {
        return Ok(());
    }
    let limit = if hub.max_session == 0 {
        "Infinite".to_owned()
    } else {
        hub.max_session.to_string()
    };
    let mut table = Table::items();
    table
        .item(
            "Enumeration of Virtual Hub for Anonymous User",
            if hub.no_enum { "Deny" } else { "Allow" },
        )
        .item("Max Number of Sessions", limit)
        .item("Status", online_text(hub.online))
        .item("Virtual Hub Type", hub_type(hub.hub_type));
    shell.console.print_line(&format!(
        "Options Setting List of Virtual Hub \"{}\"",
        text::printable(&hub.hub_name)
    ));
    shell.console.table(&table);
    Ok(())
}

fn status(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let hub = shell.call::<GetHubStatus>(&HubRequest { hub_name })?;
    if shell.json(&hub) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Virtual Hub Name", hub.hub_name)
        .item("Status", online_text(hub.online))
        .item("Type", hub_type(hub.hub_type));
    // The members of a cluster have their own.
    if hub.hub_type == HubType::Standalone {
        table.item(
            "SecureNAT",
            if hub.secure_nat_enabled {
                "Enabled"
            } else {
                "Disabled"
            },
        );
    }
    table
        .item("Sessions", hub.num_sessions.to_string())
        .item("Access Lists", hub.num_access_lists.to_string())
        .item("Users", hub.num_users.to_string())
        .item("Groups", hub.num_groups.to_string())
        .item("MAC Tables", hub.num_mac_tables.to_string())
        .item("IP Tables", hub.num_ip_tables.to_string())
        .item("Num Logins", hub.num_login.to_string())
        .item(
            "Last Login",
            shell.calendar.short_or(hub.last_login_time, "(Unknown)"),
        )
        .item(
            "Last Communication",
            shell.calendar.short_or(hub.last_comm_time, "(Unknown)"),
        )
        .item(
            "Created at",
            shell.calendar.short_or(hub.created_time, "(Unknown)"),
        );
    server::traffic(&mut table, &hub.traffic);
    shell.console.table(&table);
    Ok(())
}
