//! The whole of one connection: session, address; again after every loss; and at the end everything taken back.

use std::net::IpAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::frame::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use transport::tunnel::State;

use crate::attachment::Attachment;
use crate::attempt::{AttemptError, Established, Place, Wish, attempt};
use crate::dhcp::{self, Loss};
use crate::failure::Failure;
use crate::login;
use crate::moment::until;
use crate::reason::Reason;
use crate::report::{Event, Reporter, clean, clean_line};
use crate::retry::{Backoff, Patience, Verdict};
use crate::session::{Growth, News, Order, Session};
use crate::stop::Stop;
use crate::vigil::{Phase, Step, Stir, Vigil};

/// DHCP answers that may wait for the client.
const DHCP_BACKLOG: usize = 16;
/// A session that lasted this long was a good one: after it the pauses between tries begin anew.
const STABLE: Duration = Duration::from_secs(60);
/// How long the last frame (the address given back) may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long to try, and by how much.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How many TCP connections there may be, and how they are made.
    pub growth: Growth,
    /// Whether the first loss is the end.
    pub once: bool,
    /// Whether a first try that fails is repeated.
    pub keep_trying: bool,
    /// How often, and how slowly at most.
    pub patience: Patience,
}

/// Connects `attachment` and stays connected until stopped or refused; then takes everything back.
pub async fn run(
    wish: &Wish,
    settings: &Settings,
    attachment: impl Attachment,
    reporter: &Reporter,
    stop: &mut Stop,
) -> Result<(), Failure> {
    let mut connection = Connection::new(settings, attachment, reporter);
    let Some(first) = connection.begin(wish, stop).await? else {
        return Ok(());
    };
    let done = connection.live(wish, first, stop).await;
    connection.close().await;
    done
}

/// How a session ended.
enum End {
    Stopped,
    Lost(String),
}

/// Everything that outlives a session.
struct Connection<'a, A> {
    settings: &'a Settings,
    reporter: &'a Reporter,
    attachment: A,
    dhcp: dhcp::Client,
    answers: mpsc::Receiver<Bytes>,
    answers_in: mpsc::Sender<Bytes>,
    /// Bytes of sessions that are over.
    received: u64,
    sent: u64,
    began: Instant,
    session: Option<Session>,
    /// Where the server was last found.
    server: Option<IpAddr>,
    vigil: Vigil,
    backoff: Backoff,
}

impl<'a, A: Attachment> Connection<'a, A> {
    fn new(settings: &'a Settings, attachment: A, reporter: &'a Reporter) -> Self {
        let dhcp = dhcp::Client::new(attachment.mac(), login::host_name(), rand::random());
        let (answers_in, answers) = mpsc::channel(DHCP_BACKLOG);
        let vigil = Vigil::new(attachment.device());
        Self {
            settings,
            reporter,
            attachment,
            dhcp,
            answers,
            answers_in,
            received: 0,
            sent: 0,
            began: Instant::now(),
            session: None,
            server: None,
            vigil,
            backoff: Backoff::new(rand::random(), settings.patience),
        }
    }

    /// The first session; `None` when the user gave up before.
    async fn begin(&mut self, wish: &Wish, stop: &mut Stop) -> Result<Option<Established>, Failure> {
        loop {
            let tried = tokio::select! {
                tried = attempt(wish, None, self.reporter) => tried,
                () = stop.came() => return Ok(None),
            };
            let error = match tried {
                Ok(established) => return Ok(Some(established)),
                Err(error) => error,
            };
            let verdict = if self.settings.keep_trying {
                error.verdict()
            } else {
                Verdict::Never
            };
            if !self.pause_after(error, verdict, stop).await? {
                return Ok(None);
            }
        }
    }

    /// Waits before the next try after one that failed, if there is to be one; `false` when the user gave up meanwhile.
    async fn pause_after(
        &mut self,
        error: AttemptError,
        verdict: Verdict,
        stop: &mut Stop,
    ) -> Result<bool, Failure> {
        let Some(after) = self.backoff.next(verdict) else {
            return Err(error.into());
        };
        self.reporter.show(&Event::Retrying {
            reason: error.reason(),
            message: error.to_string(),
            after,
        });
        self.pause(after, verdict, stop).await
    }

    /// Waits, but no longer than until the network has changed.
    async fn pause(&mut self, after: Duration, verdict: Verdict, stop: &mut Stop) -> Result<bool, Failure> {
        let end = Instant::now() + after;
        loop {
            tokio::select! {
                () = until(Some(end)) => return Ok(true),
                () = stop.came() => return Ok(false),
                // Who was refused is so by way of any network.
                stir = self.vigil.stirs(), if verdict == Verdict::Soon => {
                    let (vigil, attachment) = (&mut self.vigil, &mut self.attachment);
                    if weigh(vigil, attachment, self.server, stir, Phase::Apart).await == Step::Reconnect {
                        self.backoff.shorten();
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Session after session, until the user or a server says no.
    async fn live(&mut self, wish: &Wish, first: Established, stop: &mut Stop) -> Result<(), Failure> {
        self.began = Instant::now();
        self.attachment.begin().await?;
        let mut next = Some(first);
        let mut short = 0_u32;
        while let Some(established) = next {
            if wish.options.bridge && established.welcome.policy.no_routing {
                self.reporter.show(&Event::Note(
                    "the user's policy lets a few addresses through only (NoRouting); hosts behind this one may not be heard".to_owned(),
                ));
            }
            let mut place = established.place.clone();
            let by_udp = established.udp.is_some();
            let began = Instant::now();
            let reason = match self.serve(wish, established, stop).await? {
                End::Stopped => return Ok(()),
                End::Lost(reason) => reason,
            };
            let held = began.elapsed() >= STABLE;
            let over = || Failure::Unmet {
                reason: Reason::SessionOver,
                text: format!("the session is over: {reason}"),
            };
            if self.settings.once {
                return Err(over());
            }
            self.reporter.show(&Event::Ended(reason.clone()));
            if held {
                self.backoff.reset();
                short = 0;
            } else {
                short += 1;
            }
            // A server that ends every session at once is not asked without a pause; that one ended soon says nothing yet.
            if short > 1 {
                let Some(after) = self.backoff.next(Verdict::Soon) else {
                    return Err(over());
                };
                self.reporter.show(&Event::Retrying {
                    reason: Reason::SessionOver,
                    message: reason,
                    after,
                });
                if !self.pause(after, Verdict::Soon, stop).await? {
                    return Ok(());
                }
            }
            // A stock server that cannot send datagrams to us ends the session, and would end the next one as well (protocol §8.5).
            place.udp = !by_udp || held;
            next = self.again(wish, &place, stop).await?;
        }
        Ok(())
    }

    /// Another session after one was lost; `None` when the user gave up.
    async fn again(
        &mut self,
        wish: &Wish,
        place: &Place,
        stop: &mut Stop,
    ) -> Result<Option<Established>, Failure> {
        let server = place.peer.ip();
        loop {
            find_server(&mut self.attachment, server).await;
            let mut trying = pin!(attempt(wish, Some(place), self.reporter));
            let tried = loop {
                tokio::select! {
                    tried = &mut trying => break Some(tried),
                    () = stop.came() => return Ok(None),
                    // What was asked by way of the network that is gone is not answered any more.
                    stir = self.vigil.stirs() => {
                        let (vigil, attachment) = (&mut self.vigil, &mut self.attachment);
                        if weigh(vigil, attachment, Some(server), stir, Phase::Apart).await == Step::Reconnect {
                            break None;
                        }
                    }
                }
            };
            let error = match tried {
                None => {
                    self.backoff.shorten();
                    continue;
                }
                Some(Ok(established)) => return Ok(Some(established)),
                Some(Err(error)) => error,
            };
            self.attachment.suspend_names().await;
            let verdict = error.verdict();
            if !self.pause_after(error, verdict, stop).await? {
                return Ok(None);
            }
        }
    }

    /// Lives through one session.
    async fn serve(
        &mut self,
        wish: &Wish,
        established: Established,
        stop: &mut Stop,
    ) -> Result<End, Failure> {
        // Before the session is told of: whoever keeps the password elsewhere forgets it when hearing of that.
        if established.welcome.policy.no_save_password && wish.identity.forget_password() {
            self.reporter.show(&Event::PasswordForgotten);
        }
        self.greet(&established);
        let (product, facts) = (established.product.clone(), established.server.clone());
        let wants_address = self.attachment.wants_address();
        let inbound = self
            .attachment
            .inbound(wants_address.then(|| self.answers_in.clone()));
        let (server, own) = (established.place.peer.ip(), established.local);
        let grace = Duration::from_millis(established.welcome.timeout_ms.into());
        self.server = Some(server);
        self.vigil.follow(server, own, grace);
        self.attachment.found(established.place.peer);
        let session = Session::start(established, self.settings.growth, inbound);
        self.reporter.board().follow(&session, &product, &facts);
        let mut phase = Phase::Connected;
        let limit = Duration::from_secs(session.welcome.policy.auto_disconnect.into());
        let mut pump = Pump::start(&self.attachment, &session);
        let session = self.session.insert(session);
        // Half-duplex, the server can answer only when there is a connection towards us (protocol §6.1).
        let needed = if session.tunnel.terms().half_duplex { 2 } else { 1 };
        let mut state = session.tunnel.watch();
        let mut asking = !wants_address;
        let deadline = (!limit.is_zero()).then(|| Instant::now() + limit);
        let end = loop {
            send_dhcp(&mut self.dhcp, session);
            while let Some(event) = self.dhcp.poll_event() {
                leased(&mut self.attachment, self.reporter, event, server).await?;
            }
            let timer = self.dhcp.poll_timeout().filter(|_| wants_address);
            tokio::select! {
                () = stop.came() => break End::Stopped,
                news = session.news() => match news {
                    News::Interrupted => {
                        phase = Phase::Interrupted;
                        self.reporter.show(&Event::Interrupted);
                        find_server(&mut self.attachment, server).await;
                    }
                    News::Resumed => {
                        phase = Phase::Connected;
                        self.reporter.show(&Event::Resumed);
                    }
                    News::Joined(own) => self.vigil.joined(own),
                    News::Over(reason) => break End::Lost(reason),
                },
                stir = self.vigil.stirs() => {
                    let (vigil, attachment) = (&mut self.vigil, &mut self.attachment);
                    match weigh(vigil, attachment, Some(server), stir, phase).await {
                        Step::Wait => {}
                        Step::Probe => session.order(Order::Probe),
                        Step::Abandon => session.order(Order::Abandon),
                        Step::Resume => session.order(Order::Resume),
                        Step::Reconnect => break End::Lost("this machine was asleep for too long".to_owned()),
                    }
                }
                Some(frame) = self.answers.recv() => {
                    if !self.dhcp.handle_input(Instant::now(), &frame) {
                        self.attachment.return_answer(&frame);
                    }
                }
                () = has_connections(&mut state, needed), if !asking => {
                    asking = true;
                    if self.dhcp.lease().is_none() {
                        self.reporter.show(&Event::AskingForAddress);
                    }
                    self.dhcp.start(Instant::now());
                }
                () = until(timer) => self.dhcp.handle_timeout(Instant::now()),
                () = until(deadline) => return Err(Failure::Unmet {
                    reason: Reason::TimeIsUp,
                    text: format!("the server allows this user no more than {} seconds at a time", limit.as_secs()),
                }),
                error = &mut pump.0 => {
                    let error = error.unwrap_or_else(std::io::Error::other);
                    return Err(self.attachment.failed(&error));
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
            session: clean_line(&established.welcome.session_name),
            server: clean_line(&established.product),
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
            self.reporter.board().let_go();
            session.close().await;
        }
    }

    /// Gives the address back and takes back every setting; a device vanishes with `self`.
    async fn close(mut self) {
        self.dhcp.release();
        if let Some(session) = &self.session
            && send_dhcp(&mut self.dhcp, session)
        {
            // There is nothing to wait for: nobody answers a release.
            sleep(LAST_WORDS).await;
        }
        self.attachment.clear().await;
        self.end_session().await;
        self.attachment.end().await;
        self.reporter.show(&Event::Closed {
            received: self.received,
            sent: self.sent,
            lasted: self.began.elapsed(),
        });
    }
}

/// What a stir means; the way to the server is seen to before.
async fn weigh(
    vigil: &mut Vigil,
    attachment: &mut impl Attachment,
    server: Option<IpAddr>,
    stir: Stir,
    phase: Phase,
) -> Step {
    if let (Stir::Network, Some(server)) = (stir, server) {
        find_server(attachment, server).await;
    }
    let step = vigil.weigh(stir, phase).await;
    if step != Step::Wait {
        tracing::info!(?stir, ?phase, ?step, "the network or the clock has changed");
    }
    step
}

/// Sees to it that the server is looked for outside of the tunnel. In the middle of a change that may fail; there is another
/// chance with the next news, and with the next try.
async fn find_server(attachment: &mut impl Attachment, server: IpAddr) {
    if let Err(error) = attachment.find_server(server).await {
        tracing::info!(%error, "the way to the server could not be set");
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
    attachment: &mut impl Attachment,
    reporter: &Reporter,
    event: dhcp::Event,
    server: IpAddr,
) -> Result<(), Failure> {
    match event {
        dhcp::Event::Leased(lease) => attachment.take(&lease, server, reporter).await?,
        dhcp::Event::Renewed => attachment.renewed().await,
        dhcp::Event::Lost(loss) => {
            attachment.clear().await;
            reporter.show(&Event::AddressLost(match loss {
                Loss::Expired => "nobody prolonged it".to_owned(),
                Loss::Refused(reason) if reason.is_empty() => "the DHCP server took it back".to_owned(),
                Loss::Refused(reason) => format!("the DHCP server took it back: {}", clean_line(&reason)),
            }));
        }
        dhcp::Event::Taken(address, station) => reporter.show(&Event::Note(format!(
            "the address {address} from the DHCP server is in use by {} already; asking for another one",
            netdev::mac::text(station)
        ))),
        dhcp::Event::NoAnswer => reporter.show(&Event::NoAddress(
            "no DHCP server answers on this hub yet; with addresses set by hand use --no-dhcp".to_owned(),
        )),
    }
    Ok(())
}

/// The task that carries this machine's frames; it ends with its session.
struct Pump(JoinHandle<std::io::Error>);

impl Pump {
    fn start(attachment: &impl Attachment, session: &Session) -> Self {
        Self(tokio::spawn(attachment.outbound(session.tunnel.clone())))
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until so many connections are there, or the tunnel is gone.
async fn has_connections(state: &mut tokio::sync::watch::Receiver<State>, needed: usize) {
    drop(state.wait_for(|state| state.connections >= needed).await);
}
