//! Accounts in files.

use std::fs;

use protocol::rpc::{
    Nothing,
    client::{
        account::Account,
        method::{CreateAccount, EnumAccount},
    },
};

use super::{ACCOUNT, account, internal};
use crate::{
    check,
    command::{Command, Scope, server},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountExport",
        title: "Write an account to a file",
        help: "Writes a file that AccountImport reads, here or on another machine. It holds the account's password or \
               private key; only you can read it.",
        params: &[
            ACCOUNT,
            Param::named("SAVEPATH", "The file to write; its name should end with .vpn.")
                .ask("Save Destination File Name (recommended extension: vpn): ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: export,
    },
    Command {
        name: "AccountImport",
        title: "Make an account from a file",
        help: "Reads a file that AccountExport or a graphical manager has written. A name that is taken gets a number.",
        params: &[Param::word("path", "The file.")
            .ask("Import Source File Name: ")
            .check(check::file)],
        scope: Scope::Client,
        run: import,
    },
];

fn export(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = account::read(shell, arguments)?;
    server::save_secret(arguments.text("SAVEPATH"), &account.to_file())
}

fn import(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let path = arguments.text("path");
    let wrong = |reason: &dyn std::fmt::Display| {
        internal(format!("{path} is no exported connection setting: {reason}."))
    };
    let file = zeroize::Zeroizing::new(fs::read(path).map_err(|error| wrong(&error))?);
    let mut account = Account::from_file(&file).map_err(|error| wrong(&error))?;
    let there = shell.call_client::<EnumAccount>(&Nothing {})?;
    let taken: Vec<&str> = there
        .accounts
        .iter()
        .map(|row| row.account_name.as_str())
        .collect();
    account.account_name = free_name(&account.account_name, &taken);
    shell.call_client::<CreateAccount>(&account)?;
    shell.console.remark(&format!(
        "The VPN Connection Setting \"{}\" has been imported.",
        account.account_name
    ));
    Ok(())
}

/// The name itself, or with the first number that makes it another one.
fn free_name(name: &str, taken: &[&str]) -> String {
    let free = |name: &String| {
        !taken
            .iter()
            .any(|taken| taken.to_lowercase() == name.to_lowercase())
    };
    let numbered = (2_u64..).map(|number| format!("{name} ({number})"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_the_next_number() {
        assert_eq!(free_name("lab", &[]), "lab");
        assert_eq!(free_name("lab", &["LAB"]), "lab (2)");
        assert_eq!(free_name("lab", &["lab", "lab (2)", "lab (4)"]), "lab (3)");
    }
}
