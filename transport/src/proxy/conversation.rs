//! What is said to a proxy until it carries bytes: bytes in, bytes out.

use std::fmt;

use bytes::BytesMut;
use protocol::http::HeadReader;
use zeroize::Zeroizing;

use super::place::{Kind, Login, Proxy};
use super::{ProxyError, http, socks};
use crate::dial::Target;

/// A conversation with one proxy about one server.
///
/// The first message is in the output at once. Feed what the proxy says to [`handle_input`](Self::handle_input) until
/// [`is_open`](Self::is_open): from then on every byte is between us and the server.
pub struct Conversation {
    target: Target,
    stage: Stage,
    input: BytesMut,
    output: Option<Zeroizing<Vec<u8>>>,
}

#[derive(Debug)]
enum Stage {
    /// `CONNECT` is out; `said` is whether a name and password were in it.
    Http {
        reader: HeadReader,
        said: bool,
    },
    /// The ways to log in are offered.
    Methods(Option<Login>),
    /// Name and password are out.
    Password,
    /// The request is out.
    Connect5,
    /// The one message of version 4 is out.
    Connect4,
    Open,
    Failed,
}

/// Without what is to be said, which may hold the password.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("target", &self.target)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Conversation {
    /// Begins.
    ///
    /// # Errors
    /// [`ProxyError::Unspeakable`]: a name is too long for the protocol, or it has no words for what is wanted.
    pub fn new(proxy: &Proxy, target: &Target) -> Result<Self, ProxyError> {
        let login = proxy.login.clone();
        let (stage, first) = match proxy.kind {
            Kind::Http => {
                // RFC 7617 §2: the name ends at the first colon.
                if login.as_ref().is_some_and(|login| login.user.contains(':')) {
                    return Err(ProxyError::Unspeakable("in HTTP a user name has no colon"));
                }
                let request = http::connect(target, login.as_ref(), &proxy.headers);
                let reader = HeadReader::new();
                let said = login.is_some();
                (Stage::Http { reader, said }, request)
            }
            Kind::Socks5 => {
                socks::check(target, login.as_ref())?;
                let offer = socks::methods(login.is_some());
                (Stage::Methods(login), Zeroizing::new(offer))
            }
            Kind::Socks4 => (
                Stage::Connect4,
                Zeroizing::new(socks::connect4(target, login.as_ref())?),
            ),
        };
        Ok(Self {
            target: target.clone(),
            stage,
            input: BytesMut::new(),
            output: Some(first),
        })
    }

    /// The next bytes for the proxy, which may hold the password.
    pub fn poll_output(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        self.output.take()
    }

    /// Whether the proxy carries bytes now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    /// Takes bytes from the proxy.
    ///
    /// # Errors
    /// [`ProxyError`]: it refuses, or is no proxy of this kind. Nothing can follow.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<(), ProxyError> {
        self.input.extend_from_slice(bytes);
        self.advance().inspect_err(|_| self.stage = Stage::Failed)
    }

    fn advance(&mut self) -> Result<(), ProxyError> {
        loop {
            self.stage = match std::mem::replace(&mut self.stage, Stage::Failed) {
                Stage::Http { mut reader, said } => match http::answer(&mut reader, &mut self.input)? {
                    Some(answer) => {
                        answer.judge(&self.target, said)?;
                        Stage::Open
                    }
                    None => return self.wait(Stage::Http { reader, said }),
                },
                Stage::Methods(login) => match socks::chosen(&mut self.input, login.is_some())? {
                    Some(socks::Method::None) => self.connect5()?,
                    Some(socks::Method::Password) => {
                        self.output = login.as_ref().map(socks::password);
                        Stage::Password
                    }
                    None => return self.wait(Stage::Methods(login)),
                },
                Stage::Password => match socks::accepted(&mut self.input)? {
                    true => self.connect5()?,
                    false => return self.wait(Stage::Password),
                },
                Stage::Connect5 => match socks::connected5(&mut self.input, &self.target)? {
                    true => Stage::Open,
                    false => return self.wait(Stage::Connect5),
                },
                Stage::Connect4 => match socks::connected4(&mut self.input, &self.target)? {
                    true => Stage::Open,
                    false => return self.wait(Stage::Connect4),
                },
                // In TLS the client speaks first: what comes now cannot be the server's.
                Stage::Open if !self.input.is_empty() => {
                    return Err(ProxyError::NotAProxy("it goes on talking after its answer"));
                }
                done @ (Stage::Open | Stage::Failed) => return self.wait(done),
            };
        }
    }

    fn wait(&mut self, stage: Stage) -> Result<(), ProxyError> {
        self.stage = stage;
        Ok(())
    }

    fn connect5(&mut self) -> Result<Stage, ProxyError> {
        self.output = Some(Zeroizing::new(socks::connect5(&self.target)?));
        Ok(Stage::Connect5)
    }
}
