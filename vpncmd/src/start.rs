//! From the words on the start-up line to the exit status.

use std::{
    fs::File,
    io::{self, BufReader, Write},
};

use clap::Parser;
use protocol::{
    error::ErrorCode,
    rpc::{Nothing, client::method::GetClientVersion},
};
use transport::dial::Target as Address;

use crate::{
    calendar::Calendar,
    command::{self, Mode, hub, local},
    connect,
    console::{Console, Input, Lines, on_terminal},
    dialect,
    failure::{Failure, Outcome},
    manual, menu,
    names::Shared,
    options::Options,
    service,
    shell::{Shell, Target, wants_json},
    terminal::Terminal,
};

/// What scripts know as "invalid parameter".
const USAGE: u8 = 38;

/// Does what the words after the program's name say. Returns the exit status: the result of the last command.
pub fn run(words: impl IntoIterator<Item = String>) -> u8 {
    let words = match dialect::translate(words) {
        Ok(words) => words,
        Err(error) => {
            eprintln!("vpncmd: {error}");
            return USAGE;
        }
    };
    let mut options = match Options::try_parse_from(std::iter::once("vpncmd".to_owned()).chain(words)) {
        Ok(options) => options,
        Err(error) => {
            // Help and version are no errors, and go to the screen.
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { 0 };
        }
    };
    // `vpncmd HOST HubList --json`: then the banner is none of the answer either.
    options.json |= options.command.as_deref().is_some_and(wants_json);
    if let Some(printed) = documents(&options) {
        return printed;
    }
    let mut console = match console(&options) {
        Ok(console) => console,
        Err(failure) => {
            eprintln!("vpncmd: {failure}");
            return status(failure.code());
        }
    };
    if let Some(path) = &options.input {
        console.remark(&format!("Commands come from the file \"{}\".", path.display()));
    }
    console.remark(&local::banner());
    if options.are_open() {
        match menu::choose(&mut options, &mut console) {
            Ok(true) => console.use_commands(command::all(options.mode())),
            Ok(false) => return status(ErrorCode::Cancelled.code()),
            Err(failure) => {
                console.failure(&failure);
                return status(failure.code());
            }
        }
    }
    let mut shell = match open(&options, console) {
        Ok(shell) => shell,
        Err((mut console, failure)) => {
            console.failure(&failure);
            return status(failure.code());
        }
    };
    match &options.command {
        Some(words) => {
            shell.run_once(words);
        }
        None => shell.interact(),
    }
    status(shell.last())
}

/// Prints what needs nobody at the other end: completions and the manual page. Returns the exit status.
fn documents(options: &Options) -> Option<u8> {
    let text = match (&options.completions, &options.man) {
        (Some(shell), _) => shell.script(),
        (None, Some(_)) => manual::page(),
        (None, None) => return None,
    };
    let written = match options.man.as_ref().filter(|_| options.completions.is_none()) {
        Some(Some(folder)) => {
            let path = folder.join("vpncmd.1");
            std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
        }
        // A reader that has seen enough is no trouble.
        _ => {
            let _ = io::stdout().write_all(text.as_bytes());
            Ok(())
        }
    };
    match written {
        Ok(()) => Some(0),
        Err(text) => {
            eprintln!("vpncmd: {text}");
            Some(status(Failure::Local(text).code()))
        }
    }
}

/// An exit status has eight bits.
fn status(code: u32) -> u8 {
    code.to_le_bytes()[0]
}

fn console(options: &Options) -> Outcome<Console> {
    let cannot = |what: &str, path: &std::path::Path, error: io::Error| {
        Failure::Local(format!("cannot {what} {}: {error}", path.display()))
    };
    let copy = match &options.output {
        Some(path) => Some(File::create(path).map_err(|error| cannot("write", path, error))?),
        None => None,
    };
    let input: Box<dyn Input> = match &options.input {
        Some(path) => {
            let file = File::open(path).map_err(|error| cannot("read", path, error))?;
            Box::new(Lines::script(BufReader::new(file), &path.display().to_string()))
        }
        None if on_terminal() => {
            let terminal = Terminal::new(command::all(options.mode()), options.style().colour);
            Box::new(terminal.map_err(|error| Failure::Local(format!("cannot use the terminal: {error}")))?)
        }
        None => Box::new(Lines::stdin()),
    };
    Ok(Console::new(Box::new(io::stdout()), copy, input, options.style()))
}

/// Gets the shell ready: connected, with its hub selected. The console comes back when that fails, to say so.
fn open(options: &Options, mut console: Console) -> Result<Shell, (Console, Failure)> {
    let connected = match options.mode() {
        Mode::Server => {
            connect::connect(options, &mut console).map(|server| {
                // Completion asks the server for names.
                let server = Shared::new(Box::new(server));
                console.use_names(server.clone());
                Target::Server(Box::new(server))
            })
        }
        Mode::Client => {
            service::connect(options, &mut console).map(|client| Target::Client(Box::new(client)))
        }
        Mode::Tools => Ok(Target::Tools),
    };
    let target = match connected {
        Ok(target) => target,
        Err(failure) => return Err((console, failure)),
    };
    greet(options, &mut console);
    let mut shell = Shell::new(console, Calendar::local(), target, None);
    shell.stop_on_error = options.stop_on_error;
    match options.mode() {
        Mode::Server => start_server(options, &mut shell),
        Mode::Client => start_client(&mut shell),
        Mode::Tools => {}
    }
    Ok(shell)
}

fn start_server(options: &Options, shell: &mut Shell) {
    match (&options.hub, &options.adminhub) {
        (Some(hub), _) => shell.hub = Some(hub.clone()),
        (None, Some(name)) => select(shell, name),
        (None, None) => {}
    }
}

/// The stock tool asks a client service for its version first, on every connection (client RPC §1). What the answer
/// is matters to nobody yet.
fn start_client(shell: &mut Shell) {
    if let Err(failure) = shell.call_client::<GetClientVersion>(&Nothing {}) {
        shell.report(&failure);
    }
}

fn greet(options: &Options, console: &mut Console) {
    let text = options.host.as_deref().unwrap_or("localhost");
    match options.mode() {
        Mode::Server => {}
        Mode::Client => return console.remark(&format!("Connected to VPN Client \"{text}\".\n")),
        Mode::Tools => return,
    }
    // It was read once already, to connect.
    if let Ok(Address { host, port }) = text.parse() {
        console.remark(&format!(
            "Connection has been established with VPN Server \"{host}\" (port {port}).\n"
        ));
    }
    match &options.hub {
        Some(hub) => console.remark(&format!(
            "You have administrator privileges for Virtual Hub '{hub}' on the VPN Server.\n"
        )),
        None => console.remark("You have administrator privileges for the entire VPN Server.\n"),
    }
}

/// A hub that cannot be selected is reported, and the session goes on without one, as scripts expect.
fn select(shell: &mut Shell, name: &str) {
    let bare = shell.console.bare();
    let selected = if bare {
        hub::find(shell, name)
    } else {
        hub::exists(shell, name)
    };
    match selected {
        Ok(name) => shell.hub = Some(name),
        Err(failure) => {
            shell.console.remark(&format!(
                "The Virtual Hub \"{name}\" of /ADMINHUB cannot be selected."
            ));
            shell.report(&failure);
        }
    }
}
