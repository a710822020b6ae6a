//! The start-up line in our own language.

// What is written here is printed as help, and its brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::Parser;
use zeroize::Zeroizing;

use crate::{command::Mode, completion::Shell, console::Style};

/// What stands below the switches in the help.
const EXAMPLES: &str = "\
Examples:
  vpncmd localhost HubList                                  on the server's own machine, without a password
  vpncmd vpn.example.org --adminhub office UserList --json
  vpncmd vpn.example.org apply site.toml --dry-run          what would change
  vpncmd vpn.example.org /SERVER /PASSWORD:x /IN:script     the stock tool's language works as well

Without a command, commands are read line by line: \"help\" lists them, \"help UserCreate\" explains one.
The manual page says more: vpncmd --man | man -l -";

/// Administers VPN servers and client services.
#[derive(Clone, Parser)]
#[command(
    name = "vpncmd",
    version,
    override_usage = "vpncmd [HOST[:PORT]] [OPTIONS] [COMMAND [PARAMETERS...]]",
    after_help = EXAMPLES,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct Options {
    /// Server or client service: HOST, HOST:PORT or [IPV6]:PORT; this machine and port 443 unless named
    #[arg(hide = true)]
    pub host: Option<String>,
    /// Administer a server (the default)
    #[arg(long, help_heading = "What to administer")]
    pub server: bool,
    /// Administer a client service
    #[arg(long, conflicts_with = "server", help_heading = "What to administer")]
    pub client: bool,
    /// Use the tools that need neither
    #[arg(long, conflicts_with_all = ["server", "client"], help_heading = "What to administer")]
    pub tools: bool,
    /// Log in as this hub's administrator
    #[arg(long, value_name = "NAME", help_heading = "What to administer")]
    pub hub: Option<String>,
    /// Log in as the server's administrator and select this hub
    #[arg(long, value_name = "NAME", help_heading = "What to administer")]
    pub adminhub: Option<String>,
    /// The password; others on this machine can see it here
    #[arg(long, value_name = "TEXT", value_parser = secret, help_heading = "Who you are, and whom you believe")]
    pub password: Option<Zeroizing<String>>,
    /// Read the password from the first line of a file
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "password",
        help_heading = "Who you are, and whom you believe"
    )]
    pub password_file: Option<PathBuf>,
    /// Believe servers whose certificate one of these authorities has signed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pin", "insecure"], help_heading = "Who you are, and whom you believe")]
    pub ca: Option<PathBuf>,
    /// Believe the server with this certificate
    #[arg(
        long,
        value_name = "sha256:HEX",
        conflicts_with = "insecure",
        help_heading = "Who you are, and whom you believe"
    )]
    pub pin: Option<String>,
    /// Believe any server and remember nothing
    #[arg(long, help_heading = "Who you are, and whom you believe")]
    pub insecure: bool,
    /// Use this control socket; no password is needed
    #[arg(long, value_name = "PATH", help_heading = "Who you are, and whom you believe")]
    pub socket: Option<PathBuf>,
    /// Use the control socket in this data folder
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "socket",
        help_heading = "Who you are, and whom you believe"
    )]
    pub data_dir: Option<PathBuf>,
    /// Read commands from a file; lines that start with # are remarks
    #[arg(long = "in", value_name = "FILE", help_heading = "Input and output")]
    pub input: Option<PathBuf>,
    /// End at the first command that fails, and say which it was
    #[arg(long, help_heading = "Input and output")]
    pub stop_on_error: bool,
    /// Write a copy of the output into a file
    #[arg(long = "out", value_name = "FILE", help_heading = "Input and output")]
    pub output: Option<PathBuf>,
    /// Print results alone, tables as comma-separated values
    #[arg(long, help_heading = "Input and output")]
    pub csv: bool,
    /// Print results alone, as JSON
    #[arg(long, conflicts_with_all = ["csv", "programming"], help_heading = "Input and output")]
    pub json: bool,
    /// Never ask, and show the last result in the prompt
    #[arg(long, help_heading = "Input and output")]
    pub programming: bool,
    /// Print the completion for a shell
    #[arg(
        long,
        value_name = "bash|zsh|fish",
        value_enum,
        hide_possible_values = true,
        help_heading = "About the tool"
    )]
    pub completions: Option<Shell>,
    /// Print the manual page, or write it into a folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, help_heading = "About the tool")]
    #[allow(clippy::option_option)]
    pub man: Option<Option<PathBuf>>,
    /// Print this help
    #[arg(long, short, action = clap::ArgAction::Help, help_heading = "About the tool")]
    help: Option<bool>,
    /// Print the version
    #[arg(long, short = 'V', action = clap::ArgAction::Version, help_heading = "About the tool")]
    version: Option<bool>,
    /// The command to run
    #[arg(last = true, hide = true)]
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

    /// Whether the line leaves open what to administer, and somebody may want to say: not where a command or a script
    /// follows, nor where something is given that only servers have.
    #[must_use]
    pub fn are_open(&self) -> bool {
        let said = self.server || self.client || self.tools;
        let of_a_server = self.hub.is_some()
            || self.adminhub.is_some()
            || self.socket.is_some()
            || self.data_dir.is_some()
            || self.ca.is_some()
            || self.pin.is_some()
            || self.insecure
            || self.password.is_some()
            || self.password_file.is_some();
        let for_programs = self.csv || self.json || self.programming;
        !said && !of_a_server && !for_programs && self.command.is_none() && self.input.is_none()
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
