//! Somebody between a client and a server: ends the TLS of both, passes on what either says, and keeps it for reading.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use rcgen::{Certificate, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ClientConnection, Connection, ServerConfig, ServerConnection};

use crate::host::Host;
use crate::process::IN_TIME;
use crate::stranger;

/// What one side said on one TCP connection, HTTP and data stage, in clear.
type Said = Arc<Mutex<Vec<u8>>>;

/// What both sides said on one TCP connection.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    client: Said,
    server: Said,
}

/// A running interceptor. It ends with the test's process.
#[derive(Debug)]
pub struct Interceptor {
    heard: Arc<Mutex<Vec<Conversation>>>,
}

/// One end of an intercepted connection. Nobody waits for a socket while holding `tls`, so that neither way can stop the
/// other; `writing` keeps records in order.
struct End {
    socket: TcpStream,
    tls: Mutex<Connection>,
    writing: Mutex<()>,
}

impl Interceptor {
    /// Listens on `host` and passes every connection on to `server`, as that host reaches it.
    pub fn start(host: &Host, listen: SocketAddr, server: SocketAddr) -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["between".to_owned()])?;
        Self::showing(host, listen, server, &[certified.cert], &certified.signing_key)
    }

    /// The same, showing these certificates to clients.
    pub fn showing(
        host: &Host,
        listen: SocketAddr,
        server: SocketAddr,
        chain: &[Certificate],
        key: &KeyPair,
    ) -> Result<Self> {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let chain = chain
            .iter()
            .map(|certificate| certificate.der().clone())
            .collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())?;
        let config = Arc::new(config);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        // A thread stays on the network of the one that began it.
        host.within(|| -> Result<()> {
            let listener = TcpListener::bind(listen).with_context(|| format!("{listen}"))?;
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let (config, keep) = (Arc::clone(&config), Arc::clone(&keep));
                    std::thread::spawn(move || {
                        // A connection that fails here fails at both ends, which the test sees.
                        let _ = intercept(client, server, config, &keep);
                    });
                }
            });
            Ok(())
        })??;
        Ok(Self { heard })
    }

    /// What was said so far, connection by connection.
    #[must_use]
    pub fn heard(&self) -> Vec<Conversation> {
        lock(&self.heard).clone()
    }
}

impl Conversation {
    /// What the client said.
    #[must_use]
    pub fn from_client(&self) -> Vec<u8> {
        lock(&self.client).clone()
    }

    /// What the server said.
    #[must_use]
    pub fn from_server(&self) -> Vec<u8> {
        lock(&self.server).clone()
    }
}

fn intercept(
    client: TcpStream,
    server: SocketAddr,
    config: Arc<ServerConfig>,
    heard: &Mutex<Vec<Conversation>>,
) -> Result<()> {
    let accepted = End::secured(client, ServerConnection::new(config)?.into())?;
    let outward = TcpStream::connect_timeout(&server, IN_TIME)?;
    let connection = ClientConnection::new(stranger::config()?, server.ip().into())?;
    let dialed = End::secured(outward, connection.into())?;
    let conversation = Conversation::default();
    lock(heard).push(conversation.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| accepted.pass_on(&dialed, &conversation.client));
        scope.spawn(|| dialed.pass_on(&accepted, &conversation.server));
    });
    Ok(())
}

impl End {
    fn secured(socket: TcpStream, mut tls: Connection) -> Result<Self> {
        socket.set_nodelay(true)?;
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            tls.complete_io(&mut &socket)?;
        }
        Ok(Self {
            socket,
            tls: Mutex::new(tls),
            writing: Mutex::new(()),
        })
    }

    /// Passes on everything this end says until it, or the other end, is closed; then both are.
    fn pass_on(&self, to: &Self, said: &Mutex<Vec<u8>>) {
        let passed = self.pass_on_while_open(to, said);
        lock(&to.tls).send_close_notify();
        let _ = passed.and_then(|()| to.say(&[]));
        for end in [self, to] {
            let _ = end.socket.shutdown(Shutdown::Both);
        }
    }

    fn pass_on_while_open(&self, to: &Self, said: &Mutex<Vec<u8>>) -> Result<()> {
        let mut sealed = vec![0; 64 * 1024];
        self.hand_over(to, said)?;
        loop {
            let length = (&self.socket).read(&mut sealed)?;
            if length == 0 {
                return Ok(());
            }
            let mut rest = &sealed[..length];
            while !rest.is_empty() {
                {
                    let mut tls = lock(&self.tls);
                    ensure!(tls.read_tls(&mut rest)? > 0, "no more is read");
                    tls.process_new_packets()?;
                }
                // At once, for what is opened and not taken has a bound.
                self.hand_over(to, said)?;
            }
        }
    }

    /// Passes on what has arrived here.
    fn hand_over(&self, to: &Self, said: &Mutex<Vec<u8>>) -> Result<()> {
        let mut plain = Vec::new();
        match lock(&self.tls).reader().read_to_end(&mut plain) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if plain.is_empty() {
            return Ok(());
        }
        lock(said).extend_from_slice(&plain);
        to.say(&plain)
    }

    fn say(&self, plain: &[u8]) -> Result<()> {
        let _in_order = lock(&self.writing);
        let mut sealed = Vec::new();
        {
            let mut tls = lock(&self.tls);
            tls.writer().write_all(plain)?;
            while tls.wants_write() {
                tls.write_tls(&mut sealed)?;
            }
        }
        (&self.socket).write_all(&sealed)?;
        Ok(())
    }
}

/// The data stage of what one side said: the words that say how long a block is, in order, keep-alives left out. Read by hand
/// from protocol §7.1, so that a mistake of our own codec cannot hide in it.
pub fn block_sizes(said: &[u8]) -> Result<Vec<u32>> {
    let mut rest = data_stage(said)?;
    let mut sizes = Vec::new();
    while let Some(count) = word(&mut rest) {
        let keepalive = count == u32::MAX;
        for _ in 0..if keepalive { 1 } else { count } {
            let Some(size) = word(&mut rest) else {
                return Ok(sizes);
            };
            if !keepalive {
                sizes.push(size);
            }
            let length = (size & 0x7fff_ffff) as usize;
            let Some(behind) = rest.get(length..) else {
                return Ok(sizes);
            };
            rest = behind;
        }
    }
    Ok(sizes)
}

/// What comes behind the HTTP messages.
fn data_stage(mut said: &[u8]) -> Result<&[u8]> {
    const STARTS: [&[u8]; 3] = [b"GET ", b"POST ", b"HTTP/1.1 "];
    while STARTS.iter().any(|start| said.starts_with(start)) {
        let end = said.windows(4).position(|window| window == b"\r\n\r\n");
        let (head, rest) = said.split_at(end.context("a head without an end")? + 4);
        let length = String::from_utf8_lossy(head)
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(Ok(0), |(_, value)| value.trim().parse::<usize>())?;
        said = rest.get(length..).context("a body without an end")?;
    }
    Ok(said)
}

fn word(rest: &mut &[u8]) -> Option<u32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*word))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
