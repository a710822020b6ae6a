//! IPv6 of SecureNAT as an administrator switches and sets it.

use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::method::{
    EnableSecureNAT, GetSecureNATIPv6, GetSecureNATOption, SetSecureNATIPv6, SetSecureNATOption,
};
use protocol::rpc::securenat::{SecureNatIpv6, SecureNatRequest};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::lab;

async fn shown(admin: &mut AdminClient) -> SecureNatIpv6 {
    let hub_name = "lab".to_owned();
    admin
        .call::<GetSecureNATIPv6>(&HubRequest { hub_name })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_set_shown_and_kept() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let first = shown(&mut admin).await;
    assert!(
        !first.enabled && first.prefix.starts_with("fd") && first.prefix.ends_with("::/64"),
        "{first:?}"
    );
    assert_eq!(
        (first.status.as_str(), first.name_servers.as_str()),
        ("off", "auto")
    );

    let given = SecureNatIpv6 {
        hub_name: "lab".to_owned(),
        enabled: true,
        prefix: "2001:db8:1:2::/64".to_owned(),
        name_servers: "2001:db8::53 2001:db8::54".to_owned(),
        preferred_lifetime: 3600,
        ..SecureNatIpv6::default()
    };
    admin.call::<SetSecureNATIPv6>(&given).await.unwrap();
    let second = shown(&mut admin).await;
    assert_eq!(second.prefix, given.prefix);
    assert_eq!(second.address, "2001:db8:1:2::1");
    assert_eq!(second.name_servers, "2001:db8::53, 2001:db8::54");
    assert_eq!((second.preferred_lifetime, second.valid_lifetime), (3600, 5400));
    assert_eq!(second.status, "off", "SecureNAT itself is off");

    let hub_name = "lab".to_owned();
    admin
        .call::<EnableSecureNAT>(&HubRequest { hub_name })
        .await
        .unwrap();
    assert!(shown(&mut admin).await.status != "off");

    // A tool that knows nothing of IPv6 does not take it away.
    let hub_name = "lab".to_owned();
    let option = admin
        .call::<GetSecureNATOption>(&SecureNatRequest { hub_name })
        .await
        .unwrap();
    admin.call::<SetSecureNATOption>(&option).await.unwrap();
    assert_eq!(shown(&mut admin).await.prefix, given.prefix);

    let back = SecureNatIpv6 {
        prefix: "auto".to_owned(),
        ..given
    };
    admin.call::<SetSecureNATIPv6>(&back).await.unwrap();
    assert_eq!(
        shown(&mut admin).await.prefix,
        first.prefix,
        "the same network as ever"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_refused_and_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let before = shown(&mut admin).await;
    for (prefix, name_servers, preferred_lifetime) in [
        ("fd12::/48", "auto", 0),
        ("fe80::/64", "auto", 0),
        ("192.168.30.0/24", "auto", 0),
        ("auto", "192.168.30.1", 0),
        ("auto", "auto", 10),
        ("auto", "auto", 100_000),
    ] {
        let wrong = SecureNatIpv6 {
            hub_name: "lab".to_owned(),
            enabled: true,
            prefix: prefix.to_owned(),
            name_servers: name_servers.to_owned(),
            preferred_lifetime,
            ..SecureNatIpv6::default()
        };
        let refused = admin.call::<SetSecureNATIPv6>(&wrong).await;
        assert!(
            matches!(refused, Err(AdminError::Refused(ErrorCode::InvalidParameter))),
            "{prefix} {name_servers}: {refused:?}"
        );
    }
    assert_eq!(shown(&mut admin).await, before);
}
