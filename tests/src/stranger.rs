//! Peers that mean no good: TLS spoken by hand, without a protocol behind it and without belief in certificates.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use crate::host::Host;
use crate::process::IN_TIME;

/// A TCP connection from `host`.
pub fn tcp(host: &Host, server: SocketAddr) -> Result<TcpStream> {
    Ok(host.within(|| TcpStream::connect_timeout(&server, IN_TIME))??)
}

/// A TLS connection from `host`, with whatever certificate the server shows.
pub fn tls(host: &Host, server: SocketAddr) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let connection = ClientConnection::new(config()?, ServerName::from(server.ip()))?;
    let mut stream = StreamOwned::new(connection, tcp(host, server)?);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// TLS that believes everybody.
pub(crate) fn config() -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// How long the server keeps a connection that does nothing more but read; an error when it is longer than `patience`.
pub fn shown_out(stream: &mut impl Read, socket: &TcpStream, patience: Duration) -> Result<Duration> {
    let begun = Instant::now();
    socket.set_read_timeout(Some(patience))?;
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(begun.elapsed()),
            Ok(_) if begun.elapsed() < patience => {}
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(begun.elapsed());
            }
            _ => anyhow::bail!("still connected after {patience:?}"),
        }
    }
}

/// Sends one byte a second until the server has had enough, and says how long that took.
pub fn drip(
    stream: &mut impl Write,
    bytes: impl Iterator<Item = u8>,
    patience: Duration,
) -> Result<Duration> {
    let begun = Instant::now();
    for byte in bytes {
        if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
            return Ok(begun.elapsed());
        }
        anyhow::ensure!(begun.elapsed() < patience, "still listened to after {patience:?}");
        // The slowness is the attack.
        std::thread::sleep(Duration::from_secs(1));
    }
    anyhow::bail!("everything was taken")
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, schemes)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let schemes = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, schemes)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
