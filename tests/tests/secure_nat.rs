//! SecureNAT in both of its modes: a lease, the page, a datagram and an echo, and the tables that tell of them.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{HUB, PASSWORD, USER, administer};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::Site;
use hubward_tests::stock::{Account, Client, Proof, Stock};

#[test]
fn user_mode_gives_a_lease_and_carries_tcp_udp_and_echo() {
    lab::run_with_stock(|lab, stock| carries_everything(lab, stock, "user"));
}

#[test]
fn kernel_mode_gives_a_lease_and_carries_tcp_udp_and_echo() {
    lab::run_with_stock(|lab, stock| carries_everything(lab, stock, "kernel"));
}

fn carries_everything(lab: &Lab, stock: &Stock, mode: &str) -> Result<()> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", mode])?;
    // Echoes without privileges are allowed on every machine that systemd started; a fresh namespace forbids them.
    site.nat.sh("echo '0 0' > /proc/sys/net/ipv4/ping_group_range")?;
    let client = stock.client(&site.user)?;
    client.connect(
        &site.user,
        &Account::new("203.0.113.1:443", HUB, USER, Proof::Plain(PASSWORD)),
    )?;
    client.established(&site.user, IN_TIME)?;
    let lease = stock.lease(&site.user, Client::DEVICE)?;
    ensure!(lease.router == Some([192, 168, 30, 1].into()), "{lease:?}");

    site.user_sees_the_private_page()?;
    datagrams_come_back(&site)?;
    for address in ["192.168.30.1", "10.0.1.26"] {
        // An echo may be lost, as may a datagram.
        eventually(IN_TIME, &format!("an echo of {address}"), || {
            let mut ping = site.user.command(stock.busybox()?);
            Ok(process::run(ping.args(["ping", "-c", "1", "-W", "5", address])).ok())
        })?;
    }

    let leases = administer(&site.nat, HUB, &["DhcpTable"])?;
    ensure!(
        leases.contains(&lease.address.to_string()),
        "DhcpTable lacks {}:\n{leases}",
        lease.address
    );
    if mode == "user" {
        let flows = administer(&site.nat, HUB, &["NatTable"])?;
        ensure!(flows.contains("10.0.1.26"), "NatTable lacks the page:\n{flows}");
    }
    server
        .daemon()
        .line_with(&lease.address.to_string(), IN_TIME)
        .context("the log does not tell which address was leased")?;
    server.stop()
}

/// The private host sends each datagram back, with the address that it came from.
fn datagrams_come_back(site: &Site) -> Result<()> {
    let echo = site.web.within(|| UdpSocket::bind("10.0.1.26:7"))??;
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = echo.recv_from(&mut buffer)?;
            let answer = [&buffer[..length], from.ip().to_string().as_bytes()].concat();
            echo.send_to(&answer, from)?;
        }
    });
    let socket = site.user.within(|| UdpSocket::bind("0.0.0.0:0"))??;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let answer = eventually(IN_TIME, "a datagram that comes back", || {
        socket.send_to(b"are you there, ", "10.0.1.26:7")?;
        let mut buffer = [0; 2048];
        let received = socket.recv_from(&mut buffer).ok();
        Ok(received.map(|(length, _)| String::from_utf8_lossy(&buffer[..length]).into_owned()))
    })?;
    ensure!(
        answer == "are you there, 10.0.1.1",
        "{answer:?} came back, and not by way of the NAT instance"
    );
    Ok(())
}
