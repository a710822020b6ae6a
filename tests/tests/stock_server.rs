//! The stock server, with the stock client and tool (what must hold for the other tests to mean anything) and with ours.

use anyhow::{Context, Result};
use hubward_tests::lab::{self, Lab};
use hubward_tests::language;
use hubward_tests::ours::{self, HUB, PASSWORD, USER};
use hubward_tests::process::{Daemon, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{Account, Client, Proof, Stock};

/// A stock server on the site's NAT instance, with the hub, the user and SecureNAT of the stories.
fn with_the_stock_server(lab: &Lab, stock: &Stock) -> Result<(Site, Daemon)> {
    let site = Site::new(lab)?;
    let server = stock.server(&site.nat)?;
    stock.set_up(&site.nat)?;
    Ok((site, server))
}

#[test]
fn stock_client_fetches_the_page_through_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        let client = stock.client(&site.user)?;
        client.connect(
            &site.user,
            &Account::new("203.0.113.1:443", HUB, USER, Proof::Standard(PASSWORD)),
        )?;
        client.established(&site.user, IN_TIME)?;
        let lease = stock.lease(&site.user, Client::DEVICE)?;
        assert_eq!(lease.router, Some([192, 168, 30, 1].into()));
        site.user_sees_the_private_page()
    });
}

#[test]
fn our_client_fetches_the_page_through_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, _server) = with_the_stock_server(lab, stock)?;
        let client = ours::Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        ours::address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
        eventually(IN_TIME, "the private page", || {
            Ok(site.user_sees_the_private_page().ok())
        })?;
        client.stop()
    });
}

#[test]
fn stock_tool_administers_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        let password = format!("ServerPasswordSet {}", language::PASSWORD);
        stock
            .administer(&site.nat, "localhost:443", &[], &password)?
            .success()?;
        language::is_spoken_by_the_stock_tool(stock, &site.user)
    });
}

#[test]
fn our_tool_administers_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        let password = format!("ServerPasswordSet {}", language::PASSWORD);
        stock
            .administer(&site.nat, "localhost:443", &[], &password)?
            .success()?;
        language::is_spoken_by_our_tool(&site.user)
    });
}
