//! The client mode of vpncmd against the stock client service.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hubward_tests::conformance::normal::{comparable, format_lines};
use hubward_tests::host::Host;
use hubward_tests::lab::{self, Lab};
use hubward_tests::ours::{self, HUB, PASSWORD, USER};
use hubward_tests::process::{self, Answer, IN_TIME, eventually};
use hubward_tests::site::{OUTSIDE, Site};
use hubward_tests::stock::{Stock, item};

/// What the stock tool ends with, and the line: first those of the captures in their order, then those that go where the
/// captures do not.
const LINES: &[(i32, &str)] = &[
    // Captured.
    (0, "VersionGet"),
    (0, "NicCreate vpn1"),
    (0, "NicList"),
    (33, "NicGetSetting vpn1"),
    (0, "NicSetSetting vpn1 /MAC:5E-AA-BB-CC-DD-EE"),
    (
        0,
        "AccountCreate acc1 /SERVER:127.0.0.1:1 /HUB:HUB1 /USERNAME:pwuser /NICNAME:vpn1",
    ),
    (0, "AccountPasswordSet acc1 /PASSWORD:pass1 /TYPE:standard"),
    (
        38,
        "AccountDetailSet acc1 /MAXTCP:2 /INTERVAL:1 /TTL:0 /HALF:no /BRIDGE:no /MONITOR:no /NOTRACK:no /NOQOS:no",
    ),
    (0, "AccountRetrySet acc1 /NUM:5 /INTERVAL:15"),
    (0, "AccountStartupSet acc1"),
    (0, "AccountGet acc1"),
    (37, "AccountStatusGet acc1"),
    (0, "AccountConnect acc1"),
    (0, "AccountList"),
    (
        0,
        "AccountCreate acc2 /SERVER:vpn.example.net:443 /HUB:H /USERNAME:cu /NICNAME:vpn1",
    ),
    (0, "AccountCertSet acc2 /LOADCERT:user.crt /LOADKEY:user.key"),
    (
        0,
        "AccountProxySocks5 acc2 /SERVER:10.1.1.1:1080 /USERNAME:a /PASSWORD:b",
    ),
    (0, "AccountServerCertSet acc2 /LOADCERT:srv.crt"),
    (0, "AccountServerCertEnable acc2"),
    (0, "AccountExport acc2 /SAVEPATH:acc2.vpn"),
    (0, "AccountRename acc2 /NEW:acc2b"),
    (0, "AccountExport acc1 /SAVEPATH:acc1.vpn"),
    (0, "AccountImport acc2.vpn"),
    (36, "AccountDelete nosuch"),
    (0, "CertAdd ca.crt"),
    (0, "CertList"),
    (0, "KeepGet"),
    (0, "PasswordGet"),
    // What is connected cannot be changed in every way.
    (35, "AccountConnect acc1"),
    (35, "AccountDelete acc1"),
    (35, "AccountRename acc1 /NEW:other"),
    (0, "AccountDisconnect acc1"),
    (37, "AccountDisconnect acc1"),
    // Adapters.
    (30, "NicCreate vpn1"),
    (38, "NicCreate"),
    (38, "NicSetSetting vpn1 /MAC:zz"),
    (0, "NicDisable vpn1"),
    (0, "NicList"),
    (0, "NicEnable vpn1"),
    (29, "NicEnable nosuch"),
    (0, "NicUpgrade vpn1"),
    (29, "NicDelete nosuch"),
    // Accounts.
    (34, "AccountCreate acc1 /SERVER:a:1 /HUB:H /USERNAME:u /NICNAME:n"),
    (38, "AccountCreate acc3 /SERVER:a /HUB:H /USERNAME:u /NICNAME:n"),
    (38, "AccountCreate none /SERVER:a:1 /HUB:H /USERNAME:u /NICNAME:n"),
    (36, "AccountGet nosuch"),
    (0, "AccountSet acc1 /SERVER:host.example:992 /HUB:H2"),
    (0, "AccountNicSet acc1 /NICNAME:other"),
    (0, "AccountUsernameSet acc1 /USERNAME:new"),
    (0, "AccountPasswordSet acc1 /PASSWORD:pw /TYPE:radius"),
    (38, "AccountPasswordSet acc1 /PASSWORD:pw /TYPE:foo"),
    (36, "AccountPasswordSet nosuch /PASSWORD:pw /TYPE:foo"),
    (0, "AccountEncryptDisable acc1"),
    (0, "AccountCompressEnable acc1"),
    (0, "AccountGet acc1"),
    (0, "AccountExport acc1 /SAVEPATH:acc1.vpn"),
    (0, "AccountImport acc1.vpn"),
    (0, "AccountImport acc1.vpn"),
    (0, "AccountList"),
    (38, "AccountImport nosuch.vpn"),
    (23, "AccountImport user.crt"),
    (0, "AccountEncryptEnable acc1"),
    (0, "AccountCompressDisable acc1"),
    (23, "AccountCertGet acc1 /SAVECERT:saved.crt"),
    (0, "AccountCertGet acc2 /SAVECERT:saved.crt"),
    (23, "AccountCertSet acc1 /LOADCERT:user.crt /LOADKEY:srv.key"),
    (23, "AccountCertSet acc1 /LOADCERT:user.key /LOADKEY:user.key"),
    (23, "AccountServerCertSet acc1 /LOADCERT:user.key"),
    (0, "AccountProxyNone acc2"),
    (0, "AccountGet acc2"),
    (0, "AccountServerCertDelete acc2"),
    (0, "AccountGet acc2"),
    (0, "AccountServerCertDisable acc2"),
    (
        0,
        "AccountDetailSet acc1 /MAXTCP:8 /INTERVAL:3 /TTL:3600 /HALF:yes /BRIDGE:yes /MONITOR:yes /NOTRACK:yes \
         /NOQOS:yes /DISABLEUDP:yes",
    ),
    (38, "AccountDetailSet acc1 /MAXTCP:33"),
    (0, "AccountSecureCertSet acc1 /CERTNAME:cn /KEYNAME:kn"),
    (38, "AccountSecureCertSet acc1 /CERTNAME:cn"),
    (0, "AccountStatusHide acc1"),
    (0, "AccountStatusShow acc1"),
    (0, "AccountStartupRemove acc1"),
    (0, "AccountRetrySet acc1 /NUM:999 /INTERVAL:5"),
    (38, "AccountRetrySet acc1 /NUM:999 /INTERVAL:4"),
    (0, "AccountGet acc1"),
    (0, "AccountAnonymousSet acc1"),
    (0, "AccountRetryOnServerCertEnable acc1"),
    (0, "AccountServerCertEnable acc1"),
    (0, "AccountGet acc1"),
    (0, "AccountRetryOnServerCertDisable acc1"),
    // The way to the server.
    (0, "AccountHttpHeaderAdd acc1 /NAME:X-A /DATA:1"),
    (112, "AccountHttpHeaderAdd acc1 /NAME:X-A /DATA:2"),
    (0, "AccountHttpHeaderAdd acc1 /NAME:X-B /DATA:b"),
    (0, "AccountHttpHeaderGet acc1"),
    (
        0,
        "AccountProxyHttp acc1 /SERVER:p.example:8080 /USERNAME:u /PASSWORD:p",
    ),
    (38, "AccountProxyHttp acc1 /SERVER:p.example"),
    (0, "AccountGet acc1"),
    (0, "AccountProxySocks acc1 /SERVER:p.example:1080"),
    (0, "AccountList"),
    (0, "AccountProxyNone acc1"),
    (38, "AccountProxySocks5 acc1 /SERVER:p.example:1080"),
    (0, "AccountDelete acc2"),
    // The service.
    (29, "CertDelete 1"),
    (29, "CertGet 1 /SAVECERT:saved.crt"),
    (38, "CertAdd user.key"),
    (0, "SecureList"),
    (0, "SecureGet"),
    (0, "SecureSelect 1"),
    (0, "RemoteEnable"),
    (0, "RemoteDisable"),
    (0, "KeepSet /HOST:k.example:81 /PROTOCOL:tcp /INTERVAL:60"),
    (38, "KeepSet /HOST:k.example /PROTOCOL:tcp /INTERVAL:60"),
    (38, "KeepSet /HOST:k.example:81 /PROTOCOL:foo /INTERVAL:60"),
    (0, "KeepEnable"),
    (0, "KeepGet"),
    (0, "KeepDisable"),
    // The language.
    (0, "NL"),
    (0, "aget acc1"),
    (117, "Foo"),
    (117, "A"),
    (117, "UserList"),
    (38, "NicList /FOO:1"),
    (0, "PasswordSet clpw /REMOTEONLY:no"),
];

/// A tool, given to a host.
#[derive(Clone, Copy)]
enum Tool<'a> {
    Stock(&'a Stock),
    Ours,
}

impl Tool<'_> {
    /// No command takes as long; a tool that waits for somebody is ended.
    const PATIENCE: &'static str = "90";

    fn command(self, host: &Host, folder: &Path) -> Result<Command> {
        Ok(match self {
            Self::Stock(stock) => stock.command_in(host, folder, Self::PATIENCE),
            Self::Ours => {
                let mut command = host.command("timeout");
                command.arg(Self::PATIENCE).arg("env").arg("-C").arg(folder);
                command.arg(ours::program("vpncmd")?);
                command
            }
        })
    }

    fn say(self, host: &Host, folder: &Path, switches: &[&str], line: &str) -> Result<Answer> {
        let mut command = self.command(host, folder)?;
        command.args(["localhost", "/CLIENT"]).args(switches).arg("/CMD");
        process::answer(command.args(line.split_whitespace()))
    }
}

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

fn make_certificates(desk: &Desk) -> Result<()> {
    for name in ["user", "ca", "srv"] {
        let mut command = Tool::Ours.command(&desk.host, &desk.folder)?;
        command.args(["/TOOLS", "/CMD", "MakeCert2048", &format!("/CN:{name}")]);
        command.args([
            "/O:o",
            "/OU:ou",
            "/C:JP",
            "/ST:st",
            "/L:l",
            "/SERIAL:0A0B0C",
            "/EXPIRES:3650",
        ]);
        command.args([format!("/SAVECERT:{name}.crt"), format!("/SAVEKEY:{name}.key")]);
        process::run(&mut command)?;
    }
    Ok(())
}

/// What scripts parse of an output: the lines after the prompt, without the words for an error.
fn said(line: &str, output: &str) -> Vec<String> {
    let at = output.find("\nVPN Client>").unwrap_or_default();
    let command = line.split(' ').next().unwrap_or_default();
    let lines = format_lines(&comparable(command, &output[at..]));
    let prompt = |line: &String| line.starts_with("VPN Client>");
    let error = lines
        .iter()
        .position(|line| line.starts_with("Error occurred. ("));
    let end = error.map_or(lines.len(), |at| at + 1);
    lines[..end]
        .iter()
        .filter(|line| !prompt(line))
        .cloned()
        .collect()
}

/// What a tool says to all lines in their order.
fn all_said(tool: Tool<'_>, desk: &Desk) -> Result<Vec<Answer>> {
    let say = |(_, line): &(i32, &str)| tool.say(&desk.host, &desk.folder, &[], line);
    LINES.iter().map(say).collect()
}

#[test]
fn both_tools_say_the_same_to_the_stock_client_service() {
    lab::run_with_stock(|lab, stock| {
        let theirs = Desk::new(lab, stock, "theirs")?;
        let ours = Desk::new(lab, stock, "ours")?;
        make_certificates(&theirs)?;
        for file in std::fs::read_dir(&theirs.folder)? {
            let file = file?;
            std::fs::copy(file.path(), ours.folder.join(file.file_name()))?;
        }
        let (stock_answers, our_answers) = std::thread::scope(|scope| {
            let by_stock = scope.spawn(|| all_said(Tool::Stock(stock), &theirs));
            let by_us = all_said(Tool::Ours, &ours);
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
