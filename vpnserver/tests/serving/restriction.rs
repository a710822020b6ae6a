//! What the administrator of a hub may not do when its options say so.

use protocol::error::ErrorCode;
use protocol::password::admin_hash;
use protocol::rpc::HubRequest;
use protocol::rpc::access::{AccessRule, NewAccessRule, SourceRules};
use protocol::rpc::group::Group;
use protocol::rpc::hub::{HubOnline, HubSettings};
use protocol::rpc::log::HubLog;
use protocol::rpc::method::{
    AddAccess, CreateGroup, CreateHub, CreateUser, EnumAccess, EnumSession, GetDefaultHubAdminOptions,
    GetHub, GetHubAdminOptions, GetHubLog, GetSecureNATOption, SetAcList, SetHub, SetHubAdminOptions,
    SetHubExtOptions, SetHubLog, SetHubOnline, SetSecureNATOption,
};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::securenat::SecureNatRequest;
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::{Site, anonymous, hub, lab};

fn refusal<T>(outcome: Result<T, AdminError>) -> Option<u32> {
    match outcome.err()? {
        AdminError::Refused(code) => Some(code.code()),
        _ => None,
    }
}

fn of_lab() -> HubRequest {
    HubRequest {
        hub_name: "lab".to_owned(),
    }
}

fn options(of: &[(&str, u32)]) -> HubOptions {
    let option = |(name, value): &(&str, u32)| HubOption {
        name: (*name).to_owned(),
        value: *value,
        ..HubOption::default()
    };
    HubOptions {
        hub_name: "lab".to_owned(),
        options: of.iter().map(option).collect(),
    }
}

async fn restrict(server: &mut AdminClient, of: &[(&str, u32)]) {
    server.call::<SetHubAdminOptions>(&options(of)).await.unwrap();
}

/// A site with the administrators of the server and of hub `lab`.
async fn two_administrators(folder: &TempDir) -> (Site, AdminClient, AdminClient) {
    let (site, server) = lab(folder, &[]).await;
    let own = site.local_admin(Some("lab")).await.unwrap();
    (site, server, own)
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_listed_set_and_unknown_ones_ignored() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    restrict(&mut server, &[("MAX_USERS", 7), ("no_such_option", 1)]).await;
    let listed = own.call::<GetHubAdminOptions>(&of_lab()).await.unwrap().options;
    assert_eq!(listed.len(), 41);
    assert!(listed.windows(2).all(|pair| pair[0].name < pair[1].name));
    let set: Vec<_> = listed.iter().filter(|option| option.value != 0).collect();
    assert_eq!(
        (set.len(), set[0].name.as_str(), set[0].value),
        (1, "max_users", 7)
    );
    assert!(listed.iter().all(|option| !option.description.is_empty()));
    let defaults = own.call::<GetDefaultHubAdminOptions>(&of_lab()).await.unwrap();
    assert!(defaults.options.len() == 41 && defaults.options.iter().all(|option| option.value == 0));
    let many = options(&vec![("x", 1); 4097]);
    assert_eq!(refusal(server.call::<SetHubAdminOptions>(&many).await), Some(110));
    let nowhere = HubRequest {
        hub_name: "nowhere".to_owned(),
    };
    assert_eq!(
        refusal(server.call::<GetHubAdminOptions>(&nowhere).await),
        Some(8)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_options_are_the_servers_unless_one_of_them_gives_them_away() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    let wish = options(&[("max_users", 3)]);
    assert_eq!(refusal(own.call::<SetHubAdminOptions>(&wish).await), Some(52));
    restrict(&mut server, &[("allow_hub_admin_change_option", 1)]).await;
    own.call::<SetHubAdminOptions>(&wish).await.unwrap();
    restrict(&mut own, &[("allow_hub_admin_change_option", 0)]).await;
    assert_eq!(refusal(own.call::<SetHubAdminOptions>(&wish).await), Some(52));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_hub_is_limited_for_everybody() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    restrict(
        &mut server,
        &[("max_users", 1), ("max_groups", 1), ("max_accesslists", 1)],
    )
    .await;
    let group = |name: &str| Group {
        hub_name: "lab".to_owned(),
        name: name.to_owned(),
        ..Group::default()
    };
    let rule = NewAccessRule {
        hub_name: "lab".to_owned(),
        rule: AccessRule::default(),
    };
    own.call::<CreateUser>(&anonymous("lab", "a")).await.unwrap();
    own.call::<CreateGroup>(&group("a")).await.unwrap();
    own.call::<AddAccess>(&rule).await.unwrap();
    for admin in [&mut own, &mut server] {
        let user = admin.call::<CreateUser>(&anonymous("lab", "b")).await;
        assert_eq!(refusal(user), Some(63));
        assert_eq!(refusal(admin.call::<CreateGroup>(&group("b")).await), Some(64));
        assert_eq!(refusal(admin.call::<AddAccess>(&rule).await), Some(62));
    }
    let list = server.call::<EnumAccess>(&of_lab()).await.unwrap();
    assert_eq!(list.rules.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_option_forbids_is_refused_to_the_hubs_administrator_alone() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    restrict(
        &mut server,
        &[
            ("no_change_users", 1),
            ("no_enum_session", 1),
            ("no_change_access_control_list", 1),
            ("deny_hub_admin_change_ext_option", 1),
        ],
    )
    .await;
    let sources = SourceRules {
        hub_name: "lab".to_owned(),
        ..SourceRules::default()
    };
    let option = options(&[("NoIpTable", 1)]);
    let user = anonymous("lab", "a");
    let refused = [
        refusal(own.call::<CreateUser>(&user).await),
        refusal(own.call::<EnumSession>(&of_lab()).await),
        refusal(own.call::<SetAcList>(&sources).await),
        refusal(own.call::<SetHubExtOptions>(&option).await),
    ];
    assert_eq!(refused, [Some(52); 4]);
    server.call::<CreateUser>(&user).await.unwrap();
    server.call::<EnumSession>(&of_lab()).await.unwrap();
    server.call::<SetAcList>(&sources).await.unwrap();
    server.call::<SetHubExtOptions>(&option).await.unwrap();
    // What is taken back is taken back at once.
    restrict(&mut server, &[("no_enum_session", 0)]).await;
    own.call::<EnumSession>(&of_lab()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_delay_or_read_files_can_be_kept_but_not_added() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    let rule = |rule| NewAccessRule {
        hub_name: "lab".to_owned(),
        rule,
    };
    let delay = rule(AccessRule {
        delay: 5,
        ..AccessRule::default()
    });
    let reads = rule(AccessRule {
        dest_username: "Exclude:staff".to_owned(),
        ..AccessRule::default()
    });
    restrict(
        &mut server,
        &[
            ("no_delay_jitter_packet_loss", 1),
            ("no_access_list_include_file", 1),
        ],
    )
    .await;
    for rule in [&delay, &reads] {
        assert_eq!(refusal(own.call::<AddAccess>(rule).await), Some(52));
        server.call::<AddAccess>(rule).await.unwrap();
    }
    let list = own.call::<EnumAccess>(&of_lab()).await.unwrap();
    own.call::<protocol::rpc::method::SetAccessList>(&list)
        .await
        .unwrap();
    assert_eq!(own.call::<EnumAccess>(&of_lab()).await.unwrap(), list);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_not_switched_by_who_may_not() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    restrict(&mut server, &[("no_offline", 1)]).await;
    let off = HubOnline {
        hub_name: "lab".to_owned(),
        online: false,
    };
    assert_eq!(refusal(own.call::<SetHubOnline>(&off).await), Some(52));
    // Whoever writes all settings back changes the others.
    let settings = HubSettings {
        online: false,
        max_session: 5,
        ..hub("lab")
    };
    own.call::<SetHub>(&settings).await.unwrap();
    let read = own.call::<GetHub>(&of_lab()).await.unwrap();
    assert_eq!((read.online, read.max_session), (true, 5));
    server.call::<SetHubOnline>(&off).await.unwrap();
    assert!(!own.call::<GetHub>(&of_lab()).await.unwrap().online);
}

#[tokio::test(flavor = "multi_thread")]
async fn switches_that_are_forbidden_stay_as_they_are() {
    let folder = TempDir::new().unwrap();
    let (_site, mut server, mut own) = two_administrators(&folder).await;
    let nat = SecureNatRequest {
        hub_name: "lab".to_owned(),
    };
    let mut option = server.call::<GetSecureNATOption>(&nat).await.unwrap();
    (option.use_nat, option.use_dhcp) = (false, true);
    server.call::<SetSecureNATOption>(&option).await.unwrap();
    restrict(
        &mut server,
        &[
            ("no_securenat_enablenat", 1),
            ("no_securenat_enabledhcp", 1),
            ("no_change_log_switch_type", 1),
        ],
    )
    .await;
    (option.use_nat, option.mtu) = (true, 1300);
    own.call::<SetSecureNATOption>(&option).await.unwrap();
    let read = own.call::<GetSecureNATOption>(&nat).await.unwrap();
    assert_eq!((read.use_nat, read.use_dhcp, read.mtu), (false, true, 1300));

    let mut log = own.call::<GetHubLog>(&of_lab()).await.unwrap();
    log.security_log_switch = 5.into();
    log.save_packet_log = false;
    own.call::<SetHubLog>(&HubLog {
        hub_name: "lab".to_owned(),
        ..log
    })
    .await
    .unwrap();
    let read = own.call::<GetHubLog>(&of_lab()).await.unwrap();
    assert!(!read.save_packet_log);
    assert_eq!(u32::from(read.security_log_switch), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hubs_password_is_set_kept_and_cleared() {
    let folder = TempDir::new().unwrap();
    let (site, mut server, _own) = two_administrators(&folder).await;
    let with_password = |password: &str| HubSettings {
        admin_password_plain_text: password.to_owned().into(),
        ..hub("lab")
    };
    server.call::<SetHub>(&with_password("mine")).await.unwrap();
    // Zeros, or nothing: as it is.
    let zeros = HubSettings {
        hashed_password: vec![0; 20].into(),
        secure_password: vec![0; 20].into(),
        ..hub("lab")
    };
    for unchanged in [zeros, hub("lab")] {
        server.call::<SetHub>(&unchanged).await.unwrap();
        site.remote_admin(Some("lab"), "mine").await.unwrap();
    }
    let empty = HubSettings {
        hashed_password: admin_hash(b"").as_bytes().to_vec().into(),
        secure_password: protocol::password::user_hash(b"", "administrator")
            .as_bytes()
            .to_vec()
            .into(),
        ..hub("lab")
    };
    let mut remote = site.remote_admin(Some("lab"), "mine").await.unwrap();
    assert_eq!(refusal(remote.call::<SetHub>(&empty).await), Some(38));
    restrict(&mut server, &[("no_change_admin_password", 1)]).await;
    let refused = remote.call::<SetHub>(&with_password("other")).await;
    assert_eq!(refusal(refused), Some(52));
    remote.call::<SetHub>(&hub("lab")).await.unwrap();
    site.remote_admin(Some("lab"), "mine").await.unwrap();
    server.call::<SetHub>(&empty).await.unwrap();
    assert_eq!(refusal(site.remote_admin(Some("lab"), "mine").await), Some(51));
    assert_eq!(
        refusal(server.call::<CreateHub>(&hub("LAB")).await),
        Some(ErrorCode::HubExists.code())
    );
    let dynamic = HubSettings {
        hub_type: protocol::rpc::hub::HubType::Static,
        ..hub("lab")
    };
    assert_eq!(refusal(server.call::<SetHub>(&dynamic).await), Some(38));
}
