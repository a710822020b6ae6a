//! The RADIUS server of a hub.

use protocol::rpc::{
    HubRequest, Secret,
    hub::HubRadius,
    method::{GetHubRadius, SetHubRadius},
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

/// The port of RADIUS (RFC 2865).
const PORT: u16 = 1812;

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "RadiusServerSet",
        title: "Set the hub's RADIUS server",
        help: "Sets the server that is asked about users of the RADIUS kind. Several can be named, separated by commas: \
               they are asked in turn.",
        params: &[
            Param::word(
                "server_name:port",
                "The RADIUS server, with a port if it is not 1812.",
            )
            .ask("RADIUS Server Host Name or IP Address: ")
            .check(check::not_empty),
            Param::named("SECRET", "The secret shared with it.").secret(),
            Param::named(
                "RETRY_INTERVAL",
                "Milliseconds until the question is repeated, 1000 to 15000.",
            )
            .ask("Retry Interval (milliseconds): ")
            .check(check::radius_retry),
        ],
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "RadiusServerDelete",
        title: "Ask no RADIUS server",
        help: "Forgets the hub's RADIUS server. Users of the RADIUS kind can no longer log in.",
        params: &[],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "RadiusServerGet",
        title: "Show the hub's RADIUS server",
        help: "Shows the RADIUS server of the hub. The shared secret is shown when the server gives it away.",
        params: &[],
        scope: Scope::Hub,
        run: get,
    },
];

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.text("server_name:port");
    // A port belongs to one server; a list of servers has the usual one.
    let (name, port) = text::parse_host(name, PORT).unwrap_or_else(|| (name.to_owned(), PORT));
    let radius = HubRadius {
        hub_name: shell.hub_name(),
        radius_server_name: name,
        radius_port: u32::from(port),
        radius_secret: Secret::new(arguments.text("SECRET").to_owned()),
        radius_retry_interval: arguments.number("RETRY_INTERVAL"),
        ..HubRadius::default()
    };
    shell.call::<SetHubRadius>(&radius)?;
    Ok(())
}

fn delete(shell: &mut Shell, _: &Arguments) -> Outcome {
    // A stock server wants a port even where there is no server.
    let none = HubRadius {
        hub_name: shell.hub_name(),
        radius_port: u32::from(PORT),
        ..HubRadius::default()
    };
    shell.call::<SetHubRadius>(&none)?;
    Ok(())
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let radius = shell.call::<GetHubRadius>(&HubRequest { hub_name })?;
    if shell.json(&radius) {
        return Ok(());
    }
    let mut table = Table::items();
    let used = !radius.radius_server_name.is_empty();
    table.item("Use RADIUS Server", text::enabled(used));
    if used {
        table
            .item(
                "RADIUS Server Host Name or IP Address: ",
                radius.radius_server_name,
            )
            .item("RADIUS Server Port Number", radius.radius_port.to_string())
            .item("Shared Secret", radius.radius_secret.as_str())
            .item(
                "Retry Interval (in milliseconds)",
                radius.radius_retry_interval.to_string(),
            );
    }
    shell.console.table(&table);
    Ok(())
}
