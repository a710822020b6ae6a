//! The way out through somebody else's proxy: HTTP CONNECT, SOCKS 5, SOCKS 4a.
//!
//! What is said to a proxy is decided by [`Conversation`], a value without sockets or clock; `pass` is its shell. The name of
//! the server is always given to the proxy as it is: a machine that needs a proxy often cannot look it up.

mod conversation;
mod http;
mod place;
mod socks;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::dial::Target;

pub use conversation::Conversation;
pub use place::{Header, Kind, Login, NotAHeader, NotAProxyPlace, Proxy};

/// The whole conversation, the proxy's own way to the server included, which it tries for as long as TCP does.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What one read takes at most.
const READ_BYTES: usize = 4096;

/// Why there is no way through a proxy; the message goes on from "the proxy HOST:PORT".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// Its name has no address.
    #[error("has no address: {0}; check its name and this machine's DNS")]
    Unresolved(#[source] io::Error),
    /// TCP to it could not be opened.
    #[error("cannot be reached: {0}; check its address and port")]
    Unreached(#[source] io::Error),
    /// It let the time pass.
    #[error("did not answer within {} seconds", TIMEOUT.as_secs())]
    Silent,
    /// It hung up.
    #[error("closed the connection instead of answering; is it a proxy of this kind?")]
    Closed,
    /// The connection to it broke.
    #[error("broke the connection: {0}")]
    Broken(#[source] io::Error),
    /// It wants to know who asks, and nobody said.
    #[error("wants a user name and a password{}; give them", offer(.0))]
    LoginWanted(Option<String>),
    /// It knows nobody of this name and password.
    #[error("does not take this user name and password{}", offer(.0))]
    LoginRefused(Option<String>),
    /// It may not, or will not, connect anybody to this server.
    #[error(
        "does not let us through to {target} ({answer}); ask whoever runs it to allow this host and port"
    )]
    Forbidden {
        /// The server.
        target: Target,
        /// Its answer.
        answer: String,
    },
    /// It tried, and the server was out of its reach.
    #[error("cannot reach {target} ({answer}); check the server's address and port")]
    TargetUnreached {
        /// The server.
        target: Target,
        /// Its answer.
        answer: String,
    },
    /// Any other answer but yes.
    #[error("refused ({0})")]
    Refused(String),
    /// What it says is not what a proxy of this kind says.
    #[error("does not answer like a proxy of this kind: {0}; check --proxy")]
    NotAProxy(&'static str),
    /// What was asked for cannot be said in this protocol.
    #[error("cannot be asked: {0}")]
    Unspeakable(&'static str),
}

/// The kinds of login that a proxy named, in brackets.
fn offer(schemes: &Option<String>) -> String {
    schemes.as_ref().map_or_else(String::new, |schemes| {
        format!(" (it offers {schemes}; this client knows Basic)")
    })
}

/// Asks a proxy for a connection to `target`; after that the stream is the server's.
///
/// # Errors
/// [`ProxyError`]; the stream is of no use then.
pub(crate) async fn pass(tcp: &mut TcpStream, proxy: &Proxy, target: &Target) -> Result<(), ProxyError> {
    let mut conversation = Conversation::new(proxy, target)?;
    timeout(TIMEOUT, converse(tcp, &mut conversation))
        .await
        .map_err(|_| ProxyError::Silent)?
}

async fn converse(tcp: &mut TcpStream, conversation: &mut Conversation) -> Result<(), ProxyError> {
    let mut buffer = [0; READ_BYTES];
    loop {
        while let Some(bytes) = conversation.poll_output() {
            tcp.write_all(&bytes).await.map_err(ProxyError::Broken)?;
        }
        if conversation.is_open() {
            return Ok(());
        }
        match tcp.read(&mut buffer).await {
            Ok(0) => return Err(ProxyError::Closed),
            Ok(read) => conversation.handle_input(&buffer[..read])?,
            Err(error) => return Err(ProxyError::Broken(error)),
        }
    }
}
