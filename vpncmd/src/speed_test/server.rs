//! The server of the speed test.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, mpsc::Sender},
    time::Duration,
};

use protocol::speed_test::{Direction, GREETING, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use super::{BLOCK_BYTES, block};

/// Connections at a time; each has a buffer and perhaps a core.
const CONNECTIONS: usize = 256;
/// How long a client may take for its request, and afterwards to hang up.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest measurement that is served.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// After a failure to accept, such as too many open files.
const RECOVERY: Duration = Duration::from_millis(200);

/// What happens to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client has come: its number and address.
    Connected(u64, SocketAddr),
    /// A client has gone.
    Gone(u64, SocketAddr),
}

/// Listens on all addresses, IPv6 and IPv4.
///
/// # Errors
/// The port cannot be had on any.
pub async fn listen(port: u16) -> io::Result<Vec<TcpListener>> {
    let six = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await;
    // Where one socket serves both, or there is no IPv6, one of the two fails.
    let port = match &six {
        Ok(listener) => listener.local_addr()?.port(),
        Err(_) => port,
    };
    let four = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await;
    match (six, four) {
        (Err(_), Err(error)) => Err(error),
        (six, four) => Ok([six, four].into_iter().flatten().collect()),
    }
}

/// Serves whoever comes, and tells of it, until it is dropped.
pub async fn serve(listeners: Vec<TcpListener>, events: Sender<Event>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut number = 0_u64;
    let (incoming, mut arrived) = tokio::sync::mpsc::channel(1);
    for listener in listeners {
        let incoming = incoming.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok(connection) => {
                        if incoming.send(connection).await.is_err() {
                            return;
                        }
                    }
                    Err(_) => tokio::time::sleep(RECOVERY).await,
                }
            }
        });
    }
    while let Some((stream, peer)) = arrived.recv().await {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        number += 1;
        let (number, peer) = (number, SocketAddr::new(peer.ip().to_canonical(), peer.port()));
        let events = events.clone();
        tokio::spawn(async move {
            // Nobody may be listening any more.
            let _ = events.send(Event::Connected(number, peer));
            // A client that hangs up in the middle has measured enough.
            let _ = answer(stream).await;
            let _ = events.send(Event::Gone(number, peer));
            drop(place);
        });
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    stream.write_all(&GREETING).await?;
    let mut request = [0; Request::LENGTH];
    timeout(PATIENCE, stream.read_exact(&mut request))
        .await
        .map_err(late)??;
    let request = Request::decode(&request);
    let end = Instant::now() + Duration::from_millis(request.span).min(LONGEST);
    match request.direction {
        Direction::Download => send(&mut stream, end).await?,
        Direction::Upload => {
            let bytes = receive(&mut stream, end).await?;
            stream.write_all(&bytes.to_be_bytes()).await?;
        }
    }
    // What is still on its way must be read, or the report would be lost with the connection.
    let _ = receive(&mut stream, Instant::now() + PATIENCE).await?;
    Ok(())
}

async fn send(stream: &mut TcpStream, end: Instant) -> io::Result<()> {
    let block = block();
    // The client ends with its own clock; ours only bounds it.
    while Instant::now() < end {
        match timeout_at(end, stream.write_all(&block)).await {
            Ok(sent) => sent?,
            Err(_) => break,
        }
    }
    Ok(())
}

/// Counts what arrives until `end`, or until the client hangs up.
async fn receive(stream: &mut TcpStream, end: Instant) -> io::Result<u64> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut bytes = 0_u64;
    loop {
        match timeout_at(end, stream.read(&mut buffer)).await {
            Err(_) | Ok(Ok(0)) => return Ok(bytes),
            Ok(read) => bytes += read? as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::client::{Plan, measure};
    use super::*;

    async fn server() -> (u16, mpsc::Receiver<Event>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (events, heard) = mpsc::channel();
        tokio::spawn(serve(vec![listener], events));
        (port, heard)
    }

    fn plan(port: u16, directions: &[Direction]) -> Plan {
        Plan {
            host: "127.0.0.1".to_owned(),
            port,
            directions: directions.to_vec(),
            span: Duration::from_millis(300),
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn both_directions_are_measured_at_once() {
        let (port, heard) = server().await;
        let plan = plan(port, &[Direction::Download, Direction::Upload]);
        let mut connected = Vec::new();
        let measured = measure(&plan, |number, direction| connected.push((number, direction)))
            .await
            .unwrap();
        assert_eq!(connected, [(1, Direction::Download), (2, Direction::Upload)]);
        assert!(measured.download > 0 && measured.upload > 0, "{measured:?}");
        assert_eq!(measured.span, plan.span);
        assert!(matches!(heard.recv(), Ok(Event::Connected(1, _))));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_asks_for_nothing_that_is_known_is_served_its_span() {
        let (port, _heard) = server().await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let mut greeting = GREETING;
        stream.read_exact(&mut greeting).await.unwrap();
        stream.write_all(&[0; Request::LENGTH]).await.unwrap();
        let mut report = [7; 8];
        stream.read_exact(&mut report).await.unwrap();
        assert_eq!(report, [0; 8]);
    }

    #[tokio::test]
    async fn what_is_no_server_of_the_speed_test_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        });
        let error = measure(&plan(port, &[Direction::Download]), |_, _| {}).await;
        assert!(error.unwrap_err().to_string().contains("no server"));
    }
}
