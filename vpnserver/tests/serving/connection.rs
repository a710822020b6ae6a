//! Connections that are no session's: listed, described, ended.

use protocol::error::ErrorCode;
use protocol::rpc::connection::ConnectionType;
use protocol::rpc::method::{DisconnectConnection, EnumConnection, GetConnectionInfo, GetServerStatus};
use protocol::rpc::{Named, Nothing};
use tempfile::TempDir;
use transport::admin::AdminError;

use crate::peer::{enter, login};
use crate::site::lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_not_listed_among_them_and_counts_once() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &["alice"]).await;
    let alice = enter(&site, login("alice")).await.unwrap();
    let session = site.server.sessions.with_key(&alice.welcome.session_key).unwrap();
    // The welcome is there a moment before the connection has joined.
    let mut state = session.tunnel.watch();
    state.wait_for(|state| state.connections == 1).await.unwrap();
    let list = admin.call::<EnumConnection>(&Nothing {}).await.unwrap();
    assert!(list.connections.is_empty(), "{list:?}");
    let status = admin.call::<GetServerStatus>(&Nothing {}).await.unwrap();
    assert_eq!((status.num_tcp_connections, status.num_sessions_total), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_listed_and_can_be_hung_up_on() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    let mut stranger = site.dial().await;
    let list = admin.call::<EnumConnection>(&Nothing {}).await.unwrap();
    assert_eq!(list.connections.len(), 1);
    let row = &list.connections[0];
    assert_eq!(row.kind, ConnectionType::Initialising);
    assert_eq!(row.port, u32::from(stranger.local.port()));
    let named = Named {
        name: row.name.clone(),
    };
    let info = admin.call::<GetConnectionInfo>(&named).await.unwrap();
    assert_eq!(info.ip, stranger.local.ip());
    admin.call::<DisconnectConnection>(&named).await.unwrap();
    let request = protocol::handshake::Request::EnumHub.to_pack();
    assert!(stranger.request(&request).await.is_err());
    let gone = loop {
        match admin.call::<GetConnectionInfo>(&named).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert!(matches!(gone, AdminError::Refused(ErrorCode::ObjectNotFound)));
}
