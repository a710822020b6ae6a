//! The list of commands in docs/vpncmd.md is the table of commands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use protocol::rpc::access::{AccessRule, SourceRule};
use protocol::rpc::dnat::Dnat;
use protocol::rpc::group::Group;
use protocol::rpc::hub::{HubRadius, HubSettings};
use protocol::rpc::securenat::SecureNatIpv6;
use protocol::rpc::user::User;
use vpncmd::command::{self, Mode, Scope};
use vpncmd::declare::fields::SecureNat;
use vpncmd::declare::value::Object;
use vpncmd::params::{Param, shown};

const DOCUMENT: &str = include_str!("../../docs/vpncmd.md");

fn row(command: &command::Command) -> String {
    let scope = match command.scope {
        Scope::Hub => " H",
        Scope::Local => " L",
        Scope::Server | Scope::Client => "",
    };
    let param = |param: &Param| {
        let asked = if param.prompt.is_some() { "*" } else { "" };
        format!(" `{}`{asked}", shown(param).replace('|', "\\|"))
    };
    let params: String = command.params.iter().map(param).collect();
    format!("| `{}` |{scope} |{params} | {} |", command.name, command.title)
}

fn keys<T: Object>() -> Vec<&'static str> {
    T::FIELDS.iter().map(|field| field.key).collect()
}

#[test]
fn every_key_of_a_declared_state_is_documented() {
    for (section, keys) in [
        ("| `[hubs.NAME]` |", keys::<HubSettings>()),
        ("| `[hubs.NAME.groups.NAME]` |", keys::<Group>()),
        ("| `[hubs.NAME.users.NAME]` |", keys::<User>()),
        ("| `[[hubs.NAME.access]]` |", keys::<AccessRule>()),
        ("| `[hubs.NAME.secure-nat]` |", keys::<SecureNat>()),
        ("| `[[hubs.NAME.sources]]` |", keys::<SourceRule>()),
        ("| `[hubs.NAME.radius]` |", keys::<HubRadius>()),
        ("| `[hubs.NAME.ipv6]` |", keys::<SecureNatIpv6>()),
        ("| `[dnat.NAME]` |", keys::<Dnat>()),
    ] {
        let row = DOCUMENT.lines().find(|line| line.starts_with(section)).unwrap();
        for key in keys {
            assert!(row.contains(&format!("`{key}`")), "{section} lacks {key}");
        }
    }
}

#[test]
fn every_command_is_documented_as_it_is() {
    let server = command::all(Mode::Server).into_iter();
    let client = command::all(Mode::Client).into_iter();
    let client = client.filter(|command| command.scope == Scope::Client);
    let expected: Vec<String> = server.chain(client).map(row).collect();
    let documented: Vec<&str> = DOCUMENT
        .lines()
        .skip_while(|line| *line != "## 8. Commands")
        .take_while(|line| !line.starts_with("## 9."))
        .filter(|line| line.starts_with("| `"))
        .collect();
    assert!(
        documented == expected,
        "the tables in docs/vpncmd.md should read\n{}",
        expected.join("\n")
    );
}
