//! The TCP ports of the server: opened, watched, closed.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::events::{Event, Events};
use crate::gate::{Gate, Pass};

/// Connections that wait in the kernel for `accept`.
const BACKLOG: u32 = 1024;
/// How long `accept` rests when the process has run out of descriptors.
const REST: Duration = Duration::from_millis(100);

/// Takes an accepted connection.
pub type Serve = Arc<dyn Fn(TcpStream, Pass) + Send + Sync>;

/// The open ports.
pub struct Listeners {
    serve: Serve,
    events: Events,
    gate: Gate,
    open: Mutex<BTreeMap<SocketAddr, Open>>,
}

/// An open port.
struct Open {
    local: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Listeners {
    /// No port yet; `serve` gets every connection that the gate lets in.
    #[must_use]
    pub fn new(events: Events, serve: Serve) -> Self {
        Self {
            serve,
            events,
            gate: Gate::default(),
            open: Mutex::default(),
        }
    }

    /// Opens this port, if it is not open already.
    ///
    /// # Errors
    /// What the kernel says; it is reported too.
    pub fn open(&self, address: SocketAddr) -> io::Result<()> {
        let mut open = self.lock();
        if open.contains_key(&address) {
            return Ok(());
        }
        let bound = bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((local, listener)) => {
                let accepting = accept(
                    listener,
                    self.gate.clone(),
                    self.events.clone(),
                    self.serve.clone(),
                );
                let accepting = tokio::spawn(accepting);
                open.insert(address, Open { local, accepting });
                self.events.report(&Event::ListenerOpened { address: local });
                Ok(())
            }
            Err(error) => {
                let reason = explain(&error, address.port());
                self.events.report(&Event::ListenerFailed { address, reason });
                Err(error)
            }
        }
    }

    /// Closes this port; connections that came through it stay.
    pub fn close(&self, address: SocketAddr) {
        if let Some(open) = self.lock().remove(&address) {
            open.accepting.abort();
            self.events.report(&Event::ListenerClosed { address });
        }
    }

    /// Closes all.
    pub fn close_all(&self) {
        std::mem::take(&mut *self.lock())
            .into_values()
            .for_each(|open| open.accepting.abort());
    }

    /// Whether this port is open.
    #[must_use]
    pub fn is_open(&self, address: SocketAddr) -> bool {
        self.lock().contains_key(&address)
    }

    /// Where this port really is: port 0 stands for a free one.
    #[must_use]
    pub fn local(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.lock().get(&address).map(|open| open.local)
    }

    /// The open ones.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().keys().copied().collect()
    }

    /// The ports at which others than this machine itself come in.
    #[must_use]
    pub fn reachable_ports(&self) -> Vec<u16> {
        let open = self.lock();
        let reachable = open.values().filter(|open| !open.local.ip().is_loopback());
        reachable.map(|open| open.local.port()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An unspecified IPv6 address takes IPv4 too (Linux' default); a machine without IPv6 gets IPv4 alone.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let opened = open(address);
    match (&opened, address) {
        (Err(error), SocketAddr::V6(v6))
            if v6.ip().is_unspecified() && error.raw_os_error() == Some(nix::libc::EAFNOSUPPORT) =>
        {
            open((Ipv4Addr::UNSPECIFIED, v6.port()).into())
        }
        _ => opened,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, gate: Gate, events: Events, serve: Serve) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => match gate.enter(Instant::now(), peer.ip()) {
                Ok(pass) => serve(tcp, pass),
                Err(away) if away.report => {
                    events.report(&Event::Flooded {
                        source: away.source,
                        limit: away.limit,
                    });
                }
                Err(_) => {}
            },
            // The peer's business, or a shortage that passes: neither may end the listener.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => tokio::time::sleep(REST).await,
        }
    }
}

fn explain(error: &io::Error, port: u16) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("ports below 1024 need root or CAP_NET_BIND_SERVICE (port {port})")
        }
        io::ErrorKind::AddrInUse => format!("another program has port {port} (`ss -ltnp` names it)"),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => error.to_string(),
    }
}
