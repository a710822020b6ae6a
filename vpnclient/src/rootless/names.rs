//! Names are found by the name servers of the hub, so that they mean what they mean there.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nat::station::Station;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::question::{self, Family, Reply};

const DNS_PORT: u16 = 53;
/// How long a server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds through all servers.
const ROUNDS: usize = 2;
/// Names remembered at one time, and for how long at most.
const REMEMBERED: usize = 256;
const LONGEST: Duration = Duration::from_secs(300);

/// The name servers of a hub.
pub(super) struct Names {
    station: Station,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    servers: Vec<Ipv4Addr>,
    search: Vec<String>,
    known: HashMap<String, (Vec<Ipv4Addr>, Instant)>,
}

impl Names {
    pub(super) fn new(station: Station) -> Self {
        Self {
            station,
            state: Mutex::default(),
        }
    }

    /// Takes other servers and domains; what the former ones said is forgotten.
    pub(super) fn set(&self, servers: Vec<Ipv4Addr>, search: Vec<String>) {
        *self.state() = State {
            servers,
            search,
            known: HashMap::new(),
        };
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of `host`, a name or an address.
    pub(super) async fn find(&self, host: &str) -> io::Result<Vec<Ipv4Addr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        if host.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(io::Error::new(
                ErrorKind::Unsupported,
                "the VPN carries IPv4 only without a device",
            ));
        }
        let (servers, search) = {
            let state = self.state();
            (state.servers.clone(), state.search.clone())
        };
        if servers.is_empty() {
            let why = format!("{host} cannot be looked up: the hub names no name server; give an address");
            return Err(io::Error::new(ErrorKind::NotFound, why));
        }
        for candidate in candidates(host, &search) {
            let found = self.find_one(&candidate, &servers).await.map_err(|error| {
                let why = format!("{host} cannot be looked up: {error}");
                io::Error::new(ErrorKind::HostUnreachable, why)
            })?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        let why = format!("the hub's name servers know no {host}");
        Err(io::Error::new(ErrorKind::NotFound, why))
    }

    async fn find_one(&self, name: &str, servers: &[Ipv4Addr]) -> io::Result<Vec<Ipv4Addr>> {
        let key = name.to_ascii_lowercase();
        let known = self.state().known.get(&key).cloned();
        if let Some((addresses, until)) = known
            && until > Instant::now()
        {
            return Ok(addresses);
        }
        let mut failed = io::Error::from(ErrorKind::TimedOut);
        for server in servers.iter().cycle().take(servers.len() * ROUNDS) {
            match self.ask(name, *server).await {
                Ok(Reply::Addresses(addresses, ttl)) => {
                    let ipv4 = |ip| match ip {
                        IpAddr::V4(ip) => Some(ip),
                        IpAddr::V6(_) => None,
                    };
                    let addresses: Vec<_> = addresses.into_iter().filter_map(ipv4).collect();
                    self.remember(key, &addresses, ttl);
                    return Ok(addresses);
                }
                Ok(Reply::NoSuchName) => return Ok(Vec::new()),
                Ok(Reply::Failed(code)) => {
                    failed = io::Error::other(format!("the name server {server} fails with code {code}"));
                }
                Ok(Reply::Truncated) => failed = io::Error::other("a name server's answer is cut"),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn remember(&self, name: String, addresses: &[Ipv4Addr], ttl: Duration) {
        let now = Instant::now();
        let mut state = self.state();
        if state.known.len() >= REMEMBERED {
            state.known.retain(|_, (_, until)| *until > now);
        }
        if state.known.len() < REMEMBERED && !ttl.is_zero() {
            let until = now + ttl.min(LONGEST);
            state.known.insert(name, (addresses.to_vec(), until));
        }
    }

    async fn ask(&self, name: &str, server: Ipv4Addr) -> io::Result<Reply> {
        let asked = question::question(rand::random(), name, Family::V4)
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, format!("{name} is no name")))?;
        let server = SocketAddrV4::new(server, DNS_PORT);
        let answer = async {
            match self.by_datagram(&asked, server).await? {
                Reply::Truncated => self.by_stream(&asked, server).await,
                reply => Ok(reply),
            }
        };
        timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    }

    async fn by_datagram(&self, asked: &[u8], server: SocketAddrV4) -> io::Result<Reply> {
        let socket = self.station.bind()?;
        socket.send_to(asked, server)?;
        loop {
            let (answer, from) = socket.recv_from().await;
            if from == server
                && let Some(reply) = question::reply(asked, &answer)
            {
                return Ok(reply);
            }
        }
    }

    /// Over TCP, each message behind its length (RFC 7766 §8).
    async fn by_stream(&self, asked: &[u8], server: SocketAddrV4) -> io::Result<Reply> {
        let dialed = self.station.dial(server).await?;
        let (mut near, far) = UnixStream::pair()?;
        let exchange = async {
            let len = u16::try_from(asked.len()).map_err(io::Error::other)?;
            near.write_all(&[&len.to_be_bytes(), asked].concat()).await?;
            let len = near.read_u16().await?;
            let mut answer = vec![0; len.into()];
            near.read_exact(&mut answer).await?;
            question::reply(asked, &answer).ok_or_else(|| ErrorKind::InvalidData.into())
        };
        tokio::select! {
            reply = exchange => reply,
            _ = dialed.carry(far, &[]) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The names to look for: a name without a dot is one of the hub's domains first.
fn candidates(host: &str, search: &[String]) -> Vec<String> {
    let mut candidates = vec![host.to_owned()];
    if !host.ends_with('.') {
        let domains = search.iter().map(|domain| format!("{host}.{domain}"));
        if host.contains('.') {
            candidates.extend(domains);
        } else {
            candidates.splice(0..0, domains);
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_the_hubs_first() {
        let search = ["corp.example".to_owned(), "example".to_owned()];
        assert_eq!(
            candidates("web", &search),
            ["web.corp.example", "web.example", "web"]
        );
        assert_eq!(
            candidates("web.dev", &search),
            ["web.dev", "web.dev.corp.example", "web.dev.example"]
        );
        assert_eq!(candidates("web.", &search), ["web."]);
    }

    #[tokio::test]
    async fn an_address_needs_no_server_and_a_name_without_one_says_so() {
        let names = Names::new(Station::new([2, 0, 0, 0, 0, 1]));
        assert_eq!(
            names.find("10.0.1.2").await.unwrap(),
            [Ipv4Addr::new(10, 0, 1, 2)]
        );
        let error = names.find("web.private").await.unwrap_err();
        assert!(error.to_string().contains("names no name server"), "{error}");
    }
}
