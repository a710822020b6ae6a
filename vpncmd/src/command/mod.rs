//! The commands. Each is one row: names, parameters, help and function. Matching, parsing, prompts, help and
//! completion follow from it; adding a command touches one file.

use crate::{
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
};

mod access;
pub(crate) mod access_rule;
mod address_table;
mod apply;
mod audit;
mod authority;
mod backup;
mod bridge;
mod cascade;
pub(crate) mod certificate;
mod client;
mod cluster;
mod config;
mod connection;
mod connection_state;
mod dhcp;
pub(crate) mod dnat;
mod doors;
mod group;
mod http_header;
pub(crate) mod hub;
mod ipv6;
mod keep;
mod listener;
pub(crate) mod local;
mod log;
mod log_file;
mod make_cert;
mod option;
mod policy;
mod radius;
mod reservation;
mod revocation;
mod router;
mod securenat;
mod server;
mod server_cert;
mod session;
mod source_rule;
mod speed_test;
mod syslog;
pub(crate) mod user;
mod user_auth;
mod vendor;
mod x25519;

/// One command.
#[derive(Clone, Copy)]
pub struct Command {
    /// The full name; its capitals are its short form.
    pub name: &'static str,
    /// What it does, in a few words.
    pub title: &'static str,
    /// What else there is to know.
    pub help: &'static str,
    /// What it takes.
    pub params: &'static [Param],
    /// What it needs.
    pub scope: Scope,
    /// What it does.
    pub run: fn(&mut Shell, &Arguments) -> Outcome,
}

/// What a command needs before it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing: it also works without a server.
    Local,
    /// A server.
    Server,
    /// A server and a selected hub.
    Hub,
    /// A client service.
    Client,
}

/// What the tool administers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A server, or one of its hubs.
    Server,
    /// A client service.
    Client,
    /// Nothing: the tools that need neither.
    Tools,
}

impl Mode {
    /// All of them, in the order in which the tool offers them.
    pub const ALL: [Mode; 3] = [Mode::Server, Mode::Client, Mode::Tools];

    /// Whether a command can run here.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Local => true,
            Scope::Server | Scope::Hub => self == Mode::Server,
            Scope::Client => self == Mode::Client,
        }
    }
}

const GROUPS: &[&[Command]] = &[
    access::COMMANDS,
    address_table::COMMANDS,
    apply::COMMANDS,
    audit::COMMANDS,
    authority::COMMANDS,
    backup::COMMANDS,
    bridge::COMMANDS,
    cluster::COMMANDS,
    config::COMMANDS,
    connection::COMMANDS,
    dhcp::COMMANDS,
    dnat::COMMANDS,
    doors::COMMANDS,
    group::COMMANDS,
    hub::COMMANDS,
    keep::COMMANDS,
    listener::COMMANDS,
    local::COMMANDS,
    log::COMMANDS,
    log_file::COMMANDS,
    make_cert::COMMANDS,
    option::COMMANDS,
    policy::COMMANDS,
    radius::COMMANDS,
    reservation::COMMANDS,
    revocation::COMMANDS,
    router::COMMANDS,
    securenat::COMMANDS,
    ipv6::COMMANDS,
    server::COMMANDS,
    server_cert::COMMANDS,
    session::COMMANDS,
    source_rule::COMMANDS,
    speed_test::COMMANDS,
    syslog::COMMANDS,
    user::COMMANDS,
    user_auth::COMMANDS,
    vendor::COMMANDS,
    x25519::COMMANDS,
];

/// The commands of a mode, in the order of their names.
#[must_use]
pub fn all(mode: Mode) -> Vec<&'static Command> {
    let mut commands: Vec<&Command> = GROUPS
        .iter()
        .chain(cascade::GROUPS)
        .chain(client::GROUPS)
        .copied()
        .flatten()
        .filter(|command| mode.has(command.scope))
        .collect();
    commands.sort_by_key(|command| command.name);
    commands
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_complete_and_has_a_name_of_its_own() {
        Mode::ALL.into_iter().for_each(rows_are_complete);
    }

    fn rows_are_complete(mode: Mode) {
        let mut names = HashSet::new();
        for command in all(mode) {
            assert!(
                names.insert(command.name.to_ascii_lowercase()),
                "{} is there twice",
                command.name
            );
            assert!(
                !command.title.is_empty() && !command.help.is_empty(),
                "{} lacks its help",
                command.name
            );
            assert!(
                command.title.len() < 100,
                "the title of {} is no title",
                command.name
            );
            let positional = command.params.iter().filter(|param| param.positional).count();
            assert!(
                positional <= 1,
                "{} has more than one positional parameter",
                command.name
            );
            for param in command.params {
                assert!(
                    !param.help.is_empty(),
                    "{} {} lacks its help",
                    command.name,
                    param.name
                );
                let capital = param
                    .name
                    .chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
                assert!(
                    param.positional || capital,
                    "{} {} is not in capitals",
                    command.name,
                    param.name
                );
            }
        }
    }
}
