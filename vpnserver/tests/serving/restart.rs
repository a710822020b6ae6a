//! What is there after the server ended and began again.

use protocol::rpc::HubRequest;
use protocol::rpc::Nothing;
use protocol::rpc::method::{
    AddDnat, CreateUser, EnableSecureNAT, EnumDnat, GetSecureNATStatus, SetServerPassword,
};
use protocol::rpc::server::ServerPassword;
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::peer::{enter, login};
use crate::published::web;
use crate::site::{Site, lab, with_password};

#[tokio::test(flavor = "multi_thread")]
async fn hubs_users_rules_and_passwords_come_back() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let fingerprint = site.server.identity().fingerprint();
    let hub = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin
        .call::<CreateUser>(&with_password("lab", "alice", "secret"))
        .await
        .unwrap();
    admin.call::<EnableSecureNAT>(&hub).await.unwrap();
    admin.call::<AddDnat>(&web()).await.unwrap();
    let password = ServerPassword {
        plain_text_password: "admin".to_owned().into(),
        ..ServerPassword::default()
    };
    admin.call::<SetServerPassword>(&password).await.unwrap();
    drop(admin);
    site.stop().await;

    let site = Site::start(&folder).await;
    assert_eq!(site.server.identity().fingerprint(), fingerprint);
    let mut alice = login("alice");
    alice.auth = protocol::handshake::Auth::Plain(Zeroizing::new("secret".to_owned()));
    enter(&site, alice).await.unwrap();
    let mut admin = site.remote_admin(None, "admin").await.unwrap();
    admin.call::<GetSecureNATStatus>(&hub).await.unwrap();
    let rules = admin.call::<EnumDnat>(&Nothing {}).await.unwrap().rules;
    assert_eq!(rules[0].rule, web());
}
