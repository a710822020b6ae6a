//! Published hosts of a group, from a user's login to the user's leaving the group, in both modes of SecureNAT.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client, HUB, Server, USER, administer};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};

/// Where members find the page, and the service that says everything twice.
const PAGE: &str = "192.168.30.1:8080";
const ECHO: &str = "192.168.30.1:7000";
/// Long enough for an answer that comes, short enough to wait for one that does not.
const SHORT: Duration = Duration::from_secs(2);

#[test]
fn members_of_a_group_come_and_go_in_user_mode() {
    lab::run(|lab| come_and_go(lab, "user"));
}

#[test]
fn members_of_a_group_come_and_go_in_kernel_mode() {
    lab::run(|lab| come_and_go(lab, "kernel"));
}

fn come_and_go(lab: &Lab, mode: &str) -> Result<()> {
    let (site, server) = Site::with_our_server(lab, &["--nat-mode", mode])?;
    echo(&site)?;
    administer(&site.nat, HUB, &["GroupCreate staff /REALNAME:none /NOTE:none"])?;
    let group = format!("/GROUP:{HUB}/staff");
    administer(
        &site.nat,
        "",
        &[
            &format!(
                "DnatAdd page /PROTO:tcp /DPORT:8080 /TO:10.0.1.26:80 {group} /NAME:page.private /CHECK:tcp"
            ),
            &format!("DnatAdd echo /PROTO:tcp /DPORT:7000 /TO:10.0.1.26:7 {group}"),
        ],
    )?;
    let client = Client::connect(&site.user, OUTSIDE, &["--tap", "lab", "--insecure"])?;
    ours::address_of(&site.user, "lab", IN_TIME).with_context(|| client.daemon().log())?;
    eventually(IN_TIME, "the private page without a rule", || {
        Ok(site.user_sees_the_private_page().ok())
    })?;
    ensure!(connect(&site, PAGE).is_err(), "who is in no group is let in");

    administer(&site.nat, HUB, &[&format!("GroupJoin staff /USERNAME:{USER}")])?;
    site.page
        .is_seen_from(&site.user, PAGE.parse()?)
        .context("a member is let in by the time the change is acknowledged")?;
    let address = resolved(&site, "Page.private")?;
    ensure!(address == [192, 168, 30, 1], "page.private is {address:?}");
    let mut open = connect(&site, ECHO)?;
    ensure!(says(&mut open), "the private host is silent");

    administer(&site.nat, HUB, &[&format!("GroupUnjoin {USER}")])?;
    ensure!(
        !says(&mut open),
        "an open connection of somebody who left lives on"
    );
    ensure!(connect(&site, PAGE).is_err(), "who left the group is let in");

    administer(&site.nat, HUB, &[&format!("GroupJoin staff /USERNAME:{USER}")])?;
    site.page.is_seen_from(&site.user, PAGE.parse()?)?;
    tells_what_it_carries(&site, &server)?;
    client.stop()?;
    if mode == "kernel" {
        eventually(IN_TIME, "the members to be gone with their session", || {
            let table = site.nat.sh("nft list ruleset")?;
            Ok((!table.contains("jump pass.group-0 }")).then_some(()))
        })?;
    }
    let log = server.stop_and_log()?;
    ensure!(
        !site.nat.sh("nft list ruleset")?.contains("hubward"),
        "rules are left behind"
    );
    ensure!(!log.contains("cannot start"), "{log}");
    Ok(())
}

/// What `DnatList` says of the page: that it was used, and that it answers.
fn tells_what_it_carries(site: &Site, server: &Server) -> Result<()> {
    eventually(IN_TIME, "a healthy page in DnatList", || {
        let list = administer(&site.nat, "", &["DnatList --json"])?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        let rules = list["DnatList"].as_array().context("no list")?;
        let page = rules
            .iter()
            .find(|rule| rule["Name_str"] == "page")
            .context("no page")?;
        let count = |key: &str| page[key].as_u64().unwrap_or(0);
        ensure!(page["Active_bool"] == true, "{page}");
        ensure!(count("Flows_u64") == 2, "{page}");
        // A request and a page, twice.
        ensure!(count("Packets_u64") >= 4 && count("Bytes_u64") > 200, "{page}");
        Ok((page["Health_utf"] == "up").then_some(()))
    })?;
    server.daemon().line_with("published host answers", IN_TIME)?;
    Ok(())
}

#[test]
fn a_rule_that_clashes_is_refused_and_the_other_is_named() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "kernel"])?;
        administer(
            &site.nat,
            "",
            &["DnatAdd web /PROTO:tcp /DPORT:80-90 /TO:10.0.1.26"],
        )?;
        site.page.is_seen_from(&site.user, site.published())?;
        let refused = |line: &str| -> Result<String> {
            let mut words = vec!["localhost", "/SERVER", "/CMD"];
            words.extend(line.split_whitespace());
            let answer = ours::vpncmd(&site.nat, &words)?;
            ensure!(answer.code == 38, "{line} ends with {}", answer.code);
            Ok(answer.stdout + &answer.stderr)
        };
        let said = refused("DnatAdd other /PROTO:tcp+udp /DPORT:85 /TO:10.0.1.27:85")?;
        ensure!(said.contains("web: tcp 80-90 -> 10.0.1.26"), "{said}");
        let said = refused("DnatAdd mine /PROTO:tcp /DPORT:443 /TO:10.0.1.26:443")?;
        ensure!(said.contains("port 443 is where this server listens"), "{said}");
        administer(&site.nat, "", &["DnatDisable web"])?;
        ensure!(
            site.user
                .within(|| TcpStream::connect_timeout(&site.published(), SHORT))?
                .is_err(),
            "what is disabled is published"
        );
        administer(
            &site.nat,
            "",
            &["DnatAdd other /PROTO:tcp /DPORT:85 /TO:10.0.1.26:80"],
        )?;
        let said = refused("DnatEnable web")?;
        ensure!(said.contains("other: tcp 85 -> 10.0.1.26:80"), "{said}");
        administer(&site.nat, "", &["DnatSet other /DPORT:95", "DnatEnable web"])?;
        site.page.is_seen_from(&site.user, site.published())?;
        site.page
            .is_seen_from(&site.user, ([203, 0, 113, 1], 95).into())?;
        server.stop()
    });
}

#[test]
fn a_killed_server_is_followed_by_one_that_publishes_the_same() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "kernel"])?;
        administer(
            &site.nat,
            "",
            &["DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80 /DEST:203.0.113.1"],
        )?;
        site.page.is_seen_from(&site.user, site.published())?;
        server.kill();
        site.page
            .is_seen_from(&site.user, site.published())
            .context("the kernel goes on by itself")?;
        // In the meantime the address goes away, and with it nothing of ours.
        site.nat.sh("ip addr del 203.0.113.1/24 dev wan")?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        server
            .daemon()
            .line_with("no address of this machine now", IN_TIME)
            .context("the address that is gone is named")?;
        site.nat.sh("ip addr add 203.0.113.1/24 dev wan")?;
        site.page.is_seen_from(&site.user, site.published())?;
        server.stop()?;
        ensure!(
            !site.nat.sh("nft list ruleset")?.contains("hubward"),
            "rules are left behind"
        );
        Ok(())
    });
}

/// The private host says everything twice, on port 7.
fn echo(site: &Site) -> Result<()> {
    let listener = site.web.within(|| TcpListener::bind("10.0.1.26:7"))??;
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut buffer = [0; 64];
                while let length @ 1.. = client.read(&mut buffer)? {
                    client.write_all(&buffer[..length])?;
                }
                Ok(())
            });
        }
    });
    Ok(())
}

fn connect(site: &Site, to: &str) -> Result<TcpStream> {
    let to: SocketAddr = to.parse()?;
    let stream = site.user.within(|| TcpStream::connect_timeout(&to, SHORT))??;
    stream.set_read_timeout(Some(SHORT))?;
    Ok(stream)
}

/// Whether what is said comes back.
fn says(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"hello"
}

/// The address that the hub's name service has for a name.
fn resolved(site: &Site, name: &str) -> Result<[u8; 4]> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    let socket = site.user.within(|| UdpSocket::bind("0.0.0.0:0"))??;
    socket.set_read_timeout(Some(SHORT))?;
    eventually(IN_TIME, "an answer of the name service", || {
        socket.send_to(&question, "192.168.30.1:53")?;
        let mut answer = [0; 512];
        let Ok((length, _)) = socket.recv_from(&mut answer) else {
            return Ok(None);
        };
        ensure!(answer[7] == 1, "not one answer: {:?}", &answer[..length]);
        Ok(answer[length - 4..length].try_into().ok())
    })
}
