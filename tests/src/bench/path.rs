//! Two hosts, and what lies between a device of the one and a device of the other.

use std::net::Ipv4Addr;
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
    /// The address of the client's device.
    pub client_address: Ipv4Addr,
    /// The address of the server's device.
    pub server_address: Ipv4Addr,
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
            client_address: Ipv4Addr::new(203, 0, 113, 10),
            server_address: Ipv4Addr::new(203, 0, 113, 1),
            tls: false,
        })
    }

    /// Gives the devices at the ends of the tunnel their addresses, and waits until a packet has come through and back.
    pub fn tunnelled(mut self, client_device: &str, server_device: &str) -> Result<Self> {
        for (host, device, address) in [
            (&self.server, server_device, SERVER_INSIDE),
            (&self.client, client_device, CLIENT_INSIDE),
        ] {
            device_with_address(host, device, address).with_context(|| self.logs())?;
        }
        (self.client_address, self.server_address) = (CLIENT_INSIDE, SERVER_INSIDE);
        process::eventually(FIRST_PACKET, "the first packet through the tunnel", || {
            Ok(ping::answers(&self.client, self.server_address)?.then_some(()))
        })
        .with_context(|| self.logs())?;
        Ok(self)
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
