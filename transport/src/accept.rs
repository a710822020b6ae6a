//! The server's side of the negotiation: from an accepted TCP connection to the peer's request.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use protocol::error::ErrorCode;
use protocol::handshake::{HandshakeError, Hello, Request, ServerHandshake};
use protocol::pack::Pack;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cipher::Cipher;
use crate::tls::{self, TlsStream};

/// How long a stranger may take from the first byte to a login (protocol §1).
pub const NEGOTIATION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a refused peer is waited for, so that the refusal is read before the connection goes.
const FAREWELL: Duration = Duration::from_secs(1);
/// What one read of the negotiation takes at most.
const READ_BYTES: usize = 4 * 1024;

/// Why a negotiation ended without a request.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// No TLS came of it.
    #[error("no TLS handshake: {0}")]
    Tls(io::Error),
    /// The peer hung up.
    #[error("hung up during the negotiation")]
    Closed,
    /// The peer asked for something that makes no sense, and was told so.
    #[error("asked for something that makes no sense")]
    Senseless,
    /// The peer broke the protocol or a limit.
    #[error(transparent)]
    Protocol(#[from] HandshakeError),
    /// The connection broke.
    #[error("broke during the negotiation: {0}")]
    Broken(io::Error),
}

/// What a peer turned out to be there for.
#[derive(Debug)]
pub enum Asked {
    /// A request of the VPN protocol, to be answered.
    Request(Request),
    /// The JSON interface: HTTP from [`Negotiation::into_stream`] on, the early bytes first.
    Api,
}

/// A peer in the negotiation stage.
pub struct Negotiation {
    stream: TlsStream,
    handshake: ServerHandshake,
    random: [u8; 20],
    peer: SocketAddr,
    local: SocketAddr,
}

impl Negotiation {
    /// Takes the TCP connection through its TLS handshake. The caller bounds the time.
    ///
    /// # Errors
    /// When the peer does not speak TLS 1.2 or 1.3 or hangs up.
    pub async fn begin(tcp: TcpStream, tls: Arc<ServerConfig>, hello: Hello) -> Result<Self, AcceptError> {
        let peer = tcp.peer_addr().map_err(AcceptError::Broken)?;
        let local = tcp.local_addr().map_err(AcceptError::Broken)?;
        tcp.set_nodelay(true).map_err(AcceptError::Broken)?;
        let stream = tls::accept(tcp, tls).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => AcceptError::Closed,
            _ => AcceptError::Tls(error),
        })?;
        let random = hello.random;
        Ok(Self {
            stream,
            handshake: ServerHandshake::new(hello, SystemTime::now()),
            random,
            peer,
            local,
        })
    }

    /// The next request of the peer. The caller bounds the time.
    ///
    /// # Errors
    /// When the peer hangs up or breaks the protocol; what the protocol says to such a peer has been sent by then.
    pub async fn request(&mut self) -> Result<Asked, AcceptError> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            if let Some(request) = self.handshake.poll_request() {
                return Ok(Asked::Request(request));
            }
            self.send_pending().await?;
            if self.handshake.is_api() {
                return Ok(Asked::Api);
            }
            let read = match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(AcceptError::Closed),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(AcceptError::Closed);
                }
                Err(error) => return Err(AcceptError::Broken(error)),
            };
            let verdict = self.handshake.handle_input(&buffer[..read]);
            self.send_pending().await?;
            verdict?;
            if self.handshake.is_closing() {
                return Err(AcceptError::Senseless);
            }
        }
    }

    /// Answers the request.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn reply(&mut self, answer: &Pack) -> Result<(), AcceptError> {
        self.handshake.reply(answer);
        self.send_pending().await
    }

    /// Answers with an error and ends the connection once the peer has had the time to read it.
    pub async fn refuse(mut self, code: ErrorCode) {
        self.handshake.refuse(code);
        if self.send_pending().await.is_ok() {
            let mut rest = [0; 256];
            let _ = timeout(FAREWELL, async {
                while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {}
            })
            .await;
        }
        self.close().await;
    }

    /// Says goodbye with `close_notify`, which some stock peers need (protocol §1.1).
    pub async fn close(mut self) {
        let _ = timeout(FAREWELL, self.stream.shutdown()).await;
    }

    async fn send_pending(&mut self) -> Result<(), AcceptError> {
        while let Some(bytes) = self.handshake.poll_output() {
            self.stream.write_all(&bytes).await.map_err(AcceptError::Broken)?;
        }
        self.stream.flush().await.map_err(AcceptError::Broken)
    }

    /// The challenge that this connection's hello carried.
    #[must_use]
    pub fn random(&self) -> &[u8; 20] {
        &self.random
    }

    /// The peer's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our own end.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The cipher suite that the connection uses.
    #[must_use]
    pub fn cipher(&self) -> Option<Cipher> {
        Cipher::agreed(&self.stream)
    }

    /// The bare stream for the stage after the negotiation, and the bytes of that stage that came early.
    #[must_use]
    pub fn into_stream(self) -> (TlsStream, Vec<u8>) {
        (self.stream, self.handshake.into_rest())
    }
}
