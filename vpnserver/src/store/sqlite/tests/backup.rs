//! Former states of the store.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::store::testing::{Fixture, hub, user};
use crate::store::{
    Counters, Feed, Group, Id, Store, StoreError, Timestamp, Traffic, UsageReport, UserAuth, UserName,
};

fn names(store: &dyn Store) -> Vec<String> {
    store
        .hubs()
        .unwrap()
        .into_iter()
        .map(|hub| hub.name.to_string())
        .collect()
}

#[test]
fn a_state_is_kept_once_and_only_its_owner_can_read_it() {
    let Fixture { store, dir, .. } = Fixture::new();
    assert!(store.backups().unwrap().is_empty());
    store.add_hub(&hub("office")).unwrap();
    store
        .add_user("office", &user("alice", UserAuth::Anonymous))
        .unwrap();
    assert!(store.back_up().unwrap());
    assert!(!store.back_up().unwrap(), "the same state was kept twice");
    let backups = store.backups().unwrap();
    assert_eq!(backups.len(), 1);
    assert_eq!(
        (backups[0].number, backups[0].hubs, backups[0].users),
        (store.revision().unwrap(), 1, 1)
    );
    let folder = dir.path().join("backups");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        fs::metadata(&files[0]).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[test]
fn the_last_thirty_states_are_kept() {
    let Fixture { store, dir: _dir, .. } = Fixture::new();
    for number in 0..33 {
        store.add_hub(&hub(&format!("hub{number}"))).unwrap();
        store.back_up().unwrap();
    }
    let backups = store.backups().unwrap();
    assert_eq!(backups.len(), 30);
    assert_eq!((backups[0].hubs, backups[29].hubs), (33, 4));
}

#[test]
fn a_restored_state_is_the_old_one_and_the_new_one_is_kept() {
    let Fixture { store, dir: _dir, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    let staff = Group {
        id: Id::random(),
        name: UserName::parse("staff").unwrap(),
        real_name: String::new(),
        note: String::new(),
        policy: None,
    };
    store.add_group("office", &staff).unwrap();
    let mut alice = user("alice", UserAuth::Anonymous);
    alice.group = Some(staff.name.clone());
    store.add_user("office", &alice).unwrap();
    store.back_up().unwrap();
    let number = store.backups().unwrap()[0].number;
    store.delete_hub("office").unwrap();
    store.add_hub(&hub("other")).unwrap();
    let before = store.revision().unwrap();

    store.restore(number).unwrap();
    assert_eq!(names(&store), ["office"]);
    let back = store.user("office", "alice").unwrap();
    assert_eq!((back.id, back.group), (alice.id, Some(staff.name)));
    assert!(store.revision().unwrap() > before);
    assert_eq!(store.changes_since(before).unwrap(), Feed::Gap);
    assert_eq!(*store.watch().borrow(), store.revision().unwrap());
    // Back to what was there before.
    let kept = store.backups().unwrap()[0];
    store.restore(kept.number).unwrap();
    assert_eq!(names(&store), ["other"]);
}

#[test]
fn what_users_have_used_goes_on() {
    let Fixture { store, dir: _dir, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    let alice = user("alice", UserAuth::Anonymous);
    store.add_user("office", &alice).unwrap();
    store.back_up().unwrap();
    let used = Counters {
        unicast_bytes: 7,
        ..Counters::default()
    };
    let report = UsageReport {
        user: alice.id,
        login: Some(Timestamp::now()),
        traffic: Traffic {
            received: used,
            sent: Counters::default(),
        },
    };
    store.add_usage(&[report]).unwrap();
    store.add_hub(&hub("other")).unwrap();
    let number = store.backups().unwrap()[0].number;
    store.restore(number).unwrap();
    assert_eq!(
        store.user("office", "alice").unwrap().usage.traffic.received,
        used
    );
}

#[test]
fn a_number_that_is_not_kept_and_a_copy_from_elsewhere_are_refused() {
    let Fixture { store, dir, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    assert!(matches!(store.restore(1), Err(StoreError::BackupNotFound(1))));
    store.back_up().unwrap();
    let other = Fixture::new();
    other.store.add_hub(&hub("foreign")).unwrap();
    other.store.back_up().unwrap();
    let theirs = fs::read_dir(other.dir.path().join("backups"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::copy(theirs, dir.path().join("backups/0000000999.db")).unwrap();
    assert!(matches!(store.restore(999), Err(StoreError::Invalid(_))));
    assert_eq!(names(&store), ["office"]);
    fs::write(dir.path().join("backups/0000001000.db"), b"no database").unwrap();
    assert!(store.restore(1000).is_err());
    assert_eq!(names(&store), ["office"]);
}

#[test]
fn a_state_is_not_kept_in_the_midst_of_changes() {
    let Fixture { store, dir: _dir, .. } = Fixture::new();
    let outcome = store.together(&mut |store| store.back_up().map(drop));
    assert!(matches!(outcome, Err(StoreError::Invalid(_))));
}
