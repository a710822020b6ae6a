//! Which servers an account believes.

use protocol::{error::ErrorCode, rpc::client::account::Account};

use super::{ACCOUNT, LOAD_CERT, SAVE_CERT, account, internal, save_certificate};
use crate::{
    command::{Command, Scope, certificate},
    failure::Outcome,
    params::Arguments,
    shell::Shell,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "AccountServerCertEnable",
        title: "Have an account check the server's certificate",
        help: "Connects only to servers whose certificate is the account's own (AccountServerCertSet) or signed by a \
               trusted authority (CertAdd).",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.check_server_cert = true),
    },
    Command {
        name: "AccountServerCertDisable",
        title: "Have an account believe every server",
        help: "Whoever answers at the server's address is believed. That is how accounts begin.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.check_server_cert = false),
    },
    Command {
        name: "AccountServerCertSet",
        title: "Have an account believe one certificate",
        help: "Sets the certificate that the server must show once AccountServerCertEnable has been given.",
        params: &[ACCOUNT, LOAD_CERT],
        scope: Scope::Client,
        run: set,
    },
    Command {
        name: "AccountServerCertDelete",
        title: "Forget the one certificate that an account believes",
        help: "Undoes AccountServerCertSet; trusted authorities count from then on.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.server_cert = None),
    },
    Command {
        name: "AccountServerCertGet",
        title: "Save the one certificate that an account believes",
        help: "Writes the certificate of AccountServerCertSet to a file.",
        params: &[ACCOUNT, SAVE_CERT],
        scope: Scope::Client,
        run: get,
    },
    Command {
        name: "AccountRetryOnServerCertEnable",
        title: "Have an account try again after a wrong certificate",
        help: "A server with a certificate that is not believed is tried again as if it had not answered.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.retry_on_server_cert = true),
    },
    Command {
        name: "AccountRetryOnServerCertDisable",
        title: "Have an account give up after a wrong certificate",
        help: "A server with a certificate that is not believed ends the attempts. That is how accounts begin.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| change(shell, arguments, |account| account.retry_on_server_cert = false),
    },
    Command {
        name: "AccountDefaultCAEnable",
        title: "Have an account believe the authorities of the system",
        help: "Beside those of CertAdd. Client services know it from version 5.02 on.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| believe_system(shell, arguments, true),
    },
    Command {
        name: "AccountDefaultCADisable",
        title: "Have an account believe only the authorities of CertAdd",
        help: "Ends what AccountDefaultCAEnable has begun. Client services know it from version 5.02 on.",
        params: &[ACCOUNT],
        scope: Scope::Client,
        run: |shell, arguments| believe_system(shell, arguments, false),
    },
];

/// An older service would keep nothing of it, and say nothing.
fn believe_system(shell: &mut Shell, arguments: &Arguments, believed: bool) -> Outcome {
    let mut account = account::read(shell, arguments)?;
    let known = account.add_default_ca.as_mut();
    *known.ok_or(ErrorCode::NotSupported)? = believed;
    account::write(shell, account).map(drop)
}

fn change(shell: &mut Shell, arguments: &Arguments, change: impl FnOnce(&mut Account)) -> Outcome {
    account::change(shell, arguments, change).map(drop)
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let certificate = certificate::load(arguments.text("LOADCERT"))?;
    change(shell, arguments, |account| {
        account.server_cert = Some(certificate);
    })
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let account = account::read(shell, arguments)?;
    let certificate = account.server_cert;
    let certificate =
        certificate.ok_or_else(|| internal("The account has no certificate of its own.".to_owned()))?;
    save_certificate(arguments.text("SAVECERT"), &certificate)
}
