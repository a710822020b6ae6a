//! Where clients come from, whose certificates count, whom to ask, how much there may be.

use protocol::error::ErrorCode;

use crate::secret::Identity;
use crate::store::testing::{Fixture, hub, user};
use crate::store::{
    AdminOption, Authority, Group, Id, MAX_SOURCE_RULES, Radius, Revocation, RevokedCertificate, SourceRule,
    SqliteStore, Store, StoreError, UserAuth, UserName,
};

fn office() -> Fixture {
    let fixture = Fixture::new();
    fixture.store.add_hub(&hub("office")).unwrap();
    fixture
}

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> ErrorCode {
    result.unwrap_err().code()
}

fn rule(priority: u32, address: &str, mask: Option<&str>) -> SourceRule {
    SourceRule {
        priority,
        deny: true,
        address: address.parse().unwrap(),
        mask: mask.map(|mask| mask.parse().unwrap()),
    }
}

#[test]
fn a_hubs_radius_and_administration_options_are_read_as_written() {
    let Fixture { store, vault, dir } = office();
    let id = store.hub("office").unwrap().id;
    let radius = Radius {
        servers: "10.0.0.1;10.0.0.2".to_owned(),
        port: 1645,
        secret: Some(vault.seal(&Identity::RadiusSecret(id), b"shared").unwrap()),
        retry_interval: 700,
    };
    store
        .update_hub("office", &|hub| {
            hub.radius = Some(radius.clone());
            hub.admin_options.set(AdminOption::MaxUsers, 2);
            hub.admin_options.set(AdminOption::NoCascade, 1);
            hub.admin_options.set(AdminOption::NoCascade, 0);
            Ok(())
        })
        .unwrap();
    drop(store);
    let read = SqliteStore::open(dir.path())
        .unwrap()
        .store
        .hub("office")
        .unwrap();
    assert_eq!(read.radius, Some(radius));
    let options: Vec<_> = read.admin_options.changed().collect();
    assert_eq!(options, [(AdminOption::MaxUsers, 2)]);
}

#[test]
fn source_rules_are_sorted_and_refused_whole() {
    let Fixture { store, .. } = office();
    let rules = [
        rule(9, "10.0.0.0", Some("255.0.0.0")),
        rule(3, "2001:db8::1", None),
    ];
    store.set_source_rules("office", &rules).unwrap();
    let read = store.source_rules("OFFICE").unwrap();
    assert_eq!(read, [rules[1].clone(), rules[0].clone()]);

    let mixed = [rule(1, "10.0.0.1", None), rule(1, "10.0.0.1", Some("ffff::"))];
    assert_eq!(
        code(store.set_source_rules("office", &mixed)),
        ErrorCode::InvalidParameter
    );
    let many = vec![rule(1, "10.0.0.1", None); MAX_SOURCE_RULES + 1];
    assert_eq!(
        code(store.set_source_rules("office", &many)),
        ErrorCode::TooManyItems
    );
    assert_eq!(store.source_rules("office").unwrap(), read);
    assert_eq!(code(store.set_source_rules("none", &[])), ErrorCode::HubNotFound);
}

#[test]
fn an_authority_is_trusted_once_and_deleted_by_its_key() {
    let Fixture { store, .. } = office();
    let authority = |byte| Authority { der: vec![byte; 8] };
    for byte in [1, 2, 1] {
        store.add_authority("office", &authority(byte)).unwrap();
    }
    assert_eq!(store.authorities("office").unwrap(), [authority(1), authority(2)]);
    store.delete_authority("office", authority(1).key()).unwrap();
    assert_eq!(
        code(store.delete_authority("office", authority(1).key())),
        ErrorCode::ObjectNotFound
    );
    assert_eq!(store.authorities("office").unwrap(), [authority(2)]);
}

#[test]
fn a_revocation_keeps_its_key_when_it_changes() {
    let Fixture { store, .. } = office();
    let what = RevokedCertificate {
        serial: Some(vec![1, 2, 3]),
        common_name: Some("Mallory".to_owned()),
        sha1: Some([7; 20]),
        ..RevokedCertificate::default()
    };
    let added = store.add_revocation("office", &what).unwrap();
    assert_eq!(store.revocations("office").unwrap(), std::slice::from_ref(&added));
    let changed = Revocation {
        what: RevokedCertificate {
            md5: Some([9; 16]),
            ..RevokedCertificate::default()
        },
        ..added.clone()
    };
    store.set_revocation("office", &changed).unwrap();
    assert_eq!(
        store.revocations("office").unwrap(),
        std::slice::from_ref(&changed)
    );
    store.delete_revocation("office", added.key).unwrap();
    assert_eq!(
        code(store.set_revocation("office", &changed)),
        ErrorCode::ObjectNotFound
    );
    assert_eq!(
        code(store.delete_revocation("office", added.key)),
        ErrorCode::ObjectNotFound
    );
}

#[test]
fn a_hub_holds_no_more_users_and_groups_than_its_options_say() {
    let Fixture { store, .. } = office();
    store
        .update_hub("office", &|hub| {
            hub.admin_options.set(AdminOption::MaxUsers, 1);
            hub.admin_options.set(AdminOption::MaxGroups, 1);
            Ok(())
        })
        .unwrap();
    let group = |name: &str| Group {
        id: Id::random(),
        name: UserName::parse(name).unwrap(),
        real_name: String::new(),
        note: String::new(),
        policy: None,
    };
    store.add_user("office", &user("a", UserAuth::Anonymous)).unwrap();
    store.add_group("office", &group("a")).unwrap();
    assert_eq!(
        code(store.add_user("office", &user("b", UserAuth::Anonymous))),
        ErrorCode::TooManyUsers
    );
    assert_eq!(
        code(store.add_group("office", &group("b"))),
        ErrorCode::TooManyGroups
    );
    // What is there can be changed.
    store
        .update_user("office", "a", &|user| {
            user.note = "still here".to_owned();
            Ok(())
        })
        .unwrap();
}
