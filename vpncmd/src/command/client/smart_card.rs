//! Smart cards.

use protocol::rpc::{
    Nothing,
    client::{
        method::{EnumSecure, GetUseSecure, UseSecure},
        smart_card::CardDevice,
    },
};

use crate::{
    check,
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SecureList",
        title: "List the types of smart cards that the client knows",
        help: "Lists the drivers that the client service has, with the numbers that SecureSelect takes.",
        params: &[],
        scope: Scope::Client,
        run: list,
    },
    Command {
        name: "SecureSelect",
        title: "Select the type of the smart card",
        help: "Selects the driver for accounts that log in with a smart card.",
        params: &[Param::word("id", "The number that SecureList shows.")
            .ask("ID of Smart Card Type to Use: ")
            .check(check::not_empty)],
        scope: Scope::Client,
        run: select,
    },
    Command {
        name: "SecureGet",
        title: "Show the selected type of smart card",
        help: "Shows the number of the selected driver.",
        params: &[],
        scope: Scope::Client,
        run: get,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call_client::<EnumSecure>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "Device Name", "Type", "Manufacturer"]);
    for device in list.devices {
        let kind = match device.kind {
            0 => "Smart Card",
            1 => "USB Token",
            _ => "Unknown",
        };
        table.row([
            device.device_id.to_string(),
            device.device_name,
            kind.to_owned(),
            device.manufacturer,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn select(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<UseSecure>(&CardDevice {
        device_id: arguments.number("id"),
    })?;
    Ok(())
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let selected = shell.call_client::<GetUseSecure>(&Nothing {})?;
    if shell.json(&selected) {
        return Ok(());
    }
    let text = match selected.device_id {
        0 => "No type of smart card is selected.".to_owned(),
        id => format!("The type of smart card with the ID {id} is selected."),
    };
    shell.console.print_line(&text);
    Ok(())
}
