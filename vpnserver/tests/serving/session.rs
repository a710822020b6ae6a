//! Sessions: connections that join them, how many there may be, and how long one outlives its connections.

use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::policy::Policy;
use protocol::rpc::hub::HubSettings;
use protocol::rpc::method::{CreateUser, EnumMacTable, GetHub, SetHub, SetUser};
use protocol::rpc::user::User;
use protocol::rpc::{HubObject, HubRequest};
use protocol::tunnel::Direction;
use tempfile::TempDir;
use transport::admin::AdminClient;

use crate::frame::{BROADCAST, frame, station};
use crate::peer::{enter, login};
use crate::site::{anonymous, lab};

/// An anonymous user with this policy.
async fn add_user(admin: &mut AdminClient, name: &str, policy: Policy) {
    let user = User {
        policy: Some(policy),
        ..anonymous("lab", name)
    };
    admin.call::<CreateUser>(&user).await.unwrap();
}

/// The shortest there is.
fn short_grace() -> Policy {
    Policy {
        timeout: 5,
        ..Policy::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_an_unknown_key_is_refused() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut peer = enter(&site, login("alice")).await.unwrap();
    peer.welcome.session_key[0] ^= 1;
    let refused = peer.join(&site).await.unwrap_err();
    assert_eq!((refused, refused.code()), (ErrorCode::SessionTimeout, 13));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_more_than_granted_is_tolerated_and_two_are_not() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut two = login("alice");
    two.options.max_connection = 2;
    let peer = enter(&site, two).await.unwrap();
    peer.join(&site).await.unwrap();
    peer.join(&site).await.unwrap();
    let refused = peer.join(&site).await.unwrap_err();
    assert_eq!((refused, refused.code()), (ErrorCode::TooManyConnections, 15));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_duplex_connections_are_shared_out_evenly() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut half = login("alice");
    half.options.max_connection = 4;
    half.options.half_connection = true;
    let peer = enter(&site, half).await.unwrap();
    let mut to_client = 0;
    for _ in 1..4 {
        to_client += u32::from(peer.join(&site).await.unwrap() == Direction::ServerToClient);
    }
    assert_eq!(to_client, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_without_connections_can_be_resumed_for_a_while() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["bob"]).await;
    add_user(&mut admin, "alice", short_grace()).await;
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let alice = enter(&site, login("alice")).await.unwrap();
    let session = site.server.sessions.with_key(&alice.welcome.session_key).unwrap();
    alice.leave().await;
    let mut state = session.tunnel.watch();
    state.wait_for(|state| state.connections == 0).await.unwrap();
    assert!(site.server.sessions.with_key(session.key()).is_some());

    let again = alice.resumed(&site).await;
    again.send([frame(BROADCAST, station(1), b"back again")]);
    assert!(bob.receive().await.windows(10).any(|part| part == b"back again"));

    again.leave().await;
    let gone = Instant::now();
    assert_eq!(site.ended("alice").await, "the client is gone");
    assert!(gone.elapsed() >= Duration::from_secs(4), "{:?}", gone.elapsed());
    assert_eq!(alice.join(&site).await.unwrap_err(), ErrorCode::SessionTimeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_that_it_is_alone_takes_the_place_of_all_others_however_many() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "bob"]).await;
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let mut two = login("alice");
    two.options.max_connection = 2;
    let alice = enter(&site, two).await.unwrap();
    alice.join(&site).await.unwrap();
    alice.join(&site).await.unwrap();
    let session = site.server.sessions.with_key(&alice.welcome.session_key).unwrap();
    let before = session.tunnel.connections();
    assert_eq!(before.len(), 3);

    let mut moved = alice.resumed(&site).await;
    let mut state = alice.tunnel.watch();
    state.wait_for(|state| state.connections == 0).await.unwrap();
    let now = session.tunnel.connections();
    assert!(now.len() == 1 && !before.contains(&now[0]), "{now:?}");
    moved.send([frame(BROADCAST, station(1), b"from elsewhere")]);
    bob.receive().await;
    bob.send([frame(station(1), station(2), b"to elsewhere")]);
    assert!(
        moved
            .receive()
            .await
            .windows(12)
            .any(|part| part == b"to elsewhere")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_alone_and_is_gone_again_leaves_a_session_that_can_be_resumed() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "bob"]).await;
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let alice = enter(&site, login("alice")).await.unwrap();
    let session = site.server.sessions.with_key(&alice.welcome.session_key).unwrap();
    let alone = alice.resumed(&site).await;
    alice.until_no_connection().await;
    alone.leave().await;
    let mut state = session.tunnel.watch();
    state.wait_for(|state| state.connections == 0).await.unwrap();
    let again = alice.resumed(&site).await;
    again.send([frame(BROADCAST, station(1), b"back again")]);
    assert!(bob.receive().await.windows(10).any(|part| part == b"back again"));
    assert!(!session.tunnel.watch().borrow().over);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_follows_a_client_whose_old_session_has_not_ended_yet() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let before = enter(&site, login("alice")).await.unwrap();
    before.send([frame(BROADCAST, station(1), b"first")]);
    bob.receive().await;
    before.leave().await;

    let mut now = enter(&site, login("alice")).await.unwrap();
    now.send([frame(BROADCAST, station(1), b"second")]);
    bob.receive().await;
    bob.send([frame(station(1), station(2), b"for alice")]);
    assert!(now.receive().await.windows(9).any(|part| part == b"for alice"));
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let table = admin.call::<EnumMacTable>(&request).await.unwrap();
    let behind: Vec<_> = table
        .entries
        .iter()
        .filter(|entry| entry.mac_address == station(1))
        .map(|entry| entry.session_name.clone())
        .collect();
    assert_eq!(behind, [now.welcome.session_name.clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_as_many_sessions_as_the_policy_says() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let once = Policy {
        multi_logins: 1,
        ..Policy::default()
    };
    add_user(&mut admin, "alice", once).await;
    let first = login("alice");
    let _alice = enter(&site, first.clone()).await.unwrap();
    let refused = enter(&site, login("alice")).await.err();
    assert_eq!(refused, Some(ErrorCode::TooManyUserSessions));
    // The same client program may come back before its old session is over.
    enter(&site, first).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_come_at_once_only_as_many_as_allowed_get_in() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let limited = HubSettings {
        max_session: 3,
        ..of_hub(&mut admin).await
    };
    admin.call::<SetHub>(&limited).await.unwrap();
    let site = std::sync::Arc::new(site);
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let site = site.clone();
        attempts.spawn(async move { enter(&site, login("alice")).await });
    }
    let mut entered = Vec::new();
    for outcome in attempts.join_all().await {
        match outcome {
            Ok(peer) => entered.push(peer),
            Err(code) => assert_eq!(code, ErrorCode::TooManySessions),
        }
    }
    assert_eq!(entered.len(), 3);
}

async fn of_hub(admin: &mut AdminClient) -> HubSettings {
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<GetHub>(&request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_forbids_access_holds_from_the_next_login_on() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    add_user(&mut admin, "alice", Policy::default()).await;
    enter(&site, login("alice")).await.unwrap();
    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "alice".to_owned(),
    };
    let mut user = admin
        .call::<protocol::rpc::method::GetUser>(&object)
        .await
        .unwrap();
    user.policy = Some(Policy {
        access: false,
        ..Policy::default()
    });
    admin.call::<SetUser>(&user).await.unwrap();
    assert_eq!(
        enter(&site, login("alice")).await.err(),
        Some(ErrorCode::AccessDenied)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_may_not_bridge_has_three_stations_at_most() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "bob"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    alice.send((1..=5).map(|n| frame(BROADCAST, station(n), b"")));
    for n in 1..=3 {
        assert_eq!(bob.receive().await[6..12], station(n));
    }
    alice.send([frame(BROADCAST, station(1), b"last")]);
    assert_eq!(bob.receive().await[6..12], station(1));
}
