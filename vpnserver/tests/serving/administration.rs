//! The server and its hubs as an administrator reads and changes them.

use protocol::error::ErrorCode;
use protocol::rpc::group::Group;
use protocol::rpc::hub::{HubMessage, HubSettings};
use protocol::rpc::log::HubLog;
use protocol::rpc::method::{
    CreateGroup, CreateHub, DeleteGroup, DeleteHub, EnumGroup, EnumHub, Flush, GetAdminMsg, GetCaps,
    GetGroup, GetHub, GetHubExtOptions, GetHubLog, GetHubMsg, GetHubStatus, GetKeep, GetPortsUDP,
    GetServerCert, GetServerInfo, GetServerStatus, GetSpecialListener, GetSysLog, SetGroup, SetHub,
    SetHubLog, SetHubMsg,
};
use protocol::rpc::{HubObject, HubRequest, Nothing, Values};
use tempfile::TempDir;
use transport::admin::AdminError;

use crate::peer::{enter, login};
use crate::site::{anonymous, hub, lab, set_online, set_option};

fn of(hub: &str) -> HubRequest {
    HubRequest {
        hub_name: hub.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_describes_itself() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    let info = admin.call::<GetServerInfo>(&Nothing {}).await.unwrap();
    assert_eq!(info.server_product_name, "Hubward VPN Server (64 bit)");
    assert_eq!(info.server_build_int, protocol::BUILD);
    let status = admin.call::<GetServerStatus>(&Nothing {}).await.unwrap();
    assert_eq!(
        (status.num_hub_total, status.num_sessions_total, status.num_users),
        (1, 1, 1)
    );
    assert!(status.start_time <= status.current_time);
    let caps = admin.call::<GetCaps>(&Nothing {}).await.unwrap();
    let securenat = caps.caps.iter().find(|cap| cap.name == "b_support_securenat");
    assert_eq!(securenat.unwrap().value, 1);
    let flushed = admin.call::<Flush>(&Values::default()).await.unwrap();
    assert!(flushed.int > 0);
    let shown = admin.call::<GetServerCert>(&Nothing {}).await.unwrap();
    assert_eq!(shown.cert.as_deref(), Some(&*site.server.identity().certificate));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_told_to_be_off() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    assert!(
        admin
            .call::<GetAdminMsg>(&Nothing {})
            .await
            .unwrap()
            .msg
            .is_empty()
    );
    assert!(
        admin
            .call::<GetPortsUDP>(&Nothing {})
            .await
            .unwrap()
            .ports
            .is_empty()
    );
    let special = admin.call::<GetSpecialListener>(&Nothing {}).await.unwrap();
    assert!(!special.vpn_over_dns && !special.vpn_over_icmp);
    admin.call::<GetKeep>(&Nothing {}).await.unwrap();
    admin.call::<GetSysLog>(&Nothing {}).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_are_made_changed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &["alice"]).await;
    let wanted = HubSettings {
        max_session: 7,
        no_enum: true,
        ..hub("office")
    };
    admin.call::<CreateHub>(&wanted).await.unwrap();
    let again = admin.call::<CreateHub>(&hub("OFFICE")).await;
    assert!(matches!(again, Err(AdminError::Refused(ErrorCode::HubExists))));
    let read = admin.call::<GetHub>(&of("office")).await.unwrap();
    assert_eq!((read.max_session, read.no_enum, read.online), (7, true, true));
    assert!(read.hashed_password.is_blank());
    let names = |list: protocol::rpc::hub::HubList| -> Vec<String> {
        list.hubs.into_iter().map(|hub| hub.hub_name).collect()
    };
    let list = admin.call::<EnumHub>(&Nothing {}).await.unwrap();
    assert_eq!(names(list), ["lab", "office"]);
    admin
        .call::<SetHub>(&HubSettings {
            max_session: 8,
            ..read
        })
        .await
        .unwrap();
    assert_eq!(admin.call::<GetHub>(&of("office")).await.unwrap().max_session, 8);
    admin.call::<DeleteHub>(&of("office")).await.unwrap();
    let gone = admin.call::<GetHubStatus>(&of("office")).await;
    assert!(matches!(gone, Err(AdminError::Refused(ErrorCode::HubNotFound))));
    let list = admin.call::<EnumHub>(&Nothing {}).await.unwrap();
    assert_eq!(list.hubs[0].num_users, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hubs_state_is_told_as_it_is() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let _alice = enter(&site, login("alice")).await.unwrap();
    let status = admin.call::<GetHubStatus>(&of("lab")).await.unwrap();
    assert_eq!(
        (
            status.online,
            status.num_sessions,
            status.num_sessions_client,
            status.num_login
        ),
        (true, 1, 1, 1)
    );
    assert!(status.last_login_time.0 > 0);
    set_online(&mut admin, "lab", false).await;
    let status = admin.call::<GetHubStatus>(&of("lab")).await.unwrap();
    assert_eq!((status.online, status.num_sessions_client), (false, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_greets_users_with_its_message() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let message = HubMessage {
        hub_name: "lab".to_owned(),
        msg: "Grüße".as_bytes().to_vec(),
    };
    admin.call::<SetHubMsg>(&message).await.unwrap();
    assert_eq!(
        admin.call::<GetHubMsg>(&of("lab")).await.unwrap().msg,
        message.msg
    );
    assert_eq!(
        enter(&site, login("alice")).await.unwrap().welcome.message,
        "Grüße"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn options_and_logs_of_a_hub_are_kept() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    set_option(&mut admin, "lab", "allowstandardpassword", 1).await;
    set_option(&mut admin, "lab", "SomethingOfAnotherVersion", 1).await;
    let options = admin.call::<GetHubExtOptions>(&of("lab")).await.unwrap();
    let named = |name: &str| options.options.iter().find(|option| option.name == name);
    assert_eq!(named("AllowStandardPassword").unwrap().value, 1);
    assert!(named("SomethingOfAnotherVersion").is_none());

    let logs = admin.call::<GetHubLog>(&of("lab")).await.unwrap();
    let changed = HubLog {
        save_packet_log: !logs.save_packet_log,
        ..logs
    };
    admin.call::<SetHubLog>(&changed).await.unwrap();
    let read = admin.call::<GetHubLog>(&of("lab")).await.unwrap();
    assert_eq!(read.save_packet_log, changed.save_packet_log);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_made_changed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let group = Group {
        hub_name: "lab".to_owned(),
        name: "staff".to_owned(),
        realname: "All of us".to_owned(),
        ..Group::default()
    };
    admin.call::<CreateGroup>(&group).await.unwrap();
    let member = protocol::rpc::user::User {
        group_name: "staff".to_owned(),
        ..anonymous("lab", "alice")
    };
    admin
        .call::<protocol::rpc::method::CreateUser>(&member)
        .await
        .unwrap();
    let list = admin.call::<EnumGroup>(&of("lab")).await.unwrap();
    assert_eq!(
        (list.groups[0].name.as_str(), list.groups[0].num_users),
        ("staff", 1)
    );
    let changed = Group {
        realname: "Some of us".to_owned(),
        ..group
    };
    admin.call::<SetGroup>(&changed).await.unwrap();
    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "staff".to_owned(),
    };
    assert_eq!(
        admin.call::<GetGroup>(&object).await.unwrap().realname,
        "Some of us"
    );
    admin.call::<DeleteGroup>(&object).await.unwrap();
    let alice = HubObject {
        name: "alice".to_owned(),
        ..object
    };
    let user = admin
        .call::<protocol::rpc::method::GetUser>(&alice)
        .await
        .unwrap();
    assert_eq!(user.group_name, "");
}
