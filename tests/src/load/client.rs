//! One session, as small as it can be.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use protocol::block::encode_keepalive;
use protocol::handshake::{
    Auth, ClientEvent, ClientHandshake, ClientVersion, Hello, Login, SessionOptions, Welcome,
};
use protocol::pack::Pack;
use protocol::password::user_hash;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Keep-alives are this far apart; a server ends a session after 20 s without.
const KEEP_ALIVE: Duration = Duration::from_secs(8);

/// The password of every user.
pub const PASSWORD: &str = "Fuji-3776";

/// How users prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The password itself, which our server asks for.
    Password,
    /// The answer to the challenge, the usual way of the stock server.
    Challenge,
}

/// Who logs in, and from where.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The hub.
    pub hub: String,
    /// The user.
    pub user: String,
    /// The address to come from.
    pub source: Ipv4Addr,
    /// Whether to ask for a port that bridges, with as many stations as it likes.
    pub bridge: bool,
}

/// What all sessions with one server share.
#[derive(Clone)]
pub struct Door {
    server: SocketAddr,
    proof: Proof,
    tls: TlsConnector,
}

/// A session that is open.
pub struct Client {
    /// Its TLS stream, in the data stage.
    pub stream: TlsStream<TcpStream>,
    /// What came of the data stage before the stream was taken.
    pub early: Vec<u8>,
    /// The secret by which further connections join it.
    pub key: [u8; 20],
}

impl Door {
    /// The way to a server. TLS sessions are not resumed: as if every client were a machine of its own.
    pub fn to(server: SocketAddr, proof: Proof) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Self {
            server,
            proof,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    /// Logs in.
    pub async fn login(&self, visitor: &Visitor) -> Result<Client> {
        let mut greeted = self.greet(visitor.source).await?;
        let auth = match self.proof {
            Proof::Password => Auth::Plain(PASSWORD.to_owned().into()),
            Proof::Challenge => {
                Auth::Challenge(user_hash(PASSWORD.as_bytes(), &visitor.user).prove(&greeted.hello.random))
            }
        };
        let login = Login {
            hub: visitor.hub.clone(),
            user: visitor.user.clone(),
            auth,
            options: SessionOptions {
                bridge: visitor.bridge,
                ..SessionOptions::default()
            },
            client: ClientVersion {
                product: "Hubward load generator".to_owned(),
                version: protocol::VERSION,
                build: protocol::BUILD,
            },
            client_id: 0,
            unique_id: None,
            node: None,
            os: None,
        };
        let answer = greeted.ask(&login.to_pack()).await?;
        let welcome = match Welcome::from_pack(&answer) {
            Ok(welcome) => welcome,
            Err(code) => bail!("{}/{} is refused: {code}", visitor.hub, visitor.user),
        };
        Ok(Client {
            stream: greeted.stream,
            early: greeted.handshake.into_rest(),
            key: welcome.session_key,
        })
    }

    async fn greet(&self, source: Ipv4Addr) -> Result<Greeted> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((source, 0).into())?;
        let tcp = socket.connect(self.server).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.server.ip().into());
        let stream = self.tls.connect(name, tcp).await.context("TLS")?;
        let handshake = ClientHandshake::new("load", SystemTime::now());
        let mut negotiation = Negotiation { stream, handshake };
        match negotiation.next().await? {
            ClientEvent::Hello(hello) => Ok(Greeted {
                stream: negotiation.stream,
                handshake: negotiation.handshake,
                hello,
            }),
            ClientEvent::Reply(_) => bail!("an answer before the hello"),
        }
    }
}

/// A connection before its request.
struct Negotiation {
    stream: TlsStream<TcpStream>,
    handshake: ClientHandshake,
}

/// A connection whose server has said hello.
struct Greeted {
    stream: TlsStream<TcpStream>,
    handshake: ClientHandshake,
    hello: Hello,
}

impl Greeted {
    async fn ask(&mut self, request: &Pack) -> Result<Pack> {
        self.handshake.send(request);
        match next(&mut self.stream, &mut self.handshake).await? {
            ClientEvent::Reply(answer) => Ok(answer),
            ClientEvent::Hello(_) => bail!("a second hello"),
        }
    }
}

impl Negotiation {
    async fn next(&mut self) -> Result<ClientEvent> {
        next(&mut self.stream, &mut self.handshake).await
    }
}

async fn next(stream: &mut TlsStream<TcpStream>, handshake: &mut ClientHandshake) -> Result<ClientEvent> {
    let mut buffer = vec![0; 4096];
    loop {
        if let Some(event) = handshake.poll_event() {
            return Ok(event);
        }
        while let Some(bytes) = handshake.poll_output() {
            stream.write_all(&bytes).await?;
        }
        stream.flush().await?;
        let read = stream.read(&mut buffer).await?;
        anyhow::ensure!(read > 0, "the server hung up during the negotiation");
        handshake.handle_input(&buffer[..read])?;
    }
}

impl Client {
    /// Stays, until the server ends the session.
    ///
    /// # Errors
    /// Always in the end: why it is over.
    pub async fn idle(mut self) -> Result<()> {
        // Not on this task's stack frame: ten thousand of them wait.
        let mut keep_alive = BytesMut::new();
        let mut next = tokio::time::Instant::now() + KEEP_ALIVE.mul_f64(f64::from(self.key[0]) / 256.0);
        let mut bytes = [0; 256];
        loop {
            tokio::select! {
                read = self.stream.read(&mut bytes) => {
                    anyhow::ensure!(read? > 0, "the server hung up");
                }
                () = tokio::time::sleep_until(next) => {
                    keep_alive.clear();
                    encode_keepalive(&self.key, &mut keep_alive);
                    self.stream.write_all(&keep_alive).await?;
                    self.stream.flush().await?;
                    next += KEEP_ALIVE;
                }
            }
        }
    }
}

/// Believes every server: they are on the machine.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
