//! The TLS handshake, made by rustls on a TCP connection, up to the traffic secrets.

use std::io;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{ClientConfig, Error, ExtractedSecrets, ServerConfig, SupportedCipherSuite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::record::{HEADER, Kernel, MAX_BODY};
use super::stream::TlsStream;

/// What one read takes at most: a stranger is on the other side.
const READ_BYTES: usize = 4 * 1024;

/// Makes the server's side of a handshake.
///
/// # Errors
/// `UnexpectedEof` when the peer hangs up; else what rustls holds against it, as [`rustls::Error`] inside.
pub(crate) async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream> {
    let connection = UnbufferedServerConnection::new(config).map_err(refused)?;
    run(tcp, Side::Server(connection)).await
}

/// Makes the client's side of a handshake.
///
/// # Errors
/// As [`accept`].
pub(crate) async fn connect(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<TlsStream> {
    let connection = UnbufferedClientConnection::new(config, name).map_err(refused)?;
    run(tcp, Side::Client(connection)).await
}

/// An error of rustls on the way of errors of streams.
pub(super) fn refused(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

enum Side {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What comes next.
enum Next {
    /// More of rustls' own work.
    Again,
    /// What was written must be sent.
    Send,
    /// A record of the peer.
    Record,
    /// The peer hung up.
    Closed,
}

impl Side {
    fn is_handshaking(&self) -> bool {
        match self {
            Self::Client(connection) => connection.is_handshaking(),
            Self::Server(connection) => connection.is_handshaking(),
        }
    }

    /// Lets rustls work on `input` and write to `output`: the bytes of `input` that it is done with, and what comes next.
    fn step(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> (usize, Result<Next, Error>) {
        match self {
            Self::Client(connection) => settle(connection.process_tls_records(input), output),
            Self::Server(connection) => settle(connection.process_tls_records(input), output),
        }
    }

    fn suite(&self) -> Option<SupportedCipherSuite> {
        match self {
            Self::Client(connection) => connection.negotiated_cipher_suite(),
            Self::Server(connection) => connection.negotiated_cipher_suite(),
        }
    }

    fn into_secrets(self) -> Result<(ExtractedSecrets, Kernel), Error> {
        Ok(match self {
            Self::Client(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Kernel::Client(kernel))
            }
            Self::Server(connection) => {
                let (secrets, kernel) = connection.dangerous_into_kernel_connection()?;
                (secrets, Kernel::Server(kernel))
            }
        })
    }
}

fn settle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    output: &mut Vec<u8>,
) -> (usize, Result<Next, Error>) {
    let UnbufferedStatus { discard, state, .. } = status;
    let next = state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(mut data) => {
            // Asked for its size first, rustls says it in the error.
            let start = output.len();
            let mut room = 0;
            loop {
                output.resize(start + room, 0);
                match data.encode(&mut output[start..]) {
                    Ok(written) => {
                        output.truncate(start + written);
                        return Ok(Next::Again);
                    }
                    Err(rustls::unbuffered::EncodeError::InsufficientSize(size)) => {
                        room = size.required_size;
                    }
                    Err(error) => return Err(Error::General(error.to_string())),
                }
            }
        }
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Next::Send)
        }
        ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_) => Ok(Next::Record),
        ConnectionState::PeerClosed | ConnectionState::Closed => Ok(Next::Closed),
        // rustls is given no record beyond its handshake, and neither side offers early data.
        _ => Err(Error::General("data before the end of the handshake".into())),
    });
    (discard, next)
}

async fn run(mut tcp: TcpStream, mut side: Side) -> io::Result<TlsStream> {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    // rustls is shown one record more each time, so that those behind the handshake are left to us.
    let mut shown = 0;
    loop {
        let (done_with, next) = side.step(&mut input[..shown], &mut output);
        input.drain(..done_with);
        shown -= done_with;
        match next {
            Ok(Next::Again) => {}
            Ok(Next::Send) => {
                tcp.write_all(&output).await?;
                output.clear();
            }
            Ok(Next::Record) if !side.is_handshaking() => break,
            Ok(Next::Record) => loop {
                if let Some(end) = record_end(&input[shown..]) {
                    shown += end;
                    break;
                }
                input.reserve(READ_BYTES);
                if (&mut tcp).take(READ_BYTES as u64).read_buf(&mut input).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            },
            Ok(Next::Closed) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => {
                last_words(&tcp, &mut side, &mut input[..shown], output);
                return Err(refused(error));
            }
        }
    }
    if shown > 0 {
        return Err(refused(Error::General(
            "half a message behind the handshake".into(),
        )));
    }
    let suite = side.suite().ok_or(Error::HandshakeNotComplete).map_err(refused)?;
    let (secrets, kernel) = side.into_secrets().map_err(refused)?;
    TlsStream::new(tcp, suite, &secrets, kernel, &input).map_err(refused)
}

/// The end of the first record, once it is there. What does not look like one is shown to rustls as it is.
fn record_end(bytes: &[u8]) -> Option<usize> {
    let header = bytes.first_chunk::<HEADER>()?;
    let body = usize::from(u16::from_be_bytes([header[3], header[4]]));
    if !(20..=23).contains(&header[0]) || header[1] != 3 || body > MAX_BODY {
        return Some(bytes.len());
    }
    (bytes.len() >= HEADER + body).then_some(HEADER + body)
}

/// Sends the alert that says why, if there is one and the socket takes it at once. After an error rustls gives out what it has
/// to say before it looks at `shown` again, which it must not be asked to do twice.
fn last_words(tcp: &TcpStream, side: &mut Side, shown: &mut [u8], mut output: Vec<u8>) {
    let _ = side.step(shown, &mut output);
    if !output.is_empty() {
        let _ = tcp.try_write(&output);
    }
}
