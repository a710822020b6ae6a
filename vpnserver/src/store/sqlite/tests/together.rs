//! Several changes as one.

use protocol::error::ErrorCode;

use crate::store::testing::{Fixture, hub, user};
use crate::store::{Feed, Listener, Store, StoreError, UserAuth};

#[test]
fn changes_made_together_are_seen_together_and_are_in_the_feed() {
    let Fixture { store, .. } = Fixture::new();
    let before = store.revision().unwrap();
    store
        .together(&mut |store| {
            store.add_hub(&hub("office"))?;
            store.add_user("office", &user("alice", UserAuth::Anonymous))?;
            assert_eq!(
                store.users("office")?.len(),
                1,
                "the changes see what came before them"
            );
            Ok(())
        })
        .unwrap();
    assert_eq!(store.user("office", "alice").unwrap().name.as_str(), "alice");
    assert_eq!(*store.watch().borrow(), before + 2);
    assert!(matches!(store.changes_since(before).unwrap(), Feed::Changes(changes) if changes.len() == 2));
}

#[test]
fn an_error_takes_all_of_them_back() {
    let Fixture { store, .. } = Fixture::new();
    store.add_hub(&hub("old")).unwrap();
    let before = store.revision().unwrap();
    let outcome = store.together(&mut |store| {
        store.delete_hub("old")?;
        store.add_hub(&hub("new"))?;
        Err(StoreError::Refused(ErrorCode::InvalidParameter))
    });
    assert!(matches!(outcome, Err(StoreError::Refused(_))));
    let names: Vec<_> = store
        .hubs()
        .unwrap()
        .into_iter()
        .map(|hub| hub.name.to_string())
        .collect();
    assert_eq!(names, ["old"]);
    assert_eq!(store.revision().unwrap(), before);
    store.add_hub(&hub("next")).unwrap();
}

#[test]
fn one_that_fails_on_the_way_leaves_no_half_of_it() {
    let Fixture { store, .. } = Fixture::new();
    let listener = Listener {
        port: 443,
        enabled: true,
    };
    store
        .together(&mut |store| {
            store.add_listener(listener)?;
            assert!(matches!(
                store.add_listener(listener),
                Err(StoreError::ListenerExists(443))
            ));
            store.add_listener(Listener {
                port: 992,
                enabled: true,
            })
        })
        .unwrap();
    assert_eq!(store.listeners().unwrap().len(), 2);
}

#[test]
fn a_panic_on_the_way_takes_all_back_and_the_store_goes_on() {
    let Fixture { store, .. } = Fixture::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = store.together(&mut |store| {
            store.add_hub(&hub("half"))?;
            panic!("on the way");
        });
    }));
    assert!(outcome.is_err());
    assert!(store.hubs().unwrap().is_empty());
    store.add_hub(&hub("next")).unwrap();
}
