//! What can stand next on a typed line: names of commands, parameters, hubs, users and groups; and what is expected.

use std::borrow::Cow;

use rustyline::{
    Context, Helper, completion::Completer, highlight::Highlighter, hint::Hinter, validate::Validator,
};

use crate::{
    command::Command,
    line, matching,
    names::{Directory, Names},
    params::{Param, Word, classify, shown},
};

/// Completes and hints.
pub struct Completion {
    commands: Vec<&'static Command>,
    directory: Option<Directory>,
    /// Hints are pale; without colours they would look typed.
    hints: bool,
}

impl Completion {
    /// Of these commands.
    #[must_use]
    pub fn new(commands: Vec<&'static Command>, hints: bool) -> Completion {
        Completion {
            commands,
            directory: None,
            hints,
        }
    }

    /// The commands on a line are these.
    pub fn use_commands(&mut self, commands: Vec<&'static Command>) {
        self.commands = commands;
    }

    /// The names on a line are those of this server.
    pub fn use_names(&mut self, directory: Directory) {
        self.directory = Some(directory);
    }

    /// The hub whose names are meant.
    pub fn select(&mut self, hub: Option<&str>) {
        if let Some(directory) = &mut self.directory {
            directory.select(hub);
        }
    }

    /// The command that a word means, when it means one.
    fn command(&self, word: &str) -> Option<&'static Command> {
        let names: Vec<&str> = self.commands.iter().map(|command| command.name).collect();
        match matching::candidates(word, &names)[..] {
            [only] => Some(self.commands[only]),
            _ => None,
        }
    }

    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = last_word(line);
        let begun = &line[start..];
        let Some(first) = line[..start].split_whitespace().next() else {
            return (start, self.command_names(begun));
        };
        if first.eq_ignore_ascii_case("help") || first == "?" {
            return (start, self.command_names(begun));
        }
        let Some(command) = self.command(first) else {
            return (start, Vec::new());
        };
        if let Some((switch, value)) = begun
            .strip_prefix(['/', '-'])
            .and_then(|rest| rest.split_once([':', '=']))
        {
            let at = start + 1 + switch.len() + 1;
            let param = parameter(command, switch);
            return (at, self.names(param.and_then(|param| param.names), value));
        }
        if begun.starts_with(['/', '-']) {
            let flags = command.params.iter().filter(|param| param.flag).map(Param::long);
            let named = command
                .params
                .iter()
                .filter(|param| !param.positional && !param.flag);
            let all = named.map(|param| format!("{}:", shown(param))).chain(flags);
            return (start, all.filter(|name| begins(name, begun)).collect());
        }
        let bare = line::words(&line[..start]);
        let taken = bare
            .iter()
            .skip(1)
            .any(|word| matches!(classify(word), Word::Bare(_)));
        let positional = command.params.iter().find(|param| param.positional && !taken);
        match positional {
            Some(param) => (start, self.names(param.names, begun)),
            None if begun.is_empty() => {
                let named = command
                    .params
                    .iter()
                    .filter(|param| !param.positional && !param.flag);
                (start, named.map(|param| format!("{}:", shown(param))).collect())
            }
            None => (start, Vec::new()),
        }
    }

    fn command_names(&self, begun: &str) -> Vec<String> {
        let names = self.commands.iter().map(|command| command.name);
        names
            .filter(|name| begins(name, begun))
            .map(str::to_owned)
            .collect()
    }

    /// The server's names of a kind that begin so; one with a blank is quoted.
    fn names(&self, names: Option<Names>, begun: &str) -> Vec<String> {
        let (Some(names), Some(directory)) = (names, &self.directory) else {
            return Vec::new();
        };
        let begun = begun.trim_start_matches('"');
        let list = directory.list(names);
        let fitting = list.into_iter().filter(|name| begins(name, begun));
        fitting.map(|name| line::join(&[name])).collect()
    }

    /// What the command still takes.
    fn hint_for(&self, line: &str) -> Option<String> {
        let words = line::words(line);
        let command = self.command(words.first()?)?;
        if !line.ends_with(char::is_whitespace) {
            return None;
        }
        let given = |param: &&Param| {
            words.iter().skip(1).any(|word| match classify(word) {
                Word::Switch { name, .. } => {
                    parameter(command, name).is_some_and(|named| named.name == param.name)
                }
                Word::Bare(_) => param.positional,
                Word::Help | Word::Json => false,
            })
        };
        let missing = command
            .params
            .iter()
            .filter(|param| param.prompt.is_some() && !given(param));
        let shown: Vec<String> = missing
            .map(|param| {
                if param.positional {
                    shown(param)
                } else {
                    format!("{}:", shown(param))
                }
            })
            .collect();
        (!shown.is_empty()).then(|| shown.join(" "))
    }
}

/// The named parameter that a switch means.
fn parameter(command: &'static Command, switch: &str) -> Option<&'static Param> {
    let named: Vec<&'static Param> = command.params.iter().filter(|param| !param.positional).collect();
    let names: Vec<&str> = named.iter().map(|param| param.name).collect();
    match matching::candidates(switch, &names)[..] {
        [only] => Some(named[only]),
        _ => None,
    }
}

fn begins(name: &str, begun: &str) -> bool {
    name.get(..begun.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(begun))
}

/// Where the last word of a line begins: blanks between quotes are part of a word.
fn last_word(line: &str) -> usize {
    let (mut start, mut quoted) = (0, false);
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => start = at + c.len_utf8(),
            _ => {}
        }
    }
    start
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..pos]))
    }
}

/// A hint is shown, and never taken over by a key.
pub struct Expected(String);

impl rustyline::hint::Hint for Expected {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Completion {
    type Hint = Expected;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Expected> {
        if !self.hints || pos < line.len() {
            return None;
        }
        self.hint_for(line).map(Expected)
    }
}

impl Highlighter for Completion {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }
}

impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;
    use crate::{
        command::{self, Mode},
        names::{Shared, testing::TwoHubs},
    };

    fn completion() -> Completion {
        let mut completion = Completion::new(command::all(Mode::Server), true);
        let server = TwoHubs(Rc::new(RefCell::new(0)));
        completion.use_names(Directory::new(Shared::new(Box::new(server))));
        completion.select(Some("office"));
        completion
    }

    #[test]
    fn commands_parameters_and_names_are_completed() {
        let completion = completion();
        for (line, at, wanted) in [
            ("userpassw", 0, &["UserPasswordSet"][..]),
            ("help userl", 5, &["UserList"]),
            ("UserPasswordSet bob /p", 20, &["/PASSWORD:"]),
            ("userpass bob /p", 13, &["/PASSWORD:"]),
            ("Apply f --d", 8, &["--dry-run"]),
            ("hub o", 4, &["office"]),
            ("Hub ", 4, &["office", "warehouse"]),
            ("UserGet ann", 8, &["anna", "\"anna maria\""]),
            ("UserGet \"anna m", 8, &["\"anna maria\""]),
            ("GroupJoin staff /USERNAME:b", 26, &["bob"]),
            ("UserGet anna b", 13, &[]),
            ("nothing /p", 8, &[]),
        ] {
            let wanted: Vec<String> = wanted.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(completion.candidates(line), (at, wanted), "{line}");
        }
    }

    #[test]
    fn what_a_command_still_takes_is_hinted() {
        let completion = completion();
        for (line, hint) in [
            ("UserCreate ", Some("[name] /GROUP: /REALNAME: /NOTE:")),
            ("UserCreate anna /GROUP:none /REAL:x ", Some("/NOTE:")),
            ("UserCreate anna", None),
            ("UserList ", None),
            ("nothing ", None),
        ] {
            assert_eq!(completion.hint_for(line).as_deref(), hint, "{line}");
        }
    }
}
