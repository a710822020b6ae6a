//! Configuration files between the stock server and ours.

use anyhow::{Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, Server, program};
use hubward_tests::process::{self, Daemon, IN_TIME, eventually};
use hubward_tests::sources::top;
use hubward_tests::stock::Stock;

/// The administrator's password in the file.
const ADMIN: &str = "/PASSWORD:admin1";

/// The ports of the file.
const PORTS: [u16; 5] = [443, 992, 1194, 5555, 8888];

/// What the stock tool is asked about a server, and about its hub HUB1.
const OF_SERVER: [&str; 6] = [
    "HubList",
    "ListenerList",
    "BridgeList",
    "RouterList",
    "KeepGet",
    "SyslogGet",
];
const OF_HUB: [&str; 18] = [
    "UserList",
    "UserGet pwuser",
    "UserGet signed",
    "GroupList",
    "GroupGet staff",
    "AccessList",
    "AcList",
    "CAList",
    "CrlList",
    "CascadeList",
    "CascadeGet link1",
    "CascadeGet link2",
    "ExtOptionList",
    "AdminOptionList",
    "SecureNatHostGet",
    "NatGet",
    "DhcpGet",
    "LogGet",
];

fn rich() -> String {
    let file = top().join("protocol/tests/data/config/vpn_server.rich.config");
    file.display().to_string()
}

/// A path as the stock tool takes it: a word that begins with a slash is the name of a parameter to it.
fn from_here(path: &str) -> String {
    format!("../../../../../../../../..{path}")
}

/// A stock server that begins with this configuration. It needs a comment to begin with, which takes up the byte order mark:
/// without one it sees no root, and begins anew.
fn stock_with(stock: &Stock, host: &Host, file: &str) -> Result<Daemon> {
    host.sh(&format!(
        "mkdir -p /var/lib/softether && {{ printf '\\357\\273\\277# \\r\\n'; tail -c +4 {file}; }} >/var/lib/softether/vpn_server.config"
    ))?;
    let daemon = stock.server(host)?;
    // The list of ports says of each whether it is open.
    for port in PORTS {
        host.listens(port, IN_TIME)?;
    }
    Ok(daemon)
}

/// Everything that the stock tool says about the server on a host, without what changes by itself.
fn described(stock: &Stock, host: &Host) -> Result<Vec<(String, String)>> {
    let server = OF_SERVER.iter().map(|command| (vec![ADMIN, "/CSV"], *command));
    let hub = OF_HUB
        .iter()
        .map(|command| (vec![ADMIN, "/CSV", "/ADMINHUB:HUB1"], *command));
    server
        .chain(hub)
        .map(|(options, command)| {
            let said = stock
                .administer(host, "localhost:443", &options, command)?
                .success()?;
            let lines = said.lines().filter(|line| !changes_by_itself(command, line));
            let lines: Vec<_> = lines.map(|line| without_numbers(command, line)).collect();
            Ok((command.to_owned(), lines.join("\n")))
        })
        .collect()
}

/// Times of the server itself and names of the moment.
fn changes_by_itself(command: &str, line: &str) -> bool {
    line.contains("Hash Value")
        || command == "CAList" && line.bytes().all(|byte| byte.is_ascii_digit())
        || command == "CAList" && line.starts_with("ID,")
        || command == "KeepGet" && line.starts_with("Current Status")
}

/// The columns of a list of hubs that count and tell of the last login, and identifiers that are given at each start.
fn without_numbers(command: &str, line: &str) -> String {
    let keep: &[usize] = match command {
        "HubList" => &[0, 1, 2, 3, 4],
        // The servers dial, open devices and start switches; how far one has come when it is asked is chance.
        "CascadeList" => &[0, 3, 4],
        "BridgeList" => &[0, 1, 2],
        "RouterList" => &[0, 2, 3],
        "CrlList" => &[1],
        // Behind the identifier, the text has commas of its own.
        "AccessList" => &[0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13],
        _ => return line.to_owned(),
    };
    let columns: Vec<_> = line.split(',').collect();
    keep.iter()
        .filter_map(|index| columns.get(*index).copied())
        .collect::<Vec<_>>()
        .join(",")
}

#[test]
fn a_stock_server_loads_what_we_write_as_it_loads_the_original() {
    lab::run_with_stock(|lab, stock| {
        let [original, ours, second] = ["original", "ours", "second"].map(|name| lab.host(name));
        let (original, ours, second) = (original?, ours?, second?);
        let import = process::run(ours.command(program("vpnserver")?).args(["import", &rich()]))?;
        ensure!(
            import.contains("taken  hub HUB1: 3 access rules, 7 users"),
            "{import}"
        );
        let server = Server::start(&ours, &[])?;
        let written = lab.folder().join("written.config").display().to_string();
        stock
            .administer(
                &ours,
                "localhost:443",
                &[ADMIN],
                &format!("ConfigGet {}", from_here(&written)),
            )?
            .success()?;
        server.stop()?;

        let _one = stock_with(stock, &original, &rich())?;
        let _two = stock_with(stock, &second, &written)?;
        let expected = described(stock, &original)?;
        for ((command, expected), (_, found)) in expected.into_iter().zip(described(stock, &second)?) {
            ensure!(
                expected == found,
                "{command}: the original says\n{expected}\nours says\n{found}"
            );
        }
        Ok(())
    });
}

/// Our server, with the file that the stock tool gives it while it runs.
fn with_the_file(lab: &Lab, stock: &Stock) -> Result<(Host, Server)> {
    let host = lab.host("server")?;
    let server = Server::start(&host, &[])?;
    ours::administer(
        &host,
        "",
        &["ServerPasswordSet first", "HubCreate GONE /PASSWORD:none"],
    )?;
    stock
        .administer(
            &host,
            "localhost:443",
            &["/PASSWORD:first"],
            &format!("ConfigSet {}", from_here(&rich())),
        )?
        .success()?;
    Ok((host, server))
}

#[test]
fn a_file_is_taken_while_the_server_runs_and_the_former_state_comes_back() {
    lab::run_with_stock(|lab, stock| {
        let (host, server) = with_the_file(lab, stock)?;
        let hubs = stock
            .administer(&host, "localhost:443", &[ADMIN, "/CSV"], "HubList")?
            .success()?;
        ensure!(hubs.contains("HUB3") && !hubs.contains("GONE"), "{hubs}");
        // The port that only the file has is open.
        host.listens(8888, IN_TIME)?;

        let backups = process::run(host.command(program("vpnserver")?).args(["backup", "list"]))?;
        let newest = backups.lines().next().unwrap_or_default();
        ensure!(newest.contains("hubs 1, users 0"), "{backups}");
        let number = newest.split_whitespace().next().unwrap_or_default();
        ours::administer(&host, "", &[&format!("BackupRestore {number}")])?;
        let hubs = stock
            .administer(&host, "localhost:443", &["/PASSWORD:first", "/CSV"], "HubList")?
            .success()?;
        ensure!(hubs.contains("GONE") && !hubs.contains("HUB3"), "{hubs}");
        server.stop()
    });
}

#[test]
fn a_running_server_follows_an_import_by_another_process() {
    lab::run(|lab| {
        let host = lab.host("server")?;
        let server = Server::start(&host, &[])?;
        process::run(host.command(program("vpnserver")?).args(["import", &rich()]))?;
        eventually(IN_TIME, "the hubs of the file", || {
            let hubs = ours::administer(&host, "", &["HubList"])?;
            Ok(hubs.contains("HUB3").then_some(()))
        })?;
        server.stop()
    });
}

#[test]
fn a_broken_file_is_refused_with_line_and_key_and_exit_code_2() {
    lab::run(|lab| {
        let host = lab.host("server")?;
        let broken = lab.folder().join("broken.config").display().to_string();
        host.sh(&format!(
            "sed '48s/uint Port 992/uint Port 99200/' {} >{broken}",
            rich()
        ))?;
        let answer = process::answer(host.command(program("vpnserver")?).args(["import", &broken]))?;
        ensure!(answer.code == 2, "{answer:?}");
        ensure!(
            answer
                .stderr
                .contains("line 48: root/ListenerList/Listener1/Port: must be a port"),
            "{}",
            answer.stderr
        );
        Ok(())
    });
}
