//! Layer 3 switches as administrators define them, refused with the stock server's numbers.

use std::net::{IpAddr, Ipv4Addr};

use protocol::rpc::method::{
    AddL3If, AddL3Switch, AddL3Table, DelL3If, DelL3Switch, DelL3Table, EnumL3If, EnumL3Switch, EnumL3Table,
    StartL3Switch, StopL3Switch,
};
use protocol::rpc::router::{SwitchInterface, SwitchRoute, SwitchRouteRow, SwitchRow};
use protocol::rpc::{Named, Nothing};
use tempfile::TempDir;
use transport::admin::{AdminClient, AdminError};

use crate::site::lab;

fn outcome<T>(answer: Result<T, AdminError>) -> u32 {
    match answer {
        Ok(_) => 0,
        Err(AdminError::Refused(code)) => code.code(),
        Err(other) => panic!("{other}"),
    }
}

fn named(name: &str) -> Named {
    Named {
        name: name.to_owned(),
    }
}

fn interface(switch: &str, hub: &str, address: [u8; 4], mask: [u8; 4]) -> SwitchInterface {
    SwitchInterface {
        name: switch.to_owned(),
        hub_name: hub.to_owned(),
        ip_address: IpAddr::from(address),
        subnet_mask: IpAddr::from(mask),
    }
}

fn route(switch: &str, network: [u8; 4], mask: [u8; 4], gateway: [u8; 4], metric: u32) -> SwitchRoute {
    SwitchRoute {
        name: switch.to_owned(),
        route: SwitchRouteRow {
            network_address: network.into(),
            subnet_mask: mask.into(),
            gateway_address: gateway.into(),
            metric,
        },
    }
}

async fn only_row(admin: &mut AdminClient) -> SwitchRow {
    let mut list = admin.call::<EnumL3Switch>(&Nothing {}).await.unwrap().switches;
    assert_eq!(list.len(), 1);
    list.remove(0)
}

const MASK_24: [u8; 4] = [255, 255, 255, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_has_a_name_of_its_own() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    for (name, code) in [("core", 0), ("CORE", 92), ("", 38), ("a/b", 38), ("a b", 0)] {
        assert_eq!(
            outcome(admin.call::<AddL3Switch>(&named(name)).await),
            code,
            "{name:?}"
        );
    }
    assert_eq!(outcome(admin.call::<DelL3Switch>(&named("a b")).await), 0);
    assert_eq!(outcome(admin.call::<DelL3Switch>(&named("a b")).await), 93);
    for code in [
        outcome(admin.call::<StartL3Switch>(&named("x")).await),
        outcome(admin.call::<StopL3Switch>(&named("x")).await),
        outcome(admin.call::<EnumL3If>(&named("x")).await),
        outcome(admin.call::<EnumL3Table>(&named("x")).await),
    ] {
        assert_eq!(code, 93);
    }
    assert_eq!(only_row(&mut admin).await.name, "core");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_has_the_address_of_a_host_and_a_hub_to_itself() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddL3Switch>(&named("core")).await.unwrap();
    for (given, code) in [
        (interface("core", "lab", [10, 0, 0, 1], MASK_24), 0),
        (interface("core", "LAB", [10, 0, 1, 1], MASK_24), 97),
        (interface("core", "not yet there", [10, 0, 2, 1], MASK_24), 0),
        (interface("none", "x", [10, 0, 0, 1], MASK_24), 93),
        (interface("core", "x", [0, 0, 0, 0], MASK_24), 38),
        (interface("core", "x", [10, 0, 0, 0], MASK_24), 38),
        (interface("core", "x", [10, 0, 0, 1], [255, 0, 255, 0]), 38),
        (interface("core", "x", [10, 0, 0, 1], [255; 4]), 38),
    ] {
        assert_eq!(outcome(admin.call::<AddL3If>(&given).await), code, "{given:?}");
    }
    let list = admin.call::<EnumL3If>(&named("core")).await.unwrap();
    let hubs: Vec<_> = list.interfaces.iter().map(|row| row.hub_name.as_str()).collect();
    assert_eq!(hubs, ["lab", "not yet there"]);
    assert_eq!(list.interfaces[0].ip_address, Ipv4Addr::new(10, 0, 0, 1));
    let gone = interface("core", "LAB", [0; 4], [0; 4]);
    assert_eq!(outcome(admin.call::<DelL3If>(&gone).await), 0);
    assert_eq!(outcome(admin.call::<DelL3If>(&gone).await), 96);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_of_a_network_and_there_once() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddL3Switch>(&named("core")).await.unwrap();
    let gateway = [10, 0, 0, 9];
    for (given, code) in [
        (route("core", [10, 9, 0, 0], [255, 255, 0, 0], gateway, 1), 0),
        (route("core", [10, 9, 0, 0], [255, 255, 0, 0], gateway, 1), 98),
        (route("core", [10, 9, 0, 0], [255, 255, 0, 0], gateway, 2), 0),
        (route("core", [0; 4], [0; 4], gateway, 1), 0),
        (route("core", [10, 8, 0, 0], [255, 255, 0, 0], gateway, 0), 98),
        (route("core", [10, 9, 1, 0], [255, 255, 0, 0], gateway, 1), 38),
        (route("core", [10, 9, 1, 0], [255, 0, 255, 0], gateway, 1), 38),
        (route("core", [10, 9, 1, 0], MASK_24, [0; 4], 1), 38),
        (route("none", [10, 9, 1, 0], MASK_24, gateway, 1), 93),
    ] {
        assert_eq!(outcome(admin.call::<AddL3Table>(&given).await), code, "{given:?}");
    }
    let list = admin.call::<EnumL3Table>(&named("core")).await.unwrap();
    let metrics: Vec<_> = list.routes.iter().map(|row| row.metric).collect();
    assert_eq!(metrics, [1, 1, 2], "by network, then by metric");
    let gone = route("core", [10, 9, 0, 0], [255, 255, 0, 0], gateway, 2);
    assert_eq!(outcome(admin.call::<DelL3Table>(&gone).await), 0);
    assert_eq!(outcome(admin.call::<DelL3Table>(&gone).await), 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_started_switch_is_not_changed_and_never_said_to_be_online() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    admin.call::<AddL3Switch>(&named("core")).await.unwrap();
    assert_eq!(outcome(admin.call::<StartL3Switch>(&named("core")).await), 102);
    let port = interface("core", "lab", [10, 0, 0, 1], MASK_24);
    let path = route("core", [10, 9, 0, 0], [255, 255, 0, 0], [10, 0, 0, 9], 1);
    admin.call::<AddL3If>(&port).await.unwrap();
    admin.call::<AddL3Table>(&path).await.unwrap();
    for _ in 0..2 {
        assert_eq!(outcome(admin.call::<StartL3Switch>(&named("core")).await), 0);
    }
    let row = only_row(&mut admin).await;
    assert_eq!((row.active, row.online), (true, false));
    let other = interface("core", "other", [10, 0, 1, 1], MASK_24);
    assert_eq!(outcome(admin.call::<AddL3If>(&other).await), 95);
    assert_eq!(outcome(admin.call::<DelL3If>(&port).await), 96);
    assert_eq!(outcome(admin.call::<DelL3Table>(&path).await), 99);
    let further = route("core", [10, 7, 0, 0], [255, 255, 0, 0], [10, 0, 0, 9], 1);
    assert_eq!(outcome(admin.call::<AddL3Table>(&further).await), 98);
    for _ in 0..2 {
        assert_eq!(outcome(admin.call::<StopL3Switch>(&named("core")).await), 0);
    }
    let row = only_row(&mut admin).await;
    assert_eq!((row.active, row.num_interfaces, row.num_tables), (false, 1, 1));
}
