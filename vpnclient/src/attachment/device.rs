//! A TAP device: the kernel is on the hub, with address, routes and name servers.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use netdev::{Links, Tap, TapOptions, VnetHeader};
use tokio::sync::mpsc;
use transport::tunnel::{Inbound, Tunnel};

use super::{Attachment, pump};
use crate::dhcp::Lease;
use crate::failure::Failure;
use crate::network::{Network, Plan, PlannedRoute, RouteMode, plan};
use crate::report::{Event, Reporter};

/// What a device is to be.
#[derive(Debug, Clone)]
pub struct DeviceSettings {
    /// The name of the TAP device.
    pub tap: String,
    /// Its hardware address, if it is to have a certain one.
    pub mac: Option<[u8; 6]>,
    /// Whether the device may leave frames unfinished.
    pub offload: bool,
    /// Whether to ask for an address.
    pub dhcp: bool,
    /// Which routes lead into the VPN.
    pub routes: RouteMode,
    /// Whether to set name servers.
    pub dns: bool,
}

/// A TAP device and what a lease has set up for it. The device vanishes with this value.
pub struct Device {
    settings: DeviceSettings,
    tap: Arc<Tap>,
    network: Network,
}

impl Device {
    /// Makes the device; nothing goes through it yet.
    pub fn open(settings: &DeviceSettings) -> Result<Self, Failure> {
        let options = TapOptions {
            mac: settings.mac,
            offload: settings.offload,
            ..TapOptions::new(&settings.tap)
        };
        let tap = Arc::new(Tap::create(&options)?);
        let network = Network::new(Links::new()?, tap.name(), tap.index());
        Ok(Self {
            settings: settings.clone(),
            tap,
            network,
        })
    }
}

impl Attachment for Device {
    fn mac(&self) -> [u8; 6] {
        self.tap.mac()
    }

    fn name(&self) -> &str {
        self.tap.name()
    }

    fn device(&self) -> Option<u32> {
        Some(self.tap.index())
    }

    fn wants_address(&self) -> bool {
        self.settings.dhcp
    }

    fn inbound(&self, dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound {
        pump::inbound(self.tap.clone(), dhcp)
    }

    fn outbound(&self, tunnel: Tunnel) -> impl Future<Output = io::Error> + Send + 'static {
        pump::outbound(self.tap.clone(), tunnel)
    }

    fn return_answer(&self, frame: &[u8]) {
        let _ = self.tap.try_send(&VnetHeader::NONE, frame);
    }

    async fn begin(&mut self) -> Result<(), Failure> {
        Ok(self.network.up().await?)
    }

    async fn take(&mut self, lease: &Lease, server: IpAddr, reporter: &Reporter) -> Result<(), Failure> {
        self.network.clear().await;
        let plan = plan(lease, self.settings.routes, self.settings.dns, server);
        let notes = self.network.apply(&plan, server).await?;
        reporter.show(&address_event(self.tap.name(), lease, &plan));
        for note in notes {
            reporter.show(&Event::Note(note));
        }
        Ok(())
    }

    /// What the lease says is as before; only what was let go of meanwhile has to be taken up again.
    async fn renewed(&mut self) {
        self.network.resume_dns().await;
    }

    async fn clear(&mut self) {
        self.network.clear().await;
    }

    async fn find_server(&mut self, server: IpAddr) -> Result<(), Failure> {
        Ok(self.network.find_server_again(server).await?)
    }

    async fn suspend_names(&mut self) {
        self.network.suspend_dns().await;
    }
}

fn address_event(device: &str, lease: &Lease, plan: &Plan) -> Event {
    let route = |route: &PlannedRoute| match route.router {
        Some(router) => format!("{}/{} via {router}", route.network, route.prefix),
        None => format!("{}/{}", route.network, route.prefix),
    };
    Event::Address {
        device: device.to_owned(),
        address: lease.address.into(),
        prefix: lease.prefix,
        server: lease.server.into(),
        term: lease.term,
        routes: plan.routes.iter().map(route).collect(),
        dns: plan
            .dns
            .iter()
            .flat_map(|dns| &dns.servers)
            .map(|ip| IpAddr::V4(*ip))
            .collect(),
    }
}
