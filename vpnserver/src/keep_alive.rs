//! Keeping the server's own Internet line alive: now and then something to a host that an administrator named (SetKeep). Off
//! unless somebody asked for it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::{KeepAlive, KeepProtocol};

/// How long a connection may take to be made, and how long it is held.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a datagram holds: nobody is meant to make sense of it.
const DATAGRAM_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// What keeps the line alive, if anything.
#[derive(Default)]
pub struct KeepAliveTask(Mutex<Option<(KeepAlive, JoinHandle<()>)>>);

impl KeepAliveTask {
    /// Does what these settings say from now on. Must be called in the runtime.
    pub fn set(&self, settings: &KeepAlive) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|(before, _)| before == settings) {
            return;
        }
        if let Some((_, task)) = running.take() {
            task.abort();
        }
        if settings.enabled {
            let task = tokio::spawn(run(settings.clone()));
            *running = Some((settings.clone(), task));
        }
    }
}

impl Drop for KeepAliveTask {
    fn drop(&mut self) {
        self.set(&KeepAlive::default());
    }
}

async fn run(settings: KeepAlive) {
    loop {
        // A line that is down is what this is for: it is tried again at the next turn.
        let _ = timeout(CONNECT_TIMEOUT, once(&settings)).await;
        sleep(Duration::from_secs(settings.interval.into())).await;
    }
}

/// A connection that is closed at once, or a datagram.
async fn once(settings: &KeepAlive) -> std::io::Result<()> {
    let mut addresses = lookup_host((settings.host.as_str(), settings.port)).await?;
    let Some(address) = addresses.next() else {
        return Ok(());
    };
    match settings.protocol {
        KeepProtocol::Tcp => TcpStream::connect(address).await.map(drop),
        KeepProtocol::Udp => {
            let any: SocketAddr = if address.is_ipv4() {
                (Ipv4Addr::UNSPECIFIED, 0).into()
            } else {
                (Ipv6Addr::UNSPECIFIED, 0).into()
            };
            let mut filler = vec![0; rand::random_range(DATAGRAM_BYTES)];
            rand::fill(filler.as_mut_slice());
            UdpSocket::bind(any)
                .await?
                .send_to(&filler, address)
                .await
                .map(drop)
        }
    }
}
