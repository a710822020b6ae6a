//! The virtual host's name service: questions of stations are passed on to the resolvers of this machine.
//!
//! Nothing is cached or looked into: what the host's resolvers say is what a station hears.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// The port of name services.
pub(crate) const DNS_PORT: u16 = 53;
/// How long one resolver may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all resolvers are asked.
const ROUNDS: usize = 2;
/// Resolvers of the file that count (resolv.conf(5) knows three).
const MAX_SERVERS: usize = 3;
/// Questions open at one time.
const MAX_OPEN: usize = 512;
/// The longest resolv.conf that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;
const HEADER: usize = 12;
const SERVER_FAILURE: u8 = 2;

/// The resolvers of this machine, as its resolv.conf names them.
#[derive(Debug)]
pub(crate) struct Resolvers {
    path: PathBuf,
    known: Mutex<Option<(SystemTime, Vec<SocketAddr>)>>,
    open: Semaphore,
}

impl Resolvers {
    /// The resolvers in the file at `path`, which is read again when it changes.
    pub(crate) fn new(path: PathBuf) -> Self {
        Resolvers {
            path,
            known: Mutex::default(),
            open: Semaphore::new(MAX_OPEN),
        }
    }

    /// The resolvers now, without `own`, which is the virtual host that asks: it would ask itself for ever. A machine
    /// without the file is taken to be its own, as the C library takes it.
    pub(crate) async fn servers(&self, own: Ipv4Addr) -> Vec<SocketAddr> {
        let mut servers = self.listed().await;
        servers.retain(|server| server.ip() != own);
        servers
    }

    async fn listed(&self) -> Vec<SocketAddr> {
        let metadata = tokio::fs::metadata(&self.path).await.ok();
        let changed = metadata
            .as_ref()
            .and_then(|m| m.modified().ok())
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((when, servers)) = known
            && when == changed
        {
            return servers;
        }
        let readable = metadata.is_some_and(|m| m.len() <= MAX_FILE);
        let text = if readable {
            tokio::fs::read(&self.path).await.unwrap_or_default()
        } else {
            Vec::new()
        };
        let servers = parse_resolv_conf(&String::from_utf8_lossy(&text));
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((changed, servers.clone()));
        servers
    }

    /// Answers a question that the virtual host `own` was asked. When no resolver does, the answer is that the server failed; what is no question is
    /// not answered.
    pub(crate) async fn ask(&self, own: Ipv4Addr, question: &[u8]) -> Option<Vec<u8>> {
        if !is_question(question) {
            return None;
        }
        let _permit = self.open.try_acquire().ok()?;
        let servers = self.servers(own).await;
        for server in std::iter::repeat_n(&servers, ROUNDS).flatten() {
            if let Ok(Some(answer)) = timeout(PATIENCE, ask_one(*server, question)).await {
                return Some(answer);
            }
        }
        Some(failure(question))
    }
}

/// Asks one resolver from a port of its own, which only that resolver can answer to.
async fn ask_one(server: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(server).await.ok()?;
    socket.send(question).await.ok()?;
    let mut answer = Vec::with_capacity(65_535);
    loop {
        answer.clear();
        socket.recv_buf(&mut answer).await.ok()?;
        let is_answer = answer.len() >= HEADER && answer[2] & 0x80 != 0 && answer[..2] == question[..2];
        if is_answer {
            return Some(answer);
        }
    }
}

fn is_question(message: &[u8]) -> bool {
    message.len() >= HEADER && message[2] & 0x80 == 0
}

/// The question back, as an answer that says "server failure" (RFC 1035 §4.1.1).
fn failure(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer[3] = answer[3] & 0x70 | 0x80 | SERVER_FAILURE;
    answer
}

fn parse_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words
            .next()
            .filter(|word| *word == "nameserver")
            .and_then(|_| words.next())?;
        // A zone (fe80::1%eth0) cannot be used without its interface's number; such servers are rare beside others.
        address.parse::<IpAddr>().ok()
    };
    let mut servers: Vec<SocketAddr> = text
        .lines()
        .filter_map(server)
        .take(MAX_SERVERS)
        .map(|ip| SocketAddr::new(ip, DNS_PORT))
        .collect();
    if servers.is_empty() {
        servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_servers_are_found_among_everything_else() {
        let text = "# a comment\nsearch example.org\nnameserver 127.0.0.53\n; nameserver 9.9.9.9\n\
                    nameserver  2001:db8::1 \nnameserver nonsense\noptions edns0\nnameserver 1.1.1.1\nnameserver 8.8.8.8";
        let servers = parse_resolv_conf(text);
        assert_eq!(
            servers,
            ["127.0.0.53:53", "[2001:db8::1]:53", "1.1.1.1:53"].map(|s| s.parse().unwrap())
        );
        assert_eq!(parse_resolv_conf(""), ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn a_failure_keeps_the_question() {
        let question = [
            0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1,
        ];
        let answer = failure(&question);
        assert_eq!(answer[..4], [0xab, 0xcd, 0x81, 0xa2]);
        assert_eq!(answer[4..], question[4..]);
        assert!(is_question(&question) && !is_question(&answer) && !is_question(&question[..11]));
    }

    #[tokio::test]
    async fn a_dead_resolver_gives_a_failure_and_no_silence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        // Port 53 of this address is closed: the socket learns at once.
        std::fs::write(&path, "nameserver 127.11.22.33\n").unwrap();
        let (resolvers, own) = (Resolvers::new(path.clone()), Ipv4Addr::new(192, 168, 30, 1));
        let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
        let answer = resolvers.ask(own, &question).await.unwrap();
        assert_eq!((answer[1], answer[3] & 0x0f), (7, SERVER_FAILURE));
        std::fs::write(
            &path,
            "# a file of another time\nnameserver 192.168.30.1\nnameserver 9.9.9.9\n",
        )
        .unwrap();
        let changed = std::fs::File::options().append(true).open(&path).unwrap();
        changed
            .set_modified(SystemTime::now() + Duration::from_secs(5))
            .unwrap();
        assert_eq!(
            resolvers.servers(own).await,
            ["9.9.9.9:53".parse().unwrap()],
            "the new file, without ourselves"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
