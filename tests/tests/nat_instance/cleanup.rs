//! `vpnserver cleanup`: by hand what the next start would do, for servers that never start again.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{HUB, Server, administer, program, set_up};
use hubward_tests::process::{self, Answer};
use hubward_tests::trap;

use super::{is_as_before, machine, seen_as, site, start};

fn cleanup(host: &Host, options: &[&str]) -> Result<Answer> {
    process::answer(host.command(program("vpnserver")?).arg("cleanup").args(options))
}

fn lines_with(text: &str, beginning: &str) -> usize {
    text.lines().filter(|line| line.starts_with(beginning)).count()
}

#[test]
fn what_killed_servers_left_is_told_and_removed_and_nothing_else() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        // A TAP device that somebody made to stay, and which a bridge takes over.
        site.nat
            .sh("ip tuntap add tap_lab mode tap; ip link set tap_lab up")?;
        let before = machine(&site.nat)?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        set_up(&site.nat)?;
        let bridge = format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes /IP:192.168.77.1/24");
        administer(&site.nat, "", &[&bridge])?;
        let publish = "DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80";
        administer(&site.nat, HUB, &[publish])?;
        let instance = start(&site, &metadata, &[])?;

        let refused = cleanup(&site.nat, &[])?;
        let pid = server.daemon().pid().to_string();
        ensure!(refused.code == 3 && refused.stderr.contains(&pid), "{refused:?}");

        server.kill();
        let during = machine(&site.nat)?;
        let told = cleanup(&site.nat, &["--dry-run"])?.success()?;
        ensure!(told.contains("address 192.168.77.1/24 of tap_lab"), "{told}");
        ensure!(machine(&site.nat)? == during, "the dry run changed something");

        // The instance lives and keeps what is its own, and forwarding with it.
        let done = cleanup(&site.nat, &[])?.success()?;
        ensure!(done.contains("kept") && done.contains("instance"), "{done}");
        ensure!(
            lines_with(&told, "would remove ") == lines_with(&done, "removed "),
            "{told}\n{done}"
        );
        seen_as(&site)?;
        instance.stop()?;
        is_as_before(&site.nat, &before)?;
        let nothing = cleanup(&site.nat, &[])?.success()?;
        ensure!(nothing.contains("nothing was left behind"), "{nothing}");
        Ok(())
    });
}

#[test]
fn a_killed_instance_and_killed_servers_of_other_folders_are_cleaned_up_too() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        start(&site, &metadata, &[])?.kill();
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        set_up(&site.nat)?;
        server.kill();
        let done = cleanup(&site.nat, &["--data-dir", "/var/lib/other"])?.success()?;
        ensure!(done.contains("hubward_instance"), "{done}");
        ensure!(lines_with(&done, "removed ") >= 4, "{done}");
        is_as_before(&site.nat, &before)?;
        Ok(())
    });
}

#[test]
fn without_nft_it_is_said_what_is_missing() {
    lab::run(|lab| {
        let (site, _metadata) = site(lab, &[])?;
        let program = program("vpnserver")?;
        for (arguments, path) in [
            (&["cleanup"][..], "/nowhere"),
            (
                &["nat-instance", "--no-metadata", "--cidr", "10.0.0.0/16"][..],
                "/nowhere",
            ),
        ] {
            let answer = process::answer(trap::command(&site.nat, &program, Some(path)).args(arguments))?;
            ensure!(answer.code == 4, "{answer:?}");
            let line = answer.stderr.lines().last().context("nothing was said")?;
            ensure!(line.contains("package `nftables`"), "{line}");
        }
        Ok(())
    });
}
