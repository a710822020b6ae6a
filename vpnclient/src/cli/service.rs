//! The service and what is asked of it, as options.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use transport::tls::Fingerprint;

use crate::status::Asked;

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// `vpnclient run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Where accounts and settings are kept [default: /etc/hubward/client as root, else hubward/client in $XDG_CONFIG_HOME]
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// How the log is written, on standard error.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// Take no calls of vpncmd by TCP; the local socket is open to this user and root.
    #[arg(long)]
    pub no_tcp: bool,
    /// Log details (twice for more); RUST_LOG can say it more exactly.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `vpnclient status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// One JSON object with all connections.
    #[arg(long)]
    pub json: bool,
    /// Look again every second, with the throughput in between; on a terminal as a screen that is drawn anew.
    #[arg(long, short)]
    pub watch: bool,
}

impl StatusArgs {
    /// How the status is wanted.
    pub fn asked(&self) -> Asked {
        Asked {
            json: self.json,
            watch: self.watch,
        }
    }
}

/// `vpnclient accounts`.
#[derive(Debug, Args)]
pub struct Accounts {
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

/// `vpnclient up`.
#[derive(Debug, Args)]
pub struct Up {
    /// The account.
    pub name: String,
    /// Read the password of an account that keeps none from this file, or from standard input for `-`; otherwise the terminal
    /// asks.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Accept the server certificate of this SHA-256, and remember it with the account.
    #[arg(long, value_name = "sha256:HEX")]
    pub pin: Option<Fingerprint>,
    /// Write events as JSON objects to standard output, one per line.
    #[arg(long)]
    pub json: bool,
}

/// `vpnclient down`.
#[derive(Debug, Args)]
pub struct Down {
    /// The account.
    pub name: String,
}

/// `vpnclient options`.
#[derive(Debug, Args)]
pub struct Options {
    /// The account.
    pub name: String,
    /// Forget all options of the account.
    #[arg(long, conflicts_with = "options")]
    pub clear: bool,
    /// The options in place of those before, behind `--`, as `vpnclient connect` takes them; they count from the next connection
    /// on.
    #[arg(last = true, value_name = "OPTION")]
    pub options: Vec<String>,
}

/// `vpnclient import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file.
    pub file: PathBuf,
}
