//! Two clients on one hub, and a gibibyte between them.

use anyhow::{Context, Result};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Client, HUB, PASSWORD, address_of, administer};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{self, Account, Proof};
use hubward_tests::transfer::{GIBIBYTE, equal_at_both_ends};

/// A second user's host beside the site's.
fn neighbour(lab: &Lab, site: &Site) -> Result<Host> {
    let host = lab.host("neighbour")?;
    lab.cable(
        (&site.nat, "wan2", "198.51.100.1/24"),
        (&host, "eth0", "198.51.100.10/24"),
    )?;
    administer(
        &site.nat,
        HUB,
        &[
            "UserCreate kaneko /GROUP:none /REALNAME:none /NOTE:none",
            &format!("UserPasswordSet kaneko /PASSWORD:{PASSWORD}"),
        ],
    )?;
    Ok(host)
}

#[test]
fn two_of_our_clients_exchange_a_gibibyte_with_equal_hashes() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let neighbour = neighbour(lab, &site)?;
        let options = ["--tap", "lab", "--insecure"];
        let first = Client::connect(&site.user, OUTSIDE, &options)?;
        let second = Client::connect_as(&neighbour, "198.51.100.1", HUB, "kaneko", PASSWORD, &options)?;
        let here = address_of(&site.user, "lab", IN_TIME).with_context(|| first.daemon().log())?;
        let there = address_of(&neighbour, "lab", IN_TIME).with_context(|| second.daemon().log())?;
        // Half of it each way, at the same time.
        std::thread::scope(|scope| {
            let up = scope
                .spawn(|| equal_at_both_ends(&site.user, &neighbour, (there, 5001).into(), GIBIBYTE / 2, 1));
            let down = equal_at_both_ends(&neighbour, &site.user, (here, 5002).into(), GIBIBYTE / 2, 2)?;
            let up = up.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            println!("512 MiB each way in {up:?} and {down:?}");
            anyhow::Ok(())
        })?;
        first.stop()?;
        second.stop()?;
        server.stop()
    });
}

#[test]
fn stock_and_our_client_exchange_bytes_with_equal_hashes() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let neighbour = neighbour(lab, &site)?;
        let ours = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        let here = address_of(&site.user, "lab", IN_TIME).with_context(|| ours.daemon().log())?;
        let client = stock.client(&neighbour)?;
        let account = Account::new("198.51.100.1:443", HUB, "kaneko", Proof::Plain(PASSWORD));
        client.connect(
            &neighbour,
            &Account {
                connections: 4,
                ..account
            },
        )?;
        client.established(&neighbour, IN_TIME)?;
        let there = stock.lease(&neighbour, stock::Client::DEVICE)?.address;
        let bytes = GIBIBYTE / 8;
        equal_at_both_ends(&site.user, &neighbour, (there, 5001).into(), bytes, 3)?;
        equal_at_both_ends(&neighbour, &site.user, (here, 5002).into(), bytes, 4)?;
        ours.stop()?;
        server.stop()
    });
}
