//! The authorities that the client trusts.

use protocol::rpc::{
    Nothing,
    client::{
        authority::{AuthorityKey, NewAuthority},
        method::{AddCa, DeleteCa, EnumCa, GetCa},
    },
};

use super::save_certificate;
use crate::{
    check,
    command::{Command, Scope, certificate},
    failure::{Failure, Outcome},
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "CertList",
        title: "List the authorities that the client trusts",
        help: "Lists the certificates of the authorities with the keys that CertGet and CertDelete take.",
        params: &[],
        scope: Scope::Client,
        run: list,
    },
    Command {
        name: "CertAdd",
        title: "Have the client trust an authority",
        help: "Accounts that check the server's certificate believe what this authority has signed.",
        params: &[
            Param::word("path", "The file with its certificate, in PEM or DER format.")
                .ask("Name of X.509 Certificate File to Register: ")
                .check(check::file),
        ],
        scope: Scope::Client,
        run: add,
    },
    Command {
        name: "CertDelete",
        title: "Have the client trust an authority no longer",
        help: "Takes back what CertAdd has done.",
        params: &[Param::word("id", "The number that CertList shows.")
            .ask("ID of Certificate to Delete: ")
            .check(check::not_empty)],
        scope: Scope::Client,
        run: delete,
    },
    Command {
        name: "CertGet",
        title: "Save the certificate of an authority",
        help: "Writes the certificate of a trusted authority to a file.",
        params: &[
            Param::word("id", "The number that CertList shows.")
                .ask("ID of Certificate to Get: ")
                .check(check::not_empty),
            Param::named("SAVECERT", "The file to write it to, in PEM format.")
                .ask("Name of File to Save: ")
                .check(check::not_empty),
        ],
        scope: Scope::Client,
        run: get,
    },
];

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call_client::<EnumCa>(&Nothing {})?;
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

/// The stock tool takes a file that is no certificate for a wrong parameter here, and only here.
fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let certificate = certificate::load(arguments.text("path")).map_err(|error| match error {
        Failure::Local(text) => Failure::Invalid(text),
        other => other,
    })?;
    shell.call_client::<AddCa>(&NewAuthority { certificate })?;
    Ok(())
}

fn key(arguments: &Arguments) -> AuthorityKey {
    AuthorityKey {
        key: arguments.number("id"),
    }
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call_client::<DeleteCa>(&key(arguments))?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let authority = shell.call_client::<GetCa>(&key(arguments))?;
    save_certificate(arguments.text("SAVECERT"), &authority.certificate)
}
