//! What somebody without a login can do to the server: waste 64 KiB and 15 seconds of it, and nothing else.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, HUB, Server, address_of, administer};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stranger::{drip, shown_out, tcp, tls};

const SERVER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1)), 443);

/// The fifteen seconds, and what a busy machine may add. Whoever is not shown out at all stays far longer.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn stranger_who_stalls_is_shown_out() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let host = &site.user;
        let silent_tcp = || {
            let mut stream = tcp(host, SERVER)?;
            let socket = stream.try_clone()?;
            shown_out(&mut stream, &socket, PATIENCE).context("silence before TLS")
        };
        let silent_tls = || {
            let mut stream = tls(host, SERVER)?;
            let socket = stream.sock.try_clone()?;
            shown_out(&mut stream, &socket, PATIENCE).context("silence after TLS")
        };
        let slow_head = || {
            let head = b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nX: "
                .iter()
                .copied()
                .chain(std::iter::repeat(b'x'));
            drip(&mut tls(host, SERVER)?, head, PATIENCE).context("a head, byte by byte")
        };
        let slow_signature = || {
            let mut stream = tls(host, SERVER)?;
            stream.write_all(b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nContent-Length: 2000\r\n\r\n")?;
            drip(&mut stream, std::iter::repeat(0), PATIENCE).context("a signature, byte by byte")
        };
        let after_hello = || {
            let mut stream = tls(host, SERVER)?;
            stream.write_all(b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nContent-Length: 10\r\n\r\nVPNCONNECT")?;
            let socket = stream.sock.try_clone()?;
            shown_out(&mut stream, &socket, PATIENCE).context("silence after the hello")
        };
        let strangers: [&(dyn Fn() -> Result<Duration> + Sync); 5] = [
            &silent_tcp,
            &silent_tls,
            &slow_head,
            &slow_signature,
            &after_hello,
        ];
        std::thread::scope(|scope| {
            let threads: Vec<_> = strangers
                .map(|stranger| scope.spawn(stranger))
                .into_iter()
                .collect();
            for thread in threads {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a stranger panicked"))??;
            }
            anyhow::Ok(())
        })?;
        server.stop()
    });
}

#[test]
fn hundred_strangers_cannot_make_the_server_hold_more_than_64_kib_each() {
    const STRANGERS: usize = 100;
    // What TLS, the task and the allocator add to the 64 KiB of each, and what the process grows by on its own.
    const ALLOWED_KIB: u64 = STRANGERS as u64 * (64 + 96) + 8 * 1024;
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let before = resident_kib(&site.nat, server.daemon().pid())?;
        let mut held = Vec::new();
        for index in 0..STRANGERS {
            let Ok(mut stream) = tls(&site.user, SERVER) else {
                continue;
            };
            stream.sock.set_write_timeout(Some(Duration::from_millis(200)))?;
            // A body that was announced, one that was not, and a head without an end.
            let head: &[u8] = match index % 3 {
                0 => b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nContent-Length: 4294967295\r\n\r\n",
                1 => b"POST /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 65536\r\n\r\n",
                _ => b"GET / HTTP/1.1\r\n",
            };
            let filler = [b'x'; 16 * 1024];
            // Being cut off is the server's right, and the point.
            let _ = stream
                .write_all(head)
                .and_then(|()| (0..16).try_for_each(|_| stream.write_all(&filler)));
            held.push(stream);
        }
        let after = resident_kib(&site.nat, server.daemon().pid())?;
        let grown = after.saturating_sub(before);
        ensure!(
            grown < ALLOWED_KIB,
            "{} strangers made the server grow by {grown} KiB",
            held.len()
        );
        drop(held);
        server.stop()
    });
}

fn resident_kib(host: &Host, pid: u32) -> Result<u64> {
    let status = host.sh(&format!("cat /proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

#[test]
fn plain_text_gets_no_answer_on_the_tls_port() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let mut stream = tcp(&site.user, SERVER)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")?;
        let mut answer = Vec::new();
        // A reset is as good as an end.
        let _ = stream.read_to_end(&mut answer);
        ensure!(
            !answer.starts_with(b"HTTP"),
            "a page in clear: {:?}",
            String::from_utf8_lossy(&answer)
        );
        server.stop()
    });
}

#[test]
fn malformed_message_ends_its_own_connection_alone() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
        address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
        let bodies: [&[u8]; 4] = [b"", &[0xff; 64], &[0, 0, 0, 1, 0, 0, 0, 0xff], &[0, 0, 0, 0]];
        for body in bodies {
            let mut stream = tls(&site.user, SERVER)?;
            stream.write_all(b"POST /vpnsvc/connect.cgi HTTP/1.1\r\nContent-Length: 10\r\n\r\nVPNCONNECT")?;
            let head = format!(
                "POST /vpnsvc/vpn.cgi HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes())?;
            stream.write_all(body)?;
            let socket = stream.sock.try_clone()?;
            shown_out(&mut stream, &socket, PATIENCE)?;
        }
        site.user_sees_the_private_page()?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn nobody_administers_over_the_network_before_there_is_a_password() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let server = Server::start(&site.nat, &[])?;
        let from_outside = |password: &str| {
            ours::vpncmd(
                &site.user,
                &[
                    "203.0.113.1",
                    "/SERVER",
                    &format!("/PASSWORD:{password}"),
                    "/PROGRAMMING",
                    "/CMD",
                    "HubList",
                ],
            )
        };
        for guess in ["", "hubward"] {
            let answer = from_outside(guess)?;
            ensure!(
                answer.code != 0,
                "a stranger administers a new server: {}",
                answer.stdout
            );
        }
        administer(
            &site.nat,
            "",
            &[
                &format!("HubCreate {HUB} /PASSWORD:none"),
                "ServerPasswordSet Kita-3193",
            ],
        )?;
        for guess in ["", "hubward"] {
            ensure!(
                from_outside(guess)?.code != 0,
                "the password {guess:?} was accepted"
            );
        }
        let answer = from_outside("Kita-3193")?.success()?;
        ensure!(answer.contains(HUB), "the administrator sees no hub: {answer}");
        server.stop()
    });
}
