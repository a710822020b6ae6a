//! Our client service: managed by the stock vpncmd and by ours as the stock one is, and connecting its accounts.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubward_tests::client_lines::{LINES, Tool, all_said, said, unattended};
use hubward_tests::desk::Desk;
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, HUB, PASSWORD, USER, program};
use hubward_tests::process::{self, Answer, Daemon, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::Stock;
use nix::sys::signal::Signal;
use serde_json::Value;

/// Where our service is told something else than the stock one, and why.
const DIFFERENT: &[(&str, &str)] = &[("VersionGet", "who made the service")];

/// The word that a line begins with.
fn command_of(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[test]
fn both_tools_say_the_same_to_our_service_as_the_stock_tool_to_the_stock_service() {
    lab::run_with_stock(|lab, stock| {
        let hosts = ["theirs", "ours", "own"].map(|name| lab.host(name));
        let [theirs, ours, own] = hosts;
        let (theirs, ours, own) = (theirs?, ours?, own?);
        let stock_folder = lab.folder().join("stock");
        std::fs::create_dir_all(&stock_folder)?;
        let _stock_service = stock.client(&theirs)?;
        let (by_stock, by_us) = (Desk::new(lab, &ours, "ours")?, Desk::new(lab, &own, "own")?);
        ours::make_certificates(&theirs, &stock_folder)?;
        for file in std::fs::read_dir(&stock_folder)? {
            let file = file?;
            for desk in [&by_stock, &by_us] {
                std::fs::copy(file.path(), desk.folder.join(file.file_name()))?;
            }
        }
        let (expected, stock_said, we_said) = std::thread::scope(|scope| {
            let expected = scope.spawn(|| all_said(Tool::Stock(stock), &theirs, &stock_folder));
            let stock_said = scope.spawn(|| all_said(Tool::Stock(stock), &ours, &by_stock.folder));
            let we_said = all_said(Tool::Ours, &own, &by_us.folder);
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<Answer>>>| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            Ok::<_, anyhow::Error>((join(expected)?, join(stock_said)?, we_said?))
        })?;
        let mut wrong = Vec::new();
        for (at, (exit, line)) in LINES.iter().enumerate() {
            let wanted = said(line, &expected[at].stdout);
            let differs = DIFFERENT
                .iter()
                .any(|(known, _)| *known == *line || *known == command_of(line));
            for (tool, answer) in [("the stock tool", &stock_said[at]), ("our tool", &we_said[at])] {
                let heard = said(line, &answer.stdout);
                if answer.code != *exit && !differs {
                    wrong.push(format!(
                        "{line}: ends with {} by {tool}, not {exit}: {answer:?}",
                        answer.code
                    ));
                } else if (heard == wanted) == differs {
                    wrong.push(format!("{line} by {tool}:\n{wanted:#?}\n{heard:#?}"));
                }
            }
        }
        for (tool, desk) in [(Tool::Stock(stock), &by_stock), (Tool::Ours, &by_us)] {
            let with = |password: &str| {
                let mut command = tool.command(desk.host, &desk.folder)?;
                unattended(command.args(["localhost", "/CLIENT", password, "/CMD", "VersionGet"]))
            };
            let answer = with("/PASSWORD:clpw")?;
            ensure!(answer.code == 0, "{answer:?}");
            let answer = with("/PASSWORD:wrong")?;
            ensure!(answer.code == 12, "{answer:?}");
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    });
}

#[test]
fn two_accounts_hold_two_devices_at_once_and_come_back_at_the_next_start() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let other = lab.host("other")?;
        lab.cable(
            (&other, "eth0", "192.0.2.1/24"),
            (&site.user, "eth1", "192.0.2.10/24"),
        )?;
        let _stock_server = stock.server(&other)?;
        stock.set_up(&other)?;
        // Two segments, two networks.
        stock.shape(
            &other,
            HUB,
            &[
                "SecureNatHostSet /MAC:none /IP:192.168.40.1 /MASK:255.255.255.0",
                "DhcpSet /START:192.168.40.10 /END:192.168.40.200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:none /DNS:none \
                 /DNS2:none /DOMAIN:none /LOG:no",
            ],
        )?;
        let mut desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("ours", OUTSIDE, "radius")?;
        desk.account("stock", "192.0.2.1", "standard")?;
        let set = desk.vpnclient(&["options", "stock", "--", "--no-dns", "--connections", "2"])?;
        ensure!(set.code == 0, "{set:?}");
        ensure!(desk.vpnclient(&["options", "stock"])?.stdout == "--no-dns --connections 2\n");
        desk.accept("ours")?;
        desk.accept("stock")?;
        both_are_there(&desk, &site)?;
        for name in ["ours", "stock"] {
            desk.say(Tool::Stock(stock), &format!("AccountStartupSet {name}"))?;
        }
        let before = desk.say(Tool::Ours, "AccountGet stock")?;

        desk.stop()?;
        let left = site.user.sh("ip -brief link; ip rule; ip -4 route")?;
        ensure!(!left.contains("vpn_"), "left behind:\n{left}");
        desk.start()?;
        both_are_there(&desk, &site)?;
        ensure!(desk.say(Tool::Ours, "AccountGet stock")? == before);

        // Killed, it leaves its devices to nobody, and its accounts to the next one.
        desk.kill();
        desk.start()?;
        both_are_there(&desk, &site)?;
        let status = desk.say(Tool::Stock(stock), "AccountStatusGet stock")?;
        ensure!(
            status.contains("Connection Completed (Session Established)"),
            "{status}"
        );
        desk.say(Tool::Stock(stock), "AccountDisconnect stock")?;
        desk.status("stock", |status| {
            status["state"] == "closed" || status["state"] == "idle"
        })?;
        desk.status("ours", |status| status["state"] == "connected")?;
        desk.say(Tool::Stock(stock), "AccountConnect stock")?;
        both_are_there(&desk, &site)?;
        desk.say(Tool::Stock(stock), "AccountDisconnect stock")?;
        ensure!(desk.vpnclient(&["down", "ours"])?.code == 0);
        desk.status("ours", |status| status["state"] == "closed")?;
        let nothing = desk.vpnclient(&["status"])?;
        ensure!(nothing.code == 3, "{nothing:?}");
        desk.stop()?;
        server.stop()
    });
}

fn both_are_there(desk: &Desk<'_>, site: &Site) -> Result<()> {
    let connected = |status: &Value| status["state"] == "connected" && status["address"].is_string();
    let ours = desk.status("ours", connected)?;
    let stock = desk.status("stock", connected)?;
    ensure!(
        ours["device"] == "vpn_ours" && stock["device"] == "vpn_stock",
        "{ours} {stock}"
    );
    ensure!(
        stock["address"]
            .as_str()
            .is_some_and(|address| address.starts_with("192.168.40.")),
        "{stock}"
    );
    site.user_sees_the_private_page()?;
    // The other segment: its gateway says where it is, once somebody wants to know.
    site.user
        .within(|| UdpSocket::bind("0.0.0.0:0")?.send_to(b"?", "192.168.40.1:9"))??;
    eventually(IN_TIME, "the gateway of the other segment", || {
        let neighbour = site.user.sh("ip neighbour show 192.168.40.1 dev vpn_stock")?;
        Ok(neighbour.contains("lladdr").then_some(()))
    })
}

#[test]
fn status_tells_all_there_is_to_know_of_a_connection() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let nothing = process::answer(site.user.command(program("vpnclient")?).arg("status"))?;
        ensure!(
            nothing.code == 3 && nothing.stdout.contains("no vpnclient"),
            "{nothing:?}"
        );
        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        desk.accept("office")?;
        site.user_sees_the_private_page()?;
        let status = desk.status("office", |status| status["state"] == "connected")?;
        for (field, wanted) in [
            ("account", Value::from(true)),
            ("server", format!("{OUTSIDE}:443").into()),
            ("peer", format!("{OUTSIDE}:443").into()),
            ("hub", HUB.into()),
            ("user", USER.into()),
            ("device", "vpn_office".into()),
            ("connections", 1.into()),
            ("max_connections", 1.into()),
            ("sessions", 1.into()),
        ] {
            ensure!(status[field] == wanted, "{field}: {status:#}");
        }
        for field in [
            "bytes_received",
            "bytes_sent",
            "frames_received",
            "frames_sent",
            "since_ms",
            "session_since_ms",
        ] {
            ensure!(
                status[field].as_u64().is_some_and(|number| number > 0),
                "{field}: {status:#}"
            );
        }
        ensure!(
            status["rtt_ms"].as_f64().is_some_and(|rtt| rtt > 0.0),
            "{status:#}"
        );
        ensure!(
            status["retransmits"].is_u64() && status["dropped"].is_u64(),
            "{status:#}"
        );
        ensure!(
            status["cipher"]
                .as_str()
                .is_some_and(|cipher| cipher.starts_with("TLS_")),
            "{status:#}"
        );
        ensure!(
            status["session"]
                .as_str()
                .is_some_and(|session| session.starts_with("SID-")),
            "{status:#}"
        );
        let shown = desk.vpnclient(&["status"])?;
        ensure!(
            shown.code == 0 && shown.stdout.contains("office (account): connected for"),
            "{shown:?}"
        );

        // A connection of the command line stands beside it.
        let beside = ours::Client::connect(
            &site.user,
            OUTSIDE,
            &["--insecure", "--rootless", "--name", "beside"],
        )?;
        let other = desk.status("beside", |status| status["state"] == "connected")?;
        ensure!(
            other["account"] == false && other["pid"] != status["pid"],
            "{other:#}"
        );
        beside.stop()?;
        let listed = desk.vpnclient(&["accounts"])?;
        ensure!(listed.stdout.contains("office: connected"), "{listed:?}");

        // Again and again, as lines where there is no terminal.
        let mut watch = site.user.command(program("vpnclient")?);
        let mut watch = Daemon::start("vpnclient status", watch.args(["status", "--watch"]))?;
        for _ in 0..2 {
            let mark = watch.mark();
            watch.line_after(mark, IN_TIME, "the account", |line| {
                line.contains("office (account): connected")
            })?;
        }
        watch.line_with("bit/s", IN_TIME)?;
        ensure!(!watch.log().contains('\x1b'), "{}", watch.log());
        watch.signal(Signal::SIGINT)?;
        ensure!(watch.wait(IN_TIME)? == 0, "{}", watch.log());
        drop(desk);
        server.stop()
    });
}

#[test]
fn a_password_that_is_not_kept_is_asked_for_and_a_wrong_one_is_not_tried_again() {
    lab::run(|lab| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let desk = Desk::new(lab, &site.user, "desk")?;
        desk.account("office", OUTSIDE, "radius")?;
        desk.accept("office")?;
        ensure!(desk.vpnclient(&["down", "office"])?.code == 0);
        desk.say(
            Tool::Ours,
            "AccountPasswordSet office /PASSWORD:wrong /TYPE:radius",
        )?;
        let wrong = desk.vpnclient(&["up", "office"])?;
        ensure!(
            wrong.code == 3 && wrong.stderr.contains("credentials"),
            "{wrong:?}"
        );
        let status = desk.status("office", |status| status["state"] == "failed")?;
        ensure!(status["reason"] == "wrong_credentials", "{status}");
        let inactive = Tool::Ours.say(desk.host, &desk.folder, &[], "AccountStatusGet office")?;
        ensure!(inactive.code == 37, "{inactive:?}");

        // None is kept: a manager is told so, and `up` asks.
        desk.say(Tool::Ours, "AccountPasswordSet office /PASSWORD: /TYPE:radius")?;
        let refused = Tool::Ours.say(desk.host, &desk.folder, &[], "AccountConnect office")?;
        ensure!(refused.code == 74, "{refused:?}");
        let unasked = desk.vpnclient(&["up", "office"])?;
        ensure!(
            unasked.code == 2 && unasked.stderr.contains("password"),
            "{unasked:?}"
        );
        let file = ours::password_file(PASSWORD)?;
        let up = desk.vpnclient(&["up", "office", "--password-file", &file.display().to_string()])?;
        ensure!(up.code == 0, "{up:?}");
        let secrets = std::fs::read_to_string(desk.folder.join("config/secrets.toml"))?;
        ensure!(
            !secrets.contains(PASSWORD),
            "a password that was given once is kept"
        );
        drop(desk);
        server.stop()
    });
}

#[test]
fn the_password_of_the_service_is_wanted_from_everybody_who_comes_by_tcp() {
    lab::run(|lab| {
        let host = lab.host("desk")?;
        let desk = Desk::new(lab, &host, "desk")?;
        desk.say(Tool::Ours, "PasswordSet sesame /REMOTEONLY:no")?;
        // By the local socket its own user needs none.
        desk.say(Tool::Ours, "NicCreate vpn1")?;
        let by_tcp = |password: &str| Tool::Ours.say(&host, &desk.folder, &[password], "NicList");
        ensure!(by_tcp("/PASSWORD:sesame")?.code == 0);
        let wrong = by_tcp("/PASSWORD:wrong")?;
        ensure!(wrong.code == 12, "{wrong:?}");
        // Who watches is told of every change, and needs no password for that.
        let changed = host.within(|| -> Result<u8> {
            let mut watcher = TcpStream::connect("127.0.0.1:9931")?;
            watcher.set_read_timeout(Some(IN_TIME))?;
            watcher.write_all(&[0; 4])?;
            // The first change may come before the service listens to us.
            let mut byte = [0];
            eventually(IN_TIME, "the sign of a change", || {
                desk.say(Tool::Ours, "NicDisable vpn1")?;
                desk.say(Tool::Ours, "NicEnable vpn1")?;
                watcher.set_read_timeout(Some(std::time::Duration::from_millis(500)))?;
                Ok(watcher.read_exact(&mut byte).ok())
            })?;
            Ok(byte[0])
        })??;
        ensure!(changed == b'@', "{changed}");
        // Nobody holds more than a few places without a password.
        let turned_away = host.within(|| -> Result<bool> {
            let strangers: Vec<_> = (0..64).map(|_| TcpStream::connect("127.0.0.1:9931")).collect();
            // The latest first: those before have the places.
            let closed = strangers.into_iter().rev().flatten().any(|mut stranger| {
                let _ = stranger.set_read_timeout(Some(std::time::Duration::from_millis(200)));
                matches!(stranger.read(&mut [0]), Ok(0))
            });
            Ok(closed)
        })??;
        ensure!(turned_away, "64 strangers have a place each");
        Ok(())
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill_in_the_middle_of_writes() {
    lab::run(|lab| {
        let host = lab.host("desk")?;
        let mut desk = Desk::new(lab, &host, "desk")?;
        let mut next = 0;
        let mut acknowledged = Vec::new();
        for round in 1..=6 {
            let script = desk.folder.join("script");
            let lines: Vec<_> = (next..next + 400)
                .map(|n| format!("AccountCreate a{n} /SERVER:a.example:443 /HUB:H /USERNAME:u /NICNAME:n\n"))
                .collect();
            std::fs::write(&script, lines.concat())?;
            let mut command = Tool::Ours.command(&host, &desk.folder)?;
            command
                .args(["localhost", "/CLIENT"])
                .arg(format!("/IN:{}", script.display()));
            let tool = Daemon::start("vpncmd", &mut command)?;
            // After some are made, in the middle of the next.
            let enough = 5 * round;
            let done = |log: &str| log.matches("The command completed successfully").count();
            eventually(IN_TIME, "some accounts", || {
                Ok((done(&tool.log()) >= enough).then_some(()))
            })?;
            desk.kill();
            let mut tool = tool;
            tool.wait(IN_TIME)?;
            let made = done(&tool.log());
            acknowledged.extend((next..next + made).map(|n| format!("a{n}")));
            next += 400;
            desk.start()?;
            let list = Tool::Ours.say(&host, &desk.folder, &["--json"], "AccountList")?;
            let list: Value = serde_json::from_str(&list.stdout)?;
            let names: Vec<_> = list["AccountList"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|row| row["AccountName_utf"].as_str())
                .collect();
            let lost: Vec<_> = acknowledged
                .iter()
                .filter(|name| !names.contains(&name.as_str()))
                .collect();
            ensure!(lost.is_empty(), "lost after a kill: {lost:?}");
        }
        Ok(())
    });
}

#[test]
fn the_configuration_of_a_stock_service_is_taken_over() {
    lab::run(|lab| {
        let host = lab.host("desk")?;
        let desk = Desk::new(lab, &host, "desk")?;
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocol/tests/data/client/vpn_client.config");
        let import = || desk.vpnclient(&["import", &file.display().to_string()]);
        let said = import()?.success()?;
        for line in [
            "adapter vpn1",
            "account acc1",
            "account acc2",
            "left out: the service's password",
        ] {
            ensure!(said.contains(line), "{said}");
        }
        let account = desk.say(Tool::Ours, "AccountGet acc2")?;
        ensure!(
            account.contains("vpn.example.net") && account.contains("10.1.1.1"),
            "{account}"
        );
        let again = import()?.success()?;
        ensure!(again.contains("left out: account acc1"), "{again}");
        let mode = |path: &str| -> Result<String> {
            let mut stat = Command::new("stat");
            process::run(stat.args(["-c", "%a"]).arg(desk.folder.join(path)))
        };
        ensure!(mode("config")?.trim() == "700" && mode("config/secrets.toml")?.trim() == "600");
        Ok(())
    });
}

#[test]
fn accounts_travel_in_files_between_the_stock_service_and_ours() {
    lab::run_with_stock(|lab, stock: &Stock| {
        let (theirs, ours) = (lab.host("theirs")?, lab.host("ours")?);
        let desk = Desk::new(lab, &ours, "desk")?;
        let _stock_service = stock.client(&theirs)?;
        let say = |host: &Host, tool: Tool<'_>, line: &str| {
            let answer = tool.say(host, &desk.folder, &[], line)?;
            answer.success().with_context(|| line.to_owned())
        };
        let tool = Tool::Stock(stock);
        for (from, to, name) in [(&theirs, &ours, "a"), (&ours, &theirs, "b")] {
            for line in [
                format!("AccountCreate {name} /SERVER:a.example:443 /HUB:H /USERNAME:u /NICNAME:n"),
                format!("AccountPasswordSet {name} /PASSWORD:secret /TYPE:radius"),
                format!("AccountProxyHttp {name} /SERVER:p.example:8080 /USERNAME:pu /PASSWORD:pp"),
                format!("AccountExport {name} /SAVEPATH:{name}.vpn"),
            ] {
                say(from, tool, &line)?;
            }
            if name == "a" {
                // Ours takes such a file without vpncmd, too.
                desk.vpnclient(&["import", &desk.folder.join("a.vpn").display().to_string()])?
                    .success()?;
            } else {
                say(to, tool, &format!("AccountImport {name}.vpn"))?;
            }
            say(
                to,
                tool,
                &format!("AccountExport {name} /SAVEPATH:again-{name}.vpn"),
            )?;
            let settings = |file: String| -> Result<String> {
                let text = std::fs::read_to_string(desk.folder.join(file))?;
                let at = text.find("declare").context("no settings")?;
                Ok(text[at..].to_owned())
            };
            let (before, after) = (
                settings(format!("{name}.vpn"))?,
                settings(format!("again-{name}.vpn"))?,
            );
            ensure!(before == after, "{before}\n{after}");
        }
        Ok(())
    });
}
