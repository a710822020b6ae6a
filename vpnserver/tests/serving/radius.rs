//! Users whom a RADIUS server knows.

use std::net::SocketAddr;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use protocol::error::ErrorCode;
use protocol::handshake::Auth;
use protocol::rpc::HubRequest;
use protocol::rpc::hub::HubRadius;
use protocol::rpc::method::{CreateUser, DeleteUser, GetHubRadius, SetHubRadius};
use protocol::rpc::user::{AuthType, User};
use tempfile::TempDir;
use tokio::net::UdpSocket;
use transport::admin::{AdminClient, AdminError};
use vpnserver::events::Event;
use vpnserver::session::reason;
use zeroize::Zeroizing;

use crate::peer::{Peer, enter, login};
use crate::site::{Site, anonymous, lab, with_password};

const SECRET: &str = "shared secret";

/// A server that knows one password, whoever comes with it.
struct Responder {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Responder {
    /// One that proves its answers, or not.
    async fn start(proves: bool) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let port = socket.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let mut packet = [0; 4096];
            loop {
                let (length, from): (usize, SocketAddr) = socket.recv_from(&mut packet).await.unwrap();
                let answer = answer(&packet[..length], proves);
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        Self { port, task }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts the password `right` (RFC 2865, 5.2 and 3).
fn answer(request: &[u8], proves: bool) -> Vec<u8> {
    let hidden = attribute(request, 2);
    let key = Md5::new()
        .chain_update(SECRET)
        .chain_update(&request[4..20])
        .finalize();
    let password: Vec<u8> = hidden.iter().zip(key).map(|(byte, key)| byte ^ key).collect();
    let code = if password.starts_with(b"right\0") { 2 } else { 3 };
    let mut packet = vec![code, request[1], 0, 20];
    packet.extend(&request[4..20]);
    if proves {
        packet.extend([80, 18]);
        packet.extend([0; 16]);
        packet[3] = 38;
        let mac = Hmac::<Md5>::new_from_slice(SECRET.as_bytes())
            .unwrap()
            .chain_update(&packet)
            .finalize();
        packet[22..38].copy_from_slice(&mac.into_bytes());
    }
    let hash = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
    packet[4..20].copy_from_slice(&hash);
    packet
}

fn attribute(packet: &[u8], wanted: u8) -> &[u8] {
    let mut at = 20;
    while packet[at] != wanted {
        at += usize::from(packet[at + 1]);
    }
    &packet[at + 2..at + usize::from(packet[at + 1])]
}

async fn ask(admin: &mut AdminClient, servers: &str, port: u16) {
    let settings = HubRadius {
        hub_name: "lab".to_owned(),
        radius_server_name: servers.to_owned(),
        radius_port: port.into(),
        radius_secret: SECRET.to_owned().into(),
        radius_retry_interval: 1,
        ..HubRadius::default()
    };
    admin.call::<SetHubRadius>(&settings).await.unwrap();
}

fn radius(name: &str) -> User {
    User {
        auth_type: AuthType::Radius,
        ..anonymous("lab", name)
    }
}

async fn with(site: &Site, user: &str, password: &str) -> Result<Peer, ErrorCode> {
    let mut login = login(user);
    login.auth = Auth::Plain(Zeroizing::new(password.to_owned()));
    enter(site, login).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_the_server_accepts_lets_a_user_in() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let responder = Responder::start(true).await;
    admin.call::<CreateUser>(&radius("alice")).await.unwrap();
    assert!(with(&site, "alice", "right").await.is_err());
    ask(&mut admin, "127.0.0.1", responder.port).await;
    with(&site, "alice", "right").await.unwrap();
    let refused = Some(ErrorCode::AuthFailed);
    assert_eq!(with(&site, "alice", "wrong").await.err(), refused);
    assert_eq!(with(&site, "bob", "right").await.err(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_anybody_could_have_made_is_not_believed() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let (forger, honest) = (Responder::start(false).await, Responder::start(true).await);
    admin.call::<CreateUser>(&radius("alice")).await.unwrap();
    ask(&mut admin, "127.0.0.1", forger.port).await;
    assert_eq!(
        with(&site, "alice", "right").await.err(),
        Some(ErrorCode::AuthFailed)
    );
    let reason = site
        .event(|event| match event {
            Event::LoginRefused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert!(reason.contains("Message-Authenticator"), "{reason}");
    assert!(!reason.contains(SECRET) && !reason.contains("right"), "{reason}");
    ask(&mut admin, "127.0.0.1", honest.port).await;
    with(&site, "alice", "right").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_star_stands_for_names_that_the_hub_does_not_have() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let responder = Responder::start(true).await;
    // Nobody listens at the first address; the second is asked when that has not answered.
    ask(&mut admin, "127.0.0.9; 127.0.0.1", responder.port).await;
    admin.call::<CreateUser>(&radius("*")).await.unwrap();
    admin
        .call::<CreateUser>(&with_password("lab", "bob", "own"))
        .await
        .unwrap();
    let carol = with(&site, "carol", "right").await.unwrap();
    assert_eq!(carol.welcome.session_name, "SID-CAROL-1");
    for name in ["bob", "link", "*"] {
        assert!(with(&site, name, "right").await.is_err(), "{name}");
    }
    let anybody = protocol::rpc::HubObject {
        hub_name: "lab".to_owned(),
        name: "*".to_owned(),
    };
    admin.call::<DeleteUser>(&anybody).await.unwrap();
    assert_eq!(site.ended("carol").await, reason::USER_REVOKED);
    carol.until_no_connection().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_kept_and_brought_into_range() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let of_lab = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let none = admin.call::<GetHubRadius>(&of_lab).await.unwrap();
    assert_eq!((none.radius_server_name.as_str(), none.radius_port), ("", 0));
    let mut settings = HubRadius {
        hub_name: "lab".to_owned(),
        radius_server_name: "192.0.2.1;192.0.2.2".to_owned(),
        radius_port: 1645,
        radius_secret: SECRET.to_owned().into(),
        radius_retry_interval: 99_999,
        ..HubRadius::default()
    };
    admin.call::<SetHubRadius>(&settings).await.unwrap();
    let read = admin.call::<GetHubRadius>(&of_lab).await.unwrap();
    assert_eq!((read.radius_port, read.radius_retry_interval), (1645, 15_000));
    assert_eq!(read.radius_server_name, settings.radius_server_name);
    assert_eq!(*read.radius_secret, SECRET);

    settings.radius_port = 65_536;
    let refused = admin.call::<SetHubRadius>(&settings).await;
    assert!(matches!(
        refused,
        Err(AdminError::Refused(ErrorCode::InvalidParameter))
    ));
    assert_eq!(admin.call::<GetHubRadius>(&of_lab).await.unwrap(), read);
    settings.radius_port = 1812;
    settings.radius_server_name.clear();
    admin.call::<SetHubRadius>(&settings).await.unwrap();
    assert_eq!(admin.call::<GetHubRadius>(&of_lab).await.unwrap(), none);
}
