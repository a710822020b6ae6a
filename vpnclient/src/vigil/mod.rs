//! Watches the network and the clock, so that a connection need not run into a time-out to learn what has happened: the cable
//! that is back, the other address, the machine that has woken up.
//!
//! [`Judge`] says what a change means; here are netlink and the clocks. Where the kernel gives no news the client does without,
//! and finds out by time-outs.

mod judge;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netdev::{Links, News};
use nix::time::{ClockId, clock_gettime};
use tokio::time::{MissedTickBehavior, interval};
use transport::underlay;

use crate::moment::until;

pub use judge::{Judge, Outlook, Phase, Step, Way};

/// How often the clock is read. While the machine sleeps nobody reads it.
const TICK: Duration = Duration::from_secs(1);
/// News come in bursts: an address, then its routes. What is looked at is the network after one.
const SETTLE: Duration = Duration::from_millis(150);

/// Something may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stir {
    /// To the network.
    Network,
    /// To the clock, which shows this.
    Clock(Duration),
}

/// The watch of one client.
#[derive(Debug)]
pub struct Vigil {
    links: Option<Links>,
    news: Option<News>,
    judge: Judge,
    /// The server, or the proxy on the way there.
    far: Option<IpAddr>,
    /// The VPN's own device, which is never the way to its server.
    device: Option<u32>,
    /// When to look at the network, after news of it.
    look_at: Option<Instant>,
    ticks: tokio::time::Interval,
}

impl Vigil {
    /// Begins to watch. `device` is the number of the VPN's own device. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(device: Option<u32>) -> Self {
        let told = |error: &netdev::Error| tracing::debug!(%error, "there will be no news of the network");
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            links: Links::new().inspect_err(told).ok(),
            news: News::listen_to_routes().inspect_err(told).ok(),
            judge: Judge::default(),
            far: None,
            device,
            look_at: Some(Instant::now()),
            ticks,
        }
    }

    /// There is a session with a server that is reached at `far`, from `own`; it is kept for `grace` without connections.
    pub fn follow(&mut self, far: IpAddr, own: IpAddr, grace: Duration) {
        if self.far.replace(far) != Some(far) {
            self.judge.forget_way();
            self.look_at = Some(Instant::now());
        }
        self.judge.follow(own.to_canonical(), grace);
    }

    /// A new connection was made from `own`.
    pub fn joined(&mut self, own: IpAddr) {
        self.judge.joined(own.to_canonical());
    }

    /// Waits until something may have happened; to be followed by [`Vigil::weigh`]. May be dropped and called again.
    pub async fn stirs(&mut self) -> Stir {
        loop {
            let look_at = self.look_at;
            tokio::select! {
                more = changed(self.news.as_mut()) => {
                    if !more {
                        self.news = None;
                    }
                    self.look_at.get_or_insert(Instant::now() + SETTLE);
                }
                () = until(look_at) => return Stir::Network,
                _ = self.ticks.tick() => {
                    if let Some(now) = since_boot() {
                        return Stir::Clock(now);
                    }
                }
            }
        }
    }

    /// What that means for a client in this phase.
    pub async fn weigh(&mut self, stir: Stir, phase: Phase) -> Step {
        match stir {
            Stir::Clock(now) => self.judge.clock(phase, now, TICK),
            Stir::Network => {
                let outlook = match &self.links {
                    Some(links) => look(links, self.far, self.device).await,
                    None => None,
                };
                self.look_at = None;
                match outlook {
                    Some(outlook) => self.judge.network(phase, outlook),
                    None => Step::Wait,
                }
            }
        }
    }
}

/// The network as it looks now from the side of the VPN's `device` that the server at `far` is on; `None` when the kernel does not
/// say.
async fn look(links: &Links, far: Option<IpAddr>, device: Option<u32>) -> Option<Outlook> {
    let all = links.list().await.ok()?;
    let is_running = |way: &Way| all.iter().any(|link| link.index == way.device && link.running);
    let addresses = links.all_addresses().await.ok()?;
    let way = match far {
        // As the tunnel's own packets go, past the routes into it.
        Some(far) => links.route_to_marked(far, underlay::mark_in_use()).await.ok(),
        None => None,
    };
    let way = way.and_then(|route| {
        Some(Way {
            device: route.device?,
            gateway: route.gateway,
            source: route.source,
        })
    });
    if way.is_some_and(|way| Some(way.device) == device) {
        return None;
    }
    let others = addresses.into_iter().filter(|(index, _)| Some(*index) != device);
    Some(Outlook {
        way: way.filter(is_running),
        addresses: others.map(|(_, address)| address.ip).collect(),
    })
}

/// The next news, if there will be any.
async fn changed(news: Option<&mut News>) -> bool {
    match news {
        Some(news) => news.changed().await,
        None => std::future::pending().await,
    }
}

/// The time since the machine was started, suspended or not (clock_gettime(2), `CLOCK_BOOTTIME`).
fn since_boot() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}
