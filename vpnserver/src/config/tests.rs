use protocol::password::user_hash;

use super::*;
use crate::login::{AdminPassword, HubPassword};
use crate::secret::Identity;
use crate::store::testing::{Fixture, hub, user};
use crate::store::{CascadeProof, HubOption, Listener, UserAuth};

const RICH: &[u8] = include_bytes!("../../../protocol/tests/data/config/vpn_server.rich.config");
const DEFAULT: &[u8] = include_bytes!("../../../protocol/tests/data/config/vpn_server.default.config");
const CLUSTER: &[u8] =
    include_bytes!("../../../protocol/tests/data/config/vpn_server.cluster-controller.config");

fn take(fixture: &Fixture, file: &[u8]) -> Result<Report, ImportError> {
    import(&fixture.store, &fixture.vault, file, Options::default())
}

fn imported(file: &[u8]) -> (Fixture, Report) {
    let fixture = Fixture::new();
    let report = take(&fixture, file).unwrap();
    (fixture, report)
}

/// The rich file with one text replaced.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(RICH).unwrap();
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1).into_bytes()
}

fn error(file: &[u8]) -> String {
    let fixture = Fixture::new();
    fixture.store.add_hub(&hub("before")).unwrap();
    let before = fixture.store.revision().unwrap();
    let error = take(&fixture, file).unwrap_err().to_string();
    assert_eq!(
        fixture.store.revision().unwrap(),
        before,
        "a refused file changed something"
    );
    assert_eq!(fixture.store.hubs().unwrap().len(), 1);
    error
}

#[test]
fn the_rich_file_is_taken_with_users_groups_policies_and_the_rest() {
    let (Fixture { store, vault, .. }, report) = imported(RICH);
    let hubs: Vec<_> = store
        .hubs()
        .unwrap()
        .iter()
        .map(|hub| hub.name.to_string())
        .collect();
    assert_eq!(hubs, ["DEFAULT", "HUB1", "HUB2", "HUB3"]);
    let users: Vec<_> = store
        .users("HUB1")
        .unwrap()
        .iter()
        .map(|user| user.name.to_string())
        .collect();
    assert_eq!(
        users,
        [
            "anon", "certuser", "juser", "ntuser", "pwuser", "raduser", "signed"
        ]
    );

    let user = store.user("HUB1", "pwuser").unwrap();
    assert_eq!(
        (user.real_name.as_str(), user.note.as_str()),
        ("Pässword Üser", "line \"quoted\" \\ back\tTab")
    );
    assert_eq!(user.group.as_ref().map(|group| group.as_str()), Some("staff"));
    assert_eq!(user.expires.map(|at| at.as_millis()), Some(1_893_521_045_000));
    assert_eq!(user.created.as_millis(), 1_795_406_327_343);
    assert_eq!(
        (user.usage.logins, user.usage.traffic.received.unicast_bytes),
        (1, 8108)
    );
    let policy = user.policy.unwrap();
    assert!(policy.dhcp_filter && policy.max_upload == 1_000_000);
    let UserAuth::Signed { common_name, serial } = store.user("HUB1", "signed").unwrap().auth else {
        panic!("another type")
    };
    assert_eq!(
        (common_name.as_deref(), serial.as_deref()),
        (Some("user"), Some([0x0a, 0x0b, 0x0c].as_slice()))
    );
    assert_eq!(
        store
            .group("HUB1", "staff")
            .unwrap()
            .policy
            .unwrap()
            .max_connection,
        8
    );

    let server = store.server().unwrap();
    assert_eq!(
        AdminPassword::of(&vault, &server).unwrap(),
        Some(AdminPassword::from_text("admin1"))
    );
    assert_eq!((server.syslog.level, server.keep_alive.interval), (1, 60));
    assert!(server.certificate.is_some());
    let one = store.hub("HUB1").unwrap();
    assert_eq!(
        HubPassword::of(&vault, &one).unwrap(),
        Some(HubPassword::from_text("hubpw1"))
    );
    assert_eq!(
        (one.max_sessions, one.options.get(HubOption::AdjustTcpMssValue)),
        (50, 1300)
    );
    assert_eq!(
        (one.logs.packet_switch, one.logs.classes),
        (3, [1, 0, 1, 1, 0, 0, 0, 0])
    );
    let two = store.hub("HUB2").unwrap().secure_nat;
    assert!(two.enabled && two.config.mtu == 1400 && two.config.dhcp_push_routes.len() == 2);
    assert_eq!(
        two.config.mac_address.octets(),
        [0x5e, 0x11, 0x22, 0x33, 0x44, 0x55]
    );
    assert_eq!(store.listeners().unwrap().len(), 5);
    let bridges = store.local_bridges().unwrap();
    assert_eq!(
        (bridges.len(), bridges[1].tap),
        (2, Some([0x5e, 0xc0, 0xe6, 0xbd, 0x3e, 0x40]))
    );
    let cascades = store.cascades("HUB1").unwrap();
    let CascadeProof::PlainPassword(sealed) = &cascades[1].proof else {
        panic!("another proof")
    };
    let plain = vault
        .open_sealed(&Identity::Cascade(cascades[1].id), sealed)
        .unwrap();
    assert_eq!(plain.as_slice(), b"plainpw");
    assert_eq!(store.layer3_switch("sw1").unwrap().interfaces.len(), 2);
    assert!(
        report
            .taken
            .iter()
            .any(|line| line.starts_with("hub HUB1: 3 access rules, 7 users, 1 group, 2 source rules, 1 trusted certificate, 1 revocation, 3 cascades")),
        "{report}"
    );
}

#[test]
fn what_is_left_is_told_with_the_reason() {
    let (_, report) = imported(RICH);
    let text = report.to_string();
    for expected in [
        "root/IPsec/L2TP_IPsec: L2TP is not part of this server",
        "ServerConfiguration/Proto/OpenVPN/Enabled: OpenVPN",
        "AuthNtLmSecureHash and 2 more",
        "Traffic/RecvTraffic/BroadcastBytes and",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("knows no such key"), "{text}");
}

#[test]
fn a_file_of_a_fresh_installation_and_one_of_a_cluster_are_taken() {
    let (fixture, report) = imported(DEFAULT);
    assert_eq!(fixture.store.hubs().unwrap().len(), 1);
    assert!(!report.to_string().contains("knows no such key"), "{report}");
    assert!(fixture.store.server().unwrap().admin_password.is_none());
    let (fixture, report) = imported(CLUSTER);
    assert!(fixture.store.hubs().unwrap().len() > 1);
    assert!(report.to_string().contains("taken as stand-alone"), "{report}");
}

#[test]
fn a_hash_waits_sealed_and_the_standard_one_is_kept_only_where_it_may_be() {
    let (Fixture { store, vault, .. }, _) = imported(RICH);
    let user = store.user("HUB1", "pwuser").unwrap();
    let UserAuth::Password {
        record: Some(record),
        standard: None,
    } = user.auth
    else {
        panic!("another state")
    };
    let opened = vault
        .open_sealed(
            &Identity::ImportedPassword(user.id),
            &record.as_imported().unwrap(),
        )
        .unwrap();
    assert_eq!(opened.as_slice(), user_hash(b"pass1", "pwuser").as_bytes());
    assert_eq!(store.imported_passwords(100).unwrap().len(), 3);

    let fixture = Fixture::new();
    let options = Options {
        allow_standard_password: true,
        ..Options::default()
    };
    import(&fixture.store, &fixture.vault, RICH, options).unwrap();
    let user = fixture.store.user("HUB1", "pwuser").unwrap();
    assert!(matches!(
        user.auth,
        UserAuth::Password {
            standard: Some(_),
            ..
        }
    ));
}

#[test]
fn an_import_takes_the_place_of_what_was_there_and_keeps_identities() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.add_hub(&hub("gone")).unwrap();
    store.add_hub(&hub("hub1")).unwrap();
    store
        .add_user("hub1", &user("PWUSER", UserAuth::Anonymous))
        .unwrap();
    store
        .add_user("hub1", &user("leaver", UserAuth::Anonymous))
        .unwrap();
    store
        .add_listener(Listener {
            port: 4433,
            enabled: true,
        })
        .unwrap();
    let (hub_id, user_id) = (
        store.hub("hub1").unwrap().id,
        store.user("hub1", "pwuser").unwrap().id,
    );
    take(&fixture, RICH).unwrap();
    assert!(store.hub("gone").is_err() && store.user("hub1", "leaver").is_err());
    assert_eq!(store.hub("hub1").unwrap().id, hub_id);
    let user = store.user("hub1", "pwuser").unwrap();
    assert_eq!((user.id, user.name.as_str()), (user_id, "pwuser"));
    assert!(
        store
            .listeners()
            .unwrap()
            .iter()
            .all(|listener| listener.port != 4433)
    );
    // And once more, with everything there already.
    take(&fixture, RICH).unwrap();
    assert_eq!(store.users("hub1").unwrap().len(), 7);
}

#[test]
fn a_file_with_an_error_is_refused_whole_with_line_and_key() {
    for (file, expected) in [
        (
            changed("uint Port 992", "uint Port 99200"),
            ": root/ListenerList/Listener1/Port: must be a port",
        ),
        (
            changed("uint Port 992", "uint Port 443"),
            ": root/ListenerList/Listener1: a listener on port 443",
        ),
        (
            changed("string GroupName staff", "string GroupName nobody"),
            "UserList/anon: there is no group",
        ),
        (
            changed("uint MaxUpload 1000000", "string MaxUpload x"),
            "pwuser/Policy/MaxUpload: has the type string",
        ),
        (
            changed("uint TimeOut 20", "uint TimeOut 3"),
            "staff/Policy/TimeOut: TimeOut is a number from 5 to 60",
        ),
        (
            changed("uint NatMtu 1400", "uint NatMtu 10"),
            "HUB2/SecureNAT: MTU 10 is out of range",
        ),
        (
            changed("VirtualHostIp 192.168.30.1", "VirtualHostIp 192.168.30"),
            "VirtualHostIp: must be an IPv4 address",
        ),
        (
            changed("byte AuthPassword EMPk", "byte AuthPassword AAAAEMPk"),
            "juser/AuthPassword: must have 20 bytes",
        ),
        (
            changed("uint AuthType 5", "uint AuthType 9"),
            "ntuser/AuthType: must be a number from 0 to 5",
        ),
        (
            changed("declare juser", "declare ju$2Fser"),
            "UserList/ju/ser: the name",
        ),
        (
            changed("bool Online true", "bool Online perhaps"),
            "/Online: not a value of the type bool",
        ),
    ] {
        let text = error(&file);
        assert!(
            text.starts_with("line ") && text.contains(expected),
            "{text} is not {expected}"
        );
    }
}

#[test]
fn a_dry_run_says_all_and_changes_nothing() {
    let fixture = Fixture::new();
    let before = fixture.store.revision().unwrap();
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let report = import(&fixture.store, &fixture.vault, RICH, options).unwrap();
    assert_eq!(report, imported(RICH).1);
    assert_eq!(fixture.store.revision().unwrap(), before);
    let wrong = import(
        &fixture.store,
        &fixture.vault,
        &changed("uint Port 992", "uint Port 0"),
        options,
    );
    assert!(matches!(wrong, Err(ImportError::File(_))), "{wrong:?}");
}

#[test]
fn what_is_exported_is_imported_the_same() {
    let (one, _) = imported(RICH);
    // A user whose password is kept as a record alone, and one without any.
    let record = crate::secret::PasswordRecord::from_stored(
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            .into(),
    );
    let with = |record| UserAuth::Password {
        record,
        standard: None,
    };
    one.store
        .add_user("HUB3", &user("recorded", with(Some(record))))
        .unwrap();
    one.store.add_user("HUB3", &user("unset", with(None))).unwrap();
    let first = export(&one.store, &one.vault).unwrap();
    assert!(
        first
            .notes
            .iter()
            .any(|note| note.contains("Hub HUB3") && note.contains("recorded")),
        "{:?}",
        first.notes
    );

    let two = Fixture::new();
    let report = take(&two, first.text.as_bytes()).unwrap();
    assert!(!report.to_string().contains("knows no such key"), "{report}");
    let second = export(&two.store, &two.vault).unwrap();
    let tree = |text: &str| Folder::parse(text.as_bytes()).unwrap();
    let (mut first, mut second) = (tree(&first.text), tree(&second.text));
    for root in [&mut first, &mut second] {
        root.set("ConfigRevision", 0_u32);
        // Beside a record stands a hash of nobody, another each time.
        let hub = root.folder_mut("VirtualHUB").folder_mut("HUB3");
        for user in ["recorded", "unset"] {
            let users = hub.folder_mut("SecurityAccountDatabase").folder_mut("UserList");
            users.folder_mut(user).set("AuthPassword", Vec::new());
        }
    }
    assert!(
        first == second,
        "{}\n----\n{}",
        first.to_text("").as_str(),
        second.to_text("").as_str()
    );
}

#[test]
fn everything_stock_that_is_taken_is_written_again_with_the_same_value() {
    let (one, _) = imported(RICH);
    let ours = Folder::parse(export(&one.store, &one.vault).unwrap().text.as_bytes()).unwrap();
    let stock = Folder::parse(RICH).unwrap();
    let hub = |root: &Folder| root.folder("VirtualHUB").unwrap().folder("HUB1").unwrap().clone();
    let (ours, stock) = (hub(&ours), hub(&stock));
    for path in [
        ["SecurityAccountDatabase", "GroupList"],
        ["SecureNAT", "VirtualDhcpServer"],
        ["SecureNAT", "VirtualRouter"],
        ["SecurityAccountDatabase", "IPAccessControlList"],
        ["SecurityAccountDatabase", "CertList"],
        ["SecurityAccountDatabase", "CrlList"],
        ["AccessList", "1"],
        ["AccessList", "2"],
        ["AccessList", "3"],
        ["CascadeList", "Cascade0"],
        ["CascadeList", "Cascade1"],
        ["CascadeList", "Cascade2"],
    ] {
        let find = |hub: &Folder| hub.folder(path[0]).unwrap().folder(path[1]).unwrap().clone();
        for (mine, theirs) in find(&ours).folders().zip(find(&stock).folders()) {
            for item in theirs.items() {
                let same = Some(item) == mine.item(item.name());
                assert!(same, "{path:?}/{}/{}", theirs.name(), item.name());
            }
        }
        for item in find(&stock).items() {
            assert!(
                Some(item) == find(&ours).item(item.name()),
                "{path:?}/{}",
                item.name()
            );
        }
    }
    for item in stock.folder("Option").unwrap().items() {
        assert!(
            Some(item) == ours.folder("Option").unwrap().item(item.name()),
            "{}",
            item.name()
        );
    }
}

#[test]
fn an_export_never_opens_a_stock_server() {
    let fixture = Fixture::new();
    fixture.store.add_hub(&hub("office")).unwrap();
    let none = UserAuth::Password {
        record: None,
        standard: None,
    };
    fixture.store.add_user("office", &user("unset", none)).unwrap();
    let export = export(&fixture.store, &fixture.vault).unwrap();
    let root = Folder::parse(export.text.as_bytes()).unwrap();
    let server = root.folder("ServerConfiguration").unwrap();
    let hash = server.bytes("HashedPassword").unwrap().unwrap();
    assert!(hash.len() == 20 && hash != AdminPassword::from_text("").hash().as_bytes());
    let users = root.folder("VirtualHUB").unwrap().folder("office").unwrap();
    let unset = users
        .folder("SecurityAccountDatabase")
        .unwrap()
        .folder("UserList")
        .unwrap()
        .folder("unset")
        .unwrap();
    let hash = unset.bytes("AuthPassword").unwrap().unwrap();
    assert!(hash.iter().any(|byte| *byte != 0) && hash != user_hash(b"", "unset").as_bytes());
    assert!(export.text.contains("no administrator password"));
}
