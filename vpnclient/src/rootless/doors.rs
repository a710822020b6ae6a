//! The doors: who comes to them, and how they get through.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use nat::station::{Dialed, Listener, Request, Station};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::associate::associate;
use super::names::Names;
use super::socks5::{self, Command, Outcome};
use super::{Destination, ProxyPassword, Reverse, RootlessSettings, http_proxy};
use crate::control::{self, ControlSocket};
use crate::failure::Failure;
use crate::status::Board;

/// Connections at one time through all doors.
const CONNECTIONS: usize = 1024;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client waits for an address on the hub, when there is none at the moment.
const ADDRESS: Duration = Duration::from_secs(20);
/// The pause after a failure to accept anybody, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The way into the VPN.
pub(super) struct Way {
    pub(super) station: Station,
    pub(super) names: Names,
}

impl Way {
    /// Connects to a host on the other side, trying its addresses in turn.
    pub(super) async fn dial(&self, to: &Destination) -> io::Result<Dialed> {
        self.ready().await?;
        let mut last = io::Error::from(ErrorKind::NotFound);
        for address in self.names.find(&to.host).await? {
            match self.station.dial(SocketAddrV4::new(address, to.port)).await {
                Ok(dialed) => return Ok(dialed),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Waits for an address on the hub, which a reconnecting tunnel soon has again.
    pub(super) async fn ready(&self) -> io::Result<()> {
        let ready = timeout(ADDRESS, self.station.ready()).await;
        ready.map_or_else(
            |_| {
                Err(io::Error::new(
                    ErrorKind::NetworkDown,
                    "there is no address on the hub",
                ))
            },
            |ip| ip.map(drop),
        )
    }
}

/// What a door does for who comes.
#[derive(Clone)]
enum Service {
    Socks5(Option<ProxyPassword>),
    Http(Option<ProxyPassword>),
    Forward(Destination),
}

/// Doors that are open, at which nobody is served yet.
pub(super) struct Doors {
    listeners: Vec<(TcpListener, Service)>,
    reverses: Vec<Reverse>,
}

impl Doors {
    pub(super) fn open(settings: &RootlessSettings) -> Result<Self, Failure> {
        let password = &settings.password;
        let socks5 = settings
            .socks5
            .iter()
            .map(|at| (*at, Service::Socks5(password.clone())));
        let http = settings
            .http
            .iter()
            .map(|at| (*at, Service::Http(password.clone())));
        let forwards = settings
            .forwards
            .iter()
            .map(|forward| (forward.listen, Service::Forward(forward.to.clone())));
        let listeners = socks5
            .chain(http)
            .chain(forwards)
            .map(|(at, service)| Ok((listen(at)?, service)))
            .collect::<Result<_, Failure>>()?;
        Ok(Self {
            listeners,
            reverses: settings.reverses.clone(),
        })
    }

    /// Serves who comes, in `tasks`.
    pub(super) fn serve(self, way: &Arc<Way>, tasks: &mut JoinSet<()>) -> Result<(), Failure> {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        for (listener, service) in self.listeners {
            tasks.spawn(tend(listener, service, way.clone(), room.clone()));
        }
        for reverse in self.reverses {
            let listener = way
                .station
                .listen(reverse.port)
                .map_err(|e| Failure::Usage(format!("--reverse {}={}: {e}", reverse.port, reverse.to)))?;
            tasks.spawn(tend_reverse(listener, reverse.to, room.clone()));
        }
        Ok(())
    }
}

fn listen(at: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&at.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|e| {
        Failure::Local(format!(
            "cannot listen on {at}: {e}; choose another address or end what is there"
        ))
    })
}

/// Serves who comes to a listener; connections end with this future.
async fn tend(listener: TcpListener, service: Service, way: Arc<Way>, room: Arc<Semaphore>) {
    let mut served = JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = served.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (service, way) = (service.clone(), way.clone());
        served.spawn(async move {
            let _permit = permit;
            let _ = stream.set_nodelay(true);
            let done = match service {
                Service::Socks5(password) => serve_socks5(stream, password.as_ref(), &way).await,
                Service::Http(password) => serve_http(stream, password.as_ref(), &way).await,
                Service::Forward(to) => serve_forward(stream, &to, &way).await,
            };
            if let Err(error) = done {
                tracing::info!(%error, "a connection into the VPN was not made");
            }
        });
    }
}

async fn serve_forward(stream: TcpStream, to: &Destination, way: &Way) -> io::Result<()> {
    match way.dial(to).await {
        Ok(dialed) => {
            dialed.carry(stream, &[]).await;
            Ok(())
        }
        Err(error) => {
            // There is nothing to say but that it is over.
            let _ = stream.set_zero_linger();
            Err(describe(to, &error))
        }
    }
}

fn describe(to: &Destination, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{to}: {error}"))
}

async fn serve_socks5(mut stream: TcpStream, password: Option<&ProxyPassword>, way: &Way) -> io::Result<()> {
    let asked = timeout(PATIENCE, ask_socks5(&mut stream, password)).await;
    let (command, to) = asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
    let none = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
    match command {
        Command::Connect => match way.dial(&to).await {
            Ok(dialed) => {
                let granted = Outcome::Granted.answer(dialed.local());
                stream.write_all(&granted).await?;
                dialed.carry(stream, &[]).await;
                Ok(())
            }
            Err(error) => {
                stream.write_all(&Outcome::of(&error).answer(none)).await?;
                Err(describe(&to, &error))
            }
        },
        Command::Associate => associate(stream, way).await,
        Command::Other => stream.write_all(&Outcome::NoSuchCommand.answer(none)).await,
    }
}

async fn ask_socks5(
    stream: &mut TcpStream,
    password: Option<&ProxyPassword>,
) -> io::Result<(Command, Destination)> {
    let offered = socks5::methods(stream).await?;
    let wanted = if password.is_some() {
        socks5::PASSWORD
    } else {
        socks5::NO_PROOF
    };
    if !offered.contains(&wanted) {
        stream.write_all(&socks5::method(socks5::NO_METHOD)).await?;
        return Err(ErrorKind::PermissionDenied.into());
    }
    stream.write_all(&socks5::method(wanted)).await?;
    if let Some(password) = password {
        let (name, given) = socks5::password(stream).await?;
        let right = password.is(&name, &given);
        stream.write_all(&socks5::password_answer(right)).await?;
        if !right {
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    socks5::request(stream).await
}

async fn serve_http(mut stream: TcpStream, password: Option<&ProxyPassword>, way: &Way) -> io::Result<()> {
    let asked = timeout(PATIENCE, ask_http(&mut stream)).await;
    let asked = asked.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    let (request, rest) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            stream.write_all(&http_proxy::failed(&error)).await?;
            return Err(error);
        }
    };
    let given = request.password.as_deref().unwrap_or_default();
    if password.is_some_and(|password| !password.is_pair(given)) {
        stream.write_all(http_proxy::NO_PASSWORD).await?;
        return Err(ErrorKind::PermissionDenied.into());
    }
    let dialed = match way.dial(&request.to).await {
        Ok(dialed) => dialed,
        Err(error) => {
            let error = describe(&request.to, &error);
            stream.write_all(&http_proxy::failed(&error)).await?;
            return Err(error);
        }
    };
    let early = match request.head {
        Some(head) => [head, rest].concat(),
        None => {
            stream.write_all(http_proxy::ESTABLISHED).await?;
            rest
        }
    };
    dialed.carry(stream, &early).await;
    Ok(())
}

/// Reads a request, and what came behind it.
async fn ask_http(stream: &mut TcpStream) -> io::Result<(http_proxy::Request, Vec<u8>)> {
    let mut input = Vec::new();
    let end = loop {
        if let Some(end) = http_proxy::head_end(&input) {
            break end;
        }
        if input.len() >= http_proxy::HEAD_BYTES {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                "the request's head is too long",
            ));
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = input.split_off(end);
    Ok((http_proxy::request(&input)?, rest))
}

/// Serves who comes to a port of ours on the hub.
async fn tend_reverse(mut listener: Listener, to: Destination, room: Arc<Semaphore>) {
    let mut served = JoinSet::new();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let request = tokio::select! {
            request = listener.request() => request,
            Some(_) = served.join_next() => continue,
        };
        let to = to.clone();
        served.spawn(async move {
            let _permit = permit;
            if let Err(error) = serve_reverse(request, &to).await {
                tracing::info!(%error, "a connection from the hub was not made");
            }
        });
    }
}

/// A refusal by the host of this side is a refusal over there.
async fn serve_reverse(request: Request, to: &Destination) -> io::Result<()> {
    match TcpStream::connect((to.host.as_str(), to.port)).await {
        Ok(stream) => {
            let _ = stream.set_nodelay(true);
            request.grant()?.carry(stream, &[]).await;
            Ok(())
        }
        Err(error) => {
            request.refuse();
            Err(describe(to, &error))
        }
    }
}

/// Serves programs of this user, also while there is no session yet: they may ask how it stands.
pub(super) async fn tend_control(control: ControlSocket, way: Arc<Way>) {
    let board = control.board().clone();
    control::serve_programs(&control, CONNECTIONS, move |stream, request| {
        let (way, board) = (way.clone(), board.clone());
        async move {
            if let Err(error) = serve_program(stream, request, &way, &board).await {
                tracing::info!(%error, "a program's request failed");
            }
            Ok(())
        }
    })
    .await;
}

async fn serve_program(
    mut stream: BufReader<UnixStream>,
    request: control::Request,
    way: &Way,
    board: &Board,
) -> io::Result<()> {
    let to = match request {
        control::Request::Connect(to) => to,
        other => return control::serve_other(&mut stream, &other, board).await,
    };
    let dialed = way.dial(&to).await;
    control::answer(&mut stream, dialed.as_ref().map(drop)).await?;
    let dialed = dialed.map_err(|error| describe(&to, &error))?;
    let early = stream.buffer().to_vec();
    dialed.carry(stream.into_inner(), &early).await;
    Ok(())
}
