//! The administration RPC, client side: one call at a time over TLS or over the server's local socket.

use std::io;
use std::path::{Path, PathBuf};

use protocol::error::ErrorCode;
use protocol::handshake::{AdminLogin, ClientVersion, Proof, Request};
use protocol::pack::{Limits, Pack, PackError};
use protocol::password::PasswordHash;
use protocol::rpc::method::{self, Method};
use protocol::rpc::{RpcMessage, frame};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::dial::{DialError, Dialed};
use crate::records::Records;

/// Why a call, or the login before it, failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The server's answer was an error.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The negotiation failed.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The local socket could not be used.
    #[error("cannot use the server's socket {path}: {source}; is vpnserver running, and as this user?")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the server broke: {0}")]
    Broken(#[from] io::Error),
    /// The answer is no PACK, or not the one that belongs to the call.
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl From<PackError> for AdminError {
    fn from(error: PackError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An administrator's connection: the whole server's, or one hub's.
pub struct AdminClient {
    records: Records<Box<dyn Stream>>,
    empty_password: bool,
}

impl std::fmt::Debug for AdminClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminClient")
    }
}

impl AdminClient {
    /// Logs in over a dialed connection, with the proof of a password and not the password (protocol §5.7).
    ///
    /// # Errors
    /// [`AdminError::Refused`] with 12 for a wrong password, 8 for an unknown hub, and so on.
    pub async fn login(
        mut dialed: Dialed,
        hub: Option<&str>,
        password: &PasswordHash,
    ) -> Result<Self, AdminError> {
        let proof = password.prove(&dialed.hello.random);
        let request = Request::Admin(AdminLogin {
            hub: hub.map(str::to_owned),
            proof: Proof(proof),
            accept_empty_password: true,
            client: ClientVersion {
                product: "Hubward VPN Command-Line Administration Tool".to_owned(),
                version: protocol::VERSION,
                build: protocol::BUILD,
            },
            os: None,
        });
        let answer = dialed.request(&request.to_pack()).await?;
        if let Some(code) = answer.error() {
            dialed.close().await;
            return Err(AdminError::Refused(code));
        }
        let empty_password = answer.bool("empty_password");
        let (stream, early) = dialed.into_stream();
        let records = Records::new(Box::new(stream) as Box<dyn Stream>, &early, frame::LIMIT);
        Ok(Self {
            records,
            empty_password,
        })
    }

    /// Uses the socket that a server keeps for its own user and root; nothing is asked there.
    ///
    /// # Errors
    /// When the socket is not there or not ours to use, or the hub is unknown.
    pub async fn local(path: &Path, hub: Option<&str>) -> Result<Self, AdminError> {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|source| AdminError::Socket {
                path: path.to_owned(),
                source,
            })?;
        let records = Records::new(Box::new(stream) as Box<dyn Stream>, &[], frame::LIMIT);
        let mut client = Self {
            records,
            empty_password: false,
        };
        let mut hello = Pack::new();
        hello.set_str("method", "admin");
        if let Some(hub) = hub {
            hello.set_str("hubname", hub);
        }
        client.exchange(&hello).await?;
        Ok(client)
    }

    /// Whether the server said that the password used is the empty one.
    #[must_use]
    pub fn has_empty_password(&self) -> bool {
        self.empty_password
    }

    /// Calls a method.
    ///
    /// # Errors
    /// [`AdminError::Refused`] with the server's code, or what broke.
    pub async fn call<M: Method>(&mut self, request: &M::Request) -> Result<M::Response, AdminError> {
        let answer = self.exchange(&method::request::<M>(request)).await?;
        M::Response::from_pack(&answer)
            .map_err(|error| AdminError::Unreadable(format!("{}: {error}", M::NAME)))
    }

    /// Calls a method by name, with its arguments as they travel.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_pack(&mut self, method: &str, mut arguments: Pack) -> Result<Pack, AdminError> {
        arguments.set_str("function_name", method);
        self.exchange(&arguments).await
    }

    async fn exchange(&mut self, request: &Pack) -> Result<Pack, AdminError> {
        self.records.send(request).await?;
        let record = self
            .records
            .next()
            .await?
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let answer = Pack::decode(&record, &Limits::ADMIN)?;
        match answer.error() {
            Some(code) => Err(AdminError::Refused(code)),
            None => Ok(answer),
        }
    }
}
