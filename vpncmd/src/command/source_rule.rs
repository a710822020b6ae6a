//! Where clients of a hub may come from.

use std::net::IpAddr;

use protocol::{
    error::ErrorCode,
    rpc::{
        HubRequest,
        access::{SourceRule, SourceRules},
        method::{GetAcList, SetAcList},
    },
};

use crate::{
    check,
    command::{
        Command, Scope,
        access_rule::{is_priority, is_v4, is_v6},
    },
    failure::{Failure, Outcome},
    network,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const ACTION: Param = Param::word("allow|deny", "Whether clients from there may come.")
    .ask("allow or deny: ")
    .check(check::not_empty);
const PRIORITY: Param = Param::named("PRIORITY", "From 1 on; rules with lower numbers are tried first.")
    .ask("Priority: ")
    .check(is_priority);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AcList",
        title: "List where clients may come from",
        help: "Lists the rules about the addresses that clients come from. The first that fits decides; where none \
               does, clients may come.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "AcAdd",
        title: "Add a rule about IPv4 addresses of clients",
        help: "Allows or denies clients from an address or a network to log in to the hub.",
        params: &[
            ACTION,
            PRIORITY,
            Param::named("IP", "The addresses, as in 203.0.113.0/24.")
                .ask("IPv4 Address/Mask: ")
                .check(is_v4),
        ],
        scope: Scope::Hub,
        run: add,
    },
    Command {
        name: "AcAdd6",
        title: "Add a rule about IPv6 addresses of clients",
        help: "As AcAdd, for IPv6.",
        params: &[
            ACTION,
            PRIORITY,
            Param::named("IP", "The addresses, as in 2001:db8::/32.")
                .ask("IPv6 Address/Mask: ")
                .check(is_v6),
        ],
        scope: Scope::Hub,
        run: add,
    },
    Command {
        name: "AcDel",
        title: "Delete a rule about addresses of clients",
        help: "Deletes a rule of AcList.",
        params: &[Param::word("id", "The ID that AcList shows.")
            .ask("ID of Rule to Delete: ")
            .check(check::not_empty)],
        scope: Scope::Hub,
        run: delete,
    },
];

fn load(shell: &mut Shell) -> Outcome<SourceRules> {
    let hub_name = shell.hub_name();
    let mut rules = shell.call::<GetAcList>(&HubRequest {
        hub_name: hub_name.clone(),
    })?;
    rules.hub_name = hub_name;
    Ok(rules)
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let rules = load(shell)?;
    if shell.json(&rules) {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "Priority", "Action", "Contents"]);
    table.right(&[0, 1]);
    for rule in rules.rules {
        let address = if rule.masked {
            network::show(rule.ip_address, rule.subnet_mask)
        } else {
            rule.ip_address.to_string()
        };
        table.row([
            rule.id.to_string(),
            rule.priority.to_string(),
            if rule.deny { "Deny" } else { "Pass" }.to_owned(),
            address,
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

/// The address decides the family: its text was checked for the one that the command is for.
fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let text = arguments.text("IP");
    let v4 = network::parse_v4(text).map(|(address, mask)| (IpAddr::from(address), IpAddr::from(mask)));
    let either = v4.or_else(|| network::parse_v6(text).map(|(address, mask)| (address.into(), mask.into())));
    let (ip_address, subnet_mask) =
        either.ok_or_else(|| Failure::Invalid(format!("{text} is no address.")))?;
    let masked = match subnet_mask {
        IpAddr::V4(mask) => mask.to_bits() != u32::MAX,
        IpAddr::V6(mask) => mask.to_bits() != u128::MAX,
    };
    let mut rules = load(shell)?;
    rules.rules.push(SourceRule {
        id: 0,
        priority: arguments.number("PRIORITY"),
        // What begins like allow, pass, yes or true may come; everything else may not.
        deny: !arguments
            .text("allow|deny")
            .starts_with(['a', 'A', 'p', 'P', 'y', 'Y', 't', 'T']),
        ip_address,
        masked,
        subnet_mask,
    });
    shell.call::<SetAcList>(&rules)?;
    Ok(())
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut rules = load(shell)?;
    let id = arguments.number("id");
    let position = rules
        .rules
        .iter()
        .position(|rule| rule.id == id)
        .ok_or(ErrorCode::ObjectNotFound)?;
    rules.rules.remove(position);
    shell.call::<SetAcList>(&rules)?;
    Ok(())
}
