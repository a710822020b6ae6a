//! `kill -9` of the whole program at many moments.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::process::{IN_TIME, eventually};

use super::desk::{clean_up, connect, has_address, is_as_before, site, state};

/// How often, unless HUBWARD_KILLS says otherwise.
const USUAL: u32 = 20;

#[test]
fn kills_at_many_moments_leave_nothing_that_cleanup_or_the_next_start_does_not_take_away() {
    lab::run(|lab| {
        let kills = match std::env::var("HUBWARD_KILLS") {
            Ok(text) => text.parse().context("HUBWARD_KILLS is a number")?,
            Err(_) => USUAL,
        };
        let (site, server) = site(lab)?;
        let user = &site.user;
        // So that there is a rule for answers as well.
        user.sh("echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter")?;
        let before = state(user)?;
        let begun = Instant::now();
        let client = connect(user, &["--kill-switch"])?;
        has_address(&client)?;
        let whole = begun.elapsed();
        client.stop()?;
        is_as_before(user, &before)?;

        let mut dirty = 0;
        for kill in 0..kills {
            let ways: [&[&str]; 3] = [&["--kill-switch"], &["--routes", "full"], &["--routes", "split"]];
            let client = connect(user, ways[kill as usize % ways.len()])?;
            // From the very start until a while after everything has been set up.
            let moment = whole.mul_f64(1.5 * f64::from(kill) / f64::from(kills));
            std::thread::sleep(moment);
            let is_stopping = kill % 5 == 4;
            if is_stopping {
                // Half of the way back.
                client.daemon().signal(nix::sys::signal::Signal::SIGTERM)?;
                std::thread::sleep(Duration::from_millis(u64::from(kill)));
            }
            client.kill();
            no_program_of_it_runs()?;
            let left = state(user)? != before;
            dirty += u32::from(left);
            if kill % 3 == 2 {
                let next = connect(user, &[])?;
                has_address(&next)?;
                next.stop()?;
            } else {
                clean_up(user)?;
            }
            is_as_before(user, &before).with_context(|| format!("kill {kill} after {moment:?}"))?;
        }
        ensure!(
            dirty > kills / 10,
            "only {dirty} of {kills} kills left anything to be taken away"
        );
        server.stop()
    });
}

/// A program that the client had begun ends a moment after it.
fn no_program_of_it_runs() -> Result<()> {
    eventually(IN_TIME, "the end of nft", || {
        let runs = |folder: std::fs::DirEntry| {
            // One that has ended, and that nobody has asked about, has a name but no command line.
            let line = std::fs::read(folder.path().join("cmdline")).unwrap_or_default();
            let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
            program.ends_with(b"/nft")
        };
        let any = std::fs::read_dir("/proc")?.flatten().any(runs);
        Ok((!any).then_some(()))
    })
}

/// What a client could change at a device that stays, and everything else.
fn settings(user: &Host) -> Result<String> {
    let own = user.sh(
        "cd /proc/sys/net/ipv6/conf/lab 2>/dev/null && grep . accept_ra* autoconf disable_ipv6 || true
         ip -o link show dev lab | grep -o -e 'mtu [0-9]*' -e '<.*>'; ip -details link show dev lab | grep alias || true",
    )?;
    Ok(own + &state(user)?)
}

#[test]
fn a_device_that_stays_has_its_own_settings_again_after_an_end_and_after_a_kill() {
    let options: [&[&str]; 2] = [&[], &["--no-ipv6"]];
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        user.sh(
            "ip tuntap add lab mode tap; ip link set lab mtu 1450 alias 'to the office'; ip address add 198.18.7.1/24 dev lab",
        )?;
        let before = settings(user)?;
        ensure!(before.contains("alias to the office"), "{before}");
        let is_as_it_was = |when: &str| -> Result<()> {
            let after = settings(user)?;
            ensure!(before == after, "{when}, before:\n{before}\nafter:\n{after}");
            Ok(())
        };
        for option in options {
            let client = connect(user, option)?;
            has_address(&client)?;
            ensure!(settings(user)? != before, "it changes nothing");
            client.stop()?;
            is_as_it_was("after an end")?;

            let client = connect(user, option)?;
            has_address(&client)?;
            client.kill();
            let said = clean_up(user)?;
            ensure!(said.contains("settings of lab"), "{said}");
            is_as_it_was("after cleanup")?;

            let client = connect(user, option)?;
            has_address(&client)?;
            client.kill();
            let next = connect(user, &[])?;
            has_address(&next)?;
            next.stop()?;
            is_as_it_was("after the next start")?;
        }
        server.stop()
    });
}

#[test]
fn systemd_resolved_is_told_of_a_device_that_stays_and_told_to_forget_also_after_a_kill() {
    // It is not here: what it would hear is written down.
    const RESOLVED: &str = "mkdir -p /run/systemd/resolve
         mount -t tmpfs tmpfs /usr/local/sbin
         printf '#!/bin/sh\\necho \"$@\" >>/run/lab/heard\\n' >/usr/local/sbin/resolvectl
         chmod +x /usr/local/sbin/resolvectl
         ip tuntap add lab mode tap";
    lab::run(|lab| {
        let (site, server) = site(lab)?;
        let user = &site.user;
        user.sh(RESOLVED)?;
        let heard = || user.sh("cat /run/lab/heard; rm /run/lab/heard");
        for is_killed in [false, true] {
            let client = connect(user, &[])?;
            has_address(&client)?;
            let said = heard()?;
            let sets = ["dns lab 192.168.30.1\ndomain lab ", "~.\ndefault-route lab yes\n"];
            ensure!(said.starts_with(sets[0]) && said.ends_with(sets[1]), "{said}");
            if is_killed {
                client.kill();
                let said = clean_up(user)?;
                ensure!(said.contains("name servers of lab in systemd-resolved"), "{said}");
            } else {
                client.stop()?;
            }
            let said = heard()?;
            ensure!(said == "revert lab\n", "killed: {is_killed}, {said}");
        }
        server.stop()
    });
}
