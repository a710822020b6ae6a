//! The authorities whose certificates a hub trusts.

use protocol::{
    error::ErrorCode,
    rpc::{
        HubKey, HubRequest,
        certificate::NewAuthority,
        method::{AddCa, DeleteCa, EnumCa, GetCa},
    },
};

use crate::{
    check,
    command::{Command, Scope, certificate, server},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

const ID: Param = Param::word("id", "The ID that CAList shows.")
    .ask("ID of the certificate: ")
    .check(check::not_empty);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CAList",
        title: "List the authorities that the hub trusts",
        help: "Lists the authorities whose certificates let users in (see UserSignedSet).",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "CAAdd",
        title: "Have the hub trust an authority",
        help: "Adds the certificate of an authority to those that the hub trusts.",
        params: &[
            Param::word("path", "The certificate's file, in PEM or DER format.")
                .ask("Name of X.509 Certificate File to Register: ")
                .check(check::file),
        ],
        scope: Scope::Hub,
        run: add,
    },
    Command {
        name: "CADelete",
        title: "Have the hub trust an authority no longer",
        help: "Removes an authority of CAList. Users whose certificates it signed can no longer log in with them.",
        params: &[ID],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "CAGet",
        title: "Save an authority's certificate",
        help: "Writes the certificate of an authority of CAList to a file in PEM format.",
        params: &[
            ID,
            Param::named("SAVECERT", "The file to write.")
                .ask("Save X.509 certificate to file name: ")
                .check(check::not_empty),
        ],
        scope: Scope::Hub,
        run: get,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumCa>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["ID", "Issued to", "Issuer", "Expiration"]);
    for authority in list.authorities {
        table.row([
            authority.key.to_string(),
            authority.subject_name,
            authority.issuer_name,
            shell.calendar.date(authority.expires),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let cert = certificate::load(arguments.text("path"))?;
    let hub_name = shell.hub_name();
    shell.call::<AddCa>(&NewAuthority { hub_name, cert })?;
    Ok(())
}

fn key(shell: &Shell, arguments: &Arguments) -> HubKey {
    HubKey {
        hub_name: shell.hub_name(),
        key: arguments.number("id"),
    }
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    shell.call::<DeleteCa>(&request)?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = key(shell, arguments);
    let der = shell
        .call::<GetCa>(&request)?
        .cert
        .ok_or(ErrorCode::ObjectNotFound)?;
    server::save(arguments.text("SAVECERT"), &certificate::pem("CERTIFICATE", &der))
}
