//! Cascade connections of the hub: what a client has in its accounts, a hub has in these.

mod link;
mod option;
mod proof;
mod proxy;
mod trust;

use protocol::rpc::{
    cascade::{Link, LinkName, LinkRequest},
    method::{GetLink, SetLink},
};

use crate::{
    check,
    command::Command,
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
};

pub(super) const GROUPS: &[&[Command]] = &[
    link::COMMANDS,
    option::COMMANDS,
    proof::COMMANDS,
    proxy::COMMANDS,
    trust::COMMANDS,
];

/// Which cascade connection.
const CASCADE: Param = Param::word("name", "The cascade connection.")
    .ask("Cascade Connection Name: ")
    .check(check::not_empty);

/// Where to write a certificate.
const SAVE_CERT: Param = Param::named("SAVECERT", "The file to write it to, in PEM format.")
    .ask("Save X.509 certificate to file name: ")
    .check(check::not_empty);

/// Which certificate.
const LOAD_CERT: Param = Param::named("LOADCERT", "The file with the certificate, in PEM or DER format.")
    .ask("Read X.509 certificate from file name: ")
    .check(check::file);

fn named(shell: &Shell, arguments: &Arguments) -> LinkName {
    LinkName {
        hub_name: shell.hub_name(),
        account_name: arguments.text("name").to_owned(),
    }
}

fn asked(shell: &Shell, arguments: &Arguments) -> LinkRequest {
    LinkRequest {
        hub_name: shell.hub_name(),
        account_name: arguments.text("name").to_owned(),
    }
}

fn read(shell: &mut Shell, arguments: &Arguments) -> Outcome<Link> {
    let request = asked(shell, arguments);
    shell.call::<GetLink>(&request)
}

/// Changes some of a cascade connection and leaves the rest.
fn change(shell: &mut Shell, arguments: &Arguments, change: impl FnOnce(&mut Link)) -> Outcome {
    let mut link = read(shell, arguments)?;
    change(&mut link);
    write(shell, &link)
}

fn write(shell: &mut Shell, link: &Link) -> Outcome {
    shell.call::<SetLink>(link)?;
    Ok(())
}
