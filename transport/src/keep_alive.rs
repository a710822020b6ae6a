//! Keeping an Internet line alive: now and then something to a host that somebody named (SetKeep of a server, KeepSet of a
//! client). Off unless somebody asked for it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use protocol::rpc::keep::{Keep, KeepProtocol};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::{sleep, timeout};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a datagram holds: nobody is meant to make sense of it.
const DATAGRAM_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// Does what the settings say until it is dropped.
pub async fn keep_alive(settings: &Keep) {
    if !settings.enabled {
        return std::future::pending().await;
    }
    loop {
        // A line that is down is what this is for: it is tried again at the next turn.
        let _ = timeout(CONNECT_TIMEOUT, once(settings)).await;
        sleep(Duration::from_secs(settings.interval.max(1).into())).await;
    }
}

/// A connection that is closed at once, or a datagram.
async fn once(settings: &Keep) -> io::Result<()> {
    let port = u16::try_from(settings.port).unwrap_or_default();
    let mut addresses = lookup_host((settings.host.as_str(), port)).await?;
    let Some(address) = addresses.next() else {
        return Ok(());
    };
    if settings.protocol == KeepProtocol::Tcp {
        return TcpStream::connect(address).await.map(drop);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_kept_alive_by_what_was_asked_for() {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = |port: u16, protocol| Keep {
            enabled: true,
            host: "127.0.0.1".into(),
            port: port.into(),
            protocol,
            interval: 60,
        };
        let by_udp = settings(udp.local_addr().unwrap().port(), KeepProtocol::Udp);
        let by_tcp = settings(tcp.local_addr().unwrap().port(), KeepProtocol::Tcp);
        let tasks = [by_udp, by_tcp].map(|settings| tokio::spawn(async move { keep_alive(&settings).await }));
        let length = udp.recv(&mut [0; 128]).await.unwrap();
        assert!(DATAGRAM_BYTES.contains(&length));
        tcp.accept().await.unwrap();
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
