//! The keyboard of a person: line editing, history, completion, and passwords that are not shown.

use std::{io, time::Duration};

use rustyline::{
    ColorMode, CompletionType, Config, Editor,
    error::ReadlineError,
    history::{History, MemHistory},
};
use zeroize::Zeroizing;

use crate::{
    command::Command,
    completer::Completion,
    console::{Input, stdin_ready},
    history::HistoryFile,
    line,
    names::{Directory, Shared},
};

/// Lines typed by a person.
pub struct Terminal {
    editor: Editor<Completion, MemHistory>,
    commands: Vec<&'static Command>,
    file: Option<HistoryFile>,
}

impl Terminal {
    /// The terminal of this process, completing these commands, with the history of former times.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub fn new(commands: Vec<&'static Command>, colour: bool) -> io::Result<Terminal> {
        let config = Config::builder()
            .auto_add_history(false)
            .completion_type(CompletionType::List)
            .color_mode(if colour {
                ColorMode::Enabled
            } else {
                ColorMode::Disabled
            })
            .build();
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).map_err(io::Error::other)?;
        editor.set_helper(Some(Completion::new(commands.clone(), colour)));
        let file = HistoryFile::of_user();
        for line in file.iter().flat_map(HistoryFile::lines) {
            editor.history_mut().add_owned(line).map_err(io::Error::other)?;
        }
        Ok(Terminal {
            editor,
            commands,
            file,
        })
    }

    /// Keeps a line, here and in the file. The history must not hold a password: it is shown at a key press.
    fn remember(&mut self, line: &str) -> io::Result<()> {
        if line.trim().is_empty() || holds_secret(line, &self.commands) {
            return Ok(());
        }
        let new = self.editor.add_history_entry(line).map_err(io::Error::other)?;
        // A history that cannot be kept is no reason to fail a command.
        if let Some(file) = self.file.as_ref().filter(|_| new) {
            let _ = file.add(line);
        }
        Ok(())
    }
}

impl Input for Terminal {
    fn command_line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        match self.editor.readline(prompt) {
            Ok(line) => {
                self.remember(&line)?;
                Ok(Some(line))
            }
            Err(error) => ended(error),
        }
    }

    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        // An answer to a question is no command: neither completed nor kept.
        let helper = self
            .editor
            .helper_mut()
            .map(|helper| std::mem::replace(helper, Completion::new(Vec::new(), false)));
        let typed = self.editor.readline(prompt);
        self.editor.set_helper(helper);
        typed.map(Some).or_else(ended)
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        let stdin = io::stdin();
        terminal::secret(&stdin, &mut stdin.lock(), &mut io::stdout(), prompt)
    }

    fn interactive(&self) -> bool {
        true
    }

    fn use_commands(&mut self, commands: Vec<&'static Command>) {
        self.commands.clone_from(&commands);
        if let Some(helper) = self.editor.helper_mut() {
            helper.use_commands(commands);
        }
    }

    fn use_names(&mut self, server: Shared) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.use_names(Directory::new(server));
        }
    }

    fn select(&mut self, hub: Option<&str>) {
        if let Some(helper) = self.editor.helper_mut() {
            helper.select(hub);
        }
    }

    fn ready(&self, within: Duration) -> io::Result<bool> {
        stdin_ready(within)
    }
}

/// Ctrl+D on an empty line is the end; Ctrl+C is an interruption.
fn ended(error: ReadlineError) -> io::Result<Option<String>> {
    match error {
        ReadlineError::Eof => Ok(None),
        ReadlineError::Interrupted => Err(io::ErrorKind::Interrupted.into()),
        ReadlineError::Io(error) => Err(error),
        error => Err(io::Error::other(error)),
    }
}

fn holds_secret(line: &str, commands: &[&'static Command]) -> bool {
    let words = line::words(line);
    crate::shell::hide_secrets(&words, commands) != words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{self, Mode};

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
