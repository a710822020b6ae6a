//! The way to a client service: over plain TCP, which only this machine's own traffic should use.

use std::{os::unix::net::UnixStream, path::PathBuf};

use protocol::{error::ErrorCode, pack::Pack, password};
use tokio::runtime::{Builder, Runtime};
use transport::{
    client_service::{ServiceClient, ServiceError},
    folders,
};
use zeroize::Zeroizing;

use crate::{
    connect::{given_password, is_loopback},
    console::Console,
    failure::{Failure, Outcome},
    options::Options,
    shell::Server,
    text,
};

/// A connection to a client service. As with servers, a broken one fails the call that noticed, and the next call
/// makes a new one.
pub struct Service {
    runtime: Runtime,
    client: Option<ServiceClient>,
    host: String,
    password: Zeroizing<String>,
    /// The local socket of our own service, where that is the way.
    socket: Option<PathBuf>,
}

impl Server for Service {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self
                .reach()
                .map_err(|failure| ErrorCode::from_code(failure.code()))?,
        };
        let answer = self.runtime.block_on(client.call_pack(method, request.clone()));
        if matches!(answer, Ok(_) | Err(ServiceError::Refused(_))) {
            self.client = Some(client);
        }
        answer.map_err(|error| match error {
            ServiceError::Refused(code) => code,
            ServiceError::Unreadable(_) => ErrorCode::Protocol,
            _ => ErrorCode::Disconnected,
        })
    }
}

impl Service {
    fn reach(&self) -> Outcome<ServiceClient> {
        let hash = password::admin_hash(self.password.as_bytes());
        let reached = match &self.socket {
            Some(socket) => self.runtime.block_on(ServiceClient::local(socket)),
            None => self.runtime.block_on(ServiceClient::login(&self.host, &hash)),
        };
        reached.map_err(|error| {
            let code = match &error {
                ServiceError::WrongPassword => return Failure::Refused(ErrorCode::AccessDenied),
                ServiceError::Refused(code) => return Failure::Refused(*code),
                // The number of the stock tool, which calls it an internal error.
                ServiceError::NotFromHere => return Failure::Local(text::sentence(&error)),
                ServiceError::Broken(_) | ServiceError::Unreadable(_) => ErrorCode::Disconnected,
                _ => ErrorCode::ConnectFailed,
            };
            Failure::Failed {
                code,
                text: text::sentence(&error),
            }
        })
    }
}

/// Connects to the client service that the options name.
///
/// # Errors
/// There is none, or it refuses.
pub fn connect(options: &Options, console: &mut Console) -> Outcome<Service> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Local(format!("Cannot start: {error}.")))?;
    let host = host(options)?;
    if !is_loopback(&host) {
        // On the error stream, where no script looks for results.
        eprintln!(
            "vpncmd: calls of a client service are not encrypted: whoever is between here and {host} can read them, \
             passwords included"
        );
    }
    let mut service = Service {
        runtime,
        client: None,
        socket: socket(options, &host),
        host,
        password: given_password(options)?,
    };
    loop {
        match service.reach() {
            Ok(client) => {
                service.client = Some(client);
                return Ok(service);
            }
            Err(Failure::Refused(ErrorCode::AccessDenied)) if console.interactive() && console.may_ask() => {
                console.print_line("The client service wants its password. Ctrl+D cancels.");
                let typed = console.password("Password: ")?;
                service.password = typed.ok_or(Failure::Refused(ErrorCode::AccessDenied))?;
                console.print_line("");
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// The local socket of our own client service, which asks its own user for no password. It is used when the options name it, and
/// otherwise for this machine unless a password is given.
fn socket(options: &Options, host: &str) -> Option<PathBuf> {
    if options.socket.is_some() {
        return options.socket.clone();
    }
    let password = options
        .password
        .as_ref()
        .is_some_and(|password| !password.is_empty());
    if !is_loopback(host) || password || options.password_file.is_some() {
        return None;
    }
    let path = folders::client_sockets()?.join(folders::SERVICE_SOCKET);
    // That of a service that was killed is left behind.
    UnixStream::connect(&path).is_ok().then_some(path)
}

/// The host of the start-up line. A port behind it is for servers: stock scripts may have one, and it means nothing.
///
/// # Errors
/// The text names no host.
pub fn host(options: &Options) -> Outcome<String> {
    let text = options.host.as_deref().unwrap_or("localhost");
    let target: transport::dial::Target = text
        .parse()
        .map_err(|error: transport::dial::NotATarget| Failure::Invalid(text::sentence(&error)))?;
    Ok(target.host)
}
