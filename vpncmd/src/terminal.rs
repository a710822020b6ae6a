//! The keyboard of a person: line editing, history, completion, and passwords that are not shown.

use std::{
    io::{self, BufRead, Write},
    os::fd::AsFd,
};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::{
    Config, Context, Editor, Helper, completion::Completer, error::ReadlineError, highlight::Highlighter,
    hint::Hinter, history::MemHistory, validate::Validator,
};
use zeroize::Zeroizing;

use crate::{command::Command, console::Input, line, params::shown};

/// Lines typed by a person.
pub struct Terminal {
    editor: Editor<Completion, MemHistory>,
    commands: Vec<&'static Command>,
}

impl Terminal {
    /// The terminal of this process, completing these commands.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub fn new(commands: Vec<&'static Command>) -> io::Result<Terminal> {
        let config = Config::builder().auto_add_history(false).build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(io::Error::other)?;
        editor.set_helper(Some(Completion(commands.clone())));
        Ok(Terminal { editor, commands })
    }
}

impl Input for Terminal {
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        match self.editor.readline(prompt) {
            Ok(line) => {
                // The history must not hold a password; it is only in memory, but it is shown at a key press.
                if !line.trim().is_empty() && !holds_secret(&line, &self.commands) {
                    self.editor
                        .add_history_entry(line.as_str())
                        .map_err(io::Error::other)?;
                }
                Ok(Some(line))
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        let stdin = io::stdin();
        print!("{prompt}");
        io::stdout().flush()?;
        let mut text = Zeroizing::new(String::new());
        let read = {
            let _silence = Silence::begin(&stdin)?;
            stdin.lock().read_line(&mut text)?
        };
        println!();
        let length = text.trim_end_matches(['\n', '\r']).len();
        text.truncate(length);
        Ok((read > 0).then_some(text))
    }

    fn interactive(&self) -> bool {
        true
    }
}

/// The terminal does not show what is typed, until this is dropped.
struct Silence<'a> {
    stdin: &'a io::Stdin,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(stdin: &'a io::Stdin) -> io::Result<Silence<'a>> {
        let before = tcgetattr(stdin.as_fd())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &silent)?;
        Ok(Silence { stdin, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin.as_fd(), SetArg::TCSANOW, &self.before);
    }
}

fn holds_secret(line: &str, commands: &[&'static Command]) -> bool {
    let words = line::words(line);
    crate::shell::hide_secrets(&words, commands) != words
}

/// Completes the names of commands, and of their parameters.
struct Completion(Vec<&'static Command>);

impl Completion {
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let begun = &line[start..];
        let matches = |name: &str| {
            name.get(..begun.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(begun))
        };
        let first = line[..start].split_whitespace().next();
        let names: Vec<String> = match first {
            None => self.0.iter().map(|command| command.name.to_owned()).collect(),
            Some(word) if word.eq_ignore_ascii_case("help") || word == "?" => {
                self.0.iter().map(|command| command.name.to_owned()).collect()
            }
            Some(word) => {
                let command = self
                    .0
                    .iter()
                    .find(|command| command.name.eq_ignore_ascii_case(word));
                let params = command.map_or(&[][..], |command| command.params);
                params
                    .iter()
                    .filter(|param| !param.positional)
                    .map(|param| format!("{}:", shown(param)))
                    .collect()
            }
        };
        (start, names.into_iter().filter(|name| matches(name)).collect())
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..pos]))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{self, Mode};

    #[test]
    fn commands_and_then_their_parameters_are_completed() {
        let completion = Completion(command::all(Mode::Server));
        assert_eq!(
            completion.candidates("userpassw"),
            (0, vec!["UserPasswordSet".to_owned()])
        );
        assert_eq!(
            completion.candidates("UserPasswordSet bob /p"),
            (20, vec!["/PASSWORD:".to_owned()])
        );
        assert_eq!(
            completion.candidates("help userl"),
            (5, vec!["UserList".to_owned()])
        );
        assert_eq!(completion.candidates("nothing /p"), (8, vec![]));
    }

    #[test]
    fn a_line_with_a_password_stays_out_of_the_history() {
        let commands = command::all(Mode::Server);
        assert!(holds_secret("UserPasswordSet bob /PASSWORD:x", &commands));
        assert!(holds_secret("ups bob -pass=x", &commands));
        assert!(holds_secret("UserPasswordSett bob /PASSWORD:x", &commands));
        assert!(holds_secret("ServerPasswordSet x", &commands));
        assert!(!holds_secret("UserPasswordSet bob", &commands));
    }
}
