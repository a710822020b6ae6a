//! Keeping the Internet line alive.

use std::net::Ipv4Addr;

use protocol::rpc::keep::{Keep, KeepProtocol};
use protocol::rpc::method::SetKeep;
use tempfile::TempDir;
use tokio::net::{TcpListener, UdpSocket};
use tokio::time::timeout;

use crate::site::{PATIENCE, lab};

fn keep(protocol: KeepProtocol, port: u16) -> Keep {
    Keep {
        enabled: true,
        host: "127.0.0.1".to_owned(),
        port: port.into(),
        protocol,
        interval: 5,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn something_is_sent_at_every_interval_while_that_is_wanted() {
    let folder = TempDir::new().unwrap();
    let (_site, mut admin) = lab(&folder, &[]).await;
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let connections = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut buffer = [0; 256];

    let udp = keep(KeepProtocol::Udp, datagrams.local_addr().unwrap().port());
    admin.call::<SetKeep>(&udp).await.unwrap();
    for _ in 0..2 {
        let length = timeout(PATIENCE, datagrams.recv(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(length > 0);
    }
    let tcp = keep(KeepProtocol::Tcp, connections.local_addr().unwrap().port());
    admin.call::<SetKeep>(&tcp).await.unwrap();
    timeout(PATIENCE, connections.accept()).await.unwrap().unwrap();
    assert!(
        datagrams.try_recv(&mut buffer).is_err(),
        "the former target is left alone"
    );
    admin
        .call::<SetKeep>(&Keep {
            enabled: false,
            ..tcp
        })
        .await
        .unwrap();
    let further = timeout(std::time::Duration::from_secs(6), connections.accept()).await;
    assert!(further.is_err(), "it was switched off");
}
