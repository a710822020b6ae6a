//! The virtual host's name service: questions of stations are passed on to the resolvers of this machine.
//!
//! Answers are kept as long as they hold (RFC 1035 §7.4), and so is the news that there is nothing (RFC 2308); a question that
//! is being asked already is not asked twice. What EDNS adds to a question is passed on as it is.

mod cache;
mod message;
mod upstream;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{Semaphore, oneshot};

use cache::{Answer, Cache};
use message::{Question, failure, is_disappointing, is_question};

/// The port of name services.
pub(crate) const DNS_PORT: u16 = 53;
/// How long one resolver may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often all resolvers are asked.
const ROUNDS: usize = 2;
/// Resolvers of the file that count (resolv.conf(5) knows three).
const MAX_SERVERS: usize = 3;
/// Questions open at one time, and those that wait for the answer to one of them.
const MAX_OPEN: usize = 512;
const MAX_WAITING: usize = 4096;
/// The longest resolv.conf that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The questions being asked, and who else wants to know.
type Asked = HashMap<Box<[u8]>, Vec<oneshot::Sender<Answer>>>;

/// The resolvers of this machine, as its resolv.conf names them.
#[derive(Debug)]
pub(crate) struct Resolvers {
    path: PathBuf,
    known: Mutex<Option<(SystemTime, Vec<SocketAddr>)>>,
    open: Semaphore,
    waiting: Semaphore,
    cache: Mutex<Cache>,
    asked: Mutex<Asked>,
}

impl Resolvers {
    /// The resolvers in the file at `path`, which is read again when it changes.
    pub(crate) fn new(path: PathBuf) -> Self {
        Resolvers {
            path,
            known: Mutex::default(),
            open: Semaphore::new(MAX_OPEN),
            waiting: Semaphore::new(MAX_WAITING),
            cache: Mutex::default(),
            asked: Mutex::default(),
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
        self.cache().clear();
        servers
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question that the virtual host `own` was asked by UDP. When no resolver does, the answer is that the server
    /// failed; what is no question is not answered.
    pub(crate) async fn ask(&self, own: Ipv4Addr, message: &[u8]) -> Option<Vec<u8>> {
        if !is_question(message) {
            return None;
        }
        let Some(question) = Question::parse(message) else {
            let _permit = self.open.try_acquire().ok()?;
            let answer = self.ask_servers(own, message).await;
            return Some(answer.map_or_else(
                || failure(message),
                |mut answer| {
                    answer.whole[..2].copy_from_slice(&message[..2]);
                    answer.whole
                },
            ));
        };
        // The file first: when it changes, what was kept is forgotten.
        let _ = self.listed().await;
        let key = question.key();
        if let Some(answer) = self.cache().answer(Instant::now(), &question, &key) {
            return Some(answer);
        }
        let answer = self.ask_once(own, message, &key).await?;
        Some(answer.map_or_else(|| failure(message), |answer| answer.to(&question, Duration::ZERO)))
    }

    /// Asks, or waits for who is asking the same. The outer `None`: too many are open already.
    async fn ask_once(&self, own: Ipv4Addr, message: &[u8], key: &[u8]) -> Option<Option<Answer>> {
        let waits = {
            let mut asked = self.asked();
            match asked.get_mut(key) {
                Some(others) => {
                    let (tell, told) = oneshot::channel();
                    others.push(tell);
                    Some(told)
                }
                None => {
                    asked.insert(key.into(), Vec::new());
                    None
                }
            }
        };
        if let Some(told) = waits {
            let _permit = self.waiting.try_acquire().ok()?;
            return Some(told.await.ok());
        }
        let mut asking = Asking {
            resolvers: self,
            key,
            is_over: false,
        };
        let _permit = self.open.try_acquire().ok()?;
        let answer = self.ask_servers(own, message).await;
        if let Some(answer) = &answer {
            self.cache().keep(Instant::now(), key, answer);
            asking.tell(answer);
        }
        Some(answer)
    }

    async fn ask_servers(&self, own: Ipv4Addr, message: &[u8]) -> Option<Answer> {
        let servers = self.servers(own).await;
        let mut worst = None;
        for server in std::iter::repeat_n(&servers, ROUNDS).flatten() {
            match upstream::ask(*server, message).await {
                Some(answer) if is_disappointing(&answer.whole) => worst = Some(answer),
                Some(answer) => return Some(answer),
                None => {}
            }
        }
        worst
    }
}

/// A question being asked. Whatever becomes of it, in the end it is not asked any more, and who waits learns that.
struct Asking<'a> {
    resolvers: &'a Resolvers,
    key: &'a [u8],
    is_over: bool,
}

impl Asking<'_> {
    fn tell(&mut self, answer: &Answer) {
        self.is_over = true;
        let others = self.resolvers.asked().remove(self.key).unwrap_or_default();
        for other in others {
            // One that has gone needs no answer.
            let _ = other.send(answer.clone());
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        // Once it is over somebody else may be asking the same anew.
        if !self.is_over {
            self.resolvers.asked().remove(self.key);
        }
    }
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
mod tests;
