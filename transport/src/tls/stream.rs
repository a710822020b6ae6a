//! A TLS connection after its handshake: a stream for the negotiation and for HTTP, and, taken apart, the two directions
//! of the data stage.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use rustls::{CipherSuite, Error, ExtractedSecrets, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::handshake::refused;
use super::record::{Kernel, MAX_PLAIN, Opener, Refusal, Schedule, Sealed, Sealer};
use super::scratch;

/// What one read takes at most: a stranger may be on the other side.
const READ_BYTES: usize = 16 * 1024;

/// A TLS connection to a client or a server.
pub struct TlsStream {
    tcp: TcpStream,
    suite: CipherSuite,
    intake: Intake,
    sealer: Sealer,
    /// Opened and not yet read.
    plain: BytesMut,
    /// Sealed and not yet taken by the socket.
    pending: BytesMut,
    said_goodbye: bool,
}

impl std::fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsStream")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

/// What a connection is in its data stage.
pub(crate) struct Parts {
    pub(crate) tcp: TcpStream,
    pub(crate) intake: Intake,
    pub(crate) sealer: Sealer,
    pub(crate) plain: BytesMut,
    pub(crate) pending: BytesMut,
}

impl TlsStream {
    pub(super) fn new(
        tcp: TcpStream,
        suite: SupportedCipherSuite,
        secrets: &ExtractedSecrets,
        kernel: Kernel,
        early: &[u8],
    ) -> Result<Self, Error> {
        let limit = match suite {
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        };
        let version = suite.version().version;
        let schedule = Schedule::new(kernel);
        Ok(Self {
            tcp,
            suite: suite.suite(),
            intake: Intake {
                opener: Opener::new(&secrets.rx, version, schedule.clone())?,
                partial: early.to_vec(),
            },
            sealer: Sealer::new(&secrets.tx, version, limit, schedule)?,
            plain: BytesMut::new(),
            pending: BytesMut::new(),
            said_goodbye: false,
        })
    }

    /// The cipher suite that both ends agreed on.
    pub(crate) fn suite(&self) -> CipherSuite {
        self.suite
    }

    /// Takes it apart for the data stage.
    pub(crate) fn into_parts(self) -> Parts {
        Parts {
            tcp: self.tcp,
            intake: self.intake,
            sealer: self.sealer,
            plain: self.plain,
            pending: self.pending,
        }
    }

    /// Seals something, and sends what the socket takes at once.
    fn put(&mut self, seal: impl FnOnce(&mut Sealer, &mut Sealed) -> Result<(), Error>) -> Result<(), Error> {
        scratch::sealed(|sealed| {
            let outcome = seal(&mut self.sealer, sealed);
            self.pending.extend_from_slice(sealed.bytes());
            outcome
        })
    }

    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.tcp).poll_write(cx, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.advance(written);
        }
        self.pending = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Opens what the peer has sent, until there is data, an end or nothing more.
    fn poll_intake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Self {
                tcp, intake, plain, ..
            } = self;
            let mut pending = false;
            let outcome = intake.read(
                READ_BYTES,
                plain,
                |_, _| {},
                |room| {
                    let mut room = ReadBuf::new(room);
                    match Pin::new(tcp).poll_read(cx, &mut room) {
                        Poll::Ready(outcome) => outcome.map(|()| room.filled().len()),
                        Poll::Pending => {
                            pending = true;
                            Err(io::ErrorKind::WouldBlock.into())
                        }
                    }
                },
            );
            if let Some(answer) = self.intake.opener.poll_answer() {
                self.put(|sealer, sealed| sealer.answer(answer, sealed))
                    .map_err(refused)?;
                // If the socket is full, it is sent before what is written next.
                let _ = self.poll_pending(cx)?;
            }
            match outcome {
                _ if pending => return Poll::Pending,
                Err(ReadError::Io(error)) => return Poll::Ready(Err(error)),
                Err(ReadError::Refused(Refusal { alert, error })) => {
                    if let Some(alert) = alert
                        && self.put(|sealer, sealed| sealer.alert(alert, sealed)).is_ok()
                    {
                        let _ = self.poll_pending(cx);
                    }
                    return Poll::Ready(Err(refused(error)));
                }
                Ok(_) if !self.plain.is_empty() || self.intake.opener.is_closed() => {
                    return Poll::Ready(Ok(()));
                }
                // An end without goodbye may be an attacker's.
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.plain.is_empty() && !this.intake.opener.is_closed() && out.remaining() > 0 {
            ready!(this.poll_intake(cx))?;
        }
        let len = this.plain.len().min(out.remaining());
        out.put_slice(&this.plain[..len]);
        this.plain.advance(len);
        if this.plain.is_empty() {
            this.plain = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_pending(cx))?;
        let part = &bytes[..bytes.len().min(MAX_PLAIN)];
        this.put(|sealer, sealed| sealer.seal(part, sealed))
            .map_err(refused)?;
        // What the socket does not take now is taken by the next call.
        if let Poll::Ready(Err(error)) = this.poll_pending(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_pending(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.said_goodbye {
            this.said_goodbye = true;
            this.put(Sealer::close_notify).map_err(refused)?;
        }
        ready!(this.poll_pending(cx))?;
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}

/// Why a read failed.
pub(crate) enum ReadError {
    Io(io::Error),
    Refused(Refusal),
}

/// The receiving direction with what of a record has come so far.
pub(crate) struct Intake {
    pub(crate) opener: Opener,
    partial: Vec<u8>,
}

impl Intake {
    /// Calls `read` once, for at most `most` bytes, and appends what they open to `plain`. Returns what `read` did, 0 being
    /// the stream's end. Records that were there before are opened first, without reading.
    pub(crate) fn read(
        &mut self,
        most: usize,
        plain: &mut BytesMut,
        prepare: impl FnOnce(&mut BytesMut, usize),
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> Result<usize, ReadError> {
        if super::record::holds_record(&self.partial) {
            let input = std::mem::take(&mut self.partial);
            prepare(plain, input.len());
            self.open(&input, plain)?;
            return Ok(input.len());
        }
        scratch::incoming(|room| {
            let start = self.partial.len();
            let end = (start + most).min(room.len());
            room[..start].copy_from_slice(&self.partial);
            let len = read(&mut room[start..end]).map_err(ReadError::Io)?;
            prepare(plain, start + len);
            self.open(&room[..start + len], plain)?;
            Ok(len)
        })
    }

    fn open(&mut self, input: &[u8], plain: &mut BytesMut) -> Result<(), ReadError> {
        let opened = self.opener.open(input, plain).map_err(ReadError::Refused)?;
        let rest = &input[opened..];
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        Ok(())
    }
}
