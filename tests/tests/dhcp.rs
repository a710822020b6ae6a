//! The DHCP server of SecureNAT with the clients that Debian has: what they are told, that they find their addresses
//! again, and that nothing clashes.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, Result, ensure};
use hubward_tests::dhcp::{Clients, Kind, leases};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{Client, HUB, PASSWORD, Server, USER, administer, set_up, vpncmd};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{BESIDE, OUTSIDE, Site};

const TAP: &str = "lab";

#[test]
fn dhclient_gets_everything_and_finds_its_address_again() {
    lab::run_with_dhcp_clients(|lab, clients| everything(lab, clients, Kind::Dhclient, "kernel"));
}

#[test]
fn udhcpc_gets_everything_and_finds_its_address_again() {
    lab::run_with_dhcp_clients(|lab, clients| everything(lab, clients, Kind::Udhcpc, "user"));
}

#[test]
fn dhcpcd_gets_everything_and_finds_its_address_again() {
    lab::run_with_dhcp_clients(|lab, clients| everything(lab, clients, Kind::Dhcpcd, "kernel"));
}

/// Two hundred routes of which none can be merged with another. They fill a frame, and are more than udhcpc takes, which says
/// that it takes 576 bytes.
fn routes(kind: Kind) -> Vec<String> {
    let via = "192.168.30.1";
    if kind == Kind::Udhcpc {
        return (0..200)
            .map(|i| format!("10.200.{i}.0/255.255.255.0/{via}"))
            .collect();
    }
    // Nothing may be led away that the laboratory stands on: 127/8, and what is outside.
    let eights = (0..100).map(|i| if i < 63 { 2 * i + 1 } else { 2 * i + 3 });
    let eights = eights.map(|first| format!("{first}.0.0.0/255.0.0.0/{via}"));
    let sixteens = (0..100).map(|i| format!("10.{}.0.0/255.255.0.0/{via}", 2 * i));
    eights.chain(sixteens).collect()
}

fn settings(lease: u32, pool: (u8, u8), routes: &[String]) -> String {
    let mut line = format!(
        "DhcpSet /START:192.168.30.{} /END:192.168.30.{} /MASK:255.255.255.0 /EXPIRE:{lease} /GW:192.168.30.1 \
         /DNS:192.168.30.1 /DNS2:9.9.9.9 /DOMAIN:lab.example /LOG:yes",
        pool.0, pool.1
    );
    if !routes.is_empty() {
        line += &format!(" /PUSHROUTE:{}", routes.join(","));
    }
    line
}

/// A session without an address, for somebody else's DHCP client.
fn join(site: &Site) -> Result<Client> {
    let client = Client::connect(&site.user, OUTSIDE, &["--tap", TAP, "--insecure", "--no-dhcp"])?;
    eventually(IN_TIME, "the device of the session", || {
        let shown = site.user.sh(&format!("ip link show {TAP} 2>/dev/null || true"))?;
        Ok((!shown.is_empty()).then_some(()))
    })
    .with_context(|| client.daemon().log())?;
    Ok(client)
}

fn everything(lab: &Lab, clients: &Clients, kind: Kind, mode: &str) -> Result<()> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", mode])?;
    administer(&site.nat, HUB, &[&settings(20, (10, 200), &routes(kind))])?;
    let session = join(&site)?;

    let client = clients.start(kind, &site.user, TAP)?;
    let (address, told) = client.bound()?;
    for what in ["9.9.9.9", "lab.example", "192.168.30.1", "255.255.255.0"] {
        ensure!(told.contains(what), "{kind:?} was not told {what}:\n{told}");
    }
    let routes = match kind {
        // Merged, because it takes 576 bytes: 10.200.0.0 to .199.255 by three networks.
        Kind::Udhcpc => 3,
        Kind::Dhclient | Kind::Dhcpcd => 200,
    };
    eventually(IN_TIME, "the routes of the lease", || {
        // dhclient and dhcpcd set the default route too.
        Ok(matches!(client.routes()?, set if set == routes || set == routes + 1).then_some(()))
    })
    .with_context(|| format!("{:?} routes\n{}\n{told}", client.routes(), client.log()))?;

    let before = leases(&site.nat, HUB)?;
    let expires = before.get(&address).context("DhcpTable lacks the lease")?;
    eventually(IN_TIME, "a renewal", || {
        let now = leases(&site.nat, HUB)?;
        Ok(now
            .get(&address)
            .is_some_and(|later| later > expires)
            .then_some(()))
    })
    .with_context(|| client.log())?;

    client.release()?;
    eventually(IN_TIME, "the end of the lease", || {
        Ok((!leases(&site.nat, HUB)?.contains_key(&address)).then_some(()))
    })
    .with_context(|| client.log())?;
    client.kill();
    let again = clients.start(kind, &site.user, TAP)?;
    ensure!(again.bound()?.0 == address, "another address than {address}");
    again.kill();
    session.stop()?;
    server.stop()
}

#[test]
fn a_lease_survives_kill_9_of_the_server() {
    lab::run_with_dhcp_clients(|lab, clients| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
        let session = join(&site)?;
        let client = clients.start(Kind::Udhcpc, &site.user, TAP)?;
        let (address, _) = client.bound()?;
        // Acknowledged is kept: nothing is waited for.
        server.kill();
        client.kill();
        let server = Server::start(&site.nat, &["--nat-mode", "user"])?;
        let kept = leases(&site.nat, HUB)?;
        ensure!(kept.contains_key(&address), "{address} is not in {kept:?}");
        session.stop()?;
        server.stop()
    });
}

#[test]
fn a_reserved_address_is_the_users_and_nobody_elses() {
    lab::run_with_dhcp_clients(|lab, clients| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
        administer(
            &site.nat,
            HUB,
            &[
                "UserCreate other /GROUP:none /REALNAME:none /NOTE:none",
                &format!("UserPasswordSet other /PASSWORD:{PASSWORD}"),
                &format!("DhcpReserveAdd 192.168.30.77 /USER:{USER}"),
            ],
        )?;
        let refused = |arguments: &[&str]| {
            let hub = format!("/ADMINHUB:{HUB}");
            let line = [
                &["localhost", "/SERVER", &hub, "/CMD", "DhcpReserveAdd"][..],
                arguments,
            ]
            .concat();
            let answer = vpncmd(&site.nat, &line)?;
            ensure!(answer.code != 0, "{arguments:?} was taken");
            anyhow::Ok(answer.stdout + &answer.stderr)
        };
        let taken = refused(&["192.168.30.77", "/USER:other"])?;
        ensure!(
            taken.contains(&format!("reserved for the user {USER} already")),
            "{taken}"
        );
        let second = refused(&["192.168.30.78", &format!("/USER:{USER}")])?;
        ensure!(second.contains("has 192.168.30.77 reserved already"), "{second}");
        let own = refused(&["192.168.30.1", "/USER:other"])?;
        ensure!(own.contains("virtual host"), "{own}");
        let nobody = refused(&["192.168.30.79", "/USER:nobody"])?;
        ensure!(nobody.contains("There is no user \"nobody\""), "{nobody}");

        let other = site.neighbour(lab)?;
        let options = ["--tap", TAP, "--insecure", "--no-routes", "--no-dns"];
        let stranger = Client::connect_as(&other, BESIDE, HUB, "other", PASSWORD, &options)?;
        let address = hubward_tests::ours::address_of(&other, TAP, IN_TIME)?;
        ensure!(
            address != Ipv4Addr::new(192, 168, 30, 77),
            "the address was given away"
        );
        let session = join(&site)?;
        let client = clients.start(Kind::Dhclient, &site.user, TAP)?;
        let (address, _) = client.bound()?;
        ensure!(
            address == Ipv4Addr::new(192, 168, 30, 77),
            "{address} and not the reserved address"
        );
        let list = administer(&site.nat, HUB, &["DhcpReserveList"])?;
        ensure!(list.contains("Leased to"), "{list}");
        client.kill();
        administer(&site.nat, HUB, &[&format!("DhcpReserveDelete {USER}")])?;
        session.stop()?;
        stranger.stop()?;
        server.stop()
    });
}

#[test]
fn an_address_that_somebody_uses_without_a_lease_is_not_offered() {
    lab::run_with_dhcp_clients(|lab, clients| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
        let squatted = Ipv4Addr::new(192, 168, 30, 50);
        administer(
            &site.nat,
            HUB,
            &[
                "UserCreate other /GROUP:none /REALNAME:none /NOTE:none",
                &format!("UserPasswordSet other /PASSWORD:{PASSWORD}"),
                &format!("DhcpReserveAdd {squatted} /USER:{USER}"),
            ],
        )?;
        let other = site.neighbour(lab)?;
        let options = ["--tap", TAP, "--insecure", "--no-dhcp"];
        let squatter = Client::connect_as(&other, BESIDE, HUB, "other", PASSWORD, &options)?;
        eventually(IN_TIME, "the squatter's device", || {
            let script = format!("ip address replace {squatted}/24 dev {TAP} && ip link set {TAP} up");
            Ok(other.sh(&script).ok())
        })?;
        eventually(IN_TIME, "the squatter in the hub", || {
            // Whatever it sends, it has to ask for the hardware address first.
            let asked = other.within(|| UdpSocket::bind((squatted, 0))?.send_to(b"x", "192.168.30.1:9"))?;
            let table = administer(&site.nat, HUB, &["IpTable"])?;
            Ok((asked.is_ok() && table.contains(&squatted.to_string())).then_some(()))
        })?;
        let session = join(&site)?;
        let client = clients.start(Kind::Udhcpc, &site.user, TAP)?;
        let (address, _) = client.bound()?;
        ensure!(address != squatted, "the squatter's address was offered");
        let line = server.daemon().line_with("is used without a lease", IN_TIME)?;
        ensure!(line.contains(&squatted.to_string()), "{line}");
        client.kill();
        session.stop()?;
        squatter.stop()?;
        server.stop()
    });
}

#[test]
fn a_pool_that_is_used_up_is_told_once_with_numbers() {
    lab::run_with_dhcp_clients(|lab, clients| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
        administer(&site.nat, HUB, &[&settings(3600, (50, 50), &[])])?;
        let other = site.neighbour(lab)?;
        let first = Client::connect(
            &other,
            BESIDE,
            &["--tap", TAP, "--insecure", "--no-routes", "--no-dns"],
        )?;
        hubward_tests::ours::address_of(&other, TAP, IN_TIME)?;
        let session = join(&site)?;
        let client = clients.start(Kind::Udhcpc, &site.user, TAP)?;
        let line = server.daemon().line_with("no address left to lease", IN_TIME)?;
        ensure!(
            line.contains("addresses=1") && line.contains("leased=1"),
            "{line}"
        );
        let turned_away = eventually(IN_TIME, "several requests without an answer", || {
            let status = administer(&site.nat, HUB, &["SecureNatStatusGet"])?;
            let line = status
                .lines()
                .find(|line| line.contains("DHCP Pool is Exhausted"));
            Ok(line
                .filter(|line| !line.contains("(1 requests"))
                .map(str::to_owned))
        })?;
        ensure!(
            turned_away.contains("requests were not answered"),
            "{turned_away}"
        );
        let told = server.log().matches("no address left to lease").count();
        ensure!(told == 1, "told {told} times");
        // Its address is given back, and the other one gets it.
        first.stop()?;
        ensure!(
            client.bound()?.0 == Ipv4Addr::new(192, 168, 30, 50),
            "which address?"
        );
        server
            .daemon()
            .line_with("there are addresses to lease again", IN_TIME)?;
        client.kill();
        session.stop()?;
        server.stop()
    });
}

#[test]
fn leases_go_on_while_the_store_cannot_be_written() {
    lab::run_with_dhcp_clients(|lab, clients| {
        let site = Site::new(lab)?;
        site.nat
            .sh("mkdir -p /var/lib/hubward; mount -t tmpfs -o size=32m,mode=0700 tmpfs /var/lib/hubward")?;
        let server = Server::start(&site.nat, &["--nat-mode", "user"])?;
        set_up(&site.nat)?;
        let session = join(&site)?;
        // What was set aside before may be enough for a little: the log of the database is grown by what it cannot take.
        site.nat
            .sh("cat /dev/zero >/var/lib/hubward/filler 2>/dev/null || true")?;
        let mut number = 0;
        eventually(IN_TIME, "a store that is full", || {
            number += 1;
            let line = format!("UserCreate user{number} /GROUP:none /REALNAME:none /NOTE:none");
            let full = administer(&site.nat, HUB, &[&line]).is_err();
            site.nat
                .sh("cat /dev/zero >/var/lib/hubward/filler2 2>/dev/null || true")?;
            Ok(full.then_some(()))
        })?;
        // What the failed change left behind in the log of the database has room for a few leases.
        let (client, address) = loop {
            let client = clients.start(Kind::Udhcpc, &site.user, TAP)?;
            let (address, _) = client.bound()?;
            ensure!(
                leases(&site.nat, HUB)?.contains_key(&address),
                "DhcpTable lacks it"
            );
            if server.log().contains("leases cannot be kept") {
                break (client, address);
            }
            client.release()?;
            eventually(IN_TIME, "the end of the lease", || {
                Ok((!leases(&site.nat, HUB)?.contains_key(&address)).then_some(()))
            })?;
            client.kill();
        };
        site.nat
            .sh("rm -f /var/lib/hubward/filler /var/lib/hubward/filler2")?;
        server.daemon().line_with("leases are kept again", IN_TIME)?;
        let told = server.log().matches("leases cannot be kept").count();
        ensure!(told == 1, "told {told} times");
        server.kill();
        let server = Server::start(&site.nat, &["--nat-mode", "user"])?;
        ensure!(
            leases(&site.nat, HUB)?.contains_key(&address),
            "it was not kept later"
        );
        client.kill();
        session.stop()?;
        server.stop()
    });
}

/// It keeps less of the routes than it is told, and writes back all settings to change one.
#[test]
fn a_stock_tool_that_changes_the_nat_takes_no_routes_away() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "user"])?;
        administer(&site.nat, "", &["ServerPasswordSet x"])?;
        administer(
            &site.nat,
            HUB,
            &[&settings(7200, (10, 200), &routes(Kind::Dhcpcd))],
        )?;
        let hub = format!("/ADMINHUB:{HUB}");
        let change = "NatSet /MTU:1400 /TCPTIMEOUT:1700 /UDPTIMEOUT:50 /LOG:yes";
        stock
            .administer(&site.nat, "localhost", &["/PASSWORD:x", &hub], change)?
            .success()?;
        let after = administer(&site.nat, HUB, &["NatGet", "DhcpGet"])?;
        ensure!(after.contains("|1400"), "{after}");
        let routes = after.matches("/255.").count();
        ensure!(routes == 200, "{routes} routes are left:\n{after}");
        server.stop()
    });
}
