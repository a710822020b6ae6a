//! A disk without room.

use protocol::error::ErrorCode;

use crate::store::testing::{Fixture, hub, user};
use crate::store::{Store, UserAuth};

/// Lets the database grow no further, as a full disk does.
fn fill_the_disk(store: &crate::store::SqliteStore) {
    let connection = store.lock();
    let pages: u32 = connection
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .unwrap();
    connection
        .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
        .unwrap();
}

fn large_note() -> String {
    "x".repeat(1000)
}

#[test]
fn a_change_that_finds_no_room_fails_and_nothing_is_changed() {
    let Fixture { store, dir: _dir, .. } = Fixture::new();
    store.add_hub(&hub("office")).unwrap();
    fill_the_disk(&store);
    let mut added = 0;
    let error = loop {
        let mut next = user(&format!("user{added}"), UserAuth::Anonymous);
        next.note = large_note();
        match store.add_user("office", &next) {
            Ok(()) => added += 1,
            Err(error) => break error,
        }
        assert!(added < 1000, "the disk is never full");
    };
    assert_eq!(error.code(), ErrorCode::Internal);
    assert!(error.to_string().contains("the change was not made"), "{error}");
    let revision = store.revision().unwrap();
    assert_eq!(
        store.users("office").unwrap().len(),
        added,
        "half of a change is there"
    );
    // Several changes as one fail as one.
    let outcome = store.together(&mut |store| {
        store.delete_user("office", "user0")?;
        for number in 0..100 {
            let mut next = user(&format!("other{number}"), UserAuth::Anonymous);
            next.note = large_note();
            store.add_user("office", &next)?;
        }
        Ok(())
    });
    assert!(outcome.is_err());
    assert_eq!(store.users("office").unwrap().len(), added);
    assert_eq!(store.revision().unwrap(), revision);
    // With room again, it goes on.
    store
        .lock()
        .query_row("PRAGMA max_page_count = 1000000", [], |_| Ok(()))
        .unwrap();
    store
        .add_user("office", &user("last", UserAuth::Anonymous))
        .unwrap();
}
