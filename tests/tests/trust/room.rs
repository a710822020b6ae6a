//! What these tests stand on: a client of some options that ends by itself, and what it says.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::Lab;
use hubward_tests::ours::{self, Client, HUB, PASSWORD, Server, USER, program};
use hubward_tests::process::{Daemon, IN_TIME};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::Stock;

/// Either server, on the site's NAT instance, with hub, user and SecureNAT.
pub(crate) enum AnyServer {
    Ours(#[allow(dead_code)] Server),
    Stock(Stock, #[allow(dead_code)] Daemon),
}

impl AnyServer {
    pub(crate) fn ours(lab: &Lab) -> Result<(Site, Self)> {
        let (site, server) = Site::with_our_server(lab, &[])?;
        Ok((site, Self::Ours(server)))
    }

    pub(crate) fn stock(lab: &Lab, stock: &Stock) -> Result<(Site, Self)> {
        let (site, daemon) = Site::with_stock_server(lab, stock)?;
        Ok((site, Self::Stock(stock.clone(), daemon)))
    }

    /// Runs commands of the hub's administrator; with an empty hub, of the server's.
    pub(crate) fn shape(&self, site: &Site, hub: &str, commands: &[&str]) -> Result<()> {
        match self {
            Self::Ours(_) => ours::administer(&site.nat, hub, commands).map(drop),
            Self::Stock(stock, _) => stock.shape(&site.nat, hub, commands),
        }
    }

    /// Ends the latest session of [`USER`]; those of clients that have ended may be kept for a while.
    pub(crate) fn end_session(&self, site: &Site) -> Result<()> {
        let list = match self {
            Self::Ours(_) => ours::administer(&site.nat, HUB, &["SessionList"])?,
            Self::Stock(stock, _) => stock
                .administer(
                    &site.nat,
                    "localhost",
                    &[&format!("/ADMINHUB:{HUB}")],
                    "SessionList",
                )?
                .success()?,
        };
        let prefix = format!("SID-{}-", USER.to_uppercase());
        let number = |word: &&str| word.strip_prefix(&prefix).and_then(|n| n.parse::<u32>().ok());
        let session = list
            .split([' ', '|', '\r', '\n'])
            .filter(|word| word.starts_with(&prefix))
            .max_by_key(number);
        let session = session.with_context(|| format!("no session of {USER} in\n{list}"))?;
        self.shape(site, HUB, &[&format!("SessionDisconnect {session}")])
    }
}

/// `vpnclient connect` to the site's server without a device, as a command that can be given more.
pub(crate) fn connect(host: &Host, server: &str, options: &[&str]) -> Result<Command> {
    let mut command = host.command(program("vpnclient")?);
    command
        .args(["connect", server, "--hub", HUB, "--user", USER, "--rootless"])
        .args(options);
    Ok(command)
}

/// A client with the right password.
pub(crate) fn with_password(host: &Host, server: &str, options: &[&str]) -> Result<Client> {
    Client::connect(host, server, &[&["--rootless"], options].concat())
}

/// Waits until the client has its session, and has it end.
pub(crate) fn gets_in(client: Client) -> Result<()> {
    client
        .daemon()
        .line_with("connected: session", IN_TIME)
        .with_context(|| client.daemon().log())?;
    client.stop()
}

/// What a client that must be refused says; it ends with the code for a refusal by the other side.
pub(crate) fn is_refused(client: Client) -> Result<String> {
    let (code, said) = client.refused()?;
    ensure!(code == 3, "exit {code}: {said}");
    Ok(said)
}

/// Checks that a client is refused by this server with this word for programs and these words for people.
pub(crate) fn refused_with(client: Client, word: &str, words: &str) -> Result<()> {
    let said = is_refused(client)?;
    let reason = format!("\"reason\":\"{word}\"");
    ensure!(said.contains(&reason), "{reason} is not in {said}");
    ensure!(said.contains(words), "{words:?} is not in {said}");
    ensure!(!said.contains(PASSWORD), "the password is in {said}");
    Ok(())
}

/// Runs a program of ours to its end.
pub(crate) fn vpnclient(host: &Host, arguments: &[&str]) -> Result<hubward_tests::process::Answer> {
    hubward_tests::process::answer(host.command(program("vpnclient")?).args(arguments))
}

/// The server as most clients here call it.
pub(crate) const SERVER: &str = OUTSIDE;
