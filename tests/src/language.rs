//! The administration language: what either tool must be able to say to either server, and what is answered.

use anyhow::{Result, ensure};

use crate::host::Host;
use crate::ours;
use crate::process::Answer;
use crate::stock::Stock;

/// Where the tables are worked through, and the administrator's password there.
const SERVER: &str = "203.0.113.1:443";
/// See `SERVER`.
pub const PASSWORD: &str = "Kita-3193";

/// What both tools must be able to do to both servers: (hub needed, command, what the answer must hold).
const COMMANDS: &[(bool, &str, &str)] = &[
    (false, "ServerInfoGet", "Build"),
    (false, "ServerStatusGet", "Server Type"),
    (false, "HubCreate mikalab /PASSWORD:none", ""),
    (false, "HubList", "mikalab"),
    (true, "StatusGet", "mikalab"),
    (true, "SetEnumDeny", ""),
    (true, "SetEnumAllow", ""),
    (
        true,
        "UserCreate tsumura /GROUP:none /REALNAME:none /NOTE:none",
        "",
    ),
    (true, "UserPasswordSet tsumura /PASSWORD:Fuji-3776", ""),
    (true, "UserList", "tsumura"),
    (true, "UserGet tsumura", "tsumura"),
    (true, "UserAnonymousSet tsumura", ""),
    (true, "SecureNatHostGet", "192.168.30.1"),
    (
        true,
        "SecureNatHostSet /MAC:5E-AA-BB-CC-DD-EE /IP:192.168.40.1 /MASK:255.255.255.0",
        "",
    ),
    (true, "SecureNatHostGet", "192.168.40.1"),
    (true, "NatGet", "MTU"),
    (
        true,
        "NatSet /MTU:1400 /TCPTIMEOUT:900 /UDPTIMEOUT:60 /LOG:no",
        "",
    ),
    (true, "NatGet", "1400"),
    (true, "DhcpGet", "192.168.30.10"),
    (
        true,
        "DhcpSet /START:192.168.40.20 /END:192.168.40.90 /MASK:255.255.255.0 /EXPIRE:3600 /GW:192.168.40.1 \
         /DNS:192.168.40.1 /DNS2:none /DOMAIN:example.org /LOG:no",
        "",
    ),
    (true, "DhcpGet", "192.168.40.90"),
    (true, "SecureNatEnable", ""),
    (true, "SecureNatStatusGet", "mikalab"),
    (true, "DhcpTable", ""),
    (true, "NatTable", ""),
    (true, "SessionList", "SecureNAT"),
    (true, "MacTable", ""),
    (true, "IpTable", ""),
    (true, "SecureNatDisable", ""),
    (false, "BridgeCreate mikalab /DEVICE:lab /TAP:yes", ""),
    (false, "BridgeList", "lab"),
    (false, "BridgeDelete mikalab /DEVICE:lab", ""),
    (true, "ExtOptionList", ""),
    (true, "Offline", ""),
    (true, "StatusGet", "Offline"),
    (true, "Online", ""),
    (true, "StatusGet", "Online"),
    (true, "UserDelete tsumura", ""),
    (
        true,
        "CascadeCreate west /SERVER:vpn.example:443 /HUB:there /USERNAME:bridge",
        "",
    ),
    (
        true,
        "CascadePasswordSet west /PASSWORD:Asama-2568 /TYPE:standard",
        "",
    ),
    (true, "CascadeList", "west"),
    (true, "CascadeGet west", "vpn.example"),
    (true, "CascadeRename west /NEW:north", ""),
    (true, "CascadeDelete north", ""),
    (false, "RouterAdd core", ""),
    (false, "RouterIfAdd core /HUB:mikalab /IP:192.168.10.254/24", ""),
    (false, "RouterIfList core", "192.168.10.254"),
    (
        false,
        "RouterTableAdd core /NETWORK:10.50.0.0/255.255.0.0 /GATEWAY:192.168.10.1 /METRIC:10",
        "",
    ),
    (false, "RouterTableList core", "10.50.0.0"),
    (false, "RouterStart core", ""),
    (false, "RouterList", "core"),
    (false, "RouterStop core", ""),
    (false, "RouterDelete core", ""),
    (false, "KeepSet /HOST:127.0.0.1:80 /PROTOCOL:udp /INTERVAL:60", ""),
    (false, "KeepDisable", ""),
    (false, "KeepGet", "127.0.0.1"),
    (false, "SyslogEnable 1 /HOST:127.0.0.1:514", ""),
    (false, "SyslogGet", "514"),
    (false, "SyslogDisable", ""),
    (true, "LogGet", "Packet"),
    (false, "LogFileList", "server_log/vpn_"),
    (false, "ServerCipherGet", "TLS_AES_256_GCM_SHA384"),
    (false, "ServerCipherSet ECDHE-RSA-AES256-GCM-SHA384", ""),
    (false, "ClusterSettingGet", "Standalone"),
    (false, "Flush", ""),
    (false, "HubDelete mikalab", ""),
];

/// Commands that must fail, and the number that scripts expect.
const REFUSALS: &[(bool, &str, i32)] = &[
    (false, "HubDelete nowhere", 8),
    (true, "UserGet nobody", 29),
    (false, "Fuji", 117),
    (false, "HubCreate mikalab /FUJI:1", 38),
];

/// Works through the tables with `run(options, command)`; every difference is reported, not only the first.
fn is_spoken(mut run: impl FnMut(&[&str], &str) -> Result<Answer>) -> Result<()> {
    let mut wrong = Vec::new();
    let hub = |needed: bool| -> &[&str] { if needed { &["/ADMINHUB:mikalab"] } else { &[] } };
    for (needs_hub, command, expected) in COMMANDS {
        let answer = run(hub(*needs_hub), command)?;
        if answer.code != 0 || !answer.stdout.contains(expected) {
            wrong.push(format!(
                "{command}: exit {}, expected {expected:?} in:\n{}",
                answer.code, answer.stdout
            ));
        }
    }
    run(&[], "HubCreate mikalab /PASSWORD:none")?;
    for (needs_hub, command, code) in REFUSALS {
        let answer = run(hub(*needs_hub), command)?;
        if answer.code != *code {
            wrong.push(format!(
                "{command}: exit {} instead of {code}:\n{}",
                answer.code, answer.stdout
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of the commands went wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Works through the tables with the stock tool, from `host`.
pub fn is_spoken_by_the_stock_tool(stock: &Stock, host: &Host) -> Result<()> {
    let password = format!("/PASSWORD:{PASSWORD}");
    is_spoken(|options, command| {
        let options = [&[password.as_str()], options].concat();
        stock.administer(host, SERVER, &options, command)
    })
}

/// Works through the tables with our tool, from `host`.
pub fn is_spoken_by_our_tool(host: &Host) -> Result<()> {
    let password = format!("/PASSWORD:{PASSWORD}");
    is_spoken(|options, command| {
        let mut arguments = vec![SERVER, "/SERVER", &password];
        arguments.extend(options);
        arguments.push("/CMD");
        arguments.extend(command.split_whitespace());
        ours::vpncmd(host, &arguments)
    })
}
