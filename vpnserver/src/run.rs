//! `vpnserver run`: from the command line to a server that serves, and back to nothing.

use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caps::{CapSet, Capability};
use nat::leftovers::{self, Presence};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::cli::{self, NatMode};
use crate::control::ControlSocket;
use crate::data_dir::DataDir;
use crate::events::Events;
use crate::identity::Identity;
use crate::login::AdminPassword;
use crate::secret::Vault;
use crate::server::{Server, Settings};
use crate::store::{DATABASE_FILE, Db, Id, Listener, Opened, SqliteStore, Store, StoreError};
use crate::{admin, listen, log};

/// A server that is told to end does so within this time (design, contracts).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// What follows the end of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The end of the program.
    Stop,
    /// Another one, because an administrator asked for a restart.
    Restart,
}

/// Serves until it is told to end.
///
/// # Errors
/// When the server cannot start; nothing is left behind then.
pub async fn run(options: &cli::Run) -> anyhow::Result<()> {
    log::begin(options.log_format);
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    let lock = folder.lock()?;
    let mut signals = Signals::new()?;
    tokio::spawn(reassure());
    while serve(options, &folder, &mut signals).await? == Then::Restart {}
    drop(lock);
    Ok(())
}

/// One server, from its start to its end.
async fn serve(options: &cli::Run, folder: &DataDir, signals: &mut Signals) -> anyhow::Result<Then> {
    let (server, control) = begin(options, folder).await?;
    let _presence = announce(&server.settings.tag);
    clear_leftovers(&server.settings.tag).await;
    if let Err(error) = come_up(&server).await {
        server.shut_down().await;
        return Err(error);
    }
    settle_leftovers(&server.settings.tag).await;
    let upkeep = tokio::spawn({
        let server = server.clone();
        async move { server.tend().await }
    });
    let administration = tokio::spawn(admin::serve_locally(server.clone(), control));
    greet(&server, folder);
    let _ = sd_notify::notify(&[NotifyState::Ready]);

    let (reason, then) = tokio::select! {
        reason = signals.next() => (reason, Then::Stop),
        () = server.restart_asked() => ("an administrator asked for a restart", Then::Restart),
    };
    tracing::info!(reason, "ending");
    if then == Then::Stop {
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
    }
    upkeep.abort();
    administration.abort();
    if timeout(SHUTDOWN_TIMEOUT, server.shut_down()).await.is_err() {
        tracing::warn!("not everything could be ended in time");
    }
    // Its socket's file is gone then, and cannot be that of the next server.
    let _ = administration.await;
    Ok(then)
}

/// Says to `vpnserver cleanup` that what this server puts into the kernel is in use.
fn announce(tag: &str) -> Option<Presence> {
    let presence = Presence::announce(tag);
    if presence.is_none() {
        // A copy of a data folder, or a server whose end is not complete.
        tracing::warn!(
            tag,
            "another server marks its rules and devices as this one does; one of them must go"
        );
    }
    presence
}

/// What an earlier server of this folder left when it was killed, first what this one would stumble over. Who may not change
/// the network left nothing and clears nothing.
async fn clear_leftovers(tag: &str) {
    if netdev::capability::probe().require_nft().is_ok()
        && let Err(error) = leftovers::clear(tag).await
    {
        tracing::warn!(%error, "rules of an earlier server may be left");
    }
}

/// The rest, when it is known what is still needed.
async fn settle_leftovers(tag: &str) {
    if netdev::capability::probe().require_nft().is_ok()
        && let Err(error) = leftovers::settle(tag).await
    {
        tracing::warn!(%error, "kernel settings of an earlier server may be left");
    }
}

/// Brings everything up. Of the stored listeners those that can be opened will do; one that was asked for on the command
/// line must open.
async fn come_up(server: &Server) -> anyhow::Result<()> {
    server.apply().await?;
    for address in &server.settings.listen {
        anyhow::ensure!(
            server.listeners.is_open(*address),
            "cannot listen on {address}, the line before says why; give another address with --listen"
        );
    }
    Ok(())
}

/// Tells the service manager that all is well, twice as often as it asks for (`WatchdogSec=`). What it hears is that tasks
/// are run: a process that spins or is stuck falls silent.
pub(crate) async fn reassure() {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero()) else {
        return;
    };
    let mut ticks = tokio::time::interval(patience / 2);
    loop {
        ticks.tick().await;
        call_out(&NotifyState::Watchdog);
    }
}

/// As `sd_notify::notify`, but who does not read what is called out is not waited for: a service manager that is busy
/// must not hold up the sessions.
fn call_out(state: &NotifyState<'_>) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let told = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(state.to_string().as_bytes(), &address)
    });
    if let Err(error) = told {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

async fn begin(options: &cli::Run, folder: &DataDir) -> anyhow::Result<(Arc<Server>, ControlSocket)> {
    let server = put_together(options, folder, usual_ports())?;
    let socket = folder.control_socket();
    let control = ControlSocket::bind(&socket)
        .map_err(|error| anyhow::anyhow!("cannot make the socket {}: {error}", socket.display()))?;
    Ok((server, control))
}

/// The server of a folder, which does not run yet.
pub(crate) fn put_together(
    options: &cli::Run,
    folder: &DataDir,
    usual_ports: &[u16],
) -> anyhow::Result<Arc<Server>> {
    let Opened { store, vault, fresh } = SqliteStore::open(folder.path())?;
    if fresh {
        add_listeners(&store, usual_ports)?;
    }
    let identity = match (&options.tls_cert, &options.tls_key) {
        (Some(certificate), Some(key)) => Identity::from_files(certificate, key)?,
        _ => Identity::kept(&store, &vault, folder)?,
    };
    let identity = identity.preferring(store.server()?.cipher.as_deref())?;
    if let Some(file) = &options.admin_password_file {
        set_first_password(&store, &vault, file)?;
    }
    let tag = tag(&store.server()?.id);
    let settings = Settings {
        listen: match options.listen.as_slice() {
            [] => listen::of(folder)?,
            asked => asked.iter().map(|listen| listen.0).collect(),
        },
        address: Ipv6Addr::UNSPECIFIED.into(),
        nat_mode: nat_mode(options.nat_mode),
        nat_mode_is_forced: options.nat_mode != NatMode::Auto,
        offload: !options.no_offload,
        tag,
        database: folder.file(DATABASE_FILE),
    };
    Ok(Server::new(
        Db::new(store),
        vault,
        &Events::logged(),
        identity,
        settings,
    ))
}

/// Gives a new server its first administrator password, so that it can be administered over the network.
fn set_first_password(store: &SqliteStore, vault: &Vault, file: &Path) -> anyhow::Result<()> {
    if store.server()?.admin_password.is_some() {
        return Ok(());
    }
    let password = first_line(file)
        .map_err(|error| anyhow::anyhow!("cannot read the password file {}: {error}", file.display()))?;
    anyhow::ensure!(
        !password.is_empty(),
        "the first line of {} is empty: put the password there",
        file.display()
    );
    let sealed = AdminPassword::from_text(&password).seal(vault)?;
    store.update_server(&|server| {
        server.admin_password.clone_from(&sealed);
        Ok(())
    })?;
    Ok(())
}

fn first_line(file: &Path) -> io::Result<Zeroizing<String>> {
    let text = Zeroizing::new(fs::read_to_string(file)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// The ports that stock clients try. Who may not open low ports gets the one that needs no privilege.
pub(crate) fn usual_ports() -> &'static [u16] {
    let may = caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_BIND_SERVICE);
    if may.unwrap_or(false) {
        &[443, 992, 1194, 5555]
    } else {
        &[5555]
    }
}

/// Gives a fresh store its ports.
pub(crate) fn add_listeners(store: &SqliteStore, ports: &[u16]) -> Result<(), StoreError> {
    for port in ports {
        store.add_listener(Listener {
            port: *port,
            enabled: true,
        })?;
    }
    Ok(())
}

/// Four hexadecimal digits of the installation's identity: devices and tables of two servers on one machine differ.
fn tag(id: &Id) -> String {
    let bytes = id.as_bytes();
    format!("{:02x}{:02x}", bytes[0], bytes[1])
}

/// What this process may do decides unless the user has.
fn nat_mode(asked: NatMode) -> nat::Mode {
    match asked {
        NatMode::Kernel => nat::Mode::Kernel,
        NatMode::User => nat::Mode::User,
        NatMode::Auto => {
            let able = netdev::capability::probe();
            let has_nft = able.require_nft().is_ok();
            if has_nft && able.require_tap().is_ok() {
                nat::Mode::Kernel
            } else {
                nat::Mode::User
            }
        }
    }
}

/// What a person who just started it wants to know.
fn greet(server: &Server, folder: &DataDir) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        state = %folder.path().display(),
        nat_mode = %server.settings.nat_mode,
        certificate = %server.identity().fingerprint(),
        "ready"
    );
    let password = server
        .db
        .blocking()
        .server()
        .is_ok_and(|server| server.admin_password.is_some());
    if !password {
        tracing::warn!(
            "no administrator password is set: only `vpncmd localhost` on this machine, as this user or root, \
             can administer; set one with ServerPasswordSet to allow it over the network"
        );
    }
}

/// SIGTERM and SIGINT, whichever comes first.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
