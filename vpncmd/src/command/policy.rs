//! Policies: the list of them, their values in a user or group, setting one.

use protocol::policy::{Kind, Policy, Row, TABLE, Unit};

use serde_json::json;

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    matching,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

pub(super) const NAME: Param = Param::named("NAME", "The name of the policy.")
    .ask("Policy name: ")
    .check(check::not_empty);
pub(super) const VALUE: Param = Param::named("VALUE", "Yes or no, or a number, as the policy has it.")
    .ask("Value to newly set: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[Command {
    name: "PolicyList",
    title: "List the policies, or show one",
    help: "Lists what can be allowed, denied and limited for users, groups and cascade connections. With a name, \
           shows the values that the policy takes.",
    params: &[Param::word("name", "The name of a policy.")],
    scope: Scope::Local,
    run: list,
}];

const COLUMNS: [&str; 3] = ["Policy name", "Simple description of policy", "Setting value"];

fn list(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let name = arguments.given("name").filter(|name| !name.is_empty());
    if shell.console.style.json {
        let rows: Vec<_> = match name {
            Some(name) => vec![to_json(find(name)?)],
            None => TABLE.iter().map(to_json).collect(),
        };
        shell.console.json(&json!({ "PolicyList": rows }));
        return Ok(());
    }
    if let Some(name) = name {
        let row = find(name)?;
        let mut table = Table::items();
        table
            .item(COLUMNS[0], row.name)
            .item(COLUMNS[1], row.about)
            .item("Values", range(row))
            .item("Default value", row.format(row.default))
            .item("For cascade connections", if row.cascade { "Yes" } else { "No" });
        shell.console.table(&table);
        return Ok(());
    }
    let mut table = Table::new(&COLUMNS[..2]);
    for row in TABLE {
        table.row([row.name, row.about]);
    }
    shell.console.table(&table);
    Ok(())
}

/// A row in the manner of the server's answers.
fn to_json(row: &Row) -> serde_json::Value {
    let (min, max) = match row.kind {
        Kind::Flag => (0, 1),
        Kind::Number {
            min, max, optional, ..
        } => (if optional { 0 } else { min }, max),
    };
    json!({
        "Name_str": row.name,
        "Description_utf": row.about,
        "IsFlag_bool": row.kind == Kind::Flag,
        "Minimum_u32": min,
        "Maximum_u32": max,
        "Default_u32": row.default,
        "ForCascade_bool": row.cascade,
    })
}

fn range(row: &Row) -> String {
    match row.kind {
        Kind::Flag => "yes or no".to_owned(),
        Kind::Number {
            min,
            max,
            optional,
            unit,
        } => {
            let unit = match unit {
                Unit::Count => "",
                Unit::Seconds => " seconds",
                Unit::BitsPerSecond => " bps",
            };
            let none = if optional { ", or 0 for none" } else { "" };
            format!("{min} to {max}{unit}{none}")
        }
    }
}

fn find(name: &str) -> Outcome<&'static Row> {
    let names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    match matching::candidates(name, &names)[..] {
        [only] => Ok(&TABLE[only]),
        _ => Err(Failure::Invalid(format!(
            "There is no policy named {name}. PolicyList shows them all."
        ))),
    }
}

/// The values of a policy as users and groups show them.
pub(super) fn table(policy: &Policy) -> Table {
    let mut table = Table::new(&COLUMNS);
    for row in TABLE {
        table.row([
            row.name.to_owned(),
            row.about.to_owned(),
            row.format(row.get(policy)),
        ]);
    }
    table
}

/// The values of those policies that cascade connections have.
pub(super) fn cascade_table(policy: &Policy) -> Table {
    let mut table = Table::new(&COLUMNS);
    for row in TABLE.iter().filter(|row| row.cascade) {
        table.row([
            row.name.to_owned(),
            row.about.to_owned(),
            row.format(row.get(policy)),
        ]);
    }
    table
}

/// Sets the policy of a cascade connection that a command line names.
pub(super) fn set_for_cascade(policy: &mut Policy, arguments: &Arguments) -> Outcome {
    let row = find(arguments.text("NAME"))?;
    if !row.cascade {
        return Err(Failure::Local(format!(
            "Cascade connections do not have the policy {}.",
            row.name
        )));
    }
    set_row(row, policy, arguments)
}

/// Sets the policy that a command line names. Who had no policy gets the default one first.
pub(super) fn set(policy: &mut Option<Policy>, arguments: &Arguments) -> Outcome {
    let row = find(arguments.text("NAME"))?;
    set_row(row, policy.get_or_insert_with(Policy::default), arguments)
}

fn set_row(row: &Row, policy: &mut Policy, arguments: &Arguments) -> Outcome {
    let value = arguments.text("VALUE");
    let number = match row.kind {
        Kind::Flag => u32::from(crate::text::parse_yes(value)),
        Kind::Number { .. } => row
            .parse(value)
            .map_err(|error| Failure::Invalid(format!("{error}.")))?,
    };
    row.set(policy, number);
    Ok(())
}
