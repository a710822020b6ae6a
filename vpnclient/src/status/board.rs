//! Where a connection notes how it stands. Events write it; who asks reads it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use protocol::handshake::Welcome;
use tokio::sync::{broadcast, watch};
use transport::tunnel::{Traffic, Tunnel};

use super::{State, Status, Udp};
use crate::attempt::{Place, ServerFacts};
use crate::reason::Reason;
use crate::report::{Event, clean_line};
use crate::session::Session;

/// Events that may wait for a slow reader; it misses the oldest.
const EVENTS: usize = 64;

/// What is known of a connection before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// What it is called.
    pub name: String,
    /// Whether it is an account of the service.
    pub account: bool,
    /// The server, HOST:PORT.
    pub server: String,
    /// The hub.
    pub hub: String,
    /// The user.
    pub user: String,
}

/// The session that lives at this moment.
#[derive(Clone)]
pub struct Live {
    /// Its connections.
    pub tunnel: Tunnel,
    /// The server's terms.
    pub welcome: Welcome,
    /// Where it is.
    pub place: Place,
    /// What the server calls itself.
    pub product: String,
    /// What else is known of the server.
    pub server: ServerFacts,
    /// When it began.
    pub since: SystemTime,
}

/// How one connection stands.
pub struct Board {
    inner: Mutex<Inner>,
    events: broadcast::Sender<Event>,
    state: watch::Sender<State>,
}

#[derive(Default)]
struct Inner {
    status: Status,
    /// What sessions that are over have carried.
    past: Carried,
    live: Option<Live>,
    /// When somebody asked for it, and when the first session was there.
    begun: Option<SystemTime>,
    first: Option<SystemTime>,
    /// The server's policy had the password forgotten.
    password_forgotten: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Carried {
    bytes_in: u64,
    bytes_out: u64,
    frames_in: u64,
    frames_out: u64,
    dropped: u64,
}

impl Carried {
    fn of(traffic: &Traffic) -> Self {
        Self {
            bytes_in: traffic.bytes_in.load(Relaxed),
            bytes_out: traffic.bytes_out.load(Relaxed),
            frames_in: traffic.frames_in.load(Relaxed),
            frames_out: traffic.frames_out.load(Relaxed),
            dropped: traffic.dropped.load(Relaxed),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            frames_in: self.frames_in + other.frames_in,
            frames_out: self.frames_out + other.frames_out,
            dropped: self.dropped + other.dropped,
        }
    }
}

impl Default for Board {
    fn default() -> Self {
        Self::new(Head::default())
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

impl Board {
    /// A board of a connection that nobody asked for yet.
    #[must_use]
    pub fn new(head: Head) -> Self {
        let board = Self {
            inner: Mutex::default(),
            events: broadcast::Sender::new(EVENTS),
            state: watch::Sender::new(State::Idle),
        };
        board.describe(head);
        board
    }

    /// Says what the connection is.
    pub fn describe(&self, head: Head) {
        let mut inner = self.lock();
        let status = &mut inner.status;
        status.name = head.name;
        status.account = head.account;
        status.server = head.server;
        status.hub = head.hub;
        status.user = head.user;
        status.pid = std::process::id();
    }

    /// Somebody asked for the connection: what was before counts no more.
    pub fn begin(&self) {
        let mut inner = self.lock();
        let Status {
            name,
            account,
            pid,
            server,
            hub,
            user,
            ..
        } = std::mem::take(&mut inner.status);
        *inner = Inner {
            status: Status {
                name,
                account,
                pid,
                server,
                hub,
                user,
                ..Status::default()
            },
            begun: Some(SystemTime::now()),
            ..Inner::default()
        };
        self.enter(&mut inner, State::Connecting);
    }

    /// Notes an event.
    pub fn tell(&self, event: &Event) {
        let mut inner = self.lock();
        if inner.begun.is_none() {
            inner.begun = Some(SystemTime::now());
        }
        self.note(&mut inner, event);
        drop(inner);
        // Nobody may be listening.
        let _ = self.events.send(event.clone());
    }

    fn note(&self, inner: &mut Inner, event: &Event) {
        match event {
            Event::Resolving(_) | Event::Connecting(_) => self.enter(inner, State::Connecting),
            Event::Securing | Event::Greeting => self.enter(inner, State::Negotiating),
            Event::LoggingIn { .. } => self.enter(inner, State::Authenticating),
            Event::Connected { .. } => {
                inner.status.sessions += 1;
                inner.status.reason = None;
                inner.status.error = None;
                self.enter(inner, State::Connected);
            }
            Event::PasswordForgotten => inner.password_forgotten = true,
            Event::Message(text) => inner.status.message = Some(text.clone()),
            Event::Address {
                device,
                address,
                prefix,
                server,
                routes,
                dns,
                ..
            } => {
                let status = &mut inner.status;
                status.device = Some(device.clone());
                status.address = Some(format!("{address}/{prefix}"));
                status.dhcp_server = Some(server.to_string());
                status.routes.clone_from(routes);
                status.dns = dns.iter().map(ToString::to_string).collect();
            }
            Event::AddressLost(_) => forget_address(&mut inner.status),
            Event::Interrupted => self.enter(inner, State::Interrupted),
            Event::Resumed => self.enter(inner, State::Connected),
            Event::Ended(reason) => {
                inner.status.reason = Some(Reason::SessionOver.word().to_owned());
                inner.status.error = Some(reason.clone());
                self.enter(inner, State::Connecting);
            }
            Event::Retrying {
                reason,
                message,
                after,
            } => {
                inner.status.reason = Some(reason.word().to_owned());
                inner.status.error = Some(message.clone());
                self.enter(inner, State::Waiting);
                inner.status.next_try_ms = Some(millis(SystemTime::now() + *after));
            }
            Event::Failed(failure) => {
                inner.status.reason = Some(failure.reason().word().to_owned());
                inner.status.error = Some(failure.to_string());
                forget_address(&mut inner.status);
                self.enter(inner, State::Failed);
            }
            Event::Closed { .. } => {
                forget_address(&mut inner.status);
                self.enter(inner, State::Closed);
            }
            // What else there is changes nothing of this.
            _ => {}
        }
    }

    fn enter(&self, inner: &mut Inner, state: State) {
        let status = &mut inner.status;
        status.next_try_ms = None;
        if status.state != state {
            status.state = state;
            status.since_ms = millis(SystemTime::now());
            self.state.send_replace(state);
        }
    }

    /// A session has begun; what it carries is told from now on.
    pub(crate) fn follow(&self, session: &Session, product: &str, server: &ServerFacts) {
        let now = SystemTime::now();
        let mut inner = self.lock();
        inner.first.get_or_insert(now);
        inner.live = Some(Live {
            tunnel: session.tunnel.clone(),
            welcome: session.welcome.clone(),
            place: session.place.clone(),
            product: clean_line(product),
            server: server.clone(),
            since: now,
        });
    }

    /// The session is over; what it has carried stays.
    pub(crate) fn let_go(&self) {
        let mut inner = self.lock();
        if let Some(live) = inner.live.take() {
            inner.past = inner.past.plus(Carried::of(live.tunnel.traffic()));
        }
    }

    /// The session that lives at this moment.
    #[must_use]
    pub fn live(&self) -> Option<Live> {
        self.lock().live.clone()
    }

    /// When somebody asked for the connection, and when its first session was there.
    #[must_use]
    pub fn times(&self) -> (Option<SystemTime>, Option<SystemTime>) {
        let inner = self.lock();
        (inner.begun, inner.first)
    }

    /// Whether the password was forgotten since somebody asked for the connection, as the server's policy wants.
    #[must_use]
    pub fn password_is_forgotten(&self) -> bool {
        self.lock().password_forgotten
    }

    /// How far it has come, and every change of that.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The events from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// How it stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        let (mut status, past, live) = {
            let inner = self.lock();
            (inner.status.clone(), inner.past, inner.live.clone())
        };
        let mut carried = past;
        if let Some(live) = &live {
            carried = past.plus(Carried::of(live.tunnel.traffic()));
            add_live(&mut status, live);
        }
        status.bytes_received = carried.bytes_in;
        status.bytes_sent = carried.bytes_out;
        status.frames_received = carried.frames_in;
        status.frames_sent = carried.frames_out;
        status.dropped = carried.dropped;
        status
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add_live(status: &mut Status, live: &Live) {
    status.peer = Some(live.place.peer);
    status.product.clone_from(&live.product);
    status.session = Some(clean_line(&live.welcome.session_name));
    status.session_since_ms = Some(millis(live.since));
    status.connections = u32::try_from(live.tunnel.watch().borrow().connections).unwrap_or(u32::MAX);
    status.max_connections = live.tunnel.terms().max_connections;
    status.cipher.clone_from(&live.server.cipher);
    status.udp = udp(&live.tunnel);
    let mut shortest = None;
    live.tunnel.look_at_sockets(&mut |socket| {
        if let Ok(measured) = netdev::tcp::measure(socket) {
            status.retransmits += u64::from(measured.retransmits);
            let rtt = measured.rtt.as_secs_f64() * 1000.0;
            shortest = Some(shortest.map_or(rtt, |before: f64| before.min(rtt)));
        }
    });
    status.rtt_ms = shortest;
}

/// Whether frames go by UDP: because that is preferred, or because no TCP connection is left.
pub(crate) fn udp(tunnel: &Tunnel) -> Udp {
    match tunnel.lane().map(|lane| lane.status()) {
        None => Udp::Off,
        Some(lane) if lane.in_use || lane.usable && tunnel.watch().borrow().connections == 0 => Udp::InUse,
        Some(_) => Udp::StandBy,
    }
}

fn forget_address(status: &mut Status) {
    status.address = None;
    status.dhcp_server = None;
    status.routes.clear();
    status.dns.clear();
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::failure::Failure;

    fn connected(board: &Board) {
        board.begin();
        board.tell(&Event::Connecting("192.0.2.1:443".into()));
        board.tell(&Event::Connected {
            session: "SID-1".into(),
            server: "a server".into(),
            took: Duration::ZERO,
        });
        board.tell(&Event::Address {
            device: "vpn0".into(),
            address: "10.0.0.5".parse().unwrap(),
            prefix: 24,
            server: "10.0.0.1".parse().unwrap(),
            term: None,
            routes: vec!["10.1.0.0/16".into()],
            dns: vec!["10.0.0.1".parse().unwrap()],
        });
    }

    #[test]
    fn events_say_how_far_it_has_come() {
        let board = Board::new(Head {
            name: "lab".into(),
            ..Head::default()
        });
        assert_eq!(board.status().state, State::Idle);
        connected(&board);
        let status = board.status();
        assert_eq!((status.state, status.sessions), (State::Connected, 1));
        assert_eq!(status.address.as_deref(), Some("10.0.0.5/24"));
        assert_eq!(status.name, "lab");
        board.tell(&Event::Interrupted);
        assert_eq!(board.status().state, State::Interrupted);
        board.tell(&Event::Retrying {
            reason: Reason::CannotConnect,
            message: "out of reach".into(),
            after: Duration::from_secs(4),
        });
        let status = board.status();
        assert_eq!(status.state, State::Waiting);
        assert!(status.next_try_ms.is_some_and(|at| at > status.since_ms));
        assert_eq!(status.error.as_deref(), Some("out of reach"));
    }

    #[test]
    fn what_has_failed_says_why_and_has_no_address() {
        let board = Board::default();
        connected(&board);
        board.tell(&Event::Failed(Failure::Refused("wrong password".into())));
        let status = board.status();
        assert!(!status.state.is_active());
        assert_eq!(status.error.as_deref(), Some("wrong password"));
        assert_eq!(status.reason.as_deref(), Some(Reason::Other.word()));
        assert_eq!((status.address, status.routes.len()), (None, 0));
        board.begin();
        assert_eq!(
            board.status().error,
            None,
            "a new beginning knows nothing of the old end"
        );
    }

    #[test]
    fn that_the_password_was_forgotten_is_known_until_the_next_beginning() {
        let board = Board::default();
        connected(&board);
        assert!(!board.password_is_forgotten());
        board.tell(&Event::PasswordForgotten);
        assert!(board.password_is_forgotten());
        connected(&board);
        assert!(!board.password_is_forgotten());
    }

    #[tokio::test]
    async fn who_listens_hears_every_event() {
        let board = Board::default();
        let mut events = board.events();
        board.tell(&Event::Interrupted);
        board.tell(&Event::Resumed);
        assert_eq!(events.recv().await.unwrap(), Event::Interrupted);
        assert_eq!(events.recv().await.unwrap(), Event::Resumed);
    }

    #[test]
    fn a_status_arrives_as_it_was_sent() {
        let board = Board::default();
        connected(&board);
        let status = board.status();
        let text = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    }
}
