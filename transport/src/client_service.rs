//! The RPC of a VPN client service, manager side: plain TCP, a password's hash, then one call at a time
//! (client RPC §1).

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::error::ErrorCode;
use protocol::pack::{Limits, Pack};
use protocol::password::PasswordHash;
use protocol::rpc::Secret;
use protocol::rpc::client::method::Method;
use protocol::rpc::client::{self, Hello, Mode, PORTS, Welcome};
use protocol::rpc::method::FUNCTION_NAME;
use protocol::rpc::{RpcMessage, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::records::Records;

/// Opening TCP.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// As long as a service waits for the hello, and more than it takes to answer it.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a service cannot be managed, or a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The name has no address.
    #[error("cannot find the address of {host}: {source}; check the name and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No port answered.
    #[error(
        "no VPN client service answers on {host}, TCP ports 9931 to 9935: {source}; is it running, and does it take \
         calls from here?"
    )]
    Unreachable {
        /// The name.
        host: String,
        /// What the kernel said of the last port.
        source: io::Error,
    },
    /// The local socket cannot be used.
    #[error("the client service does not answer at {}: {source}; is it running?", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The password is another one.
    #[error("the password of the client service is another one")]
    WrongPassword,
    /// The service takes no calls from other machines.
    #[error(
        "the client service takes no calls from other machines; RemoteEnable on its own machine changes that"
    )]
    NotFromHere,
    /// The service's answer was an error.
    #[error("{0}")]
    Refused(ErrorCode),
    /// The connection broke.
    #[error("the connection to the client service broke: {0}")]
    Broken(#[from] io::Error),
    /// The answer is no PACK, or not the one that belongs to the call.
    #[error("the client service's answer cannot be read: {0}")]
    Unreadable(String),
}

/// A manager's connection to a client service.
pub struct ServiceClient {
    records: Records<Box<dyn Stream>>,
    /// The address that answered; none for the local socket.
    pub peer: Option<SocketAddr>,
}

impl std::fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceClient")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl ServiceClient {
    /// Finds the service on a host, port by port, and is let in. The hash of the password travels as it is: whoever
    /// reads it on the way can use it.
    ///
    /// # Errors
    /// [`ServiceError`], which tells an absent service, a wrong password and a service for its own machine apart.
    pub async fn login(host: &str, password: &PasswordHash) -> Result<Self, ServiceError> {
        Self::login_to(host, &PORTS, password).await
    }

    /// As [`Self::login`], on other ports.
    ///
    /// # Errors
    /// As [`Self::login`].
    pub async fn login_to(host: &str, ports: &[u16], password: &PasswordHash) -> Result<Self, ServiceError> {
        let hello = Hello {
            mode: Mode::Management,
            secret: Secret::new(*password.as_bytes()),
        };
        let mut last = io::Error::from(io::ErrorKind::ConnectionRefused);
        for &port in ports {
            for address in addresses(host, port).await? {
                match knock(address, &hello).await {
                    Ok((stream, welcome)) => return enter(stream, address, welcome),
                    // Something else may have taken this port: the service is on a later one then.
                    Err(error) => last = error,
                }
            }
        }
        Err(ServiceError::Unreachable {
            host: host.to_owned(),
            source: last,
        })
    }

    /// Finds our own service by its local socket, which is open to its own user and root: no password is needed.
    ///
    /// # Errors
    /// [`ServiceError::Socket`], and [`ServiceError::Unreadable`] for a socket of something else.
    pub async fn local(path: &Path) -> Result<Self, ServiceError> {
        let stream = UnixStream::connect(path).await;
        let mut stream = stream.map_err(|source| ServiceError::Socket {
            path: path.to_owned(),
            source,
        })?;
        stream.write_all(b"{\"manage\":true}\n").await?;
        let answer = timeout(WELCOME_TIMEOUT, line(&mut stream)).await;
        let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if answer.trim_ascii() != b"{\"ok\":true}" {
            let answer = String::from_utf8_lossy(&answer).trim().to_owned();
            return Err(ServiceError::Unreadable(answer));
        }
        Ok(Self {
            records: Records::new(Box::new(stream) as Box<dyn Stream>, &[], frame::LIMIT),
            peer: None,
        })
    }

    /// Calls a method.
    ///
    /// # Errors
    /// [`ServiceError::Refused`] with the service's code, or what broke.
    pub async fn call<M: Method>(&mut self, request: &M::Request) -> Result<M::Response, ServiceError> {
        let answer = self.call_pack(M::NAME, request.to_pack()).await?;
        M::Response::from_pack(&answer)
            .map_err(|error| ServiceError::Unreadable(format!("{}: {error}", M::NAME)))
    }

    /// Calls a method by name, with its arguments as they travel.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_pack(&mut self, method: &str, mut arguments: Pack) -> Result<Pack, ServiceError> {
        arguments.set_str(FUNCTION_NAME, method);
        self.records.send(&arguments).await?;
        let record = self.records.next().await?;
        let record = record.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let answer = Pack::decode(&record, &Limits::ADMIN)
            .map_err(|error| ServiceError::Unreadable(error.to_string()))?;
        match client::refused(&answer) {
            Some(code) => Err(ServiceError::Refused(code)),
            None => Ok(answer),
        }
    }
}

/// A connection to a service, by TCP or by its local socket.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One line and nothing behind it.
async fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    const LONGEST: usize = 16 * 1024;
    let mut line = Vec::new();
    while line.len() < LONGEST && line.last() != Some(&b'\n') {
        line.push(stream.read_u8().await?);
    }
    Ok(line)
}

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, ServiceError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let found = found.map_err(|source| ServiceError::Resolve {
        host: host.to_owned(),
        source,
    })?;
    Ok(found.collect())
}

/// Says hello on one port and waits for the word that follows.
async fn knock(address: SocketAddr, hello: &Hello) -> io::Result<(TcpStream, Welcome)> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let mut stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(late)??;
    stream.set_nodelay(true)?;
    let welcome = timeout(WELCOME_TIMEOUT, async {
        stream.write_all(&hello.encode()).await?;
        stream.read_u32().await
    });
    let welcome = welcome.await.map_err(late)??;
    Ok((stream, Welcome::from(welcome)))
}

fn enter(stream: TcpStream, peer: SocketAddr, welcome: Welcome) -> Result<ServiceClient, ServiceError> {
    match welcome {
        Welcome::Accepted => Ok(ServiceClient {
            records: Records::new(Box::new(stream) as Box<dyn Stream>, &[], frame::LIMIT),
            peer: Some(peer),
        }),
        Welcome::WrongPassword => Err(ServiceError::WrongPassword),
        Welcome::NotFromHere => Err(ServiceError::NotFromHere),
        Welcome::Other(number) => Err(ServiceError::Refused(ErrorCode::from_code(number))),
    }
}

#[cfg(test)]
mod tests {
    use protocol::password;
    use protocol::rpc::Nothing;
    use protocol::rpc::client::account::AccountName;
    use protocol::rpc::client::method::{Connect, GetClientVersion};
    use tokio::net::TcpListener;

    use super::*;

    /// A service that lets in whoever knows `password`, and refuses every call but the first.
    async fn service(password: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = [0; Hello::LENGTH];
                stream.read_exact(&mut bytes).await.unwrap();
                let hello = Hello::decode(&bytes).unwrap().unwrap();
                let known = *hello.secret == *password::admin_hash(password.as_bytes()).as_bytes();
                stream.write_u32(u32::from(!known)).await.unwrap();
                let mut records = Records::new(stream, &[], frame::LIMIT);
                let mut answer = Pack::new();
                while let Ok(Some(_)) = records.next().await {
                    records.send(&answer).await.unwrap();
                    answer = client::refusal(ErrorCode::from_code(36));
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn a_manager_is_let_in_and_calls() {
        let port = service("sesame").await;
        let hash = password::admin_hash(b"sesame");
        let mut client = ServiceClient::login_to("127.0.0.1", &[port], &hash)
            .await
            .unwrap();
        client.call::<GetClientVersion>(&Nothing {}).await.unwrap();
        let refused = client.call::<Connect>(&AccountName::default()).await;
        assert!(matches!(refused, Err(ServiceError::Refused(code)) if code.code() == 36));
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_apart() {
        let port = service("sesame").await;
        let refused = ServiceClient::login_to("127.0.0.1", &[port], &password::admin_hash(b"")).await;
        assert!(matches!(refused, Err(ServiceError::WrongPassword)));
    }

    #[tokio::test]
    async fn our_own_service_is_reached_by_its_local_socket() {
        let path = std::env::temp_dir().join(format!("hubward-manage-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        tokio::spawn(async move {
            for answer in ["{\"error\":\"no service\"}\n", "{\"ok\":true}\n"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert_eq!(line(&mut stream).await.unwrap(), b"{\"manage\":true}\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut records = Records::new(stream, &[], frame::LIMIT);
                while let Ok(Some(_)) = records.next().await {
                    records.send(&Pack::new()).await.unwrap();
                }
            }
        });
        let refused = ServiceClient::local(&path).await;
        assert!(matches!(refused, Err(ServiceError::Unreadable(why)) if why.contains("no service")));
        let mut client = ServiceClient::local(&path).await.unwrap();
        client.call::<GetClientVersion>(&Nothing {}).await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_port_that_something_else_has_taken_is_passed_over() {
        let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = stranger.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = stranger.accept().await {
                drop(stream);
            }
        });
        let port = service("").await;
        let found = ServiceClient::login_to("127.0.0.1", &[taken, port], &password::admin_hash(b"")).await;
        assert_eq!(found.unwrap().peer.map(|peer| peer.port()), Some(port));
    }
}
