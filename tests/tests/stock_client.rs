//! The stock client against our server: it needs no setting beyond server, hub, user and password type.

use std::path::Path;

use anyhow::{Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, HUB, PASSWORD, Server, USER};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::Site;
use hubward_tests::stock::{Account, Client, Proof, Stock, item};

const SERVER: &str = "203.0.113.1:443";

/// Connects as `account` says, gets a lease, fetches the page, and returns the status table of the session.
fn fetches_the_page(site: &Site, stock: &Stock, account: &Account<'_>) -> Result<String> {
    let client = stock.client(&site.user)?;
    client.connect(&site.user, account)?;
    client.established(&site.user, IN_TIME)?;
    stock.lease(&site.user, Client::DEVICE)?;
    site.user_sees_the_private_page()?;
    let status = client.established(&site.user, IN_TIME)?;
    client.disconnect(&site.user)?;
    Ok(status)
}

fn by_password() -> Account<'static> {
    Account::new(SERVER, HUB, USER, Proof::Plain(PASSWORD))
}

#[test]
fn stock_client_with_a_plain_password_fetches_the_page() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let status = fetches_the_page(&site, stock, &by_password())?;
        ensure!(
            item(&status, "Number of TCP Connections") == Some("1"),
            "{status}"
        );
        server.stop()
    });
}

#[test]
fn stock_client_with_the_standard_password_needs_the_hubs_option() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let account = Account::new(SERVER, HUB, USER, Proof::Standard(PASSWORD));
        let client = stock.client(&site.user)?;
        client.connect(&site.user, &account)?;
        let line = server.daemon().line_with("AllowStandardPassword", IN_TIME)?;
        ensure!(
            !line.contains(PASSWORD),
            "the log line holds the password: {line}"
        );

        // The hash that the option keeps is made when the password is set; the client tries again by itself.
        let password = format!("UserPasswordSet {USER} /PASSWORD:{PASSWORD}");
        ours::administer(
            &site.nat,
            HUB,
            &["ExtOptionSet AllowStandardPassword /VALUE:1", &password],
        )?;
        client.established(&site.user, IN_TIME)?;
        stock.lease(&site.user, Client::DEVICE)?;
        site.user_sees_the_private_page()?;
        server.stop()
    });
}

#[test]
fn stock_client_without_a_password_enters_as_an_anonymous_user() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        ours::administer(
            &site.nat,
            HUB,
            &[
                "UserCreate guest /GROUP:none /REALNAME:none /NOTE:none",
                "UserAnonymousSet guest",
            ],
        )?;
        fetches_the_page(
            &site,
            stock,
            &Account::new(SERVER, HUB, "guest", Proof::Anonymous),
        )?;
        server.stop()
    });
}

#[test]
fn stock_client_with_a_certificate_fetches_the_page() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let (cert, key) = (Path::new("/run/lab/user.cer"), Path::new("/run/lab/user.key"));
        let make = format!(
            "MakeCert2048 /CN:holder /O:none /OU:none /C:none /ST:none /L:none /SERIAL:none /EXPIRES:30 \
             /SAVECERT:{} /SAVEKEY:{}",
            cert.display(),
            key.display()
        );
        let mut arguments = vec!["/TOOLS", "/CMD"];
        arguments.extend(make.split(' '));
        stock.vpncmd(&site.nat, &arguments)?.success()?;
        ours::administer(
            &site.nat,
            HUB,
            &[
                "UserCreate holder /GROUP:none /REALNAME:none /NOTE:none",
                &format!("UserCertSet holder /LOADCERT:{}", cert.display()),
            ],
        )?;
        fetches_the_page(
            &site,
            stock,
            &Account::new(SERVER, HUB, "holder", Proof::Certificate(cert, key)),
        )?;
        server.stop()
    });
}

#[test]
fn stock_client_with_two_connections_fetches_the_page() {
    lab::run_with_stock(|lab, stock| uses_connections(lab, stock, 2));
}

#[test]
fn stock_client_with_eight_connections_fetches_the_page() {
    lab::run_with_stock(|lab, stock| uses_connections(lab, stock, 8));
}

fn uses_connections(lab: &Lab, stock: &Stock, connections: u32) -> Result<()> {
    let (site, server) = Site::with_our_server(lab, &[])?;
    let client = stock.client(&site.user)?;
    client.connect(
        &site.user,
        &Account {
            connections,
            ..by_password()
        },
    )?;
    // The client opens one more each second.
    let wanted = connections.to_string();
    client.status_with(&site.user, "Number of TCP Connections", &wanted, IN_TIME)?;
    stock.lease(&site.user, Client::DEVICE)?;
    site.user_sees_the_private_page()?;
    client.status_with(&site.user, "Number of TCP Connections", &wanted, IN_TIME)?;
    client.disconnect(&site.user)?;
    server.stop()
}

#[test]
fn stock_client_in_half_duplex_fetches_the_page() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let status = fetches_the_page(
            &site,
            stock,
            &Account {
                connections: 4,
                half_duplex: true,
                ..by_password()
            },
        )?;
        ensure!(
            item(&status, "Half Duplex TCP Connection Mode").is_some_and(|v| v.starts_with("Yes")),
            "{status}"
        );
        server.stop()
    });
}

#[test]
fn stock_client_with_compression_fetches_the_page() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let status = fetches_the_page(
            &site,
            stock,
            &Account {
                compress: true,
                ..by_password()
            },
        )?;
        ensure!(
            item(&status, "Use of Compression").is_some_and(|v| v.starts_with("Yes")),
            "{status}"
        );
        server.stop()
    });
}

#[test]
fn stock_client_that_offers_udp_acceleration_is_served_over_tcp() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        fetches_the_page(
            &site,
            stock,
            &Account {
                udp_acceleration: true,
                ..by_password()
            },
        )?;
        server.stop()
    });
}

#[test]
fn stock_client_comes_back_when_the_server_restarts() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = stock.client(&site.user)?;
        client.connect(&site.user, &by_password())?;
        client.established(&site.user, IN_TIME)?;
        server.stop()?;
        let server = Server::start(&site.nat, &[])?;
        server.daemon().line_with(USER, IN_TIME)?;
        client.established(&site.user, IN_TIME)?;
        stock.lease(&site.user, Client::DEVICE)?;
        site.user_sees_the_private_page()?;
        server.stop()
    });
}
