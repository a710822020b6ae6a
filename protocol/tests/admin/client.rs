//! Every captured call of the client service: nothing is lost in reading it, nothing is changed in writing it.

use protocol::pack::Pack;
use protocol::rpc::client::method::{self, Row, TABLE};
use protocol::rpc::client::{refusal, refused};
use protocol::rpc::method::FUNCTION_NAME;

use crate::capture::{Call, calls_in, elements, is_blank, methods_in};

const FOLDER: &str = "client";

/// What stock managers send in questions without meaning it: structures are sent whole, with their defaults.
const MEANINGLESS: &[(&str, &str)] = &[("GetAccountStatus", "policy:Ver3")];

/// Methods without a capture: the stock tool was not made to call them, or never does.
const NOT_CAPTURED: &[&str] = &[
    "GetCmSetting",
    "SetCmSetting",
    "SetClientConfig",
    "GetCommonProxySetting",
    "SetCommonProxySetting",
    "DeleteCa",
    "GetCa",
    "GetIssuer",
    "EnumSecure",
    "UseSecure",
    "GetUseSecure",
    "EnumObjectInSecure",
    "UpgradeVLan",
    "DeleteVLan",
    "EnableVLan",
    "DisableVLan",
    "SetStartupAccount",
    "RemoveStartupAccount",
    "Disconnect",
];

fn captured() -> impl Iterator<Item = (&'static Row, Call)> {
    let names = methods_in(FOLDER);
    TABLE
        .iter()
        .filter(move |row| names.iter().any(|name| name == row.name))
        .flat_map(|row| {
            calls_in(FOLDER, row.name)
                .into_iter()
                .map(move |call| (row, call))
        })
}

#[test]
fn captured_requests_lose_nothing() {
    for (row, call) in captured() {
        assert_eq!(call.request.str(FUNCTION_NAME), Some(row.name));
        let read = (row.request.pack_to_pack)(&call.request).unwrap();
        compare(row, &call.request, &read);
        let json = (row.request.pack_to_json)(&call.request).unwrap();
        let again = (row.request.json_to_pack)(&json).unwrap();
        assert_eq!(elements(&again), elements(&read), "{} by way of JSON", row.name);
    }
}

/// Requests may shed what is blank, and gain nothing.
fn compare(row: &Row, captured: &Pack, written: &Pack) {
    let (captured, written) = (elements(captured), elements(written));
    for (name, values) in captured.iter().filter(|(name, _)| *name != FUNCTION_NAME) {
        match written.get(name) {
            Some(written) => assert_eq!(written, values, "{name} of {}", row.name),
            None if MEANINGLESS.contains(&(row.name, name)) => {}
            None => assert!(is_blank(values), "{name} of {} is lost: {values:?}", row.name),
        }
    }
    for name in written.keys() {
        assert!(captured.contains_key(name), "{} gains {name}", row.name);
    }
}

#[test]
fn captured_answers_are_written_as_they_were_read() {
    for (row, call) in captured() {
        if let Some(code) = refused(&call.answer) {
            assert_eq!(elements(&refusal(code)), elements(&call.answer), "{}", row.name);
            continue;
        }
        let written = (row.response.pack_to_pack)(&call.answer).unwrap();
        assert_eq!(elements(&written), elements(&call.answer), "{}", row.name);
        let json = (row.response.pack_to_json)(&call.answer).unwrap();
        let written = (row.response.json_to_pack)(&json).unwrap();
        assert_eq!(
            elements(&written),
            elements(&call.answer),
            "{} by way of JSON",
            row.name
        );
    }
}

#[test]
fn every_method_is_captured_or_known_not_to_be() {
    let captured = methods_in(FOLDER);
    for name in &captured {
        assert!(
            method::find(name).is_some(),
            "{name} was captured and is not in the table"
        );
    }
    let missing: Vec<&str> = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| !captured.iter().any(|captured| captured == name))
        .collect();
    assert_eq!(missing, NOT_CAPTURED);
    assert_eq!(TABLE.len(), 37);
}
