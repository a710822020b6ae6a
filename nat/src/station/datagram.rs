//! UDP sockets of a station.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use super::{Shared, Station};
use crate::packet::Outgoing;

/// Datagrams that wait to be read.
const QUEUE: usize = 256;
/// The largest payload of a datagram (RFC 768, over IPv4).
const MAX_DATA: usize = 65_507;

/// A datagram that came.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddrV4,
    pub(super) data: Bytes,
}

/// A UDP socket; its port is free again when it is dropped.
pub struct Socket {
    shared: Arc<Shared>,
    port: u16,
    incoming: Mutex<mpsc::Receiver<Datagram>>,
}

impl Station {
    /// A UDP socket at a free port.
    ///
    /// # Errors
    /// `AddrNotAvailable` when every port is taken.
    pub fn bind(&self) -> io::Result<Socket> {
        let (sender, incoming) = mpsc::channel(QUEUE);
        let mut flows = self.shared.flows();
        let port = flows
            .free_port(|flows, port| flows.sockets.contains_key(&port))
            .ok_or(io::ErrorKind::AddrNotAvailable)?;
        flows.sockets.insert(port, sender);
        drop(flows);
        Ok(Socket {
            shared: Arc::clone(&self.shared),
            port,
            incoming: Mutex::new(incoming),
        })
    }
}

impl Socket {
    /// Sends a datagram.
    ///
    /// # Errors
    /// `NetworkDown` without an address, `NetworkUnreachable` without a way, `InvalidInput` for one that is too long.
    pub fn send_to(&self, data: &[u8], to: SocketAddrV4) -> io::Result<()> {
        if data.len() > MAX_DATA {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (ip, _) = self.shared.local()?;
        let packet = Outgoing::udp(SocketAddrV4::new(ip, self.port), to, data);
        let sent = self.shared.send([packet]);
        sent.then_some(())
            .ok_or_else(|| io::ErrorKind::NetworkUnreachable.into())
    }

    /// The next datagram and its sender.
    pub async fn recv_from(&self) -> (Bytes, SocketAddrV4) {
        match self.incoming.lock().await.recv().await {
            Some(datagram) => (datagram.data, datagram.from),
            // The sender is in the table until this socket is dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.flows().sockets.remove(&self.port);
    }
}
