//! What survives `kill -9`, and what must not survive a stop.

use anyhow::ensure;
use hubward_tests::lab;
use hubward_tests::ours::{self, HUB, Server, USER, administer};
use hubward_tests::page::fetch;
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::site::Site;

#[test]
fn acknowledged_changes_survive_kill_9() {
    lab::run(|lab| {
        let (site, mut server) = Site::with_our_server(lab, &[])?;
        for round in 0..5 {
            let user = format!("user{round}");
            administer(
                &site.nat,
                HUB,
                &[&format!(
                    "UserCreate {user} /GROUP:none /REALNAME:none /NOTE:none"
                )],
            )?;
            server.kill();
            server = Server::start(&site.nat, &[])?;
            let users = administer(&site.nat, HUB, &["UserList"])?;
            for kept in [USER, &user, "user0"] {
                ensure!(
                    users.contains(kept),
                    "{kept} is gone after kill -9 in round {round}:\n{users}"
                );
            }
        }
        server.stop()
    });
}

#[test]
fn published_hosts_come_back_after_kill_9_and_vanish_at_a_stop() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &["--nat-mode", "kernel"])?;
        site.nat
            .sh("nft add table inet neighbour; nft add chain inet neighbour theirs")?;
        let theirs = site.nat.sh("nft list table inet neighbour")?;
        administer(
            &site.nat,
            HUB,
            &["DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80"],
        )?;
        site.page.is_seen_from(&site.user, site.published())?;
        let rules = site.nat.sh("nft list ruleset")?;
        ensure!(rules.contains("web"), "no comment names the rule:\n{rules}");

        server.kill();
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        let seen = || Ok(site.page.is_seen_from(&site.user, site.published()).ok());
        eventually(IN_TIME, "the published page", seen)?;
        let again = site.nat.sh("nft list ruleset")?;
        let count = |text: &str| text.matches("10.0.1.26").count();
        ensure!(
            count(&rules) == count(&again),
            "the rule is there twice:\n{again}"
        );

        server.stop()?;
        ensure!(
            fetch(&site.user, site.published()).is_err(),
            "the host is published without a server"
        );
        ensure!(
            site.nat.sh("nft list table inet neighbour")? == theirs,
            "another table was touched"
        );
        let tables = site.nat.sh("nft list tables")?;
        ensure!(
            tables.trim() == "table inet neighbour",
            "tables were left behind: {tables}"
        );
        Ok(())
    });
}

#[test]
fn stopped_server_leaves_no_device_table_or_setting() {
    lab::run(|lab| {
        let site = Site::new(lab)?;
        let state = || {
            site.nat
                .sh("ip -brief link; nft list tables; ip -4 route; sysctl net.ipv4.ip_forward")
        };
        let before = state()?;
        let server = Server::start(&site.nat, &[])?;
        ours::set_up(&site.nat)?;
        administer(
            &site.nat,
            "",
            &[&format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes")],
        )?;
        let bridge = site.nat.sh("ip -brief link show tap_lab")?;
        ensure!(bridge.contains("UP"), "the bridge's device is down: {bridge}");
        let redirects = site
            .nat
            .sh("cat /proc/sys/net/ipv4/conf/tap_lab/send_redirects")?;
        ensure!(
            redirects.trim() == "0",
            "send_redirects of the bridge's device is {redirects}"
        );
        server.stop()?;
        let after = state()?;
        ensure!(before == after, "before:\n{before}\nafter:\n{after}");
        Ok(())
    });
}

/// Keys are in the memory of the server, and what passwords could be guessed from (docs/adr/0009).
#[test]
fn a_running_server_may_write_no_core_dump() {
    lab::run(|lab| {
        let host = lab.host("server")?;
        let server = Server::start(&host, &[])?;
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.daemon().pid()))?;
        let cores = limits.lines().find(|line| line.starts_with("Max core file size"));
        let words: Vec<_> = cores.unwrap_or_default().split_whitespace().collect();
        ensure!(words.get(4..6) == Some(&["0", "0"]), "{cores:?}");
        server.stop()
    });
}

#[test]
fn store_of_an_unknown_version_stops_the_start_and_stays_as_it_is() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        server.stop()?;
        // SQLite keeps the schema's version at this place of its header (its file format, 1.3).
        const USER_VERSION: u32 = 60;
        let store = "/var/lib/hubward/hubward.db";
        let hash = || site.nat.sh(&format!("sha256sum {store}"));
        site.nat.sh(&format!(
            "printf '\\177\\177\\177\\177' | dd of={store} bs=1 seek={USER_VERSION} conv=notrunc status=none"
        ))?;
        let before = hash()?;
        let Err(error) = Server::start(&site.nat, &[]) else {
            anyhow::bail!("the server started on a store of the future");
        };
        let said = format!("{error:#}");
        ensure!(said.contains("ended with 4"), "{said}");
        ensure!(before == hash()?, "the store was changed");
        Ok(())
    });
}
