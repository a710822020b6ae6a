//! The network below the VPN: sockets to VPN servers, and the names of those.
//!
//! A client whose routes lead everything into the tunnel must keep the tunnel's own packets out of it. They are told from all
//! others by a mark on their sockets, which only who may change the network can set: an address of the server that is let out
//! for everybody would be a hole for whoever can forge an answer about the server's name.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The mark of packets that carry a tunnel, and the bits of it that count: those below are used by container engines.
pub const MARK: u32 = 0x4857_0000;
/// See [`MARK`].
pub const MARK_MASK: u32 = 0xffff_0000;

/// How long the system's resolver may take before another way is tried. Who cannot be asked may let us wait for long.
const PATIENCE: Duration = Duration::from_secs(10);

static MARKED: AtomicBool = AtomicBool::new(false);

/// Marks every socket to a VPN server that this process opens from now on.
pub fn mark_sockets() {
    MARKED.store(true, Relaxed);
}

/// The mark of the sockets that this process opens to VPN servers; 0 is none.
#[must_use]
pub fn mark_in_use() -> u32 {
    if MARKED.load(Relaxed) { MARK } else { 0 }
}

/// Marks a socket, where sockets are to be marked.
///
/// # Errors
/// When this process may not (CAP_NET_ADMIN or CAP_NET_RAW).
pub fn mark(socket: &impl AsFd) -> io::Result<()> {
    if MARKED.load(Relaxed) {
        setsockopt(socket, sockopt::Mark, &MARK)?;
    }
    Ok(())
}

/// Connects to a VPN server, or to a proxy on the way to one.
///
/// # Errors
/// What the kernel says.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    mark(&socket)?;
    socket.connect(address).await
}

/// Asks for the addresses of a name by another way than the system's resolver.
pub type OtherWay = dyn Fn(String) -> Pin<Box<dyn Future<Output = Vec<IpAddr>> + Send>> + Send + Sync;

/// What is known of names without the system's resolver.
#[derive(Default)]
struct Known {
    addresses: HashMap<String, Vec<IpAddr>>,
    other_way: Option<Arc<OtherWay>>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers the addresses of a name for when nobody can be asked.
pub fn remember(host: &str, addresses: &[IpAddr]) {
    if !addresses.is_empty() {
        known().addresses.insert(host.to_owned(), addresses.to_vec());
    }
}

/// What is remembered of a name.
#[must_use]
pub fn remembered(host: &str) -> Vec<IpAddr> {
    known().addresses.get(host).cloned().unwrap_or_default()
}

/// Asks this way where the system's resolver finds nothing.
pub fn ask_also(way: Arc<OtherWay>) {
    known().other_way = Some(way);
}

/// The addresses of a VPN server. The system's resolver may depend on name servers that only the tunnel reaches; then other
/// ways are tried: see [`ask_also`], [`remember`].
///
/// # Errors
/// What the system's resolver said, when no way leads to an address.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let asked = timeout(PATIENCE, tokio::net::lookup_host((host, port))).await;
    let answer = match asked {
        Ok(answer) => answer.map(Iterator::collect::<Vec<_>>),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Ok(found) = &answer
        && !found.is_empty()
    {
        let ips: Vec<_> = found.iter().map(SocketAddr::ip).collect();
        remember(host, &ips);
        return answer;
    }
    let way = known().other_way.clone();
    let mut ips = Vec::new();
    if let Some(way) = way {
        ips = way(host.to_owned()).await;
        remember(host, &ips);
    }
    if ips.is_empty() {
        ips = remembered(host);
    }
    if ips.is_empty() {
        return answer;
    }
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_nobody_knows_any_more_leads_to_where_it_led() {
        let host = "vpn.remembered.invalid";
        assert!(resolve(host, 443).await.is_err());
        remember(host, &["192.0.2.7".parse().unwrap()]);
        let found = resolve(host, 443).await.unwrap();
        assert_eq!(found, ["192.0.2.7:443".parse().unwrap()]);
    }
}
