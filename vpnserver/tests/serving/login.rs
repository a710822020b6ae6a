//! Ways in, and the numbers that say why not.

use protocol::certificate::SigningKey;
use protocol::error::ErrorCode;
use protocol::handshake::{Auth, HubList, Request};
use protocol::pack::Pack;
use protocol::password::user_hash;
use protocol::rpc::method::{CreateUser, DeleteHub, DeleteUser, SetHub, SetUser};
use protocol::rpc::user::{AuthType, User};
use protocol::rpc::{HubObject, HubRequest};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use tempfile::TempDir;
use vpnserver::events::Event;
use zeroize::Zeroizing;

use crate::peer::{Peer, enter, enter_over, login};
use crate::site::{Site, add_hub, hub, lab, set_online, set_option, with_password};

fn plain(password: &str) -> Auth {
    Auth::Plain(Zeroizing::new(password.to_owned()))
}

async fn with_auth(site: &Site, user: &str, auth: Auth) -> Result<Peer, ErrorCode> {
    let mut login = login(user);
    login.auth = auth;
    enter(site, login).await
}

/// The standard password type.
async fn by_challenge(site: &Site, user: &str, password: &str) -> Result<Peer, ErrorCode> {
    let dialed = site.dial().await;
    let proof = user_hash(password.as_bytes(), user).prove(&dialed.hello.random);
    let mut login = login(user);
    login.auth = Auth::Challenge(proof);
    enter_over(dialed, login).await
}

/// What the log says of the refusal of this user.
async fn refusal(site: &Site, whose: &str) -> (ErrorCode, String) {
    site.event(|event| match event {
        Event::LoginRefused {
            user, code, reason, ..
        } if user == whose => Some((*code, reason.clone())),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_itself_lets_a_user_in() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "Tsumura", "secret"))
        .await
        .unwrap();
    let peer = with_auth(&site, "tsumura", plain("secret")).await.unwrap();
    assert_eq!(peer.welcome.session_name, "SID-TSUMURA-1");
    // Neither bridge nor router was asked for, so neither may be (protocol §5.1).
    assert!(peer.welcome.policy.no_bridge && peer.welcome.policy.no_routing);
    let opened = site
        .event(|event| match event {
            Event::SessionOpened { user, client, .. } => Some((user.clone(), client.clone())),
            _ => None,
        })
        .await;
    assert_eq!(opened, ("Tsumura".to_owned(), "Test Client".to_owned()));
    assert_eq!(
        with_auth(&site, "tsumura", plain("Secret")).await.err(),
        Some(ErrorCode::AuthFailed)
    );
}

/// docs/adr/0009-passwords-that-were-right.md
#[tokio::test(flavor = "multi_thread")]
async fn which_password_was_right_is_forgotten_when_its_user_changes_or_goes() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let remembered = || site.server.logins.hasher().remembered();
    for name in ["alice", "bob"] {
        admin
            .call::<CreateUser>(&with_password("lab", name, "secret"))
            .await
            .unwrap();
        with_auth(&site, name, plain("secret")).await.unwrap();
    }
    assert_eq!(remembered(), 2);
    admin
        .call::<SetUser>(&with_password("lab", "alice", "another"))
        .await
        .unwrap();
    assert_eq!(remembered(), 1, "of bob");
    with_auth(&site, "alice", plain("another")).await.unwrap();
    assert!(with_auth(&site, "alice", plain("secret")).await.is_err());
    assert_eq!(remembered(), 2);
    admin
        .call::<DeleteUser>(&HubObject {
            hub_name: "lab".into(),
            name: "bob".into(),
        })
        .await
        .unwrap();
    assert_eq!(remembered(), 1, "of alice");
    admin
        .call::<DeleteHub>(&HubRequest {
            hub_name: "lab".into(),
        })
        .await
        .unwrap();
    assert_eq!(remembered(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_may_be_one_is_told_so() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    let mut bridge = login("alice");
    bridge.options.bridge = true;
    let peer = enter(&site, bridge).await.unwrap();
    assert!(!peer.welcome.policy.no_bridge && !peer.welcome.policy.no_routing);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_login_is_refused_with_the_way_out_in_the_log() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "secret"))
        .await
        .unwrap();
    assert_eq!(
        by_challenge(&site, "alice", "secret").await.err(),
        Some(ErrorCode::AuthFailed)
    );
    let (_, reason) = refusal(&site, "alice").await;
    assert!(reason.contains("AllowStandardPassword"), "{reason}");
    assert!(reason.contains("RADIUS or NT domain"), "{reason}");
    // What must not be in a log.
    assert!(!reason.contains("secret"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standard_login_works_where_the_hub_allows_it() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    set_option(&mut admin, "lab", "AllowStandardPassword", 1).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "secret"))
        .await
        .unwrap();
    by_challenge(&site, "alice", "secret").await.unwrap();
    assert_eq!(
        by_challenge(&site, "alice", "wrong").await.err(),
        Some(ErrorCode::AuthFailed)
    );
    set_option(&mut admin, "lab", "AllowStandardPassword", 0).await;
    assert_eq!(
        by_challenge(&site, "alice", "secret").await.err(),
        Some(ErrorCode::AuthFailed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_login_with_the_password_itself_the_standard_one_works_too() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "secret"))
        .await
        .unwrap();
    set_option(&mut admin, "lab", "AllowStandardPassword", 1).await;
    assert!(by_challenge(&site, "alice", "secret").await.is_err());
    with_auth(&site, "alice", plain("secret")).await.unwrap();
    by_challenge(&site, "alice", "secret").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_user_comes_in_whatever_was_sent() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["guest"]).await;
    with_auth(&site, "guest", Auth::Anonymous).await.unwrap();
    with_auth(&site, "GUEST", plain("anything")).await.unwrap();
    by_challenge(&site, "guest", "anything").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_lets_in_who_has_its_key() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let cert = CertificateParams::new(vec!["alice.invalid".to_owned()])
        .unwrap()
        .self_signed(&pair)
        .unwrap()
        .der()
        .to_vec();
    let user = User {
        auth_type: AuthType::UserCertificate,
        user_x: Some(cert.clone()),
        ..crate::site::anonymous("lab", "alice")
    };
    admin.call::<CreateUser>(&user).await.unwrap();
    let key = SigningKey::from_der(&pair.serialize_der()).unwrap();
    for (spoil, outcome) in [(false, None), (true, Some(ErrorCode::AuthFailed))] {
        let dialed = site.dial().await;
        let mut signature = key.sign(&dialed.hello.random, &mut rand::rng()).unwrap();
        if spoil {
            signature[0] ^= 1;
        }
        let mut login = login("alice");
        login.auth = Auth::Certificate {
            cert: cert.clone(),
            signature,
        };
        assert_eq!(enter_over(dialed, login).await.err(), outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_learns_the_number() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    add_hub(&mut admin, "dark").await;
    set_online(&mut admin, "dark", false).await;
    for (hub, user, auth, code) in [
        ("nowhere", "alice", Auth::Anonymous, ErrorCode::HubNotFound),
        ("dark", "alice", Auth::Anonymous, ErrorCode::HubStopped),
        ("lab", "nobody", Auth::Anonymous, ErrorCode::AuthFailed),
        ("lab", "nobody", plain("x"), ErrorCode::AuthFailed),
        ("lab", "nobody", Auth::Challenge([0; 20]), ErrorCode::AuthFailed),
        (
            "lab",
            "nobody",
            Auth::Ticket([0; 20]),
            ErrorCode::AuthTypeNotSupported,
        ),
        (
            "lab",
            "administrator",
            plain(""),
            ErrorCode::EmptyPasswordLocalOnly,
        ),
    ] {
        let mut login = login(user);
        login.hub = hub.to_owned();
        login.auth = auth;
        let what = format!("{login:?}");
        assert_eq!(enter(&site, login).await.err(), Some(code), "{what}");
    }
    assert_eq!(
        [8, 9, 10].map(ErrorCode::from_code),
        [
            ErrorCode::HubNotFound,
            ErrorCode::AuthFailed,
            ErrorCode::HubStopped
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_prove_oneself_that_there_is_not_is_refused() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &["alice"]).await;
    // 96 to 98 would mean "already authenticated" (protocol §4.3).
    for number in [4, 96, 97, 98, 1000] {
        let mut dialed = site.dial().await;
        let mut request: Pack = Request::Login(Box::new(login("alice"))).to_pack();
        request.set_int("authtype", number);
        let answer = dialed.request(&request).await.unwrap();
        assert_eq!(answer.error(), Some(ErrorCode::AuthTypeNotSupported), "{number}");
        assert_eq!(answer.int("error"), Some(7));
    }
    assert!(site.server.sessions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_hubs_that_want_to_be_seen_are_listed() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    add_hub(&mut admin, "secret").await;
    let mut hidden = hub("secret");
    hidden.no_enum = true;
    admin.call::<SetHub>(&hidden).await.unwrap();
    let answer = site
        .dial()
        .await
        .request(&Request::EnumHub.to_pack())
        .await
        .unwrap();
    assert_eq!(HubList::from_pack(&answer).unwrap().names, ["lab"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_gets_slow_for_the_guesser() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["guest"]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "secret"))
        .await
        .unwrap();
    for _ in 0..7 {
        assert!(with_auth(&site, "alice", plain("guess")).await.is_err());
    }
    // The right one comes too early now, and the log says why.
    assert_eq!(
        with_auth(&site, "alice", plain("secret")).await.err(),
        Some(ErrorCode::AuthFailed)
    );
    site.event(|event| match event {
        Event::LoginRefused { reason, .. } => reason.contains("not looked at").then_some(()),
        _ => None,
    })
    .await;
    // Another user of the same source is let in.
    with_auth(&site, "guest", Auth::Anonymous).await.unwrap();
}
