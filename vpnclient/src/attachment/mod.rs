//! Where the frames of a session go on this machine.
//!
//! A [`Connection`](crate::connection) knows sessions, addresses and when to try again; what the frames are for it leaves to
//! an [`Attachment`]: a TAP device that the kernel speaks through ([`Device`]), a station in this process
//! ([`Rootless`](crate::rootless::Rootless)), or a whole segment of this machine ([`Segment`]).

mod device;
mod held;
mod pump;
mod routers;
mod segment;
mod undo;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tokio::sync::mpsc;
use transport::tunnel::{Inbound, Tunnel};

use crate::dhcp::Lease;
use crate::failure::Failure;
use crate::report::Reporter;

pub use device::{Device, DeviceSettings, run};
pub(crate) use pump::split_dhcp;
pub use segment::Segment;

/// The end of a session's frames on this machine, which outlives the session.
pub trait Attachment: Send {
    /// The hardware address by which this machine is known on the hub.
    fn mac(&self) -> [u8; 6];

    /// What it is called where people read of it.
    fn name(&self) -> &str;

    /// The number of the device that it has made, which never leads to the server.
    fn device(&self) -> Option<u32> {
        None
    }

    /// What it means that [`Attachment::outbound`] has ended.
    fn failed(&self, error: &io::Error) -> Failure {
        let device = self.name();
        Failure::Local(format!("the device {device} failed: {error}; was it deleted?"))
    }

    /// Whether it wants an address from the hub's DHCP server.
    fn wants_address(&self) -> bool;

    /// Takes what arrives from the hub; answers for the DHCP client go to `dhcp`, where there is one.
    fn inbound(&self, dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound;

    /// Carries what this machine sends into `tunnel`, until that fails or the future is dropped.
    fn outbound(&self, tunnel: Tunnel) -> impl Future<Output = io::Error> + Send + 'static;

    /// Takes a DHCP answer that was not for our client after all.
    fn return_answer(&self, frame: &[u8]);

    /// The first session is there.
    fn begin(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Sets up what a lease means, for a VPN server at `server`, in place of what there was.
    fn take(
        &mut self,
        lease: &Lease,
        server: IpAddr,
        reporter: &Reporter,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The lease goes on as it was.
    fn renewed(&mut self) -> impl Future<Output = ()> + Send;

    /// It is not used any more; what it has taken of this machine is free when this is done.
    fn end(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// There is no lease any more.
    fn clear(&mut self) -> impl Future<Output = ()> + Send;

    /// There is a session with a server that is reached at `peer`.
    fn found(&mut self, _peer: SocketAddr) {}

    /// The server at `server` is looked for: it must be reachable without the tunnel.
    fn find_server(&mut self, server: IpAddr) -> impl Future<Output = Result<(), Failure>> + Send;

    /// The server was not found; names must be found without the tunnel.
    fn suspend_names(&mut self) -> impl Future<Output = ()> + Send;
}
