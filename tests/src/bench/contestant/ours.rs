//! Our server, with the stock client and with ours.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::stock;
use crate::bench::options::Options;
use crate::bench::path::{End, Path, SERVER};
use crate::ours::{self, Client, HUB, PASSWORD, Server, USER};
use crate::process::{self, IN_TIME, eventually};
use crate::stock::{self as foreign, Account, Proof, Stock};

/// The device that our client makes.
const DEVICE: &str = "bench";

fn served(mut path: Path, options: &Options) -> Result<Path> {
    let arguments: Vec<&str> = options.server_option.iter().map(String::as_str).collect();
    let server = Server::start(&path.server, &arguments)?;
    ours::administer(&path.server, "", &[&format!("HubCreate {HUB} /PASSWORD:none")])?;
    let create = format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none");
    let password = format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}");
    ours::administer(&path.server, HUB, &[&create, &password])?;
    ours::administer(
        &path.server,
        "",
        &[&format!("BridgeCreate {HUB} /DEVICE:bench /TAP:yes")],
    )?;
    path.server_end = Some(End::OurServer(server));
    Ok(path)
}

/// The stock client at its fastest setting.
pub(super) fn with_stock_client(path: Path, options: &Options) -> Result<Path> {
    let mut path = served(path, options)?;
    let account = Account::new(SERVER, HUB, USER, Proof::Plain(PASSWORD));
    path.client_end = Some(End::StockClient(stock::client(
        &Stock::unpacked()?,
        &path,
        &account,
    )?));
    path.tunnelled(foreign::Client::DEVICE, "tap_bench")
}

/// Our client as it comes, but for `settings`.
pub(super) fn with_our_client(path: Path, options: &Options, settings: &[&str]) -> Result<Path> {
    let mut path = served(path, options)?;
    let mut arguments = vec![
        "--tap",
        DEVICE,
        "--insecure",
        "--no-dhcp",
        "--no-routes",
        "--no-dns",
    ];
    arguments.extend(settings);
    arguments.extend(options.client_option.iter().map(String::as_str));
    path.client_end = Some(End::OurClient(Client::connect(&path.client, SERVER, &arguments)?));
    path.tunnelled(DEVICE, "tap_bench")
}

/// A server with a hub, a user and SecureNAT in `mode`.
fn translating(mut path: Path, options: &Options, mode: &str) -> Result<Path> {
    let mut arguments = vec!["--nat-mode", mode];
    arguments.extend(options.server_option.iter().map(String::as_str));
    path.server_end = Some(End::OurServer(Server::start(&path.server, &arguments)?));
    ours::set_up(&path.server)?;
    Ok(path)
}

/// The stock client at its fastest setting, through SecureNAT.
pub(super) fn stock_client_through_nat(path: Path, options: &Options, mode: &str) -> Result<Path> {
    let path = translating(path, options, mode)?;
    stock::leased(path, &Stock::unpacked()?, Proof::Plain(PASSWORD))
}

/// Our client as it comes, but for its routes, through SecureNAT.
pub(super) fn our_client_through_nat(path: Path, options: &Options, mode: &str) -> Result<Path> {
    let mut path = translating(path, options, mode)?;
    let mut arguments = vec!["--tap", DEVICE, "--insecure", "--no-routes", "--no-dns"];
    arguments.extend(options.client_option.iter().map(String::as_str));
    path.client_end = Some(End::OurClient(Client::connect(&path.client, SERVER, &arguments)?));
    path.translated(DEVICE)
}

/// Our client without a device and without privileges: streams go by its proxy. The hub has a DHCP server and no NAT.
pub(super) fn through_socks5(path: Path, options: &Options) -> Result<Path> {
    const FAR: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 250);
    const DOOR: &str = "127.0.0.1:1080";
    let mut path = served(path, options)?;
    ours::administer(&path.server, HUB, &["SecureNatEnable", "NatDisable"])?;
    path.server.sh(&format!(
        "ip link set tap_bench up; ip address replace {FAR}/24 dev tap_bench"
    ))?;
    let mut arguments = vec!["--insecure", "--socks5", DOOR];
    arguments.extend(options.client_option.iter().map(String::as_str));
    let client = Client::connect(&path.client, SERVER, &arguments)?;
    client
        .daemon()
        .line_with("on rootless", IN_TIME)
        .with_context(|| client.daemon().log())?;
    path.client_end = Some(End::OurClient(client));
    path.far_address = FAR;
    path.door = Some(DOOR.parse()?);
    Ok(path)
}

/// How long it may take until frames go by UDP.
const ACCELERATION: Duration = Duration::from_secs(60);

/// Whether our client can be told to send by UDP.
pub(super) fn knows_udp() -> Result<bool> {
    let mut help = Command::new(ours::program("vpnclient")?);
    Ok(process::run(help.args(["connect", "--help"]))?.contains("--udp"))
}

/// Our client with UDP acceleration, and not before the server says that it is in use.
pub(super) fn by_udp(path: Path, options: &Options) -> Result<Path> {
    let path = with_our_client(path, options, &["--udp"])?;
    eventually(ACCELERATION, "frames by UDP", || {
        let sessions = ours::administer(&path.server, HUB, &["SessionList"])?;
        let name = session(&sessions).with_context(|| format!("no session of {USER} in {sessions}"))?;
        let status = ours::administer(&path.server, HUB, &[&format!("SessionGet {name}")])?;
        let active = foreign::item(&status, "UDP Acceleration is Active") == Some("Yes");
        Ok(active.then_some(()))
    })
    .with_context(|| path.logs())?;
    Ok(path)
}

/// The name of the user's session in a list of sessions.
fn session(list: &str) -> Option<&str> {
    let prefix = format!("SID-{}-", USER.to_uppercase());
    list.split(|c: char| c.is_whitespace() || c == '|')
        .find(|word| word.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_of_the_user_is_found_among_others() {
        let list = "Session Name    |SID-LOCALBRIDGE-1\nSession Name    |SID-TSUMURA-2\nVLAN ID |-\n";
        assert_eq!(session(list), Some("SID-TSUMURA-2"));
        assert_eq!(session("Session Name |SID-OTHER-1"), None);
    }
}
