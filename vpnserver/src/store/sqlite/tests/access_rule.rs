//! Access lists: what is written is what is read, in order, by position and by key.

use std::net::{Ipv4Addr, Ipv6Addr};

use hub_core::MacAddr;
use hub_core::access::{Addresses, Masked, PortRange, Rule, TcpState};
use protocol::error::ErrorCode;

use crate::store::testing::{Fixture, hub};
use crate::store::{AccessRule, AdminOption, SqliteStore, Store};

fn office() -> Fixture {
    let fixture = Fixture::new();
    fixture.store.add_hub(&hub("office")).unwrap();
    fixture
}

fn rule(note: &str, priority: u32, discard: bool) -> Rule {
    Rule {
        note: note.to_owned(),
        ..Rule::new(priority, discard, Addresses::ANY_V4)
    }
}

/// Positions and notes.
fn listed(store: &SqliteStore) -> Vec<(u32, String)> {
    let rules = store.access_rules("office").unwrap().into_iter();
    rules.map(|rule| (rule.position, rule.rule.note)).collect()
}

fn list(of: &[(u32, &str)]) -> Vec<(u32, String)> {
    of.iter()
        .map(|(place, note)| (*place, (*note).to_owned()))
        .collect()
}

#[test]
fn every_part_of_a_rule_is_read_as_it_was_written() {
    let Fixture { store, .. } = office();
    let mac = |byte| Masked {
        address: MacAddr::new([byte; 6]),
        mask: MacAddr::new([0xff, 0xff, 0xff, 0, 0, 0]),
    };
    let v4 = Rule {
        active: false,
        addresses: Addresses::V4 {
            source: Masked {
                address: Ipv4Addr::new(10, 1, 2, 3),
                mask: Ipv4Addr::new(255, 0, 255, 0),
            },
            destination: Masked {
                address: Ipv4Addr::new(192, 0, 2, 1),
                mask: Ipv4Addr::BROADCAST,
            },
        },
        protocol: 6,
        source_ports: PortRange { start: 1, end: 2 },
        destination_ports: PortRange {
            start: 80,
            end: 65_535,
        },
        source_user: "include:staff.txt".to_owned(),
        destination_user: "guests".to_owned(),
        source_mac: Some(mac(1)),
        destination_mac: Some(mac(2)),
        tcp_state: Some(TcpState::Unestablished),
        delay_ms: 100,
        jitter_percent: 20,
        loss_percent: 3,
        redirect_url: "http://192.0.2.1/".to_owned(),
        ..rule("日本", 1, false)
    };
    let v6 = Rule {
        addresses: Addresses::V6 {
            source: Masked {
                address: "2001:db8::1".parse().unwrap(),
                mask: Ipv6Addr::from_bits(u128::MAX),
            },
            destination: Masked {
                address: Ipv6Addr::UNSPECIFIED,
                mask: Ipv6Addr::UNSPECIFIED,
            },
        },
        tcp_state: Some(TcpState::Established),
        ..rule("", u32::MAX, true)
    };
    for rule in [&v4, &v6] {
        store.add_access_rule("office", rule).unwrap();
    }
    let read: Vec<_> = store
        .access_rules("OFFICE")
        .unwrap()
        .into_iter()
        .map(|rule| rule.rule)
        .collect();
    assert_eq!(read, [v4, v6]);
}

#[test]
fn rules_are_tried_by_priority_and_what_passes_first() {
    let Fixture { store, .. } = office();
    for (note, priority, discard) in [
        ("last", 50, false),
        ("drop", 10, true),
        ("pass", 10, false),
        ("pass too", 10, false),
    ] {
        store
            .add_access_rule("office", &rule(note, priority, discard))
            .unwrap();
    }
    let expected = [(1, "pass"), (2, "pass too"), (3, "drop"), (4, "last")];
    assert_eq!(listed(&store), list(&expected));
}

#[test]
fn positions_stay_when_a_rule_is_deleted_and_are_given_anew_when_one_is_added() {
    let Fixture { store, .. } = office();
    for (note, priority) in [("a", 1), ("b", 2), ("c", 3)] {
        store
            .add_access_rule("office", &rule(note, priority, false))
            .unwrap();
    }
    store.delete_access_rule("office", 1).unwrap();
    assert_eq!(listed(&store), list(&[(2, "b"), (3, "c")]));
    for missing in [0, 1, 4, 4_000_000] {
        let refused = store.delete_access_rule("office", missing).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ObjectNotFound);
    }
    let key = store.access_rules("office").unwrap()[1].key;
    assert!(AccessRule::is_key(key));
    store.delete_access_rule("office", key).unwrap();
    store.add_access_rule("office", &rule("d", 9, false)).unwrap();
    assert_eq!(listed(&store), list(&[(1, "b"), (2, "d")]));
}

#[test]
fn a_list_that_is_written_back_keeps_its_keys() {
    let Fixture { store, .. } = office();
    for (note, priority) in [("a", 1), ("b", 2)] {
        store
            .add_access_rule("office", &rule(note, priority, false))
            .unwrap();
    }
    let before = store.access_rules("office").unwrap();
    store.set_access_rules("office", &before).unwrap();
    assert_eq!(store.access_rules("office").unwrap(), before);
    // Twice the same key is one rule's and a new one.
    let doubled = [
        before[0].clone(),
        before[0].clone(),
        AccessRule::new(rule("c", 9, true)),
    ];
    store.set_access_rules("office", &doubled).unwrap();
    let after = store.access_rules("office").unwrap();
    assert_eq!((after.len(), after[0].key), (3, before[0].key));
    assert!(after[1].key != after[0].key && AccessRule::is_key(after[2].key));
}

#[test]
fn a_list_that_is_too_long_or_holds_a_bad_rule_changes_nothing() {
    let Fixture { store, .. } = office();
    store.add_access_rule("office", &rule("a", 1, false)).unwrap();
    let before = store.access_rules("office").unwrap();
    let long = Rule {
        source_user: "u".repeat(256),
        ..rule("", 1, false)
    };
    let refused = store.add_access_rule("office", &long).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidParameter);
    store
        .update_hub("office", &|hub| {
            hub.admin_options.set(AdminOption::MaxAccessLists, 1);
            Ok(())
        })
        .unwrap();
    let refused = store.add_access_rule("office", &rule("b", 1, false)).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooManyAccessLists);
    let two = [before[0].clone(), before[0].clone()];
    let refused = store.set_access_rules("office", &two).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooManyAccessLists);
    assert_eq!(store.access_rules("office").unwrap(), before);
}
