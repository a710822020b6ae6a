//! What administrators see of sessions and stations.

use std::net::{IpAddr, Ipv4Addr};

use protocol::error::ErrorCode;
use protocol::rpc::method::{
    DeleteIpTable, DeleteMacTable, EnumIpTable, EnumMacTable, EnumSession, GetSessionStatus,
};
use protocol::rpc::{HubKey, HubObject, HubRequest};
use tempfile::TempDir;
use transport::admin::AdminError;

use crate::frame::{BROADCAST, frame, station, udp};
use crate::peer::{enter, login};
use crate::site::lab;

fn of_lab() -> HubRequest {
    HubRequest {
        hub_name: "lab".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_described() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let mut wide = login("alice");
    wide.options.max_connection = 4;
    wide.options.use_compress = true;
    let alice = enter(&site, wide).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let hello = frame(BROADCAST, station(1), b"hello");
    alice.send([hello.clone()]);
    bob.receive().await;

    let list = admin.call::<EnumSession>(&of_lab()).await.unwrap();
    let names: Vec<_> = list
        .sessions
        .iter()
        .map(|session| (session.name.as_str(), session.username.as_str()))
        .collect();
    assert_eq!(names, [("SID-ALICE-1", "alice"), ("SID-BOB-2", "bob")]);
    let row = &list.sessions[0];
    assert_eq!((row.max_num_tcp, row.current_num_tcp), (4, 1));
    assert_eq!(row.packet_num, 1);
    assert!(row.created_time <= row.last_comm_time);

    let object = HubObject {
        hub_name: "lab".to_owned(),
        name: "sid-alice-1".to_owned(),
    };
    let status = admin.call::<GetSessionStatus>(&object).await.unwrap();
    assert_eq!(status.username, "alice");
    assert_eq!(status.client_ip, IpAddr::from(Ipv4Addr::LOCALHOST));
    assert!(status.link.use_compress && status.link.use_encrypt);
    assert_eq!(status.link.total_send_size, hello.len() as u64);
    assert_eq!(status.link.traffic.send_broadcast_count, 1);
    assert_eq!(status.node.client_product_name, "");
    let nobody = HubObject {
        name: "SID-NOBODY-9".to_owned(),
        ..object
    };
    let missing = admin.call::<GetSessionStatus>(&nobody).await;
    assert!(matches!(
        missing,
        Err(AdminError::Refused(ErrorCode::ObjectNotFound))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn stations_are_listed_and_can_be_forgotten() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice", "bob"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let mut bob = enter(&site, login("bob")).await.unwrap();
    let (here, there) = (Ipv4Addr::new(10, 9, 8, 7), Ipv4Addr::new(10, 9, 8, 255));
    alice.send([udp((station(1), here, 5000), (BROADCAST, there, 5000), b"hello")]);
    bob.receive().await;

    let macs = admin.call::<EnumMacTable>(&of_lab()).await.unwrap().entries;
    assert_eq!(macs.len(), 1);
    assert_eq!(
        (macs[0].mac_address, macs[0].session_name.as_str()),
        (station(1), "SID-ALICE-1")
    );
    let ips = admin.call::<EnumIpTable>(&of_lab()).await.unwrap().entries;
    assert_eq!(ips.len(), 1);
    assert_eq!((ips[0].ip, ips[0].dhcp_allocated), (IpAddr::from(here), false));

    let key = |key| HubKey {
        hub_name: "lab".to_owned(),
        key,
    };
    admin.call::<DeleteMacTable>(&key(macs[0].key)).await.unwrap();
    admin.call::<DeleteIpTable>(&key(ips[0].key)).await.unwrap();
    assert!(
        admin
            .call::<EnumMacTable>(&of_lab())
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    assert!(
        admin
            .call::<EnumIpTable>(&of_lab())
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    let again = admin.call::<DeleteMacTable>(&key(macs[0].key)).await;
    assert!(matches!(
        again,
        Err(AdminError::Refused(ErrorCode::ObjectNotFound))
    ));
}
