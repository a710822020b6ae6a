//! The options of a hub: extended ones, and those that restrict its administrator.

use protocol::{
    error::ErrorCode,
    rpc::{
        HubRequest,
        method::{GetHubAdminOptions, GetHubExtOptions, SetHubAdminOptions, SetHubExtOptions},
        option::HubOptions,
    },
};

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    matching,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const OPTION: &[Param] = &[
    Param::word("name", "The name of the option.")
        .ask("Name of Option to Change Value: ")
        .check(check::not_empty),
    Param::named("VALUE", "The new value: a number, 0 and 1 for off and on.")
        .ask("Setting Value (Integer): ")
        .check(check::not_empty),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ExtOptionList",
        title: "List the extended options of the hub",
        help: "Lists the options that fine-tune the hub, with their values.",
        params: &[],
        scope: Scope::Hub,
        run: list_ext,
    },
    Command {
        name: "ExtOptionSet",
        title: "Set an extended option of the hub",
        help: "Sets one of the options that ExtOptionList lists.",
        params: OPTION,
        scope: Scope::Hub,
        run: set_ext,
    },
    Command {
        name: "AdminOptionList",
        title: "List what the hub's administrator may not do",
        help: "Lists the options that restrict the administrator of this hub, with their values. They do not bind \
               the administrator of the server.",
        params: &[],
        scope: Scope::Hub,
        run: list_admin,
    },
    Command {
        name: "AdminOptionSet",
        title: "Set what the hub's administrator may not do",
        help: "Sets one of the options that AdminOptionList lists.",
        params: OPTION,
        scope: Scope::Hub,
        run: set_admin,
    },
];

fn request(shell: &Shell) -> HubRequest {
    HubRequest {
        hub_name: shell.hub_name(),
    }
}

fn list_ext(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    let options = shell.call::<GetHubExtOptions>(&request)?;
    show(shell, options);
    Ok(())
}

fn list_admin(shell: &mut Shell, _: &Arguments) -> Outcome {
    let request = request(shell);
    let options = shell.call::<GetHubAdminOptions>(&request)?;
    show(shell, options);
    Ok(())
}

fn show(shell: &mut Shell, options: HubOptions) {
    if shell.json(&options) {
        return;
    }
    let mut table = Table::new(&["Item", "Value", "Description"]);
    for option in options.options {
        table.row([option.name, option.value.to_string(), option.description]);
    }
    shell.console.blocks(&table);
}

fn set_ext(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = request(shell);
    let mut options = shell.call::<GetHubExtOptions>(&request)?;
    set(&mut options, arguments)?;
    shell.call::<SetHubExtOptions>(&options)?;
    Ok(())
}

fn set_admin(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = request(shell);
    let mut options = shell.call::<GetHubAdminOptions>(&request)?;
    set(&mut options, arguments)?;
    shell.call::<SetHubAdminOptions>(&options)?;
    Ok(())
}

/// Sends all options back with the one changed: stock servers take it so.
fn set(options: &mut HubOptions, arguments: &Arguments) -> Outcome {
    let names: Vec<&str> = options
        .options
        .iter()
        .map(|option| option.name.as_str())
        .collect();
    let index = match matching::candidates(arguments.text("name"), &names)[..] {
        [only] if names[only].eq_ignore_ascii_case(arguments.text("name")) => only,
        _ => return Err(ErrorCode::ObjectNotFound.into()),
    };
    let value = arguments.text("VALUE").trim();
    options.options[index].value = value
        .parse()
        .map_err(|_| Failure::Invalid(format!("{value} is no number from 0 to {}.", u32::MAX)))?;
    Ok(())
}
