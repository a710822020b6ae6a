//! Leases of other people's DHCP servers and of ours: what they say is set, they are renewed, and given back.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use hubward_tests::dhcp::leases;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, HUB, administer};
use hubward_tests::process::{Daemon, IN_TIME, eventually};
use hubward_tests::site::Site;

use super::desk::{connect, give_ways, has_address, is_as_before, sees_the_page, site, state};

/// Leases of 20 seconds, and a domain.
const SHORT: &str = "DhcpSet /START:192.168.30.10 /END:192.168.30.200 /MASK:255.255.255.0 /EXPIRE:20 /GW:192.168.30.1 \
                     /DNS:192.168.30.1 /DNS2:none /DOMAIN:lab.example /LOG:no";

/// A lease is obeyed, prolonged, and given back at the end; `table` shows the server's leases.
fn is_a_good_client(site: &Site, table: impl Fn() -> Result<String>) -> Result<()> {
    let user = &site.user;
    let before = state(user)?;
    let client = connect(user, &["-v"])?;
    has_address(&client)?;
    let address: Ipv4Addr = ours::address_of(user, "lab", IN_TIME)?;
    sees_the_page(site, &client)?;
    let names = user.sh("cat /etc/resolv.conf")?;
    ensure!(
        names.contains("\nsearch lab.example\nnameserver 192.168.30.1\n"),
        "{names}"
    );
    let row = |table: &str| -> Option<String> {
        let rows: Vec<_> = table.split("Leased at").collect();
        rows.iter()
            .find(|row| row.contains(&format!("{address}\n")))
            .map(|row| (*row).to_owned())
    };
    let first = table()?.replace('\r', "");
    let first = row(&first).with_context(|| format!("{address} is not in {first}"))?;
    eventually(IN_TIME, "a renewal", || {
        let now = row(&table()?.replace('\r', "")).context("the lease is gone")?;
        Ok((now != first).then_some(()))
    })
    .with_context(|| client.daemon().log())?;
    let log = client.daemon().log();
    ensure!(!log.contains("the address is lost"), "{log}");
    ensure!(
        ours::address_of(user, "lab", IN_TIME)? == address,
        "another address"
    );
    client.stop()?;
    eventually(IN_TIME, "the address given back", || {
        Ok(row(&table()?.replace('\r', "")).is_none().then_some(()))
    })?;
    is_as_before(user, &before)
}

#[test]
fn secure_nat_of_ours_gives_a_lease_that_is_renewed_and_given_back() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        administer(&site.nat, HUB, &[SHORT])?;
        is_a_good_client(&site, || administer(&site.nat, HUB, &["DhcpTable"]))?;
        ensure!(leases(&site.nat, HUB)?.is_empty(), "a lease is left");
        server.stop()
    });
}

#[test]
fn secure_nat_of_the_stock_server_gives_a_lease_that_is_renewed_and_given_back() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _daemon = stock.server(&site.nat)?;
        stock.set_up(&site.nat)?;
        stock.shape(&site.nat, HUB, &[SHORT])?;
        give_ways(&site.user)?;
        let hub = format!("/ADMINHUB:{HUB}");
        is_a_good_client(&site, || {
            stock
                .administer(&site.nat, "localhost", &[&hub], "DhcpTable")?
                .success()
        })
    });
}

/// What busybox' DHCP server is told to say: options 3, 6, 15, 26, 119 and 121.
const SETTINGS: &str = "start 10.77.0.50
end 10.77.0.60
interface hub
lease_file /run/lab/hub.leases
pidfile /run/lab/hub.pid
option subnet 255.255.0.0
option dns 10.77.0.1 10.77.0.2
option domain lab.example
option search corp.example eng.corp.example
option mtu 1380
option staticroutes 10.88.0.0/16 10.77.0.1, 0.0.0.0/0 10.77.0.1
option lease 3600
";

#[test]
fn every_option_of_a_dhcp_server_on_the_hub_is_obeyed() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = site(lab)?;
        administer(&site.nat, HUB, &["SecureNatDisable"])?;
        // Somebody on the hub gives addresses: a session of the same user on another machine.
        let neighbour = site.neighbour(lab)?;
        let other = Client::connect(
            &neighbour,
            "198.51.100.1",
            &["--tap", "hub", "--insecure", "--no-dhcp"],
        )?;
        other.daemon().line_with("connected: session", IN_TIME)?;
        neighbour.sh("ip address add 10.77.0.1/16 dev hub; ip link set hub up; touch /run/lab/hub.leases")?;
        std::fs::write("/run/lab/hub.conf", SETTINGS)?;
        let mut command = neighbour.command(stock.busybox()?);
        let _dhcp = Daemon::start("udhcpd", command.args(["udhcpd", "-f", "/run/lab/hub.conf"]))?;

        let user = &site.user;
        let before = state(user)?;
        let client = connect(user, &[])?;
        has_address(&client)?;
        let address = ours::address_of(user, "lab", IN_TIME)?;
        ensure!(address.octets()[..2] == [10, 77], "{address}");
        let names = user.sh("cat /etc/resolv.conf")?;
        ensure!(
            names.contains("\nsearch lab.example corp.example eng.corp.example\nnameserver 10.77.0.1\nnameserver 10.77.0.2\n"),
            "{names}"
        );
        let link = user.sh("ip link show dev lab")?;
        ensure!(link.contains("mtu 1380"), "{link}");
        for to in ["10.88.3.4", "198.18.0.9"] {
            let route = user.sh(&format!("ip route get {to}"))?;
            ensure!(route.contains("via 10.77.0.1 dev lab"), "{route}");
        }
        client.stop()?;
        is_as_before(user, &before)?;
        other.stop()?;
        server.stop()
    });
}
