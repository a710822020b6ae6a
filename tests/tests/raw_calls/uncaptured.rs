//! Methods of which there is no capture: each is called at both servers here, or has a test that is named here.

use anyhow::{Context, Result, ensure};
use hubward_tests::raw::{Caller, request, shape};
use hubward_tests::{lab, sources};
use protocol::pack::Pack;

use super::{BAD, Both, READ, both};

/// The methods that no capture has; a test of `protocol` keeps the list true.
const NOT_CAPTURED: &str = include_str!("../../../protocol/tests/data/admin/not-captured.txt");
const SCENARIO: &str = include_str!("../../data/conformance/scenario.txt");

/// What shows that a method is right.
enum Proof {
    /// A request that both servers answer alike: with the same elements, or with the same number. `{crl}` is the key of the
    /// hub's revocation, `{caller}` the connection of another administrator.
    Alike(&'static str),
    /// A request that the stock server knows and ours refuses with 33, because the function is not here.
    Lacking(&'static str),
    /// A command of the conformance scenario, at least once with success.
    Command(&'static str),
    /// It is in the table of what is read.
    Read,
    /// A test elsewhere: its file and name.
    Test(&'static str, &'static str),
}

use Proof::{Alike, Command, Lacking, Read, Test};

const PROOFS: &[(&str, Proof)] = &[
    (
        "Test",
        Test(
            "tests/tests/json_rpc.rs",
            "softethers_json_client_calls_every_method",
        ),
    ),
    (
        "SetConfig",
        Test(
            "tests/tests/config.rs",
            "a_file_is_taken_while_the_server_runs_and_the_former_state_comes_back",
        ),
    ),
    (
        "RebootServer",
        Test(
            "vpnserver/tests/serving/binary.rs",
            "a_restart_that_an_administrator_asks_for_happens_in_place",
        ),
    ),
    ("GetAdminMsg", Read),
    ("SetHubMsg", Alike("HubName=s:HUB1 Msg=d:68656c6c6f")),
    ("GetHubMsg", Read),
    ("GetDefaultHubAdminOptions", Read),
    ("DeleteMacTable", Command("MacDelete")),
    ("DeleteIpTable", Command("IpDelete")),
    ("DisconnectConnection", Alike("Name=s:{caller}")),
    (
        "AddDhcpReservation",
        Test(
            "vpnserver/tests/serving/securenat.rs",
            "reservations_are_made_listed_and_deleted_and_clashes_refused",
        ),
    ),
    (
        "DeleteDhcpReservation",
        Test(
            "vpnserver/tests/serving/securenat.rs",
            "reservations_are_made_listed_and_deleted_and_clashes_refused",
        ),
    ),
    (
        "EnumDhcpReservation",
        Test(
            "vpnserver/tests/serving/securenat.rs",
            "reservations_are_made_listed_and_deleted_and_clashes_refused",
        ),
    ),
    ("GetBridgeSupport", Read),
    ("EnumEthVLan", Alike("")),
    ("SetEnableEthVLan", Alike("DeviceName=s:eth0 Enable=i:1")),
    (
        "SetLocalBridge",
        Test(
            "tests/tests/bridge/address.rs",
            "it_changes_in_place_and_is_there_after_a_restart_and_after_kill_9",
        ),
    ),
    (
        "AddDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "they_are_added_listed_and_deleted",
        ),
    ),
    (
        "SetDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "they_are_changed_and_switched",
        ),
    ),
    (
        "EnableDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "they_are_changed_and_switched",
        ),
    ),
    (
        "TestDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "a_refusal_is_told_in_words",
        ),
    ),
    (
        "DeleteDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "they_are_added_listed_and_deleted",
        ),
    ),
    (
        "EnumDnat",
        Test(
            "vpnserver/tests/serving/published.rs",
            "they_are_added_listed_and_deleted",
        ),
    ),
    (
        "SetSecureNATIPv6",
        Test("vpnserver/tests/serving/ipv6.rs", "it_is_set_shown_and_kept"),
    ),
    (
        "GetSecureNATIPv6",
        Test("vpnserver/tests/serving/ipv6.rs", "it_is_set_shown_and_kept"),
    ),
    (
        "EnumBackup",
        Test(
            "tests/tests/json_rpc.rs",
            "softethers_json_client_calls_every_method",
        ),
    ),
    (
        "RestoreBackup",
        Test(
            "tests/tests/config.rs",
            "a_file_is_taken_while_the_server_runs_and_the_former_state_comes_back",
        ),
    ),
    (
        "EnumAudit",
        Test(
            "vpnserver/tests/serving/audit.rs",
            "every_change_and_every_refused_one_is_a_line",
        ),
    ),
    ("SetServerCert", Command("ServerCertSet")),
    ("DeleteCa", Command("CADelete")),
    ("SetCrl", Alike("HubName=s:HUB1 Key=i:{crl} CommonName=u:other")),
    ("DelCrl", Command("CrlDel")),
    ("MakeOpenVpnConfigFile", Lacking("")),
    ("SetOpenVpnSstpConfig", Lacking("EnableSSTP=i:1")),
    ("GetOpenVpnSstpConfig", Lacking("")),
    ("GetEtherIpId", Lacking("Id=s:site1")),
    ("AddWgk", Alike("Key=s:x Hub=s:HUB1 User=s:alice")),
    ("DeleteWgk", Alike("Key=s:x")),
    ("EnumWgk", Alike("")),
    ("ChangeDDnsClientHostname", Lacking("StrValue=s:x")),
    ("GetDDnsInternetSettng", Lacking("")),
    ("GetDDnsInternetSetting", Alike("")),
    ("SetDDnsInternetSettng", Lacking("")),
    ("SetDDnsInternetSetting", Alike("")),
    ("AddLicenseKey", Alike("StrValue=s:x")),
    ("DelLicenseKey", Alike("IntValue=i:1")),
    ("Debug", Lacking("Id=i:12345")),
    // The stock server does what the method says.
    (
        "Crash",
        Test(
            "vpnserver/tests/serving/methods.rs",
            "every_method_is_there_or_lacks_its_function_and_says_so",
        ),
    ),
];

#[test]
fn every_method_without_a_capture_has_a_proof() {
    let proven: Vec<_> = PROOFS.iter().map(|row| row.0).collect();
    let unproven: Vec<_> = NOT_CAPTURED
        .lines()
        .filter(|name| !proven.contains(name))
        .collect();
    println!("methods with neither a capture nor a call at both servers: {unproven:?}");
    assert!(unproven.is_empty(), "{unproven:?}");
    for (method, proof) in PROOFS {
        assert!(NOT_CAPTURED.lines().any(|name| name == *method), "{method}");
        match proof {
            Read => assert!(READ.iter().any(|row| row.0 == *method), "{method} is not read"),
            Command(command) => {
                let succeeds = |line: &str| {
                    let words: Vec<_> = line.split_whitespace().collect();
                    words.get(2) == Some(&"0") && words.get(3) == Some(command)
                };
                assert!(SCENARIO.lines().any(succeeds), "{command} is not in the scenario");
            }
            Test(file, name) => {
                let source = std::fs::read_to_string(sources::top().join(file)).unwrap_or_default();
                assert!(source.contains(&format!("fn {name}(")), "{file} has no {name}");
            }
            Alike(_) | Lacking(_) => {}
        }
    }
    let bad = BAD.iter().filter(|row| row.0 != "NoSuchMethod");
    for method in bad.map(|row| row.0).chain(READ.iter().map(|row| row.0)) {
        assert!(
            protocol::rpc::method::find(method).is_some(),
            "{method} is no method"
        );
    }
}

#[test]
fn methods_without_a_capture_are_answered_as_by_the_stock_server() {
    lab::run_with_stock(|lab, stock| {
        let mut both = both(lab, stock)?;
        let others = both.another_caller()?;
        let mut wrong = Vec::new();
        for (method, proof) in PROOFS {
            let (text, code) = match proof {
                Alike(text) => (text, None),
                Lacking(text) => (text, Some(33)),
                _ => continue,
            };
            let theirs = answer(&mut both.stock, method, text)?;
            let ours = answer(&mut both.ours, method, text)?;
            let alike = match (code, &theirs, &ours) {
                (Some(code), _, Err(ours)) => *ours == code,
                (None, Err(theirs), Err(ours)) => theirs == ours,
                (None, Ok(_), Ok(_)) => true,
                _ => false,
            };
            if !alike {
                let (theirs, ours) = (theirs.map(|pack| shape(&pack)), ours.map(|pack| shape(&pack)));
                wrong.push(format!(
                    "{method}: {theirs:?} of the stock server, {ours:?} of ours"
                ));
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        drop(others);
        for caller in [&mut both.stock, &mut both.ours] {
            let set = caller.call("GetHubMsg", &request("HubName=s:HUB1")?)?;
            let set = set.ok().context("no message")?;
            ensure!(
                set.data("Msg") == Some(b"hello"),
                "the message of HUB1 is {set:?}"
            );
            let key = number(caller, "EnumCrl", "Key")?;
            let entry = caller.call("GetCrl", &request(&format!("HubName=s:HUB1 Key=i:{key}"))?)?;
            let entry = entry.ok().context("no revocation")?;
            ensure!(
                entry.unistr("CommonName") == Some("other"),
                "the revocation is {entry:?}"
            );
        }
        Ok(())
    });
}

impl Both {
    /// A second administrator at each server, who may be hung up on.
    fn another_caller(&self) -> Result<[Caller; 2]> {
        let (stock, ours) = &self.hosts;
        Ok([
            Caller::login(stock, super::PASSWORD)?,
            Caller::login(ours, super::PASSWORD)?,
        ])
    }
}

fn answer(caller: &mut Caller, method: &str, text: &str) -> Result<Result<Pack, u32>> {
    let mut text = text.to_owned();
    if text.contains("{crl}") {
        text = text.replace("{crl}", &number(caller, "EnumCrl", "Key")?.to_string());
    }
    if text.contains("{caller}") {
        text = text.replace("{caller}", &last_connection(caller)?);
    }
    caller.call(method, &request(&text)?)
}

fn number(caller: &mut Caller, list: &str, field: &str) -> Result<u32> {
    let list = caller.call(list, &request("HubName=s:HUB1")?)?;
    let list = list.ok().context("the list is refused")?;
    list.int(field).context("the list is empty")
}

/// The connection that came last.
fn last_connection(caller: &mut Caller) -> Result<String> {
    let list = caller.call("EnumConnection", &Pack::new())?;
    let list = list.ok().context("the list is refused")?;
    let names = (0..list.count("Name")).filter_map(|row| list.str_at("Name", row));
    let numbered = names.filter_map(|name| Some((name.strip_prefix("CID-")?.parse::<u32>().ok()?, name)));
    let last = numbered.max().context("no connection")?;
    Ok(last.1.to_owned())
}
