//! Users as an administrator makes them, and the password as its owner changes it.

use protocol::error::ErrorCode;
use protocol::handshake::{ChangePassword, Proof, Request};
use protocol::password::user_hash;
use protocol::policy::Policy;
use protocol::rpc::method::{CreateUser, DeleteUser, EnumUser, GetUser, SetUser};
use protocol::rpc::user::{AuthType, User};
use protocol::rpc::{HubObject, HubRequest};
use tempfile::TempDir;
use transport::admin::AdminError;
use vpnserver::events::Event;
use zeroize::Zeroizing;

use crate::peer::{client, enter, login};
use crate::site::{Site, lab, set_option, with_password};

fn object(name: &str) -> HubObject {
    HubObject {
        hub_name: "lab".to_owned(),
        name: name.to_owned(),
    }
}

async fn lets_in(site: &Site, password: &str) -> bool {
    let mut login = login("alice");
    login.auth = protocol::handshake::Auth::Plain(Zeroizing::new(password.to_owned()));
    enter(site, login).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_made_changed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let alice = User {
        realname: "Alice Liddell".to_owned(),
        note: "from Oxford".to_owned(),
        policy: Some(Policy {
            multi_logins: 3,
            ..Policy::default()
        }),
        ..with_password("lab", "alice", "secret")
    };
    admin.call::<CreateUser>(&alice).await.unwrap();
    let again = admin
        .call::<CreateUser>(&with_password("lab", "ALICE", "x"))
        .await;
    assert!(matches!(again, Err(AdminError::Refused(ErrorCode::UserExists))));
    let mut read = admin.call::<GetUser>(&object("Alice")).await.unwrap();
    assert_eq!(
        (read.realname.as_str(), read.note.as_str()),
        ("Alice Liddell", "from Oxford")
    );
    assert_eq!(read.policy.as_ref().unwrap().multi_logins, 3);
    assert!(read.hashed_key.as_ref().unwrap().is_blank());

    // Written back as it was read, the password stays.
    read.note = "back from Wonderland".to_owned();
    admin.call::<SetUser>(&read).await.unwrap();
    assert!(lets_in(&site, "secret").await);
    // A new one takes the place of the old.
    let renewed = User {
        auth_password: Some("new secret".to_owned().into()),
        ..read
    };
    admin.call::<SetUser>(&renewed).await.unwrap();
    assert!(lets_in(&site, "new secret").await);
    assert!(!lets_in(&site, "secret").await);

    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    let list = admin.call::<EnumUser>(&request).await.unwrap();
    assert_eq!(list.users.len(), 1);
    assert_eq!(list.users[0].auth_type, AuthType::Password);
    assert_eq!(list.users[0].note, "back from Wonderland");
    admin.call::<DeleteUser>(&object("alice")).await.unwrap();
    assert!(admin.call::<EnumUser>(&request).await.unwrap().users.is_empty());
}

async fn change(site: &Site, old: &str, new: &str) -> Option<u32> {
    let mut dialed = site.dial().await;
    let request = Request::ChangePassword(ChangePassword {
        hub: "lab".to_owned(),
        user: "alice".to_owned(),
        old_proof: Proof(user_hash(old.as_bytes(), "alice").prove(&dialed.hello.random)),
        new_password: user_hash(new.as_bytes(), "alice"),
        new_password_nt: Proof([0; 16]),
        client: client(),
    });
    let answer = dialed.request(&request.to_pack()).await.unwrap();
    answer.error().map(ErrorCode::code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_changes_the_password_by_proving_the_old_one() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    set_option(&mut admin, "lab", "AllowStandardPassword", 1).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "old"))
        .await
        .unwrap();
    assert_eq!(
        change(&site, "wrong", "new").await,
        Some(ErrorCode::OldPasswordWrong.code())
    );
    assert!(lets_in(&site, "old").await);
    assert_eq!(change(&site, "old", "new").await, None);
    assert!(lets_in(&site, "new").await);
    assert!(!lets_in(&site, "old").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_keeps_no_standard_hashes_cannot_let_users_change_them() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "old"))
        .await
        .unwrap();
    assert_eq!(
        change(&site, "old", "new").await,
        Some(ErrorCode::NotEnoughRights.code())
    );
    let reason = site
        .event(|event| match event {
            Event::PasswordRefused { user, reason, .. } if user == "alice" => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert!(reason.contains("AllowStandardPassword"), "{reason}");
}
