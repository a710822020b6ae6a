//! Our server, with the stock client and with ours.

use anyhow::Result;

use super::stock;
use crate::bench::options::Options;
use crate::bench::path::{End, Path, SERVER};
use crate::ours::{self, Client, HUB, PASSWORD, Server, USER};
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
