//! The VPN server's name, asked beside the VPN: at the name servers that this machine had before, by packets that are let out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use transport::underlay;

use super::dns;
use crate::rootless::question::{Family, Reply, question, reply};

/// How long a name server may think, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const TIMES: usize = 2;
/// The longest answer without EDNS (RFC 1035 §4.2.1).
const LONGEST: usize = 512;

/// From now on names of VPN servers are asked this way, too, when the system's resolver does not know them: its name servers
/// may be the VPN's, or behind a kill switch.
pub(super) fn ask_beside_the_vpn(resolv_conf: PathBuf) {
    underlay::ask_also(Arc::new(move |name| {
        let servers = dns::servers_without_vpn(&resolv_conf);
        Box::pin(async move { ask_all(&servers, &name).await })
    }));
}

async fn ask_all(servers: &[IpAddr], name: &str) -> Vec<IpAddr> {
    for _ in 0..TIMES {
        for server in servers {
            if let Some(found) = ask(SocketAddr::new(*server, 53), name).await {
                return found;
            }
        }
    }
    Vec::new()
}

/// Both families at once, `None` when there is no answer. A name without an address has none.
async fn ask(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let (four, six) = tokio::join!(
        ask_for(server, name, Family::V4),
        ask_for(server, name, Family::V6)
    );
    if four.is_none() && six.is_none() {
        return None;
    }
    Some(four.into_iter().chain(six).flatten().collect())
}

async fn ask_for(server: SocketAddr, name: &str, family: Family) -> Option<Vec<IpAddr>> {
    let any: IpAddr = if server.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let asking = async {
        let asked = question(rand::random(), name, family)?;
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
        underlay::mark(&socket).ok()?;
        socket.connect(server).await.ok()?;
        socket.send(&asked).await.ok()?;
        let mut answer = [0; LONGEST];
        loop {
            let len = socket.recv(&mut answer).await.ok()?;
            match reply(&asked, &answer[..len]) {
                Some(Reply::Addresses(found, _)) => return Some(found),
                Some(Reply::NoSuchName) => return Some(Vec::new()),
                Some(_) => return None,
                None => {}
            }
        }
    };
    timeout(PATIENCE, asking).await.ok().flatten()
}
