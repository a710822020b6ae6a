//! Local bridges: TCP through a hub to a TAP device and to an interface of the server's machine, where frames are joined and cut;
//! the server's address on a TAP device; and who sees whom.

mod address;
mod host;

use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{Client, HUB, PASSWORD, USER, administer};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{self, Account, Proof, Stock};
use hubward_tests::transfer::equal_at_both_ends;

/// Enough for a few thousand super-frames.
const BYTES: u64 = 48 << 20;

/// The server's end of the bridge to a TAP device, and a user on it.
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const STATION: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The private web server, and a user on its network.
const WEB: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 26);
const VISITOR: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 50);

/// Bridges the hub to a TAP device, which gets [`SERVER`]'s address.
fn bridge_to_tap(site: &Site) -> Result<()> {
    administer(
        &site.nat,
        "",
        &[&format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes")],
    )?;
    set_address(&site.nat, "tap_lab", SERVER)
}

/// Bridges the hub to the cable of the web server.
fn bridge_to_lan(site: &Site) -> Result<()> {
    administer(
        &site.nat,
        "",
        &[&format!("BridgeCreate {HUB} /DEVICE:lan /TAP:no")],
    )
    .map(drop)
}

fn set_address(host: &Host, device: &str, address: Ipv4Addr) -> Result<()> {
    eventually(IN_TIME, &format!("{device} of {}", host.name()), || {
        Ok(host.sh(&format!("ip link set {device} up")).ok())
    })?;
    host.sh(&format!("ip address replace {address}/24 dev {device}"))
        .map(drop)
}

/// Bytes both ways between two hosts, whose devices are connected: who asks for a neighbour in vain for three seconds gives up.
fn exchange(a: (&Host, Ipv4Addr), b: (&Host, Ipv4Addr)) -> Result<()> {
    equal_at_both_ends(a.0, b.0, (b.1, 5001).into(), BYTES, 1).context("up")?;
    equal_at_both_ends(b.0, a.0, (a.1, 5002).into(), BYTES, 2).context("down")?;
    Ok(())
}

fn ours(site: &Site, address: Ipv4Addr, options: &[&str]) -> Result<Client> {
    let usual = ["--tap", "lab", "--insecure", "--no-dhcp"];
    let client = Client::connect(&site.user, OUTSIDE, &[&usual, options].concat())?;
    client.daemon().line_with("connected: session", IN_TIME)?;
    set_address(&site.user, "lab", address)?;
    Ok(client)
}

fn stocks(site: &Site, stock: &Stock, address: Ipv4Addr) -> Result<stock::Client> {
    let client = stock.client(&site.user)?;
    let server = format!("{OUTSIDE}:443");
    client.connect(
        &site.user,
        &Account::new(&server, HUB, USER, Proof::Plain(PASSWORD)),
    )?;
    client.established(&site.user, IN_TIME)?;
    set_address(&site.user, stock::Client::DEVICE, address)?;
    Ok(client)
}

#[test]
fn a_tap_device_and_our_client_exchange_bytes_with_and_without_offload() {
    lab::run(|lab| {
        for options in [&[][..], &["--no-offload"]] {
            let (site, server) = Site::with_our_server(lab, options)?;
            bridge_to_tap(&site)?;
            let client = ours(&site, STATION, options)?;
            exchange((&site.user, STATION), (&site.nat, SERVER))
                .with_context(|| format!("{options:?}: {}{}", client.daemon().log(), server.log()))?;
            client.stop()?;
            server.stop()?;
        }
        Ok(())
    });
}

#[test]
fn a_tap_device_and_a_stock_client_exchange_bytes() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        bridge_to_tap(&site)?;
        let _client = stocks(&site, stock, STATION)?;
        exchange((&site.user, STATION), (&site.nat, SERVER)).with_context(|| server.log())?;
        server.stop()
    });
}

/// The cable has TSO and hands over what it joined: a socket that took frames of ordinary length only would lose the stream.
#[test]
fn an_interface_and_our_client_exchange_bytes_through_a_hub() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        bridge_to_lan(&site)?;
        let client = ours(&site, VISITOR, &[])?;
        exchange((&site.user, VISITOR), (&site.web, WEB)).with_context(|| server.log())?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn an_interface_and_a_stock_client_exchange_bytes_through_a_hub() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        bridge_to_lan(&site)?;
        let _client = stocks(&site, stock, VISITOR)?;
        exchange((&site.user, VISITOR), (&site.web, WEB)).with_context(|| server.log())?;
        server.stop()
    });
}
