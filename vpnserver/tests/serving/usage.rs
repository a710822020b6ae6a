//! What users have used.

use protocol::rpc::group::Group;
use protocol::rpc::method::{CreateGroup, CreateUser, EnumUser, GetGroup, GetUser, SetUser};
use protocol::rpc::user::User;
use protocol::rpc::{HubObject, HubRequest};
use tempfile::TempDir;
use transport::admin::AdminClient;

use crate::frame::{BROADCAST, frame, station};
use crate::peer::{enter, login};
use crate::site::{Site, anonymous, lab};

async fn alice(admin: &mut AdminClient) -> User {
    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "alice".to_owned(),
    };
    admin.call::<GetUser>(&object).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_traffic_are_counted_while_a_session_lives_and_after() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let first = enter(&site, login("alice")).await.unwrap();
    let hello = frame(BROADCAST, station(1), b"hello");
    for _ in 0..3 {
        first.send([hello.clone()]);
        bob.receive().await;
    }
    let now = alice(&mut admin).await;
    assert_eq!(now.num_login, 1);
    assert_eq!(now.traffic.send_broadcast_count, 3);
    assert_eq!(now.traffic.send_broadcast_bytes, 3 * hello.len() as u64);

    bob.send([frame(BROADCAST, station(2), b"hello")]);
    let mut second = enter(&site, login("alice")).await.unwrap();
    second.send([hello.clone()]);
    bob.receive().await;
    bob.send([frame(BROADCAST, station(2), b"to both")]);
    second.receive().await;
    for session in site.server.sessions.of_hub("lab") {
        session.end("the test is over");
    }
    site.ended("alice").await;
    site.ended("bob").await;
    while !site.server.sessions.is_empty() {
        tokio::task::yield_now().await;
    }
    let after = alice(&mut admin).await;
    assert_eq!((after.num_login, after.traffic.send_broadcast_count), (2, 4));
    // One frame to the first session, one to each of both.
    assert_eq!(after.traffic.recv_broadcast_count, 1 + 2 + 1);
    assert_eq!(alice(&mut admin).await.traffic, after.traffic);
}

/// What a group shows to have used.
async fn staff(admin: &mut AdminClient) -> (u64, u64) {
    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "staff".to_owned(),
    };
    let traffic = admin.call::<GetGroup>(&object).await.unwrap().traffic;
    (traffic.send_broadcast_count, traffic.recv_broadcast_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_members_use_counts_for_their_group_while_they_are_in_it() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let group = Group {
        hub_name: "lab".to_owned(),
        name: "staff".to_owned(),
        ..Group::default()
    };
    admin.call::<CreateGroup>(&group).await.unwrap();
    let member_of = |group: &str| User {
        group_name: group.to_owned(),
        ..anonymous("lab", "alice")
    };
    admin.call::<SetUser>(&member_of("staff")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let mut alice = enter(&site, login("alice")).await.unwrap();
    for _ in 0..2 {
        alice.send([frame(BROADCAST, station(1), b"of a member")]);
        bob.receive().await;
    }
    bob.send([frame(BROADCAST, station(2), b"of nobody")]);
    alice.receive().await;
    assert_eq!(staff(&mut admin).await, (2, 1));

    admin.call::<SetUser>(&member_of("")).await.unwrap();
    alice.send([frame(BROADCAST, station(1), b"of one who was")]);
    bob.receive().await;
    assert_eq!(staff(&mut admin).await, (2, 1));
    assert_eq!(self::alice(&mut admin).await.traffic.send_broadcast_count, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_is_there_after_an_end_in_good_order() {
    let folder = TempDir::new().unwrap();
    let (site, admin) = lab(&folder, &["alice"]).await;
    drop(admin);
    let _alice = enter(&site, login("alice")).await.unwrap();
    site.stop().await;
    let site = Site::start(&folder).await;
    let mut admin = site.admin().await;
    assert_eq!(alice(&mut admin).await.num_login, 1);
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let list = admin.call::<EnumUser>(&request).await.unwrap();
    assert!(list.users[0].last_login_time.0 > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_made_anew_begins_at_zero() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let before = enter(&site, login("alice")).await.unwrap();
    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "alice".to_owned(),
    };
    admin
        .call::<protocol::rpc::method::DeleteUser>(&object)
        .await
        .unwrap();
    before.until_no_connection().await;
    site.ended("alice").await;
    admin
        .call::<CreateUser>(&anonymous("lab", "alice"))
        .await
        .unwrap();
    assert_eq!(alice(&mut admin).await.num_login, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_use_reaches_the_store_by_itself() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    alice.send([frame(BROADCAST, station(1), b"hello")]);
    let stored = async {
        loop {
            let user = site.server.db.blocking().user("lab", "alice").unwrap();
            if user.usage.logins == 1 && user.usage.traffic.received.broadcast_packets == 1 {
                break;
            }
            // The store tells of no such change: it is asked.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(crate::site::PATIENCE, stored).await.unwrap();
}
