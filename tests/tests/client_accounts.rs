//! What an account of our client service does while it is connected, and what it leaves when it is not.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hubward_tests::client_lines::{Tool, unattended};
use hubward_tests::desk::Desk;
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, HUB, PASSWORD, USER, administer, program};
use hubward_tests::process::{self, Daemon, IN_TIME, eventually};
use hubward_tests::proxy::{self, Manner, Proxy};
use hubward_tests::raw::{Caller, request};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::typist::{CTRL_C, Typist};
use serde_json::Value;
use vpnclient::cli::{Cli, Command};
use vpnclient::report::{Reporter, Style};
use vpnclient::stop;

/// Our ports of the connections to the server.
fn ports(host: &Host) -> Result<BTreeSet<String>> {
    let sockets = host.sh(&format!("ss -Htn state established dst {OUTSIDE}"))?;
    let own = |line: &str| Some(line.split_whitespace().nth(2)?.rsplit_once(':')?.1.to_owned());
    Ok(sockets.lines().filter_map(own).collect())
}

/// The pace and the life of connections as an account has them, with whatever server `site` has.
fn connections_come_and_go(desk: &Desk<'_>, site: &Site) -> Result<()> {
    let detail = |connections: u32, interval: u32, life: u32, half: &str| {
        format!(
            "AccountDetailSet office /MAXTCP:{connections} /INTERVAL:{interval} /TTL:{life} /HALF:{half} /BRIDGE:no /MONITOR:no \
             /NOTRACK:no /NOQOS:no /DISABLEUDP:yes"
        )
    };
    desk.say(Tool::Ours, &detail(3, 1, 0, "no"))?;
    desk.accept("office")?;
    desk.status("office", |status| status["connections"] == 3)?;
    ensure!(desk.vpnclient(&["down", "office"])?.code == 0);

    // The second one would come after ten minutes; the first is replaced every two seconds.
    desk.say(Tool::Ours, &detail(2, 600, 2, "no"))?;
    desk.vpnclient(&["up", "office"])?.success()?;
    connections_replace_each_other(desk.host)?;
    let status = desk.status("office", |status| status["connections"] == 1)?;
    ensure!(
        status["sessions"] == 1 && status["state"] == "connected" && status["max_connections"] == 2,
        "{status}"
    );
    site.user_sees_the_private_page()?;
    desk.vpnclient(&["down", "office"])?.success()?;

    // One for each direction.
    desk.say(Tool::Ours, &detail(2, 1, 2, "yes"))?;
    desk.vpnclient(&["up", "office"])?.success()?;
    connections_replace_each_other(desk.host)?;
    site.user_sees_the_private_page()?;
    desk.status("office", |status| {
        status["sessions"] == 1 && status["connections"] == 2
    })
    .map(drop)
}

fn connections_replace_each_other(host: &Host) -> Result<()> {
    let mut before = ports(host)?;
    for _ in 0..2 {
        before = eventually(IN_TIME, "connections that have replaced others", || {
            let now = ports(host)?;
            Ok((!now.is_empty() && now.is_disjoint(&before)).then_some(now))
        })?;
    }
    Ok(())
}

#[test]
fn connections_come_at_the_pace_of_their_account_and_are_replaced_when_their_life_is_over() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        connections_come_and_go(&desk, &site)?;
        drop(desk);
        server.stop()
    });
}

#[test]
fn a_stock_server_takes_the_pace_and_the_replacements_as_well() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _server = stock.server(&site.nat)?;
        stock.set_up(&site.nat)?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "standard")?;
        connections_come_and_go(&desk, &site)
    });
}

#[test]
fn an_account_goes_by_its_own_proxy_and_proves_itself_by_its_certificate() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        ours::make_certificates(&site.user, &desk.folder)?;
        let certificate = desk.folder.join("user.crt");
        administer(
            &site.nat,
            HUB,
            &[&format!("UserCertSet {USER} /LOADCERT:{}", certificate.display())],
        )?;
        // Only this proxy knows the server's name.
        let proxy = Proxy::start(
            &site.user,
            ([127, 0, 0, 1], 3128).into(),
            [203, 0, 113, 1].into(),
            Some(("pu", "pp")),
            Manner::Serves,
        )?;
        desk.account("office", proxy::NAME, "radius")?;
        desk.vpnclient(&["options", "office", "--", "--no-dhcp"])?
            .success()?;
        desk.say(
            Tool::Ours,
            "AccountProxyHttp office /SERVER:127.0.0.1:3128 /USERNAME:pu /PASSWORD:pp",
        )?;
        desk.say(
            Tool::Ours,
            "AccountCertSet office /LOADCERT:user.crt /LOADKEY:user.key",
        )?;
        desk.accept("office")?;
        ensure!(
            !proxy.asked().is_empty(),
            "the server was reached without the proxy"
        );
        let secrets = std::fs::read_to_string(desk.folder.join("config/secrets.toml"))?;
        let settings = std::fs::read_to_string(desk.folder.join("config/service.toml"))?;
        ensure!(
            secrets.contains("pp") && !settings.contains("\"pp\""),
            "{settings}"
        );
        drop(desk);
        server.stop()
    });
}

#[test]
fn a_line_is_kept_alive_from_the_command_that_says_so_to_the_one_that_ends_it() {
    lab::run(|lab| {
        let host = lab.host("desk")?;
        let desk = Desk::new(lab, &host, "desk")?;
        let line = host.within(|| UdpSocket::bind("127.0.0.1:0"))??;
        line.set_read_timeout(Some(IN_TIME))?;
        let to = line.local_addr()?;
        desk.say(
            Tool::Ours,
            &format!("KeepSet /HOST:{to} /PROTOCOL:udp /INTERVAL:5"),
        )?;
        desk.say(Tool::Ours, "KeepEnable")?;
        for _ in 0..2 {
            line.recv(&mut [0; 128])?;
        }
        desk.say(Tool::Ours, "KeepDisable")?;
        // What was on its way when it ended.
        line.set_nonblocking(true)?;
        while line.recv(&mut [0; 128]).is_ok() {}
        line.set_nonblocking(false)?;
        line.set_read_timeout(Some(Duration::from_secs(6)))?;
        ensure!(line.recv(&mut [0; 128]).is_err(), "it goes on");
        Ok(())
    });
}

/// Whether a kill switch of ours is on.
fn is_closed(host: &Host) -> Result<bool> {
    Ok(host.sh("nft list tables")?.contains("hubward-client-"))
}

fn opens(host: &Host, why: &str) -> Result<()> {
    eventually(IN_TIME, why, || Ok((!is_closed(host)?).then_some(())))
}

#[test]
fn a_kill_switch_stays_after_a_failure_and_goes_with_every_wanted_end() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let host = &site.user;
        let mut desk = Desk::new(lab, host, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        desk.accept("office")?;
        ensure!(desk.vpnclient(&["down", "office"])?.code == 0);
        desk.vpnclient(&["options", "office", "--", "--kill-switch"])?
            .success()?;

        // Connected, and disconnected.
        desk.vpnclient(&["up", "office"])?.success()?;
        ensure!(is_closed(host)?);
        desk.vpnclient(&["down", "office"])?.success()?;
        opens(host, "the open way after a connection has ended")?;

        // Still looking for a server.
        desk.say(Tool::Ours, "AccountSet office /SERVER:203.0.113.99:443 /HUB:h")?;
        desk.say(Tool::Ours, "AccountConnect office")?;
        eventually(IN_TIME, "the kill switch of a try", || {
            Ok(is_closed(host)?.then_some(()))
        })?;
        desk.say(Tool::Ours, "AccountDisconnect office")?;
        opens(host, "the open way after a try was ended")?;

        // Refused: it stays, until somebody says that this was the end.
        desk.say(
            Tool::Ours,
            &format!("AccountSet office /SERVER:{OUTSIDE}:443 /HUB:{HUB}"),
        )?;
        let fail = || -> Result<()> {
            let refused = desk.vpnclient(&["up", "office"])?;
            ensure!(refused.code == 3, "{refused:?}");
            ensure!(is_closed(host)?, "a failure has opened the way");
            Ok(())
        };
        fail()?;
        let told = desk.vpnclient(&["down", "office"])?;
        ensure!(told.code == 0, "{told:?}");
        opens(host, "the open way after a failure was put aside")?;
        let again = desk.vpnclient(&["down", "office"])?;
        ensure!(again.code == 2, "{again:?}");
        fail()?;
        desk.say(Tool::Ours, "AccountRename office /NEW:home")?;
        ensure!(is_closed(host)?, "another name has opened the way");
        desk.say(Tool::Ours, "AccountDelete home")?;
        opens(host, "the open way after the account was deleted")?;

        desk.account("second", OUTSIDE, "radius")?;
        desk.vpnclient(&["options", "second", "--", "--kill-switch"])?
            .success()?;
        ensure!(desk.vpnclient(&["up", "second"])?.code == 3 && is_closed(host)?);
        desk.stop()?;
        ensure!(!is_closed(host)?, "the way is closed after the service has ended");
        server.stop()
    });
}

#[test]
fn a_connection_that_is_dropped_in_the_middle_leaves_the_way_open() {
    lab::run(|lab| {
        let host = lab.host("desk")?;
        let left = host.within(|| -> Result<String> {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(dropped_while_it_tries(&host))?;
            host.sh("nft list tables; ip rule; ip -brief link")
        })??;
        ensure!(!left.contains("hubward"), "left behind:\n{left}");
        Ok(())
    });
}

async fn dropped_while_it_tries(host: &Host) -> Result<()> {
    let line = "vpnclient connect 192.0.2.1 --hub h --user u --anonymous --kill-switch --keep-trying";
    let Command::Connect(connect) = Cli::try_parse_from(line.split(' '))?.command else {
        anyhow::bail!("another command");
    };
    let reporter = Reporter::new(Style::Log);
    let profile = connect.profile(&reporter).map_err(|e| anyhow::anyhow!("{e}"))?;
    let (_stopper, mut stop) = stop::pair();
    let closed = tokio::task::block_in_place(|| is_closed(host))?;
    ensure!(!closed);
    let running = profile.run(None, &reporter, &mut stop);
    let closed = async {
        let mut state = reporter.board().watch();
        // Somebody waits to try again, so that all that comes before was done.
        let waits = state.wait_for(|state| *state == vpnclient::status::State::Waiting);
        let _ = waits.await;
        tokio::task::block_in_place(|| is_closed(host))
    };
    tokio::select! {
        done = running => anyhow::bail!("it has ended: {done:?}"),
        closed = closed => ensure!(closed?, "no kill switch is on"),
    }
    Ok(())
}

#[test]
fn a_servers_words_are_shown_and_a_password_that_it_wants_forgotten_is_kept_nowhere() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        administer(&site.nat, "", &["ServerPasswordSet admin"])?;
        let words = "Maintenance on Sunday\n\u{1b}[2Jfrom six"
            .bytes()
            .map(|byte| format!("{byte:02x}"));
        let message = format!("HubName=s:{HUB} Msg=d:{}", words.collect::<String>());
        let set = Caller::login(&site.nat, "admin")?.call("SetHubMsg", &request(&message)?)?;
        ensure!(set.is_ok(), "{set:?}");
        let policy = format!("UserPolicySet {USER} /NAME:NoSavePassword /VALUE:yes");
        let mut command = site.nat.command(program("vpncmd")?);
        command.args(["localhost", "/SERVER", "/PASSWORD:admin"]);
        command
            .arg(format!("/ADMINHUB:{HUB}"))
            .arg("/CMD")
            .args(policy.split(' '));
        process::run(&mut command)?;

        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        let secrets = || std::fs::read_to_string(desk.folder.join("config/secrets.toml"));
        ensure!(secrets()?.contains(PASSWORD));
        desk.accept("office")?;
        let shown = desk.vpnclient(&["status"])?.success()?;
        ensure!(
            shown.contains("message   Maintenance on Sunday / [2Jfrom six"),
            "{shown:?}"
        );
        let status = desk.status("office", |status| status["message"].is_string())?;
        ensure!(
            status["message"] == "Maintenance on Sunday\n[2Jfrom six",
            "{status}"
        );
        eventually(IN_TIME, "secrets without the password", || {
            Ok((!secrets()?.contains(PASSWORD)).then_some(()))
        })?;
        desk.vpnclient(&["down", "office"])?.success()?;
        let refused = Tool::Ours.say(desk.host, &desk.folder, &[], "AccountConnect office")?;
        ensure!(refused.code == 74, "{refused:?}");
        let file = ours::password_file(PASSWORD)?.display().to_string();
        let up = desk.vpnclient(&["up", "office", "--password-file", &file])?;
        ensure!(
            up.code == 0 && up.stderr.contains("the server says:\n  Maintenance on Sunday"),
            "{up:?}"
        );
        ensure!(!secrets()?.contains(PASSWORD));
        drop(desk);
        server.stop()
    });
}

#[test]
fn status_is_a_screen_on_a_terminal_and_the_progress_of_up_a_moving_line() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        desk.accept("office")?;
        // At once, and again: the device is free, and so are the ports of doors.
        for options in [&["--no-dns"][..], &["--socks5", "1080"], &["--no-dns"]] {
            desk.vpnclient(&["down", "office"])?.success()?;
            desk.vpnclient(&[&["options", "office", "--"], options].concat())?
                .success()?;
            for _ in 0..2 {
                desk.vpnclient(&["up", "office"])?.success()?;
                desk.vpnclient(&["down", "office"])?.success()?;
            }
            desk.vpnclient(&["up", "office"])?.success()?;
        }
        desk.vpnclient(&["down", "office"])?.success()?;
        let mut up = site.user.command(program("vpnclient")?);
        let (code, screen) = Typist::start(up.args(["up", "office"]))?.end()?;
        ensure!(
            code == 0 && screen.contains("connected: session"),
            "{code}: {screen}"
        );
        ensure!(
            !screen.lines().any(|line| line.starts_with("securing")),
            "what passes is no line of its own: {screen}"
        );

        let mut watch = site.user.command(program("vpnclient")?);
        let mut typist = Typist::start(watch.args(["status", "--watch"]))?;
        typist.wait_for("\x1b[?1049h")?;
        for _ in 0..2 {
            typist.wait_for("office (account): connected for")?;
            typist.wait_for("bit/s")?;
            typist.wait_for("TCP connections, RTT")?;
            typist.wait_for("retransmits")?;
            typist.wait_for("frames dropped")?;
        }
        typist.answer("\x1b[H", CTRL_C)?;
        let (code, screen) = typist.end()?;
        ensure!(
            code == 0 && screen.ends_with("\x1b[?1049l"),
            "{code}, and the terminal is not given back: {screen:?}"
        );
        drop(desk);
        server.stop()
    });
}

#[test]
fn the_log_of_the_service_has_a_line_for_every_change_as_text_or_as_json() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let mut desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        desk.accept("office")?;
        desk.vpnclient(&["down", "office"])?.success()?;
        desk.status("office", |status| status["state"] == "closed")?;
        let log = desk.service()?.log();
        for line in ["connected: session", "address 192.168.30.", "disconnected after"] {
            let found = log.lines().filter(|said| said.contains(line));
            let of_account = found
                .filter(|said| said.contains("connection=\"office\""))
                .count();
            ensure!(of_account == 1, "{line}: {of_account} lines\n{log}");
        }
        desk.stop()?;

        desk.start_with(&["--log-format", "json"])?;
        desk.vpnclient(&["up", "office"])?.success()?;
        desk.vpnclient(&["down", "office"])?.success()?;
        desk.status("office", |status| status["state"] == "closed")?;
        let log = desk.service()?.log();
        let mut messages = Vec::new();
        for line in log.lines().filter(|line| !line.is_empty()) {
            let said: Value = serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            ensure!(
                said["timestamp"].is_string() && said["level"].is_string(),
                "{line}"
            );
            if said["connection"] == "office" {
                messages.push(said["message"].as_str().unwrap_or_default().to_owned());
            }
        }
        for line in ["connected: session", "address 192.168.30.", "disconnected after"] {
            ensure!(
                messages.iter().any(|said| said.contains(line)),
                "{line}: {messages:?}"
            );
        }
        drop(desk);
        server.stop()
    });
}

#[test]
fn exit_codes_say_whose_fault_it_was() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let host = &site.user;
        let code = |words: &[&str]| -> Result<i32> {
            Ok(process::answer(host.command(program("vpnclient")?).args(words))?.code)
        };
        // Nothing runs: this machine, and for the status nothing connected.
        ensure!(code(&["up", "office"])? == 4 && code(&["accounts"])? == 4 && code(&["status"])? == 3);
        ensure!(code(&["connect"])? == 2 && code(&["nonsense"])? == 2);
        let desk = Desk::new(lab, host, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        ensure!(code(&["up", "nosuch"])? == 2 && code(&["down", "office"])? == 2);
        ensure!(code(&["options", "office", "--", "--hub", "other"])? == 2);
        let events = desk.vpnclient(&["up", "office", "--json"])?;
        let last: Value = serde_json::from_str(events.stdout.lines().last().unwrap_or_default())?;
        ensure!(
            events.code == 3 && last["event"] == "failed" && last["reason"] == "untrusted_certificate",
            "{events:?}"
        );
        // The device is somebody else's.
        desk.accept("office")?;
        desk.vpnclient(&["down", "office"])?.success()?;
        desk.status("office", |status| status["state"] == "closed")?;
        host.sh("ip link add vpn_office type veth peer name other")?;
        let taken = desk.vpnclient(&["up", "office"])?;
        ensure!(
            taken.code == 4 && taken.stderr.contains("vpn_office"),
            "{taken:?}"
        );
        host.sh("ip link del vpn_office")?;
        ensure!(code(&["up", "office"])? == 0 && code(&["status"])? == 0);

        // A second service of the same user has no place.
        let mut second = host.command(program("vpnclient")?);
        second
            .args(["run", "--config-dir"])
            .arg(desk.folder.join("config"));
        let mut second = Daemon::start("a second service", &mut second)?;
        let ended = second.wait(IN_TIME)?;
        ensure!(ended == 2, "{ended}: {}", second.log());
        drop(desk);
        server.stop()
    });
}

#[test]
fn another_machine_manages_the_service_once_that_is_allowed_and_by_its_password() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        let from_afar = |tool: Tool<'_>, password: &str| {
            let mut command = tool.command(&site.nat, &desk.folder)?;
            command
                .args(["203.0.113.10", "/CLIENT"])
                .arg(format!("/PASSWORD:{password}"));
            unattended(command.args(["/CMD", "NicList"]))
        };
        desk.say(Tool::Ours, "PasswordSet sesame /REMOTEONLY:no")?;
        desk.say(Tool::Ours, "NicCreate vpn1")?;
        for tool in [Tool::Ours, Tool::Stock(stock)] {
            let answer = from_afar(tool, "sesame")?;
            ensure!(answer.code != 0 && !answer.stdout.contains("vpn1"), "{answer:?}");
        }
        desk.say(Tool::Ours, "RemoteEnable")?;
        for tool in [Tool::Ours, Tool::Stock(stock)] {
            eventually(IN_TIME, "the list of adapters from afar", || {
                let answer = from_afar(tool, "sesame")?;
                Ok((answer.code == 0 && answer.stdout.contains("vpn1")).then_some(()))
            })?;
            let answer = from_afar(tool, "guess")?;
            ensure!(answer.code == 12 && !answer.stdout.contains("vpn1"), "{answer:?}");
        }
        desk.say(Tool::Ours, "RemoteDisable")?;
        eventually(IN_TIME, "nobody from afar", || {
            Ok((from_afar(Tool::Ours, "sesame")?.code != 0).then_some(()))
        })
    });
}
