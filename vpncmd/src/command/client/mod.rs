//! The commands for client services.

use protocol::error::ErrorCode;

use crate::{
    check,
    command::{Command, certificate},
    failure::{Failure, Outcome},
    params::Param,
};

mod account;
mod account_auth;
mod account_file;
mod account_option;
mod account_proxy;
mod account_status;
mod account_trust;
mod adapter;
mod authority;
mod keep;
mod service;
mod smart_card;

pub(super) const GROUPS: &[&[Command]] = &[
    account::COMMANDS,
    account_auth::COMMANDS,
    account_file::COMMANDS,
    account_option::COMMANDS,
    account_proxy::COMMANDS,
    account_status::COMMANDS,
    account_trust::COMMANDS,
    adapter::COMMANDS,
    authority::COMMANDS,
    keep::COMMANDS,
    service::COMMANDS,
    smart_card::COMMANDS,
];

/// Which account.
const ACCOUNT: Param = Param::word("name", "The account.")
    .ask("Name of VPN Connection Setting: ")
    .check(check::not_empty);

/// Where to write a certificate.
const SAVE_CERT: Param = Param::named("SAVECERT", "The file to write it to, in PEM format.")
    .ask("Save X.509 certificate to file name: ")
    .check(check::not_empty);

/// Which certificate.
const LOAD_CERT: Param = Param::named("LOADCERT", "The file with the certificate, in PEM or DER format.")
    .ask("Read X.509 certificate from file name: ")
    .check(check::file);

fn save_certificate(path: &str, der: &[u8]) -> Outcome {
    super::server::save(path, &certificate::pem("CERTIFICATE", der))
}

/// What the stock tool reports as an internal error, with its number, and says more of.
fn internal(text: String) -> Failure {
    Failure::Failed {
        code: ErrorCode::Internal,
        text,
    }
}
