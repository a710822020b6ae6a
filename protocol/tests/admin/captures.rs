//! Every captured call of every method: nothing is lost in reading it, nothing is changed in writing it.

use std::collections::BTreeMap;

use protocol::pack::Pack;
use protocol::rpc::method::{self, FUNCTION_NAME, Row, TABLE};

use crate::capture::{calls, elements, is_blank, methods};

/// What stock clients send in queries without meaning it: structures are sent whole, with their defaults.
const MEANINGLESS: &[(&str, &str)] = &[
    ("GetLink", "policy:Ver3"),
    ("GetLinkStatus", "policy:Ver3"),
    ("GetSecureNATOption", "ApplyDhcpPushRoutes"),
    ("GetSessionStatus", "policy:Ver3"),
];

/// Methods without a capture: no stock client was made to call them, or they are ours.
const NOT_CAPTURED: &str = include_str!("../data/admin/not-captured.txt");

/// The methods that there are captures of.
fn captured() -> impl Iterator<Item = &'static Row> {
    let names = methods();
    TABLE
        .iter()
        .filter(move |row| names.iter().any(|name| name == row.name))
}

#[test]
fn captured_requests_lose_nothing() {
    for row in captured() {
        for call in calls(row.name) {
            assert_eq!(call.request.str(FUNCTION_NAME), Some(row.name));
            let read = (row.request.pack_to_pack)(&call.request).unwrap();
            assert_same_but_for_blanks(row, &call.request, &read);
            let json = (row.request.pack_to_json)(&call.request).unwrap();
            assert_eq!(
                elements(&(row.request.json_to_pack)(&json).unwrap()),
                elements(&read),
                "{}",
                row.name
            );
        }
    }
}

/// Requests may shed what is blank: our messages do not repeat the answer's fields.
fn assert_same_but_for_blanks(row: &Row, captured: &Pack, written: &Pack) {
    let (captured, written) = (elements(captured), elements(written));
    for (name, values) in captured.iter().filter(|(name, _)| *name != FUNCTION_NAME) {
        match written.get(name) {
            Some(written) => assert_eq!(written, values, "{name} of {}", row.name),
            None if MEANINGLESS.contains(&(row.name, name)) => {}
            None => assert!(is_blank(values), "{name} of {} is lost: {values:?}", row.name),
        }
    }
    let added: BTreeMap<_, _> = written
        .iter()
        .filter(|(name, values)| !captured.contains_key(*name) && !is_blank(values))
        .collect();
    assert!(added.is_empty(), "{} gains {added:?}", row.name);
}

#[test]
fn captured_answers_are_written_as_they_were_read() {
    for row in captured() {
        for call in calls(row.name) {
            if let Some(code) = call.answer.error() {
                assert_eq!(
                    elements(&method::refusal(code)),
                    elements(&call.answer),
                    "{}",
                    row.name
                );
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
}

#[test]
fn every_method_is_captured_or_known_not_to_be() {
    let captured = methods();
    let unknown: Vec<_> = captured
        .iter()
        .filter(|name| method::find(name).is_none())
        .collect();
    assert!(
        unknown.is_empty(),
        "captures of methods that are not in the table: {unknown:?}"
    );
    let missing: Vec<&str> = TABLE
        .iter()
        .map(|row| row.name)
        .filter(|name| !captured.iter().any(|c| c == name))
        .collect();
    println!("methods without a capture: {missing:?}");
    assert_eq!(missing, NOT_CAPTURED.lines().collect::<Vec<_>>());
}
