//! The way of a client to a server's hello: name, TCP, TLS, signature.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use protocol::error::ErrorCode;
use protocol::handshake::{ClientEvent, ClientHandshake, HandshakeError, Hello};
use protocol::pack::Pack;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cipher::Cipher;
use crate::proxy::{self, Proxy, ProxyError};
use crate::tls::{self, CertificateError, Distrust, Fingerprint, TlsStream, Trust};
use crate::underlay;

/// TCP connect, as long as stock clients wait (protocol §1).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshake, and every answer of the negotiation (protocol §1).
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// What one read of the negotiation takes at most.
const READ_BYTES: usize = 16 * 1024;

/// The port when a user names none.
pub const DEFAULT_PORT: u16 = 443;

/// A server as a user writes it: `HOST`, `HOST:PORT`, `[IPV6]:PORT`; port 443 unless named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A text that names no server.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no server address; write HOST, HOST:PORT or [IPV6]:PORT")]
pub struct NotATarget(String);

impl FromStr for Target {
    type Err = NotATarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotATarget(text.to_owned());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self {
                host: address.to_string(),
                port: DEFAULT_PORT,
            });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or_else(wrong)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
                (host, after.strip_prefix(':').or(after.is_empty().then_some("")))
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, Some("")),
            },
        };
        let port = match port.ok_or_else(wrong)? {
            "" if !text.ends_with(':') => DEFAULT_PORT,
            digits => digits.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if host.is_empty() || !host.chars().all(legal) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How this machine's connections leave it. Everything that a session opens, TCP and UDP, goes by one of these.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The proxy in between. Names are looked up by it, and UDP does not go by it.
    pub proxy: Option<Proxy>,
}

/// How far a dial has come; for those who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Asking for the addresses of the name.
    Resolving,
    /// Opening TCP to this address.
    Connecting(SocketAddr),
    /// In the TLS handshake.
    Securing,
    /// Waiting for the server's hello.
    Greeting,
}

/// Why a dial, or the exchange after it, failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("cannot find the address of {host}: {source}; check the name and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// TCP could not be opened to any address.
    #[error("cannot reach {target}: {source}; check the address, the port and firewalls between")]
    Connect {
        /// The server.
        target: Target,
        /// What the kernel said of the last address.
        source: io::Error,
    },
    /// The proxy is out of reach, refuses, or is none.
    #[error("the proxy {proxy} {source}")]
    Proxy {
        /// Where it is.
        proxy: Target,
        /// What went wrong there.
        source: ProxyError,
    },
    /// The certificate is not one that the caller trusts.
    #[error("the certificate of {} is not trusted: {}; its pin is {}", .0.target, .0.why, .0.fingerprint())]
    Untrusted(Box<Untrusted>),
    /// TLS failed for another reason than trust.
    #[error("no TLS with {target}: {source}; is it a VPN server's port?")]
    Tls {
        /// The server.
        target: Target,
        /// What TLS said.
        source: io::Error,
    },
    /// The trust given by the caller cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The peer did not speak the protocol.
    #[error("{target} does not answer like a VPN server: {source}")]
    NotAVpnServer {
        /// The server.
        target: Target,
        /// What was wrong.
        source: HandshakeError,
    },
    /// The peer hung up.
    #[error("{target} closed the connection during the negotiation")]
    Closed {
        /// The server.
        target: Target,
    },
    /// No answer in time.
    #[error("{target} did not answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    Silent {
        /// The server.
        target: Target,
    },
    /// The connection broke.
    #[error("the connection to {target} broke: {source}")]
    Broken {
        /// The server.
        target: Target,
        /// What the kernel or TLS said.
        source: io::Error,
    },
}

/// A server whose certificate was not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The server.
    pub target: Target,
    /// What speaks against the certificate.
    pub why: Distrust,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
}

impl Untrusted {
    /// What to give as a pin if it is the right certificate after all.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }
}

/// A connection whose server has said hello; the first request may follow.
pub struct Dialed {
    target: Target,
    stream: TlsStream,
    handshake: ClientHandshake,
    /// What the server said of itself.
    pub hello: Hello,
    /// The address that this machine talks to, the server's or the proxy's: additional connections go there too, whatever
    /// the name says by then.
    pub peer: SocketAddr,
    /// Our own end.
    pub local: SocketAddr,
    /// The certificate it showed.
    pub certificate: CertificateDer<'static>,
    /// Whether that certificate was proven, by authority or pin.
    pub verified: bool,
}

impl fmt::Debug for Dialed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialed")
            .field("target", &self.target)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Goes straight to the server, as [`Way::dial`] does without a proxy.
///
/// # Errors
/// As [`Way::dial`].
pub async fn dial(
    target: &Target,
    trust: &Trust,
    watch: &mut (dyn FnMut(Stage) + Send),
) -> Result<Dialed, DialError> {
    Way::default().dial(target, trust, watch).await
}

impl Way {
    /// Resolves, connects and says hello; tries every address of the name in turn.
    ///
    /// # Errors
    /// [`DialError`], which tells "unreachable", "untrusted" and "not a VPN server" apart.
    pub async fn dial(
        &self,
        target: &Target,
        trust: &Trust,
        watch: &mut (dyn FnMut(Stage) + Send),
    ) -> Result<Dialed, DialError> {
        let first = self.proxy.as_ref().map_or(target, |proxy| &proxy.server);
        watch(Stage::Resolving);
        let addresses = resolve(first)
            .await
            .map_err(|source| self.unresolved(target, source))?;
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in addresses {
            watch(Stage::Connecting(address));
            match self.open(address).await {
                Ok(tcp) => return self.enter(target, tcp, trust, watch).await,
                Err(error) => last = error,
            }
        }
        Err(self.unreached(target, last))
    }

    /// Like [`dial`](Self::dial), to an address that is known already and by a server that must show the same certificate as
    /// before: the way of an additional connection (protocol §6).
    ///
    /// # Errors
    /// As [`dial`](Self::dial).
    pub async fn dial_again(
        &self,
        target: &Target,
        peer: SocketAddr,
        pin: Fingerprint,
    ) -> Result<Dialed, DialError> {
        let opened = self.open(peer).await;
        let tcp = opened.map_err(|source| self.unreached(target, source))?;
        self.enter(target, tcp, &Trust::Pin(pin), &mut |_| {}).await
    }

    /// Goes on over TCP that is open: through the proxy, where there is one.
    async fn enter(
        &self,
        target: &Target,
        mut tcp: TcpStream,
        trust: &Trust,
        watch: &mut (dyn FnMut(Stage) + Send),
    ) -> Result<Dialed, DialError> {
        if let Some(proxy) = &self.proxy {
            proxy::pass(&mut tcp, proxy, target)
                .await
                .map_err(|source| proxy_failed(proxy, source))?;
        }
        greet(target, tcp, trust, watch).await
    }

    /// Opens TCP.
    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let tcp = timeout(CONNECT_TIMEOUT, underlay::connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    fn unresolved(&self, target: &Target, source: io::Error) -> DialError {
        match &self.proxy {
            Some(proxy) => proxy_failed(proxy, ProxyError::Unresolved(source)),
            None => DialError::Resolve {
                host: target.host.clone(),
                source,
            },
        }
    }

    fn unreached(&self, target: &Target, source: io::Error) -> DialError {
        match &self.proxy {
            Some(proxy) => proxy_failed(proxy, ProxyError::Unreached(source)),
            None => DialError::Connect {
                target: target.clone(),
                source,
            },
        }
    }
}

fn proxy_failed(proxy: &Proxy, source: ProxyError) -> DialError {
    DialError::Proxy {
        proxy: proxy.server.clone(),
        source,
    }
}

async fn resolve(target: &Target) -> io::Result<Vec<SocketAddr>> {
    let found = underlay::resolve(&target.host, target.port).await?;
    if found.is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok(found)
}

async fn greet(
    target: &Target,
    tcp: TcpStream,
    trust: &Trust,
    watch: &mut (dyn FnMut(Stage) + Send),
) -> Result<Dialed, DialError> {
    let broken = |source| DialError::Broken {
        target: target.clone(),
        source,
    };
    let peer = tcp.peer_addr().map_err(broken)?;
    let local = tcp.local_addr().map_err(broken)?;
    watch(Stage::Securing);
    let (mut stream, certificate) = secure(target, tcp, trust).await?;
    watch(Stage::Greeting);
    let mut handshake = ClientHandshake::new(&target.host, SystemTime::now());
    let hello = match next_event(target, &mut stream, &mut handshake).await? {
        ClientEvent::Hello(hello) => hello,
        ClientEvent::Reply(_) => return Err(out_of_turn(target)),
    };
    let verified = !matches!(trust, Trust::Insecure);
    Ok(Dialed {
        target: target.clone(),
        stream,
        handshake,
        hello,
        peer,
        local,
        certificate,
        verified,
    })
}

async fn secure(
    target: &Target,
    tcp: TcpStream,
    trust: &Trust,
) -> Result<(TlsStream, CertificateDer<'static>), DialError> {
    let (config, shown) = tls::client_config(trust)?;
    // A name that is no DNS name (an underscore, say) can only be trusted by pin; an address that no certificate is for stands
    // in for it. The one that answered would not do: whoever answers names can have a certificate for it.
    let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
    let name = ServerName::try_from(target.host.clone()).unwrap_or(nobody);
    let connecting = tls::connect(tcp, config, name);
    let outcome = timeout(ANSWER_TIMEOUT, connecting)
        .await
        .map_err(|_| DialError::Silent {
            target: target.clone(),
        })?;
    match (outcome, shown.certificate()) {
        (Ok(stream), Some(certificate)) => Ok((stream, certificate)),
        (Ok(_), None) => Err(DialError::Tls {
            target: target.clone(),
            source: io::Error::other("no certificate was shown"),
        }),
        (Err(source), Some(certificate)) => match Distrust::of(&source, trust) {
            Some(why) => Err(DialError::Untrusted(Box::new(Untrusted {
                target: target.clone(),
                why,
                certificate,
            }))),
            None => Err(DialError::Tls {
                target: target.clone(),
                source,
            }),
        },
        (Err(source), None) => Err(DialError::Tls {
            target: target.clone(),
            source,
        }),
    }
}

fn out_of_turn(target: &Target) -> DialError {
    DialError::NotAVpnServer {
        target: target.clone(),
        source: HandshakeError::Refused(ErrorCode::Protocol),
    }
}

async fn next_event(
    target: &Target,
    stream: &mut TlsStream,
    handshake: &mut ClientHandshake,
) -> Result<ClientEvent, DialError> {
    let broken = |source| DialError::Broken {
        target: target.clone(),
        source,
    };
    let exchange = async {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            while let Some(bytes) = handshake.poll_output() {
                stream.write_all(&bytes).await.map_err(broken)?;
            }
            stream.flush().await.map_err(broken)?;
            if let Some(event) = handshake.poll_event() {
                return Ok(event);
            }
            let read = match stream.read(&mut buffer).await {
                Ok(0) => {
                    return Err(DialError::Closed {
                        target: target.clone(),
                    });
                }
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(DialError::Closed {
                        target: target.clone(),
                    });
                }
                Err(error) => return Err(broken(error)),
            };
            handshake
                .handle_input(&buffer[..read])
                .map_err(|source| DialError::NotAVpnServer {
                    target: target.clone(),
                    source,
                })?;
        }
    };
    timeout(ANSWER_TIMEOUT, exchange)
        .await
        .map_err(|_| DialError::Silent {
            target: target.clone(),
        })?
}

impl Dialed {
    /// Sends a request and waits for its answer, which may carry an `error`.
    ///
    /// # Errors
    /// When the connection breaks or the answer is none of the protocol's.
    pub async fn request(&mut self, request: &Pack) -> Result<Pack, DialError> {
        self.handshake.send(request);
        match next_event(&self.target, &mut self.stream, &mut self.handshake).await? {
            ClientEvent::Reply(pack) => Ok(pack),
            ClientEvent::Hello(_) => Err(out_of_turn(&self.target)),
        }
    }

    /// The fingerprint of the certificate that the server showed.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
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

    /// Says goodbye: `close_notify` first, as some stock peers need (protocol §1.1).
    pub async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.stream.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_as_users_write_it() {
        for (text, host, port) in [
            ("vpn.example.org", "vpn.example.org", 443),
            ("vpn.example.org:5555", "vpn.example.org", 5555),
            ("203.0.113.1:992", "203.0.113.1", 992),
            ("2001:db8::1", "2001:db8::1", 443),
            ("[2001:db8::1]:8443", "2001:db8::1", 8443),
            ("[2001:db8::1]", "2001:db8::1", 443),
        ] {
            let target = text.parse::<Target>().unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{text}");
        }
    }

    #[test]
    fn a_text_that_names_no_server_is_refused() {
        for text in [
            "",
            ":",
            "host:",
            "host:0",
            "host:65536",
            "host:1:2",
            "[::1",
            "[host]:1",
            "a b",
            "[::1]x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
