//! The command lines for client services, and what tools say to them.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::conformance::normal::{comparable, format_lines};
use crate::host::Host;
use crate::ours;
use crate::process::{self, Answer};
use crate::stock::Stock;

/// What the stock tool ends with, and the line: first those of the captures in their order, then those that go where the
/// captures do not.
pub const LINES: &[(i32, &str)] = &[
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
#[derive(Clone, Copy, Debug)]
pub enum Tool<'a> {
    /// The stock one.
    Stock(&'a Stock),
    /// Our own.
    Ours,
}

impl Tool<'_> {
    /// No command takes as long; a tool that waits for somebody is ended.
    const PATIENCE: &'static str = "90";

    /// The tool on `host`, in `folder`; it is ended when it waits for somebody.
    pub fn command(self, host: &Host, folder: &Path) -> Result<Command> {
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

    /// What it says to one line for the client service on its host.
    pub fn say(self, host: &Host, folder: &Path, switches: &[&str], line: &str) -> Result<Answer> {
        let mut command = self.command(host, folder)?;
        command.args(["localhost", "/CLIENT"]).args(switches).arg("/CMD");
        process::answer(command.args(line.split_whitespace()))
    }
}

/// Runs a tool that asks for a password when the one it has is wrong: it is told by `^D` that nobody is there, since the stock tool
/// asks in circles at the end of its input.
pub fn unattended(command: &mut Command) -> Result<Answer> {
    const CTRL_D: u8 = 4;
    let (input, mut keys) = std::io::pipe()?;
    keys.write_all(&[CTRL_D; 4])?;
    drop(keys);
    process::answer_fed(command.stdin(input))
}

/// What scripts parse of an output: the lines after the prompt, without the words for an error.
pub fn said(line: &str, output: &str) -> Vec<String> {
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
pub fn all_said(tool: Tool<'_>, host: &Host, folder: &Path) -> Result<Vec<Answer>> {
    let say = |(_, line): &(i32, &str)| tool.say(host, folder, &[], line);
    LINES.iter().map(say).collect()
}
