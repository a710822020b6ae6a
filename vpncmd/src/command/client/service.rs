//! The client service itself.

use protocol::rpc::{
    Nothing, Secret,
    client::{
        method::{GetClientVersion, GetPasswordSetting, SetPassword},
        service::NewPassword,
    },
};

use super::keep;
use crate::{
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "VersionGet",
        title: "Show the version of the client service",
        help: "Shows what the client service is and what it runs on.",
        params: &[],
        scope: Scope::Client,
        run: version,
    },
    Command {
        name: "PasswordSet",
        title: "Set the password of the client service",
        help: "Whoever manages the service is asked for it from now on; an empty one asks nobody.",
        params: &[
            Param::word("password", "The new password.").secret(),
            Param::named(
                "REMOTEONLY",
                "yes: only callers on other machines are asked. no (the default): all are.",
            ),
        ],
        scope: Scope::Client,
        run: set_password,
    },
    Command {
        name: "PasswordGet",
        title: "Show whether the client service has a password",
        help: "Shows whether a password is set, and who is asked for it.",
        params: &[],
        scope: Scope::Client,
        run: password,
    },
    Command {
        name: "RemoteEnable",
        title: "Let other machines manage the client service",
        help: "Calls of other machines are taken. They travel unencrypted: better come through ssh to this machine.",
        params: &[],
        scope: Scope::Client,
        run: |shell, _| keep::change(shell, |config| config.allow_remote = true),
    },
    Command {
        name: "RemoteDisable",
        title: "Let only this machine manage the client service",
        help: "Calls of other machines are refused. That is how services begin.",
        params: &[],
        scope: Scope::Client,
        run: |shell, _| keep::change(shell, |config| config.allow_remote = false),
    },
];

fn version(shell: &mut Shell, _: &Arguments) -> Outcome {
    let version = shell.call_client::<GetClientVersion>(&Nothing {})?;
    if shell.json(&version) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Product Name", version.product_name)
        .item("Version Information", version.version)
        .item("Build Information", version.build_info)
        .item("Process ID", version.process_id.to_string())
        .item("OS Type", system(version.os_type));
    shell.console.table(&table);
    Ok(())
}

/// The system behind its number.
fn system(number: u32) -> String {
    match number {
        1000..=2999 => "Windows".to_owned(),
        3100 => "Linux".to_owned(),
        3200 => "Solaris".to_owned(),
        3300 => "Cygwin".to_owned(),
        3400 => "BSD".to_owned(),
        3500 => "macOS".to_owned(),
        3000..=3999 => "UNIX".to_owned(),
        other => other.to_string(),
    }
}

fn set_password(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<SetPassword>(&NewPassword {
        password: Secret::new(arguments.text("password").to_owned()),
        remote_only: arguments.yes("REMOTEONLY"),
    })?;
    Ok(())
}

fn password(shell: &mut Shell, _: &Arguments) -> Outcome {
    let setting = shell.call_client::<GetPasswordSetting>(&Nothing {})?;
    if shell.json(&setting) {
        return Ok(());
    }
    let mut table = Table::items();
    table.item("Set Password", text::enabled(setting.present)).item(
        "Request Password for Remote Operation Only",
        text::enabled(setting.remote_only),
    );
    shell.console.table(&table);
    Ok(())
}
