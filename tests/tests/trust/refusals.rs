//! Every way not to get in has a line of its own, a word for programs, and the exit code 3.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{Client, HUB, PASSWORD, USER, vpncmd};
use hubward_tests::process::IN_TIME;
use hubward_tests::site::Site;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::room::{AnyServer, SERVER, refused_with, with_password};

/// Answers every TCP connection with `say`, in clear or in TLS, and then listens until the other side goes.
fn answers(host: &Host, port: u16, tls: bool, say: &'static [u8]) -> Result<()> {
    let certified = rcgen::generate_simple_self_signed(["web".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    let config = Arc::new(config);
    host.within(|| -> Result<()> {
        let listener = TcpListener::bind(SocketAddr::from(([203, 0, 113, 1], port)))?;
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                std::thread::spawn(move || -> Result<()> {
                    if !tls {
                        client.write_all(say)?;
                        while client.read(&mut [0; 4096])? > 0 {}
                        return Ok(());
                    }
                    let mut stream = StreamOwned::new(ServerConnection::new(config)?, client);
                    let _ = stream.read(&mut [0; 4096])?;
                    stream.write_all(say)?;
                    while stream.read(&mut [0; 4096])? > 0 {}
                    Ok(())
                });
            }
        });
        Ok(())
    })?
}

#[test]
fn what_is_no_vpn_server_and_what_is_out_of_reach_are_told_apart() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        answers(
            &site.nat,
            8001,
            true,
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        )?;
        answers(
            &site.nat,
            8002,
            true,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi",
        )?;
        answers(&site.nat, 8003, true, &[0xff; 64])?;
        answers(&site.nat, 8004, false, b"SSH-2.0-OpenSSH_9.2\r\n")?;
        answers(&site.nat, 8005, false, b"")?;
        answers(&site.nat, 8006, true, b"")?;
        site.user.sh("ip route add unreachable 198.51.100.0/24")?;
        for (server, word, words) in [
            ("203.0.113.1:8001", "not_a_vpn_server", "HTTP status 404"),
            (
                "203.0.113.1:8002",
                "not_a_vpn_server",
                "does not answer like a VPN server",
            ),
            (
                "203.0.113.1:8003",
                "not_a_vpn_server",
                "does not answer like a VPN server",
            ),
            ("203.0.113.1:8004", "not_a_vpn_server", "no TLS"),
            ("203.0.113.1:8005", "timed_out", "did not answer within"),
            ("203.0.113.1:8006", "timed_out", "did not answer within"),
            ("203.0.113.1:8007", "connection_refused", "cannot reach"),
            ("198.51.100.1", "no_route", "cannot reach"),
            (
                "nowhere.invalid",
                "cannot_resolve",
                "cannot find the address of nowhere.invalid",
            ),
        ] {
            let client = with_password(&site.user, server, &["--json", "--insecure"])?;
            refused_with(client, word, words).with_context(|| server.to_owned())?;
        }
        Ok(())
    });
}

/// The refusals of a server that knows its users.
fn servers_refusals_are_told_apart(site: &Site, server: &AnyServer) -> Result<()> {
    let attempt = |hub: &str, user: &str, password: &str, word: &str, words: &str| -> Result<()> {
        let options = ["--rootless", "--json", "--insecure"];
        let client = Client::connect_as(&site.user, SERVER, hub, user, password, &options)?;
        refused_with(client, word, words).with_context(|| format!("{user} on {hub}"))
    };
    let right = |word: &str, words: &str| attempt(HUB, USER, PASSWORD, word, words);
    attempt("nowhere", USER, PASSWORD, "no_such_hub", "Check --hub")?;
    attempt(
        HUB,
        USER,
        "not-it",
        "wrong_credentials",
        "Check --user and the password",
    )?;
    attempt(HUB, "nobody", PASSWORD, "wrong_credentials", "Check --user")?;

    server.shape(
        site,
        HUB,
        &[&format!("UserPolicySet {USER} /NAME:Access /VALUE:no")],
    )?;
    right("denied", "policy says no")?;
    server.shape(
        site,
        HUB,
        &[&format!("UserPolicySet {USER} /NAME:Access /VALUE:yes")],
    )?;

    expires(site, server, "2020/01/01 00:00:00")?;
    right("denied", "may have expired")?;
    expires(site, server, "2040/01/01 00:00:00")?;

    server.shape(
        site,
        HUB,
        &[
            &format!("UserPolicySet {USER} /NAME:NoBridge /VALUE:yes"),
            &format!("UserPolicySet {USER} /NAME:NoRouting /VALUE:yes"),
        ],
    )?;
    let bridging = Client::connect(
        &site.user,
        SERVER,
        &["--json", "--insecure", "--router", "--tap", "lab"],
    )?;
    refused_with(bridging, "denied_mode", "--bridge")?;

    let first = with_password(&site.user, SERVER, &["--insecure"])?;
    first.daemon().line_with("connected: session", IN_TIME)?;
    server.shape(
        site,
        HUB,
        &[&format!("UserPolicySet {USER} /NAME:MultiLogins /VALUE:1")],
    )?;
    right("too_many_sessions", "End another session")?;
    server.shape(
        site,
        HUB,
        &[
            &format!("UserPolicySet {USER} /NAME:MultiLogins /VALUE:0"),
            "SetMaxSession 1",
        ],
    )?;
    right("server_full", "Try again later")?;
    server.shape(site, HUB, &["SetMaxSession 0"])?;
    first.stop()?;

    server.shape(
        site,
        HUB,
        &["AcAdd deny /PRIORITY:10 /IP:203.0.113.10/255.255.255.255"],
    )?;
    right("denied_address", "from where this user may come")?;
    server.shape(site, HUB, &["AcDel 1", "Offline"])?;
    right("hub_offline", "put the hub online")
}

/// Sets the user's last day; the moment has a blank in it, so it has to be one argument.
fn expires(site: &Site, server: &AnyServer, moment: &str) -> Result<()> {
    let (hub, when) = (format!("/ADMINHUB:{HUB}"), format!("/EXPIRES:{moment}"));
    let arguments = [
        "localhost",
        "/SERVER",
        &hub,
        "/CMD",
        "UserExpiresSet",
        USER,
        &when,
    ];
    let answer = match server {
        AnyServer::Ours(_) => vpncmd(&site.nat, &arguments),
        AnyServer::Stock(stock, _) => stock.vpncmd(&site.nat, &arguments),
    };
    answer?.success().map(drop)
}

#[test]
fn refusals_of_our_server_are_told_apart() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        servers_refusals_are_told_apart(&site, &server)
    });
}

#[test]
fn refusals_of_the_stock_server_are_told_apart() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = AnyServer::stock(lab, stock)?;
        servers_refusals_are_told_apart(&site, &server)
    });
}

#[test]
fn a_refusal_that_can_pass_is_said_once_more_before_each_new_try() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let client = with_password(
            &site.user,
            "203.0.113.1:8007",
            &["--json", "--insecure", "--keep-trying"],
        )?;
        let retrying = |line: &str| line.contains("\"retrying\"");
        let line = client.daemon().line_after(0, IN_TIME, "another try", retrying)?;
        ensure!(
            line.contains("\"reason\":\"connection_refused\"") && line.contains("\"message\":"),
            "{line}"
        );
        client.kill();
        Ok(())
    });
}
