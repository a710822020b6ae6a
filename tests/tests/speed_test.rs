//! The speed test of vpncmd with that of the stock tool, either way.

use std::process::Command;

use anyhow::{Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours;
use hubward_tests::process::{self, Daemon, IN_TIME, eventually};
use hubward_tests::stock::Stock;

const PORT: u16 = 9821;

/// A start of one of the two tools in the mode without a server.
fn tool(host: &Host, stock: Option<&Stock>) -> Result<Command> {
    let mut command = match stock {
        Some(stock) => stock.command_in(host, "/run/lab".as_ref(), "60"),
        None => host.command(ours::program("vpncmd")?),
    };
    command.args(["/TOOLS", "/CMD"]);
    Ok(command)
}

/// What the table says of a direction.
fn volume<'a>(said: &'a str, direction: &str) -> &'a str {
    let item = format!("Communication Data Volume in {direction} Direction");
    let row = said.lines().find(|line| line.starts_with(&item));
    row.and_then(|row| row.split('|').nth(1))
        .unwrap_or_default()
        .trim()
}

fn measures(host: &Host, server: Option<&Stock>, client: Option<&Stock>) -> Result<()> {
    let mut serve = tool(host, server)?;
    let daemon = Daemon::start("TrafficServer", serve.args(["TrafficServer", "/NOHUP:yes"]))?;
    host.listens(PORT, IN_TIME)?;
    for (kind, rows) in [
        ("download", &["Download"][..]),
        ("upload", &["Upload"]),
        ("full", &["Download", "Upload"]),
    ] {
        // In one second of a busy machine, nothing may get through.
        eventually(IN_TIME, &format!("traffic of a {kind}"), || {
            let mut measure = tool(host, client)?;
            measure.args(["TrafficClient", "127.0.0.1", "/NUMTCP:2", "/SPAN:1"]);
            let said = process::answer(measure.arg(format!("/TYPE:{kind}")))?.success()?;
            let mut moved = Vec::new();
            for direction in ["Download", "Upload"] {
                let volume = volume(&said, direction);
                ensure!(!volume.is_empty(), "{kind}: {said}");
                if volume != "0 Bytes" {
                    moved.push(direction);
                }
            }
            let stray = moved.iter().find(|direction| !rows.contains(direction));
            ensure!(stray.is_none(), "a {kind} that moves more: {said}");
            Ok((moved == rows).then_some(()))
        })?;
    }
    daemon.kill();
    Ok(())
}

#[test]
fn stock_traffic_client_measures_with_our_server() {
    lab::run_with_stock(|lab, stock| measures(&lab.host("host")?, None, Some(stock)));
}

#[test]
fn our_traffic_client_measures_with_the_stock_server() {
    lab::run_with_stock(|lab, stock| measures(&lab.host("host")?, Some(stock), None));
}

#[test]
fn our_traffic_server_ends_with_its_input_and_needs_a_free_port() {
    lab::run(|lab| {
        let host = lab.host("host")?;
        let serve = || tool(&host, None).map(|mut command| process::answer(command.arg("TrafficServer")));
        let ended = serve()??;
        ensure!(ended.code == 0, "{ended:?}");
        let _taken = host.within(|| std::net::TcpListener::bind(("0.0.0.0", PORT)))??;
        let refused = serve()??;
        ensure!(
            refused.code == 23 && refused.stdout.contains("cannot be opened"),
            "{refused:?}"
        );
        Ok(())
    });
}
