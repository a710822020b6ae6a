//! Administration calls without a tool between: what is wrong is refused with the stock number and changes nothing, and
//! answers have the elements of stock answers.

mod uncaptured;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use hubward_tests::host::Host;
use hubward_tests::lab;
use hubward_tests::ours::{self, Server};
use hubward_tests::process::{IN_TIME, eventually};
use hubward_tests::raw::{Caller, request, shape, values};
use hubward_tests::stock::Stock;
use protocol::pack::Pack;

const PASSWORD: &str = "admin1";

/// What both servers have before they are called: (hub, command).
const BEFORE: &[(&str, &str)] = &[
    ("", "HubCreate HUB1 /PASSWORD:x"),
    ("", "ListenerCreate 8888"),
    ("", "RouterAdd sw1"),
    ("HUB1", "GroupCreate staff /REALNAME:none /NOTE:none"),
    ("HUB1", "UserCreate alice /GROUP:staff /REALNAME:none /NOTE:none"),
    ("HUB1", "UserPasswordSet alice /PASSWORD:x"),
    (
        "HUB1",
        "AccessAdd pass /MEMO:none /PRIORITY:1 /SRCUSERNAME: /DESTUSERNAME: /SRCMAC: /DESTMAC: /SRCIP:10.0.0.0/8 \
         /DESTIP:0.0.0.0/0 /PROTOCOL:ip /SRCPORT: /DESTPORT: /TCPSTATE:",
    ),
    ("HUB1", "AcAdd allow /PRIORITY:1 /IP:10.0.0.0/8"),
    ("HUB1", "CrlAdd /SERIAL:01 /CN:x"),
    (
        "HUB1",
        "CascadeCreate link1 /SERVER:127.0.0.1:5 /HUB:h /USERNAME:u",
    ),
    ("HUB1", "ExtOptionSet AdjustTcpMssValue /VALUE:1300"),
    ("HUB1", "AdminOptionSet no_change_users /VALUE:1"),
];

/// Calls that are wrong: method, request, what is wrong.
const BAD: &[(&str, &str, &str)] = &[
    ("NoSuchMethod", "", "no such method"),
    ("CreateHub", "HubType=i:0", "no name"),
    ("CreateHub", "HubName=s*300 HubType=i:0", "long name"),
    ("CreateHub", "HubName=s:a/b HubType=i:0", "a name that cannot be"),
    ("CreateHub", "HubName=s:hub1 HubType=i:0", "there already"),
    ("CreateHub", "HubName=i:5 HubType=i:0", "a number for a name"),
    ("SetHub", "HubName=s:none HubType=i:0", "no such hub"),
    ("GetHub", "HubName=s:none", "no such hub"),
    ("GetHub", "", "no hub"),
    ("GetHub", "HubName=i:1", "a number for a name"),
    ("GetHubStatus", "HubName=s:none", "no such hub"),
    ("DeleteHub", "HubName=s:none", "no such hub"),
    ("SetHubOnline", "HubName=s:none Online=i:1", "no such hub"),
    ("GetHubMsg", "HubName=s:none", "no such hub"),
    ("GetHubLog", "HubName=s:none", "no such hub"),
    ("GetHubRadius", "HubName=s:none", "no such hub"),
    ("GetHubExtOptions", "HubName=s:none", "no such hub"),
    ("GetHubAdminOptions", "HubName=s:none", "no such hub"),
    ("CreateUser", "HubName=s:HUB1 AuthType=i:0", "no name"),
    (
        "CreateUser",
        "HubName=s:HUB1 Name=s:alice AuthType=i:0",
        "there already",
    ),
    (
        "CreateUser",
        "HubName=s:HUB1 Name=s:ALICE AuthType=i:0",
        "there already, in capitals",
    ),
    (
        "CreateUser",
        "HubName=s:none Name=s:bob AuthType=i:0",
        "no such hub",
    ),
    (
        "CreateUser",
        "HubName=s:HUB1 Name=s:bob GroupName=s:none1 AuthType=i:0",
        "no such group",
    ),
    (
        "CreateUser",
        "HubName=s:HUB1 Name=i:1 AuthType=i:0",
        "a number for a name",
    ),
    (
        "SetUser",
        "HubName=s:HUB1 Name=s:bob AuthType=i:0",
        "no such user",
    ),
    (
        "SetUser",
        "HubName=s:HUB1 Name=s:alice GroupName=s:none1 AuthType=i:0",
        "no such group",
    ),
    ("GetUser", "HubName=s:HUB1 Name=s:bob", "no such user"),
    ("GetUser", "HubName=s:none Name=s:alice", "no such hub"),
    ("GetUser", "HubName=s:HUB1", "no name"),
    ("DeleteUser", "HubName=s:HUB1 Name=s:bob", "no such user"),
    ("EnumUser", "HubName=s:none", "no such hub"),
    ("CreateGroup", "HubName=s:HUB1", "no name"),
    ("CreateGroup", "HubName=s:HUB1 Name=s:staff", "there already"),
    ("SetGroup", "HubName=s:HUB1 Name=s:none1", "no such group"),
    ("GetGroup", "HubName=s:HUB1 Name=s:none1", "no such group"),
    ("DeleteGroup", "HubName=s:HUB1 Name=s:none1", "no such group"),
    ("EnumGroup", "HubName=s:none", "no such hub"),
    ("CreateListener", "Port=i:0 Enable=i:1", "port 0"),
    ("CreateListener", "Port=i:70000 Enable=i:1", "no port"),
    ("CreateListener", "Port=i:8888 Enable=i:1", "there already"),
    ("DeleteListener", "Port=i:4", "no such listener"),
    ("EnableListener", "Port=i:4 Enable=i:1", "no such listener"),
    ("EnumSession", "HubName=s:none", "no such hub"),
    (
        "GetSessionStatus",
        "HubName=s:HUB1 Name=s:SID-NONE-1",
        "no such session",
    ),
    (
        "DeleteSession",
        "HubName=s:HUB1 Name=s:SID-NONE-1",
        "no such session",
    ),
    ("EnumMacTable", "HubName=s:none", "no such hub"),
    ("DeleteMacTable", "HubName=s:HUB1 Key=i:77", "no such entry"),
    ("DeleteIpTable", "HubName=s:HUB1 Key=i:77", "no such entry"),
    ("GetConnectionInfo", "Name=s:CID-9999", "no such connection"),
    ("DisconnectConnection", "Name=s:CID-9999", "no such connection"),
    ("AddAccess", "HubName=s:none", "no such hub"),
    ("DeleteAccess", "HubName=s:HUB1 Id=i:99", "no such rule"),
    ("EnumAccess", "HubName=s:none", "no such hub"),
    ("GetAcList", "HubName=s:none", "no such hub"),
    ("AddCa", "HubName=s:HUB1 Cert=d:0102", "no certificate"),
    ("AddCa", "HubName=s:none", "no such hub"),
    ("GetCa", "HubName=s:HUB1 Key=i:77", "no such authority"),
    ("DeleteCa", "HubName=s:HUB1 Key=i:77", "no such authority"),
    ("AddCrl", "HubName=s:none", "no such hub"),
    ("GetCrl", "HubName=s:HUB1 Key=i:77", "no such entry"),
    ("SetCrl", "HubName=s:HUB1 Key=i:77", "no such entry"),
    ("DelCrl", "HubName=s:HUB1 Key=i:77", "no such entry"),
    ("EnumCrl", "HubName=s:none", "no such hub"),
    ("SetHubRadius", "HubName=s:none", "no such hub"),
    ("EnableSecureNAT", "HubName=s:none", "no such hub"),
    ("GetSecureNATOption", "RpcHubName=s:none", "no such hub"),
    ("GetSecureNATStatus", "HubName=s:HUB1", "not running"),
    ("EnumNAT", "HubName=s:HUB1", "not running"),
    ("EnumDHCP", "HubName=s:HUB1", "not running"),
    ("CreateLink", "HubName_Ex=s:none AccountName=u:x", "no such hub"),
    (
        "GetLink",
        "HubName_Ex=s:HUB1 AccountName=u:none",
        "no such cascade",
    ),
    (
        "GetLinkStatus",
        "HubName_Ex=s:HUB1 AccountName=u:none",
        "no such cascade",
    ),
    (
        "GetLinkStatus",
        "HubName_Ex=s:HUB1 AccountName=u:link1",
        "offline",
    ),
    (
        "DeleteLink",
        "HubName=s:HUB1 AccountName=u:none",
        "no such cascade",
    ),
    (
        "SetLinkOnline",
        "HubName=s:HUB1 AccountName=u:none",
        "no such cascade",
    ),
    (
        "SetLinkOffline",
        "HubName=s:HUB1 AccountName=u:none",
        "no such cascade",
    ),
    (
        "RenameLink",
        "HubName=s:HUB1 OldAccountName=u:none NewAccountName=u:b",
        "no such cascade",
    ),
    ("EnumLink", "HubName=s:none", "no such hub"),
    ("AddL3Switch", "Name=s:sw1", "there already"),
    ("AddL3Switch", "", "no name"),
    ("DelL3Switch", "Name=s:none", "no such switch"),
    ("StartL3Switch", "Name=s:none", "no such switch"),
    ("StartL3Switch", "Name=s:sw1", "no interface"),
    ("StopL3Switch", "Name=s:none", "no such switch"),
    ("EnumL3If", "Name=s:none", "no such switch"),
    ("EnumL3Table", "Name=s:none", "no such switch"),
    ("DelL3If", "Name=s:sw1 HubName=s:HUB1", "no such interface"),
    ("AddLocalBridge", "", "no hub and no device"),
    (
        "DeleteLocalBridge",
        "HubNameLB=s:HUB1 DeviceName=s:none",
        "no such bridge",
    ),
    ("SetServerCert", "Cert=d:0102 Key=d:0102", "no certificate"),
    ("SetServerCert", "", "no certificate at all"),
    ("SetServerCipher", "String=s:NO-SUCH-CIPHER", "no such cipher"),
    ("ReadLogFile", "FilePath=s:../../etc/passwd", "no log file"),
    ("SetHubMsg", "HubName=s:none", "no such hub"),
    ("SetHubLog", "HubName=s:none", "no such hub"),
    ("AddLicenseKey", "StrValue=s:x", "no licences"),
    ("EnumLicenseKey", "", "no licences"),
    ("GetFarmConnectionStatus", "", "no cluster"),
    ("EnumEthVLan", "", "only on Windows"),
];

/// Where our server refuses what the stock server takes, or says another number: method, what is wrong, ours, and why.
const OTHERWISE: &[(&str, &str, u32, &str)] = &[
    ("CreateHub", "long name", 38, "the stock server cuts it off"),
    (
        "SetServerCipher",
        "no such cipher",
        56,
        "the stock server keeps what it cannot use",
    ),
];

/// Everything that can be read of a server: method and request.
const READ: &[(&str, &str)] = &[
    ("GetServerInfo", ""),
    ("GetServerStatus", ""),
    ("EnumListener", ""),
    ("GetPortsUDP", ""),
    ("GetSpecialListener", ""),
    ("EnumHub", ""),
    ("GetHub", "HubName=s:HUB1"),
    ("GetHubStatus", "HubName=s:HUB1"),
    ("GetHubMsg", "HubName=s:HUB1"),
    ("GetHubLog", "HubName=s:HUB1"),
    ("GetHubRadius", "HubName=s:HUB1"),
    ("GetHubExtOptions", "HubName=s:HUB1"),
    ("GetHubAdminOptions", "HubName=s:HUB1"),
    ("GetDefaultHubAdminOptions", "HubName=s:HUB1"),
    ("EnumUser", "HubName=s:HUB1"),
    ("GetUser", "HubName=s:HUB1 Name=s:alice"),
    ("EnumGroup", "HubName=s:HUB1"),
    ("GetGroup", "HubName=s:HUB1 Name=s:staff"),
    ("EnumSession", "HubName=s:HUB1"),
    ("EnumMacTable", "HubName=s:HUB1"),
    ("EnumIpTable", "HubName=s:HUB1"),
    ("EnumConnection", ""),
    ("EnumAccess", "HubName=s:HUB1"),
    ("GetAcList", "HubName=s:HUB1"),
    ("EnumCa", "HubName=s:HUB1"),
    ("EnumCrl", "HubName=s:HUB1"),
    ("GetSecureNATOption", "RpcHubName=s:HUB1"),
    ("EnumLink", "HubName=s:HUB1"),
    ("GetLink", "HubName_Ex=s:HUB1 AccountName=u:link1"),
    ("EnumL3Switch", ""),
    ("EnumL3If", "Name=s:sw1"),
    ("EnumL3Table", "Name=s:sw1"),
    ("EnumEthernet", ""),
    ("EnumLocalBridge", ""),
    ("GetBridgeSupport", ""),
    ("GetServerCert", ""),
    ("GetServerCipher", ""),
    ("GetServerCipherList", ""),
    ("GetKeep", ""),
    ("GetSysLog", ""),
    ("EnumLogFile", ""),
    ("GetAdminMsg", ""),
    ("GetFarmSetting", ""),
    ("GetConfig", ""),
];

/// Elements that only one of the two has: method, element, and why.
const OTHER_ELEMENTS: &[(&str, &str, &str)] = &[
    ("GetPortsUDP", "Ports", "a list of nothing has no element"),
    ("GetHubMsg", "Msg", "the stock server leaves an empty message out"),
    ("GetSecureNATOption", "DhcpReservations", "ours"),
];

/// What goes on by itself.
const RESTLESS: &[&str] = &[
    "CurrentTime",
    "CurrentTick",
    "UsedMemory",
    "FreeMemory",
    "UsedPhys",
    "FreePhys",
    "LastCommTime",
    "NumTcpConnections",
    "NumTcpConnectionsLocal",
    "FileSize",
    "UpdatedTime",
    "FileData",
];

struct Both {
    stock: Caller,
    ours: Caller,
    _running: (hubward_tests::process::Daemon, Server),
    hosts: (Host, Host),
}

/// A stock server and ours, in the same state.
fn both(lab: &lab::Lab, stock: &Stock) -> Result<Both> {
    let hosts = (lab.host("server")?, lab.host("server")?);
    let daemon = stock.server(&hosts.0)?;
    let server = Server::start(&hosts.1, &[])?;
    let set = format!("ServerPasswordSet {PASSWORD}");
    stock
        .administer(&hosts.0, "localhost:443", &[], "HubDelete DEFAULT")?
        .success()?;
    stock
        .administer(&hosts.0, "localhost:443", &[], &set)?
        .success()?;
    ours::administer(&hosts.1, "", &[&set])?;
    for host in [&hosts.0, &hosts.1] {
        for (hub, command) in BEFORE {
            let (password, hub) = (format!("/PASSWORD:{PASSWORD}"), format!("/ADMINHUB:{hub}"));
            let options = [password.as_str(), hub.as_str()];
            let options = if hub.len() > "/ADMINHUB:".len() {
                &options[..]
            } else {
                &options[..1]
            };
            let done = stock.administer(host, "127.0.0.1:443", options, command)?;
            done.success().with_context(|| (*command).to_owned())?;
        }
    }
    Ok(Both {
        stock: alone(&hosts.0)?,
        ours: alone(&hosts.1)?,
        _running: (daemon, server),
        hosts,
    })
}

/// An administrator at a server that has seen the others off: the list of connections is part of what is compared.
fn alone(host: &Host) -> Result<Caller> {
    let mut caller = Caller::login(host, PASSWORD)?;
    eventually(IN_TIME, "the end of the other connections", || {
        let list = caller.call("EnumConnection", &Pack::new())?;
        let list = list.ok().context("the list is refused")?;
        Ok((list.count("Name") == 1).then_some(()))
    })?;
    Ok(caller)
}

fn state(caller: &mut Caller) -> Result<BTreeMap<String, BTreeMap<String, Vec<String>>>> {
    let mut state = BTreeMap::new();
    for (method, arguments) in READ {
        let answer = caller.call(method, &request(arguments)?)?;
        let mut values = answer.as_ref().map(values).unwrap_or_default();
        values.retain(|name, _| !RESTLESS.contains(&name.as_str()));
        state.insert((*method).to_owned(), values);
    }
    Ok(state)
}

#[test]
fn wrong_calls_get_the_stock_number_and_change_nothing() {
    lab::run_with_stock(|lab, stock| {
        let mut both = both(lab, stock)?;
        let before = state(&mut both.ours)?;
        let mut wrong = Vec::new();
        for (method, arguments, what) in BAD {
            let call = request(arguments)?;
            let code = |answer: Result<_, u32>| answer.err().unwrap_or(0);
            let stock = code(both.stock.call(method, &call)?.map(drop));
            let ours = code(both.ours.call(method, &call)?.map(drop));
            let otherwise = OTHERWISE.iter().find(|row| row.0 == *method && row.1 == *what);
            match otherwise {
                Some(row) if ours == row.2 && ours != stock => {}
                None if ours == stock => {}
                _ => wrong.push(format!(
                    "{method} ({what}): {stock} of the stock server, {ours} of ours"
                )),
            }
        }
        let after = state(&mut both.ours)?;
        for (method, values) in &before {
            if values != &after[method] {
                wrong.push(format!(
                    "{method} says something else:\n{values:?}\n{:?}",
                    after[method]
                ));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn answers_have_the_elements_of_stock_answers() {
    lab::run_with_stock(|lab, stock| {
        let mut both = both(lab, stock)?;
        let mut wrong = Vec::new();
        for (method, arguments) in READ {
            let call = request(arguments)?;
            let (stock, ours) = match (both.stock.call(method, &call)?, both.ours.call(method, &call)?) {
                (Ok(stock), Ok(ours)) => (shape(&stock), shape(&ours)),
                (Err(stock), Err(ours)) if stock == ours => continue,
                (stock, ours) => {
                    let (stock, ours) = (stock.map(drop), ours.map(drop));
                    wrong.push(format!(
                        "{method}: {stock:?} of the stock server, {ours:?} of ours"
                    ));
                    continue;
                }
            };
            let known = |name: &String| OTHER_ELEMENTS.iter().any(|row| row.0 == *method && row.1 == name);
            let lost: Vec<_> = stock
                .iter()
                .filter(|(name, kind)| ours.get(*name) != Some(kind) && !known(name))
                .collect();
            let more: Vec<_> = ours
                .iter()
                .filter(|(name, _)| !stock.contains_key(*name) && !known(name))
                .collect();
            if !lost.is_empty() || !more.is_empty() {
                wrong.push(format!("{method} lacks {lost:?} and has {more:?} more"));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}
