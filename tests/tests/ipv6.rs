//! IPv6 of SecureNAT from end to end: our client on a Linux host, our server, a page outside by IPv6.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use hubward_tests::dhcpv6::Dhclient;
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, HUB, Server, administer};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// The network that is given to the hub.
const NETWORK: &str = "fd5e:0:1e:7";
/// The page outside; its host knows no way back to the hub.
const WEB: &str = "[2001:db8:9::26]:80";

/// The site with IPv6 behind the NAT instance, and a hub that announces [`NETWORK`].
fn site(lab: &Lab, mode: &str) -> Result<(Site, Server)> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", mode])?;
    site.nat.sh("ip -6 address add 2001:db8:9::1/64 dev lan nodad")?;
    site.web
        .sh("ip -6 address add 2001:db8:9::26/64 dev eth0 nodad")?;
    let listener = site.web.within(|| TcpListener::bind(WEB))??;
    site.page.serve_on(listener);
    let prefix = format!("SecureNatIPv6Set /PREFIX:{NETWORK}::/64");
    administer(&site.nat, HUB, &[&prefix, "SecureNatIPv6Enable"])?;
    Ok((site, server))
}

fn connect(host: &Host) -> Result<Client> {
    Client::connect(host, OUTSIDE, &["--tap", "lab", "--insecure"])
}

/// Waits until the host has made an address in the hub's network, and knows no objection.
fn makes_an_address(host: &Host, client: &Client) -> Result<String> {
    eventually(IN_TIME, "an IPv6 address", || {
        let shown = host.sh("ip -6 -o address show dev lab scope global -tentative 2>/dev/null || true")?;
        let address = shown.split_whitespace().find(|word| word.starts_with(NETWORK));
        Ok(address.map(str::to_owned))
    })
    .with_context(|| client.daemon().log())
}

/// What a server changes on its machine.
fn machine(host: &Host) -> Result<String> {
    host.sh("nft list ruleset; cd /proc/sys/net/ipv6/conf
        grep . all/forwarding default/forwarding */accept_ra; ip -6 route show default")
}

#[test]
fn kernel_mode_gives_an_address_and_a_way_out_and_takes_all_of_it_back() {
    lab::run(|lab| {
        let (site, server) = site(lab, "kernel")?;
        let client = connect(&site.user)?;
        makes_an_address(&site.user, &client)?;
        let routes = site.user.sh("ip -6 route show table all default dev lab")?;
        ensure!(routes.contains("via fe80::"), "no default route: {routes}");
        site.page.is_seen_from(&site.user, WEB.parse()?)?;
        let status = administer(&site.nat, HUB, &["SecureNatIPv6Get"])?;
        ensure!(status.contains("router with a way out"), "{status}");
        client.stop()?;
        server.stop()?;
        let after = machine(&site.nat)?;
        ensure!(!after.contains("hubward"), "{after}");
        ensure!(
            after.contains("all/forwarding:0") && !after.contains("accept_ra:2"),
            "{after}"
        );
        Ok(())
    });
}

#[test]
fn what_a_killed_server_leaves_the_next_one_takes_back() {
    lab::run(|lab| {
        let (site, server) = site(lab, "kernel")?;
        server.kill();
        let between = machine(&site.nat)?;
        ensure!(
            between.contains("table ip6 hubward") && between.contains("all/forwarding:1"),
            "{between}"
        );
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        let client = connect(&site.user)?;
        makes_an_address(&site.user, &client)?;
        site.page.is_seen_from(&site.user, WEB.parse()?)?;
        client.stop()?;
        server.stop()?;
        let after = machine(&site.nat)?;
        ensure!(
            !after.contains("hubward") && after.contains("all/forwarding:0"),
            "{after}"
        );
        ensure!(!after.contains("accept_ra:2"), "{after}");
        Ok(())
    });
}

#[test]
fn a_user_whose_policy_forbids_advertisements_gets_none() {
    lab::run(|lab| {
        let (site, server) = site(lab, "user")?;
        let neighbour = site.neighbour(lab)?;
        let create = "UserCreate guarded /GROUP:none /REALNAME:none /NOTE:none";
        let password = format!("UserPasswordSet guarded /PASSWORD:{}", ours::PASSWORD);
        let policy = "UserPolicySet guarded /NAME:RSandRAFilter /VALUE:yes";
        administer(&site.nat, HUB, &[create, &password, policy])?;
        let options = ["--tap", "lab", "--insecure"];
        let guarded = Client::connect_as(
            &neighbour,
            "198.51.100.1",
            HUB,
            "guarded",
            ours::PASSWORD,
            &options,
        )?;
        ours::address_of(&neighbour, "lab", IN_TIME).with_context(|| guarded.daemon().log())?;
        let client = connect(&site.user)?;
        makes_an_address(&site.user, &client)?;
        // One more advertisement for everybody; who may hear it has heard it then.
        administer(&site.nat, HUB, &["SecureNatIPv6Set /VALID:9000 /PREFERRED:8000"])?;
        eventually(IN_TIME, "the new lifetime", || {
            let shown = site.user.sh("ip -6 address show dev lab scope global")?;
            Ok(["preferred_lft 80", "preferred_lft 79"]
                .iter()
                .any(|text| shown.contains(text))
                .then_some(()))
        })?;
        let shown = neighbour.sh("ip -6 address show dev lab; ip -6 route show dev lab")?;
        ensure!(!shown.contains(NETWORK), "{shown}");
        guarded.stop()?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn dhclient_learns_name_servers_without_a_lease() {
    lab::run_with(Dhclient::unpacked, |lab, dhclient: &Dhclient| {
        let (site, server) = site(lab, "user")?;
        administer(&site.nat, HUB, &["SecureNatIPv6Set /DNS:2001:db8::53"])?;
        let client = connect(&site.user)?;
        makes_an_address(&site.user, &client)?;
        let note = dhclient.asks(&site.user, "lab")?;
        ensure!(note.contains("new_dhcp6_name_servers=2001:db8::53"), "{note}");
        client.stop()?;
        server.stop()
    });
}
