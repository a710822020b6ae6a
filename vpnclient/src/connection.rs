//! The whole of one `vpnclient connect`: device, session, address, routes; again after every loss; and at the end
//! everything taken back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::frame::Frame;
use netdev::{Links, Tap, TapOptions, VnetHeader, capability};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use transport::dial::DialError;

use crate::attempt::{AttemptError, Established, Place, Wish, attempt};
use crate::dhcp::{self, Lease, Loss};
use crate::failure::Failure;
use crate::login;
use crate::network::{Network, RouteMode, plan};
use crate::pump;
use crate::report::{Event, Reporter, clean};
use crate::retry::{Backoff, Verdict};
use crate::session::{News, Session};

/// DHCP answers that may wait for the client.
const DHCP_BACKLOG: usize = 16;
/// A session that lasted this long was a good one: after it the pauses between tries begin anew.
const STABLE: Duration = Duration::from_secs(60);
/// How long the last frame (the address given back) may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How this machine takes part.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the TAP device.
    pub tap: String,
    /// Its hardware address, if it is to have a certain one.
    pub mac: Option<[u8; 6]>,
    /// Whether the device may leave frames unfinished.
    pub offload: bool,
    /// Whether to ask for an address.
    pub dhcp: bool,
    /// Which routes lead into the VPN.
    pub routes: RouteMode,
    /// Whether to set name servers.
    pub dns: bool,
    /// TCP connections at most.
    pub connections: u32,
    /// Whether the first loss is the end.
    pub once: bool,
    /// Whether a first try that fails is repeated.
    pub keep_trying: bool,
}

/// Connects and stays connected until interrupted or refused; then takes everything back.
pub async fn run(wish: &Wish, settings: &Settings, reporter: &Reporter) -> Result<(), Failure> {
    // Before the server learns of us: what cannot work here should not be tried there.
    capability::probe().require_tap()?;
    let mut connection = Connection::open(settings, reporter)?;
    let mut interrupt = Interrupt::new()?;
    let mut backoff = Backoff::new(rand::random());
    let Some(first) = begin(wish, settings, reporter, &mut backoff, &mut interrupt).await? else {
        return Ok(());
    };
    let done = connection.live(wish, first, &mut backoff, &mut interrupt).await;
    connection.close().await;
    done
}

/// The signals that end the program.
struct Interrupt {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    fn new() -> Result<Self, Failure> {
        let watch =
            |kind| signal(kind).map_err(|e| Failure::Local(format!("signals cannot be watched: {e}")));
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hangup: watch(SignalKind::hangup())?,
        })
    }

    async fn came(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The first session; `None` when the user gave up before.
async fn begin(
    wish: &Wish,
    settings: &Settings,
    reporter: &Reporter,
    backoff: &mut Backoff,
    interrupt: &mut Interrupt,
) -> Result<Option<Established>, Failure> {
    loop {
        let tried = tokio::select! {
            tried = attempt(wish, None, reporter) => tried,
            () = interrupt.came() => return Ok(None),
        };
        let error = match tried {
            Ok(established) => return Ok(Some(established)),
            Err(error) => error,
        };
        let verdict = if settings.keep_trying {
            error.verdict()
        } else {
            Verdict::Never
        };
        if !pause(error, verdict, backoff, reporter, interrupt).await? {
            return Ok(None);
        }
    }
}

/// Waits before the next try, if there is to be one; `false` when the user gave up meanwhile.
async fn pause(
    error: AttemptError,
    verdict: Verdict,
    backoff: &mut Backoff,
    reporter: &Reporter,
    interrupt: &mut Interrupt,
) -> Result<bool, Failure> {
    let Some(after) = backoff.next(verdict) else {
        return Err(Failure::Refused(hint(&error)));
    };
    reporter.show(&Event::Retrying {
        reason: error.to_string(),
        after,
    });
    tokio::select! {
        () = sleep(after) => Ok(true),
        () = interrupt.came() => Ok(false),
    }
}

/// The error in one line; for a certificate that is not trusted it says how it could be.
fn hint(error: &AttemptError) -> String {
    match error {
        AttemptError::Dial(DialError::Untrusted {
            target,
            reason,
            fingerprint,
        }) => format!(
            "the certificate of {target} is not trusted: {reason}. If its SHA-256 is what the server's administrator \
             says, connect with --pin {fingerprint}"
        ),
        _ => error.to_string(),
    }
}

/// How a session ended.
enum End {
    Interrupted,
    Lost(String),
}

/// Everything that outlives a session.
struct Connection<'a> {
    settings: &'a Settings,
    reporter: &'a Reporter,
    tap: Arc<Tap>,
    network: Network,
    dhcp: dhcp::Client,
    answers: mpsc::Receiver<Bytes>,
    answers_in: mpsc::Sender<Bytes>,
    /// Bytes of sessions that are over.
    received: u64,
    sent: u64,
    began: Instant,
    session: Option<Session>,
}

impl<'a> Connection<'a> {
    fn open(settings: &'a Settings, reporter: &'a Reporter) -> Result<Self, Failure> {
        let options = TapOptions {
            mac: settings.mac,
            offload: settings.offload,
            ..TapOptions::new(&settings.tap)
        };
        let tap = Arc::new(Tap::create(&options)?);
        let network = Network::new(Links::new()?, tap.name(), tap.index());
        let dhcp = dhcp::Client::new(tap.mac(), login::host_name(), rand::random());
        let (answers_in, answers) = mpsc::channel(DHCP_BACKLOG);
        Ok(Self {
            settings,
            reporter,
            tap,
            network,
            dhcp,
            answers,
            answers_in,
            received: 0,
            sent: 0,
            began: Instant::now(),
            session: None,
        })
    }

    /// Session after session, until the user or a server says no.
    async fn live(
        &mut self,
        wish: &Wish,
        first: Established,
        backoff: &mut Backoff,
        interrupt: &mut Interrupt,
    ) -> Result<(), Failure> {
        self.began = Instant::now();
        self.network.up().await?;
        let mut next = Some(first);
        while let Some(established) = next {
            let mut place = established.place.clone();
            let by_udp = established.udp.is_some();
            let began = Instant::now();
            let reason = match self.serve(established, interrupt).await? {
                End::Interrupted => return Ok(()),
                End::Lost(reason) => reason,
            };
            if self.settings.once {
                return Err(Failure::Refused(format!("the session is over: {reason}")));
            }
            self.reporter.show(&Event::Ended(reason));
            if began.elapsed() >= STABLE {
                backoff.reset();
            }
            // A stock server that cannot send datagrams to us ends the session, and would end the next one as well (protocol §8.5).
            place.udp = !by_udp || began.elapsed() >= STABLE;
            next = self.again(wish, &place, backoff, interrupt).await?;
        }
        Ok(())
    }

    /// Another session after one was lost; `None` when the user gave up.
    async fn again(
        &mut self,
        wish: &Wish,
        place: &Place,
        backoff: &mut Backoff,
        interrupt: &mut Interrupt,
    ) -> Result<Option<Established>, Failure> {
        loop {
            self.network.find_server_again(place.peer.ip()).await?;
            let tried = tokio::select! {
                tried = attempt(wish, Some(place), self.reporter) => tried,
                () = interrupt.came() => return Ok(None),
            };
            let error = match tried {
                Ok(established) => return Ok(Some(established)),
                Err(error) => error,
            };
            self.network.suspend_dns().await;
            let verdict = error.verdict();
            if !pause(error, verdict, backoff, self.reporter, interrupt).await? {
                return Ok(None);
            }
        }
    }

    /// Lives through one session.
    async fn serve(&mut self, established: Established, interrupt: &mut Interrupt) -> Result<End, Failure> {
        self.greet(&established);
        let answers = self.settings.dhcp.then(|| self.answers_in.clone());
        let inbound = pump::inbound(self.tap.clone(), answers);
        let session = Session::start(established, self.settings.connections, inbound);
        let server = session.place.peer.ip();
        let limit = Duration::from_secs(session.welcome.policy.auto_disconnect.into());
        let mut pump = Pump::start(self.tap.clone(), &session);
        let session = self.session.insert(session);
        // Half-duplex, the server can answer only when there is a connection towards us (protocol §6.1).
        let needed = if session.tunnel.terms().half_duplex { 2 } else { 1 };
        let mut state = session.tunnel.watch();
        let mut asking = !self.settings.dhcp;
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        let end = loop {
            send_dhcp(&mut self.dhcp, session);
            while let Some(event) = self.dhcp.poll_event() {
                leased(
                    &mut self.network,
                    self.settings,
                    self.reporter,
                    self.tap.name(),
                    event,
                    server,
                )
                .await?;
            }
            let timer = self.dhcp.poll_timeout().filter(|_| self.settings.dhcp);
            tokio::select! {
                () = interrupt.came() => break End::Interrupted,
                news = session.news() => match news {
                    News::Interrupted => {
                        self.reporter.show(&Event::Interrupted);
                        self.network.find_server_again(server).await?;
                    }
                    News::Resumed => self.reporter.show(&Event::Resumed),
                    News::Over(reason) => break End::Lost(reason),
                },
                Some(frame) = self.answers.recv() => {
                    if !self.dhcp.handle_input(Instant::now(), &frame) {
                        let _ = self.tap.try_send(&VnetHeader::NONE, &frame);
                    }
                }
                _ = state.wait_for(|state| state.connections >= needed), if !asking => {
                    asking = true;
                    if self.dhcp.lease().is_none() {
                        self.reporter.show(&Event::AskingForAddress);
                    }
                    self.dhcp.start(Instant::now());
                }
                () = until(timer) => self.dhcp.handle_timeout(Instant::now()),
                () = until(deadline) => return Err(Failure::Refused(format!(
                    "the server allows this user no more than {} seconds at a time", limit.as_secs()
                ))),
                error = &mut pump.0 => {
                    let reason = error.map_or_else(|e| e.to_string(), |e| e.to_string());
                    let device = self.tap.name();
                    return Err(Failure::Local(format!("the device {device} failed: {reason}; was it deleted?")));
                }
            }
        };
        if let End::Lost(_) = &end {
            self.end_session().await;
            self.dhcp.stop();
        }
        Ok(end)
    }

    fn greet(&self, established: &Established) {
        self.reporter.show(&Event::Connected {
            session: clean(&established.welcome.session_name),
            server: clean(&established.product),
            took: established.took,
        });
        let message = clean(&established.welcome.message);
        if !message.is_empty() {
            self.reporter.show(&Event::Message(message));
        }
    }

    async fn end_session(&mut self) {
        use std::sync::atomic::Ordering::Relaxed;
        if let Some(session) = self.session.take() {
            let traffic = session.tunnel.traffic();
            self.received += traffic.bytes_in.load(Relaxed);
            self.sent += traffic.bytes_out.load(Relaxed);
            session.close().await;
        }
    }

    /// Gives the address back and takes back every setting; the device vanishes with `self`.
    async fn close(mut self) {
        self.dhcp.release();
        if let Some(session) = &self.session
            && send_dhcp(&mut self.dhcp, session)
        {
            // There is nothing to wait for: nobody answers a release.
            sleep(LAST_WORDS).await;
        }
        self.network.clear().await;
        self.end_session().await;
        self.reporter.show(&Event::Closed {
            received: self.received,
            sent: self.sent,
            lasted: self.began.elapsed(),
        });
    }
}

/// Sends what the DHCP client has to say; whether there was anything.
fn send_dhcp(dhcp: &mut dhcp::Client, session: &Session) -> bool {
    let frames: Vec<_> = std::iter::from_fn(|| dhcp.poll_output())
        .map(Frame::new)
        .collect();
    let any = !frames.is_empty();
    session.tunnel.send(&mut frames.into_iter());
    any
}

/// Applies what happened to the address.
async fn leased(
    network: &mut Network,
    settings: &Settings,
    reporter: &Reporter,
    device: &str,
    event: dhcp::Event,
    server: IpAddr,
) -> Result<(), Failure> {
    match event {
        dhcp::Event::Leased(lease) => {
            network.clear().await;
            let plan = plan(&lease, settings.routes, settings.dns, server);
            let notes = network.apply(&plan, server).await?;
            reporter.show(&address_event(device, &lease, &plan));
            for note in notes {
                reporter.show(&Event::Note(note));
            }
        }
        // What it says is as before; only what was let go of meanwhile has to be taken up again.
        dhcp::Event::Renewed => network.resume_dns().await,
        dhcp::Event::Lost(loss) => {
            network.clear().await;
            reporter.show(&Event::AddressLost(match loss {
                Loss::Expired => "nobody prolonged it".to_owned(),
                Loss::Refused(reason) if reason.is_empty() => "the DHCP server took it back".to_owned(),
                Loss::Refused(reason) => format!("the DHCP server took it back: {}", clean(&reason)),
            }));
        }
        dhcp::Event::NoAnswer => reporter.show(&Event::Note(
            "no DHCP server answers on this hub yet; with addresses set by hand use --no-dhcp".to_owned(),
        )),
    }
    Ok(())
}

fn address_event(device: &str, lease: &Lease, plan: &crate::network::Plan) -> Event {
    let route = |route: &crate::network::PlannedRoute| match route.router {
        Some(router) => format!("{}/{} via {router}", route.network, route.prefix),
        None => format!("{}/{}", route.network, route.prefix),
    };
    Event::Address {
        device: device.to_owned(),
        address: lease.address.into(),
        prefix: lease.prefix,
        server: lease.server.into(),
        term: lease.term,
        routes: plan.routes.iter().map(route).collect(),
        dns: plan
            .dns
            .iter()
            .flat_map(|dns| &dns.servers)
            .map(|ip| IpAddr::V4(*ip))
            .collect(),
    }
}

/// The task that carries the host's frames; it ends with its session.
struct Pump(JoinHandle<std::io::Error>);

impl Pump {
    fn start(tap: Arc<Tap>, session: &Session) -> Self {
        Self(tokio::spawn(pump::outbound(tap, session.tunnel.clone())))
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
