//! Commands for client services that no capture shows.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::cascade::LinkAuthType;
use protocol::rpc::client::account::Account;
use protocol::rpc::client::smart_card::{CardDeviceList, CardDeviceRow};
use protocol::rpc::session::LinkState;
use protocol::rpc::{RpcMessage, Secret};
use vpncmd::console::Style;

type Calls = Rc<RefCell<Vec<(String, Pack)>>>;

/// Runs a command line at a service that gives this answer to everything; returns the result, what was printed, and the
/// calls.
fn run(line: &str, answer: &impl RpcMessage, json: bool) -> (u32, String, Vec<(String, Pack)>) {
    let calls = Calls::default();
    let answer = answer.to_pack();
    let service = {
        let calls = Rc::clone(&calls);
        common::Answers(move |method: &str, request: &Pack| -> Result<Pack, ErrorCode> {
            calls.borrow_mut().push((method.to_owned(), request.clone()));
            Ok(answer.clone())
        })
    };
    let style = Style {
        json,
        ..Style::default()
    };
    let (mut shell, screen) = common::client_shell(service, style, "");
    shell.run(&common::words(line));
    let calls = calls.borrow().clone();
    (shell.last(), screen.text(), calls)
}

fn account() -> Account {
    let mut account = Account {
        account_name: "lab".to_owned(),
        shortcut_key: [0xab; 20],
        ..Account::default()
    };
    account.auth.auth_type = LinkAuthType::PlainPassword;
    account.auth.plain_password = Some(Secret::new("Fuji-3776".to_owned()));
    account.auth.hashed_password = Some(Secret::new(b"Fuji-3776 hashed".to_vec()));
    account.auth.client_k = Some(Secret::new(b"Fuji-3776 key".to_vec()));
    account.option.proxy_password = Secret::new("Fuji-3776 proxy".to_owned());
    account
}

#[test]
fn secrets_of_an_account_are_not_shown() {
    for json in [false, true] {
        let (result, text, _) = run("AccountGet lab", &account(), json);
        assert_eq!(result, 0, "{text}");
        assert!(text.contains("lab") && !text.contains("Fuji"), "{text}");
        // In JSON bytes are Base64.
        assert!(!text.contains("RnVqaS0z") && !text.contains("q6ur"), "{text}");
    }
}

#[test]
fn a_change_keeps_everything_else_and_sends_nothing_of_the_services_own() {
    let (result, text, calls) = run(
        "AccountSet lab /SERVER:[2001:db8::1]:992 /HUB:h",
        &account(),
        false,
    );
    assert_eq!(result, 0, "{text}");
    let (method, request) = calls.last().unwrap();
    assert_eq!(method, "SetAccount");
    let sent = Account::from_pack(request).unwrap();
    let mut expected = account();
    expected.shortcut_key = [0; 20];
    expected.option.hostname = "2001:db8::1".to_owned();
    expected.option.port = 992;
    expected.option.hub_name = "h".to_owned();
    assert_eq!(sent, expected);
}

#[test]
fn an_empty_state_is_no_connection() {
    let (result, text, _) = run("AccountStatusGet lab", &LinkState::default(), false);
    assert_eq!(result, 37, "{text}");
}

#[test]
fn what_an_older_service_does_not_know_is_not_sent_to_it() {
    for line in ["AccountDefaultCAEnable lab", "AccountDefaultCADisable lab"] {
        let (result, text, calls) = run(line, &account(), false);
        assert_eq!(result, 33, "{text}");
        assert_eq!(calls.len(), 1, "{calls:?}");
    }
    let known = Account {
        add_default_ca: Some(false),
        ..account()
    };
    let (result, text, calls) = run("AccountDefaultCAEnable lab", &known, false);
    assert_eq!(result, 0, "{text}");
    assert!(calls[1].1.bool("AddDefaultCA"), "{calls:?}");
}

#[test]
fn drivers_of_smart_cards_are_listed_as_blocks() {
    let list = CardDeviceList {
        devices: vec![CardDeviceRow {
            device_id: 3,
            kind: 1,
            device_name: "Token".to_owned(),
            manufacturer: "Maker".to_owned(),
        }],
    };
    let (_, text, _) = run("SecureList", &list, false);
    assert!(
        text.contains("ID          |3\n") && text.contains("Type        |USB Token\n"),
        "{text}"
    );
}
