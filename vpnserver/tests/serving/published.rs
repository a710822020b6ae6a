//! Published hosts without privileges: kept, listed, refused when they make no sense.

use std::net::Ipv4Addr;

use protocol::error::ErrorCode;
use protocol::rpc::dnat::{Dnat, DnatCheck, DnatProtocol, DnatSwitch};
use protocol::rpc::method::{AddDnat, DeleteDnat, EnableDnat, EnumDnat, SetDnat, TestDnat};
use protocol::rpc::{Named, Nothing};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::lab;

pub(crate) fn web() -> Dnat {
    Dnat {
        name: "web".to_owned(),
        protocol: DnatProtocol::Tcp,
        port_start: 80,
        port_end: 80,
        to_ip_address: Ipv4Addr::new(10, 0, 1, 26).into(),
        to_port: 80,
        dest_ip_address: Ipv4Addr::UNSPECIFIED.into(),
        ..Dnat::default()
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

#[tokio::test(flavor = "multi_thread")]
async fn they_are_changed_and_switched() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddDnat>(&web()).await.unwrap();
    let changed = Dnat {
        protocol: DnatProtocol::TcpAndUdp,
        port_end: 82,
        sources: "198.51.100.9/32,203.0.113.0/24".to_owned(),
        group: "office/staff".to_owned(),
        host_name: "web.private".to_owned(),
        check: DnatCheck::Tcp,
        check_interval: 3600,
        check_timeout: 2,
        ..web()
    };
    admin.call::<SetDnat>(&changed).await.unwrap();
    let list = async |admin: &mut AdminClient| admin.call::<EnumDnat>(&Nothing {}).await.unwrap().rules;
    assert_eq!(list(&mut admin).await[0].rule, changed);
    let switch = |enable| DnatSwitch {
        name: "WEB".to_owned(),
        enable,
    };
    admin.call::<EnableDnat>(&switch(false)).await.unwrap();
    let row = list(&mut admin).await.remove(0);
    assert!(row.rule.disabled && !row.active && row.problem.is_empty());
    // What rests is in nobody's way, until it is to go on.
    let other = Dnat {
        name: "other".to_owned(),
        ..changed.clone()
    };
    admin.call::<AddDnat>(&other).await.unwrap();
    assert!(admin.call::<EnableDnat>(&switch(true)).await.is_err());
    let nobody = Dnat {
        name: "nobody".to_owned(),
        ..web()
    };
    assert!(matches!(
        admin.call::<SetDnat>(&nobody).await,
        Err(AdminError::Refused(ErrorCode::ObjectNotFound))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_in_words() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddDnat>(&web()).await.unwrap();
    assert_eq!(
        admin.call::<TestDnat>(&web()).await.unwrap().refusal,
        "",
        "a change to itself"
    );
    let clash = Dnat {
        name: "other".to_owned(),
        ..web()
    };
    assert!(admin.call::<AddDnat>(&clash).await.is_err());
    let said = admin.call::<TestDnat>(&clash).await.unwrap().refusal;
    assert!(
        said.contains("takes packets of another (web: tcp 80 -> 10.0.1.26:80)"),
        "{said}"
    );
    let nonsense = Dnat {
        host_name: "not a name".to_owned(),
        ..web()
    };
    let said = admin.call::<TestDnat>(&nonsense).await.unwrap().refusal;
    assert!(said.contains("web.private"), "{said}");
}
