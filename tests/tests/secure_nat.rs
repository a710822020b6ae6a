//! SecureNAT in both of its modes: a lease, the page, a datagram and an echo, and the tables that tell of them.

use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{HUB, PASSWORD, USER, administer};
use hubward_tests::process;
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
    client.established(&site.user, Duration::from_secs(20))?;
    let lease = stock.lease(&site.user, Client::DEVICE)?;
    ensure!(lease.router == Some([192, 168, 30, 1].into()), "{lease:?}");

    site.user_sees_the_private_page()?;
    let datagrams = site.web.within(|| UdpSocket::bind("10.0.1.26:7"))??;
    std::thread::scope(|scope| {
        scope.spawn(|| -> Result<()> {
            let mut buffer = [0; 2048];
            datagrams.set_read_timeout(Some(Duration::from_secs(10)))?;
            let (length, from) = datagrams.recv_from(&mut buffer)?;
            ensure!(
                from.ip().to_string() == "10.0.1.1",
                "{from} is not the NAT instance"
            );
            datagrams.send_to(&buffer[..length], from)?;
            Ok(())
        });
        let socket = site.user.within(|| UdpSocket::bind("0.0.0.0:0"))??;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.send_to(b"are you there?", "10.0.1.26:7")?;
        let mut buffer = [0; 2048];
        let (length, _) = socket.recv_from(&mut buffer)?;
        ensure!(
            &buffer[..length] == b"are you there?",
            "another datagram came back"
        );
        Ok(())
    })?;
    for address in ["192.168.30.1", "10.0.1.26"] {
        let mut ping = site.user.command(stock.busybox()?);
        process::run(ping.args(["ping", "-c", "1", "-W", "5", address]))?;
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
    ensure!(
        server.log().contains(&lease.address.to_string()),
        "the log does not tell which address was leased"
    );
    server.stop()
}
