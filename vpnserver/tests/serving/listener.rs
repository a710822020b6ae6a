//! Ports that administrators open and close.

use std::net::{Ipv4Addr, SocketAddr};

use protocol::rpc::Nothing;
use protocol::rpc::listener::{Listener, ListenerRow};
use protocol::rpc::method::{CreateListener, DeleteListener, EnableListener, EnumListener};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use transport::admin::AdminClient;

use crate::site::Site;

/// A port that is free at this moment.
async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

fn listener(port: u16, enable: bool) -> Listener {
    Listener {
        port: port.into(),
        enable,
    }
}

async fn row(admin: &mut AdminClient, port: u16) -> Option<ListenerRow> {
    let list = admin.call::<EnumListener>(&Nothing {}).await.unwrap();
    list.listeners.into_iter().find(|row| row.port == u32::from(port))
}

async fn is_open(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_is_open_from_its_making_to_its_end() {
    let folder = TempDir::new().unwrap();
    let site = Site::start_with_stored_listeners(&folder).await;
    let mut admin = site.admin().await;
    let port = free_port().await;
    admin.call::<CreateListener>(&listener(port, true)).await.unwrap();
    assert!(is_open(port).await);
    let open = row(&mut admin, port).await.unwrap();
    assert_eq!((open.enabled, open.error), (true, false));

    admin
        .call::<EnableListener>(&listener(port, false))
        .await
        .unwrap();
    assert!(!is_open(port).await);
    assert!(!row(&mut admin, port).await.unwrap().enabled);

    admin.call::<EnableListener>(&listener(port, true)).await.unwrap();
    assert!(is_open(port).await);
    admin
        .call::<DeleteListener>(&listener(port, false))
        .await
        .unwrap();
    assert!(!is_open(port).await);
    assert!(row(&mut admin, port).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_another_program_has_is_listed_with_an_error() {
    let folder = TempDir::new().unwrap();
    let site = Site::start_with_stored_listeners(&folder).await;
    let mut admin = site.admin().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    admin.call::<CreateListener>(&listener(port, true)).await.unwrap();
    let row = row(&mut admin, port).await.unwrap();
    assert_eq!((row.enabled, row.error), (true, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_there_is_not_is_refused() {
    let folder = TempDir::new().unwrap();
    let site = Site::start_with_stored_listeners(&folder).await;
    let mut admin = site.admin().await;
    for port in [0, 65_536] {
        let request = Listener { port, enable: true };
        assert!(admin.call::<CreateListener>(&request).await.is_err(), "{port}");
    }
}
