//! The list of commands in docs/vpncmd.md is the table of commands.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use vpncmd::command::{self, Mode, Scope};
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

#[test]
fn every_command_is_documented_as_it_is() {
    let server = command::all(Mode::Server).into_iter();
    let client = command::all(Mode::Client).into_iter();
    let client = client.filter(|command| command.scope == Scope::Client);
    let expected: Vec<String> = server.chain(client).map(row).collect();
    let documented: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(
        documented == expected,
        "the tables in docs/vpncmd.md should read\n{}",
        expected.join("\n")
    );
}
