//! Two hosts, and what lies between a device of the one and a device of the other.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use super::ping;
use crate::host::Host;
use crate::lab::Lab;
use crate::ours;
use crate::process::{self, Daemon};
use crate::stock;

/// The server on the cable, as its clients address it.
pub const SERVER: &str = "203.0.113.1:443";

/// The addresses of the two devices.
pub const CLIENT_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
/// See [`CLIENT_INSIDE`].
pub const SERVER_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);

/// The host behind the NAT, and the virtual host that leads there, which is the same for both servers.
const BEYOND: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 26);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);

/// How long a tunnel may take to carry its first packet.
const FIRST_PACKET: Duration = Duration::from_secs(20);

/// A program at one end of a tunnel; dropping it ends it.
#[derive(Debug)]
pub enum End {
    /// Of no kind that the laboratory has a type for.
    Daemon(Daemon),
    /// The stock client service.
    StockClient(stock::Client),
    /// Our server.
    OurServer(ours::Server),
    /// Our client.
    OurClient(ours::Client),
}

impl End {
    fn daemon(&self) -> &Daemon {
        match self {
            End::Daemon(daemon) => daemon,
            End::StockClient(client) => client.daemon(),
            End::OurServer(server) => server.daemon(),
            End::OurClient(client) => client.daemon(),
        }
    }

    /// The process whose processor time counts.
    pub fn pid(&self) -> u32 {
        self.daemon().pid()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.daemon().log()
    }
}

/// What is measured: a client's host and a server's, and the programs between their devices, if there are any.
#[derive(Debug)]
pub struct Path {
    /// The program at the client's end.
    pub client_end: Option<End>,
    /// The program at the server's end.
    pub server_end: Option<End>,
    /// Where the client runs.
    pub client: Host,
    /// Where the server runs.
    pub server: Host,
    /// A host behind the server's NAT, where the far ends of streams are instead of at the server.
    pub beyond: Option<Host>,
    /// The address of the client's device.
    pub client_address: Ipv4Addr,
    /// The address of the far end: the server's device, or the host behind its NAT.
    pub far_address: Ipv4Addr,
    /// The SOCKS5 proxy of the client's host by which streams go, if they do.
    pub door: Option<SocketAddr>,
    /// Whether the streams of a measure are TLS themselves.
    pub tls: bool,
}

impl Path {
    /// Two hosts and nothing but a cable.
    pub fn cable(lab: &Lab) -> Result<Self> {
        let (client, server) = (lab.host("client")?, lab.host("server")?);
        lab.cable(
            (&server, "eth0", "203.0.113.1/24"),
            (&client, "eth0", "203.0.113.10/24"),
        )?;
        Ok(Self {
            client_end: None,
            server_end: None,
            client,
            server,
            beyond: None,
            client_address: Ipv4Addr::new(203, 0, 113, 10),
            far_address: Ipv4Addr::new(203, 0, 113, 1),
            door: None,
            tls: false,
        })
    }

    /// The same with a host behind the server, to which it has a cable of its own. The host knows no way back to the client's
    /// network: who reaches it was translated.
    pub fn with_a_host_beyond(lab: &Lab) -> Result<Self> {
        let mut path = Self::cable(lab)?;
        let beyond = lab.host("beyond")?;
        lab.cable(
            (&path.server, "lan", "10.0.1.1/24"),
            (&beyond, "eth0", "10.0.1.26/24"),
        )?;
        path.beyond = Some(beyond);
        path.far_address = BEYOND;
        Ok(path)
    }

    /// Waits until the client has an address on `device`, and has come through the NAT.
    pub fn translated(mut self, device: &str) -> Result<Self> {
        self.client_address =
            ours::address_of(&self.client, device, FIRST_PACKET).with_context(|| self.logs())?;
        self.client.sh(&format!(
            "ip route replace {BEYOND}/32 via {GATEWAY} dev {device}"
        ))?;
        let listener = self.far().within(|| TcpListener::bind((BEYOND, 0)))??;
        let address = listener.local_addr()?;
        process::eventually(FIRST_PACKET, "the first connection through the NAT", || {
            let dialled = self
                .client
                .within(|| TcpStream::connect_timeout(&address, Duration::from_secs(2)))?;
            Ok(dialled.ok().map(drop))
        })
        .with_context(|| self.logs())?;
        Ok(self)
    }

    /// Gives the devices at the ends of the tunnel their addresses, and waits until a packet has come through and back.
    pub fn tunnelled(mut self, client_device: &str, server_device: &str) -> Result<Self> {
        for (host, device, address) in [
            (&self.server, server_device, SERVER_INSIDE),
            (&self.client, client_device, CLIENT_INSIDE),
        ] {
            device_with_address(host, device, address).with_context(|| self.logs())?;
        }
        (self.client_address, self.far_address) = (CLIENT_INSIDE, SERVER_INSIDE);
        process::eventually(FIRST_PACKET, "the first packet through the tunnel", || {
            Ok(ping::answers(&self.client, self.far_address)?.then_some(()))
        })
        .with_context(|| self.logs())?;
        Ok(self)
    }

    /// Where the far ends of streams are.
    pub fn far(&self) -> &Host {
        self.beyond.as_ref().unwrap_or(&self.server)
    }

    /// What both programs have said, for the error when something does not work.
    pub fn logs(&self) -> String {
        let of = |end: &Option<End>| end.as_ref().map(End::log).unwrap_or_default();
        format!(
            "the server said:\n{}\nthe client said:\n{}",
            of(&self.server_end),
            of(&self.client_end)
        )
    }
}

/// Sets the address of a device that a program makes, or has made.
fn device_with_address(host: &Host, device: &str, address: Ipv4Addr) -> Result<()> {
    let what = format!("the device {device} of {}", host.name());
    process::eventually(FIRST_PACKET, &what, || {
        let set = format!("ip link set {device} up && ip address replace {address}/24 dev {device}");
        Ok(host.sh(&set).ok())
    })?;
    Ok(())
}
