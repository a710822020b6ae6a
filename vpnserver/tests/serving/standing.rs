//! What a session rests on, and what limits all sessions of a hub.

use protocol::error::ErrorCode;
use protocol::handshake::{Auth, Login};
use protocol::policy::Policy;
use protocol::rpc::Timestamp;
use protocol::rpc::group::Group;
use protocol::rpc::method::{CreateGroup, CreateUser, SetGroup, SetHubAdminOptions, SetUser};
use protocol::rpc::option::{HubOption, HubOptions};
use protocol::rpc::user::User;
use tempfile::TempDir;
use transport::admin::AdminClient;
use vpnserver::session::reason;
use zeroize::Zeroizing;

use crate::peer::{enter, login};
use crate::site::{anonymous, lab, with_password};

async fn restrict(admin: &mut AdminClient, of: &[(&str, u32)]) {
    let option = |(name, value): &(&str, u32)| HubOption {
        name: (*name).to_owned(),
        value: *value,
        ..HubOption::default()
    };
    let options = HubOptions {
        hub_name: "lab".to_owned(),
        options: of.iter().map(option).collect(),
    };
    admin.call::<SetHubAdminOptions>(&options).await.unwrap();
}

fn no_access() -> Option<Policy> {
    Some(Policy {
        access: false,
        ..Policy::default()
    })
}

fn plain(user: &str, password: &str) -> Login {
    let mut login = login(user);
    login.auth = Auth::Plain(Zeroizing::new(password.to_owned()));
    login
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_not_come_any_more_is_sent_away_at_once() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["denied", "expired", "untouched"]).await;
    admin
        .call::<CreateUser>(&with_password("lab", "changed", "old"))
        .await
        .unwrap();
    let untouched = enter(&site, login("untouched")).await.unwrap();
    let denied = enter(&site, login("denied")).await.unwrap();
    let expired = enter(&site, login("expired")).await.unwrap();
    let changed = enter(&site, plain("changed", "old")).await.unwrap();

    // A remark is no reason.
    let remark = User {
        note: "still welcome".to_owned(),
        ..anonymous("lab", "denied")
    };
    admin.call::<SetUser>(&remark).await.unwrap();
    assert_eq!(denied.tunnel.watch().borrow().connections, 1);

    let deny = User {
        policy: no_access(),
        ..anonymous("lab", "denied")
    };
    let expire = User {
        expire_time: Timestamp(1_000_000_000_000),
        ..anonymous("lab", "expired")
    };
    for user in [deny, expire, with_password("lab", "changed", "new")] {
        admin.call::<SetUser>(&user).await.unwrap();
    }
    for user in ["denied", "expired", "changed"] {
        assert_eq!(site.ended(user).await, reason::ACCESS_REVOKED);
    }
    for peer in [denied, expired, changed] {
        peer.until_no_connection().await;
    }
    assert_eq!(untouched.tunnel.watch().borrow().connections, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_policy_wins_over_the_groups_and_that_over_the_default() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["plain"]).await;
    let policy = |timeout| {
        Some(Policy {
            timeout,
            ..Policy::default()
        })
    };
    let group = Group {
        hub_name: "lab".to_owned(),
        name: "staff".to_owned(),
        policy: policy(31),
        ..Group::default()
    };
    admin.call::<CreateGroup>(&group).await.unwrap();
    let member = |name: &str, policy| User {
        group_name: "staff".to_owned(),
        policy,
        ..anonymous("lab", name)
    };
    admin.call::<CreateUser>(&member("member", None)).await.unwrap();
    admin
        .call::<CreateUser>(&member("special", policy(42)))
        .await
        .unwrap();
    let mut peers = Vec::new();
    for (user, timeout) in [("plain", 20), ("member", 31), ("special", 42)] {
        let peer = enter(&site, login(user)).await.unwrap();
        assert_eq!(peer.welcome.policy.timeout, timeout, "{user}");
        peers.push(peer);
    }
    // The group's access is that of members without a policy of their own.
    let closed = Group {
        policy: no_access(),
        ..group
    };
    admin.call::<SetGroup>(&closed).await.unwrap();
    assert_eq!(site.ended("member").await, reason::ACCESS_REVOKED);
    peers[1].until_no_connection().await;
    for stays in [&peers[0], &peers[2]] {
        assert_eq!(stays.tunnel.watch().borrow().connections, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_options_tighten_every_policy() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let own = User {
        policy: Some(Policy {
            max_download: 500,
            max_upload: 5000,
            ..Policy::default()
        }),
        ..anonymous("lab", "bob")
    };
    admin.call::<CreateUser>(&own).await.unwrap();
    restrict(
        &mut admin,
        &[
            ("max_bitrates_download", 1000),
            ("max_bitrates_upload", 2000),
            ("deny_qos", 1),
        ],
    )
    .await;
    for (user, download, upload) in [("alice", 1000, 2000), ("bob", 500, 2000)] {
        let policy = enter(&site, login(user)).await.unwrap().welcome.policy;
        assert_eq!((policy.max_download, policy.max_upload), (download, upload));
        assert!(policy.no_qos);
    }
    restrict(&mut admin, &[("deny_bridge", 1)]).await;
    let mut bridge = login("alice");
    bridge.options.bridge = true;
    assert_eq!(
        enter(&site, bridge.clone()).await.err(),
        Some(ErrorCode::BridgeDenied)
    );
    restrict(&mut admin, &[("deny_bridge", 0), ("deny_routing", 1)]).await;
    let policy = enter(&site, bridge).await.unwrap().welcome.policy;
    assert!(policy.no_routing && !policy.no_bridge);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hubs_options_limit_how_many_sessions_there_are() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let _first = enter(&site, login("alice")).await.unwrap();
    restrict(&mut admin, &[("max_multilogins_per_user", 1)]).await;
    assert_eq!(
        enter(&site, login("alice")).await.err(),
        Some(ErrorCode::TooManyUserSessions)
    );
    restrict(
        &mut admin,
        &[("max_multilogins_per_user", 0), ("max_sessions", 1)],
    )
    .await;
    let full = Some(ErrorCode::TooManySessions);
    assert_eq!(enter(&site, login("bob")).await.err(), full);
    restrict(&mut admin, &[("max_sessions", 0), ("max_sessions_client", 1)]).await;
    let _second = enter(&site, login("bob")).await.unwrap();
    restrict(
        &mut admin,
        &[
            ("max_sessions_client_bridge_apply", 1),
            ("max_sessions_bridge", 1),
        ],
    )
    .await;
    assert_eq!(enter(&site, login("bob")).await.err(), full);
    let mut bridge = login("bob");
    bridge.options.bridge = true;
    let _third = enter(&site, bridge.clone()).await.unwrap();
    assert_eq!(enter(&site, bridge).await.err(), full);
}
