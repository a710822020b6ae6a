//! SecureNAT in both of its modes: a lease, the page, a datagram and an echo, and the tables that tell of them.

use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, HUB, PASSWORD, USER, administer};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{Account, Client, Proof, Stock, item};
use hubward_tests::transfer::{equal_at_both_ends, fetched_equal_at_both_ends};

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
    let flows = administer(&site.nat, HUB, &["NatTable"])?;
    ensure!(flows.contains("10.0.1.26"), "NatTable lacks the page:\n{flows}");
    ensure!(
        is_in_kernel_mode(&site)? == (mode == "kernel"),
        "not in {mode} mode"
    );
    every_byte_arrives(&site)?;
    server
        .daemon()
        .line_with(&lease.address.to_string(), IN_TIME)
        .context("the log does not tell which address was leased")?;
    server.stop()
}

/// Whether the server says that its SecureNAT is the kernel's.
fn is_in_kernel_mode(site: &Site) -> Result<bool> {
    let status = administer(&site.nat, HUB, &["SecureNatStatusGet"])?;
    let active = item(&status, "Kernel-mode NAT is Active").context("SecureNatStatusGet tells no mode")?;
    Ok(active == "Yes")
}

/// Both ways, with the same hash at both ends.
fn every_byte_arrives(site: &Site) -> Result<()> {
    const BYTES: u64 = 32 << 20;
    let address = "10.0.1.26:5001".parse()?;
    equal_at_both_ends(&site.user, &site.web, address, BYTES, 5)?;
    fetched_equal_at_both_ends(&site.web, &site.user, address, BYTES, 7)?;
    Ok(())
}

#[test]
fn options_of_the_hub_choose_the_mode_while_it_runs() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        ensure!(
            is_in_kernel_mode(&site)?,
            "a laboratory's root may use the kernel's"
        );
        let arguments = ["--insecure", "--tap", DEVICE, "--no-routes", "--no-dns"];
        let client = ours::Client::connect(&site.user, OUTSIDE, &arguments)?;
        ours::address_of(&site.user, DEVICE, IN_TIME).with_context(|| client.daemon().log())?;
        site.user
            .sh(&format!("ip route add 10.0.1.26 via 192.168.30.1 dev {DEVICE}"))?;
        site.user_sees_the_private_page()?;
        set(&site, "DisableKernelModeSecureNAT", 1)?;
        ensure!(!is_in_kernel_mode(&site)?, "it is still in kernel mode");
        site.user_sees_the_private_page()?;
        every_byte_arrives(&site)?;
        set(&site, "DisableUserModeSecureNAT", 1)?;
        server
            .daemon()
            .line_with("forbid (DisableKernelModeSecureNAT", IN_TIME)
            .context("the log does not say why nothing goes through")?;
        let dialled = site
            .user
            .within(|| TcpStream::connect_timeout(&site.private(), Duration::from_secs(3)))?;
        ensure!(dialled.is_err(), "it carries although no mode is left");
        set(&site, "DisableKernelModeSecureNAT", 0)?;
        ensure!(is_in_kernel_mode(&site)?, "kernel mode is allowed again");
        site.user_sees_the_private_page()?;
        client.stop()?;
        server.stop()
    });
}

/// The device of our client.
const DEVICE: &str = "vpn0";

fn set(site: &Site, option: &str, value: u32) -> Result<()> {
    administer(
        &site.nat,
        HUB,
        &[&format!("ExtOptionSet {option} /VALUE:{value}")],
    )
    .map(drop)
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
