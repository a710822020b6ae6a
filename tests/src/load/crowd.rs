//! Many sessions at once.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::client::{Client, Door, Visitor};

/// Addresses that sessions come from: one has 28,000 ports, and a server may let in so many strangers of each.
const SOURCES: u32 = 64;

/// Users of every hub.
pub const USERS: usize = 250;

/// How many hubs there are.
pub const HUBS: usize = 4;

/// The name of a hub.
pub fn hub(number: usize) -> String {
    format!("HUB{}", number % HUBS)
}

/// The name of a user, who is in every hub.
pub fn user(number: usize) -> String {
    format!("user{:03}", number % USERS)
}

/// Visitor `number` of a crowd that spreads over hubs and users.
pub fn visitor(number: usize) -> Visitor {
    Visitor {
        hub: hub(number),
        user: user(number / HUBS),
        source: source(number),
        bridge: false,
    }
}

/// The address that a visitor comes from.
pub fn source(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f01_0001 + number as u32 % SOURCES)
}

/// Sessions that are open; they end when it is dropped.
#[derive(Default)]
pub struct Crowd {
    sessions: JoinSet<Result<()>>,
}

/// How logins went.
#[derive(Clone, Debug)]
pub struct Logins {
    /// From the first to the last.
    pub took: Duration,
    /// How long each took, in order of length.
    pub each: Vec<Duration>,
    /// Those that had to be tried again.
    pub retries: usize,
}

impl Logins {
    /// Logins a second.
    pub fn rate(&self) -> f64 {
        self.each.len() as f64 / self.took.as_secs_f64()
    }
}

impl Crowd {
    /// Logs `visitors` in, `at_once` of them at a time, and lets them stay. One that is turned away comes again after a
    /// moment, as clients do, for `patience`.
    pub async fn admit(
        &mut self,
        door: &Door,
        visitors: impl Iterator<Item = Visitor>,
        at_once: usize,
        patience: Duration,
    ) -> Result<Logins> {
        let begun = Instant::now();
        let places = Arc::new(Semaphore::new(at_once));
        let retries = Arc::new(AtomicUsize::new(0));
        let mut arriving = JoinSet::new();
        let mut each = Vec::new();
        let mut arrived = Vec::new();
        for visitor in visitors {
            let place = places.clone().acquire_owned().await?;
            let (door, retries) = (door.clone(), retries.clone());
            arriving.spawn(async move {
                let _place = place;
                let begun = Instant::now();
                let client = insist(&door, &visitor, begun + patience, &retries).await?;
                anyhow::Ok((client, begun.elapsed()))
            });
            while let Some(done) = arriving.try_join_next() {
                arrived.push(done??);
            }
            for (client, took) in arrived.drain(..) {
                self.sessions.spawn(client.idle());
                each.push(took);
            }
        }
        while let Some(done) = arriving.join_next().await {
            let (client, took) = done??;
            self.sessions.spawn(client.idle());
            each.push(took);
        }
        each.sort();
        Ok(Logins {
            took: begun.elapsed(),
            each,
            retries: retries.load(Relaxed),
        })
    }

    /// How many there are.
    ///
    /// # Errors
    /// When one has ended.
    pub fn check(&mut self) -> Result<usize> {
        if let Some(ended) = self.sessions.try_join_next() {
            match ended? {
                Err(why) => bail!("a session ended: {why}"),
                Ok(()) => bail!("a session ended"),
            }
        }
        Ok(self.sessions.len())
    }

    /// Cuts all connections without a word.
    pub async fn cut(&mut self) {
        self.sessions.shutdown().await;
    }
}

async fn insist(door: &Door, visitor: &Visitor, until: Instant, retries: &AtomicUsize) -> Result<Client> {
    const PAUSE: Duration = Duration::from_millis(500);
    loop {
        match door.login(visitor).await {
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => {
                retries.fetch_add(1, Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(client) => return Ok(client),
        }
    }
}
