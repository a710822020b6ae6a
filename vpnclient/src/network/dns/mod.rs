//! Name servers of the VPN: by systemd-resolved, else by resolvconf, else in the resolver's file itself.

mod file;
mod layers;
mod managers;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use file::ResolvConf;
use layers::Owner;
use managers::Manager;

use super::plan::Dns;
use super::program::ProgramError;
use super::table;

/// The resolver's file.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Who keeps the name servers of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolver {
    Manager(Manager),
    File(ResolvConf),
}

/// Why name servers could not be set or taken back.
#[derive(Debug, thiserror::Error)]
pub(super) enum DnsError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("{path} cannot be changed ({source})", path = path.display())]
    File { path: PathBuf, source: io::Error },
}

impl Resolver {
    /// Finds out who it is. Nobody manages another file than the system's.
    pub(super) fn detect(file: &Path) -> Self {
        let manager = (file == Path::new(RESOLV_CONF)).then(Manager::detect).flatten();
        manager.map_or_else(|| Self::File(ResolvConf::at(file)), Self::Manager)
    }

    /// Sets the name servers of `device`, whose table is `table`.
    pub(super) async fn set(&self, device: &str, table: u32, dns: &Dns) -> Result<(), DnsError> {
        match self {
            Self::Manager(manager) => Ok(manager.set(device, dns).await?),
            Self::File(file) => file
                .change(|content| Some(layers::with(content, &Owner::here(device, table), dns)))
                .await
                .map_err(|source| failed(file, source)),
        }
    }

    /// Takes them back.
    pub(super) async fn revert(&self, device: &str, table: u32) -> Result<(), DnsError> {
        match self {
            Self::Manager(manager) => Ok(manager.revert(device).await?),
            Self::File(file) => {
                let own = Owner::here(device, table);
                file.change(|content| layers::without(content, &|owner| *owner == own))
                    .await
                    .map_err(|source| failed(file, source))
            }
        }
    }
}

fn failed(file: &ResolvConf, source: io::Error) -> DnsError {
    let path = file.path().to_owned();
    DnsError::File { path, source }
}

/// What killed clients left in the resolver's file and with its manager.
#[derive(Debug)]
pub(super) enum Leftover {
    /// In the file, by these devices; besides those that are dead, the client with this table left it.
    File(PathBuf, Vec<String>, Option<u32>),
    /// What the manager was told of this device.
    Told(Manager, String),
}

/// Looks for it; changes nothing. The devices `lasting` have stayed although their clients are gone. For a client that has set nothing
/// yet, what carries the number of its table `own` is another's.
pub(super) fn leftovers(file: &Path, own: Option<u32>, lasting: &[String]) -> Vec<Leftover> {
    let mut found = Vec::new();
    let content = std::fs::read(file).ok();
    let dead: Vec<_> = layers::owners(content.as_deref())
        .into_iter()
        .filter(|owner| is_dead(owner, own))
        .map(|owner| owner.device)
        .collect();
    if !dead.is_empty() || ResolvConf::at(file).has_strays() {
        found.push(Leftover::File(file.to_owned(), dead, own));
    }
    if let Resolver::Manager(manager) = Resolver::detect(file) {
        // What is kept has no room for a table; a device that is gone took its client with it.
        let is_left = |device: &String| lasting.contains(device) || netdev::index_of(device).is_err();
        let devices = match &manager {
            Manager::Resolvconf(_) => managers::recorded().into_iter().filter(is_left).collect(),
            // It forgets devices that go by itself.
            Manager::Resolved(_) => lasting.to_vec(),
        };
        let told = |device| Leftover::Told(manager.clone(), device);
        found.extend(devices.into_iter().map(told));
    }
    found
}

/// Whether the client that changed the file is gone: it ended, or the machine was started anew since.
fn is_dead(owner: &Owner, own: Option<u32>) -> bool {
    let here = Owner::here(&owner.device, owner.table);
    match (owner.boot == here.boot, owner.network == here.network) {
        (false, _) => true,
        (true, true) => own == Some(owner.table) || !table::is_held(owner.table),
        // In another network namespace its client cannot be seen from here.
        (true, false) => false,
    }
}

impl Leftover {
    /// Takes it back.
    pub(super) async fn remove(&self) -> Result<(), DnsError> {
        match self {
            Self::File(path, _, own) => {
                let file = ResolvConf::at(path);
                let cleaned = file
                    .change(|content| layers::without(content, &|owner| is_dead(owner, *own)))
                    .await;
                cleaned.map_err(|source| failed(&file, source))
            }
            Self::Told(manager, device) => Ok(manager.revert(device).await?),
        }
    }
}

impl std::fmt::Display for Leftover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path, devices, _) if devices.is_empty() => {
                write!(f, "an unfinished change of {}", path.display())
            }
            Self::File(path, devices, _) => {
                write!(f, "name servers of {} in {}", devices.join(", "), path.display())
            }
            Self::Told(manager, device) => write!(f, "name servers of {device} in {}", manager.name()),
        }
    }
}

/// The name servers that are asked without a VPN; of systemd-resolved, those that it asks.
pub(super) fn servers_without_vpn(file: &Path) -> Vec<IpAddr> {
    let read = |path: &Path| layers::servers_below(std::fs::read(path).ok().as_deref());
    let mut servers = read(file);
    if servers.iter().all(IpAddr::is_loopback) {
        servers.extend(read(Path::new("/run/systemd/resolve/resolv.conf")));
    }
    servers.retain(|ip| !ip.is_loopback());
    servers
}
