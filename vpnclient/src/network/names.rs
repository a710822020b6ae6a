//! The VPN server's name, asked beside the VPN: at the name servers that this machine had before, by packets that are let out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use transport::underlay;

use super::dns;
use crate::rootless::question::{Reply, question, reply};

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

/// `None` when there is no answer; a name without an address has none.
async fn ask(server: SocketAddr, name: &str) -> Option<Vec<IpAddr>> {
    let any: IpAddr = if server.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let asking = async {
        let asked = question(rand::random(), name)?;
        let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.ok()?;
        underlay::mark(&socket).ok()?;
        socket.connect(server).await.ok()?;
        socket.send(&asked).await.ok()?;
        let mut answer = [0; LONGEST];
        loop {
            let len = socket.recv(&mut answer).await.ok()?;
            match reply(&asked, &answer[..len]) {
                Some(Reply::Addresses(found, _)) => return Some(found.into_iter().map(IpAddr::V4).collect()),
                Some(Reply::NoSuchName) => return Some(Vec::new()),
                Some(_) => return None,
                None => {}
            }
        }
    };
    timeout(PATIENCE, asking).await.ok().flatten()
}
