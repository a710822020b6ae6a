//! The Debian package: what installing, upgrading, removing and purging it leaves on a machine, and that a machine with it boots into
//! what was published.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hubward_tests::lab;
use hubward_tests::machine::{Disk, Machine, can_boot};
use hubward_tests::ours::{self, Client};
use hubward_tests::package::VERSIONS;
use hubward_tests::page::Page;
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use nix::time::{ClockId, clock_gettime};

const SERVER: &str = "hubward-vpnserver.service";
const CLIENT: &str = "hubward-vpnclient.service";
const PACKAGE: &str = "/var/tmp/hubward.deb";
/// The longest that users may have to wait for a published page after the server was started.
const BOOT: Duration = Duration::from_secs(3);

/// dpkg on a disk that is not booted. Our scripts say nothing, at whatever they do.
fn dpkg(disk: &Disk<'_>, words: &[&str]) -> Result<()> {
    let answer = process::answer(&mut disk.command(&[&["dpkg"], words].concat()))?;
    ensure!(
        answer.code == 0,
        "dpkg {words:?}: {}{}",
        answer.stdout,
        answer.stderr
    );
    let usual = [
        "dpkg: warning",
        "(Reading database",
        "perl: warning",
        "\t",
        "    ",
    ];
    let said: Vec<_> = answer
        .stderr
        .lines()
        .filter(|line| !line.is_empty() && !usual.iter().any(|known| line.starts_with(known)))
        // An ordinary user cannot give a folder to somebody else.
        .filter(|line| lab::is_of_root() || !line.starts_with("fchownat() of "))
        .collect();
    ensure!(said.is_empty(), "dpkg {words:?} said: {said:#?}");
    Ok(())
}

#[test]
fn package_installs_upgrades_and_goes_without_a_trace() {
    lab::run_with_packages(|lab, packages| {
        let host = lab.host("builder")?;
        let disk = Disk::fresh(&host)?;
        let there = |path: &str| disk.path(path).symlink_metadata().is_ok();
        disk.put(&packages[0], PACKAGE)?;
        dpkg(&disk, &["-i", PACKAGE])?;
        // A second time, as configuration management does.
        dpkg(&disk, &["-i", PACKAGE])?;
        let passwd = std::fs::read_to_string(disk.path("/etc/passwd"))?;
        ensure!(passwd.contains("hubward:x:"), "no user was made:\n{passwd}");
        for path in [
            "/etc/systemd/system/multi-user.target.wants/hubward-vpnserver.service",
            "/var/lib/hubward",
            "/usr/share/man/man8/vpnserver.8.gz",
            "/usr/share/man/man8/vpnserver-setup.8.gz",
            "/usr/share/man/man1/vpncmd.1.gz",
            "/usr/share/man/man1/vpnclient-run.1.gz",
            "/usr/share/man/man1/vpnclient-status.1.gz",
            "/usr/lib/systemd/system/hubward-vpnclient.service",
            "/usr/share/bash-completion/completions/vpnclient",
            "/usr/share/zsh/vendor-completions/_vpnserver",
            "/usr/share/fish/vendor_completions.d/vpncmd.fish",
            "/usr/share/doc/hubward/copyright",
            "/usr/share/doc/hubward/examples/cloud-init/user-data.yaml",
        ] {
            ensure!(there(path), "{path} is missing");
        }
        ensure!(
            !there("/etc/systemd/system/multi-user.target.wants/hubward-nat-instance.service"),
            "a NAT instance is made of a machine that nobody asked to be one"
        );
        ensure!(
            !there("/etc/systemd/system/multi-user.target.wants/hubward-vpnclient.service"),
            "a client service was enabled that nobody asked for"
        );
        if lab::is_of_root() {
            let state = process::run(&mut disk.command(&["stat", "-c", "%U:%G %a", "/var/lib/hubward"]))?;
            ensure!(state.trim() == "hubward:hubward 700", "{state}");
        }

        // What an administrator has written, and what the server has stored, stays through everything but a purge.
        let options = disk.path("/etc/default/hubward-vpnserver");
        std::fs::write(&options, "VPNSERVER_OPTIONS='--nat-mode user'\n")?;
        std::fs::write(disk.path("/var/lib/hubward/kept"), "")?;
        process::run(&mut disk.command(&["systemctl", "disable", SERVER]))?;
        disk.put(&packages[1], PACKAGE)?;
        dpkg(&disk, &["--force-confold", "-i", PACKAGE])?;
        let version = process::run(&mut disk.command(&["dpkg-query", "-W", "-f", "${Version}", "hubward"]))?;
        ensure!(version == VERSIONS[1], "{version} is installed");
        ensure!(
            std::fs::read_to_string(&options)?.contains("--nat-mode user"),
            "options were lost"
        );
        ensure!(
            !there("/etc/systemd/system/multi-user.target.wants/hubward-vpnserver.service"),
            "the upgrade enabled what was disabled"
        );

        dpkg(&disk, &["-r", "hubward"])?;
        ensure!(!there("/usr/sbin/vpnserver"), "the program is still there");
        ensure!(there("/var/lib/hubward/kept"), "removing took the state");
        dpkg(&disk, &["-P", "hubward"])?;
        let left = process::run(&mut disk.command(&[
            "sh",
            "-c",
            "find /etc /usr /var /run -name '*hubward*' -not -path '/var/tmp/*'; ls /usr/bin/vpn* /usr/sbin/vpn* 2>/dev/null || true",
        ]))?;
        ensure!(left.trim().is_empty(), "left behind after a purge:\n{left}");
        Ok(())
    });
}

#[test]
fn machine_boots_into_what_was_published_and_an_upgrade_gives_clients_back_their_addresses() {
    lab::run_with_packages(|lab, packages| {
        let site = Site::new(lab)?;
        if let Some(why) = can_boot(&site.nat) {
            eprintln!("skipped, since this user can boot no machine: {why}");
            return Ok(());
        }
        let disk = Disk::fresh(&site.nat)?;
        let machine = disk.boot()?;
        disk.put(&packages[0], PACKAGE)?;
        machine.run(&["dpkg", "-i", PACKAGE])?;
        ensure!(
            machine.property(SERVER, "ActiveState")? == "active",
            "{}",
            machine.log()
        );
        is_confined(&machine)?;

        // Set up while it runs, as cloud-init does.
        std::fs::write(disk.path("/root/alice"), format!("{}\n", ours::PASSWORD))?;
        let said = machine.run(&[
            "vpnserver",
            "setup",
            "--unattended",
            "--admin-password-file",
            "/root/admin",
            "--hub",
            ours::HUB,
            "--user",
            ours::USER,
            "--user-password-file",
            "/root/alice",
            "--secure-nat",
            "--publish",
            "80=10.0.1.26:80",
            "--address",
            OUTSIDE,
        ])?;
        site.page
            .is_seen_from(&site.user, site.published())
            .with_context(|| machine.log())?;

        // The line that was printed connects.
        let pin = said
            .split_whitespace()
            .find(|word| word.starts_with("sha256:"))
            .with_context(|| format!("no pin in: {said}"))?;
        let client = Client::connect(&site.user, OUTSIDE, &["--pin", pin])?;
        let before = ours::address_of(&site.user, "hubward0", IN_TIME)?;

        // A newer package: the server is another one, the client back by itself, with its address.
        let old = machine.property(SERVER, "MainPID")?;
        let mark = client.daemon().mark();
        disk.put(&packages[1], PACKAGE)?;
        machine.run(&["dpkg", "-i", PACKAGE])?;
        let new = machine.property(SERVER, "MainPID")?;
        ensure!(
            new != old && new != "0",
            "the server was not restarted: {old}, {new}"
        );
        client
            .daemon()
            .line_after(mark, IN_TIME, "the new session", |line| {
                line.contains("connected: session")
            })?;
        let after = ours::address_of(&site.user, "hubward0", IN_TIME)?;
        ensure!(before == after, "the client had {before} and has {after}");
        site.user_sees_the_private_page()?;
        client.stop()?;

        // The same machine as a NAT instance: the private host reaches the outside.
        let outside = Page::new("a page outside");
        outside.serve(&site.user)?;
        let options = "NAT_INSTANCE_OPTIONS='--no-metadata --cidr 10.0.1.0/24 --out wan'\n";
        std::fs::write(disk.path("/etc/default/hubward-nat-instance"), options)?;
        machine.run(&["systemctl", "enable", "--now", "hubward-nat-instance"])?;
        outside
            .is_seen_from(&site.web, ([203, 0, 113, 10], 80).into())
            .with_context(|| machine.log())?;

        // kill -9: it is back.
        machine.run(&["systemctl", "kill", "-s", "KILL", SERVER])?;
        eventually(IN_TIME, "the server's return", || {
            Ok((machine.property(SERVER, "NRestarts")? == "1"
                && machine.property(SERVER, "ActiveState")? == "active")
                .then_some(()))
        })?;
        site.page.is_seen_from(&site.user, site.published())?;

        // Off: nothing is left in the network. On: the page is there.
        machine.power_off()?;
        let left = site
            .nat
            .sh("nft list tables; ip -brief link | grep hwn_ || true")?;
        ensure!(left.trim().is_empty(), "left behind after a shutdown: {left}");
        let machine = disk.boot()?;
        let took = page_after_start(&site, &machine)?;
        eprintln!(
            "the published page was there {} ms after the start of the unit",
            took.as_millis()
        );
        ensure!(took <= BOOT, "the published page came after {took:?}");

        // Without power, too.
        machine.pull_the_plug()?;
        let machine = disk.boot()?;
        page_after_start(&site, &machine)?;
        machine.run(&["dpkg", "-P", "hubward"])?;
        let left = site
            .nat
            .sh("nft list tables; ip -brief link | grep hwn_ || true")?;
        ensure!(left.trim().is_empty(), "left behind after a purge: {left}");
        machine.power_off()
    });
}

/// Waits for the published page; gives the time since the unit was started.
fn page_after_start(site: &Site, machine: &Machine<'_>) -> Result<Duration> {
    eventually(IN_TIME, "the published page", || {
        Ok(site.page.is_seen_from(&site.user, site.published()).ok())
    })
    .with_context(|| machine.log())?;
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    let began: u64 = machine
        .property(SERVER, "InactiveExitTimestampMonotonic")?
        .parse()?;
    Ok(now.saturating_sub(Duration::from_micros(began)))
}

/// The process has what the unit says, and not more: no root, two capabilities, no way to more, filtered system calls.
fn is_confined(machine: &Machine<'_>) -> Result<()> {
    let pid = machine.property(SERVER, "MainPID")?;
    let status = machine.run(&["cat", &format!("/proc/{pid}/status")])?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.split_whitespace().next().unwrap_or_default().to_owned())
    };
    let user = machine.run(&["id", "-u", "hubward"])?;
    ensure!(field("Uid:").as_deref() == Some(user.trim()), "{status}");
    // CAP_NET_BIND_SERVICE is bit 10, CAP_NET_ADMIN bit 12 (capabilities(7)).
    let two = format!("{:016x}", (1 << 10) | (1 << 12));
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        ensure!(field(set).as_deref() == Some(two.as_str()), "{set} {status}");
    }
    ensure!(field("NoNewPrivs:").as_deref() == Some("1"), "{status}");
    ensure!(field("Seccomp:").as_deref() == Some("2"), "{status}");
    ensure!(
        machine.property(SERVER, "WatchdogUSec")? == "30s",
        "nobody watches it"
    );
    Ok(())
}

#[test]
fn machine_lets_interfaces_be_bridged_and_connections_be_services_when_its_administrator_says_so() {
    lab::run_with_packages(|lab, packages| {
        let site = Site::new(lab)?;
        if let Some(why) = can_boot(&site.nat) {
            eprintln!("skipped, since this user can boot no machine: {why}");
            return Ok(());
        }
        let disk = Disk::fresh(&site.nat)?;
        disk.put(&packages[0], PACKAGE)?;
        dpkg(&disk, &["-i", PACKAGE])?;
        // Set up before the first start, as root, in a folder that is the server's.
        std::fs::write(disk.path("/root/alice"), format!("{}\n", ours::PASSWORD))?;
        let set_up = [
            "vpnserver",
            "setup",
            "--unattended",
            "--hub",
            ours::HUB,
            "--user",
            ours::USER,
            "--user-password-file",
            "/root/alice",
        ];
        let said = process::run(&mut disk.command(&set_up))?;
        let pin = said
            .split_whitespace()
            .find(|word| word.starts_with("sha256:"))
            .with_context(|| format!("no pin in: {said}"))?;
        let machine = disk.boot()?;
        ensure!(
            machine.property(SERVER, "ActiveState")? == "active",
            "{}",
            machine.log()
        );

        let vpncmd =
            |words: &[&str]| machine.run(&[&["vpncmd", "localhost", "/SERVER", "/CMD"], words].concat());
        vpncmd(&["BridgeCreate", ours::HUB, "/DEVICE:lan", "/TAP:no"])?;
        let list = vpncmd(&["BridgeList"])?;
        ensure!(
            list.contains("bridge.conf") && list.contains("CAP_NET_RAW"),
            "{list}"
        );
        let drop_in = "/etc/systemd/system/hubward-vpnserver.service.d/bridge.conf";
        machine.run(&[
            "install",
            "-D",
            "-m",
            "644",
            "/usr/share/hubward/bridge.conf",
            drop_in,
        ])?;
        machine.run(&["systemctl", "daemon-reload"])?;
        machine.run(&["systemctl", "restart", SERVER])?;
        let list = vpncmd(&["BridgeList"])?;
        ensure!(list.contains("Operating"), "{list}{}", machine.log());
        vpncmd(&["BridgeDelete", ours::HUB, "/DEVICE:lan"])?;

        let settings = format!(
            "SERVER=203.0.113.1\nHUB={}\nVPN_USER={}\nOPTIONS=--pin {pin} --no-dhcp\n",
            ours::HUB,
            ours::USER
        );
        std::fs::write(disk.path("/etc/hubward/client/office.conf"), settings)?;
        std::fs::write(
            disk.path("/etc/hubward/client/office.password"),
            format!("{}\n", ours::PASSWORD),
        )?;
        let client = "hubward-vpnclient@office.service";
        machine.run(&["systemctl", "start", client])?;
        eventually(IN_TIME, "the connection of the service", || {
            let said = machine.run(&["journalctl", "--no-pager", "-u", client])?;
            Ok(said.contains("connected: session").then_some(()))
        })
        .with_context(|| machine.log())?;
        machine.run(&["systemctl", "stop", client])?;

        // Root uses the server's folder without making it unusable for the server.
        let exported = machine.run(&["vpnserver", "export"])?;
        ensure!(exported.contains("declare root"), "{exported}");
        machine.run(&["vpnserver", "backup", "list"])?;
        machine.run(&["systemctl", "stop", SERVER])?;
        let cleaned = machine.run(&["vpnserver", "cleanup"])?;
        ensure!(cleaned.contains("nothing was left behind"), "{cleaned}");
        let others = machine.run(&["find", "/var/lib/hubward", "!", "-user", "hubward"])?;
        ensure!(others.trim().is_empty(), "not the server's own: {others}");
        machine.run(&["systemctl", "start", SERVER])?;
        ensure!(
            machine.property(client, "Result")? == "success",
            "{}",
            machine.log()
        );
        saved_account_connects(&machine, pin)?;
        machine.power_off()?;
        let machine = disk.boot()?;
        saved_account_is_back(&machine)?;
        machine.power_off()
    });
}

/// The client service of the package, with an account that is to connect at every start.
fn saved_account_connects(machine: &Machine<'_>, pin: &str) -> Result<()> {
    machine.run(&["systemctl", "enable", "--now", CLIENT])?;
    let vpncmd = |line: &str| {
        let words = ["vpncmd", "localhost", "/CLIENT", "/CMD"].into_iter();
        machine.run(&words.chain(line.split(' ')).collect::<Vec<_>>())
    };
    vpncmd("NicCreate saved")?;
    vpncmd(&format!(
        "AccountCreate saved /SERVER:203.0.113.1:443 /HUB:{} /USERNAME:{} /NICNAME:saved",
        ours::HUB,
        ours::USER
    ))?;
    vpncmd(&format!(
        "AccountPasswordSet saved /PASSWORD:{} /TYPE:radius",
        ours::PASSWORD
    ))?;
    vpncmd("AccountStartupSet saved")?;
    machine.run(&["vpnclient", "options", "saved", "--", "--no-dhcp"])?;
    machine.run(&["vpnclient", "up", "saved", "--pin", pin])?;
    saved_account_is_back(machine)
}

fn saved_account_is_back(machine: &Machine<'_>) -> Result<()> {
    eventually(IN_TIME, "the connection of the saved account", || {
        let status = process::answer(&mut machine.command(&["vpnclient", "status"]))?;
        let connected = status.code == 0 && status.stdout.contains("saved (account): connected");
        Ok(connected.then_some(()))
    })
    .with_context(|| machine.log())?;
    ensure!(
        machine.property(CLIENT, "ActiveState")? == "active",
        "{}",
        machine.log()
    );
    machine.run(&["test", "-d", "/sys/class/net/vpn_saved"]).map(drop)
}

#[test]
fn units_are_as_closed_as_their_job_allows() {
    lab::run_with_packages(|lab, packages| {
        let host = lab.host("builder")?;
        let disk = Disk::fresh(&host)?;
        disk.put(&packages[0], PACKAGE)?;
        process::run(&mut disk.command(&["dpkg", "--unpack", PACKAGE]))?;
        for unit in [
            "hubward-vpnserver",
            "hubward-nat-instance",
            "hubward-vpnclient",
            "hubward-vpnclient@",
        ] {
            let path = format!("/usr/lib/systemd/system/{unit}.service");
            let words = [
                "systemd-analyze",
                "security",
                "--offline=yes",
                "--no-pager",
                "--threshold=25",
                &path,
            ];
            let answer = process::answer(&mut disk.command(&words))?;
            ensure!(
                answer.code == 0 && answer.stdout.contains("Overall exposure level"),
                "{unit} is more open than 2.5:\n{}{}",
                answer.stdout,
                answer.stderr
            );
            let verify =
                process::answer(&mut disk.command(&["systemd-analyze", "verify", "--man=no", &path]))?;
            ensure!(
                verify.code == 0 && !verify.stderr.contains(unit),
                "{unit}: {}",
                verify.stderr
            );
        }
        let unit = std::fs::read_to_string(disk.path("/usr/lib/systemd/system/hubward-vpnserver.service"))?;
        let bounds = unit
            .lines()
            .find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
        ensure!(bounds == Some("CAP_NET_ADMIN CAP_NET_BIND_SERVICE"), "{bounds:?}");
        ensure!(
            Path::new(&disk.path("/usr/share/hubward/bridge.conf")).exists(),
            "no bridge.conf"
        );
        Ok(())
    });
}
