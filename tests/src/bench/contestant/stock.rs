//! The stock client on the stock server.

use std::time::Duration;

use anyhow::Result;

use crate::bench::path::{End, Path, SERVER};
use crate::ours;
use crate::stock::{Account, Client, Proof, Stock};

const HUB: &str = "bench";
const USER: &str = "bench";

/// How long a session may take to stand.
const SESSION: Duration = Duration::from_secs(30);

/// UDP acceleration takes over some ten seconds after the session stands.
const ACCELERATION: Duration = Duration::from_secs(60);

/// TCP alone: without UDP acceleration, which halves it, and without QoS.
pub(super) fn fastest(path: Path) -> Result<Path> {
    connected(path, &Account::new(SERVER, HUB, USER, Proof::Anonymous))
}

/// With UDP acceleration and QoS, as the client makes an account unless told otherwise, and not before the acceleration is in use.
pub(super) fn as_it_comes(path: Path) -> Result<Path> {
    let account = Account {
        udp_acceleration: true,
        quality_of_service: true,
        ..Account::new(SERVER, HUB, USER, Proof::Anonymous)
    };
    let path = connected(path, &account)?;
    if let Some(End::StockClient(client)) = &path.client_end {
        client.status_with(&path.client, "UDP Acceleration is Active", "Yes", ACCELERATION)?;
    }
    Ok(path)
}

fn connected(mut path: Path, account: &Account<'_>) -> Result<Path> {
    let stock = Stock::unpacked()?;
    let server = stock.server(&path.server)?;
    stock.shape(&path.server, "", &[&format!("HubCreate {HUB} /PASSWORD:none")])?;
    let create = format!("UserCreate {USER} /GROUP:none /REALNAME:none /NOTE:none");
    let anonymous = format!("UserAnonymousSet {USER}");
    stock.shape(&path.server, HUB, &[&create, &anonymous])?;
    let bridge = format!("BridgeCreate {HUB} /DEVICE:bench /TAP:yes");
    stock.shape(&path.server, "", &[&bridge])?;
    path.server_end = Some(End::Daemon(server));
    path.client_end = Some(End::StockClient(client(&stock, &path, account)?));
    path.tunnelled(Client::DEVICE, "tap_bench")
}

/// Through the server's SecureNAT, over TCP alone.
pub(super) fn through_secure_nat(mut path: Path) -> Result<Path> {
    let stock = Stock::unpacked()?;
    path.server_end = Some(End::Daemon(stock.server(&path.server)?));
    stock.set_up(&path.server)?;
    leased(path, &stock, Proof::Standard(ours::PASSWORD))
}

/// The stock client on whatever server has been set up, with a lease of its SecureNAT.
pub(super) fn leased(mut path: Path, stock: &Stock, proof: Proof<'_>) -> Result<Path> {
    let account = Account::new(SERVER, ours::HUB, ours::USER, proof);
    path.client_end = Some(End::StockClient(client(stock, &path, &account)?));
    stock.lease(&path.client, Client::DEVICE)?;
    path.translated(Client::DEVICE)
}

/// The stock client with a session that stands.
pub(super) fn client(stock: &Stock, path: &Path, account: &Account<'_>) -> Result<Client> {
    let client = stock.client(&path.client)?;
    client.connect(&path.client, account)?;
    client.established(&path.client, SESSION)?;
    Ok(client)
}
