//! Our client and our server: who gets in, who does not, and what is left afterwards.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, HUB, PASSWORD, Server, USER};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// The exit code for a refusal by the other side.
const REFUSED: i32 = 3;

/// Everything a client could change on its machine.
fn configuration(host: &Host) -> Result<String> {
    host.sh("ip -brief address; ip -4 route; ip -6 route; ip rule; cat /etc/resolv.conf; nft list ruleset 2>/dev/null || true")
}

/// The pin that a refusal prints.
fn pin_in(said: &str) -> Result<String> {
    let word = said
        .split_whitespace()
        .find_map(|word| Some(&word[word.find("sha256:")?..]));
    let pin = word.with_context(|| format!("no pin in {said:?}"))?;
    Ok(pin.trim_end_matches(|c: char| !c.is_ascii_hexdigit()).to_owned())
}

/// Waits for the device that `vpnclient connect --tap lab` makes to have an address, and fetches the page.
fn fetches_the_page(site: &Site, client: &Client) -> Result<()> {
    ours::address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
    eventually(IN_TIME, "the private page", || {
        Ok(site.user_sees_the_private_page().ok())
    })
    .with_context(|| {
        format!(
            "{}\n{}",
            client.daemon().log(),
            site.user.sh("ip route").unwrap_or_default()
        )
    })
}

#[test]
fn our_client_with_a_pin_fetches_the_page_and_leaves_nothing_behind() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let before = configuration(&site.user)?;
        let (code, said) = Client::connect(&site.user, OUTSIDE, &["--tap", "lab"])?.refused()?;
        ensure!(code == REFUSED, "an unknown certificate ends with {code}: {said}");
        ensure!(
            !server.log().contains(&format!("user={USER}")),
            "the login was sent before the certificate was believed"
        );

        let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--pin", &pin_in(&said)?])?;
        fetches_the_page(&site, &client)?;
        client.stop()?;
        let after = configuration(&site.user)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        server.stop()
    });
}

#[test]
fn our_client_fetches_the_page_over_several_connections() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let options = ["--tap", "lab", "--insecure", "--connections", "4"];
        let client = Client::connect(&site.user, OUTSIDE, &options)?;
        fetches_the_page(&site, &client)?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn wrong_password_is_refused_once_and_not_tried_again() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let mark = server.daemon().mark();
        let client = Client::connect_as(
            &site.user,
            OUTSIDE,
            HUB,
            USER,
            "not the password",
            &["--insecure"],
        )?;
        let (code, said) = client.refused()?;
        ensure!(code == REFUSED, "exit {code}: {said}");
        ensure!(
            !said.contains("not the password"),
            "the password is in the output: {said}"
        );
        let log: Vec<String> = server.log().lines().skip(mark).map(str::to_owned).collect();
        ensure!(
            !log.iter().any(|line| line.contains("not the password")),
            "the password is in the log"
        );
        server.stop()
    });
}

#[test]
fn unknown_hub_and_unknown_user_are_refused_by_name() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        for (hub, user) in [("nowhere", USER), (HUB, "nobody")] {
            let (code, said) =
                Client::connect_as(&site.user, OUTSIDE, hub, user, PASSWORD, &["--insecure"])?.refused()?;
            ensure!(code == REFUSED, "{user}@{hub} ended with {code}: {said}");
        }
        server.stop()
    });
}

#[test]
fn offline_hub_lets_nobody_in_until_it_is_online_again() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        ours::administer(&site.nat, HUB, &["Offline"])?;
        let options = ["--tap", "lab", "--insecure"];
        let client = Client::connect(&site.user, OUTSIDE, &options)?;
        // Whether it waits for the hub or gives up is the client's choice; it must not get in.
        server.daemon().line_with("login refused", IN_TIME)?;
        client.kill();
        ensure!(
            !server.log().contains("session opened"),
            "a client entered an offline hub"
        );
        ours::administer(&site.nat, HUB, &["Online"])?;
        site.user.sh("ip link delete lab 2>/dev/null || true")?;
        let client = Client::connect(&site.user, OUTSIDE, &options)?;
        fetches_the_page(&site, &client)?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn our_client_comes_back_when_the_server_restarts() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        fetches_the_page(&site, &client)?;
        server.kill();
        let server = Server::start(&site.nat, &[])?;
        server.daemon().line_with(USER, IN_TIME)?;
        fetches_the_page(&site, &client)?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn log_of_a_session_tells_who_came_from_where_with_which_address_and_why_it_ended() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        fetches_the_page(&site, &client)?;
        let address = ours::address_of(&site.user, "lab", IN_TIME)?;

        let opened = server.daemon().line_with("session opened", IN_TIME)?;
        for told in [
            "user=\"tsumura\"",
            "hub=\"mikalab\"",
            "peer=203.0.113.10:",
            "client=",
        ] {
            ensure!(opened.contains(told), "{told} is not in {opened:?}");
        }
        let leased = server.daemon().line_with("address leased", IN_TIME)?;
        ensure!(leased.contains(&format!("address={address}")), "{leased:?}");
        let session = opened
            .split("session=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let session = session.context("the session has no name")?;
        ours::administer(&site.nat, HUB, &[&format!("SessionDisconnect {session}")])?;
        let ended = server.daemon().line_with("session ended", IN_TIME)?;
        for told in [
            session,
            "user=\"tsumura\"",
            "bytes_in=",
            "bytes_out=",
            "seconds=",
            "reason=\"",
        ] {
            ensure!(ended.contains(told), "{told} is not in {ended:?}");
        }
        client.kill();
        server.stop()
    });
}
