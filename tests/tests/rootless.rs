//! Our client without privileges: proxies, forwarded ports and `vpnclient nc`, all through one tunnel and without a device.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Client, HUB, administer, program};
use hubward_tests::page;
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// A user that has no capability, as setpriv makes one.
const NOBODY: &[&str] = &["--inh-caps=-all", "--bounding-set=-all", "--ambient-caps=-all"];

/// Connects without a device and waits for the address on the hub.
fn connect(host: &Host, options: &[&str]) -> Result<Client> {
    let client = Client::connect(host, OUTSIDE, &[&["--insecure"], options].concat())?;
    client
        .daemon()
        .line_with("on rootless", IN_TIME)
        .with_context(|| client.daemon().log())?;
    Ok(client)
}

fn devices(host: &Host) -> Result<String> {
    host.sh("ip -brief link; ip route; ip rule; cat /etc/resolv.conf")
}

/// curl on the user's host.
fn curl(host: &Host, arguments: &[&str]) -> Result<String> {
    let mut command = host.command("curl");
    process::run(command.args(["-sS", "--max-time", "20"]).args(arguments))
}

#[test]
fn both_proxies_and_a_forward_fetch_the_page_without_a_device() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let before = devices(&site.user)?;
        let doors = [
            "--socks5",
            "1080",
            "--http-proxy",
            "3128",
            "--forward",
            "8080=10.0.1.26:80",
        ];
        let client = connect(&site.user, &doors)?;
        ensure!(
            devices(&site.user)? == before,
            "something on the host was changed"
        );

        for arguments in [
            &["--proxy", "socks5h://127.0.0.1:1080", "http://10.0.1.26/"][..],
            &["--proxy", "http://127.0.0.1:3128", "http://10.0.1.26/"],
            &[
                "--proxy",
                "http://127.0.0.1:3128",
                "--proxytunnel",
                "http://10.0.1.26/",
            ],
            &["http://127.0.0.1:8080/"],
        ] {
            let page = curl(&site.user, arguments)?;
            ensure!(
                page.contains("the private page"),
                "{arguments:?} brought {page:?}"
            );
        }
        client.stop()?;
        server.stop()
    });
}

#[test]
fn refusals_are_told_apart_at_both_proxies() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site.user, &["--socks5", "1080", "--http-proxy", "3128"])?;
        // Nobody listens at the port: SOCKS says 5, connection refused.
        let refused = socks5(&site.user, &[5, 1, 0, 1, 10, 0, 1, 26, 0, 81])?;
        ensure!(refused == 5, "a closed port is answered by {refused}");
        let unknown = socks5(&site.user, b"\x05\x01\x00\x03\x0fnowhere.invalid\x00\x50")?;
        ensure!(unknown == 4, "an unknown name is answered by {unknown}");
        let bind = socks5(&site.user, &[5, 2, 0, 1, 10, 0, 1, 26, 0, 81])?;
        ensure!(bind == 7, "BIND is answered by {bind}");
        let answer = curl(
            &site.user,
            &["--proxy", "http://127.0.0.1:3128", "http://10.0.1.26:81/"],
        )?;
        ensure!(
            answer.contains("10.0.1.26:81") && answer.contains("refused"),
            "{answer:?}"
        );
        client.stop()?;
        server.stop()
    });
}

/// What a SOCKS5 server answers to a request.
fn socks5(host: &Host, request: &[u8]) -> Result<u8> {
    host.within(|| -> Result<u8> {
        let mut stream = TcpStream::connect("127.0.0.1:1080")?;
        stream.set_read_timeout(Some(IN_TIME))?;
        stream.write_all(&[5, 1, 0])?;
        let mut method = [0; 2];
        stream.read_exact(&mut method)?;
        stream.write_all(request)?;
        let mut answer = [0; 10];
        stream.read_exact(&mut answer)?;
        Ok(answer[1])
    })?
}

#[test]
fn a_proxy_with_a_password_serves_only_who_knows_it() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let file = ours::password_file("alice:Ume-1")?;
        let file = file.to_str().context("path")?;
        let doors = [
            "--socks5",
            "1080",
            "--http-proxy",
            "3128",
            "--proxy-password-file",
            file,
        ];
        let client = connect(&site.user, &doors)?;
        for proxy in [
            "socks5h://alice:Ume-1@127.0.0.1:1080",
            "http://alice:Ume-1@127.0.0.1:3128",
        ] {
            let page = curl(&site.user, &["--proxy", proxy, "http://10.0.1.26/"])?;
            ensure!(page.contains("the private page"), "{proxy} brought {page:?}");
        }
        for proxy in ["socks5h://alice:wrong@127.0.0.1:1080", "socks5h://127.0.0.1:1080"] {
            ensure!(
                curl(&site.user, &["--proxy", proxy, "http://10.0.1.26/"]).is_err(),
                "{proxy} was let in"
            );
        }
        let page = curl(
            &site.user,
            &["--proxy", "http://127.0.0.1:3128", "http://10.0.1.26/"],
        )?;
        ensure!(page.is_empty(), "without a password {page:?} came");
        ensure!(
            !client.daemon().log().contains("Ume-1"),
            "the password is in the log"
        );
        client.stop()?;
        server.stop()
    });
}

#[test]
fn a_process_without_any_capability_gets_through_by_nc_and_names_are_the_hubs() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        // The virtual host answers names from the NAT instance's own resolver file.
        site.web.sh("printf '10.0.1.26 web.private\\n' > /etc/hosts")?;
        name_server(&site.web)?;
        site.nat.sh("echo 'nameserver 10.0.1.26' > /etc/resolv.conf")?;
        administer(&site.nat, HUB, &["SecureNatDisable", "SecureNatEnable"])?;

        let vpnclient = program("vpnclient")?;
        let password = ours::password_file(ours::PASSWORD)?;
        let mut command = site.user.command("setpriv");
        command
            .args(NOBODY)
            .arg(&vpnclient)
            .args([
                "connect",
                OUTSIDE,
                "--insecure",
                "--hub",
                HUB,
                "--user",
                ours::USER,
                "--rootless",
            ])
            .arg("--password-file")
            .arg(&password);
        let mut client = process::Daemon::start("vpnclient", &mut command)?;
        client
            .line_with("on rootless", IN_TIME)
            .with_context(|| client.log())?;

        let mut fetched = Vec::new();
        for _ in 0..3 {
            let mut nc = site.user.command(&vpnclient);
            let page = talk(nc.args(["nc", "web.private", "80"]), b"GET / HTTP/1.0\r\n\r\n")?;
            fetched.push(page);
        }
        ensure!(
            fetched.iter().all(|page| page.contains("the private page")),
            "{fetched:?}\n{}",
            client.log()
        );
        let sessions = administer(&site.nat, HUB, &["SessionList"])?;
        let tunnels = sessions.matches(&ours::USER.to_uppercase()).count();
        ensure!(tunnels <= 1, "more than one tunnel:\n{sessions}");

        let mut nc = site.user.command(&vpnclient);
        let refused = process::answer(nc.args(["nc", "10.0.1.26", "81"]))?;
        ensure!(
            refused.code == 3 && refused.stderr.contains("10.0.1.26:81"),
            "{refused:?}"
        );
        client.signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(client.wait(IN_TIME)? == 0, "{}", client.log());
        let mut nc = site.user.command(&vpnclient);
        let alone = process::answer(nc.args(["nc", "10.0.1.26", "80"]))?;
        ensure!(
            alone.code == 4 && alone.stderr.contains("--rootless"),
            "{alone:?}"
        );
        server.stop()
    });
}

/// Feeds a program and reads until it ends.
fn talk(command: &mut Command, say: &[u8]) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(say)?;
    Ok(String::from_utf8_lossy(&child.wait_with_output()?.stdout).into_owned())
}

/// A name server that knows one name.
fn name_server(host: &Host) -> Result<()> {
    let socket = host.within(|| UdpSocket::bind("10.0.1.26:53"))??;
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut room = [0; 512];
        loop {
            let (len, from) = socket.recv_from(&mut room)?;
            let question = &room[..len];
            let known = question.windows(13).any(|part| part == b"\x03web\x07private\x00");
            let mut answer = question.to_vec();
            answer[2] |= 0x80;
            if known {
                answer[7] = 1;
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 1, 26]);
            } else {
                answer[3] |= 3;
            }
            socket.send_to(&answer, from)?;
        }
    });
    Ok(())
}

#[test]
fn datagrams_go_through_an_association_and_end_with_it() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site.user, &["--socks5", "1080"])?;
        let echo = site.web.within(|| UdpSocket::bind("10.0.1.26:7"))??;
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut room = [0; 2048];
            loop {
                let (len, from) = echo.recv_from(&mut room)?;
                echo.send_to(&room[..len], from)?;
            }
        });
        site.user.within(|| -> Result<()> {
            let mut stream = TcpStream::connect("127.0.0.1:1080")?;
            stream.set_read_timeout(Some(IN_TIME))?;
            stream.write_all(&[5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0])?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            ensure!(answer[3] == 0, "the association is refused by {}", answer[3]);
            let port = u16::from_be_bytes([answer[10], answer[11]]);
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(("127.0.0.1", port))?;
            socket.set_read_timeout(Some(Duration::from_secs(2)))?;
            let datagram = b"\x00\x00\x00\x01\x0a\x00\x01\x1a\x00\x07are you there";
            let back = eventually(IN_TIME, "a datagram that comes back", || {
                socket.send(datagram)?;
                let mut room = [0; 2048];
                let received = socket.recv(&mut room).ok();
                Ok(received.map(|len| room[..len].to_vec()))
            })?;
            ensure!(back == datagram, "{back:?} came back");
            drop(stream);
            eventually(IN_TIME, "the association's end", || {
                // Once the socket is closed the kernel tells the sender.
                let _ = socket.send(datagram);
                let mut room = [0; 2048];
                let gone = socket
                    .recv(&mut room)
                    .is_err_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused);
                Ok(gone.then_some(()))
            })
        })??;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn a_port_on_the_hub_leads_back_to_a_host_of_this_side() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        // A second member of the hub, with a device, asks.
        let neighbour = site.neighbour(lab)?;
        let own = page::Page::new("a page of mine");
        own.serve(&site.user)?;
        let client = connect(
            &site.user,
            &["--reverse", "8000=127.0.0.1:80", "--reverse", "8001=127.0.0.1:9"],
        )?;
        let said = client.daemon().line_with("on rootless", IN_TIME)?;
        let address = said
            .split_whitespace()
            .find_map(|word| word.split('/').next()?.parse::<std::net::Ipv4Addr>().ok())
            .context(said)?;
        let other = Client::connect(
            &neighbour,
            hubward_tests::site::BESIDE,
            &["--insecure", "--tap", "lab"],
        )?;
        ours::address_of(&neighbour, "lab", IN_TIME).with_context(|| other.daemon().log())?;
        eventually(IN_TIME, "the page of the other side", || {
            Ok(own
                .is_seen_from(&neighbour, SocketAddr::from((address, 8000)))
                .ok())
        })?;
        let closed = neighbour.within(|| TcpStream::connect_timeout(&(address, 8001).into(), IN_TIME))?;
        let kind = closed.err().map(|error| error.kind());
        ensure!(kind == Some(std::io::ErrorKind::ConnectionRefused), "{kind:?}");
        other.stop()?;
        client.stop()?;
        server.stop()
    });
}

#[test]
fn bytes_through_a_forward_are_the_same_both_ways_also_after_a_reconnection() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let client = connect(&site.user, &["--forward", "7000=10.0.1.26:7000"])?;
        let listener = site.web.within(|| TcpListener::bind("10.0.1.26:7000"))??;
        std::thread::spawn(move || -> std::io::Result<()> {
            for stream in listener.incoming() {
                let stream = stream?;
                std::io::copy(&mut &stream, &mut &stream)?;
            }
            Ok(())
        });
        let there_and_back = || site.user.within(|| echoed(32 * 1024 * 1024))?;
        there_and_back()?;
        let said = client.daemon().line_with("connected: session", IN_TIME)?;
        let name = said.split_whitespace().nth(2).context(said.clone())?;
        let mark = client.daemon().mark();
        administer(&site.nat, HUB, &[&format!("SessionDisconnect {name}")])?;
        // Its address is the former one, of which nothing is said.
        let again = |line: &str| line.contains("connected: session");
        client
            .daemon()
            .line_after(mark, IN_TIME, "the next session", again)?;
        there_and_back()?;
        client.stop()?;
        server.stop()
    });
}

/// Sends `len` bytes through the forward and compares what comes back.
fn echoed(len: usize) -> Result<()> {
    let stream = TcpStream::connect("127.0.0.1:7000")?;
    let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<()> {
            (&stream).write_all(&bytes)?;
            Ok(stream.shutdown(std::net::Shutdown::Write)?)
        });
        let mut back = Vec::with_capacity(len);
        (&stream).read_to_end(&mut back)?;
        sender
            .join()
            .map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        ensure!(
            back == bytes,
            "{} of {len} bytes came back, or others",
            back.len()
        );
        Ok(())
    })
}
