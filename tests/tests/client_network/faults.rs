//! Machines on which something is missing or in the way.

use anyhow::ensure;
use hubward_tests::lab;
use hubward_tests::process::IN_TIME;

use super::desk::{connect, has_address, is_as_before, sees_the_page, site, state, way};

#[test]
fn a_device_name_that_is_taken_ends_the_client_with_a_line_that_says_so() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        let clean = state(user)?;
        user.sh("ip link add lab type veth peer name other")?;
        let before = state(user)?;
        let (code, said) = connect(user, &[])?.refused()?;
        ensure!(code == 4, "exit {code}: {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains("lab exists and is not a TAP device"),
            "{said}"
        );
        is_as_before(user, &before)?;
        user.sh("ip link delete lab")?;

        let client = connect(user, &[])?;
        has_address(&client)?;
        let (code, said) = connect(user, &[])?.refused()?;
        ensure!(code == 4, "exit {code}: {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains("lab is in use by another program"),
            "{said}"
        );
        sees_the_page(&site, &client)?;
        client.stop()?;
        is_as_before(user, &clean)?;
        server.stop()
    });
}

#[test]
fn a_resolvers_file_that_is_read_only_is_told_and_everything_else_works() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        user.sh("mount --bind /etc/resolv.conf /etc/resolv.conf; mount -o remount,bind,ro /etc/resolv.conf")?;
        let before = state(user)?;
        let client = connect(user, &[])?;
        let said = client.daemon().line_with("are not set", IN_TIME)?;
        for words in [
            "note: the name servers 192.168.30.1",
            "/etc/resolv.conf cannot be changed",
            "--no-dns",
        ] {
            ensure!(said.contains(words), "{words:?} is not in {said:?}");
        }
        has_address(&client)?;
        sees_the_page(&site, &client)?;
        ensure!(way(user, "198.18.0.9")? == "lab");
        client.stop()?;
        is_as_before(user, &before)?;
        server.stop()
    });
}

#[test]
fn a_machine_without_ipv6_gets_everything_else() {
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        user.sh(
            "for all in all default; do echo 1 > /proc/sys/net/ipv6/conf/$all/disable_ipv6 2>/dev/null || true; done",
        )?;
        let before = state(user)?;
        let client = connect(user, &["--kill-switch"])?;
        has_address(&client)?;
        sees_the_page(&site, &client)?;
        let shown = user.sh("ip -6 address show dev lab")?;
        ensure!(shown.trim().is_empty(), "{shown}");
        client.stop()?;
        is_as_before(user, &before)?;
        server.stop()
    });
}
