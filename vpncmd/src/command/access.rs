//! The access list of a hub: changing and listing it. What a rule says is in [`access_rule`](super::access_rule).

use protocol::{
    error::ErrorCode,
    rpc::{
        HubRequest,
        access::{AccessKey, NewAccessRule},
        method::{AddAccess, DeleteAccess, EnumAccess, SetAccessList},
    },
};

use crate::{
    check,
    command::{
        Command, Scope,
        access_rule::{self, EXTENDED_V4, EXTENDED_V6, PLAIN_V4, PLAIN_V6},
    },
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const ID: &[Param] = &[
    Param::word("id", "The ID or the unique ID that AccessList shows.")
        .ask("Access List Rule ID or Unique ID: ")
        .check(check::not_empty),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccessAdd",
        title: "Add a rule for IPv4 to the access list",
        help: "Adds a rule that lets frames pass the hub, or drops them. The rules are tried in the order of their \
               priorities; the first whose conditions all hold decides, and what none decides passes. A condition \
               that is empty does not count.",
        params: PLAIN_V4,
        scope: Scope::Hub,
        run: add_v4,
    },
    Command {
        name: "AccessAddEx",
        title: "Add a rule for IPv4 that impairs or redirects",
        help: "As AccessAdd; what passes can be held back, dropped now and then, or, for HTTP, be sent elsewhere. To \
               try how programs bear bad lines.",
        params: EXTENDED_V4,
        scope: Scope::Hub,
        run: add_v4,
    },
    Command {
        name: "AccessAdd6",
        title: "Add a rule for IPv6 to the access list",
        help: "As AccessAdd, for IPv6.",
        params: PLAIN_V6,
        scope: Scope::Hub,
        run: add_v6,
    },
    Command {
        name: "AccessAddEx6",
        title: "Add a rule for IPv6 that impairs or redirects",
        help: "As AccessAddEx, for IPv6.",
        params: EXTENDED_V6,
        scope: Scope::Hub,
        run: add_v6,
    },
    Command {
        name: "AccessList",
        title: "List the rules of the access list",
        help: "Lists the rules in the order in which they are tried.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "AccessDelete",
        title: "Delete a rule of the access list",
        help: "Deletes a rule. The IDs of those behind it change; unique IDs do not until the server restarts.",
        params: ID,
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "AccessEnable",
        title: "Let a rule of the access list count",
        help: "Lets a rule count again that AccessDisable has put aside.",
        params: ID,
        scope: Scope::Hub,
        run: enable,
    },
    Command {
        name: "AccessDisable",
        title: "Put a rule of the access list aside",
        help: "Keeps a rule in the list without letting it count.",
        params: ID,
        scope: Scope::Hub,
        run: disable,
    },
];

fn add_v4(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let rule = access_rule::read_v4(arguments)?;
    let hub_name = shell.hub_name();
    shell.call::<AddAccess>(&NewAccessRule { hub_name, rule })?;
    Ok(())
}

fn add_v6(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let rule = access_rule::read_v6(arguments)?;
    let hub_name = shell.hub_name();
    shell.call::<AddAccess>(&NewAccessRule { hub_name, rule })?;
    Ok(())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumAccess>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "ID",
        "Action",
        "Status",
        "Priority",
        "Unique ID",
        "Contents",
        "Memo",
    ]);
    for rule in list.rules {
        table.row([
            rule.id.to_string(),
            if rule.discard { "Discard" } else { "Pass" }.to_owned(),
            text::enabled(rule.active).to_owned(),
            rule.priority.to_string(),
            rule.unique_id.to_string(),
            access_rule::contents(&rule),
            rule.note,
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = AccessKey {
        hub_name: shell.hub_name(),
        id: arguments.number("id"),
    };
    shell.call::<DeleteAccess>(&request)?;
    Ok(())
}

fn enable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    switch(shell, arguments, true)
}

fn disable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    switch(shell, arguments, false)
}

/// There is no call for one rule: the whole list is sent back.
fn switch(shell: &mut Shell, arguments: &Arguments, active: bool) -> Outcome {
    let hub_name = shell.hub_name();
    let id = arguments.number("id");
    let mut list = shell.call::<EnumAccess>(&HubRequest {
        hub_name: hub_name.clone(),
    })?;
    let rule = list
        .rules
        .iter_mut()
        .find(|rule| rule.id == id || rule.unique_id == id);
    rule.ok_or(ErrorCode::ObjectNotFound)?.active = active;
    list.hub_name = hub_name;
    shell.call::<SetAccessList>(&list)?;
    Ok(())
}
