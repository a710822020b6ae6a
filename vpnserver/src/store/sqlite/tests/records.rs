//! What is written is what is read, and what may not be written is not.

use std::net::Ipv4Addr;
use std::time::{Duration, UNIX_EPOCH};

use hub_core::MacAddr;
use nat::dnat::Check;
use nat::{Holder, Reservation};
use protocol::error::ErrorCode;
use protocol::policy::Policy;

use crate::secret::{Identity, PasswordRecord};
use crate::store::testing::{Fixture, hub, user};
use crate::store::{
    Action, Change, Counters, DnatRule, Feed, Group, HubName, HubOption, Id, KeptLease, Listener,
    LocalBridge, Noun, Store, StoreError, Timestamp, Traffic, UsageReport, UserAuth, UserName,
};

/// A store with the hub `office`.
fn office() -> Fixture {
    let fixture = Fixture::new();
    fixture.store.add_hub(&hub("office")).unwrap();
    fixture
}

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ErrorCode {
    result.unwrap_err().code()
}

#[test]
fn a_hub_is_read_as_it_was_written() {
    let Fixture { store, vault, dir } = Fixture::new();
    let mut made = hub("Office");
    made.password = Some(vault.seal(&Identity::HubAdmin(made.id), b"hashes").unwrap());
    made.online = false;
    made.max_sessions = 12;
    made.no_enum = true;
    made.message = "Welcome 日本".into();
    made.secure_nat.enabled = true;
    made.secure_nat.config.mtu = 1400;
    made.secure_nat.config.dhcp_push_routes = "10.0.0.0/255.0.0.0/192.168.30.1".parse().unwrap();
    made.logs.classes = [2, 1, 0, 1, 2, 0, 1, 2];
    made.options.set(HubOption::AllowStandardPassword, 1);
    made.options.set(HubOption::NoMacAddressLog, 0);
    store.add_hub(&made).unwrap();
    drop(store);
    let store = crate::store::SqliteStore::open(dir.path()).unwrap().store;
    let read = store.hub("OFFICE").unwrap();
    assert_eq!(format!("{read:?}"), format!("{made:?}"));
    assert_eq!(read.password, made.password);
    assert_eq!(store.hubs().unwrap().len(), 1);
}

#[test]
fn every_kind_of_user_is_read_as_it_was_written() {
    let Fixture { store, .. } = office();
    let record = PasswordRecord::from_stored("$argon2id$...".into());
    let kinds = [
        UserAuth::Anonymous,
        UserAuth::Password {
            record: Some(record),
            standard: None,
        },
        UserAuth::Password {
            record: None,
            standard: None,
        },
        UserAuth::Certificate {
            der: vec![0x30, 0x82],
        },
        UserAuth::Signed {
            common_name: Some("Alice".into()),
            serial: Some(vec![1, 2]),
        },
        UserAuth::Signed {
            common_name: None,
            serial: None,
        },
        UserAuth::Radius {
            name: Some("alice@example.org".into()),
        },
        UserAuth::Nt { name: None },
    ];
    for (number, auth) in kinds.into_iter().enumerate() {
        let mut made = user(&format!("user{number}"), auth);
        made.real_name = "Alice Example".into();
        made.note = "a note".into();
        made.expires = Timestamp::from_millis(1_900_000_000_000);
        made.policy = Some(Policy {
            max_connection: 4,
            no_bridge: true,
            ..Policy::default()
        });
        store.add_user("office", &made).unwrap();
        let read = store.user("Office", made.name.as_str()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{made:?}"));
    }
    assert_eq!(store.users("office").unwrap().len(), 8);
}

#[test]
fn names_are_unique_whatever_their_case() {
    let Fixture { store, .. } = office();
    store
        .add_user("office", &user("alice", UserAuth::Anonymous))
        .unwrap();
    assert_eq!(code(store.add_hub(&hub("OFFICE"))), ErrorCode::HubExists);
    assert_eq!(
        code(store.add_user("office", &user("ALICE", UserAuth::Anonymous))),
        ErrorCode::UserExists
    );
}

#[test]
fn what_is_missing_has_the_number_that_tools_know() {
    let Fixture { store, .. } = office();
    assert_eq!(code(store.hub("none")), ErrorCode::HubNotFound);
    assert_eq!(code(store.users("none")), ErrorCode::HubNotFound);
    assert_eq!(code(store.user("office", "none")), ErrorCode::ObjectNotFound);
    assert_eq!(
        code(store.delete_user("office", "none")),
        ErrorCode::ObjectNotFound
    );
    assert_eq!(
        code(store.delete_group("office", "none")),
        ErrorCode::GroupNotFound
    );
    assert_eq!(code(store.set_listener(443, true)), ErrorCode::ListenerNotFound);
    assert_eq!(
        code(store.delete_local_bridge("office", "eth0")),
        ErrorCode::ObjectNotFound
    );
    assert_eq!(code(store.delete_dnat_rule("web")), ErrorCode::ObjectNotFound);
}

#[test]
fn an_edit_cannot_change_who_a_record_is() {
    let Fixture { store, .. } = office();
    let made = user("alice", UserAuth::Anonymous);
    store.add_user("office", &made).unwrap();
    let edited = store
        .update_user("office", "alice", &|user| {
            user.id = Id::random();
            user.name = UserName::parse("mallory").unwrap();
            user.usage.logins = 7;
            user.note = "edited".into();
            Ok(())
        })
        .unwrap();
    assert_eq!(
        (edited.id, edited.name.as_str(), edited.usage.logins),
        (made.id, "alice", 0)
    );
    assert_eq!(edited.note, "edited");
}

#[test]
fn a_refused_change_changes_nothing() {
    let Fixture { store, .. } = office();
    let before = store.revision().unwrap();
    let refuse = |hub: &mut crate::store::Hub| {
        hub.max_sessions = 1;
        Err(StoreError::Refused(ErrorCode::NotEnoughRights))
    };
    assert_eq!(
        code(store.update_hub("office", &refuse)),
        ErrorCode::NotEnoughRights
    );
    let wrong = |hub: &mut crate::store::Hub| {
        hub.secure_nat.config.mtu = 1;
        Ok(())
    };
    assert_eq!(
        code(store.update_hub("office", &wrong)),
        ErrorCode::InvalidParameter
    );
    let mut long = user("alice", UserAuth::Anonymous);
    long.note = "x".repeat(2000);
    assert_eq!(code(store.add_user("office", &long)), ErrorCode::InvalidParameter);
    let mut orphan = user("alice", UserAuth::Anonymous);
    orphan.group = Some(UserName::parse("nobody").unwrap());
    assert_eq!(code(store.add_user("office", &orphan)), ErrorCode::GroupNotFound);
    assert_eq!(
        code(store.add_user("office", &user("*", UserAuth::Anonymous))),
        ErrorCode::InvalidParameter
    );
    assert_eq!(store.revision().unwrap(), before);
    assert_eq!(store.hub("office").unwrap().max_sessions, 0);
}

#[test]
fn standard_hashes_exist_only_while_the_hub_allows_them() {
    let Fixture { store, vault, .. } = office();
    let with_standard = |name: &str| {
        let mut made = user(name, UserAuth::Anonymous);
        let standard = vault
            .seal(&Identity::StandardPassword(made.id), &[7; 20])
            .unwrap();
        made.auth = UserAuth::Password {
            record: None,
            standard: Some(standard),
        };
        made
    };
    let kept = |name: &str| {
        matches!(
            store.user("office", name).unwrap().auth,
            UserAuth::Password {
                standard: Some(_),
                ..
            }
        )
    };
    let allow = |value| {
        let set = move |hub: &mut crate::store::Hub| {
            hub.options.set(HubOption::AllowStandardPassword, value);
            Ok(())
        };
        store.update_hub("office", &set).unwrap();
    };
    store.add_user("office", &with_standard("early")).unwrap();
    assert!(!kept("early"));
    allow(1);
    assert!(!kept("early"), "nothing comes back");
    store.add_user("office", &with_standard("late")).unwrap();
    assert!(kept("late"));
    allow(0);
    assert!(!kept("late"));
}

#[test]
fn groups_lend_members_their_name_and_leave_them_behind() {
    let Fixture { store, .. } = office();
    let group = Group {
        id: Id::random(),
        name: UserName::parse("staff").unwrap(),
        real_name: "Staff".into(),
        note: String::new(),
        policy: Some(Policy {
            multi_logins: 3,
            ..Policy::default()
        }),
    };
    store.add_group("office", &group).unwrap();
    assert_eq!(code(store.add_group("office", &group)), ErrorCode::GroupExists);
    let mut member = user("alice", UserAuth::Anonymous);
    member.group = Some(UserName::parse("STAFF").unwrap());
    store.add_user("office", &member).unwrap();
    assert_eq!(
        store.user("office", "alice").unwrap().group,
        Some(group.name.clone())
    );
    assert_eq!(store.group("office", "staff").unwrap().policy, group.policy);
    store.delete_group("office", "staff").unwrap();
    assert_eq!(store.user("office", "alice").unwrap().group, None);
}

#[test]
fn a_deleted_hub_takes_its_users_along() {
    let Fixture { store, .. } = office();
    store
        .add_user("office", &user("alice", UserAuth::Anonymous))
        .unwrap();
    store.delete_hub("OFFICE").unwrap();
    store.add_hub(&hub("office")).unwrap();
    assert!(store.users("office").unwrap().is_empty());
}

#[test]
fn the_feed_tells_each_change_once_and_in_order() {
    let Fixture { store, .. } = Fixture::new();
    let mut watch = store.watch();
    let start = store.revision().unwrap();
    store.add_hub(&hub("Office")).unwrap();
    store
        .add_user("office", &user("Alice", UserAuth::Anonymous))
        .unwrap();
    store.delete_user("OFFICE", "ALICE").unwrap();
    assert!(watch.has_changed().unwrap());
    assert_eq!(*watch.borrow_and_update(), start + 3);
    let Feed::Changes(changes) = store.changes_since(start).unwrap() else {
        panic!("a gap")
    };
    let told: Vec<_> = changes
        .iter()
        .map(|c| (c.noun, c.action, c.hub.as_str(), c.name.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Noun::Hub, Action::Added, "Office", "Office"),
            (Noun::User, Action::Added, "Office", "Alice"),
            (Noun::User, Action::Deleted, "Office", "Alice"),
        ]
    );
    assert_eq!(
        store.changes_since(start + 3).unwrap(),
        Feed::Changes(Vec::<Change>::new())
    );
    assert_eq!(
        store.changes_since(start + 4).unwrap(),
        Feed::Gap,
        "a reader ahead of the store"
    );
}

#[test]
fn a_reader_far_behind_is_told_so() {
    let Fixture { store, .. } = Fixture::new();
    store
        .add_listener(Listener {
            port: 443,
            enabled: true,
        })
        .unwrap();
    store
        .lock()
        .execute("UPDATE change SET revision = revision + 20000", [])
        .unwrap();
    store
        .lock()
        .execute("UPDATE sqlite_sequence SET seq = seq + 20000", [])
        .unwrap();
    assert_eq!(store.changes_since(0).unwrap(), Feed::Gap);
    store.set_listener(443, false).unwrap();
    assert!(matches!(store.changes_since(20001).unwrap(), Feed::Changes(changes) if changes.len() == 1));
}

#[test]
fn counters_add_up_and_are_no_changes() {
    let Fixture { store, .. } = office();
    let alice = user("alice", UserAuth::Anonymous);
    store.add_user("office", &alice).unwrap();
    let revision = store.revision().unwrap();
    let received = Counters {
        unicast_packets: 1,
        unicast_bytes: 100,
        broadcast_packets: 2,
        broadcast_bytes: 200,
    };
    let report = UsageReport {
        user: alice.id,
        login: Timestamp::from_millis(5),
        traffic: Traffic {
            received,
            sent: Counters {
                unicast_bytes: 7,
                ..Counters::default()
            },
        },
    };
    let gone = UsageReport {
        user: Id::random(),
        login: None,
        traffic: Traffic::default(),
    };
    store.add_usage(&[report.clone(), gone]).unwrap();
    store
        .add_usage(&[UsageReport {
            login: None,
            ..report
        }])
        .unwrap();
    let usage = store.user("office", "alice").unwrap().usage;
    assert_eq!((usage.logins, usage.last_login), (1, Timestamp::from_millis(5)));
    assert_eq!(usage.traffic.received.broadcast_bytes, 400);
    assert_eq!(usage.traffic.sent.unicast_bytes, 14);
    assert_eq!(store.revision().unwrap(), revision);
}

#[test]
fn listeners_are_one_per_port() {
    let Fixture { store, .. } = Fixture::new();
    store
        .add_listener(Listener {
            port: 5555,
            enabled: true,
        })
        .unwrap();
    store
        .add_listener(Listener {
            port: 443,
            enabled: true,
        })
        .unwrap();
    assert_eq!(
        code(store.add_listener(Listener {
            port: 443,
            enabled: false
        })),
        ErrorCode::ListenerExists
    );
    assert_eq!(
        code(store.add_listener(Listener {
            port: 0,
            enabled: true
        })),
        ErrorCode::InvalidParameter
    );
    store.set_listener(443, false).unwrap();
    store.delete_listener(5555).unwrap();
    assert_eq!(
        store.listeners().unwrap(),
        [Listener {
            port: 443,
            enabled: false
        }]
    );
}

#[test]
fn local_bridges_are_one_per_device() {
    let Fixture { store, .. } = Fixture::new();
    let bridge = |device: &str, tap| LocalBridge {
        hub: HubName::parse("later").unwrap(),
        device: device.into(),
        tap,
        address: None,
    };
    store
        .add_local_bridge(&bridge("vpn", Some([0x5E, 0, 0, 0, 0, 1])))
        .unwrap();
    store.add_local_bridge(&bridge("eth0", None)).unwrap();
    assert_eq!(
        code(store.add_local_bridge(&bridge("eth0", None))),
        ErrorCode::ObjectExists
    );
    for bad in ["", "../x", "a b", "twelve-bytes"] {
        assert_eq!(
            code(store.add_local_bridge(&bridge(bad, Some([0; 6])))),
            ErrorCode::InvalidParameter,
            "{bad:?}"
        );
    }
    let kept = store.local_bridges().unwrap();
    assert_eq!(
        kept,
        [bridge("vpn", Some([0x5E, 0, 0, 0, 0, 1])), bridge("eth0", None)]
    );
    store.delete_local_bridge("LATER", "vpn").unwrap();
    assert_eq!(store.local_bridges().unwrap().len(), 1);
}

#[test]
fn a_tap_device_has_an_address_that_changes_and_an_interface_has_none() {
    let Fixture { store, .. } = Fixture::new();
    let address = |text: &str| Some(text.parse().unwrap());
    let bridge = |tap| LocalBridge {
        hub: HubName::parse("later").unwrap(),
        device: "lab".into(),
        tap,
        address: address("192.168.30.1/24"),
    };
    assert_eq!(
        code(store.add_local_bridge(&bridge(None))),
        ErrorCode::InvalidParameter
    );
    store.add_local_bridge(&bridge(Some([2; 6]))).unwrap();
    assert_eq!(
        store.local_bridges().unwrap()[0].address,
        address("192.168.30.1/24")
    );
    for change in [address("10.9.0.1/16"), None] {
        store.set_bridge_address("LATER", "lab", change).unwrap();
        assert_eq!(store.local_bridges().unwrap()[0].address, change);
    }
    assert_eq!(
        code(store.set_bridge_address("later", "other", None)),
        ErrorCode::ObjectNotFound
    );
    store
        .add_local_bridge(&LocalBridge {
            device: "eth0".into(),
            address: None,
            ..bridge(None)
        })
        .unwrap();
    assert_eq!(
        code(store.set_bridge_address("later", "eth0", address("10.9.0.1/16"))),
        ErrorCode::InvalidParameter
    );
}

#[test]
fn dnat_rules_are_kept_whole_and_may_not_clash() {
    let Fixture { store, .. } = Fixture::new();
    let web = DnatRule::parse(
        "web",
        "tcp",
        "80",
        "10.0.1.26:8080",
        "203.0.113.0/24",
        "198.51.100.7",
    )
    .unwrap();
    let games = DnatRule::parse("games", "udp", "8000-8010", "10.0.1.27", "", "").unwrap();
    let wiki = DnatRule {
        enabled: false,
        group: Some("office/staff".parse().unwrap()),
        host_name: Some("wiki.private".parse().unwrap()),
        check: Some(Check::new(60, 5).unwrap()),
        ..DnatRule::parse(
            "wiki",
            "tcp+udp",
            "80",
            "10.0.1.28",
            "10.0.0.0/8,203.0.113.0/24",
            "",
        )
        .unwrap()
    };
    store.add_dnat_rule(&web).unwrap();
    store.add_dnat_rule(&games).unwrap();
    assert_eq!(
        code(store.add_dnat_rule(&DnatRule {
            name: "WEB".into(),
            ..games.clone()
        })),
        ErrorCode::ObjectExists
    );
    let clash = DnatRule {
        name: "other".into(),
        ..web.clone()
    };
    assert_eq!(code(store.add_dnat_rule(&clash)), ErrorCode::InvalidParameter);
    store.add_dnat_rule(&wiki).unwrap();
    assert_eq!(store.dnat_rules().unwrap(), [games.clone(), web.clone(), wiki]);
    let enable = |rule: &mut DnatRule| {
        rule.enabled = true;
        rule.name = "another".to_owned();
        Ok(())
    };
    assert_eq!(
        code(store.update_dnat_rule("wiki", &enable)),
        ErrorCode::InvalidParameter
    );
    let elsewhere = |rule: &mut DnatRule| {
        rule.dest = Some([198, 51, 100, 8].into());
        enable(rule)
    };
    store.update_dnat_rule("WIKI", &elsewhere).unwrap();
    let kept = &store.dnat_rules().unwrap()[2];
    assert_eq!(
        (kept.name.as_str(), kept.enabled),
        ("wiki", true),
        "the name stays"
    );
    assert_eq!(
        code(store.update_dnat_rule("nobody", &enable)),
        ErrorCode::ObjectNotFound
    );
    store.delete_dnat_rule("Web").unwrap();
    assert_eq!(store.dnat_rules().unwrap().len(), 2);
}

fn kept(host: u8, client: u8) -> KeptLease {
    let begun = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    KeptLease {
        client: vec![1, 2, 0, 0, 0, 0, client],
        mac: MacAddr::new([2, 0, 0, 0, 0, client]),
        ip: Ipv4Addr::new(192, 168, 30, host),
        user: Some("alice".into()),
        host_name: "laptop".into(),
        since: begun,
        until: begun + Duration::from_secs(7200),
    }
}

#[test]
fn leases_are_read_back_as_they_were_put_and_are_no_change() {
    let Fixture { store, .. } = office();
    let before = store.revision().unwrap();
    let change = |lease: &KeptLease| (lease.ip, Some(lease.clone()));
    let (first, second) = (kept(10, 1), kept(11, 2));
    store
        .put_leases("office", &[change(&second), change(&first)])
        .unwrap();
    assert_eq!(store.leases("office").unwrap(), [first.clone(), second.clone()]);
    let taken_over = kept(10, 3);
    store
        .put_leases("office", &[change(&taken_over), (second.ip, None)])
        .unwrap();
    assert_eq!(store.leases("office").unwrap(), [taken_over]);
    assert_eq!(store.revision().unwrap(), before);
}

#[test]
fn reservations_are_part_of_the_hubs_settings() {
    let Fixture { store, .. } = office();
    let at = |host: u8| Ipv4Addr::new(192, 168, 30, host);
    let (alice, printer) = (
        Holder::User("Alice".into()),
        Holder::Mac(MacAddr::new([2, 0, 0, 0, 0, 1])),
    );
    let reserve = |ip, holder: &Holder| {
        let reservation = Reservation {
            ip,
            holder: holder.clone(),
        };
        store.update_hub("office", &|hub| {
            hub.secure_nat
                .config
                .reserve(reservation.clone())
                .map_err(|error| StoreError::Invalid(error.to_string()))
        })
    };
    reserve(at(50), &alice).unwrap();
    reserve(at(60), &printer).unwrap();
    let refused = reserve(at(50), &printer).unwrap_err();
    assert!(refused.to_string().contains("Alice"), "{refused}");
    let kept = store.hub("office").unwrap().secure_nat.config.dhcp_reservations;
    assert_eq!(kept.holder(at(50)), Some(&alice));
    assert_eq!(kept.address(&printer), Some(at(60)));
    store
        .update_hub("office", &|hub| {
            hub.secure_nat.config.dhcp_reservations.remove(at(50));
            Ok(())
        })
        .unwrap();
    let kept = store.hub("office").unwrap().secure_nat.config.dhcp_reservations;
    assert_eq!((kept.len(), kept.holder(at(50))), (1, None));
}

#[test]
fn another_reader_of_the_file_sees_changes() {
    let Fixture { store, dir, .. } = office();
    let other = crate::store::SqliteStore::open(dir.path()).unwrap().store;
    let seen = other.revision().unwrap();
    store
        .add_user("office", &user("alice", UserAuth::Anonymous))
        .unwrap();
    assert!(matches!(other.changes_since(seen).unwrap(), Feed::Changes(changes) if changes.len() == 1));
    assert!(other.user("office", "alice").is_ok());
}
