//! What the audit log says about what was done, and by whom.

use protocol::rpc::audit::{AuditRequest, AuditRow};
use protocol::rpc::hub::HubSettings;
use protocol::rpc::listener::Listener;
use protocol::rpc::method::{
    CreateHub, CreateListener, CreateUser, DeleteUser, EnumAudit, GetHub, SetServerPassword,
};
use protocol::rpc::server::ServerPassword;
use protocol::rpc::{HubObject, HubRequest};
use serde_json::json;
use tempfile::TempDir;
use transport::admin::AdminClient;

use crate::site::{Site, anonymous, hub, lab};
use crate::web::Web;

async fn lines(admin: &mut AdminClient, hub: &str) -> Vec<AuditRow> {
    let request = AuditRequest {
        hub_name: hub.to_owned(),
        ..AuditRequest::default()
    };
    admin.call::<EnumAudit>(&request).await.unwrap().lines
}

/// Who, over what, which method, which hub, which object, with what result.
fn told(row: &AuditRow) -> String {
    let who = [row.who.as_str(), row.who_name.as_str()].join(" ");
    [
        who.trim(),
        &row.transport,
        &row.method,
        &row.hub,
        &row.object,
        &row.result.to_string(),
    ]
    .join("|")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_every_refused_one_is_a_line() {
    let folder = TempDir::new().unwrap();
    let (site, mut local) = lab(&folder, &[]).await;
    let password = ServerPassword {
        plain_text_password: "top secret".to_owned().into(),
        ..ServerPassword::default()
    };
    local.call::<SetServerPassword>(&password).await.unwrap();
    let mine = HubSettings {
        admin_password_plain_text: "mine".to_owned().into(),
        ..hub("mine")
    };
    local.call::<CreateHub>(&mine).await.unwrap();
    let mut remote = site.remote_admin(Some("mine"), "mine").await.unwrap();
    remote
        .call::<CreateUser>(&anonymous("mine", "ann"))
        .await
        .unwrap();
    assert!(remote.call::<CreateUser>(&anonymous("lab", "eve")).await.is_err());
    let ann = HubObject {
        hub_name: "mine".to_owned(),
        name: "ann".to_owned(),
    };
    let request = HubRequest {
        hub_name: "mine".to_owned(),
    };
    remote.call::<GetHub>(&request).await.unwrap();
    remote.call::<DeleteUser>(&ann).await.unwrap();
    let mut web = Web::open(&site).await;
    let login = "X-VPNADMIN-PASSWORD: top secret\r\n";
    let user = json!({ "HubName_str": "lab", "Name_str": "bob" });
    assert_eq!(web.call(login, "CreateUser", &user).await.status, 200);
    assert_eq!(
        web.call(
            login,
            "SetUser",
            &json!({ "HubName_str": "lab", "Name_str": "no" })
        )
        .await
        .code(),
        29
    );
    assert_eq!(
        web.call("X-VPNADMIN-PASSWORD: wrong\r\n", "EnumHub", &json!({}))
            .await
            .status,
        401
    );
    let port = Listener {
        port: 0,
        enable: true,
    };
    assert!(local.call::<CreateListener>(&port).await.is_err());

    let all = lines(&mut local, "").await;
    let mut told_all: Vec<_> = all.iter().map(told).collect();
    told_all.reverse();
    assert_eq!(
        told_all,
        [
            "server|local|CreateHub|lab||0",
            "server|local|SetServerPassword|||0",
            "server|local|CreateHub|mine||0",
            "hub mine|rpc|CreateUser|mine|ann|0",
            "hub mine|rpc|CreateUser|lab|eve|52",
            "hub mine|rpc|DeleteUser|mine|ann|0",
            "server|json|CreateUser|lab|bob|0",
            "server|json|SetUser|lab|no|29",
            "stranger|json|Login|||12",
            "server|local|CreateListener||0|38",
        ]
    );
    assert!(all[4].from.starts_with("127.0.0.1:"), "{:?}", all[4]);
    assert_eq!(all[0].from, "local");

    // A hub's administrator sees what was done to the hub, and what they tried elsewhere.
    let own: Vec<_> = lines(&mut remote, "").await.iter().map(told).collect();
    assert_eq!(own, [5, 4, 3, 2].map(|line| told_all[line].clone()));
    let other = AuditRequest {
        hub_name: "lab".to_owned(),
        ..AuditRequest::default()
    };
    assert!(remote.call::<EnumAudit>(&other).await.is_err());
    let of_lab: Vec<_> = lines(&mut local, "LAB").await.iter().map(told).collect();
    assert_eq!(of_lab, [7, 6, 4, 0].map(|line| told_all[line].clone()));

    // In pages.
    let page = |before| AuditRequest {
        max: 3,
        before,
        ..AuditRequest::default()
    };
    let first = local.call::<EnumAudit>(&page(0)).await.unwrap().lines;
    let second = local.call::<EnumAudit>(&page(first[2].id)).await.unwrap().lines;
    assert_eq!([first, second].concat(), all[..6]);
    let files = ["audit.jsonl", "audit-logins.jsonl"]
        .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap());
    assert!(
        files
            .iter()
            .all(|text| !text.contains("secret") && !text.contains("wrong")),
        "{files:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_for_its_line_nothing_is_changed() {
    let folder = TempDir::new().unwrap();
    // What cannot be opened as a file has no room.
    let in_the_way = folder.path().join("audit.jsonl");
    std::fs::create_dir(&in_the_way).unwrap();
    let site = Site::start(&folder).await;
    let mut admin = site.admin().await;
    assert!(admin.call::<CreateHub>(&hub("new")).await.is_err());
    let request = HubRequest {
        hub_name: "new".to_owned(),
    };
    assert!(admin.call::<GetHub>(&request).await.is_err());
    std::fs::remove_dir(&in_the_way).unwrap();
    admin.call::<CreateHub>(&hub("new")).await.unwrap();
    assert_eq!(
        told(&lines(&mut admin, "").await[0]),
        "server|local|CreateHub|new||0"
    );
}
