//! What the hub's routers and DHCPv6 servers say, done for as long as they say it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hub_core::frame::Frame;
use netdev::{Tap, VnetHeader};
use tokio::sync::mpsc;
use transport::tunnel::Tunnel;

use super::device::Shared;
use super::held::Held;
use crate::dhcp6::{self, Information, Lease};
use crate::moment::until;
use crate::network::Dns;
use crate::network::advertisement::{self, Plan6, check_address};
use crate::report::{Event, human};

/// How long the address given back may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The DHCPv6 client of a device, and the tunnel that it speaks through.
pub(super) struct Six {
    client: Mutex<dhcp6::Client>,
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    tunnel: Option<Tunnel>,
    /// How many there were.
    count: u64,
}

/// Takes a tunnel off the line when it is over.
pub(super) struct OnLine {
    shared: Arc<Shared>,
    number: u64,
}

impl Six {
    pub(super) fn new(mac: [u8; 6]) -> Self {
        Self {
            client: Mutex::new(dhcp6::Client::new(mac, rand::random())),
            line: Mutex::default(),
        }
    }

    fn client(&self) -> MutexGuard<'_, dhcp6::Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnLine {
    /// From now on this is the tunnel.
    pub(super) fn with(shared: Arc<Shared>, tunnel: &Tunnel) -> Self {
        let mut line = shared.six.line();
        line.tunnel = Some(tunnel.clone());
        line.count += 1;
        let number = line.count;
        drop(line);
        Self { shared, number }
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        let mut line = self.shared.six.line();
        if line.count == self.number {
            line.tunnel = None;
        }
    }
}

/// Sends what the DHCPv6 client has to say; whether there was anything.
async fn speak(shared: &Shared) -> bool {
    if !shared.six.client().has_output() {
        return false;
    }
    // Before there is an address on the link nobody could answer; it is asked again.
    let from = shared.network.lock().await.link_local().await;
    let mut frames = Vec::new();
    while let Some(frame) = shared
        .six
        .client()
        .poll_output(from.unwrap_or(Ipv6Addr::UNSPECIFIED))
    {
        frames.extend(from.is_some().then(|| Frame::new(frame)));
    }
    let tunnel = shared.six.line().tunnel.clone();
    if let Some(tunnel) = tunnel {
        tunnel.send(&mut frames.into_iter());
    }
    true
}

/// Gives an address of a DHCPv6 server back, while the tunnel stands.
pub(super) async fn give_back(shared: &Shared) {
    shared.six.client().release();
    if speak(shared).await {
        // There is nothing to wait for: whatever the server answers, the address is gone.
        tokio::time::sleep(LAST_WORDS).await;
    }
}

/// Does what is said, until nobody can say anything any more.
pub(super) async fn follow(shared: Arc<Shared>, mut heard: mpsc::Receiver<Bytes>, tap: Arc<Held<Tap>>) {
    let mut before = Plan6::default();
    loop {
        let due = shared.six.client().poll_timeout();
        tokio::select! {
            frame = heard.recv() => {
                let Some(frame) = frame else { return };
                if dhcp6::is_to_client(&frame) {
                    if !shared.six.client().handle_input(Instant::now(), &frame) {
                        // Somebody else's on this machine.
                        let _ = tap.try_send(&VnetHeader::NONE, &frame);
                    }
                } else if let Some(plan) = advertised(&shared, &frame, tap.name(), &before).await {
                    before = plan;
                }
            }
            () = until(due) => shared.six.client().handle_timeout(Instant::now()),
        }
        speak(&shared).await;
        loop {
            let event = shared.six.client().poll_event();
            let Some(event) = event else { break };
            told(&shared, tap.name(), event).await;
        }
    }
}

/// Sets up what a router advertises, and asks whom it sends us to.
async fn advertised(shared: &Shared, frame: &[u8], device: &str, before: &Plan6) -> Option<Plan6> {
    let said = advertisement::parse(frame)?;
    tracing::debug!(?said, "a router of the hub advertises");
    let mut network = shared.network.lock().await;
    let done = match network.surroundings(Ipv4Addr::UNSPECIFIED.into()).await {
        Ok(around) => {
            let plan = advertisement::plan(&said, &shared.wishes, &around);
            network.advertised(&plan).await.map(|notes| (plan, notes))
        }
        Err(error) => Err(error),
    };
    drop(network);
    let (managed, other) = said.sends_to_dhcp();
    shared.six.client().advised(Instant::now(), managed, other);
    let (plan, notes) = match done {
        Ok(done) => done,
        Err(error) => {
            tracing::warn!(%error, "what a router of the hub advertises could not be set up");
            return None;
        }
    };
    shared.full6.store(plan.is_full(), Ordering::Relaxed);
    if plan.networks() != before.networks() {
        shared.reporter.show(&Event::Note(format!(
            "IPv6 through {device} by {}: {}",
            said.router(),
            plan.networks().join(", ")
        )));
    }
    for note in notes {
        shared.reporter.show(&Event::Note(note));
    }
    Some(plan)
}

/// Does what a DHCPv6 server says.
async fn told(shared: &Shared, device: &str, event: dhcp6::Event) {
    let mut notes = Vec::new();
    match event {
        dhcp6::Event::Informed(information) => {
            notes.extend(inform(shared, information).await);
            tracing::debug!("a DHCPv6 server has told what it knows");
        }
        dhcp6::Event::Leased(lease) => match take(shared, &lease).await {
            Ok(is_new) => {
                let term = Duration::from_secs(lease.valid.into());
                let term = match lease.valid {
                    u32::MAX => "for ever".to_owned(),
                    _ => format!("for {}", human(term)),
                };
                notes.extend(
                    is_new.then(|| format!("address {} on {device} by DHCPv6, {term}", lease.address)),
                );
                notes.extend(inform(shared, lease.information).await);
            }
            Err(why) => notes.push(why),
        },
        dhcp6::Event::Lost(address) => {
            shared.network.lock().await.lost6(address).await;
            notes.push(format!(
                "the address {address} is lost: the DHCPv6 server did not prolong it"
            ));
        }
    }
    for note in notes {
        shared.reporter.show(&Event::Note(note));
    }
}

/// Sets the address of a lease; whether it is a new one.
async fn take(shared: &Shared, lease: &Lease) -> Result<bool, String> {
    let mut network = shared.network.lock().await;
    let around = network.surroundings(Ipv4Addr::UNSPECIFIED.into()).await;
    check_address(lease.address, &shared.wishes, &around.map_err(|e| e.to_string())?)?;
    network
        .lease6(lease.address, (lease.preferred, lease.valid))
        .await
        .map_err(|error| format!("the address {} by DHCPv6 is not set: {error}", lease.address))
}

async fn inform(shared: &Shared, information: Information) -> Vec<String> {
    let wanted = shared.wishes.dns && !information.dns.is_empty();
    let dns = wanted.then(|| Dns {
        servers: information.dns.into_iter().map(Into::into).collect(),
        search: information.search,
        everything: shared.full6.load(Ordering::Relaxed),
    });
    shared.network.lock().await.informed(dns).await
}
