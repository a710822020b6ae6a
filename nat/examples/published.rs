//! What a lookup costs with ten published hosts and with ten thousand: `cargo run --release -p nat --example published`, as root.
//!
//! A client and a private server have namespaces of their own, with this one between them. In three rounds, ten rules and ten thousand take turns;
//! the medians are printed: connections a second from one thread, and small datagrams a second that arrive.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nat::Tag;
use nat::dnat::{DnatRule, Publisher};
use support::hosts::Host;
use support::run;

const INSIDE: &str = "HUBWARD_BENCH_NAMESPACE";
const ROUNDS: usize = 3;
const SPAN: Duration = Duration::from_secs(2);
const COUNTS: [u16; 2] = [10, 10_000];

/// Single ports, which are most of what is published, and as many with sources.
fn rules(count: u16, sources: &str) -> Vec<DnatRule> {
    let rule = |i: u16| {
        let port = (50_000 - i).to_string();
        DnatRule::parse(&format!("r{i}"), "tcp+udp", &port, "10.0.1.26:7", sources, "").unwrap()
    };
    (0..count).map(rule).collect()
}

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        let status = Command::new("unshare")
            .arg("-n")
            .arg(std::env::current_exe().unwrap())
            .env(INSIDE, "1")
            .status()
            .expect("unshare(1) of util-linux is needed");
        std::process::exit(status.code().unwrap_or(1));
    }
    run("ip", "link set lo up");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let client = Host::join("wan0", "203.0.113.1", "203.0.113.10", true);
    let server = Host::join("lan0", "10.0.1.1", "10.0.1.26", true);
    let arrived = serve(&server);
    let publisher = Publisher::kernel(Tag::new("bench"));
    println!("kind of rules     rules  applied in  connections/s  datagrams/s");
    for (kind, sources) in [
        ("one port", ""),
        ("port and sources", "203.0.113.0/24,198.51.100.0/24"),
    ] {
        let mut rates = [(); 2].map(|()| (Vec::new(), Vec::new(), Vec::new()));
        for _ in 0..ROUNDS {
            for (count, (applied, connections, datagrams)) in COUNTS.iter().zip(&mut rates) {
                runtime.block_on(publisher.clear()).unwrap();
                let began = Instant::now();
                runtime
                    .block_on(publisher.apply(&rules(*count, sources)))
                    .unwrap();
                applied.push(began.elapsed().as_millis() as u64);
                connections.push(connect(&client));
                datagrams.push(send(&client, &arrived));
            }
        }
        for (count, (applied, connections, datagrams)) in COUNTS.iter().zip(rates) {
            let [applied, connections, datagrams] = [applied, connections, datagrams].map(median);
            println!("{kind:<16}  {count:>5}  {applied:>7} ms  {connections:>13}  {datagrams:>11}");
        }
    }
    runtime.block_on(publisher.clear()).unwrap();
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Takes connections and closes them, and counts datagrams.
fn serve(server: &Host) -> Arc<AtomicU64> {
    let (listener, socket) = server.call(|| {
        (
            TcpListener::bind("10.0.1.26:7").unwrap(),
            UdpSocket::bind("10.0.1.26:7").unwrap(),
        )
    });
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while socket.recv(&mut buffer).is_ok() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    arrived
}

/// Connections a second. They end by reset, so that no port waits.
fn connect(client: &Host) -> u64 {
    client.call(|| {
        let to: SocketAddr = "203.0.113.1:49995".parse().unwrap();
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < SPAN {
            let stream = TcpStream::connect_timeout(&to, SPAN).unwrap();
            let linger = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::Linger, &linger).unwrap();
            count += 1;
        }
        rate(count, began.elapsed())
    })
}

/// Datagrams a second that arrive, all of one flow.
fn send(client: &Host, arrived: &AtomicU64) -> u64 {
    let before = arrived.load(Ordering::Relaxed);
    let began = Instant::now();
    client.call(|| {
        let socket = UdpSocket::bind("203.0.113.10:0").unwrap();
        socket.connect("203.0.113.1:49995").unwrap();
        let began = Instant::now();
        while began.elapsed() < SPAN {
            for _ in 0..64 {
                // One that the queue has no room for is one that does not arrive.
                let _ = socket.send(&[0; 22]);
            }
        }
    });
    rate(arrived.load(Ordering::Relaxed) - before, began.elapsed())
}

fn rate(count: u64, span: Duration) -> u64 {
    (count as f64 / span.as_secs_f64()) as u64
}
