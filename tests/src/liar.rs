//! A server that lies: it shakes hands as far as its lie needs, in the protocol's own words, and then does what no server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use bytes::BytesMut;
use protocol::block::{BlockEncoder, encode_keepalive};
use protocol::error::ErrorCode;
use protocol::handshake::{Hello, Request, ServerHandshake, Welcome};
use protocol::pack::Pack;
use protocol::policy::Policy;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::host::Host;
use crate::process::{IN_TIME, eventually};

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// It speaks another protocol, and no TLS.
    OtherProtocol,
    /// These bytes are its answer to the first request inside TLS.
    Answer(Vec<u8>),
    /// It never answers the first request.
    Silence,
    /// The welcome has no session key.
    NoSessionKey,
    /// The welcome is a PACK with these bytes.
    Welcome(Vec<u8>),
    /// It hangs up as soon as a session stands.
    EndsEverySession,
    /// It sends these bytes in the data stage, and reads on.
    Says(Vec<u8>),
    /// It sends one frame after the other, as fast as it can.
    Floods,
    /// It reads nothing in the data stage, and keeps the session alive.
    StopsReading,
}

/// A running one. It ends with the test's process.
#[derive(Debug)]
pub struct Liar {
    logins: Arc<AtomicUsize>,
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// What a lie needs.
struct Part {
    lie: Lie,
    logins: Arc<AtomicUsize>,
    config: Arc<ServerConfig>,
}

impl Liar {
    /// Listens on `host`.
    pub fn start(host: &Host, listen: SocketAddr, lie: Lie) -> Result<Self> {
        let logins = Arc::new(AtomicUsize::new(0));
        let part = Arc::new(Part {
            lie,
            logins: logins.clone(),
            config: config()?,
        });
        // A thread stays on the network of the one that began it.
        host.within(|| -> Result<()> {
            let listener = TcpListener::bind(listen).with_context(|| format!("{listen}"))?;
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let part = part.clone();
                    // A client that hangs up has seen through it, which the test sees.
                    std::thread::spawn(move || part.serve(client).ok());
                }
            });
            Ok(())
        })??;
        Ok(Self { logins })
    }

    /// How often somebody has logged in.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.logins.load(Ordering::Relaxed)
    }

    /// Waits until so many logins have come.
    pub fn await_logins(&self, count: usize) -> Result<()> {
        eventually(IN_TIME, &format!("{count} logins"), || {
            Ok((self.logins() >= count).then_some(()))
        })
    }
}

fn config() -> Result<Arc<ServerConfig>> {
    let certified = rcgen::generate_simple_self_signed(["liar".to_owned()])?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    Ok(Arc::new(config))
}

impl Part {
    fn serve(&self, mut client: TcpStream) -> Result<()> {
        if self.lie == Lie::OtherProtocol {
            client.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")?;
            return wait_for_the_end(&mut client);
        }
        let connection = ServerConnection::new(self.config.clone())?;
        let mut stream = StreamOwned::new(connection, client);
        match &self.lie {
            Lie::Answer(answer) => {
                let mut request = [0; 4096];
                if stream.read(&mut request)? == 0 {
                    return Ok(());
                }
                stream.write_all(answer)?;
                stream.flush()?;
                return wait_for_the_end(&mut stream);
            }
            Lie::Silence => return wait_for_the_end(&mut stream),
            _ => {}
        }
        if self.shake_hands(&mut stream)? {
            self.lie_in_the_data_stage(stream)?;
        }
        Ok(())
    }

    /// Goes through the negotiation; whether a data stage follows.
    fn shake_hands(&self, stream: &mut Stream) -> Result<bool> {
        let hello = Hello {
            product: "Liar".to_owned(),
            version: 444,
            build: 9807,
            random: [7; 20],
            wants_password: false,
        };
        let mut handshake = ServerHandshake::new(hello, SystemTime::now());
        let mut input = [0; 16 * 1024];
        loop {
            if let Some(request) = handshake.poll_request() {
                match request {
                    Request::Login(_) => {
                        self.logins.fetch_add(1, Ordering::Relaxed);
                        if let Lie::Welcome(body) = &self.lie {
                            stream.write_all(&http(body))?;
                            stream.flush()?;
                            wait_for_the_end(stream)?;
                            return Ok(false);
                        }
                        handshake.reply(&self.welcome());
                    }
                    // The session is forgotten as soon as its connection is.
                    _ => handshake.refuse(ErrorCode::SessionTimeout),
                }
            }
            while let Some(bytes) = handshake.poll_output() {
                stream.write_all(&bytes)?;
            }
            stream.flush()?;
            if handshake.is_established() {
                return Ok(true);
            }
            if handshake.is_closing() {
                wait_for_the_end(stream)?;
                return Ok(false);
            }
            let read = stream.read(&mut input)?;
            if read == 0 {
                return Ok(false);
            }
            handshake.handle_input(&input[..read])?;
        }
    }

    fn welcome(&self) -> Pack {
        let welcome = Welcome {
            session_name: "SID-LIAR-1".to_owned(),
            connection_name: "CID-1".to_owned(),
            session_key: [9; 20],
            session_key_32: 9,
            max_connection: 1,
            use_encrypt: true,
            use_compress: false,
            half_connection: false,
            qos: false,
            timeout_ms: 20_000,
            vlan_id: 0,
            policy: Policy::default(),
            message: String::new(),
            no_update_notice: true,
            udp: None,
            super_frames: false,
        };
        let mut pack = welcome.to_pack();
        if self.lie == Lie::NoSessionKey {
            pack.remove("session_key");
        }
        pack
    }

    fn lie_in_the_data_stage(&self, mut stream: Stream) -> Result<()> {
        match &self.lie {
            Lie::Says(bytes) => {
                stream.write_all(bytes)?;
                stream.flush()?;
                wait_for_the_end(&mut stream)
            }
            Lie::Floods => {
                let mut block = BytesMut::new();
                let frame = frame();
                BlockEncoder::new(false).encode_group((0..64).map(|_| &frame[..]), &mut block);
                loop {
                    stream.write_all(&block)?;
                }
            }
            Lie::StopsReading => loop {
                let mut block = BytesMut::new();
                encode_keepalive(b"alive", &mut block);
                stream.write_all(&block)?;
                stream.flush()?;
                std::thread::sleep(Duration::from_secs(2));
            },
            _ => {
                stream.conn.send_close_notify();
                stream.flush()?;
                Ok(())
            }
        }
    }
}

/// A frame for everybody, as long as an Ethernet frame may be.
fn frame() -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 0x88, 0xb5]);
    frame.resize(1514, 0x5a);
    frame
}

/// An answer of the server with this body.
pub fn http(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: Keep-Alive\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads, and does nothing else, until the client has had enough.
fn wait_for_the_end(stream: &mut impl Read) -> Result<()> {
    let begun = Instant::now();
    let mut input = [0; 4096];
    while begun.elapsed() < IN_TIME {
        match stream.read(&mut input) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io::Error::from(error.kind()).into()),
        }
    }
    Ok(())
}
