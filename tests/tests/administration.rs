//! The administration of our server, by our tool and by the stock one.

use std::fs;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab::{self, Lab};
use hubward_tests::language::{self, PASSWORD};
use hubward_tests::ours::{Server, administer};
use hubward_tests::site::Site;

fn with_a_password(lab: &Lab) -> Result<(Site, Server)> {
    let site = Site::new(lab)?;
    let server = Server::start(&site.nat, &[])?;
    administer(&site.nat, "", &[&format!("ServerPasswordSet {PASSWORD}")])?;
    Ok((site, server))
}

#[test]
fn stock_tool_administers_our_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = with_a_password(lab)?;
        language::is_spoken_by_the_stock_tool(stock, &site.user)?;
        server.stop()
    });
}

#[test]
fn our_tool_administers_our_server() {
    lab::run(|lab| {
        let (site, server) = with_a_password(lab)?;
        language::is_spoken_by_our_tool(&site.user)?;
        server.stop()
    });
}

/// The stock tool fetches log files in pieces, and certificates and keys as it would from its own server.
#[test]
fn stock_tool_fetches_logs_and_changes_the_certificate() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = with_a_password(lab)?;
        let ask = |command: &str| {
            let said = stock.administer(
                &site.user,
                "203.0.113.1:443",
                &[&format!("/PASSWORD:{PASSWORD}")],
                command,
            )?;
            ensure!(said.code == 0, "{command}: {} {}", said.code, said.stdout);
            Ok(said.stdout)
        };
        let list = ask("LogFileList")?;
        let name = list
            .split(|c: char| c.is_whitespace() || c == '|')
            .find(|word| word.starts_with("server_log/vpn_"))
            .context("no log of the server")?;
        let saved = "/run/lab/fetched.log";
        ask(&format!("LogFileGet {name} /SAVEPATH:{saved}"))?;
        let fetched = fs::read_to_string(saved)?;
        ensure!(fetched.contains("Administration"), "the log reads:\n{fetched}");

        let (cert, key) = ("/run/lab/new.crt", "/run/lab/new.key");
        // What begins with a slash is the name of a parameter to the stock tool.
        let relative = |path: &str| format!("{}{path}", "../".repeat(16));
        ask("ServerCertRegenerate vpn.example")?;
        ask(&format!("ServerCertGet {}", relative(cert)))?;
        ask(&format!("ServerKeyGet {}", relative(key)))?;
        let (first, first_key) = (fs::read_to_string(cert)?, fs::read_to_string(key)?);
        ensure!(first_key.contains("PRIVATE KEY"), "no key: {first_key}");
        ask("ServerCertRegenerate other.example")?;
        ask(&format!("ServerCertSet /LOADCERT:{cert} /LOADKEY:{key}"))?;
        ask(&format!("ServerCertGet {}", relative(cert)))?;
        ensure!(fs::read_to_string(cert)? == first, "another certificate is shown");
        server.stop()
    });
}
