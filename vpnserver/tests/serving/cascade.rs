//! Cascades as administrators define them.

use protocol::error::ErrorCode;
use protocol::policy::Policy;
use protocol::rpc::HubRequest;
use protocol::rpc::cascade::{Link, LinkAuthType, LinkName, LinkRename, LinkRequest, LinkRow, ProxyType};
use protocol::rpc::method::{
    CreateLink, DeleteLink, EnumLink, GetLink, GetLinkStatus, RenameLink, SetLink, SetLinkOffline,
    SetLinkOnline,
};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::{Site, lab};

fn refusal<T: std::fmt::Debug>(answer: Result<T, AdminError>) -> ErrorCode {
    match answer {
        Err(AdminError::Refused(code)) => code,
        other => panic!("not refused: {other:?}"),
    }
}

fn named(name: &str) -> LinkName {
    LinkName {
        hub_name: "lab".to_owned(),
        account_name: name.to_owned(),
    }
}

fn asked(name: &str) -> LinkRequest {
    LinkRequest {
        hub_name: "lab".to_owned(),
        account_name: name.to_owned(),
    }
}

/// A cascade as `vpncmd` first makes it.
fn link(name: &str) -> Link {
    Link {
        hub_name: "lab".to_owned(),
        account_name: name.to_owned(),
        hostname: "vpn.example".to_owned(),
        port: 992,
        remote_hub_name: "there".to_owned(),
        max_connection: 8,
        use_encrypt: true,
        auth_type: Some(LinkAuthType::Anonymous),
        username: Some("bridge".to_owned()),
        ..Link::default()
    }
}

async fn rows(admin: &mut AdminClient) -> Vec<LinkRow> {
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<EnumLink>(&request).await.unwrap().links
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_is_read_back_with_its_secrets_as_tools_write_it() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    admin.call::<CreateLink>(&link("west")).await.unwrap();
    let mut read = admin.call::<GetLink>(&asked("WEST")).await.unwrap();
    assert_eq!((read.num_retry, read.retry_interval), (u32::MAX, 10));
    assert_eq!(read.device_name, "_SEHUBLINKCLI_");
    read.auth_type = Some(LinkAuthType::Password);
    read.hashed_password = Some(vec![7; 20].into());
    read.proxy_type = ProxyType::Http;
    read.proxy_name = "proxy.example".to_owned();
    read.proxy_password = "of the proxy".to_owned().into();
    read.policy = Policy {
        max_upload: 5_000_000,
        ..Policy::default()
    };
    admin.call::<SetLink>(&read).await.unwrap();
    assert_eq!(admin.call::<GetLink>(&asked("west")).await.unwrap(), read);
    drop(admin);
    site.stop().await;

    let written = std::fs::read(folder.path().join("hubward.db")).unwrap();
    assert!(
        !written.windows(12).any(|bytes| bytes == b"of the proxy"),
        "the store holds a password in the clear"
    );
    let site = Site::start(&folder).await;
    let mut admin = site.admin().await;
    assert_eq!(admin.call::<GetLink>(&asked("west")).await.unwrap(), read);

    read.auth_type = Some(LinkAuthType::Certificate);
    (read.hashed_password, read.plain_password) = (None, None);
    read.client_x = Some(vec![1, 2]);
    read.client_k = Some(vec![3].into());
    read.server_cert = Some(vec![4]);
    read.check_server_cert = true;
    admin.call::<SetLink>(&read).await.unwrap();
    assert_eq!(admin.call::<GetLink>(&asked("west")).await.unwrap(), read);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_that_is_put_online_is_said_to_be_unconnected() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let wanted = Link {
        online: true,
        ..link("west")
    };
    admin.call::<CreateLink>(&wanted).await.unwrap();
    let state = |rows: Vec<LinkRow>| (rows[0].online, rows[0].connected, rows[0].last_error);
    assert_eq!(
        state(rows(&mut admin).await),
        (false, false, 0),
        "new ones are offline"
    );
    admin.call::<SetLinkOnline>(&named("west")).await.unwrap();
    assert_eq!(state(rows(&mut admin).await), (true, false, 33));
    let mut read = admin.call::<GetLink>(&asked("west")).await.unwrap();
    read.online = false;
    admin.call::<SetLink>(&read).await.unwrap();
    assert!(
        rows(&mut admin).await[0].online,
        "only SetLinkOffline takes it offline"
    );
    assert_eq!(
        refusal(admin.call::<GetLinkStatus>(&asked("west")).await),
        ErrorCode::LinkOffline
    );
    admin.call::<SetLinkOffline>(&named("west")).await.unwrap();
    assert_eq!(state(rows(&mut admin).await), (false, false, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn cascades_are_renamed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<CreateLink>(&link("west")).await.unwrap();
    admin.call::<CreateLink>(&link("east")).await.unwrap();
    let rename = |old: &str, new: &str| LinkRename {
        hub_name: "lab".to_owned(),
        old_account_name: old.to_owned(),
        new_account_name: new.to_owned(),
    };
    admin.call::<RenameLink>(&rename("west", "north")).await.unwrap();
    for (old, new, code) in [
        ("west", "south", ErrorCode::ObjectNotFound),
        ("north", "EAST", ErrorCode::LinkExists),
        ("north", "", ErrorCode::InvalidParameter),
    ] {
        assert_eq!(
            refusal(admin.call::<RenameLink>(&rename(old, new)).await),
            code,
            "{old} to {new}"
        );
    }
    admin.call::<DeleteLink>(&named("north")).await.unwrap();
    let names: Vec<_> = rows(&mut admin)
        .await
        .into_iter()
        .map(|row| row.account_name)
        .collect();
    assert_eq!(names, ["east"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cascade_is_refused_with_the_stock_numbers() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<CreateLink>(&link("west")).await.unwrap();
    let wrongs = [
        (link("WEST"), ErrorCode::LinkExists),
        (link(""), ErrorCode::Internal),
        (
            Link {
                hub_name: "nowhere".to_owned(),
                ..link("x")
            },
            ErrorCode::HubNotFound,
        ),
        (
            Link {
                hub_name: String::new(),
                ..link("x")
            },
            ErrorCode::InvalidParameter,
        ),
        (
            Link {
                auth_type: Some(LinkAuthType::SmartCard),
                ..link("x")
            },
            ErrorCode::Internal,
        ),
        (
            Link {
                port: 70_000,
                ..link("x")
            },
            ErrorCode::InvalidParameter,
        ),
        (
            Link {
                proxy_type: ProxyType::Other(9),
                ..link("x")
            },
            ErrorCode::InvalidParameter,
        ),
    ];
    for (wrong, code) in wrongs {
        assert_eq!(refusal(admin.call::<CreateLink>(&wrong).await), code, "{wrong:?}");
    }
    assert_eq!(rows(&mut admin).await.len(), 1);
    for code in [
        refusal(admin.call::<SetLink>(&link("none")).await),
        refusal(admin.call::<GetLink>(&asked("none")).await),
        refusal(admin.call::<GetLinkStatus>(&asked("none")).await),
        refusal(admin.call::<SetLinkOnline>(&named("none")).await),
        refusal(admin.call::<SetLinkOffline>(&named("none")).await),
        refusal(admin.call::<DeleteLink>(&named("none")).await),
    ] {
        assert_eq!(code, ErrorCode::ObjectNotFound);
    }
}
