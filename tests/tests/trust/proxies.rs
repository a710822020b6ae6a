//! The way out through a proxy: the client's host has no other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Client};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::proxy::{Manner, NAME, Proxy};
use hubward_tests::site::Site;

use super::room::{AnyServer, gets_in, refused_with, with_password};

/// The proxy's host, as the host behind it addresses it.
const GATE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const VPN: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));

/// A host that reaches the proxy's host, the site's user, and nothing else.
fn behind(lab: &Lab, site: &Site) -> Result<Host> {
    let host = lab.host("behind")?;
    lab.cable(
        (&site.user, "eth1", "192.0.2.1/24"),
        (&host, "eth0", "192.0.2.2/24"),
    )?;
    Ok(host)
}

fn start(site: &Site, port: u16, login: Option<(&str, &str)>, manner: Manner) -> Result<Proxy> {
    Proxy::start(&site.user, SocketAddr::new(GATE.into(), port), VPN, login, manner)
}

/// A session of several connections by way of the proxy comes back after it was cut, carries frames, and leaves nothing behind.
fn carries_a_whole_session(lab: &Lab, site: &Site, server: &AnyServer) -> Result<()> {
    let host = behind(lab, site)?;
    let proxy = start(site, 3128, Some(("alice", "Ume-1")), Manner::Serves)?;
    let password = ours::password_file("Ume-1")?;
    let password = password.to_str().context("path")?;
    for scheme in ["http", "socks5"] {
        let before = host.sh("ip -brief address; ip route; ip rule")?;
        let asked = proxy.asked().len();
        let url = format!("{scheme}://alice@192.0.2.1:3128");
        let options = [
            "--tap",
            "lab",
            "--insecure",
            "--connections",
            "4",
            "--proxy",
            &url,
            "--proxy-auth-file",
            password,
        ];
        let client = Client::connect(&host, NAME, &options)?;
        ours::address_of(&host, "lab", IN_TIME).with_context(|| client.daemon().log())?;
        eventually(IN_TIME, "the private page", || {
            Ok(site.page.is_seen_from(&host, site.private()).ok())
        })
        .with_context(|| client.daemon().log())?;
        eventually(IN_TIME, "four connections by the proxy", || {
            Ok((proxy.asked().len() >= asked + 4).then_some(()))
        })?;
        ensure!(
            proxy.asked().iter().all(|asked| asked == "vpn.behind.proxy:443"),
            "{:?}",
            proxy.asked()
        );

        let mark = client.daemon().mark();
        proxy.cut();
        client
            .daemon()
            .line_after(mark, IN_TIME, "the session going on", |line| {
                line.contains("the session goes on") || line.contains("connected: session")
            })?;
        eventually(IN_TIME, "the private page again", || {
            Ok(site.page.is_seen_from(&host, site.private()).ok())
        })
        .with_context(|| client.daemon().log())?;
        server.end_session(site)?;
        client
            .daemon()
            .line_after(mark, IN_TIME, "another session", |line| {
                line.contains("connected: session")
            })?;
        ensure!(
            !client.daemon().log().contains("Ume-1"),
            "the proxy's password is shown"
        );
        client.stop()?;
        ensure!(
            host.sh("ip -brief address; ip route; ip rule")? == before,
            "something was left behind"
        );
    }
    Ok(())
}

#[test]
fn a_whole_session_with_our_server_goes_by_the_proxy() {
    lab::run(|lab| {
        let (site, server) = AnyServer::ours(lab)?;
        carries_a_whole_session(lab, &site, &server)
    });
}

#[test]
fn a_whole_session_with_the_stock_server_goes_by_the_proxy() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = AnyServer::stock(lab, stock)?;
        carries_a_whole_session(lab, &site, &server)
    });
}

#[test]
fn a_socks4_proxy_and_one_from_the_environment_are_taken_when_asked_for() {
    lab::run(|lab| {
        let (site, _server) = AnyServer::ours(lab)?;
        let host = behind(lab, &site)?;
        let proxy = start(&site, 1080, None, Manner::Serves)?;
        gets_in(with_password(
            &host,
            NAME,
            &["--insecure", "--proxy", "socks4://192.0.2.1"],
        )?)?;
        gets_in(with_password(
            &host,
            "203.0.113.1",
            &["--insecure", "--proxy", "socks4://192.0.2.1"],
        )?)?;
        ensure!(
            proxy.asked() == ["vpn.behind.proxy:443", "203.0.113.1:443"],
            "{:?}",
            proxy.asked()
        );

        let environment = |proxy: &[&str]| -> Result<process::Answer> {
            let mut command = super::room::connect(&host, NAME, &["--insecure", "--anonymous", "--json"])?;
            command.args(proxy).env("https_proxy", "http://192.0.2.1:1080");
            process::answer(&mut command)
        };
        let silent = environment(&[])?;
        ensure!(
            silent.stdout.contains("cannot_resolve"),
            "a variable was obeyed: {silent:?}"
        );
        let asked = environment(&["--proxy", "env"])?;
        // By the proxy it gets to the server, which knows no such user.
        ensure!(asked.stdout.contains("wrong_credentials"), "{asked:?}");
        ensure!(proxy.asked().len() == 3, "{:?}", proxy.asked());
        Ok(())
    });
}

#[test]
fn what_stands_between_a_client_and_its_proxy_is_told_apart() {
    lab::run(|lab| {
        let (site, _server) = AnyServer::ours(lab)?;
        let host = behind(lab, &site)?;
        let _proxies = [
            start(&site, 3001, Some(("alice", "Ume-1")), Manner::Serves)?,
            start(&site, 3002, None, Manner::Forbids)?,
            start(&site, 3003, None, Manner::Garbage)?,
            start(&site, 3004, None, Manner::Endless)?,
            start(&site, 3005, None, Manner::Stalls)?,
        ];
        let wrong = ours::password_file("Ume-2")?;
        let wrong = wrong.to_str().context("path")?;
        for (proxy, word, words) in [
            (
                "http://192.0.2.1:3001",
                "proxy_credentials",
                "wants a user name and a password",
            ),
            (
                "http://alice@192.0.2.1:3001",
                "proxy_credentials",
                "does not take this user name",
            ),
            (
                "socks5://192.0.2.1:3001",
                "proxy_credentials",
                "wants a user name and a password",
            ),
            (
                "socks5://alice@192.0.2.1:3001",
                "proxy_credentials",
                "does not take this user name",
            ),
            (
                "socks4://bob@192.0.2.1:3001",
                "proxy_credentials",
                "does not take this user name",
            ),
            ("http://192.0.2.1:3002", "proxy_refused", "HTTP status 403"),
            (
                "socks5://192.0.2.1:3002",
                "proxy_refused",
                "not allowed by its rules",
            ),
            (
                "http://192.0.2.1:3003",
                "not_a_proxy",
                "does not answer like a proxy",
            ),
            (
                "socks5://192.0.2.1:3003",
                "not_a_proxy",
                "does not answer like a proxy",
            ),
            ("http://192.0.2.1:3004", "not_a_proxy", "too long"),
            (
                "http://192.0.2.1:3005",
                "proxy_unreachable",
                "did not answer within 30 seconds",
            ),
            ("http://192.0.2.1:3006", "proxy_unreachable", "cannot be reached"),
            (
                "http://nowhere.invalid:3006",
                "proxy_unreachable",
                "has no address",
            ),
        ] {
            let options = [
                "--insecure",
                "--json",
                "--proxy",
                proxy,
                "--proxy-auth-file",
                wrong,
            ];
            let client = with_password(&host, NAME, &options)?;
            refused_with(client, word, words).with_context(|| proxy.to_owned())?;
        }
        Ok(())
    });
}
