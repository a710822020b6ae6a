//! Completion for shells, and the manual page: both from the start-up switches and the table of commands.

mod bash;
mod fish;
mod zsh;

use clap::{CommandFactory, ValueEnum};

use crate::{
    command::{self, Command, Mode},
    options::Options,
};

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

impl Shell {
    /// The text that its user puts where the shell looks for completions.
    #[must_use]
    pub fn script(self) -> String {
        match self {
            Shell::Bash => bash::script(),
            Shell::Zsh => zsh::script(),
            Shell::Fish => fish::script(),
        }
    }
}

/// A switch of the start-up line.
#[derive(Clone, Debug)]
pub struct Switch {
    /// Without its dashes.
    pub name: String,
    /// One line.
    pub about: String,
    /// What its value is called; `None` when it takes none.
    pub value: Option<String>,
}

/// The switches of the start-up line, as `--help` has them.
#[must_use]
pub fn switches() -> Vec<Switch> {
    let mut command = Options::command();
    command.build();
    let switch = |argument: &clap::Arg| {
        let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let value = argument.get_value_names().and_then(|names| names.first());
        Some(Switch {
            name: argument.get_long()?.to_owned(),
            about: about.lines().collect::<Vec<_>>().join(" "),
            value: value
                .filter(|_| argument.get_action().takes_values())
                .map(ToString::to_string),
        })
    };
    command.get_arguments().filter_map(switch).collect()
}

/// The commands of all modes; what two modes have is there once.
#[must_use]
pub fn commands() -> Vec<&'static Command> {
    let mut commands: Vec<&Command> = Mode::ALL.into_iter().flat_map(command::all).collect();
    commands.sort_by_key(|command| command.name);
    commands.dedup_by_key(|command| command.name);
    commands
}

/// The named parameters of a command as they are typed: `/NAME:`, or `--flag`.
#[must_use]
pub fn parameters(command: &Command) -> Vec<(String, &'static str)> {
    let named = command.params.iter().filter(|param| !param.positional);
    named
        .map(|param| {
            let typed = if param.flag {
                param.long()
            } else {
                format!("/{}:", param.name)
            };
            (typed, param.help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_switch_is_in_every_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = shell.script();
            for command in commands() {
                assert!(script.contains(command.name), "{shell:?} lacks {}", command.name);
                for (parameter, _) in parameters(command) {
                    let parameter = parameter.replace(':', if shell == Shell::Zsh { "" } else { ":" });
                    assert!(script.contains(&parameter), "{shell:?} lacks {parameter}");
                }
            }
            for switch in switches() {
                assert!(script.contains(&switch.name), "{shell:?} lacks {}", switch.name);
            }
        }
    }
}
