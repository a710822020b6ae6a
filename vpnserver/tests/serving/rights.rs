//! Who may administer what.

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::hub::HubSettings;
use protocol::rpc::method::{CreateHub, CreateUser, EnumHub, EnumUser, GetServerInfo, SetServerPassword};
use protocol::rpc::server::ServerPassword;
use protocol::rpc::{HubRequest, Nothing};
use transport::admin::{AdminClient, AdminError};

use tempfile::TempDir;
use vpnserver::events::Event;

use crate::site::{add_hub, anonymous, hub, lab};
use crate::web::Web;

fn refusal<T>(outcome: Result<T, AdminError>) -> Option<u32> {
    match outcome.err()? {
        AdminError::Refused(code) => Some(code.code()),
        _ => None,
    }
}

async fn set_password(admin: &mut AdminClient, password: &str) {
    let request = ServerPassword {
        plain_text_password: password.to_owned().into(),
        ..ServerPassword::default()
    };
    admin.call::<SetServerPassword>(&request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_administers_over_the_network_before_there_is_a_password() {
    let folder = TempDir::new().unwrap();
    let (site, mut local) = lab(&folder, &[]).await;
    for password in ["", "guess"] {
        assert_eq!(refusal(site.remote_admin(None, password).await), Some(51));
        assert_eq!(refusal(site.remote_admin(Some("lab"), password).await), Some(51));
    }
    assert_eq!(refusal(site.remote_admin(Some("nowhere"), "").await), Some(8));
    local.call::<GetServerInfo>(&Nothing {}).await.unwrap();

    set_password(&mut local, "top secret").await;
    let mut remote = site.remote_admin(None, "top secret").await.unwrap();
    remote.call::<GetServerInfo>(&Nothing {}).await.unwrap();
    assert_eq!(refusal(site.remote_admin(None, "guess").await), Some(12));
    assert_eq!(refusal(site.remote_admin(None, "").await), Some(12));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_password_is_no_password() {
    let folder = TempDir::new().unwrap();
    let (site, mut local) = lab(&folder, &[]).await;
    let empty = ServerPassword {
        hashed_password: protocol::password::admin_hash(b"").as_bytes().to_vec().into(),
        ..ServerPassword::default()
    };
    assert!(refusal(local.call::<SetServerPassword>(&empty).await).is_some());
    assert_eq!(refusal(site.remote_admin(None, "").await), Some(51));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hubs_administrator_has_that_hub_and_no_other() {
    let folder = TempDir::new().unwrap();
    let (site, mut server) = lab(&folder, &[]).await;
    let mine = HubSettings {
        admin_password_plain_text: "mine".to_owned().into(),
        ..hub("mine")
    };
    server.call::<CreateHub>(&mine).await.unwrap();
    assert_eq!(refusal(site.remote_admin(Some("mine"), "wrong").await), Some(12));
    let mut remote = site.remote_admin(Some("MINE"), "mine").await.unwrap();
    let mut local = site.local_admin(Some("mine")).await.unwrap();
    for (admin, user) in [(&mut remote, "alice"), (&mut local, "bob")] {
        admin.call::<CreateUser>(&anonymous("mine", user)).await.unwrap();
        let other = HubRequest {
            hub_name: "lab".to_owned(),
        };
        assert_eq!(refusal(admin.call::<EnumUser>(&other).await), Some(52));
        assert_eq!(
            refusal(admin.call::<CreateUser>(&anonymous("lab", user)).await),
            Some(52)
        );
        assert_eq!(refusal(admin.call::<CreateHub>(&hub("more")).await), Some(52));
        let seen = admin.call::<EnumHub>(&Nothing {}).await.unwrap();
        let seen: Vec<_> = seen.hubs.iter().map(|hub| hub.hub_name.as_str()).collect();
        assert_eq!(seen, ["mine"]);
    }
    let mine = HubRequest {
        hub_name: "mine".to_owned(),
    };
    assert_eq!(server.call::<EnumUser>(&mine).await.unwrap().users.len(), 2);
    assert!(matches!(
        site.local_admin(Some("nowhere")).await,
        Err(AdminError::Refused(ErrorCode::HubNotFound))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_there_is_not_is_refused_and_the_connection_lives_on() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    for method in ["NoSuchMethod", "", "Crash", "Debug"] {
        let answer = admin.call_pack(method, Pack::new()).await;
        assert_eq!(refusal(answer), Some(33), "{method}");
    }
    admin.call::<GetServerInfo>(&Nothing {}).await.unwrap();
    add_hub(&mut admin, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_come_from_where_the_file_lets_them() {
    let folder = TempDir::new().unwrap();
    let (site, mut local) = lab(&folder, &[]).await;
    set_password(&mut local, "top secret").await;
    let mine = HubSettings {
        admin_password_plain_text: "mine".to_owned().into(),
        ..hub("mine")
    };
    local.call::<CreateHub>(&mine).await.unwrap();
    let file = folder.path().join("adminip.txt");
    let may = async |content: &str| {
        std::fs::write(&file, content).unwrap();
        let by_rpc = refusal(site.remote_admin(None, "top secret").await);
        let header = "X-VPNADMIN-PASSWORD: top secret\r\n";
        let by_json = Web::open(&site)
            .await
            .call(header, "GetServerInfo", &serde_json::json!({}))
            .await;
        assert_eq!(by_json.status == 200, by_rpc.is_none(), "{content}");
        (by_rpc, refusal(site.remote_admin(Some("mine"), "mine").await))
    };
    assert_eq!(may("127.0.0.0/8 // this machine\n").await, (None, None));
    assert_eq!(may("10.0.0.0/8\n127.0.0.1 MINE\n").await, (Some(109), None));
    assert_eq!(may("10.0.0.0/8\n").await, (Some(109), Some(109)));
    // A file that makes no sense lets nobody in, and the log says which line it is.
    assert_eq!(may("*\nthe office\n").await, (Some(109), Some(109)));
    site.event(|event| match event {
        Event::AdminRefused { reason, .. } => reason.contains("line 2 of adminip.txt").then_some(()),
        _ => None,
    })
    .await;
    // The local socket is no network.
    local.call::<GetServerInfo>(&Nothing {}).await.unwrap();
    std::fs::remove_file(&file).unwrap();
    site.remote_admin(None, "top secret").await.unwrap();
}
