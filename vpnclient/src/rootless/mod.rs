//! Without privileges: no device, but doors on this machine that lead into the VPN, all through one tunnel.
//!
//! The hub's segment is entered by a [`Station`] in this process. Programs reach it through proxies (`socks5`,
//! `http_proxy`), through ports that stand for a host and port over there, or through the local socket
//! ([`crate::control`]); and a port of the station can lead back to a host of this side.

mod associate;
mod destination;
mod doors;
mod http_proxy;
mod names;
pub(crate) mod question;
mod settings;
mod socks5;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hub_core::frame::Frame;
use nat::Ipv4Net;
use nat::device::Finisher;
use nat::station::{Address, Outlet, Station};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use transport::tunnel::{Inbound, Tunnel};

pub use destination::Destination;
use doors::{Doors, Way, tend_control};
use names::Names;
pub use settings::{Forward, ProxyPassword, Reverse, RootlessSettings, parse_listen};

use crate::attachment::{Attachment, split_dhcp};
use crate::control::ControlSocket;
use crate::dhcp::Lease;
use crate::failure::Failure;
use crate::network::RouteMode;
use crate::report::{Event, Reporter};

/// What an Ethernet segment carries, unless its DHCP server says less.
const MTU: usize = 1500;
/// The least that every IPv4 host takes (RFC 791 §3.1).
const MIN_MTU: usize = 576;

/// The station and the doors to it.
pub struct Rootless {
    mac: [u8; 6],
    routes: RouteMode,
    way: Arc<Way>,
    doors: Option<Doors>,
    /// The doors' tasks; they end with this value.
    tasks: JoinSet<()>,
}

impl Rootless {
    /// Opens the doors; who comes waits for the hub. Needs a running runtime.
    pub fn open(settings: &RootlessSettings, control: Option<ControlSocket>) -> Result<Self, Failure> {
        let mac = settings.mac.unwrap_or_else(|| {
            netdev::mac::of_device("vpnclient-rootless")
                .unwrap_or_else(|| netdev::mac::stable(&[&rand::random::<[u8; 16]>()]))
        });
        let station = Station::new(mac);
        let way = Arc::new(Way {
            names: Names::new(station.clone()),
            station,
        });
        let doors = Some(Doors::open(settings)?);
        let mut tasks = JoinSet::new();
        if let Some(control) = control {
            tasks.spawn(tend_control(control, way.clone()));
        }
        Ok(Self {
            mac,
            routes: settings.routes,
            way,
            doors,
            tasks,
        })
    }
}

impl Attachment for Rootless {
    fn mac(&self) -> [u8; 6] {
        self.mac
    }

    fn name(&self) -> &str {
        "rootless"
    }

    fn wants_address(&self) -> bool {
        true
    }

    fn inbound(&self, dhcp: Option<mpsc::Sender<Bytes>>) -> Inbound {
        let station = self.way.station.clone();
        Arc::new(move |frames: &mut Vec<Frame>| {
            split_dhcp(frames, dhcp.as_ref());
            station.input(frames);
        })
    }

    fn outbound(&self, tunnel: Tunnel) -> impl Future<Output = io::Error> + Send + 'static {
        let station = self.way.station.clone();
        async move {
            let outlet: Outlet = Arc::new(move |frames: &mut dyn Iterator<Item = Frame>| {
                // A stock server, and a datagram, knows frames of ordinary length only.
                if tunnel.takes_super_frames() {
                    return tunnel.send(frames);
                }
                let mut frames = frames.collect();
                Finisher::default().finish(&mut frames);
                tunnel.send(&mut frames.into_iter());
            });
            let _connected = Connected::new(&station, outlet);
            std::future::pending().await
        }
    }

    /// There is no other DHCP client behind this attachment.
    fn return_answer(&self, _frame: &[u8]) {}

    async fn begin(&mut self) -> Result<(), Failure> {
        let station = self.way.station.clone();
        self.tasks.spawn(async move { station.run().await });
        if let Some(doors) = self.doors.take() {
            doors.serve(&self.way, &mut self.tasks)?;
        }
        Ok(())
    }

    async fn take(&mut self, lease: &Lease, _server: IpAddr, reporter: &Reporter) -> Result<(), Failure> {
        let address = address(lease, self.routes);
        let search = lease.domain.iter().chain(&lease.search).cloned().collect();
        self.way.names.set(lease.dns.clone(), search);
        let routes = address.routes.iter().map(|(network, router)| match router {
            Some(router) => format!("{network} via {router}"),
            None => network.to_string(),
        });
        let event = Event::Address {
            device: self.name().to_owned(),
            address: lease.address.into(),
            prefix: lease.prefix,
            server: lease.server.into(),
            term: lease.term,
            routes: routes.collect(),
            dns: lease.dns.iter().map(|ip| IpAddr::V4(*ip)).collect(),
        };
        self.way.station.set_address(Some(address));
        reporter.show(&event);
        Ok(())
    }

    async fn renewed(&mut self) {}

    /// The next connection may want the same ports at once.
    async fn end(&mut self) {
        self.tasks.shutdown().await;
    }

    async fn clear(&mut self) {
        self.way.station.set_address(None);
    }

    async fn find_server(&mut self, _server: IpAddr) -> Result<(), Failure> {
        Ok(()) // the host's own routes are as they were
    }

    async fn suspend_names(&mut self) {}
}

/// The station sends through a tunnel as long as this lives.
struct Connected(Station);

impl Connected {
    fn new(station: &Station, outlet: Outlet) -> Self {
        station.connect_to(Some(outlet));
        Self(station.clone())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connect_to(None);
    }
}

/// What a lease means for a station.
fn address(lease: &Lease, mode: RouteMode) -> Address {
    let pushed = lease
        .routes
        .iter()
        .map(|route| (Ipv4Net::new(route.network, route.prefix), route.router));
    let mut routes: Vec<_> = match mode {
        RouteMode::None => Vec::new(),
        RouteMode::Pushed => pushed.filter(|(network, _)| network.prefix() > 0).collect(),
        RouteMode::Dhcp | RouteMode::Default => pushed.collect(),
    };
    let everything = routes.iter().any(|(network, _)| *network == Ipv4Net::ANY);
    let router = match mode {
        RouteMode::Dhcp => lease.way_out(),
        RouteMode::Default => lease.router,
        RouteMode::Pushed | RouteMode::None => None,
    };
    if let Some(router) = router.filter(|_| !everything) {
        routes.push((Ipv4Net::ANY, Some(router)));
    }
    let mtu = lease.mtu.map_or(MTU, usize::from).clamp(MIN_MTU, MTU);
    Address {
        ip: lease.address,
        network: Ipv4Net::new(lease.address, lease.prefix),
        routes,
        mtu,
    }
}
