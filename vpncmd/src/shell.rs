//! Running commands: finding the one that a line means, giving it what it needs, reporting how it ended.

use protocol::{
    error::ErrorCode,
    pack::Pack,
    rpc::{RpcMessage, client, method::Method},
};

use crate::{
    calendar::Calendar,
    command::{self, Command, Mode, Scope},
    console::Console,
    failure::{Failure, Outcome},
    help, line, matching,
    params::{Given, JSON, Word, classify},
};

/// The server or client service at the other end: one call, one answer.
pub trait Server {
    /// Calls a method.
    ///
    /// # Errors
    /// The server's error code, or [`ErrorCode::Disconnected`] when the connection is gone.
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode>;
}

/// What the tool was started for.
pub enum Target {
    /// A server.
    Server(Box<dyn Server>),
    /// A client service.
    Client(Box<dyn Server>),
    /// The tools that need none.
    Tools,
}

/// Whether the tool goes on after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The next line, please.
    Next,
    /// The user is done.
    Exit,
}

/// The running tool.
pub struct Shell {
    /// Screen and keyboard.
    pub console: Console,
    /// How times are read and printed.
    pub calendar: Calendar,
    /// The selected hub.
    pub hub: Option<String>,
    /// `--stop-on-error`: the first command that fails is the last.
    pub stop_on_error: bool,
    target: Target,
    last: u32,
}

impl Shell {
    /// A tool for this target.
    #[must_use]
    pub fn new(console: Console, calendar: Calendar, target: Target, hub: Option<String>) -> Shell {
        Shell {
            console,
            calendar,
            hub,
            stop_on_error: false,
            target,
            last: 0,
        }
    }

    /// The result of the last command: 0, or the stock number of what went wrong.
    #[must_use]
    pub fn last(&self) -> u32 {
        self.last
    }

    /// Reads and runs lines until the input ends or the user leaves.
    pub fn interact(&mut self) {
        loop {
            let prompt = self.prompt();
            let commands = self.commands();
            let hide = |line: &str| hidden(line, &commands);
            let hub = self.hub.clone();
            let typed = if self.console.style.programming {
                self.console
                    .print_line(&format!("[PROMPT:{}:{prompt}]", self.last));
                self.console.command("", hub.as_deref(), hide)
            } else {
                self.console.command(&prompt, hub.as_deref(), hide)
            };
            match typed {
                Ok(Some(text)) => {
                    if self.run(&line::words(&text)) == Flow::Exit || self.stops() {
                        return;
                    }
                }
                Ok(None) => return,
                // Ctrl+C gives up the line, not the tool.
                Err(Failure::Cancelled) => {}
                Err(failure) => {
                    self.report(&failure);
                    return;
                }
            }
        }
    }

    /// Whether a line has failed that no other may follow; says which.
    fn stops(&mut self) -> bool {
        if self.last == 0 || !self.stop_on_error {
            return false;
        }
        // Where no script looks for results.
        if let Some(place) = self.console.place() {
            eprintln!("vpncmd: stopped at {place}, which ended with {}", self.last);
        }
        true
    }

    /// Shows the prompt with the line, as if it had been typed, and runs it.
    pub fn run_once(&mut self, words: &[String]) -> Flow {
        let echo = format!(
            "{}{}",
            self.prompt(),
            line::join(&hide_secrets(words, &self.commands()))
        );
        self.console.remark(&echo);
        self.run(words)
    }

    /// Runs the command that the words of a line mean.
    pub fn run(&mut self, words: &[String]) -> Flow {
        let Some((name, rest)) = words.split_first() else {
            return Flow::Next;
        };
        if ["exit", "quit"]
            .iter()
            .any(|leave| name.eq_ignore_ascii_case(leave))
        {
            return Flow::Exit;
        }
        let style = self.console.style;
        self.console.style.json |= wants_json(rest);
        let result = match help_wanted(name, rest) {
            Some(None) => {
                self.list_commands();
                Ok(())
            }
            Some(Some(name)) => self
                .find(name)
                .map(|command| self.console.print(&help::of(command))),
            None => self.find(name).and_then(|command| self.execute(command, rest)),
        };
        match result {
            Ok(()) => self.last = 0,
            Err(failure) => self.report(&failure),
        }
        self.console.style = style;
        Flow::Next
    }

    /// Calls a method of the server.
    ///
    /// # Errors
    /// The server refuses, the connection is gone, or the answer is not one.
    pub fn call<M: Method>(&mut self, request: &M::Request) -> Outcome<M::Response> {
        let Target::Server(server) = &mut self.target else {
            return Err(ErrorCode::NotSupported.into());
        };
        let answer = server.call(M::NAME, &request.to_pack())?;
        M::Response::from_pack(&answer).map_err(|_| ErrorCode::Protocol.into())
    }

    /// Calls a method of the client service.
    ///
    /// # Errors
    /// The service refuses, the connection is gone, or the answer is not one.
    pub fn call_client<M: client::method::Method>(&mut self, request: &M::Request) -> Outcome<M::Response> {
        let Target::Client(service) = &mut self.target else {
            return Err(ErrorCode::NotSupported.into());
        };
        let answer = service.call(M::NAME, &request.to_pack())?;
        M::Response::from_pack(&answer).map_err(|_| ErrorCode::Protocol.into())
    }

    /// In `--json`, prints an answer as JSON and says so.
    pub fn json(&mut self, answer: &impl RpcMessage) -> bool {
        if self.console.style.json {
            self.console.json(&answer.to_json());
        }
        self.console.style.json
    }

    /// The selected hub's name for a message; empty when none is selected.
    #[must_use]
    pub fn hub_name(&self) -> String {
        self.hub.clone().unwrap_or_default()
    }

    /// What is administered.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.target {
            Target::Server(_) => Mode::Server,
            Target::Client(_) => Mode::Client,
            Target::Tools => Mode::Tools,
        }
    }

    /// The commands that work here.
    #[must_use]
    pub fn commands(&self) -> Vec<&'static Command> {
        command::all(self.mode())
    }

    /// `VPN Server/HUB>`.
    #[must_use]
    pub fn prompt(&self) -> String {
        match (&self.target, &self.hub) {
            (Target::Tools, _) => "VPN Tools>".to_owned(),
            (Target::Client(_), _) => "VPN Client>".to_owned(),
            (Target::Server(_), None) => "VPN Server>".to_owned(),
            (Target::Server(_), Some(hub)) => format!("VPN Server/{hub}>"),
        }
    }

    /// Says what went wrong and remembers its number.
    pub fn report(&mut self, failure: &Failure) {
        self.last = failure.code();
        self.console.failure(failure);
    }

    fn execute(&mut self, command: &'static Command, words: &[String]) -> Outcome {
        self.console
            .remark(&format!("{} command - {}", command.name, command.title));
        let given = Given::parse(command.name, command.params, words);
        if given.as_ref().is_ok_and(|given| given.help) {
            self.console.print(&help::of(command));
            return Ok(());
        }
        if command.scope == Scope::Hub && self.hub.is_none() {
            let hint = "This command needs a Virtual Hub. Select one with the Hub command first.";
            return Err(Failure::Invalid(hint.to_owned()));
        }
        let arguments = given?.complete(command.params, &mut self.console)?;
        self.console.begin();
        (command.run)(self, &arguments)?;
        self.console.end_json();
        self.console.remark("The command completed successfully.\n");
        Ok(())
    }

    fn find(&self, name: &str) -> Outcome<&'static Command> {
        let commands = self.commands();
        let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
        match matching::candidates(name, &names)[..] {
            [only] => Ok(commands[only]),
            [] => {
                let meant = matching::nearest(name, &names);
                let meant = meant.map_or_else(String::new, |near| format!(" Did you mean {near}?"));
                let hint = "The HELP command lists all commands.";
                Err(Failure::Command(format!(
                    "\"{name}\": Command not found.{meant}\n{hint}"
                )))
            }
            ref several => {
                let several: Vec<&Command> = several.iter().map(|&index| commands[index]).collect();
                let list = help::list(&several);
                Err(Failure::Command(format!(
                    "\"{name}\": The command-name is ambiguous.\nIt could be any of these commands.\n{list}Please write more of the name."
                )))
            }
        }
    }

    fn list_commands(&mut self) {
        let commands = self.commands();
        self.console
            .print_line(&format!("You can use the following {} commands:", commands.len()));
        self.console.print(&help::list(&commands));
        self.console.print_line("\n\"COMMAND /?\" explains a command.");
        self.console.remark("The command completed successfully.\n");
    }
}

/// Whether a command is to answer in JSON.
pub(crate) fn wants_json(words: &[String]) -> bool {
    words.iter().any(|word| word == JSON)
}

/// Whether a line asks for help, and about which command: `help [CMD]`, `? [CMD]`, `?CMD`, `CMD?`. What follows a
/// command's name (`CMD /?`) is among its parameters.
fn help_wanted<'a>(name: &'a str, rest: &'a [String]) -> Option<Option<&'a str>> {
    if name.eq_ignore_ascii_case("help") || name == "?" {
        return Some(rest.first().map(String::as_str));
    }
    let about = name.strip_prefix('?').or_else(|| name.strip_suffix('?'))?;
    Some(Some(about))
}

/// A line as it may be shown again.
fn hidden(line: &str, commands: &[&'static Command]) -> String {
    let words = line::words(line);
    let shown = hide_secrets(&words, commands);
    if shown == words {
        line.to_owned()
    } else {
        line::join(&shown)
    }
}

/// A line that is shown again, or kept in a history, must not show a password: not even one behind a name that is
/// mistyped or could mean several commands.
pub(crate) fn hide_secrets(words: &[String], commands: &[&'static Command]) -> Vec<String> {
    let Some((name, rest)) = words.split_first() else {
        return Vec::new();
    };
    let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
    let meant = matching::candidates(name, &names);
    let secret_word = meant.iter().any(|&at| {
        commands[at]
            .params
            .iter()
            .any(|p| p.secret.is_some() && p.positional)
    });
    let mut secret_names: Vec<&str> = Vec::new();
    for (index, command) in commands.iter().enumerate() {
        if meant.is_empty() || meant.contains(&index) {
            secret_names.extend(
                command
                    .params
                    .iter()
                    .filter(|p| p.secret.is_some() && !p.positional)
                    .map(|p| p.name),
            );
        }
    }
    let known: Vec<&str> = meant
        .iter()
        .flat_map(|&at| commands[at].params)
        .map(|p| p.name)
        .collect();
    let hide = |word: &String| match classify(word) {
        Word::Switch { name, value }
            if !value.is_empty() && !matching::candidates(name, &secret_names).is_empty() =>
        {
            format!("{}********", &word[..name.len() + 2])
        }
        // A password that begins like a switch.
        Word::Switch { name, .. } if secret_word && matching::candidates(name, &known).is_empty() => {
            "********".to_owned()
        }
        Word::Bare(_) if secret_word => "********".to_owned(),
        _ => word.clone(),
    };
    std::iter::once(name.clone())
        .chain(rest.iter().map(hide))
        .collect()
}
