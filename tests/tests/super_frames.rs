//! Super-frames (protocol §14.3): whole between our own ends, the same bytes however a session carries them, and never a
//! bit of them toward stock peers.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::interceptor::{Conversation, Interceptor, block_sizes};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Client, HUB, PASSWORD, USER, address_of};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::{BESIDE, OUTSIDE, Site};
use hubward_tests::stock::{self, Account, Proof};
use hubward_tests::transfer::{GIBIBYTE, equal_at_both_ends};

const MEBIBYTE: u64 = GIBIBYTE / 1024;

/// Marks the size of a super-frame's block.
const MARK: u32 = 1 << 31;
/// The longest block that a stock peer takes without loss (protocol §7.2).
const STOCK_BYTES: u32 = 1600;
/// The field of login and welcome.
const FIELD: &[u8] = b"hubward_super_frames";

/// Where the interceptor listens on the site's NAT instance, and whom it passes connections on to.
const BETWEEN: &str = "203.0.113.1:8443";
const SERVER: ([u8; 4], u16) = ([127, 0, 0, 1], 443);

fn intercept(site: &Site) -> Result<Interceptor> {
    Interceptor::start(&site.nat, BETWEEN.parse()?, SERVER.into())
}

/// One of our clients, and where it is in the VPN.
fn our_client(host: &Host, server: &str, options: &[&str]) -> Result<(Client, Ipv4Addr)> {
    let options = [&["--tap", "lab", "--insecure"], options].concat();
    let client = Client::connect(host, server, &options)?;
    let address = address_of(host, "lab", IN_TIME).with_context(|| client.daemon().log())?;
    Ok((client, address))
}

/// Everything that was said between one of our clients and the server while it and another one of ours, at the neighbour's,
/// exchanged bytes; the server does not matter.
fn overheard(lab: &Lab, site: &Site) -> Result<Vec<Conversation>> {
    let between = intercept(site)?;
    let neighbour = site.neighbour(lab)?;
    let (other, there) = our_client(&neighbour, BESIDE, &[])?;
    // A stock server that sees its client come from the server's own host cannot send datagrams to it, and ends the session.
    let (ours, here) = our_client(&site.user, BETWEEN, &["--no-udp"])?;
    exchange(&site.user, here, &neighbour, there, 8 * MEBIBYTE)?;
    let heard = between.heard();
    ours.stop()?;
    other.stop()?;
    Ok(heard)
}

/// Moves bytes both ways at once.
fn exchange(a: &Host, of_a: Ipv4Addr, b: &Host, of_b: Ipv4Addr, bytes: u64) -> Result<()> {
    std::thread::scope(|scope| {
        let to: SocketAddr = (of_b, 5001).into();
        let there = scope.spawn(move || equal_at_both_ends(a, b, to, bytes, 1));
        equal_at_both_ends(b, a, (of_a, 5002).into(), bytes, 2)?;
        there.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
        Ok(())
    })
}

fn contains(said: &[u8], text: &[u8]) -> bool {
    said.windows(text.len()).any(|window| window == text)
}

/// Checks that both sides of every connection kept to what stock peers know, and that much was said.
fn all_is_stock(heard: &[Conversation]) -> Result<()> {
    let mut blocks = 0;
    for conversation in heard {
        for said in [conversation.from_client(), conversation.from_server()] {
            for size in block_sizes(&said)? {
                ensure!(size <= STOCK_BYTES, "a block's size is {size:#010x}");
                blocks += 1;
            }
        }
        let welcome = conversation.from_server();
        ensure!(!contains(&welcome, FIELD), "super-frames were granted");
    }
    // 8 MiB each way, in frames of 1.5 KiB.
    ensure!(blocks > 10_000, "{blocks} blocks are not the transfer");
    Ok(())
}

#[test]
fn no_super_frame_ever_reaches_a_stock_client() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let between = intercept(&site)?;
        let neighbour = site.neighbour(lab)?;
        let (ours, there) = our_client(&neighbour, BESIDE, &[])?;
        let client = stock.client(&site.user)?;
        client.connect(
            &site.user,
            &Account::new(BETWEEN, HUB, USER, Proof::Plain(PASSWORD)),
        )?;
        client.established(&site.user, IN_TIME)?;
        let here = stock.lease(&site.user, stock::Client::DEVICE)?.address;
        exchange(&site.user, here, &neighbour, there, 8 * MEBIBYTE)?;
        all_is_stock(&between.heard())?;
        ours.stop()?;
        server.stop()
    });
}

#[test]
fn no_super_frame_ever_reaches_a_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        stock.set_up(&site.nat)?;
        let heard = overheard(lab, &site)?;
        let first = heard.first().context("nobody came by")?;
        assert!(
            contains(&first.from_client(), FIELD),
            "they were not even offered"
        );
        all_is_stock(&heard)
    });
}

#[test]
fn super_frames_travel_whole_between_our_own_ends() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let heard = overheard(lab, &site)?;
        let first = heard.first().context("nobody came by")?;
        assert!(contains(&first.from_server(), FIELD), "they were not granted");
        for said in [first.from_client(), first.from_server()] {
            let sizes = block_sizes(&said)?;
            let long = |size: &&u32| **size & MARK != 0 && **size & !MARK > STOCK_BYTES;
            ensure!(
                sizes.iter().filter(long).count() > 10,
                "hardly any is longer than a frame"
            );
        }
        server.stop()
    });
}

#[test]
fn bytes_arrive_the_same_however_a_session_carries_them() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let neighbour = site.neighbour(lab)?;
        let (other, there) = our_client(&neighbour, BESIDE, &[])?;
        let ways: [&[&str]; 6] = [
            &[],
            &["--no-super-frames"],
            &["--compress"],
            &["--connections", "4"],
            &["--half-duplex", "--connections", "2"],
            &["--half-duplex", "--connections", "4", "--compress"],
        ];
        for way in ways {
            let (ours, here) = our_client(&site.user, OUTSIDE, way)?;
            exchange(&site.user, here, &neighbour, there, 32 * MEBIBYTE)
                .with_context(|| format!("{way:?}"))?;
            ours.stop()?;
        }
        other.stop()?;
        server.stop()
    });
}
