//! What ends sessions, what does not, and what is left afterwards.

use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::rpc::method::{DeleteHub, DeleteSession, DeleteUser};
use protocol::rpc::{HubObject, HubRequest};
use tempfile::TempDir;
use vpnserver::events::Event;

use crate::peer::{enter, login};
use crate::site::{lab, set_online};

fn object(name: &str) -> HubObject {
    HubObject {
        hub_name: "lab".to_owned(),
        name: name.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_goes_offline_ends_its_sessions() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    set_online(&mut admin, "lab", false).await;
    alice.until_no_connection().await;
    assert_eq!(site.ended("alice").await, "its hub went offline");
    assert_eq!(alice.join(&site).await.unwrap_err(), ErrorCode::SessionTimeout);
    set_online(&mut admin, "lab", true).await;
    enter(&site, login("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_deleted_is_out_at_once_and_others_stay() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let bob = enter(&site, login("bob")).await.unwrap();
    admin.call::<DeleteUser>(&object("ALICE")).await.unwrap();
    alice.until_no_connection().await;
    assert_eq!(site.ended("alice").await, "its user was deleted");
    assert_eq!(bob.tunnel.watch().borrow().connections, 1);
    assert_eq!(
        enter(&site, login("alice")).await.err(),
        Some(ErrorCode::AuthFailed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_deleted_ends_its_sessions() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<DeleteHub>(&request).await.unwrap();
    alice.until_no_connection().await;
    assert_eq!(site.ended("alice").await, "its hub was deleted");
    assert_eq!(
        enter(&site, login("alice")).await.err(),
        Some(ErrorCode::HubNotFound)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_disconnects_a_session() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    admin.call::<DeleteSession>(&object("sid-alice-1")).await.unwrap();
    alice.until_no_connection().await;
    assert_eq!(site.ended("alice").await, "disconnected by an administrator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_its_own_session_only() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "mallory"]).await;
    site.server.events.read_with(|event| {
        if let Event::SessionOpened { user, .. } = event {
            assert_ne!(user, "mallory", "a panic on purpose");
        }
    });
    let alice = enter(&site, login("alice")).await.unwrap();
    let mut dialed = site.dial().await;
    let request = protocol::handshake::Request::Login(Box::new(login("mallory")));
    assert!(dialed.request(&request.to_pack()).await.is_err());
    site.ended("mallory").await;
    assert_eq!(site.server.sessions.len(), 1);
    assert_eq!(alice.tunnel.watch().borrow().connections, 1);
    enter(&site, login("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_ends_before_strangers_do_and_says_goodbye() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice", "bob"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let _bob = enter(&site, login("bob")).await.unwrap();
    // One that never gets further than TCP must not hold it up.
    let _stranger = tokio::net::TcpStream::connect(site.address).await.unwrap();
    let server = site.server.clone();
    let began = Instant::now();
    site.stop().await;
    // It would stay for 15 seconds.
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    alice.until_no_connection().await;
    assert!(server.sessions.is_empty());
    assert!(server.connections.all().is_empty());
}
