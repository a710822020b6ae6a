//! One question to one resolver: by UDP, and by TCP if the answer does not fit a datagram (RFC 7766 §5).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::PATIENCE;
use super::cache::Answer;
use super::message::{HEADER, Question, is_truncated};

/// The longest message.
const MAX_MESSAGE: usize = 65_535;

/// Asks `server`; `None` if it says nothing in time.
pub(super) async fn ask(server: SocketAddr, asked: &[u8]) -> Option<Answer> {
    // A number of our own and a port of our own: who has not seen the question cannot answer it (RFC 5452 §9.2).
    let id: u16 = rand::random();
    let mut message = asked.to_vec();
    message[..2].copy_from_slice(&id.to_be_bytes());
    let whole = timeout(PATIENCE, by_udp(server, &message)).await.ok()?.ok()?;
    if !is_truncated(&whole) {
        return Some(Answer { whole, cut: None });
    }
    match timeout(PATIENCE, by_tcp(server, &message)).await {
        Ok(Ok(longer)) => Some(Answer {
            whole: longer,
            cut: Some(whole),
        }),
        // The asker may have more luck.
        _ => Some(Answer { whole, cut: None }),
    }
}

async fn by_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut answer = Vec::with_capacity(MAX_MESSAGE);
    loop {
        answer.clear();
        socket.recv_buf(&mut answer).await?;
        if answers(message, &answer) {
            answer.shrink_to_fit();
            return Ok(answer);
        }
    }
}

async fn by_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], message].concat())
        .await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    if answers(message, &answer) {
        Ok(answer)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

fn answers(message: &[u8], answer: &[u8]) -> bool {
    answer.len() >= HEADER
        && answer[2] & 0x80 != 0
        && answer[..2] == message[..2]
        && Question::parse(message).is_none_or(|question| question.is_repeated_by(answer))
}
