//! The start-up line in our own language.

// What is written here is printed as help, and its brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::Parser;
use zeroize::Zeroizing;

use crate::{command::Mode, completion::Shell, console::Style};

/// Administers VPN servers.
///
/// The stock language works too: vpncmd HOST[:PORT] /SERVER [/HUB:name | /ADMINHUB:name] [/PASSWORD:text] [/IN:file]
/// [/OUT:file] [/CSV] [/PROGRAMMING] [/CMD command...]. Without a command, commands are read line by line.
#[derive(Clone, Parser)]
#[command(name = "vpncmd", version, max_term_width = 100)]
pub struct Options {
    /// The server: HOST, HOST:PORT or [IPV6]:PORT; this machine unless named, and port 443
    pub host: Option<String>,
    /// Administer a server (what is done when nothing else is asked for)
    #[arg(long)]
    pub server: bool,
    /// Administer a client service
    #[arg(long, conflicts_with = "server")]
    pub client: bool,
    /// Use the tools that need no server
    #[arg(long, conflicts_with_all = ["server", "client"])]
    pub tools: bool,
    /// Log in as this hub's administrator, with the hub's password
    #[arg(long, value_name = "NAME")]
    pub hub: Option<String>,
    /// Log in as the server's administrator and select this hub
    #[arg(long, value_name = "NAME")]
    pub adminhub: Option<String>,
    /// The password; others on this machine can see it, so better use --password-file
    #[arg(long, value_name = "TEXT", value_parser = secret)]
    pub password: Option<Zeroizing<String>>,
    /// Read the password from the first line of this file
    #[arg(long, value_name = "FILE", conflicts_with = "password")]
    pub password_file: Option<PathBuf>,
    /// Read commands from this file; lines that start with # are remarks
    #[arg(long = "in", value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// End at the first command that fails, with its result, and say which line it was
    #[arg(long)]
    pub stop_on_error: bool,
    /// Write a copy of the output into this file
    #[arg(long = "out", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print tables as comma-separated values, and nothing but results
    #[arg(long)]
    pub csv: bool,
    /// Print what the server answers as JSON, and nothing else
    #[arg(long, conflicts_with_all = ["csv", "programming"])]
    pub json: bool,
    /// Never ask, and show the last result in the prompt: for front ends
    #[arg(long)]
    pub programming: bool,
    /// Believe only servers whose certificate one of this file's authorities has signed for their name
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin", "insecure"])]
    pub ca: Option<PathBuf>,
    /// Believe only the server with this certificate
    #[arg(long, value_name = "sha256:HEX", conflicts_with = "insecure")]
    pub pin: Option<String>,
    /// Believe any server and remember nothing
    #[arg(long)]
    pub insecure: bool,
    /// Use this control socket of a server on this machine; no password is needed
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Use the control socket in this server's data folder [default: /var/lib/hubward as root, else
    /// $XDG_STATE_HOME/hubward; HUBWARD_DATA_DIR names another]
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    pub data_dir: Option<PathBuf>,
    /// Print the completion of a shell
    #[arg(long, value_name = "SHELL", value_enum)]
    pub completions: Option<Shell>,
    /// Print the manual page, or write it into this folder
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[allow(clippy::option_option)]
    pub man: Option<Option<PathBuf>>,
    /// The command to run
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Option<Vec<String>>,
}

impl Options {
    /// What is to be administered: a server, unless something else is asked for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.client, self.tools) {
            (true, _) => Mode::Client,
            (_, true) => Mode::Tools,
            _ => Mode::Server,
        }
    }

    /// How the output shall look.
    #[must_use]
    pub fn style(&self) -> Style {
        Style {
            csv: self.csv,
            programming: self.programming,
            json: self.json,
            colour: crate::console::coloured(),
        }
    }
}

/// clap wants a `Result`; a password is whatever it is.
#[allow(clippy::unnecessary_wraps)]
fn secret(text: &str) -> Result<Zeroizing<String>, std::convert::Infallible> {
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::dialect;

    fn parse(line: &str) -> Options {
        let words = dialect::translate(line.split(' ').map(str::to_owned)).unwrap();
        Options::try_parse_from(std::iter::once("vpncmd".to_owned()).chain(words))
            .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_definition_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_stock_line_arrives_in_the_fields() {
        let options =
            parse("vpn.example:5555 /SERVER /ADMINHUB:HUB1 /PASSWORD:secret /CSV /CMD UserSet bob /NOTE:-x");
        assert_eq!(options.host.as_deref(), Some("vpn.example:5555"));
        assert_eq!(options.adminhub.as_deref(), Some("HUB1"));
        assert_eq!(
            options.password.as_ref().map(|text| text.as_str()),
            Some("secret")
        );
        assert!(options.server && options.csv);
        assert_eq!(options.command.unwrap(), ["UserSet", "bob", "/NOTE:-x"]);
    }

    #[test]
    fn a_password_may_be_empty_or_start_with_anything() {
        for (line, password) in [
            ("h /PASSWORD:", ""),
            ("h /PASSWORD:-x", "-x"),
            ("h /PASSWORD:/y", "/y"),
        ] {
            assert_eq!(
                parse(line).password.as_ref().map(|text| text.as_str()),
                Some(password),
                "{line}"
            );
        }
    }
}
