//! Two clients on one hub, and a gibibyte between them.

use anyhow::Context;
use hubward_tests::lab;
use hubward_tests::ours::{Client, HUB, PASSWORD, USER, address_of};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::{BESIDE, OUTSIDE, Site};
use hubward_tests::stock::{self, Account, Proof};
use hubward_tests::transfer::{GIBIBYTE, equal_at_both_ends};

#[test]
fn two_of_our_clients_exchange_a_gibibyte_with_equal_hashes() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let neighbour = site.neighbour(lab)?;
        let options = ["--tap", "lab", "--insecure"];
        let first = Client::connect(&site.user, OUTSIDE, &options)?;
        let second = Client::connect_as(&neighbour, BESIDE, HUB, USER, PASSWORD, &options)?;
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
        let neighbour = site.neighbour(lab)?;
        let ours = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        let here = address_of(&site.user, "lab", IN_TIME).with_context(|| ours.daemon().log())?;
        let client = stock.client(&neighbour)?;
        let account = Account::new("198.51.100.1:443", HUB, USER, Proof::Plain(PASSWORD));
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
