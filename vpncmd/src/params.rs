//! The parameters of a command: what it takes, what a command line gave it, and asking for the rest.

use zeroize::Zeroizing;

use crate::{
    check::{self, Check},
    console::Console,
    failure::{Failure, Outcome},
    matching,
    names::Names,
    text,
};

/// The word that asks for JSON, behind any command.
pub(crate) const JSON: &str = "--json";

/// What is asked for without echo, and shown to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// A new password: asked for twice.
    New,
    /// What is known already, a key for instance: asked for once.
    Known,
}

/// One parameter of a command.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The name: shown in brackets when positional, written `/NAME:value` when not.
    pub name: &'static str,
    /// What it is, for the help.
    pub help: &'static str,
    /// The first bare word of the line rather than `/NAME:value`.
    pub positional: bool,
    /// The question that asks for it when it is missing or fails its check; `None` when it may be left out.
    pub prompt: Option<&'static str>,
    /// What a value must look like.
    pub check: Check,
    /// Whether it is a secret, and of which kind.
    pub secret: Option<Secret>,
    /// Says yes by being there: `/DRY_RUN`, or `--dry-run`.
    pub flag: bool,
    /// What it names, for completion.
    pub names: Option<Names>,
}

impl Param {
    /// The bare word of the line.
    #[must_use]
    pub const fn word(name: &'static str, help: &'static str) -> Param {
        Param {
            name,
            help,
            positional: true,
            prompt: None,
            check: check::anything,
            secret: None,
            flag: false,
            names: None,
        }
    }

    /// `/NAME`, or `--name`: there or not.
    #[must_use]
    pub const fn flag(name: &'static str, help: &'static str) -> Param {
        Param {
            flag: true,
            ..Param::named(name, help)
        }
    }

    /// A flag as our own start-up switches are written: `--dry-run`.
    #[must_use]
    pub fn long(&self) -> String {
        format!("--{}", self.name.to_ascii_lowercase().replace('_', "-"))
    }

    /// `/NAME:value`.
    #[must_use]
    pub const fn named(name: &'static str, help: &'static str) -> Param {
        Param {
            positional: false,
            ..Param::word(name, help)
        }
    }

    /// Asked for when missing.
    #[must_use]
    pub const fn ask(self, prompt: &'static str) -> Param {
        Param {
            prompt: Some(prompt),
            ..self
        }
    }

    /// Checked.
    #[must_use]
    pub const fn check(self, check: Check) -> Param {
        Param { check, ..self }
    }

    /// Completed with the server's names.
    #[must_use]
    pub const fn of(self, names: Names) -> Param {
        Param {
            names: Some(names),
            ..self
        }
    }

    /// A secret that is known already, asked for with this prompt.
    #[must_use]
    pub const fn known_secret(self, prompt: &'static str) -> Param {
        Param {
            secret: Some(Secret::Known),
            prompt: Some(prompt),
            ..self
        }
    }

    /// A new password.
    #[must_use]
    pub const fn secret(self) -> Param {
        Param {
            secret: Some(Secret::New),
            prompt: Some("Password: "),
            ..self
        }
    }
}

/// What a line says, before prompts and checks.
#[derive(Debug, Default)]
pub struct Given {
    values: Vec<(usize, Zeroizing<String>)>,
    /// `/?` or `/HELP` is among the words.
    pub help: bool,
}

impl Given {
    /// Sorts the words after a command's name by its parameters.
    ///
    /// # Errors
    /// A switch that the command does not have, or one that could be several.
    pub fn parse(command: &str, params: &[Param], words: &[String]) -> Outcome<Given> {
        let named: Vec<usize> = (0..params.len()).filter(|&i| !params[i].positional).collect();
        let names: Vec<&str> = named.iter().map(|&i| params[i].name).collect();
        let mut given = Given::default();
        for word in words {
            if let Some(index) = params
                .iter()
                .position(|param| param.flag && param.long() == *word)
            {
                given.add(index, "yes");
                continue;
            }
            match classify(word) {
                Word::Bare(value) => {
                    if let Some(index) = params.iter().position(|param| param.positional) {
                        given.add(index, value);
                    }
                }
                Word::Help => given.help = true,
                // The shell has seen it.
                Word::Json => {}
                Word::Switch { name, value } => match matching::candidates(name, &names)[..] {
                    [index] => {
                        let says_yes = params[named[index]].flag && value.is_empty();
                        given.add(named[index], if says_yes { "yes" } else { value });
                    }
                    // It may be the secret, which nobody is shown.
                    [] if params
                        .iter()
                        .any(|param| param.positional && param.secret.is_some()) =>
                    {
                        return Err(Failure::Invalid(format!(
                            "{command} has no such parameter. A secret that begins with \"/\" or \"-\" is written with that \
                             character twice; \"{command} /?\" shows the parameters."
                        )));
                    }
                    [] => return Err(Failure::Invalid(unknown(command, name, &names))),
                    ref several => {
                        let several: Vec<String> =
                            several.iter().map(|&i| format!("/{}", names[i])).collect();
                        let several = several.join(" and ");
                        return Err(Failure::Invalid(format!(
                            "\"/{name}\" could mean {several}. Write more of it."
                        )));
                    }
                },
            }
        }
        Ok(given)
    }

    /// The first of several values stands.
    fn add(&mut self, index: usize, value: &str) {
        if self.value(index).is_none() {
            self.values
                .push((index, Zeroizing::new(unless_none(value).to_owned())));
        }
    }

    fn value(&self, index: usize) -> Option<&str> {
        self.values
            .iter()
            .find(|(at, _)| *at == index)
            .map(|(_, value)| value.as_str())
    }

    /// Checks the values and asks for the missing ones, in the order of the parameters.
    ///
    /// # Errors
    /// A value fails its check and cannot be asked for, or the input ends.
    pub fn complete(&self, params: &'static [Param], console: &mut Console) -> Outcome<Arguments> {
        let mut values = Vec::new();
        for (index, param) in params.iter().enumerate() {
            let checked = match self.value(index) {
                Some(value) => match (param.check)(value) {
                    Ok(()) => Some(Zeroizing::new(value.to_owned())),
                    Err(message) if param.prompt.is_none() || !console.may_ask() => {
                        return Err(Failure::Invalid(message));
                    }
                    Err(message) => {
                        console.complain(&message);
                        Some(ask(param, console)?)
                    }
                },
                None if param.prompt.is_none() => None,
                None if console.may_ask() => Some(ask(param, console)?),
                None => {
                    return Err(Failure::Invalid(format!(
                        "The parameter {} is missing.",
                        shown(param)
                    )));
                }
            };
            values.extend(checked.map(|value| (param.name, value)));
        }
        Ok(Arguments(values))
    }
}

/// How a parameter is written on a line.
#[must_use]
pub fn shown(param: &Param) -> String {
    if param.positional {
        format!("[{}]", param.name)
    } else {
        format!("/{}", param.name)
    }
}

fn ask(param: &Param, console: &mut Console) -> Outcome<Zeroizing<String>> {
    if param.secret == Some(Secret::New) {
        return console.new_password();
    }
    let prompt = param.prompt.unwrap_or_default();
    loop {
        let answer = if param.secret.is_some() {
            console.password(prompt)?
        } else {
            console.ask(prompt)?.map(Zeroizing::new)
        };
        let value = answer.ok_or(Failure::InputEnded)?;
        let value = unless_none(&value);
        match (param.check)(value) {
            Ok(()) => return Ok(Zeroizing::new(value.to_owned())),
            Err(message) => console.complain(&message),
        }
    }
}

/// The words `none` and `null` stand for the empty value.
pub(crate) fn unless_none(value: &str) -> &str {
    let none = value.eq_ignore_ascii_case("none") || value.eq_ignore_ascii_case("null");
    if none { "" } else { value }
}

fn unknown(command: &str, name: &str, names: &[&str]) -> String {
    let near = matching::nearest(name, names);
    let near = near.map_or_else(String::new, |near| format!(" Did you mean /{near}?"));
    format!("{command} has no parameter \"/{name}\".{near} \"{command} /?\" shows those it has.")
}

/// What a word of a command line is.
pub(crate) enum Word<'a> {
    Bare(&'a str),
    Switch { name: &'a str, value: &'a str },
    Help,
    Json,
}

/// A word that starts with `/` or `-` is a switch, unless that character is doubled: then one of the two is dropped
/// and the rest is a value.
pub(crate) fn classify(word: &str) -> Word<'_> {
    let Some(rest) = word.strip_prefix(['/', '-']) else {
        return if word == "?" { Word::Help } else { Word::Bare(word) };
    };
    if word == JSON {
        return Word::Json;
    }
    if rest == "?" || rest.eq_ignore_ascii_case("help") || word == "--help" {
        return Word::Help;
    }
    if rest.starts_with(['/', '-']) && rest.chars().next() == word.chars().next() {
        return Word::Bare(rest);
    }
    let (name, value) = rest.split_once([':', '=']).unwrap_or((rest, ""));
    // A path such as /etc/hubward.pem: the name of a switch has no slash. And one key of WireGuard in 64 begins with a slash.
    if name.contains('/') || text::parse_x25519(word).is_some() {
        Word::Bare(word)
    } else {
        Word::Switch { name, value }
    }
}

/// The values of a command's parameters, each checked.
#[derive(Debug)]
pub struct Arguments(Vec<(&'static str, Zeroizing<String>)>);

impl Arguments {
    /// The value of a parameter; empty when it was left out.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_default()
    }

    /// The value of a parameter; `None` when it was left out.
    #[must_use]
    pub fn given(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The number that a value starts with, 0 when it starts with none.
    #[must_use]
    pub fn number(&self, name: &str) -> u32 {
        text::leading_number(self.text(name))
    }

    /// Whether a yes/no value says yes.
    #[must_use]
    pub fn yes(&self, name: &str) -> bool {
        text::parse_yes(self.text(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::testing;

    const PARAMS: &[Param] = &[
        Param::word("name", "").ask("User Name: ").check(check::not_empty),
        Param::named("GROUP", "").ask("Group: "),
        Param::named("REALNAME", ""),
        Param::named("REASON", ""),
        Param::named("PORT", "").check(check::port),
    ];

    fn given(line: &str) -> Outcome<Given> {
        Given::parse("Sample", PARAMS, &crate::line::words(line))
    }

    fn complete(line: &str, typed: &str) -> Outcome<Arguments> {
        given(line)?.complete(PARAMS, &mut testing::console(typed).0)
    }

    #[test]
    fn both_switch_characters_and_both_separators_are_taken() {
        for line in [
            "bob /GROUP:g",
            "bob -group=g",
            "/gr:g bob",
            "bob /GROUP:g /GROUP:later",
        ] {
            let arguments = complete(line, "").unwrap();
            assert_eq!(
                (arguments.text("name"), arguments.text("GROUP")),
                ("bob", "g"),
                "{line}"
            );
        }
    }

    #[test]
    fn none_and_null_and_nothing_are_the_empty_value() {
        for line in ["bob /GROUP:none", "bob /GROUP:NULL", "bob /GROUP:", "bob /GROUP"] {
            assert_eq!(complete(line, "").unwrap().given("GROUP"), Some(""), "{line}");
        }
    }

    #[test]
    fn a_doubled_first_character_makes_a_value() {
        assert_eq!(complete("--bob /GROUP:", "").unwrap().text("name"), "-bob");
        assert_eq!(complete("//etc/x /GROUP:", "").unwrap().text("name"), "/etc/x");
        assert_eq!(complete("//etc /GROUP:", "").unwrap().text("name"), "/etc");
    }

    #[test]
    fn a_path_is_a_value() {
        assert_eq!(complete("/etc/x:y /GROUP:", "").unwrap().text("name"), "/etc/x:y");
        assert_eq!(complete("bob /GROUP:/etc/x", "").unwrap().text("GROUP"), "/etc/x");
    }

    #[test]
    fn a_key_that_begins_with_a_slash_is_a_value() {
        let key = "/BmSnkRFVzJAxY5SOdhbUIOPQyYRt4oo4cGIay2AEI4=";
        assert_eq!(complete(&format!("{key} /GROUP:"), "").unwrap().text("name"), key);
        assert_eq!(given(&key[..40]).unwrap_err().code(), 38);
    }

    #[test]
    fn an_unknown_or_ambiguous_switch_is_an_invalid_parameter() {
        assert_eq!(given("bob /BAD:1").unwrap_err().code(), 38);
        let near = given("bob /GRUOP:1").unwrap_err().to_string();
        assert!(near.contains("Did you mean /GROUP?"), "{near}");
        assert!(
            matches!(given("bob /REA:1").unwrap_err(), Failure::Invalid(m) if m.contains("/REALNAME and /REASON"))
        );
    }

    #[test]
    fn missing_and_wrong_values_are_asked_for_until_they_are_right() {
        let arguments = complete("", "\nbob\nstaff\n").unwrap();
        assert_eq!(
            (arguments.text("name"), arguments.text("GROUP")),
            ("bob", "staff")
        );
        assert_eq!(complete("none /GROUP:", "carol\n").unwrap().text("name"), "carol");
    }

    #[test]
    fn the_end_of_the_input_fails_the_command() {
        assert_eq!(complete("", "").unwrap_err(), Failure::InputEnded);
        assert_eq!(complete("", "").unwrap_err().code(), 38);
    }

    #[test]
    fn a_wrong_value_that_is_never_asked_for_fails_the_command() {
        assert_eq!(complete("bob /GROUP: /PORT:70000", "").unwrap_err().code(), 38);
        assert_eq!(complete("bob /GROUP:", "").unwrap().given("PORT"), None);
    }
}
