//! What the user sees and types: the screen, a copy of it in a file, and the source of the lines.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal, Stdin, Write},
    os::fd::AsFd,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use protocol::error::ErrorCode;
use zeroize::Zeroizing;

use crate::{
    command::Command,
    failure::{Failure, Outcome},
    names::Shared,
    table::Table,
};

/// Where lines come from.
pub trait Input {
    /// The next line without its end; `None` at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read; [`io::ErrorKind::Interrupted`] when a person does not want to answer.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;

    /// The next command. A person's is completed, and kept in a history.
    ///
    /// # Errors
    /// As [`Input::line`].
    fn command_line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        self.line(prompt)
    }

    /// The next line, not shown while it is typed.
    ///
    /// # Errors
    /// The input cannot be read.
    fn secret(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>>;

    /// A person sits in front of it, who sees what they type and can be asked again.
    fn interactive(&self) -> bool;

    /// Completes these commands from now on.
    fn use_commands(&mut self, _commands: Vec<&'static Command>) {}

    /// Completes the names that this server has.
    fn use_names(&mut self, _server: Shared) {}

    /// The names of users and groups are those of this hub.
    fn select(&mut self, _hub: Option<&str>) {}

    /// Where the last line stands, when it stands in a file.
    fn place(&self) -> Option<String> {
        None
    }

    /// Waits until a line can be read without waiting, or `within` is over; says which. Lines that are there already
    /// need no waiting.
    ///
    /// # Errors
    /// The input cannot be watched.
    fn ready(&self, _within: Duration) -> io::Result<bool> {
        Ok(true)
    }
}

/// How the output looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// `/CSV`: tables as comma-separated values, and nothing but results.
    pub csv: bool,
    /// `/PROGRAMMING`: nothing is ever asked, and prompts carry the last code.
    pub programming: bool,
    /// `--json`: what a server answered, as JSON, and nothing else.
    pub json: bool,
    /// A terminal shows it, whose user has nothing against colours.
    pub colour: bool,
}

/// What colours say here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Something new.
    Green,
    /// Something changed.
    Yellow,
    /// Something deleted, or wrong.
    Red,
}

impl Colour {
    /// The text in this colour (ECMA-48, "select graphic rendition").
    #[must_use]
    pub fn paint(self, text: &str) -> String {
        let number = match self {
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
        };
        format!("\x1b[{number}m{text}\x1b[0m")
    }
}

/// Whether output shall be coloured: on a terminal that can, unless `NO_COLOR` says no (<https://no-color.org>).
#[must_use]
pub fn coloured() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// The screen and the keyboard, or what stands for them.
pub struct Console {
    screen: Box<dyn Write>,
    copy: Option<File>,
    input: Box<dyn Input>,
    /// The command has printed JSON.
    spoken: bool,
    /// How the output looks.
    pub style: Style,
}

impl Console {
    /// A console on this screen, with a copy of the output in a file.
    #[must_use]
    pub fn new(screen: Box<dyn Write>, copy: Option<File>, input: Box<dyn Input>, style: Style) -> Console {
        Console {
            screen,
            copy,
            input,
            spoken: false,
            style,
        }
    }

    /// Writes text as it is.
    pub fn print(&mut self, text: &str) {
        self.print_screen(text);
        self.print_copy(text);
    }

    /// Writes a line, in a colour where there are any; never in the copy.
    pub fn print_coloured(&mut self, colour: Colour, text: &str) {
        let line = format!("{text}\n");
        if self.style.colour {
            let shown = text.lines().map(|line| colour.paint(line) + "\n");
            self.print_screen(&shown.collect::<String>());
        } else {
            self.print_screen(&line);
        }
        self.print_copy(&line);
    }

    /// A screen that is gone (a closed pipe) is no reason to stop half-way through a change.
    fn print_screen(&mut self, text: &str) {
        let _ = self
            .screen
            .write_all(text.as_bytes())
            .and_then(|()| self.screen.flush());
    }

    /// Writes a line.
    pub fn print_line(&mut self, text: &str) {
        self.print(&format!("{text}\n"));
    }

    /// Writes a line that only a person reads: nothing in CSV and JSON.
    pub fn remark(&mut self, text: &str) {
        if !self.bare() {
            self.print_line(text);
        }
    }

    /// True when only results are wanted.
    #[must_use]
    pub fn bare(&self) -> bool {
        self.style.csv || self.style.json
    }

    /// Writes a table: as columns, or as CSV.
    pub fn table(&mut self, table: &Table) {
        let text = if self.style.csv { table.csv() } else { table.grid() };
        self.print(&text);
    }

    /// Writes a table as one block per row, or as CSV.
    pub fn blocks(&mut self, table: &Table) {
        let text = if self.style.csv {
            table.csv()
        } else {
            table.blocks()
        };
        self.print(&text);
    }

    /// Writes a value as JSON.
    pub fn json(&mut self, value: &serde_json::Value) {
        self.spoken = true;
        // A JSON value always has a text.
        self.print_line(&serde_json::to_string_pretty(value).unwrap_or_default());
    }

    /// Begins a command.
    pub fn begin(&mut self) {
        self.spoken = false;
    }

    /// In JSON, ends a command that had nothing to say with an empty object: there is always a value to read.
    pub fn end_json(&mut self) {
        if self.style.json && !self.spoken {
            self.print_line("{}");
        }
    }

    /// Says why a value will not do, before it is asked for again.
    pub fn complain(&mut self, text: &str) {
        if self.style.json {
            eprintln!("vpncmd: {text}");
        } else {
            self.print_line(text);
        }
    }

    /// Says what went wrong: the stock lines, or an object in JSON.
    pub fn failure(&mut self, failure: &Failure) {
        if self.style.json && !matches!(failure, Failure::WouldChange | Failure::ChecksFailed) {
            let error = serde_json::json!({ "code": failure.code(), "message": failure.to_string() });
            return self.json(&serde_json::json!({ "error": error }));
        }
        match failure {
            Failure::Refused(code) | Failure::Failed { code, .. } => {
                let head = format!("Error occurred. (Error code: {})", code.code());
                self.print_coloured(Colour::Red, &head);
                self.print_line(&failure.to_string());
            }
            Failure::NoSuchType(text) => {
                let head = format!(
                    "Error occurred. (Error code: {})",
                    ErrorCode::InvalidParameter.code()
                );
                self.print_coloured(Colour::Red, &head);
                self.print_line(text);
            }
            // The prompt that found no answer is the last thing on the screen and says it all.
            Failure::InputEnded | Failure::WouldChange | Failure::ChecksFailed => {}
            Failure::Cancelled => self.print_line("Cancelled."),
            Failure::Invalid(text) | Failure::Local(text) | Failure::Command(text) => {
                self.print_coloured(Colour::Red, text);
            }
        }
    }

    /// Completes these commands from now on.
    pub fn use_commands(&mut self, commands: Vec<&'static Command>) {
        self.input.use_commands(commands);
    }

    /// Completes the names that this server has.
    pub fn use_names(&mut self, server: Shared) {
        self.input.use_names(server);
    }

    /// Where the last command stands, when it stands in a file: `FILE, line 7`.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.input.place()
    }

    /// Whether missing values may be asked for.
    #[must_use]
    pub fn may_ask(&self) -> bool {
        !self.style.programming
    }

    /// Whether a person sits in front of it.
    #[must_use]
    pub fn interactive(&self) -> bool {
        self.input.interactive()
    }

    /// Asks for a line; `None` at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn ask(&mut self, prompt: &str) -> Outcome<Option<String>> {
        let answer = self.input.line(prompt).map_err(|error| unreadable(&error))?;
        self.echo(prompt, answer.as_deref().unwrap_or_default());
        Ok(answer)
    }

    /// Asks for a command about this hub; where the line is shown again, it is shown as `hide` makes it.
    ///
    /// # Errors
    /// The input cannot be read, or the user gives the line up.
    pub fn command(
        &mut self,
        prompt: &str,
        hub: Option<&str>,
        hide: impl FnOnce(&str) -> String,
    ) -> Outcome<Option<String>> {
        self.input.select(hub);
        let answer = self
            .input
            .command_line(prompt)
            .map_err(|error| unreadable(&error))?;
        self.echo(prompt, &answer.as_deref().map(hide).unwrap_or_default());
        Ok(answer)
    }

    /// Waits for Enter or the end of the input, and does something else a few times a second.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn wait(&mut self, mut meanwhile: impl FnMut(&mut Console)) -> Outcome {
        const TURN: Duration = Duration::from_millis(200);
        while !self.input.ready(TURN).map_err(|error| unreadable(&error))? {
            meanwhile(self);
        }
        meanwhile(self);
        self.input.line("").map(drop).map_err(|error| unreadable(&error))
    }

    /// Asks for a password that exists; `None` at the end of the input.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn password(&mut self, prompt: &str) -> Outcome<Option<Zeroizing<String>>> {
        let answer = self.input.secret(prompt).map_err(|error| unreadable(&error))?;
        let stars = "*".repeat(answer.as_ref().map_or(0, |answer| answer.chars().count().min(8)));
        self.echo(prompt, &stars);
        Ok(answer)
    }

    /// The screen shows the prompt and the typing of a person by itself; of a pipe or file it shows nothing.
    fn echo(&mut self, prompt: &str, shown: &str) {
        let line = format!("{prompt}{shown}");
        if self.input.interactive() || self.style.json {
            self.print_copy(&format!("{line}\n"));
        } else {
            self.print_line(&line);
        }
    }

    /// Asks for a new password, twice until both are the same.
    ///
    /// # Errors
    /// The input ends or cannot be read.
    pub fn new_password(&mut self) -> Outcome<Zeroizing<String>> {
        self.remark("Please enter the password. Ctrl+D cancels.");
        loop {
            let first = self.password("Password: ")?.ok_or(Failure::InputEnded)?;
            let second = self.password("Confirm input: ")?.ok_or(Failure::InputEnded)?;
            if *first == *second {
                return Ok(first);
            }
            self.complain("The two are not the same. Please enter both again.");
        }
    }

    fn print_copy(&mut self, text: &str) {
        if let Some(copy) = &mut self.copy {
            let _ = copy.write_all(text.as_bytes());
        }
    }
}

fn unreadable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::Interrupted {
        return Failure::Cancelled;
    }
    Failure::Local(format!("The input cannot be read: {error}."))
}

/// Lines of a pipe or a file. A prompt waits for nobody there, so the end of the input never hangs.
pub struct Lines<R> {
    reader: R,
    /// The script's name; in a pipe, remarks are nobody's business.
    script: Option<String>,
    /// How many lines have been read.
    number: usize,
    is_stdin: bool,
}

impl<R: BufRead> Lines<R> {
    /// The lines of a pipe.
    pub fn new(reader: R) -> Lines<R> {
        Lines {
            reader,
            script: None,
            number: 0,
            is_stdin: false,
        }
    }

    /// The lines of a script, in which empty lines and those that start with `#` are not for us.
    pub fn script(reader: R, name: &str) -> Lines<R> {
        Lines {
            reader,
            script: Some(name.to_owned()),
            number: 0,
            is_stdin: false,
        }
    }

    fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            let mut bytes = Vec::new();
            if self.reader.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            let text = String::from_utf8_lossy(&bytes);
            let line = text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r']);
            let remark = line.trim().is_empty() || line.trim_start().starts_with('#');
            if !(self.script.is_some() && remark) {
                return Ok(Some(line.to_owned()));
            }
        }
    }
}

impl<R: BufRead> Input for Lines<R> {
    fn line(&mut self, _prompt: &str) -> io::Result<Option<String>> {
        self.next()
    }

    fn secret(&mut self, _prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        Ok(self.next()?.map(Zeroizing::new))
    }

    fn interactive(&self) -> bool {
        false
    }

    fn place(&self) -> Option<String> {
        let name = self.script.as_ref()?;
        Some(format!("{name}, line {}", self.number))
    }

    fn ready(&self, within: Duration) -> io::Result<bool> {
        if self.is_stdin {
            stdin_ready(within)
        } else {
            Ok(true)
        }
    }
}

impl Lines<BufReader<Stdin>> {
    /// The lines of the standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Lines {
            is_stdin: true,
            ..Lines::new(BufReader::new(io::stdin()))
        }
    }
}

/// Waits until the standard input has something to say, be it its end.
///
/// # Errors
/// It cannot be watched.
pub fn stdin_ready(within: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    match poll(&mut watched, timeout) {
        Ok(number) => Ok(number > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a person types and reads.
#[must_use]
pub fn on_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

#[cfg(test)]
pub(crate) mod testing {
    //! A console in memory.

    use std::{cell::RefCell, io::Cursor, rc::Rc};

    use super::*;

    /// What was printed.
    #[derive(Clone, Default)]
    pub(crate) struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Screen {
        pub(crate) fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.borrow()).into_owned()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console whose user has typed `typed` and left.
    pub(crate) fn console(typed: &str) -> (Console, Screen) {
        let screen = Screen::default();
        let input = Box::new(Lines::new(Cursor::new(typed.as_bytes().to_vec())));
        (
            Console::new(Box::new(screen.clone()), None, input, Style::default()),
            screen,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_password_is_asked_for_until_both_entries_agree() {
        let (mut console, screen) = testing::console("secret\nsecrets\nx\nx\n");
        assert_eq!(*console.new_password().unwrap(), "x");
        assert!(!screen.text().contains("secret"), "{}", screen.text());
    }

    #[test]
    fn the_end_of_the_input_ends_a_password_prompt() {
        let (mut console, _) = testing::console("only one\n");
        assert_eq!(console.new_password().unwrap_err(), Failure::InputEnded);
    }

    #[test]
    fn remarks_and_empty_lines_of_a_script_are_skipped() {
        let mut lines = Lines::script("\u{feff}# first\n\n  # second\nHub A\r\nUserList".as_bytes(), "s");
        assert_eq!(lines.line("").unwrap().as_deref(), Some("Hub A"));
        assert_eq!(lines.place().as_deref(), Some("s, line 4"));
        assert_eq!(lines.line("").unwrap().as_deref(), Some("UserList"));
        assert_eq!(lines.line("").unwrap(), None);
    }
}
