//! Former states of a server's settings: a few of them are kept, and can be put back.

use protocol::rpc::{
    Nothing,
    backup::BackupKey,
    method::{EnumBackup, RestoreBackup},
};

use crate::{
    command::{Command, Scope},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "BackupList",
        title: "List the former states of the settings",
        help: "Lists the states of all settings that the server has kept, newest first. It keeps one some minutes after a \
               change and before ConfigSet, thirty in all.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
    Command {
        name: "BackupRestore",
        title: "Put a former state of the settings back",
        help: "Replaces all settings by those of a state in BackupList. The present state is kept first, so that it can be \
               put back as well. Sessions of users who are in both live on.",
        params: &[Param::word("number", "The number of the state in BackupList.")
            .ask("Number of the state: ")
            .check(is_number)],
        scope: Scope::Server,
        run: restore,
    },
];

fn is_number(text: &str) -> Result<(), String> {
    text.parse::<u64>()
        .map(drop)
        .map_err(|_| "A state is named by its number in BackupList.".to_owned())
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumBackup>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Number", "Kept At", "Virtual Hubs", "Users", "Size"]);
    for row in list.backups {
        table.row([
            row.number.to_string(),
            shell.calendar.long(row.created_time),
            row.num_hub.to_string(),
            row.num_user.to_string(),
            format!("{} bytes", text::thousands(row.size)),
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn restore(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let number = arguments.text("number").parse();
    let number = number.map_err(|_| Failure::Invalid("The number cannot be read.".to_owned()))?;
    shell.call::<RestoreBackup>(&BackupKey { number })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_named_by_a_number() {
        assert!(is_number("12").is_ok());
        for text in ["", "-1", "one", "1.5"] {
            assert!(is_number(text).is_err(), "{text}");
        }
    }
}
