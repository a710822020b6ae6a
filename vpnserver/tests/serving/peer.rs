//! A client: login, tunnel, further connections, frames in and out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hub_core::frame::Frame;
use protocol::error::ErrorCode;
use protocol::handshake::{Attached, Auth, ClientVersion, Login, NodeInfo, Request, SessionOptions, Welcome};
use protocol::tunnel::{Direction, Side};
use tokio::sync::mpsc;
use tokio::time::timeout;
use transport::dial::Dialed;
use transport::tunnel::{Terms, Tunnel};

use crate::site::{PATIENCE, Site};

/// A login to hub `lab` without proof.
pub(crate) fn login(user: &str) -> Login {
    Login {
        hub: "lab".to_owned(),
        user: user.to_owned(),
        auth: Auth::Anonymous,
        options: SessionOptions::default(),
        client: client(),
        client_id: 0,
        unique_id: None,
        node: Some(NodeInfo {
            unique_id: rand::random(),
            ..NodeInfo::default()
        }),
        os: None,
    }
}

pub(crate) fn client() -> ClientVersion {
    ClientVersion {
        product: "Test Client".to_owned(),
        version: protocol::VERSION,
        build: protocol::BUILD,
    }
}

/// A client in a session.
pub(crate) struct Peer {
    pub(crate) welcome: Welcome,
    pub(crate) tunnel: Tunnel,
    inbound: mpsc::UnboundedReceiver<Bytes>,
}

/// Logs in over a fresh connection.
pub(crate) async fn enter(site: &Site, login: Login) -> Result<Peer, ErrorCode> {
    enter_over(site.dial().await, login).await
}

/// Logs in over this connection.
pub(crate) async fn enter_over(mut dialed: Dialed, login: Login) -> Result<Peer, ErrorCode> {
    let answer = dialed
        .request(&Request::Login(Box::new(login)).to_pack())
        .await
        .unwrap();
    let welcome = Welcome::from_pack(&answer)?;
    let (tunnel, inbound) = start(&welcome);
    let (stream, early) = dialed.into_stream();
    tunnel.add(stream, &early, tunnel.first_direction());
    Ok(Peer {
        welcome,
        tunnel,
        inbound,
    })
}

/// A tunnel on the terms of the welcome, without connections yet.
fn start(welcome: &Welcome) -> (Tunnel, mpsc::UnboundedReceiver<Bytes>) {
    let terms = Terms {
        name: welcome.session_name.clone(),
        side: Side::Client,
        timeout: Duration::from_millis(welcome.timeout_ms.into()),
        max_connections: welcome.max_connection,
        half_duplex: welcome.half_connection,
        qos: welcome.qos,
        compress: welcome.use_compress,
        super_frames: welcome.super_frames,
        queue_bytes: 1 << 20,
    };
    let (sender, inbound) = mpsc::unbounded_channel();
    let tunnel = Tunnel::start(
        terms,
        Arc::new(move |frames: &mut Vec<Frame>| {
            for frame in frames.drain(..) {
                let _ = sender.send(frame.bytes);
            }
        }),
    );
    (tunnel, inbound)
}

impl Peer {
    /// Opens another connection of the session.
    pub(crate) async fn join(&self, site: &Site) -> Result<Direction, ErrorCode> {
        let mut dialed = site.dial().await;
        let request = Request::AdditionalConnect {
            session_key: self.welcome.session_key,
            client: client(),
            alone: false,
        };
        let answer = dialed.request(&request.to_pack()).await.unwrap();
        let direction = Attached::from_pack(&answer)?.direction;
        let (stream, early) = dialed.into_stream();
        self.tunnel.add(stream, &early, direction);
        Ok(direction)
    }

    /// Comes back to the session with a tunnel of its own, as a client does whose connections were all lost.
    pub(crate) async fn resumed(&self, site: &Site) -> Self {
        let mut dialed = site.dial().await;
        let request = Request::AdditionalConnect {
            session_key: self.welcome.session_key,
            client: client(),
            alone: true,
        };
        let answer = dialed.request(&request.to_pack()).await.unwrap();
        let direction = Attached::from_pack(&answer).unwrap().direction;
        let (stream, early) = dialed.into_stream();
        let (tunnel, inbound) = start(&self.welcome);
        tunnel.add(stream, &early, direction);
        Self {
            welcome: self.welcome.clone(),
            tunnel,
            inbound,
        }
    }

    pub(crate) fn send(&self, frames: impl IntoIterator<Item = Vec<u8>>) {
        self.tunnel.send(&mut frames.into_iter().map(Frame::new));
    }

    /// The next frame.
    pub(crate) async fn receive(&mut self) -> Bytes {
        timeout(PATIENCE, self.inbound.recv())
            .await
            .expect("a frame was awaited")
            .expect("the tunnel lives")
    }

    /// The next frame that `wanted` makes something of.
    pub(crate) async fn receive_such<T>(&mut self, wanted: impl Fn(&[u8]) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(&self.receive().await) {
                return found;
            }
        }
    }

    /// Whether nothing has come so far.
    pub(crate) fn heard_nothing(&mut self) -> bool {
        self.inbound.try_recv().is_err()
    }

    /// Waits until the server has ended the session.
    pub(crate) async fn until_no_connection(&self) {
        let mut state = self.tunnel.watch();
        timeout(PATIENCE, state.wait_for(|state| state.connections == 0))
            .await
            .expect("the server hangs up")
            .unwrap();
    }

    /// Leaves in good order: all connections say goodbye.
    pub(crate) async fn leave(&self) {
        self.tunnel.close();
        self.tunnel.closed().await;
    }
}
