//! `kill -9` at every moment of a start, and an nft that fails there: the next start works, and its stop leaves the machine as
//! the first one found it.

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{HUB, Server, administer, program, set_up};
use hubward_tests::process::{IN_TIME, eventually, run};
use hubward_tests::trap::{self, Moment};

use super::{is_as_before, machine, seen_as, site, start};

/// Kills `vpnserver` with these arguments while it waits for the call of nft with this number; `false` when it is ready
/// without such a call.
fn killed_at(host: &Host, call: usize, moment: Moment, arguments: &[&str]) -> Result<bool> {
    trap::lay(host, call, moment)?;
    let daemon = trap::daemon(host, &program("vpnserver")?, arguments)?;
    let sprung = eventually(IN_TIME, "the trap", || {
        Ok(match (trap::is_sprung(), daemon.log().contains(" ready ")) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            _ => None,
        })
    })?;
    daemon.kill();
    Ok(sprung)
}

#[test]
fn an_instance_that_is_killed_at_any_call_is_taken_over_and_undone() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        let address = metadata.address();
        let arguments = ["nat-instance", "--metadata", &address];
        for moment in [Moment::Before, Moment::After] {
            for call in 0.. {
                let sprung = killed_at(&site.nat, call, moment, &arguments)?;
                // What was killed without a trap was in force as a whole.
                let instance = start(&site, &metadata, &[])?;
                seen_as(&site)?;
                instance.stop()?;
                is_as_before(&site.nat, &before).with_context(|| format!("{moment:?} call {call}"))?;
                if !sprung {
                    ensure!(call >= 3, "only {call} calls were seen");
                    break;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn an_instance_whose_nft_fails_at_any_call_ends_with_a_line_and_leaves_nothing() {
    lab::run(|lab| {
        let (site, metadata) = site(lab, &["10.0.0.0/16"])?;
        let before = machine(&site.nat)?;
        let address = metadata.address();
        let mut refused = 0;
        for call in 0.. {
            trap::lay(&site.nat, call, Moment::Fails)?;
            let mut command = trap::command(&site.nat, &program("vpnserver")?, None);
            let started = Server::start_command(command.args(["nat-instance", "--metadata", &address]));
            let sprung = trap::is_sprung();
            match started {
                // A call that only warns may fail; those of the stop are not in question.
                Ok(instance) => {
                    trap::lay(&site.nat, usize::MAX >> 1, Moment::Fails)?;
                    instance.stop()?;
                }
                Err(error) => {
                    let said = format!("{error:#}");
                    ensure!(
                        said.contains("ended with 4") && said.contains("no room"),
                        "{said}"
                    );
                    refused += 1;
                }
            }
            is_as_before(&site.nat, &before).with_context(|| format!("call {call}"))?;
            if !sprung {
                break;
            }
        }
        ensure!(refused >= 3, "only {refused} calls were missed");
        Ok(())
    });
}

#[test]
fn a_server_that_is_killed_at_any_call_is_taken_over_and_undone() {
    lab::run(|lab| {
        let (site, _metadata) = site(lab, &[])?;
        let before = machine(&site.nat)?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        set_up(&site.nat)?;
        let bridge = format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes /IP:192.168.77.1/24");
        administer(&site.nat, "", &[&bridge])?;
        let publish = "DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80";
        administer(&site.nat, HUB, &[publish])?;
        server.stop()?;
        is_as_before(&site.nat, &before)?;

        for call in 0.. {
            let moment = if call % 2 == 0 {
                Moment::Before
            } else {
                Moment::After
            };
            let sprung = killed_at(&site.nat, call, moment, &["run", "--nat-mode", "kernel"])?;
            Server::start(&site.nat, &["--nat-mode", "kernel"])?.stop()?;
            is_as_before(&site.nat, &before).with_context(|| format!("{moment:?} call {call}"))?;
            if !sprung {
                ensure!(call >= 8, "only {call} calls were seen");
                break;
            }
        }
        Ok(())
    });
}

#[test]
fn what_a_killed_server_had_and_the_next_one_lacks_is_gone_after_its_start() {
    lab::run(|lab| {
        let (site, _metadata) = site(lab, &[])?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        set_up(&site.nat)?;
        let bridge = format!("BridgeCreate {HUB} /DEVICE:lab /TAP:yes /IP:192.168.77.1/24");
        administer(&site.nat, "", &[&bridge])?;
        server.kill();
        let left = site
            .nat
            .sh("nft list tables; cat /proc/sys/net/ipv4/ip_forward")?;
        ensure!(
            left.contains("hubward_") && left.trim().ends_with('1'),
            "nothing to clear: {left}"
        );

        // Without the hub that had them, as when another state was put in its place meanwhile.
        site.nat
            .sh("printf 'declare root\\n{\\n}\\n' > /run/hubward/empty.config")?;
        let arguments = ["import", "/run/hubward/empty.config"];
        run(site.nat.command(program("vpnserver")?).args(arguments))?;
        let server = Server::start(&site.nat, &["--nat-mode", "kernel"])?;
        let left = site
            .nat
            .sh("nft list tables; cat /proc/sys/net/ipv4/ip_forward")?;
        ensure!(
            left.split_whitespace().eq(["table", "inet", "theirs", "0"]),
            "{left}"
        );
        server.stop()
    });
}
