//! A session while it lives: its tunnel, the connections it asks for, and the way back after they broke.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use protocol::error::ErrorCode;
use protocol::handshake::{Attached, Request, Welcome};
use protocol::tunnel::{ConnectionId, Side};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use transport::dial::DialError;
use transport::tunnel::{Inbound, Terms, Tunnel};

use crate::ages::Ages;
use crate::attempt::{Established, Place};
use crate::login;
use crate::moment::until;

/// The pause between two further connections, unless another one is wanted (protocol §6).
const INTERVAL: Duration = Duration::from_secs(1);
/// The pause after a failed try to come back, when no connection is left.
const RESUME_PAUSE: Duration = Duration::from_millis(500);
/// How long a further connection may take, at least and at most; in between it is a few times what the first one took. A
/// request that was lost with the network is not waited for.
const PATIENCE: std::ops::RangeInclusive<Duration> = Duration::from_secs(3)..=Duration::from_secs(15);
/// A connection that broke so soon after it took up the session did not really; and how many of these say that none will. A stock
/// server answers so when a connection of several was cut (protocol §1.1).
const FUTILE: Duration = Duration::from_secs(1);
const FUTILE_TRIES: u32 = 3;
/// What may wait for one connection (protocol §7.2 has stock's bound).
const QUEUE_BYTES: usize = 2_560_000;

/// How many connections a session has, and how they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// So many at most, whatever the server grants.
    pub connections: u32,
    /// The pause between two further ones; the first is made so long after the session began.
    pub interval: Duration,
    /// How old one may become before another replaces it; `None` is as old as it likes.
    pub lifetime: Option<Duration>,
}

impl Default for Growth {
    fn default() -> Self {
        Self {
            connections: 1,
            interval: INTERVAL,
            lifetime: None,
        }
    }
}

/// News of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The last connection broke.
    Interrupted,
    /// There is one again.
    Resumed,
    /// One was made, from this address of ours.
    Joined(IpAddr),
    /// The session is over.
    Over(String),
}

/// What is known from elsewhere about the connections of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// They may be dead. A new one asks, and replaces them unless something is heard from them before.
    Probe,
    /// They are dead.
    Abandon,
    /// If there are none, now is the time to make one.
    Resume,
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
    orders: mpsc::UnboundedSender<Order>,
    keeper: JoinHandle<()>,
}

impl Session {
    /// Lives with an established session; frames that arrive go to `inbound`.
    pub fn start(established: Established, growth: Growth, inbound: Inbound) -> Self {
        let Established {
            welcome,
            place,
            stream,
            early,
            udp,
            took,
            ..
        } = established;
        let terms = Terms {
            name: welcome.session_name.clone(),
            side: Side::Client,
            timeout: Duration::from_millis(welcome.timeout_ms.into()),
            max_connections: granted(&welcome, growth.connections),
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
        let (orders, received) = mpsc::unbounded_channel();
        let keeper = Keeper {
            tunnel: tunnel.clone(),
            place: place.clone(),
            session_key: welcome.session_key,
            patience: (took * 4).clamp(*PATIENCE.start(), *PATIENCE.end()),
            news: sender,
            orders: received,
            doubted: None,
            interval: growth.interval,
            ages: Ages::new(growth.lifetime),
            retiring: None,
            next_try: Instant::now() + growth.interval,
            resumed: None,
            futile: 0,
        };
        let keeper = tokio::spawn(keeper.run());
        Self {
            tunnel,
            welcome,
            place,
            news,
            orders,
            keeper,
        }
    }

    /// Tells the session what is known of its connections.
    pub fn order(&self, order: Order) {
        // A keeper that has ended has said so.
        let _ = self.orders.send(order);
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

/// Opens further connections, the first again when all are lost, and others in place of those that seem dead.
struct Keeper {
    tunnel: Tunnel,
    place: Place,
    session_key: [u8; 20],
    /// How long a further connection may take.
    patience: Duration,
    news: mpsc::UnboundedSender<News>,
    orders: mpsc::UnboundedReceiver<Order>,
    doubted: Option<Doubt>,
    /// The pause between two further connections.
    interval: Duration,
    ages: Ages,
    /// The connection that is to be replaced because of its age.
    retiring: Option<ConnectionId>,
    next_try: Instant,
    /// When there was a connection again, and how many of these broke at once, one after the other.
    resumed: Option<Instant>,
    futile: u32,
}

/// Connections that may be dead.
struct Doubt {
    connections: Vec<ConnectionId>,
    since: Instant,
}

/// Why a further connection was not made.
#[derive(Debug, thiserror::Error)]
enum JoinError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0}")]
    Refused(ErrorCode),
    #[error("it took too long")]
    Late,
}

impl Keeper {
    async fn run(mut self) {
        let over = self.keep().await;
        self.tunnel.close();
        let _ = self.news.send(News::Over(over));
    }

    /// Keeps as many connections as were agreed on; returns why the session is over.
    async fn keep(&mut self) -> String {
        let mut state = self.tunnel.watch();
        let mut connected = true;
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
                if !self.may_go_on(connected) {
                    return "the server takes connections for it, and closes them at once".to_owned();
                }
            }
            self.look_at_doubts(connected);
            self.look_at_ages();
            let wants = self.tunnel.wants_more() || self.doubted.is_some() || self.retiring.is_some();
            let settled = self.retiring.is_none() && self.doubted.is_none();
            let too_old = self.ages.next_end().filter(|_| settled);
            let silent = self.silence_ends().filter(|_| connected);
            tokio::select! {
                _ = state.changed() => continue,
                Some(order) = self.orders.recv() => {
                    self.obey(order);
                    continue;
                }
                () = until(silent) => {
                    if self.silence_ends().is_some_and(|at| at <= Instant::now()) {
                        self.doubt();
                    }
                    continue;
                }
                () = until(too_old) => continue,
                () = sleep_until(self.next_try.into()), if wants => {}
            }
            let tunnel = self.tunnel.clone();
            let join = join(
                &self.tunnel,
                &self.place,
                self.session_key,
                self.doubted.is_some(),
            );
            let joined = tokio::select! {
                joined = timeout(self.patience, join) => {
                    joined.unwrap_or(Err(JoinError::Late))
                }
                () = tunnel.ended() => continue,
                Some(order) = self.orders.recv() => {
                    self.obey(order);
                    continue;
                }
            };
            let pause = match (connected && self.doubted.is_none(), joined.is_ok()) {
                (true, true) => self.interval,
                (true, false) => self.interval.max(RESUME_PAUSE),
                (false, true) => self.interval.min(RESUME_PAUSE),
                (false, false) => RESUME_PAUSE,
            };
            self.next_try = Instant::now() + pause;
            if let Some(over) = self.joined(joined) {
                return over;
            }
        }
    }

    /// There is a connection again, or none any more: whether it makes sense to try on, and when.
    fn may_go_on(&mut self, connected: bool) -> bool {
        if connected {
            self.resumed = Some(Instant::now());
            return true;
        }
        let in_vain = self.resumed.take().is_some_and(|since| since.elapsed() < FUTILE);
        self.futile = if in_vain { self.futile + 1 } else { 0 };
        self.next_try = Instant::now() + if in_vain { RESUME_PAUSE } else { Duration::ZERO };
        self.futile < FUTILE_TRIES
    }

    /// What comes of a further connection; `Some` when the session is over.
    fn joined(&mut self, joined: Result<IpAddr, JoinError>) -> Option<String> {
        match joined {
            Ok(from) => {
                if let Some(doubt) = self.doubted.take() {
                    self.tunnel.abandon(&doubt.connections);
                }
                self.retire();
                let _ = self.news.send(News::Joined(from));
            }
            // The server does not know the session any more (protocol §6).
            Err(JoinError::Refused(code @ (ErrorCode::SessionTimeout | ErrorCode::InvalidProtocol))) => {
                return Some(code.to_string());
            }
            // It counts those that died without its knowledge; their end gives it the chance to hear of it.
            Err(JoinError::Refused(ErrorCode::TooManyConnections)) if self.doubted.is_some() => {
                self.obey(Order::Abandon);
            }
            // This server does not take one more before the old one has gone.
            Err(JoinError::Refused(ErrorCode::TooManyConnections)) if self.retiring.is_some() => {
                self.retire();
            }
            Err(JoinError::Refused(code @ ErrorCode::TooManyConnections))
                if self.tunnel.connections().is_empty() =>
            {
                return Some(code.to_string());
            }
            // Whoever it is, it is not who this session is with.
            Err(JoinError::Dial(error @ DialError::Untrusted(_))) => return Some(error.to_string()),
            Err(error) => tracing::debug!(%error, "a further connection was not made"),
        }
        None
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Probe => self.doubt(),
            Order::Abandon => {
                self.doubted = None;
                self.tunnel.abandon(&self.tunnel.connections());
            }
            Order::Resume => {}
        }
        self.next_try = Instant::now();
    }

    fn doubt(&mut self) {
        self.doubted = Some(Doubt {
            connections: self.tunnel.connections(),
            since: Instant::now(),
        });
        self.next_try = Instant::now();
    }

    /// Who is heard is not dead; and without connections there is nothing to doubt.
    fn look_at_doubts(&mut self, connected: bool) {
        let last_heard = self.tunnel.last_heard();
        let is_over = |doubt: &Doubt| !connected || last_heard > doubt.since;
        if self.doubted.as_ref().is_some_and(is_over) {
            self.doubted = None;
        }
    }

    /// Sees whether one has become too old. It goes when another one is there; half-duplex it goes first, so that the server
    /// gives its direction to the next (protocol §6.1).
    fn look_at_ages(&mut self) {
        let now = Instant::now();
        self.ages.see(now, &self.tunnel.connections());
        let oldest = self.ages.expired(now).filter(|_| self.doubted.is_none());
        if oldest.is_some() && oldest != self.retiring {
            self.next_try = now;
        }
        self.retiring = oldest;
        if self.tunnel.terms().half_duplex {
            self.retire();
            self.ages.see(now, &self.tunnel.connections());
        }
    }

    fn retire(&mut self) {
        if let Some(old) = self.retiring.take() {
            self.tunnel.abandon(&[old]);
        }
    }

    /// When the server has been silent for longer than it should be. It sends at least a keep-alive in half of its time-out
    /// (protocol §7.4).
    fn silence_ends(&self) -> Option<Instant> {
        let timeout = self.tunnel.terms().timeout;
        let usual = timeout / 2 + (timeout / 10).max(Duration::from_secs(1));
        match self.doubted {
            Some(_) => None,
            None => Some(self.tunnel.last_heard() + usual),
        }
    }
}

/// Opens one connection and joins it to the session, in place of the others where those are in doubt; returns our end of it.
async fn join(
    tunnel: &Tunnel,
    place: &Place,
    session_key: [u8; 20],
    in_doubt: bool,
) -> Result<IpAddr, JoinError> {
    let mut dialed = place
        .way
        .dial_again(&place.target, place.peer, place.fingerprint)
        .await?;
    let from = dialed.local.ip();
    let request = Request::AdditionalConnect {
        session_key,
        client: login::version(),
        // A server that does not know of an end would go on sending there until its time-out.
        alone: in_doubt || tunnel.connections().is_empty(),
    };
    let answer = dialed.request(&request.to_pack()).await?;
    match Attached::from_pack(&answer) {
        Ok(attached) => {
            let (stream, early) = dialed.into_stream();
            tunnel.add(stream, &early, attached.direction);
            Ok(from)
        }
        Err(code) => {
            dialed.close().await;
            Err(JoinError::Refused(code))
        }
    }
}
