//! The keyboard of a person: line editing, history, completion, and passwords that are not shown.

use std::{
    io::{self, Read, Write},
    os::fd::AsFd,
    time::Duration,
};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
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
        let mut out = io::stdout();
        let typed = {
            let stdin = io::stdin();
            // Before it is asked for: nothing of a fast typist is shown.
            let _raw = Raw::begin(&stdin)?;
            write!(out, "{prompt}")?;
            out.flush()?;
            typed_secret(&mut stdin.lock(), &mut out)
        };
        writeln!(out)?;
        typed
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

/// Reads a password key by key and shows a star for each character, as the stock tool does.
fn typed_secret(keys: &mut impl Read, screen: &mut impl Write) -> io::Result<Option<Zeroizing<String>>> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    // Long enough that it is never moved, which would leave a copy.
    let mut typed = Zeroizing::new(Vec::with_capacity(4096));
    loop {
        let mut key = [0];
        if keys.read(&mut key)? == 0 || key[0] == CTRL_D && typed.is_empty() {
            return Ok(None);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            CTRL_C => return Err(io::ErrorKind::Interrupted.into()),
            8 | 127 => erase(&mut typed, screen)?,
            CTRL_U => {
                while !typed.is_empty() {
                    erase(&mut typed, screen)?;
                }
            }
            0..32 => {}
            byte if typed.len() < typed.capacity() => {
                typed.push(byte);
                // The following bytes of a character in UTF-8 are no characters of their own.
                if byte & 0xc0 != 0x80 {
                    screen.write_all(b"*")?;
                }
            }
            _ => {}
        }
        screen.flush()?;
    }
    match std::str::from_utf8(&typed) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Takes the last character back.
fn erase(typed: &mut Vec<u8>, screen: &mut impl Write) -> io::Result<()> {
    let mut erased = false;
    while let Some(byte) = typed.pop() {
        erased = true;
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
    if erased {
        screen.write_all(b"\x08 \x08")?;
    }
    Ok(())
}

/// The terminal gives every key as it is pressed, and shows none, until this is dropped.
struct Raw<'a> {
    stdin: &'a io::Stdin,
    before: Termios,
}

impl<'a> Raw<'a> {
    fn begin(stdin: &'a io::Stdin) -> io::Result<Raw<'a>> {
        let before = tcgetattr(stdin.as_fd())?;
        let mut raw = before.clone();
        raw.local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        raw.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        raw.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Raw { stdin, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin.as_fd(), SetArg::TCSANOW, &self.before);
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

    #[test]
    fn a_password_is_edited_and_never_shown() {
        for (keys, typed, shown) in [
            (&b"abc\r"[..], Some("abc"), "***"),
            (
                "\u{fc}x\u{7f}\u{7f}y\n".as_bytes(),
                Some("y"),
                "**\x08 \x08\x08 \x08*",
            ),
            (b"\x7fa\x15b\n", Some("b"), "*\x08 \x08*"),
            (b"a\x04\n", Some("a"), "*"),
            (b"\x04", None, ""),
            (b"", None, ""),
        ] {
            let mut screen = Vec::new();
            let read = typed_secret(&mut &keys[..], &mut screen).unwrap();
            assert_eq!(read.as_ref().map(|text| text.as_str()), typed, "{keys:?}");
            assert_eq!(String::from_utf8(screen).unwrap(), shown, "{keys:?}");
        }
        let interrupted = typed_secret(&mut &b"a\x03"[..], &mut Vec::new()).unwrap_err();
        assert_eq!(interrupted.kind(), io::ErrorKind::Interrupted);
    }
}
