//! A session while it lives: its tunnel, the connections it asks for, and the way back after they broke.

use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::handshake::{Attached, Request, Welcome};
use protocol::tunnel::Side;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use transport::dial::{self, DialError};
use transport::tunnel::{Inbound, Terms, Tunnel};

use crate::attempt::{Established, Place};
use crate::login;

/// The pause between two further connections (protocol §6): the first is made so long after the session began.
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed try to come back, when no connection is left.
const RESUME_PAUSE: Duration = Duration::from_millis(500);
/// What may wait for one connection (protocol §7.2 has stock's bound).
const QUEUE_BYTES: usize = 2_560_000;

/// News of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The last connection broke.
    Interrupted,
    /// There is one again.
    Resumed,
    /// The session is over.
    Over(String),
}

/// A session. Dropping it closes all connections.
pub struct Session {
    /// The connections.
    pub tunnel: Tunnel,
    /// The server's terms.
    pub welcome: Welcome,
    /// Where it is.
    pub place: Place,
    news: mpsc::UnboundedReceiver<News>,
    keeper: JoinHandle<()>,
}

impl Session {
    /// Lives with an established session; frames that arrive go to `inbound`. At most `connections` are opened,
    /// whatever the server grants.
    pub fn start(established: Established, connections: u32, inbound: Inbound) -> Self {
        let Established {
            welcome,
            place,
            stream,
            early,
            udp,
            ..
        } = established;
        let terms = Terms {
            name: welcome.session_name.clone(),
            side: Side::Client,
            timeout: Duration::from_millis(welcome.timeout_ms.into()),
            max_connections: granted(&welcome, connections),
            half_duplex: welcome.half_connection,
            qos: welcome.qos,
            compress: welcome.use_compress,
            super_frames: welcome.super_frames && !welcome.use_compress,
            queue_bytes: QUEUE_BYTES,
        };
        let tunnel = Tunnel::start(terms, inbound);
        let direction = tunnel.first_direction();
        tunnel.add(stream, &early, direction);
        if let Some(agreed) = udp {
            // The server sees to it that segments fit.
            tunnel.accelerate(agreed, |_| {});
        }
        let (sender, news) = mpsc::unbounded_channel();
        let keeper = Keeper {
            tunnel: tunnel.clone(),
            place: place.clone(),
            session_key: welcome.session_key,
            news: sender,
        };
        let keeper = tokio::spawn(keeper.run());
        Self {
            tunnel,
            welcome,
            place,
            news,
            keeper,
        }
    }

    /// The next news. After [`News::Over`] there is none.
    pub async fn news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => News::Over("its keeper is gone".to_owned()),
        }
    }

    /// Says goodbye on every connection and waits until that is done, or not to be done in time.
    pub async fn close(self) {
        const GOODBYE: Duration = Duration::from_secs(2);
        self.tunnel.close();
        let _ = tokio::time::timeout(GOODBYE, self.tunnel.closed()).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeper.abort();
        self.tunnel.close();
    }
}

/// The number of connections to open: what was asked for, unless the server's mode needs more (half-duplex cannot do
/// with one) or it grants fewer.
fn granted(welcome: &Welcome, wanted: u32) -> u32 {
    let least = if welcome.half_connection { 2 } else { 1 };
    wanted.max(least).min(welcome.max_connection).max(1)
}

/// Opens further connections, and the first again when all are lost.
struct Keeper {
    tunnel: Tunnel,
    place: Place,
    session_key: [u8; 20],
    news: mpsc::UnboundedSender<News>,
}

/// Why a further connection was not made.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Refused(ErrorCode),
}

impl Keeper {
    async fn run(self) {
        let over = self.keep().await;
        self.tunnel.close();
        let _ = self.news.send(News::Over(over));
    }

    /// Keeps as many connections as were agreed on; returns why the session is over.
    async fn keep(&self) -> String {
        let mut state = self.tunnel.watch();
        let mut connected = true;
        let mut next_try = Instant::now() + INTERVAL;
        loop {
            let now = *state.borrow_and_update();
            if now.over {
                return "nothing was heard from the server for too long".to_owned();
            }
            if connected != (now.connections > 0) {
                connected = now.connections > 0;
                let news = if connected {
                    News::Resumed
                } else {
                    News::Interrupted
                };
                let _ = self.news.send(news);
                if !connected {
                    next_try = Instant::now();
                }
            }
            if !self.tunnel.wants_more() {
                let _ = state.changed().await;
                continue;
            }
            tokio::select! {
                _ = state.changed() => continue,
                () = sleep(next_try.saturating_duration_since(Instant::now())) => {}
            }
            let joined = tokio::select! {
                joined = self.join() => joined,
                () = self.tunnel.ended() => continue,
            };
            next_try = Instant::now() + if connected { INTERVAL } else { RESUME_PAUSE };
            match joined {
                Ok(()) => {}
                // The server does not know the session any more (protocol §6).
                Err(JoinError::Refused(code @ (ErrorCode::SessionTimeout | ErrorCode::InvalidProtocol))) => {
                    return code.to_string();
                }
                Err(error) => tracing::debug!(%error, "a further connection was not made"),
            }
        }
    }

    /// Opens one connection and joins it to the session.
    async fn join(&self) -> Result<(), JoinError> {
        let mut dialed =
            dial::dial_again(&self.place.target, self.place.peer, self.place.fingerprint).await?;
        let request = Request::AdditionalConnect {
            session_key: self.session_key,
            client: login::version(),
        };
        let answer = dialed.request(&request.to_pack()).await?;
        match Attached::from_pack(&answer) {
            Ok(attached) => {
                let (stream, early) = dialed.into_stream();
                self.tunnel.add(stream, &early, attached.direction);
                Ok(())
            }
            Err(code) => {
                dialed.close().await;
                Err(JoinError::Refused(code))
            }
        }
    }
}
