//! Published hosts without privileges: kept, listed, refused when they make no sense.

use std::net::Ipv4Addr;

use protocol::error::ErrorCode;
use protocol::rpc::dnat::{Dnat, DnatProtocol};
use protocol::rpc::method::{AddDnat, DeleteDnat, EnumDnat};
use protocol::rpc::{Named, Nothing};
use tempfile::TempDir;
use transport::admin::AdminError;

use crate::site::lab;

pub(crate) fn web() -> Dnat {
    Dnat {
        name: "web".to_owned(),
        protocol: DnatProtocol::Tcp,
        port_start: 80,
        port_end: 80,
        to_ip_address: Ipv4Addr::new(10, 0, 1, 26).into(),
        to_port: 80,
        src_ip_address: Ipv4Addr::UNSPECIFIED.into(),
        src_subnet_mask: Ipv4Addr::UNSPECIFIED.into(),
        dest_ip_address: Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_added_listed_and_deleted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddDnat>(&web()).await.unwrap();
    assert!(admin.call::<AddDnat>(&web()).await.is_err());
    let rules = admin.call::<EnumDnat>(&Nothing {}).await.unwrap().rules;
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].rule, web());
    // In user mode it holds for the clients of hubs; one way or the other the list says so.
    assert_ne!(rules[0].active, !rules[0].problem.is_empty());
    let name = Named {
        name: "web".to_owned(),
    };
    admin.call::<DeleteDnat>(&name).await.unwrap();
    assert!(
        admin
            .call::<EnumDnat>(&Nothing {})
            .await
            .unwrap()
            .rules
            .is_empty()
    );
    assert!(admin.call::<DeleteDnat>(&name).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_no_sense_is_refused() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let spoiled: [fn(&mut Dnat); 4] = [
        |rule| rule.port_start = 70_000,
        |rule| rule.port_end = 1,
        |rule| rule.to_ip_address = Ipv4Addr::UNSPECIFIED.into(),
        |rule| rule.name = String::new(),
    ];
    for spoil in spoiled {
        let mut rule = web();
        spoil(&mut rule);
        let refused = admin.call::<AddDnat>(&rule).await;
        assert!(
            matches!(refused, Err(AdminError::Refused(ErrorCode::InvalidParameter))),
            "{rule:?}"
        );
    }
}
