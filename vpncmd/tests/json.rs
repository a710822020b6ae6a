//! What is promised of every command, by the table of commands: with `--json` there is one value on the standard output,
//! whatever happens; an input that has ended is waited for by nobody; and there is help.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::path::Path;

use protocol::pack::Pack;
use serde_json::Value;
use vpncmd::calendar::Calendar;
use vpncmd::command::{self, Command, Mode};
use vpncmd::console::{Console, Lines, Style};
use vpncmd::params::Param;
use vpncmd::shell::{Shell, Target};
use vpncmd::{completion, example};

/// What a command does is in its name; these get what their names do not say.
const OTHERS: &[&str] = &["About", "Caps", "Check"];

fn lists_or_gets(command: &Command) -> bool {
    let name = command.name;
    let by_name = ["List", "Get", "Table", "GetSetting"]
        .iter()
        .any(|end| name.ends_with(end));
    by_name || OTHERS.contains(&name)
}

/// Parameters that name a file to be written, unless they may be left out.
const WRITTEN: &[&str] = &["SAVECERT", "SAVEKEY", "SAVEPATH", "cert", "key", "path", "file"];

fn writes_a_file(command: &Command) -> bool {
    let written = |param: &Param| WRITTEN.contains(&param.name) && param.prompt.is_some();
    command.params.iter().any(written)
}

/// The example of a command, with files in a folder of the test, and none where none is needed.
fn line(command: &Command, folder: &Path) -> Vec<String> {
    let mut words = common::words(&example::of(command));
    let is = |word: &str, param: &Param| {
        if param.positional {
            !word.starts_with('/')
        } else {
            word.starts_with(&format!("/{}:", param.name))
        }
    };
    for param in command.params {
        let Some(at) = words.iter().skip(1).position(|word| is(word, param)) else {
            continue;
        };
        if !WRITTEN.contains(&param.name) {
            continue;
        }
        if param.prompt.is_some() {
            let path = folder.join("saved");
            words[at + 1] = if param.positional {
                format!("/{}", path.display())
            } else {
                format!("/{}:{}", param.name, path.display())
            };
        } else {
            words.remove(at + 1);
        }
    }
    words
}

fn run(mode: Mode, words: &[String]) -> (u32, String) {
    let style = Style {
        json: true,
        ..Style::default()
    };
    run_in(mode, words, style, b"x\nx\n")
}

/// Runs a command whose user has typed something and left; returns its result and what was printed.
fn run_in(mode: Mode, words: &[String], style: Style, typed: &'static [u8]) -> (u32, String) {
    let screen = common::Screen::default();
    let input = Box::new(Lines::new(typed));
    let console = Console::new(Box::new(screen.clone()), None, input, style);
    // An account is shown only while it connects.
    let server = Box::new(common::Answers(|_: &str, _: &Pack| {
        let mut answer = Pack::new();
        answer.set_int("Active", 1);
        Ok(answer)
    }));
    let target = match mode {
        Mode::Server => Target::Server(server),
        Mode::Client => Target::Client(server),
        Mode::Tools => Target::Tools,
    };
    let mut shell = Shell::new(console, Calendar::utc(), target, Some("office".to_owned()));
    shell.run(words);
    (shell.last(), screen.text())
}

#[test]
fn every_command_that_lists_or_gets_speaks_json_and_the_others_end_with_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    let mut number = 0;
    for mode in Mode::ALL {
        for command in command::all(mode) {
            // Traffic is measured for seconds, and needs somebody at the other end.
            if command.name.starts_with("Traffic") {
                continue;
            }
            let (code, said) = run(mode, &line(command, folder.path()));
            let value = serde_json::from_str::<Value>(&said).ok().filter(Value::is_object);
            let gets = lists_or_gets(command) && !writes_a_file(command);
            number += usize::from(gets);
            let says = |value: &Value| value.as_object().is_some_and(|object| !object.is_empty());
            let right = match &value {
                None => false,
                Some(value) if gets => code == 0 && says(value),
                Some(value) => code == 0 || value["error"]["code"] == code,
            };
            if !right {
                wrong.push(format!(
                    "{mode:?} {} ended with {code} and said {said:?}",
                    command.name
                ));
            }
        }
    }
    assert!(number > 60, "{number}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_command_waits_for_an_input_that_has_ended() {
    for programming in [false, true] {
        for mode in Mode::ALL {
            for command in command::all(mode) {
                let asks = command.params.iter().any(|param| param.prompt.is_some());
                if !asks || command.name.starts_with("Traffic") {
                    continue;
                }
                let style = Style {
                    programming,
                    ..Style::default()
                };
                let (code, said) = run_in(mode, &[command.name.to_owned()], style, b"");
                assert_eq!(code, 38, "{}: {said}", command.name);
            }
        }
    }
}

#[test]
fn every_command_has_a_help_with_an_example() {
    for command in completion::commands() {
        let text = vpncmd::help::of(command);
        assert!(
            command.params.is_empty() || text.contains("\nExample:\n"),
            "{text}"
        );
    }
}
