//! Users whom a RADIUS server knows: the password that a client sends is asked about there.

mod packet;

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use super::Refused;
use super::authenticate::Attempt;
use crate::secret::{Identity, Vault};
use crate::store::{HubOption, Radius};
use packet::{Answer, MAX_PACKET, MAX_PASSWORD, Question, Request};

/// How long one login may wait for all servers together: less than clients wait for us.
const PATIENCE: Duration = Duration::from_secs(10);
/// The shortest time between two packets, whatever the hub's settings say; the stock server waits no less.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// Addresses of one hub's servers at most.
const MOST_SERVERS: usize = 16;
/// What we call ourselves, unless the hub's option `UseHubNameAsRadiusNasId` says otherwise.
const NAS_IDENTIFIER: &str = "Hubward VPN Server";

/// Asks the hub's servers whether this password is right for `user`, as they know the user.
pub(super) async fn ask(
    vault: &Vault,
    attempt: &Attempt<'_>,
    user: &str,
    password: &str,
) -> Result<(), Refused> {
    let hub = attempt.hub;
    let Some(radius) = &hub.radius else {
        return Err(Refused::failed(format!(
            "user {user} is known to a RADIUS server, and hub {} has none (see RadiusServerSet)",
            hub.name
        )));
    };
    if password.len() > MAX_PASSWORD {
        return Err(Refused::failed(format!(
            "the password of user {user} is longer than RADIUS can carry"
        )));
    }
    let secret = match &radius.secret {
        Some(sealed) => vault.open_sealed(&Identity::RadiusSecret(hub.id), sealed)?,
        None => Zeroizing::new(Vec::new()),
    };
    let client = attempt.peer.to_string();
    let question = Question {
        user,
        password,
        nas: match hub.options.is_on(HubOption::UseHubNameAsRadiusNasId) {
            true => hub.name.as_str(),
            false => NAS_IDENTIFIER,
        },
        hub: hub.name.as_str(),
        client: &client,
    };
    match exchange(radius, &question, &secret).await {
        Ok(Answer::Accept) => Ok(()),
        Ok(Answer::Reject) => Err(Refused::failed(format!(
            "the RADIUS server of hub {} refuses user {user}",
            hub.name
        ))),
        Ok(Answer::Challenge) => Err(Refused::failed(format!(
            "the RADIUS server of hub {} wants to ask user {user} more than a password, which clients cannot answer",
            hub.name
        ))),
        Err(reason) => Err(Refused::failed(format!(
            "the RADIUS servers of hub {} could not be asked about user {user}: {reason}",
            hub.name
        ))),
    }
}

/// Sends the question to one server after the other, until one answers or the time is over. Each has its own packet,
/// which is sent again unchanged (RFC 2865, 2.5); an answer counts from whichever server it comes.
async fn exchange(radius: &Radius, question: &Question<'_>, secret: &[u8]) -> Result<Answer, String> {
    let deadline = Instant::now() + PATIENCE;
    let interval = Duration::from_millis(radius.retry_interval.into()).max(LEAST_INTERVAL);
    let mut servers = Vec::new();
    for address in resolve(radius, deadline).await? {
        servers.push(Server::new(address, question, secret).await?);
    }
    let mut trouble = "no server answers".to_owned();
    for round in 0.. {
        let asked = round % servers.len();
        if let Err(error) = servers[asked].send().await {
            trouble = format!("{}: {error}", servers[asked].address);
        }
        let until = deadline.min(Instant::now() + interval);
        match timeout_at(until, first_answer(&servers, secret, &mut trouble)).await {
            Ok(answer) => return Ok(answer),
            Err(_) if until >= deadline => break,
            Err(_) => {}
        }
    }
    Err(trouble)
}

/// Where the servers are; a name may have several addresses.
async fn resolve(radius: &Radius, deadline: Instant) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    let mut trouble = "the hub's settings name none".to_owned();
    for name in radius.names() {
        let name = name.trim_matches(['[', ']']);
        match timeout_at(deadline, lookup_host((name, radius.port))).await {
            Ok(Ok(found)) => addresses.extend(found),
            Ok(Err(error)) => trouble = format!("{name}: {error}"),
            Err(_) => trouble = format!("{name}: the name server does not answer"),
        }
    }
    addresses.truncate(MOST_SERVERS);
    if addresses.is_empty() {
        return Err(trouble);
    }
    Ok(addresses)
}

/// One server, and the packet that it gets.
struct Server {
    address: SocketAddr,
    socket: UdpSocket,
    request: Request,
}

impl Server {
    /// Connected, so that the kernel drops what comes from anybody else. Each question has a port of its own.
    async fn new(address: SocketAddr, question: &Question<'_>, secret: &[u8]) -> Result<Self, String> {
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))
            .await
            .map_err(|error| error.to_string())?;
        socket
            .connect(address)
            .await
            .map_err(|error| format!("{address}: {error}"))?;
        Ok(Self {
            address,
            socket,
            request: Request::new(question, secret, rand::random(), rand::random()),
        })
    }

    async fn send(&self) -> std::io::Result<()> {
        self.socket.send(&self.request.bytes).await.map(drop)
    }
}

/// Waits until one of the servers has answered; what is no answer is told of in `trouble`.
async fn first_answer(servers: &[Server], secret: &[u8], trouble: &mut String) -> Answer {
    let mut packet = vec![0; MAX_PACKET];
    loop {
        let (server, received) = poll_fn(|context| {
            for server in servers {
                let mut buffer = ReadBuf::new(&mut packet);
                if let Poll::Ready(outcome) = server.socket.poll_recv(context, &mut buffer) {
                    return Poll::Ready((server, outcome.map(|()| buffer.filled().len())));
                }
            }
            Poll::Pending
        })
        .await;
        match received {
            Ok(length) => match server.request.answer(&packet[..length], secret) {
                Ok(answer) => return answer,
                Err(error) => *trouble = format!("what {} says is not taken: {error}", server.address),
            },
            Err(error) => {
                *trouble = format!("{}: {error}", server.address);
                // A port that is closed says so again and again.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
