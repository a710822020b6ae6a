//! Where clients may come from, asked before anything else of a login.

use protocol::error::ErrorCode;
use protocol::handshake::Auth;
use protocol::rpc::HubRequest;
use protocol::rpc::access::{SourceRule, SourceRules};
use protocol::rpc::method::{GetAcList, SetAcList};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};
use vpnserver::session::reason;
use zeroize::Zeroizing;

use crate::peer::{enter, login};
use crate::site::{lab, set_online};

fn rule(priority: u32, deny: bool, address: &str, mask: Option<&str>) -> SourceRule {
    SourceRule {
        id: 77,
        priority,
        deny,
        ip_address: address.parse().unwrap(),
        masked: mask.is_some(),
        subnet_mask: mask.unwrap_or("255.0.0.0").parse().unwrap(),
    }
}

async fn set(admin: &mut AdminClient, rules: Vec<SourceRule>) -> Option<u32> {
    let request = SourceRules {
        hub_name: "lab".to_owned(),
        rules,
    };
    match admin.call::<SetAcList>(&request).await {
        Ok(_) => None,
        Err(AdminError::Refused(code)) => Some(code.code()),
        Err(other) => panic!("{other}"),
    }
}

async fn list(admin: &mut AdminClient) -> Vec<SourceRule> {
    let request = HubRequest {
        hub_name: "lab".to_owned(),
    };
    admin.call::<GetAcList>(&request).await.unwrap().rules
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_listed_in_the_order_in_which_they_are_tried() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let rules = vec![
        rule(30, true, "10.0.0.1", None),
        rule(10, true, "192.168.1.5", Some("255.255.0.255")),
        rule(10, false, "2001:db8::", Some("ffff:ffff::")),
    ];
    assert_eq!(set(&mut admin, rules).await, None);
    let listed = list(&mut admin).await;
    let seen: Vec<_> = listed
        .iter()
        .map(|rule| (rule.id, rule.priority, rule.deny, rule.subnet_mask.to_string()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, 10, false, "ffff:ffff::".to_owned()),
            (2, 10, true, "255.255.0.255".to_owned()),
            // A rule without a mask has none.
            (3, 30, true, "0.0.0.0".to_owned()),
        ]
    );
    let mixed = vec![rule(1, true, "10.0.0.1", Some("ffff::"))];
    assert_eq!(set(&mut admin, mixed).await, Some(38));
    let many = vec![rule(1, true, "10.0.0.1", None); 4097];
    assert_eq!(set(&mut admin, many).await, Some(110));
    assert_eq!(list(&mut admin).await, listed);
    assert_eq!(set(&mut admin, Vec::new()).await, None);
    assert!(list(&mut admin).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_from_a_denied_address_learns_nothing_else() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    set(&mut admin, vec![rule(1, true, "127.0.0.0", Some("255.0.0.0"))]).await;
    let mut wrong = login("nobody");
    wrong.auth = Auth::Plain(Zeroizing::new("guess".to_owned()));
    let mut administrator = login("administrator");
    administrator.auth = wrong.auth.clone();
    for login in [login("alice"), wrong, administrator] {
        assert_eq!(enter(&site, login).await.err(), Some(ErrorCode::AddressDenied));
    }
    // Also before the hub's state; not before its name.
    set_online(&mut admin, "lab", false).await;
    assert_eq!(
        enter(&site, login("alice")).await.err(),
        Some(ErrorCode::AddressDenied)
    );
    set_online(&mut admin, "lab", true).await;
    let mut elsewhere = login("alice");
    elsewhere.hub = "nowhere".to_owned();
    assert_eq!(enter(&site, elsewhere).await.err(), Some(ErrorCode::HubNotFound));
    set(
        &mut admin,
        vec![
            rule(2, true, "0.0.0.0", Some("0.0.0.0")),
            rule(1, false, "127.0.0.1", None),
        ],
    )
    .await;
    enter(&site, login("alice")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_denied_later_ends_its_sessions() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    set(&mut admin, vec![rule(1, true, "192.0.2.1", None)]).await;
    set(&mut admin, vec![rule(1, true, "127.0.0.1", None)]).await;
    assert_eq!(site.ended("alice").await, reason::ACCESS_REVOKED);
    alice.until_no_connection().await;
}
