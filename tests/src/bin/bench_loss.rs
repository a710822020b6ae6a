//! `make bench-loss`: what UDP acceleration is for. On a path of 40 ms with 1 % loss: what eight TCP flows carry through the tunnel,
//! and how late the packets of a call come, over one TCP connection and over UDP acceleration.
//!
//! Delay and loss act on the outer packets ([`Line`]). The path has a rate of its own, which this machine can carry: else its
//! processor would be what is measured. How much TCP makes of a path that loses is up to its congestion control, inside of
//! the tunnel and outside. What is promised holds for Linux' own, CUBIC; where the kernel has BBR, its figures stand beside.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::bench::ping;
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::line::Line;
use hubward_tests::ours::{self, Client, HUB, Server};
use hubward_tests::process::eventually;

/// The path: the queue before it holds what is under way in a round trip, as routers' queues do.
const PATH: Line = Line {
    one_way: Duration::from_millis(20),
    megabits: 200,
    queue: Duration::from_millis(40),
    one_lost_of: 100,
};
/// Ways to control congestion; the first is the one that something is promised for.
const CONTROLS: [&str; 2] = ["cubic", "bbr"];
const FLOWS: usize = 8;
/// How long flows get up to speed, and are measured.
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(6);
/// A call: fifty packets a second.
const PACE: Duration = Duration::from_millis(20);
const PACKETS: usize = 500;
const PACKET_BYTES: usize = 172;
const PATIENCE: Duration = Duration::from_secs(30);

const OUTER: &str = "10.40.0.0/24";
const SERVER: &str = "10.40.0.1";
const INNER: &str = "192.168.77.0/24";
const INNER_SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
const INNER_CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 2);

/// What is promised: as many times the throughput, and the 99th percentile of a call's one-way delay in round trips.
const TIMES: f64 = 3.0;
const ROUND_TRIPS: f64 = 1.5;

fn main() {
    let outcome = if lab::is_inside() { measure() } else { enter() };
    if let Err(error) = outcome {
        eprintln!("bench-loss FAILED: {error:#}");
        std::process::exit(1);
    }
}

/// The same program again, inside of a laboratory.
fn enter() -> Result<()> {
    lab::check()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = lab::enter(&arguments)?.status()?;
    std::process::exit(status.code().unwrap_or(1));
}

/// What one way through the path is worth.
struct Figures {
    control: &'static str,
    name: &'static str,
    up: f64,
    down: f64,
    call: Call,
    call_beside: Call,
}

impl Figures {
    fn row(&self) -> String {
        let call = |call: &Call| format!("{:.1} | {:.1} | {:.1} %", call.p50, call.p99, call.lost * 100.0);
        format!(
            "| {} | {} | {:.1} | {:.1} | {} | {} |",
            self.control,
            self.name,
            self.up,
            self.down,
            call(&self.call),
            call(&self.call_beside)
        )
    }
}

fn measure() -> Result<()> {
    let lab = Lab::open()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let (near, far) = (lab.host("client")?, lab.host("server")?);
    PATH.lay(&runtime, (&near, "10.40.0.2/24"), (&far, "10.40.0.1/24"))?;
    let server = Server::start(&far, &[])?;
    ours::set_up(&far)?;
    ours::administer(&far, HUB, &["SecureNatDisable"])?;
    ours::administer(&far, "", &[&format!("BridgeCreate {HUB} /DEVICE:far /TAP:yes")])?;
    far.sh(&format!(
        "ip address add {INNER_SERVER}/24 dev tap_far; ip link set tap_far up"
    ))?;
    let mut all = Vec::new();
    let known = near.sh("cat /proc/sys/net/ipv4/tcp_available_congestion_control")?;
    let known = |control: &&str| known.split_whitespace().any(|known| known == *control);
    for control in CONTROLS.into_iter().filter(known) {
        for (host, device, network) in [
            (&near, "eth0", OUTER),
            (&far, "eth0", OUTER),
            (&far, "tap_far", INNER),
        ] {
            set_control(host, device, network, control)?;
        }
        for (name, option) in [("one TCP connection", "--no-udp"), ("UDP acceleration", "--udp")] {
            let client = connect(&near, option)?;
            set_control(&near, "near", INNER, control)?;
            let figures = figures(&near, &far, control, name)?;
            println!("{}", figures.row());
            all.push(figures);
            client.stop()?;
        }
    }
    server.stop()?;
    report(&all)
}

/// Has the TCP connections of a route control congestion in this way. The setting of the whole network namespace would be
/// up to the administrator outside.
fn set_control(host: &Host, device: &str, network: &str, control: &str) -> Result<()> {
    let route = format!("ip route replace {network} dev {device} scope link congctl {control}");
    host.sh(&route).map(drop)
}

/// A client whose frames go the way that `option` says.
fn connect(near: &Host, option: &str) -> Result<Client> {
    let options = ["--tap", "near", "--no-dhcp", "--insecure", "-v", option];
    let client = Client::connect(near, SERVER, &options)?;
    eventually(PATIENCE, "the client's device", || {
        let address = format!("ip address replace {INNER_CLIENT}/24 dev near && ip link set near up");
        Ok(near.sh(&address).ok())
    })?;
    eventually(PATIENCE, "the session", || {
        Ok(ping::answers(near, INNER_SERVER)?.then_some(()))
    })
    .with_context(|| client.daemon().log())?;
    if option == "--udp" {
        eventually(PATIENCE, "UDP acceleration", || {
            let works = client.daemon().log().contains("UDP acceleration works");
            Ok(works.then_some(()))
        })?;
    }
    Ok(client)
}

fn figures(near: &Host, far: &Host, control: &'static str, name: &'static str) -> Result<Figures> {
    let call = self::call(near, far)?;
    let up = throughput(near, far, INNER_SERVER)?;
    let down = throughput(far, near, INNER_CLIENT)?;
    let stop = AtomicBool::new(false);
    let call_beside = std::thread::scope(|scope| {
        let flows = scope.spawn(|| flows(near, far, INNER_SERVER, &stop, &AtomicU64::new(0)));
        std::thread::sleep(WARM_UP);
        let measured = self::call(near, far);
        stop.store(true, Relaxed);
        flows
            .join()
            .map_err(|_| anyhow::anyhow!("the flows panicked"))??;
        measured
    })?;
    Ok(Figures {
        control,
        name,
        up,
        down,
        call,
        call_beside,
    })
}

fn report(all: &[Figures]) -> Result<()> {
    let mut table = format!(
        "{} ms there and back, {} Mbit/s each way with a queue of {} ms, 1 % of the packets lost each way; {FLOWS} TCP flows through the \
         tunnel, and a call of fifty packets a second: one-way delay in milliseconds, and packets that never came.\n\n\
         | congestion control | the tunnel over | up Mbit/s | down Mbit/s | call p50 | p99 | lost | call beside the flows p50 | p99 | lost |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        2 * PATH.one_way.as_millis(),
        PATH.megabits,
        PATH.queue.as_millis()
    );
    table.extend(all.iter().map(|figures| figures.row() + "\n"));
    println!("\n{table}");
    if let Some(file) = std::env::args().nth(1) {
        save(Path::new(&file), &table)?;
    }
    let [tcp, udp, ..] = all else {
        anyhow::bail!("this kernel has no {}", CONTROLS[0]);
    };
    let (up, down) = (udp.up / tcp.up, udp.down / tcp.down);
    println!(
        "UDP to TCP with {}: {up:.1} times up, {down:.1} times down",
        udp.control
    );
    ensure!(up >= TIMES && down >= TIMES, "{TIMES} times are promised");
    let limit = ROUND_TRIPS * 2.0 * PATH.one_way.as_secs_f64() * 1000.0;
    ensure!(
        udp.call.p99 < limit && udp.call_beside.p99 < limit,
        "a 99th percentile under {limit} ms is promised"
    );
    Ok(())
}

/// Puts the table between the marks of the page about benchmarks.
fn save(page: &Path, table: &str) -> Result<()> {
    const BEGIN: &str = "<!-- bench-loss -->\n";
    const END: &str = "<!-- /bench-loss -->";
    let text = std::fs::read_to_string(page)?;
    let (before, rest) = text.split_once(BEGIN).context("the page has no mark")?;
    let (_, after) = rest.split_once(END).context("the page has no second mark")?;
    Ok(std::fs::write(
        page,
        format!("{before}{BEGIN}{table}{END}{after}"),
    )?)
}

/// What [`FLOWS`] TCP flows carry together once they are up to speed, in Mbit/s.
fn throughput(from: &Host, to: &Host, address: Ipv4Addr) -> Result<f64> {
    let (stop, arrived) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let flows = scope.spawn(|| flows(from, to, address, &stop, &arrived));
        std::thread::sleep(WARM_UP);
        let (before, begun) = (arrived.load(Relaxed), Instant::now());
        std::thread::sleep(MEASURED);
        let bytes = arrived.load(Relaxed) - before;
        let seconds = begun.elapsed().as_secs_f64();
        stop.store(true, Relaxed);
        flows
            .join()
            .map_err(|_| anyhow::anyhow!("the flows panicked"))??;
        Ok(bytes as f64 * 8.0 / seconds / 1e6)
    })
}

/// Sends as much as goes through until told to stop.
fn flows(from: &Host, to: &Host, address: Ipv4Addr, stop: &AtomicBool, arrived: &AtomicU64) -> Result<()> {
    let listener = to.within(|| TcpListener::bind((address, 0)))??;
    let target = listener.local_addr()?;
    std::thread::scope(|scope| {
        for _ in 0..FLOWS {
            let sender = from.within(|| TcpStream::connect_timeout(&target, PATIENCE))??;
            let (receiver, _) = listener.accept()?;
            scope.spawn(move || send_until(&sender, stop));
            scope.spawn(move || count(&receiver, arrived));
        }
        Ok(())
    })
}

fn send_until(mut stream: &TcpStream, stop: &AtomicBool) {
    let part = [0x5a; 64 * 1024];
    let _ = stream.set_write_timeout(Some(Duration::from_millis(500)));
    while !stop.load(Relaxed) {
        match stream.write(&part) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
    }
    // Both ends are gone at once; what is on the way is nobody's.
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn count(mut stream: &TcpStream, arrived: &AtomicU64) {
    let mut part = vec![0; 256 * 1024];
    let _ = stream.set_read_timeout(Some(PATIENCE));
    while let Ok(bytes @ 1..) = stream.read(&mut part) {
        arrived.fetch_add(bytes as u64, Relaxed);
    }
}

/// How a call went: delays in milliseconds, and the share of packets that never came.
struct Call {
    p50: f64,
    p99: f64,
    lost: f64,
}

/// Sends the packets of a call; both ends are on this machine's clock.
fn call(from: &Host, to: &Host) -> Result<Call> {
    let receiver = to.within(|| UdpSocket::bind((INNER_SERVER, 0)))??;
    let target: SocketAddr = receiver.local_addr()?;
    let sender = from.within(|| UdpSocket::bind((INNER_CLIENT, 0)))??;
    receiver.set_read_timeout(Some(Duration::from_secs(1)))?;
    let begun = Instant::now();
    let mut delays = std::thread::scope(|scope| {
        let listening = scope.spawn(|| {
            let mut delays = Vec::new();
            let mut packet = [0; PACKET_BYTES];
            while let Ok(PACKET_BYTES) = receiver.recv(&mut packet) {
                let sent = packet[..8]
                    .iter()
                    .fold(0, |sent: u64, byte| sent << 8 | u64::from(*byte));
                let delay = begun.elapsed() - Duration::from_nanos(sent);
                delays.push(delay.as_secs_f64() * 1000.0);
                if delays.len() == PACKETS {
                    break;
                }
            }
            delays
        });
        for n in 0..PACKETS {
            let due = begun + PACE * u32::try_from(n).unwrap_or(u32::MAX);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut packet = [0; PACKET_BYTES];
            let now = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            packet[..8].copy_from_slice(&now.to_be_bytes());
            sender.send_to(&packet, target)?;
        }
        listening
            .join()
            .map_err(|_| anyhow::anyhow!("the receiver panicked"))
    })?;
    ensure!(!delays.is_empty(), "no packet of the call came");
    delays.sort_by(f64::total_cmp);
    let percentile = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    Ok(Call {
        p50: percentile(0.50),
        p99: percentile(0.99),
        lost: 1.0 - delays.len() as f64 / PACKETS as f64,
    })
}
