//! One try to get a session: dial, prove, log in, follow a cluster's redirects.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use protocol::acceleration::Version;
use protocol::error::ErrorCode;
use protocol::handshake::{Auth, Redirect, SessionOptions, UdpOffer, UdpUse, Welcome};
use protocol::pack::Pack;
use transport::acceleration::negotiate::{self, Agreed, Offered};
use transport::cipher::Cipher;
use transport::dial::{DialError, Dialed, Stage, Target, Way};
use transport::known::KnownServers;
use transport::proxy::ProxyError;
use transport::tls::{Distrust, Fingerprint, TlsStream, Trust};

use crate::failure::Failure;
use crate::login::{self, Identity, Unprovable};
use crate::meeting::{Change, Meeting, MeetingError, Stranger};
use crate::reason::{self, Reason};
use crate::report::{Event, Reporter};
use crate::retry::{self, Verdict};
use crate::secret::Missing;

/// A cluster that sends its clients in circles is left after this many redirects.
const MAX_REDIRECTS: usize = 4;

/// What is wanted from which server.
#[derive(Debug)]
pub struct Wish {
    /// The server.
    pub target: Target,
    /// How this machine's connections leave it.
    pub way: Way,
    /// Whom to believe.
    pub trust: Trust,
    /// The servers that somebody said yes to; they count with [`Trust::System`].
    pub known: Option<KnownServers>,
    /// What to do about one that nobody vouches for, and that is not among them.
    pub stranger: Stranger,
    /// Who we are.
    pub identity: Identity,
    /// The session.
    pub options: SessionOptions,
    /// Whether and when frames may go by UDP.
    pub udp: Option<UdpUse>,
    /// A random number of this process; the server counts its logins once.
    pub unique_id: [u8; 16],
}

/// Where a session was found, for coming back to it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The server, which in a cluster is another than the one that was asked.
    pub target: Target,
    /// The address that this machine talks to: the server's, or that of the proxy in between.
    pub peer: SocketAddr,
    /// How it is reached.
    pub way: Way,
    /// Its certificate, which must be the same again.
    pub fingerprint: Fingerprint,
    /// Whether the next session should try UDP as well.
    pub udp: bool,
}

/// A session whose first connection has reached its data stage.
pub struct Established {
    /// The server's terms.
    pub welcome: Welcome,
    /// What the server calls itself.
    pub product: String,
    /// What else its other end is: for the status.
    pub server: ServerFacts,
    /// Where it is.
    pub place: Place,
    /// Our end of the connection.
    pub local: IpAddr,
    /// The connection.
    pub stream: TlsStream,
    /// Bytes of the data stage that came early.
    pub early: Vec<u8>,
    /// The way by UDP, if both ends want one.
    pub udp: Option<Agreed>,
    /// How long it took to get here.
    pub took: Duration,
}

/// What is known of the server of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// Hundreds are the major version.
    pub version: u32,
    /// Its build.
    pub build: u32,
    /// The cipher suite of the first connection, by the name of OpenSSL.
    pub cipher: String,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
}

/// Why a try failed.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The server was not reached, or is no VPN server.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server was not met: the same, and certificates that are not believed.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
    /// The server refused the login.
    #[error("{server} refused: {code}{}", reason::remedy(*.code))]
    Refused {
        /// The server.
        server: Target,
        /// Its reason.
        code: ErrorCode,
    },
    /// The proof the server wants cannot be given.
    #[error(transparent)]
    Unprovable(#[from] Unprovable),
    /// The password or the code is missing, and nobody can be asked.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The server would go on without encryption.
    #[error(
        "{0} wants to send the data in clear, which this client does not do; turn encryption on at the server"
    )]
    Clear(Target),
    /// The cluster sends its clients in circles.
    #[error("{0} sends from server to server without end")]
    Circles(Target),
}

impl AttemptError {
    /// Whether trying again can help.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Dial(error) | Self::Meeting(MeetingError::Dial(error)) => dial_verdict(error),
            // A clock may be set, and a certificate renewed, while nobody is here; nothing is given away by asking.
            Self::Meeting(MeetingError::Distrusted(shown))
                if matches!(shown.why, Distrust::Expired | Distrust::NotYetValid) =>
            {
                Verdict::Slowly
            }
            Self::Meeting(_) | Self::Unprovable(_) | Self::Missing(_) | Self::Clear(_) => Verdict::Never,
            Self::Refused { code, .. } => retry::verdict(*code),
            Self::Circles(_) => Verdict::Slowly,
        }
    }

    /// Why, in one word for programs.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Dial(error) | Self::Meeting(MeetingError::Dial(error)) => Reason::of_dial(error),
            Self::Meeting(MeetingError::Distrusted(shown)) => Reason::of_distrust(&shown.why),
            Self::Meeting(MeetingError::Changed(_)) => Reason::Changed,
            Self::Meeting(MeetingError::Declined(_)) => Reason::Untrusted,
            Self::Meeting(MeetingError::Known { .. } | MeetingError::Unasked(_)) => Reason::Local,
            Self::Refused { code, .. } => Reason::of_code(*code),
            Self::Unprovable(Unprovable::Forgotten) => Reason::Password,
            Self::Unprovable(_) => Reason::CannotProve,
            Self::Missing(Missing::Code(_)) => Reason::Code,
            Self::Missing(_) => Reason::Password,
            Self::Clear(_) => Reason::Clear,
            Self::Circles(_) => Reason::Redirected,
        }
    }

    /// Whether the server was not reached at all.
    fn is_unreached(&self) -> bool {
        matches!(self, Self::Dial(_))
    }
}

/// What a failed dial means for trying again.
fn dial_verdict(error: &DialError) -> Verdict {
    match error {
        DialError::Untrusted(_) | DialError::Certificate(_) => Verdict::Never,
        DialError::Proxy { source, .. } => match source {
            // A proxy locks accounts as well.
            ProxyError::LoginWanted(_) | ProxyError::LoginRefused(_) | ProxyError::Unspeakable(_) => {
                Verdict::Never
            }
            ProxyError::Forbidden { .. } | ProxyError::NotAProxy(_) => Verdict::Slowly,
            _ => Verdict::Soon,
        },
        _ => Verdict::Soon,
    }
}

impl From<AttemptError> for Failure {
    fn from(error: AttemptError) -> Self {
        let text = error.to_string();
        match error.reason() {
            Reason::Usage => Self::Usage(text),
            Reason::Local => Self::Local(text),
            reason => Self::Unmet { reason, text },
        }
    }
}

/// Tries to get a session. `before` is where the last one was: the same address and certificate are tried first,
/// because a name may not resolve while the name servers are behind the VPN.
pub async fn attempt(
    wish: &Wish,
    before: Option<&Place>,
    reporter: &Reporter,
) -> Result<Established, AttemptError> {
    let began = Instant::now();
    // Datagrams go by no proxy.
    let udp = wish
        .udp
        .filter(|_| wish.way.proxy.is_none() && before.is_none_or(|place| place.udp));
    // A cluster's member takes no logins without a ticket; there the controller is asked again.
    if let Some(place) = before.filter(|place| place.target == wish.target) {
        reporter.show(&Event::Connecting(place.peer.to_string()));
        let again = match place
            .way
            .dial_again(&place.target, place.peer, place.fingerprint)
            .await
        {
            Ok(dialed) => enter(wish, udp, dialed, began, reporter).await,
            Err(error) => Err(error.into()),
        };
        match again {
            Err(error) if error.is_unreached() => {}
            done => return done,
        }
    }
    let dialed = meet(wish, before, reporter).await?;
    enter(wish, udp, dialed, began, reporter).await
}

/// Reaches the server by its name and decides whether to believe it.
async fn meet(wish: &Wish, before: Option<&Place>, reporter: &Reporter) -> Result<Dialed, AttemptError> {
    let meeting = Meeting {
        target: &wish.target,
        way: &wish.way,
        trust: &wish.trust,
        known: wish.known.as_ref(),
        // A certificate that changes while one is connected is not a first meeting.
        stranger: before.map_or(wish.stranger, |_| Stranger::Refuse),
    };
    let watch = &mut |stage| reporter.show(&stage_event(wish, stage));
    Ok(match (meeting.meet(reporter, watch).await, before) {
        (Err(MeetingError::Distrusted(shown)), Some(place))
            if place.target == wish.target
                && shown.why != Distrust::NotThePin
                && place.fingerprint != shown.fingerprint() =>
        {
            let change = Change::since_the_session(&shown, place.fingerprint);
            Err(MeetingError::Changed(Box::new(change)))
        }
        (met, _) => met,
    }?)
}

/// Gets what a login still needs from whoever has it, and says hello anew: no server waits for somebody to type.
async fn complete(wish: &Wish, dialed: Dialed, reporter: &Reporter) -> Result<Dialed, AttemptError> {
    let Some(password) = wish.identity.incomplete() else {
        return Ok(dialed);
    };
    let (peer, fingerprint, verified) = (dialed.peer, dialed.fingerprint(), dialed.verified);
    dialed.close().await;
    reporter.finish();
    let password = password.clone();
    let asked = tokio::task::spawn_blocking(move || password.complete()).await;
    asked.map_err(|_| Missing::NotGiven("nobody was asked".to_owned()))??;
    let mut dialed = wish.way.dial_again(&wish.target, peer, fingerprint).await?;
    dialed.verified = verified;
    Ok(dialed)
}

fn stage_event(wish: &Wish, stage: Stage) -> Event {
    match stage {
        Stage::Resolving => Event::Resolving(first_host(wish).to_owned()),
        Stage::Connecting(address) => Event::Connecting(address.to_string()),
        Stage::Securing => Event::Securing,
        Stage::Greeting => Event::Greeting,
    }
}

/// Whose name has to be found first.
fn first_host(wish: &Wish) -> &str {
    let first = wish
        .way
        .proxy
        .as_ref()
        .map_or(&wish.target, |proxy| &proxy.server);
    &first.host
}

/// Logs in over a connection that has said hello.
async fn enter(
    wish: &Wish,
    udp: Option<UdpUse>,
    dialed: Dialed,
    began: Instant,
    reporter: &Reporter,
) -> Result<Established, AttemptError> {
    let mut dialed = complete(wish, dialed, reporter).await?;
    let mut target = wish.target.clone();
    let insecure = matches!(wish.trust, Trust::Insecure);
    let identity = &wish.identity;
    reporter.show(&Event::LoggingIn {
        user: identity.user.clone(),
        hub: identity.hub.clone(),
    });
    let mut auth = match identity.prove(&dialed.hello, dialed.verified || insecure) {
        Ok(auth) => auth,
        Err(error) => {
            dialed.close().await;
            return Err(error.into());
        }
    };
    for _ in 0..=MAX_REDIRECTS {
        // A session does without UDP where no socket is to be had.
        let local = dialed.local.ip();
        let offered = udp.and_then(|when| negotiate::offer(local, Version::V2, when).ok());
        let offer = offered.as_ref().map(|offered| offered.offer.clone());
        let answer = ask(wish, &mut dialed, &target, auth, offer).await?;
        if !Redirect::is(&answer) {
            return finish(wish, dialed, target, &answer, offered, began).await;
        }
        let redirect = read(&target, Redirect::from_pack(&answer))?;
        // The controller waits for a last message before it forgets us (protocol §5.4); what it says does not matter.
        let _ = dialed.request(&Pack::new()).await;
        dialed.close().await;
        let port = redirect.port(target.port);
        target = Target {
            host: redirect.ip.to_string(),
            port,
        };
        let fingerprint = Fingerprint::of(&redirect.cert.clone().into());
        dialed = wish
            .way
            .dial(&target, &Trust::Pin(fingerprint), &mut |_| {})
            .await?;
        auth = Auth::Ticket(redirect.ticket);
    }
    dialed.close().await;
    Err(AttemptError::Circles(wish.target.clone()))
}

async fn ask(
    wish: &Wish,
    dialed: &mut Dialed,
    target: &Target,
    auth: Auth,
    udp: Option<UdpOffer>,
) -> Result<Pack, AttemptError> {
    let mut node = login::node(&dialed.hello, &target.host, wish.unique_id);
    (node.client_ip, node.client_port) = (dialed.local.ip(), dialed.local.port());
    let (ip, port) = (dialed.peer.ip(), dialed.peer.port());
    match &wish.way.proxy {
        Some(proxy) => {
            node.proxy_host = proxy.server.host.clone();
            (node.proxy_ip, node.proxy_port) = (ip, port);
            node.server_port = target.port;
        }
        None => (node.server_ip, node.server_port) = (ip, port),
    }
    let options = SessionOptions {
        udp,
        ..wish.options.clone()
    };
    let login = wish.identity.login(auth, options, node);
    Ok(dialed.request(&login.to_pack()).await?)
}

async fn finish(
    wish: &Wish,
    dialed: Dialed,
    target: Target,
    answer: &Pack,
    offered: Option<Offered>,
    began: Instant,
) -> Result<Established, AttemptError> {
    let welcome = match read(&target, Welcome::from_pack(answer)) {
        Ok(welcome) if welcome.use_encrypt => welcome,
        refused => {
            dialed.close().await;
            return Err(refused.err().unwrap_or(AttemptError::Clear(target)));
        }
    };
    let place = Place {
        target,
        peer: dialed.peer,
        way: wish.way.clone(),
        fingerprint: dialed.fingerprint(),
        udp: true,
    };
    let product = dialed.hello.product.clone();
    let local = dialed.local.ip();
    let server = ServerFacts {
        version: dialed.hello.version,
        build: dialed.hello.build,
        cipher: dialed.cipher().map(Cipher::name).unwrap_or_default().to_owned(),
        certificate: dialed.certificate.to_vec(),
    };
    let udp = offered
        .zip(welcome.udp.as_ref())
        .and_then(|(offered, grant)| offered.granted(grant, place.peer.ip(), welcome.use_compress));
    let (stream, early) = dialed.into_stream();
    Ok(Established {
        welcome,
        product,
        server,
        place,
        local,
        stream,
        early,
        udp,
        took: began.elapsed(),
    })
}

fn read<T>(server: &Target, message: Result<T, ErrorCode>) -> Result<T, AttemptError> {
    message.map_err(|code| AttemptError::Refused {
        server: server.clone(),
        code,
    })
}
