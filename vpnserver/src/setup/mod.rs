//! `vpnserver setup`: from an empty machine to a hub with a user, by questions or by options.
//!
//! All questions come first. What is to be done then is a list of calls of administration (`plan`), which go to the running server,
//! or to the store of one that does not run (`place`); should one fail, or somebody press `^C`, those before it are taken back. What is
//! there already stays, so a setup may be repeated.

mod dialogue;
mod password;
mod place;
mod plan;
mod present;
mod wish;

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::RpcMessage;
use protocol::rpc::dnat::DnatVerdict;
use protocol::rpc::method::{AddDnat, FUNCTION_NAME, Method, TestDnat};
use tokio::signal::unix::{Signal, SignalKind, signal};
use transport::tls::Fingerprint;

use crate::cli;
use crate::data_dir::DataDir;
use crate::listen;
use crate::run::usual_ports;
use crate::store::{OpenError, StoreError};
use dialogue::{Person, Terminal, ask};
use place::Place;
use plan::{Step, Undo, steps, typed, word};
use present::Present;
use wish::{Network, Wish};
pub use wish::{Published, TapAddress};

/// The port that clients try when none is named.
const USUAL_PORT: u16 = 443;

/// Why a setup was not done. Nothing was changed then, but where `left` says so.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The person said no, or went away.
    #[error("ended; nothing was changed")]
    GivenUp,
    /// Somebody pressed `^C` while it was being done.
    #[error("interrupted; what was done has been taken back{left}")]
    Interrupted {
        /// What could not be taken back.
        left: String,
    },
    /// The terminal failed.
    #[error("the terminal does not answer: {0}")]
    Terminal(io::Error),
    /// A password file.
    #[error("cannot use the password file {}: {source}", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Something that was given, or the folder.
    #[error("{0}")]
    Unusable(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server said no.
    #[error("{0}")]
    Refused(ErrorCode),
    /// A step failed.
    #[error("{command}: {source}; what was done before it has been taken back{left}")]
    Step {
        /// The step as a command.
        command: String,
        /// What happened.
        source: Box<SetupError>,
        /// What could not be taken back.
        left: String,
    },
}

impl From<io::Error> for SetupError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => Self::GivenUp,
            _ => Self::Terminal(error),
        }
    }
}

/// Sets a server up. Prints what it did.
///
/// # Errors
/// When it was not done.
pub async fn run(options: &cli::Setup) -> Result<(), SetupError> {
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    let present = Present::of(&folder)?;
    let usual_ports = usual_ports();
    let is_asked = !options.unattended && io::stdin().is_terminal() && io::stdout().is_terminal();
    let wish = if is_asked {
        Wish::of_person(&mut Terminal, options, &present)?
    } else {
        Wish::of_options(options, &present)?
    };
    let steps = steps(&wish, &present)?;
    // The store is closed before it is opened anew, perhaps by another user.
    drop(present);
    let with_folder = options
        .folder
        .data_dir
        .as_deref()
        .map(|path| path.display().to_string());
    let commands = commands(&steps, with_folder.as_deref());
    if is_asked {
        confirm(&mut Terminal, &commands)?;
    }
    let mut place = Place::of(&folder, usual_ports).await?;
    let outcome = carry_out(&mut place, &steps).await;
    let told = match outcome {
        Ok(()) => settle_addresses(&folder, &wish).and(report(&mut place, &wish, &commands, is_asked).await),
        Err(error) => Err(error),
    };
    place.leave().await;
    println!("{}", told?);
    Ok(())
}

/// Shows what is about to be done, and waits for a yes.
fn confirm(person: &mut dyn Person, commands: &[String]) -> Result<(), SetupError> {
    person.say("\nThis is to be done; by hand it would be:")?;
    for command in commands {
        person.say(&format!("  {command}"))?;
    }
    let yes = ask(person, "Do it", "yes", |answer| {
        match answer.to_ascii_lowercase().as_str() {
            "yes" | "y" => Ok(true),
            "no" | "n" => Ok(false),
            _ => Err("Type yes or no.".to_owned()),
        }
    })?;
    if yes { Ok(()) } else { Err(SetupError::GivenUp) }
}

/// Makes the calls. One that fails, and an interruption, have those before it taken back.
async fn carry_out(place: &mut Place, steps: &[Step]) -> Result<(), SetupError> {
    // From here on `^C` does not end the process in the middle of something.
    let mut interrupts = Interrupts::new()?;
    let mut done: Vec<Done<'_>> = Vec::new();
    for step in steps {
        if interrupts.came().await {
            let left = take_back(place, &done).await;
            return Err(SetupError::Interrupted { left });
        }
        match carry_out_one(place, step).await {
            Ok(undo) => done.push(Done { step, undo }),
            Err(error) => {
                let left = take_back(place, &done).await;
                return Err(SetupError::Step {
                    command: step.commands.first().cloned().unwrap_or_default(),
                    source: Box::new(error),
                    left,
                });
            }
        }
    }
    Ok(())
}

/// A step that was made, with the call that takes it back.
struct Done<'a> {
    step: &'a Step,
    undo: Option<Pack>,
}

/// Makes one call; gives the one that takes it back.
async fn carry_out_one(place: &mut Place, step: &Step) -> Result<Option<Pack>, SetupError> {
    let undo = match &step.undo {
        Undo::None => None,
        Undo::Call(call) => Some(call.clone()),
        Undo::Former(ask) => {
            let mut former = place.call(ask).await?;
            former.set_str(FUNCTION_NAME, step.call.str(FUNCTION_NAME).unwrap_or_default());
            Some(former)
        }
    };
    match place.call(&step.call).await {
        Ok(_) => Ok(undo),
        Err(error) => Err(reason(place, &step.call).await.unwrap_or(error)),
    }
}

/// Why a call was refused, where another one says so in words.
async fn reason(place: &mut Place, call: &Pack) -> Option<SetupError> {
    if call.str(FUNCTION_NAME) != Some(AddDnat::NAME) {
        return None;
    }
    let mut ask = call.clone();
    ask.set_str(FUNCTION_NAME, TestDnat::NAME);
    let verdict = DnatVerdict::from_pack(&place.call(&ask).await.ok()?).ok()?;
    (!verdict.refusal.is_empty()).then_some(SetupError::Unusable(verdict.refusal))
}

/// Takes steps back, the last one first. Says what is left.
async fn take_back(place: &mut Place, done: &[Done<'_>]) -> String {
    let mut left = Vec::new();
    for Done { step, undo } in done.iter().rev() {
        if let Some(undo) = undo
            && place.call(undo).await.is_err()
        {
            left.extend(step.commands.first().cloned());
        }
    }
    if left.is_empty() {
        String::new()
    } else {
        format!(", except for: {}", left.join("; "))
    }
}

/// Addresses are not in the store but in a file that is read at the start.
fn settle_addresses(folder: &DataDir, wish: &Wish) -> Result<(), SetupError> {
    if wish.listen.is_empty() {
        return Ok(());
    }
    folder.act_as_owner()?;
    let everywhere = wish.listen.iter().all(|address| address.ip().is_unspecified());
    let addresses = if everywhere { &[] } else { wish.listen.as_slice() };
    listen::keep(folder, addresses)
        .map_err(|error| SetupError::Unusable(format!("cannot write the addresses to listen on: {error}")))
}

fn commands(steps: &[Step], folder: Option<&str>) -> Vec<String> {
    let all = steps.iter().flat_map(|step| &step.commands);
    all.map(|command| typed(command, folder)).collect()
}

/// What the user is told at the end.
async fn report(
    place: &mut Place,
    wish: &Wish,
    commands: &[String],
    is_asked: bool,
) -> Result<String, SetupError> {
    let mut text = String::new();
    if commands.is_empty() {
        text.push_str("Everything was there already; nothing was changed.\n");
    } else {
        text.push_str("Done, as these commands would have done it:\n\n");
        for command in commands {
            let _ = writeln!(text, "  {command}");
        }
    }
    for port in place.closed_ports().await? {
        let _ = writeln!(
            text,
            "\nPort {port} could not be opened; the server's log says why."
        );
    }
    if let Some(published) = wish.published
        && let Some(problem) = place.not_published(&published.name()).await?
    {
        let _ = writeln!(text, "\nPort {} is not published yet: {problem}", published.port);
    }
    let has_addresses = wish.listen.iter().any(|address| !address.ip().is_unspecified());
    if has_addresses && place.is_running() {
        text.push_str("\nThe addresses to listen on are in force from the next start of the server on.\n");
    }
    news(&mut text, wish);
    if let Network::Tap { address, .. } = &wish.network {
        let _ = writeln!(
            text,
            "\nThis machine routes for {address} by its own rules and firewall."
        );
    }
    connect_line(&mut text, wish, &place.fingerprint().await?);
    if is_asked && !place.is_running() {
        text.push_str(
            "\nThe server is not running yet: systemctl start hubward-vpnserver, or vpnserver start\n",
        );
    }
    Ok(text)
}

/// Passwords that nobody knows yet.
fn news(text: &mut String, wish: &Wish) {
    let admin = wish
        .admin
        .as_ref()
        .map(|password| ("the administrator", password));
    let user = wish
        .user
        .as_ref()
        .and_then(|(name, password)| Some((name.as_str(), password.as_ref()?)));
    for (whose, password) in [admin, user]
        .into_iter()
        .flatten()
        .filter(|(_, password)| password.is_news)
    {
        let _ = writeln!(text, "\nPassword of {whose}, shown only now: {}", *password.text);
    }
}

fn connect_line(text: &mut String, wish: &Wish, pin: &Fingerprint) {
    let Some((user, _)) = &wish.user else {
        return;
    };
    let ports: Vec<u16> = wish.listen.iter().map(std::net::SocketAddr::port).collect();
    let server = match ports.first() {
        Some(port) if !ports.contains(&USUAL_PORT) => format!("{}:{port}", wish.address),
        _ => wish.address.clone(),
    };
    let _ = writeln!(
        text,
        "\nTo connect:\n\n  vpnclient connect {} --hub {} --user {} --pin {pin}",
        word(&server),
        word(wish.hub.as_str()),
        word(user.as_str())
    );
}

/// SIGINT and SIGTERM, looked at between two steps.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn came(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            () = std::future::ready(()) => false,
        }
    }
}
