//! Servers that lie: whatever they do, our client ends or goes on with one clear line, and its host is as it was.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::liar::{Liar, Lie, http};
use hubward_tests::ours::Client;
use hubward_tests::process::{IN_TIME, eventually};

/// The exit code for everything that is the other side's fault.
const OTHER_SIDE: i32 = 3;
/// What a client may grow by beside a server that will not read, or that sends without end: its queues (a few megabytes for each
/// connection and device) and what the allocator keeps of them.
const ALLOWED_KIB: u64 = 64 * 1024;

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// A liar's host and a user's.
fn hosts(lab: &Lab) -> Result<(Host, Host)> {
    let (server, user) = (lab.host("liar")?, lab.host("user")?);
    lab.cable(
        (&server, "wan", "203.0.113.1/24"),
        (&user, "eth0", "203.0.113.10/24"),
    )?;
    Ok((server, user))
}

fn configuration(host: &Host) -> Result<String> {
    host.sh("ip -brief address; ip -4 route; ip -6 route; ip rule; cat /etc/resolv.conf; nft list ruleset 2>/dev/null || true")
}

fn connect(user: &Host, port: u16, options: &[&str]) -> Result<Client> {
    let tap = format!("lab{port}");
    let server = format!("{SERVER}:{port}");
    Client::connect(user, &server, &[&["--insecure", "--tap", &tap], options].concat())
}

/// Each liar gets a client, all at once; each client must end with the code of the other side's faults and one line with these words.
fn each_ends_with_a_line(lab: &Lab, lies: &[(&str, Lie, &str)], options: &[&str]) -> Result<()> {
    let (server, user) = hosts(lab)?;
    let before = configuration(&user)?;
    let mut clients = Vec::new();
    for ((what, lie, words), port) in lies.iter().zip(4001..) {
        Liar::start(&server, SocketAddr::new(SERVER, port), lie.clone())?;
        clients.push((what, words, connect(&user, port, options)?));
    }
    for (what, words, client) in clients {
        let (code, said) = client.refused().with_context(|| (*what).to_owned())?;
        ensure!(code == OTHER_SIDE, "{what}: exit {code}: {said}");
        let failures: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("vpnclient:"))
            .collect();
        ensure!(
            failures.len() == 1 && failures[0].contains(words),
            "{what}: {words:?} is not in the one line of {said}"
        );
        ensure!(!said.contains("panicked"), "{what}: {said}");
    }
    let after = configuration(&user)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

/// A PACK that announces this many elements, and holds none.
fn elements(count: u32) -> Vec<u8> {
    count.to_be_bytes().to_vec()
}

/// A PACK with one element of data that is said to be this long.
fn data(length: u32) -> Vec<u8> {
    let mut pack = elements(1);
    pack.extend(6_u32.to_be_bytes());
    pack.extend(b"hello");
    pack.extend(1_u32.to_be_bytes());
    pack.extend(1_u32.to_be_bytes());
    pack.extend(length.to_be_bytes());
    pack
}

#[test]
fn garbage_in_place_of_a_negotiation_is_no_vpn_server() {
    let endless_head = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 256 * 1024]].concat();
    let huge_body =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 4294967295\r\n\r\n"
            .to_vec();
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello".to_vec();
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let words = "does not answer like a VPN server";
    lab::run(|lab| {
        each_ends_with_a_line(
            lab,
            &[
                (
                    "another protocol",
                    Lie::OtherProtocol,
                    "is it a VPN server's port?",
                ),
                ("noise", Lie::Answer(noise), words),
                ("a head without end", Lie::Answer(endless_head), words),
                ("a body of 4 GiB", Lie::Answer(huge_body), words),
                ("a web page", Lie::Answer(page), words),
                (
                    "a hello of endless elements",
                    Lie::Answer(http(&elements(u32::MAX))),
                    words,
                ),
                (
                    "a hello with 4 GiB of data",
                    Lie::Answer(http(&data(u32::MAX))),
                    words,
                ),
                ("an empty hello", Lie::Answer(http(&elements(0))), words),
                ("no hello", Lie::Silence, "did not answer within"),
            ],
            &["--once"],
        )
    });
}

#[test]
fn a_welcome_that_is_none_ends_the_client_before_anything_is_set_up() {
    lab::run(|lab| {
        each_ends_with_a_line(
            lab,
            &[
                ("no session key", Lie::NoSessionKey, "refused"),
                ("an empty welcome", Lie::Welcome(elements(0)), "refused"),
                (
                    "a welcome of endless elements",
                    Lie::Welcome(elements(u32::MAX)),
                    "does not answer like a VPN server",
                ),
                (
                    "a welcome with 4 GiB of data",
                    Lie::Welcome(data(u32::MAX)),
                    "does not answer like a VPN server",
                ),
            ],
            &["--once"],
        )
    });
}

#[test]
fn blocks_that_cannot_be_end_the_session() {
    let says = |words: &[u32]| Lie::Says(words.iter().flat_map(|word| word.to_be_bytes()).collect());
    let over = "the session is over";
    lab::run(|lab| {
        each_ends_with_a_line(
            lab,
            &[
                ("a block of 2 GiB", says(&[1, 0x7fff_ffff]), over),
                ("4 thousand million blocks", says(&[0xffff_fffe, 3201]), over),
                ("a keep-alive of 4 GiB", says(&[u32::MAX, u32::MAX]), over),
                (
                    "a super-frame that nobody agreed on",
                    says(&[1, 0x8000_0100]),
                    over,
                ),
                ("the end", Lie::EndsEverySession, over),
            ],
            &["--once"],
        )
    });
}

#[test]
fn a_server_that_ends_every_session_at_once_is_asked_after_pauses_that_grow() {
    lab::run(|lab| {
        let (server, user) = hosts(lab)?;
        let before = configuration(&user)?;
        let liar = Liar::start(&server, SocketAddr::new(SERVER, 4001), Lie::EndsEverySession)?;
        let client = connect(&user, 4001, &[])?;
        liar.await_logins(2)?;
        let second = Instant::now();
        liar.await_logins(5)?;
        // At least half of one second, of two and of four.
        ensure!(
            second.elapsed() >= Duration::from_millis(3400),
            "asked again and again: {}",
            client.daemon().log()
        );
        client.stop()?;
        let after = configuration(&user)?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

/// A client of such a liar does not grow while it is under `load`, ends when it is told to, and leaves its host as it was.
fn costs_no_memory(lab: &Lab, lie: Lie, load: impl FnOnce(&Host, &Client) -> Result<()>) -> Result<()> {
    let (server, user) = hosts(lab)?;
    let before = configuration(&user)?;
    Liar::start(&server, SocketAddr::new(SERVER, 4001), lie)?;
    let client = connect(&user, 4001, &["--no-dhcp"])?;
    client.daemon().line_with("connected: session", IN_TIME)?;
    let first = resident_kib(&client)?;
    load(&user, &client)?;
    let grown = resident_kib(&client)?.saturating_sub(first);
    ensure!(grown < ALLOWED_KIB, "the client has grown by {grown} KiB");
    client.stop()?;
    let after = configuration(&user)?;
    ensure!(before == after, "before:\n{before}\nafter:\n{after}");
    Ok(())
}

#[test]
fn a_server_that_stops_reading_costs_frames_and_no_memory() {
    lab::run(|lab| {
        costs_no_memory(lab, Lie::StopsReading, |user, client| {
            set_address(user)?;
            // Far more than all queues on the way hold.
            user.within(|| -> Result<()> {
                let socket = std::net::UdpSocket::bind("10.9.0.2:0")?;
                let datagram = [0x5a; 1400];
                for _ in 0..200_000 {
                    // The device's own queue may be full; the point is what the client does.
                    let _ = socket.send_to(&datagram, "10.9.0.1:9");
                }
                Ok(())
            })??;
            let log = client.daemon().log();
            ensure!(!log.contains("over"), "{log}");
            Ok(())
        })
    });
}

#[test]
fn a_server_that_floods_costs_no_memory_and_the_client_still_ends_when_told() {
    lab::run(|lab| {
        costs_no_memory(lab, Lie::Floods, |user, _| {
            eventually(IN_TIME, "a flood of 300 MB", || {
                let bytes: u64 = user
                    .sh("cat /sys/class/net/lab4001/statistics/rx_bytes")?
                    .trim()
                    .parse()?;
                Ok((bytes > 300_000_000).then_some(()))
            })
        })
    });
}

/// An address on the client's device, and a neighbour there that never has to be asked for.
fn set_address(user: &Host) -> Result<()> {
    user.sh("ip link set lab4001 up; ip address add 10.9.0.2/24 dev lab4001
         ip neighbour replace 10.9.0.1 lladdr 02:00:00:00:00:09 dev lab4001 nud permanent")
        .map(drop)
}

fn resident_kib(client: &Client) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", client.daemon().pid()))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}
