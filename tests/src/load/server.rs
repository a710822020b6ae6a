//! The servers under load: both start from one configuration file, each on a host of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use protocol::config::Folder;
use protocol::password::user_hash;

use super::client::{Door, PASSWORD, Proof};
use super::crowd::{HUBS, USERS, hub, user};
use super::figures::await_rest;
use crate::host::Host;
use crate::lab::Lab;
use crate::ours::{self, program};
use crate::process::{self, Daemon};
use crate::stock::Stock;

/// Which software.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Hubward.
    Ours,
    /// SoftEther.
    Stock,
}

impl Kind {
    /// What tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Stock => "stock",
        }
    }
}

/// A server, on a host.
pub struct Server {
    /// Its host, on whose network the sessions run, too.
    pub host: Host,
    kind: Kind,
    running: Running,
    stock: Stock,
}

enum Running {
    Ours(ours::Server),
    Stock(Daemon),
}

impl Server {
    /// Starts it with [`HUBS`] hubs of [`USERS`] users, and waits until it has nothing more to do.
    pub fn start(lab: &Lab, kind: Kind, stock: &Stock) -> Result<Self> {
        let host = lab.host(kind.name())?;
        let file = lab.folder().join("load.config");
        std::fs::write(&file, configuration())?;
        let running = match kind {
            Kind::Ours => {
                let mut command = host.command(program("vpnserver")?);
                process::run(command.arg("import").arg(&file))?;
                Running::Ours(ours::Server::start(&host, &[])?)
            }
            Kind::Stock => {
                put(
                    &host,
                    &file,
                    &PathBuf::from("/var/lib/softether/vpn_server.config"),
                )?;
                Running::Stock(stock.server(&host)?)
            }
        };
        let server = Self {
            host,
            kind,
            running,
            stock: stock.clone(),
        };
        server.rests().context("after the start")?;
        Ok(server)
    }

    /// Waits until it has nothing to do.
    pub fn rests(&self) -> Result<()> {
        await_rest(self.pid()?, Duration::from_secs(120))
    }

    /// Runs administration commands for a hub, each with its server's own tool.
    pub fn administer(&self, hub: &str, commands: &[&str]) -> Result<()> {
        match self.kind {
            Kind::Ours => ours::administer(&self.host, hub, commands).map(drop),
            Kind::Stock => self.stock.shape(&self.host, hub, commands),
        }
    }

    /// Its process.
    pub fn pid(&self) -> Result<u32> {
        let outer = match &self.running {
            Running::Ours(server) => server.daemon().pid(),
            Running::Stock(daemon) => daemon.pid(),
        };
        Ok(innermost(outer))
    }

    /// The way in.
    pub fn door(&self) -> Result<Door> {
        let proof = match self.kind {
            Kind::Ours => Proof::Password,
            Kind::Stock => Proof::Challenge,
        };
        Door::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 443)), proof)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        match &self.running {
            Running::Ours(server) => server.log(),
            Running::Stock(daemon) => daemon.log(),
        }
    }

    /// Ends it at once: ten thousand goodbyes are nobody's figure.
    pub fn kill(self) {
        match self.running {
            Running::Ours(server) => server.kill(),
            Running::Stock(daemon) => daemon.kill(),
        }
    }
}

fn put(host: &Host, file: &Path, place: &Path) -> Result<()> {
    let folder = place.parent().context("a file has a folder")?;
    host.sh(&format!(
        "mkdir -p {} && cp {} {}",
        folder.display(),
        file.display(),
        place.display()
    ))
    .map(drop)
}

/// The process that does the work: a stock daemon watches over another one.
fn innermost(pid: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let child = children
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok());
    child.map_or(pid, innermost)
}

/// A configuration file of a stock server.
fn configuration() -> String {
    let mut server = Folder::new("ServerConfiguration");
    server.set("DisableNatTraversal", true);
    let mut root = Folder::new("root");
    root.insert(server);
    for number in 0..HUBS {
        let mut folder = Folder::new(hub(number));
        folder.set("Online", true);
        let users = folder
            .folder_mut("SecurityAccountDatabase")
            .folder_mut("UserList");
        for number in 0..USERS {
            let name = user(number);
            let hash = user_hash(PASSWORD.as_bytes(), &name);
            let user = users.folder_mut(&name);
            user.set("AuthType", 1_u32);
            user.set("AuthPassword", hash.as_bytes().as_slice());
        }
        root.folder_mut("VirtualHUB").insert(folder);
    }
    root.folder_mut("DDnsClient").set("Disabled", true);
    for (number, port) in [443_u32, 992, 1194, 5555].into_iter().enumerate() {
        let listener = root
            .folder_mut("ListenerList")
            .folder_mut(&format!("Listener{number}"));
        listener.set("Enabled", true);
        listener.set("Port", port);
    }
    root.to_text("# load").to_string()
}
