//! The virtual host's name service in kernel mode: ordinary sockets on the device's address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::resolver::DNS_PORT;
use crate::user::{NOBODY, Shared};

/// The longest question by UDP.
const MAX_QUESTION: usize = 4096;
/// TCP connections at one time, and how long each may last.
const MAX_CONNECTIONS: usize = 64;
const CONNECTION: Duration = Duration::from_secs(30);

/// Serves `address`. Where a name server of the machine is in the way already it is left to serve the hub, with one
/// line in the log.
pub(crate) async fn spawn(tasks: &mut JoinSet<()>, shared: &Arc<Shared>, address: IpAddr) {
    match UdpSocket::bind((address, DNS_PORT)).await {
        Ok(socket) => {
            tasks.spawn(serve_udp(Arc::new(socket), Arc::clone(shared)));
        }
        Err(error) => tracing::warn!(%address, %error, "the hub's name service cannot be opened by UDP"),
    }
    match TcpListener::bind((address, DNS_PORT)).await {
        Ok(listener) => {
            tasks.spawn(serve_tcp(listener, Arc::clone(shared)));
        }
        Err(error) => tracing::warn!(%address, %error, "the hub's name service cannot be opened by TCP"),
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut questions = JoinSet::new();
    let mut buffer = Vec::with_capacity(MAX_QUESTION);
    loop {
        buffer.clear();
        tokio::select! {
            received = socket.recv_buf_from(&mut buffer) => {
                // An error is that of an earlier answer.
                let Ok((_, client)) = received else { continue };
                questions.spawn(answer(Arc::clone(&socket), Arc::clone(&shared), client, buffer.clone()));
            }
            Some(_) = questions.join_next() => {}
        }
    }
}

/// The resolvers bound how many questions are open; one more is not answered.
async fn answer(socket: Arc<UdpSocket>, shared: Arc<Shared>, client: SocketAddr, question: Vec<u8>) {
    let station = match client {
        SocketAddr::V4(station) => *station.ip(),
        SocketAddr::V6(_) => NOBODY,
    };
    if let Some(answer) = shared.ask(station, &question).await {
        let _ = socket.send_to(&answer, client).await;
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else {
                    // No file descriptors left: waiting is all that helps.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let _ = timeout(CONNECTION, relay(client, &shared)).await;
                    drop(permit);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, shared: &Shared) {
    for server in shared.resolvers.servers(shared.address()).await {
        if let Ok(mut resolver) = TcpStream::connect(server).await {
            let _ = copy_bidirectional(&mut client, &mut resolver).await;
            return;
        }
    }
}
