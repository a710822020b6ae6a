//! The configuration of a server as one file, and its restart.

use std::{fs, path::Path};

use protocol::config::Folder;
use protocol::rpc::{
    Nothing, Secret, Values,
    method::{GetConfig, RebootServer, SetConfig},
    server::Config,
};

use crate::{
    check,
    command::{Command, Scope, server},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "ConfigGet",
        title: "Fetch the server's configuration",
        help: "Fetches the configuration of the server as one text file, and shows it or saves it for ConfigSet. It \
               holds hashes of passwords and private keys: a saved file can be read by you alone.",
        params: &[Param::word(
            "path",
            "The file to write; without it the configuration is shown.",
        )],
        scope: Scope::Server,
        run: get,
    },
    Command {
        name: "ConfigSet",
        title: "Replace the server's configuration",
        help: "Sends a configuration file to the server, which takes it in place of all it has. A stock server restarts \
               for it, and every session ends. Ours takes the file without a restart, and says what it took of it and what \
               it left and why.",
        params: &[Param::word("path", "The configuration file.")
            .ask("Config file path name to upload to server: ")
            .check(check::file)],
        scope: Scope::Server,
        run: set,
    },
    Command {
        name: "Reboot",
        title: "Restart the server",
        help: "Restarts the server's program, not the machine. Every session ends; clients reconnect.",
        params: &[Param::named(
            "RESETCONFIG",
            "yes first empties the configuration: everything is lost.",
        )],
        scope: Scope::Server,
        run: restart,
    },
];

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let config = shell.call::<GetConfig>(&Nothing {})?;
    let text = String::from_utf8_lossy(&config.file_data);
    match arguments.text("path") {
        "" if shell.json(&config) => Ok(()),
        "" => {
            shell.console.print_line(&text);
            Ok(())
        }
        path => server::save_secret(path, &text),
    }
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let path = arguments.text("path");
    let data = fs::read(path).map_err(|error| Failure::Local(format!("Cannot read {path}: {error}.")))?;
    // The server says no more than a number; line and key are known here.
    Folder::parse(&data).map_err(|error| Failure::Invalid(format!("{path}: {error}.")))?;
    let name = Path::new(path)
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let config = Config {
        file_name: name.unwrap_or_default(),
        file_data: Secret::new(data),
    };
    let taken = shell.call::<SetConfig>(&config)?;
    // A stock server says nothing.
    if !shell.json(&taken) && !taken.report.is_empty() {
        shell.console.print_line(taken.report.trim_end());
    }
    Ok(())
}

fn restart(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let int = u32::from(arguments.yes("RESETCONFIG"));
    shell.call::<RebootServer>(&Values {
        int,
        ..Values::default()
    })?;
    Ok(())
}
