//! What the user sees: a moving line on a terminal, a line per event otherwise, or a JSON object per event.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::reason::Reason;
use crate::status::Board;

/// A longer message of a server is cut off.
const MAX_MESSAGE: usize = 4096;

/// Something the user may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Looking up the server's name.
    Resolving(String),
    /// Opening TCP.
    Connecting(String),
    /// In the TLS handshake.
    Securing,
    /// Waiting for the server's hello.
    Greeting,
    /// Proving who we are.
    LoggingIn {
        /// The user.
        user: String,
        /// The hub.
        hub: String,
    },
    /// The session is there.
    Connected {
        /// The server's name for it.
        session: String,
        /// What the server calls itself.
        server: String,
        /// How long it took.
        took: Duration,
    },
    /// What the server has to say, cleaned.
    Message(String),
    /// Asking for an address.
    AskingForAddress,
    /// An address was given.
    Address {
        /// The device that has it.
        device: String,
        /// The address.
        address: IpAddr,
        /// The number of bits that name its network.
        prefix: u8,
        /// The DHCP server.
        server: IpAddr,
        /// How long it holds; `None` is for ever.
        term: Option<Duration>,
        /// Networks behind the VPN.
        routes: Vec<String>,
        /// Name servers.
        dns: Vec<IpAddr>,
    },
    /// Where packets go now.
    Routes {
        /// The VPN's device.
        device: String,
        /// The table of the routes through it.
        table: u32,
        /// The default routes, which stay.
        before: Vec<String>,
        /// Networks through the VPN.
        through: Vec<String>,
        /// Networks that stay local although one of those holds them.
        local: Vec<String>,
        /// Whether everything goes through the VPN.
        full: bool,
    },
    /// There is a session and no address, for this reason; one may come yet.
    NoAddress(String),
    /// The address must not be used any more.
    AddressLost(String),
    /// All connections broke; the session may live on.
    Interrupted,
    /// The session goes on.
    Resumed,
    /// The session is over.
    Ended(String),
    /// The next try.
    Retrying {
        /// Why there has to be one.
        reason: Reason,
        /// The same for people.
        message: String,
        /// The pause before.
        after: Duration,
    },
    /// The server's policy has the password forgotten: who keeps it elsewhere has to do so, too.
    PasswordForgotten,
    /// Worth knowing, and no failure.
    Note(String),
    /// The program ends because of this.
    Failed(Failure),
    /// Everything is taken back.
    Closed {
        /// Bytes received.
        received: u64,
        /// Bytes sent.
        sent: u64,
        /// How long it lasted.
        lasted: Duration,
    },
}

/// How events are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A moving line and lasting lines on the terminal.
    Terminal,
    /// A line per event on standard error.
    Lines,
    /// A JSON object per event on standard output.
    Json,
    /// A line in the log, with the name of the connection.
    Log,
}

impl Style {
    /// The right one for where the output goes.
    pub fn detect(json: bool) -> Self {
        match (json, std::io::stderr().is_terminal()) {
            (true, _) => Self::Json,
            (false, true) => Self::Terminal,
            (false, false) => Self::Lines,
        }
    }
}

/// Shows events, and notes them on the board of the connection they are of.
#[derive(Debug, Clone)]
pub struct Reporter {
    style: Style,
    name: String,
    board: Arc<Board>,
    moving: ProgressBar,
}

impl Reporter {
    /// A reporter of this style.
    pub fn new(style: Style) -> Self {
        let moving = match style {
            Style::Terminal => ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()),
            _ => ProgressBar::hidden(),
        };
        if let Ok(spinner) = ProgressStyle::with_template("{spinner} {msg}") {
            moving.set_style(spinner);
        }
        Self {
            style,
            name: String::new(),
            board: Arc::default(),
            moving,
        }
    }

    /// A reporter of the connection called `name`, which has this board.
    pub fn of(style: Style, name: &str, board: Arc<Board>) -> Self {
        Self {
            name: name.to_owned(),
            board,
            ..Self::new(style)
        }
    }

    /// Where the connection notes how it stands.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Shows one event.
    pub fn show(&self, event: &Event) {
        self.board.tell(event);
        self.print(&event.to_string(), event.is_passing(), &event.to_json());
        if self.style == Style::Log {
            event.log(&self.name);
        }
    }

    /// Prints what another process has to say: its text, whether the next makes it old, and the same for programs.
    pub fn print(&self, text: &str, passing: bool, json: &Value) {
        match self.style {
            Style::Json => {
                // A closed pipe is no reason to end a VPN.
                let _ = writeln!(std::io::stdout().lock(), "{json}");
            }
            Style::Log => {}
            Style::Lines => self.line(text),
            Style::Terminal if passing => {
                if self.moving.is_finished() {
                    self.moving.reset();
                }
                self.moving.set_message(text.to_owned());
                self.moving.enable_steady_tick(Duration::from_millis(120));
            }
            Style::Terminal => {
                self.finish();
                self.line(text);
            }
        }
    }

    /// Takes the moving line away, before something else is written.
    pub fn finish(&self) {
        self.moving.finish_and_clear();
    }

    fn line(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        for line in text.lines() {
            let _ = writeln!(out, "{line}");
        }
    }
}

impl Event {
    /// Writes it to the log as one of the connection called `name`.
    fn log(&self, name: &str) {
        let text = self.to_string().replace("\n", "; ");
        match self {
            Self::Failed(failure) => tracing::error!(connection = name, "{failure}"),
            Self::Interrupted | Self::Ended(_) | Self::Retrying { .. } | Self::AddressLost(_) => {
                tracing::warn!(connection = name, "{text}");
            }
            _ if self.is_passing() => tracing::debug!(connection = name, "{text}"),
            _ => tracing::info!(connection = name, "{text}"),
        }
    }

    /// Whether it only says what is being done, and the next event makes it old.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Resolving(_)
                | Self::Connecting(_)
                | Self::Securing
                | Self::Greeting
                | Self::LoggingIn { .. }
                | Self::AskingForAddress
        )
    }

    /// The event for programs: an object with `event` and what belongs to it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Resolving(host) => json!({"event": "resolving", "host": host}),
            Self::Connecting(to) => json!({"event": "connecting", "to": to}),
            Self::Securing => json!({"event": "securing"}),
            Self::Greeting => json!({"event": "greeting"}),
            Self::LoggingIn { user, hub } => json!({"event": "logging_in", "user": user, "hub": hub}),
            Self::Connected {
                session,
                server,
                took,
            } => {
                json!({"event": "connected", "session": session, "server": server, "took_ms": millis(*took)})
            }
            Self::Message(text) => json!({"event": "message", "text": text}),
            Self::AskingForAddress => json!({"event": "asking_for_address"}),
            Self::Address {
                device,
                address,
                prefix,
                server,
                term,
                routes,
                dns,
            } => json!({
                "event": "address", "device": device, "address": address, "prefix": prefix, "server": server,
                "term_s": term.map(|term| term.as_secs()), "routes": routes, "dns": dns,
            }),
            Self::Routes {
                device,
                table,
                before,
                through,
                local,
                full,
            } => json!({
                "event": "routes", "device": device, "table": table, "before": before, "through": through, "local": local,
                "everything": full,
            }),
            Self::NoAddress(text) => json!({"event": "no_address", "text": text}),
            Self::AddressLost(reason) => json!({"event": "address_lost", "reason": reason}),
            Self::Interrupted => json!({"event": "interrupted"}),
            Self::Resumed => json!({"event": "resumed"}),
            Self::Ended(reason) => json!({"event": "ended", "reason": reason}),
            Self::Retrying {
                reason,
                message,
                after,
            } => {
                json!({
                    "event": "retrying", "reason": reason.word(), "message": message, "after_ms": millis(*after),
                })
            }
            Self::PasswordForgotten => json!({"event": "password_forgotten"}),
            Self::Note(text) => json!({"event": "note", "text": text}),
            Self::Failed(failure) => {
                json!({
                    "event": "failed", "exit_code": failure.number(), "reason": failure.reason().word(),
                    "message": failure.to_string(),
                })
            }
            Self::Closed {
                received,
                sent,
                lasted,
            } => {
                json!({"event": "closed", "received": received, "sent": sent, "lasted_ms": millis(*lasted)})
            }
        }
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Resolving(host) => write!(f, "resolving {host}"),
            Self::Connecting(to) => write!(f, "connecting to {to}"),
            Self::Securing => f.write_str("securing the connection (TLS)"),
            Self::Greeting => f.write_str("waiting for the server's hello"),
            Self::LoggingIn { user, hub } => write!(f, "logging in as {user} on hub {hub}"),
            Self::Connected {
                session,
                server,
                took,
            } => {
                write!(f, "connected: session {session} on {server} ({})", human(*took))
            }
            Self::Message(text) => {
                f.write_str("the server says:")?;
                text.lines().try_for_each(|line| write!(f, "\n  {line}"))
            }
            Self::AskingForAddress => f.write_str("asking for an address (DHCP)"),
            Self::Address {
                device,
                address,
                prefix,
                server,
                term,
                routes,
                dns,
            } => {
                write!(f, "address {address}/{prefix} on {device} from {server}")?;
                match term {
                    Some(term) => write!(f, ", for {}", human(*term))?,
                    None => f.write_str(", for ever")?,
                }
                if !routes.is_empty() {
                    write!(f, "\nroutes: {}", routes.join(", "))?;
                }
                if !dns.is_empty() {
                    let servers: Vec<_> = dns.iter().map(ToString::to_string).collect();
                    write!(f, "\nname servers: {}", servers.join(", "))?;
                }
                Ok(())
            }
            Self::Routes {
                device,
                table,
                before,
                through,
                local,
                full,
            } => {
                let before = if before.is_empty() {
                    "nowhere".to_owned()
                } else {
                    before.join(", ")
                };
                if *full {
                    write!(
                        f,
                        "everything goes through {device} (table {table}), and went {before} before"
                    )?;
                } else {
                    write!(
                        f,
                        "through {device} (table {table}): {}; all else goes {before} as before",
                        through.join(", ")
                    )?;
                }
                if !local.is_empty() {
                    write!(f, "; local stays {}", local.join(", "))?;
                }
                Ok(())
            }
            Self::AddressLost(reason) => write!(f, "the address is lost: {reason}"),
            Self::Interrupted => f.write_str("the connection broke; trying to go on with the session"),
            Self::Resumed => f.write_str("the session goes on"),
            Self::Ended(reason) => write!(f, "the session is over: {reason}"),
            Self::Retrying { message, after, .. } => write!(f, "{message}; next try in {}", human(*after)),
            Self::PasswordForgotten => f.write_str(
                "note: the policy of this hub has clients forget the password after each login; another login asks for it again",
            ),
            Self::NoAddress(text) | Self::Note(text) => write!(f, "note: {text}"),
            Self::Failed(failure) => write!(f, "vpnclient: {failure}"),
            Self::Closed {
                received,
                sent,
                lasted,
            } => {
                write!(
                    f,
                    "disconnected after {}: {received} bytes received, {sent} sent",
                    human(*lasted)
                )
            }
        }
    }
}

/// A text of the server as it may be shown: no control characters that could play with the terminal, no marks that turn
/// the direction of reading, not too long.
pub fn clean(text: &str) -> String {
    let harmless = |c: &char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (!c.is_control() || *c == '\n') && !turns
    };
    let text = text.replace("\r\n", "\n");
    text.trim().chars().filter(harmless).take(MAX_MESSAGE).collect()
}

/// The same of a name, or of a reason: whoever wrote it gets no line of their own, which could look like one of ours.
pub fn clean_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// A duration as one would say it.
pub(crate) fn human(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_text_cannot_play_with_the_terminal() {
        assert_eq!(clean("  Welcome\r\nto the lab \n"), "Welcome\nto the lab");
        assert_eq!(clean("\x1b]0;owned\x07\x1b[2Jhi\u{9b}31m"), "]0;owned[2Jhi31m");
        assert_eq!(clean("abc\u{202e}cba"), "abccba");
        assert_eq!(clean(&"x".repeat(9999)).len(), MAX_MESSAGE);
        assert_eq!(
            clean_line("VPN\r\nconnected: session X\n"),
            "VPN connected: session X"
        );
    }

    #[test]
    fn an_address_reads_well_and_is_complete_for_programs() {
        let event = Event::Address {
            device: "vpn0".into(),
            address: "192.168.30.10".parse().unwrap(),
            prefix: 24,
            server: "192.168.30.1".parse().unwrap(),
            term: Some(Duration::from_secs(7200)),
            routes: vec!["10.0.1.0/24 via 192.168.30.1".into()],
            dns: vec!["192.168.30.1".parse().unwrap()],
        };
        assert_eq!(
            event.to_string(),
            "address 192.168.30.10/24 on vpn0 from 192.168.30.1, for 2 h 0 min\n\
             routes: 10.0.1.0/24 via 192.168.30.1\nname servers: 192.168.30.1"
        );
        let json = event.to_json();
        assert_eq!(json["event"], "address");
        assert_eq!(json["address"], "192.168.30.10");
        assert_eq!(json["term_s"], 7200);
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        for (ms, text) in [
            (80, "80 ms"),
            (1500, "1.5 s"),
            (90_000, "1 min 30 s"),
            (5_400_000, "1 h 30 min"),
        ] {
            assert_eq!(human(Duration::from_millis(ms)), text);
        }
    }
}
