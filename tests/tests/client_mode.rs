//! The client mode of vpncmd against the stock client service.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hubward_tests::client_lines::{LINES, Tool, all_said, said};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, HUB, PASSWORD, USER};
use hubward_tests::process::{self, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{Stock, item};

/// A host with a stock client service and a folder with the certificates that the lines load.
struct Desk {
    host: Host,
    folder: PathBuf,
    _service: hubward_tests::stock::Client,
}

impl Desk {
    fn new(lab: &Lab, stock: &Stock, name: &str) -> Result<Self> {
        let host = lab.host(name)?;
        let folder = lab.folder().join(name);
        std::fs::create_dir_all(&folder)?;
        let service = stock.client(&host)?;
        Ok(Self {
            host,
            folder,
            _service: service,
        })
    }
}

#[test]
fn both_tools_say_the_same_to_the_stock_client_service() {
    lab::run_with_stock(|lab, stock| {
        let theirs = Desk::new(lab, stock, "theirs")?;
        let ours = Desk::new(lab, stock, "ours")?;
        ours::make_certificates(&theirs.host, &theirs.folder)?;
        for file in std::fs::read_dir(&theirs.folder)? {
            let file = file?;
            std::fs::copy(file.path(), ours.folder.join(file.file_name()))?;
        }
        let (stock_answers, our_answers) = std::thread::scope(|scope| {
            let by_stock = scope.spawn(|| all_said(Tool::Stock(stock), &theirs.host, &theirs.folder));
            let by_us = all_said(Tool::Ours, &ours.host, &ours.folder);
            let by_stock = by_stock
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, anyhow::Error>((by_stock?, by_us?))
        })?;
        let mut wrong = Vec::new();
        for ((exit, line), (stock_said, we_said)) in LINES.iter().zip(stock_answers.iter().zip(&our_answers))
        {
            if (stock_said.code, we_said.code) != (*exit, *exit) {
                wrong.push(format!(
                    "{line}: ends with {} by the stock tool and {} by ours, not {exit}: {}{}",
                    stock_said.code, we_said.code, we_said.stdout, we_said.stderr
                ));
            }
            let (stock_said, we_said) = (said(line, &stock_said.stdout), said(line, &we_said.stdout));
            if stock_said != we_said {
                wrong.push(format!("{line}:\n{stock_said:#?}\n{we_said:#?}"));
            }
        }
        for (tool, desk) in [(Tool::Stock(stock), &theirs), (Tool::Ours, &ours)] {
            let answer = tool.say(&desk.host, &desk.folder, &["/PASSWORD:clpw"], "VersionGet")?;
            ensure!(answer.code == 0, "{answer:?}");
        }
        let answer = Tool::Ours.say(&ours.host, &ours.folder, &["/PASSWORD:wrong"], "VersionGet")?;
        ensure!(answer.code == 12, "{answer:?}");
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(())
    });
}

#[test]
fn files_of_either_tool_are_imported_by_the_other() {
    lab::run_with_stock(|lab, stock| {
        let desk = Desk::new(lab, stock, "desk")?;
        let say = |tool: Tool<'_>, line: &str| {
            let answer = tool.say(&desk.host, &desk.folder, &[], line)?;
            answer.success().with_context(|| line.to_owned())
        };
        let tools = [(Tool::Stock(stock), "theirs"), (Tool::Ours, "ours")];
        let (a, b) = (tools[0], tools[1]);
        for ((writer, name), (reader, _)) in [(a, b), (b, a)] {
            say(
                Tool::Ours,
                &format!("AccountCreate {name} /SERVER:a.example:443 /HUB:H /USERNAME:u /NICNAME:n"),
            )?;
            for line in [
                format!("AccountPasswordSet {name} /PASSWORD:secret /TYPE:radius"),
                format!("AccountProxyHttp {name} /SERVER:p.example:8080 /USERNAME:pu /PASSWORD:pp"),
            ] {
                say(Tool::Ours, &line)?;
            }
            let path = format!("{name}.vpn");
            say(writer, &format!("AccountExport {name} /SAVEPATH:{path}"))?;
            let before = settings(&desk.folder.join(&path))?;
            say(writer, &format!("AccountDelete {name}"))?;
            say(reader, &format!("AccountImport {path}"))?;
            say(reader, &format!("AccountExport {name} /SAVEPATH:again-{path}"))?;
            let after = settings(&desk.folder.join(format!("again-{path}")))?;
            ensure!(before == after, "{before}\n{after}");
        }
        Ok(())
    });
}

/// A file without its comments.
fn settings(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path)?;
    let at = text.find("declare").context("no settings")?;
    Ok(text[at..].to_owned())
}

#[test]
fn our_tool_connects_a_stock_client_to_our_server() {
    lab::run_with_stock(|lab, stock| {
        let (site, server) = Site::with_our_server(lab, &[])?;
        let _service = stock.client(&site.user)?;
        let say = |line: &str| {
            let answer = Tool::Ours.say(&site.user, lab.folder(), &[], line)?;
            answer.success().with_context(|| line.to_owned())
        };
        for line in [
            "NicCreate lab".to_owned(),
            format!("AccountCreate lab /SERVER:{OUTSIDE}:443 /HUB:{HUB} /USERNAME:{USER} /NICNAME:lab"),
            format!("AccountPasswordSet lab /PASSWORD:{PASSWORD} /TYPE:radius"),
            "AccountDetailSet lab /MAXTCP:2 /INTERVAL:1 /TTL:0 /HALF:no /BRIDGE:no /MONITOR:no /NOTRACK:yes \
             /NOQOS:yes /DISABLEUDP:yes"
                .to_owned(),
            "AccountConnect lab".to_owned(),
        ] {
            say(&line)?;
        }
        let status = eventually(IN_TIME, "an established session", || {
            let status = say("AccountStatusGet lab")?;
            let state = item(&status, "Session Status").unwrap_or_default();
            Ok(state.contains("Session Established").then_some(status))
        })?;
        ensure!(item(&status, "Server Name") == Some(OUTSIDE), "{status}");
        stock.lease(&site.user, "vpn_lab")?;
        site.user_sees_the_private_page()?;
        let list = Tool::Ours.say(&site.user, lab.folder(), &["--json"], "AccountList")?;
        let list: serde_json::Value = serde_json::from_str(&list.stdout)?;
        ensure!(list["AccountList"][0]["Connected_bool"] == true, "{list}");
        say("AccountDisconnect lab")?;
        // The service takes a moment, in which it has a connection that is nobody's.
        eventually(IN_TIME, "the end of the session", || {
            let status = Tool::Ours.say(&site.user, lab.folder(), &[], "AccountStatusGet lab")?;
            Ok((status.code == 37).then_some(()))
        })?;
        server.stop()
    });
}

#[test]
fn another_machine_must_be_let_in_and_is_warned() {
    lab::run_with_stock(|lab, stock| {
        let site = Site::new(lab)?;
        let _service = stock.client(&site.user)?;
        let from_afar = || {
            let mut command = Tool::Ours.command(&site.nat, lab.folder())?;
            process::answer(command.args(["203.0.113.10", "/CLIENT", "/CMD", "NicList"]))
        };
        let refused = from_afar()?;
        ensure!(
            refused.code == 23 && refused.stdout.contains("RemoteEnable"),
            "{refused:?}"
        );
        // The service may be started anew by its parent after it has refused somebody.
        process::eventually(process::IN_TIME, "the service on its own machine", || {
            let enabled = Tool::Ours.say(&site.user, lab.folder(), &[], "RemoteEnable")?;
            Ok(enabled.success().ok())
        })?;
        let answered = from_afar()?;
        ensure!(answered.stderr.contains("not encrypted"), "{answered:?}");
        answered.success().map(drop)
    });
}
