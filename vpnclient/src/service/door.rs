//! The door for managers: vpncmd of ours and of others, by TCP (client RPC §1).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use protocol::error::ErrorCode;
use protocol::pack::{Limits, Pack};
use protocol::rpc::client::{Hello, Mode, PORTS, Welcome};
use protocol::rpc::method::FUNCTION_NAME;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use transport::records::Records;

use super::book::Book;
use super::{Shared, peer};

/// How long a caller may take to be let in (client RPC §1).
const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Callers that are not let in yet, those that may call, and those that watch.
const STRANGERS: usize = 32;
const MANAGERS: usize = 64;
const WATCHERS: usize = 32;
/// The longest call: an account with its certificates.
const LONGEST_CALL: usize = 1024 * 1024;
/// What a wrong password costs. One at a time pays, so this is the pace of all guesses together.
const WRONG_PASSWORD_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a failure to accept anybody, or to listen anew.
const PAUSE: Duration = Duration::from_secs(1);

/// The room that callers have.
pub(super) struct Room {
    strangers: Arc<Semaphore>,
    managers: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    penance: tokio::sync::Mutex<()>,
}

impl Default for Room {
    fn default() -> Self {
        let seats = |number| Arc::new(Semaphore::new(number));
        Self {
            strangers: seats(STRANGERS),
            managers: seats(MANAGERS),
            watchers: seats(WATCHERS),
            penance: tokio::sync::Mutex::default(),
        }
    }
}

/// Who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    /// From this machine.
    pub(super) local: bool,
    /// A program of the service's own user, or of root.
    pub(super) own: bool,
}

/// Whether a caller may come in. A service without a password is its own user's and root's alone.
pub(super) fn admit(book: &Book, hello: &Hello, caller: Caller) -> Welcome {
    if !caller.local && !book.config.allow_remote {
        return Welcome::NotFromHere;
    }
    // What is no password lets nobody in; it keeps those out who think that there is one.
    let knows = hello.secret == book.password && (book.has_password() || caller.own);
    let trusted = caller.own && book.password_remote_only;
    if knows || trusted {
        Welcome::Accepted
    } else {
        Welcome::WrongPassword
    }
}

/// Listens on the first free of the ports.
pub(super) async fn listen(remote: bool, ports: &[u16]) -> io::Result<TcpListener> {
    let ip = if remote {
        Ipv4Addr::UNSPECIFIED
    } else {
        Ipv4Addr::LOCALHOST
    };
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for &port in ports {
        match TcpListener::bind((ip, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Serves who comes, on `first` and later on whatever the settings want.
pub(super) async fn serve(shared: Arc<Shared>, first: TcpListener) {
    let mut config = shared.config();
    let mut remote = config.borrow_and_update().allow_remote;
    let mut listener = Some(first);
    // They end with the service: nobody connects anything while it takes everything back.
    let mut callers = JoinSet::new();
    loop {
        let Some(open) = &listener else {
            listener = match listen(remote, &PORTS).await {
                Ok(open) => {
                    announce(&open);
                    Some(open)
                }
                Err(error) => {
                    tracing::warn!(%error, "no port of 9931 to 9935 is free for vpncmd");
                    sleep(PAUSE).await;
                    None
                }
            };
            continue;
        };
        let wanted = tokio::select! {
            accepted = open.accept() => {
                greet(&shared, accepted, &mut callers).await;
                remote
            }
            Some(_) = callers.join_next() => remote,
            changed = config.changed() => {
                if changed.is_err() {
                    return;
                }
                config.borrow_and_update().allow_remote
            }
        };
        if wanted != remote {
            remote = wanted;
            listener = None;
        }
    }
}

pub(super) fn announce(listener: &TcpListener) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "vpncmd is answered");
    }
}

async fn greet(
    shared: &Arc<Shared>,
    accepted: io::Result<(TcpStream, SocketAddr)>,
    callers: &mut JoinSet<()>,
) {
    let Ok((stream, peer)) = accepted else {
        return sleep(PAUSE).await;
    };
    // Whoever finds no seat is hung up on.
    let Ok(seat) = shared.room.strangers.clone().try_acquire_owned() else {
        return;
    };
    let shared = shared.clone();
    callers.spawn(async move {
        if let Err(error) = receive(&shared, stream, peer, seat).await {
            tracing::debug!(%peer, %error, "a caller has gone");
        }
    });
}

async fn receive(
    shared: &Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    seat: OwnedSemaphorePermit,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let hello = timeout(LOGIN_TIMEOUT, read_hello(&mut stream))
        .await
        .map_err(late)??;
    let caller = caller(&stream, peer);
    match hello.mode {
        Mode::Management => {
            let welcome = admit(shared.lock().book(), &hello, caller);
            if welcome == Welcome::Accepted {
                let manager = shared.room.managers.clone().try_acquire_owned();
                let _manager = manager.map_err(|_| io::Error::from(io::ErrorKind::QuotaExceeded))?;
                drop(seat);
                stream.write_u32(welcome.into()).await?;
                return calls(shared, stream).await;
            }
            refuse(shared, peer, caller, welcome).await;
            stream.write_u32(welcome.into()).await
        }
        _ if !caller.local && !shared.lock().book().config.allow_remote => {
            stream.write_u32(Welcome::NotFromHere.into()).await
        }
        Mode::Notification => {
            let watcher = shared.room.watchers.clone().try_acquire_owned();
            let _watcher = watcher.map_err(|_| io::Error::from(io::ErrorKind::QuotaExceeded))?;
            drop(seat);
            notify(shared, stream).await
        }
        Mode::ShortcutConnect | Mode::ShortcutDisconnect => {
            let connect = hello.mode == Mode::ShortcutConnect;
            let done = shared.lock().shortcut(&hello.secret, connect);
            if done == Err(ErrorCode::AccountNotFound) {
                let _one_at_a_time = shared.room.penance.lock().await;
                sleep(WRONG_PASSWORD_PAUSE).await;
            }
            stream.write_u32(done.err().map_or(0, ErrorCode::code)).await?;
            // The other side reads the result before it hangs up, or answers with four bytes.
            let _ = timeout(LOGIN_TIMEOUT, stream.read_u32()).await;
            Ok(())
        }
    }
}

async fn refuse(shared: &Shared, peer: SocketAddr, caller: Caller, welcome: Welcome) {
    if welcome == Welcome::NotFromHere {
        tracing::info!(%peer, "a caller of another machine was refused; RemoteEnable lets them in");
        return;
    }
    let open = !shared.lock().book().has_password();
    if open && !caller.own {
        tracing::warn!(%peer, "a caller of another user was refused: without a password the service is its own user's; PasswordSet");
    } else {
        tracing::warn!(%peer, "a caller gave a wrong password");
    }
    let _one_at_a_time = shared.room.penance.lock().await;
    sleep(WRONG_PASSWORD_PAUSE).await;
}

async fn read_hello(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let mut bytes = Vec::with_capacity(Hello::LENGTH);
    loop {
        let unknown = |code: ErrorCode| io::Error::new(io::ErrorKind::InvalidData, code.to_string());
        if let Some(hello) = Hello::decode(&bytes).map_err(unknown)? {
            return Ok(hello);
        }
        // Never more than the hello: what follows are records.
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        bytes.push(byte[0]);
    }
}

fn caller(stream: &TcpStream, peer: SocketAddr) -> Caller {
    let local = peer.ip().to_canonical().is_loopback();
    let user = match stream.local_addr() {
        Ok(own) if local => peer::user_of(peer, own).unwrap_or_else(|error| {
            tracing::debug!(%error, "the user of a caller cannot be found");
            None
        }),
        _ => None,
    };
    Caller {
        local,
        own: user.is_some_and(|user| user == 0 || user == geteuid().as_raw()),
    }
}

/// Answers calls until the caller hangs up.
pub(super) async fn calls(
    shared: &Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut records = Records::new(stream, &[], LONGEST_CALL);
    while let Some(record) = records.next().await? {
        let Ok(request) = Pack::decode(&record, &Limits::ADMIN) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let method = request.str(FUNCTION_NAME).unwrap_or_default().to_owned();
        let answer = shared.answer(method, request).await;
        records.send(&answer).await?;
    }
    Ok(())
}

/// Says that something has changed, each time, until the watcher hangs up (client RPC §1.1).
async fn notify(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    const CHANGED: u8 = b'@';
    let mut changes = shared.changes();
    let mut nothing = [0; 16];
    loop {
        tokio::select! {
            changed = changes.changed() => match changed {
                Ok(()) => stream.write_all(&[CHANGED]).await?,
                Err(_) => return Ok(()),
            },
            read = stream.read(&mut nothing) => if read? == 0 {
                return Ok(());
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::password::admin_hash;
    use protocol::rpc::Secret;

    use super::*;

    fn admitted(book: &Book, password: &str, local: bool, own: bool) -> bool {
        let hello = Hello {
            mode: Mode::Management,
            secret: Secret::new(*admin_hash(password.as_bytes()).as_bytes()),
        };
        admit(book, &hello, Caller { local, own }) == Welcome::Accepted
    }

    fn with_password() -> Book {
        Book {
            password: Secret::new(*admin_hash(b"sesame").as_bytes()),
            ..Book::default()
        }
    }

    #[test]
    fn a_service_without_a_password_is_its_own_users() {
        let mut book = Book::default();
        assert!(admitted(&book, "", true, true));
        assert!(!admitted(&book, "", true, false), "another user of this machine");
        assert!(
            !admitted(&book, "guess", true, true),
            "who thinks that there is one"
        );
        book.config.allow_remote = true;
        assert!(!admitted(&book, "", false, false), "another machine");
    }

    #[test]
    fn who_knows_the_password_is_let_in() {
        let mut book = with_password();
        for own in [false, true] {
            assert!(admitted(&book, "sesame", true, own));
            assert!(!admitted(&book, "", true, own));
        }
        assert!(!admitted(&book, "sesame", false, false));
        book.config.allow_remote = true;
        assert!(admitted(&book, "sesame", false, false));
        assert!(!admitted(&book, "guess", false, false));
    }

    #[test]
    fn a_password_for_others_alone_spares_the_own_user() {
        let mut book = with_password();
        book.password_remote_only = true;
        assert!(admitted(&book, "", true, true));
        assert!(!admitted(&book, "", true, false));
        assert!(admitted(&book, "sesame", true, false));
    }

    #[tokio::test]
    async fn a_hello_is_read_and_nothing_behind_it() {
        let hello = Hello {
            mode: Mode::Management,
            secret: Secret::new([7; 20]),
        };
        let bytes = [hello.encode(), b"rest".to_vec()].concat();
        let mut input = bytes.as_slice();
        assert_eq!(read_hello(&mut input).await.unwrap(), hello);
        assert_eq!(input, b"rest");
        assert!(read_hello(&mut &[0, 0, 0, 9][..]).await.is_err());
        assert!(read_hello(&mut &[0, 0][..]).await.is_err());
    }
}
