//! `vpnserver cleanup`: takes away what killed servers left on this machine.

use std::net::IpAddr;

use nat::leftovers;
use netdev::Links;

use crate::bridge::device_of;
use crate::cli;
use crate::data_dir::{DataDir, DataDirError, Lock};
use crate::store::{DATABASE_FILE, LocalBridge, SqliteStore, Store};

/// What was done, one line each.
#[derive(Debug, Default)]
pub struct Cleaned {
    /// What was removed, or would be.
    pub removed: Vec<String>,
    /// What stays, and why.
    pub kept: Vec<String>,
}

/// Takes away what is left, or says what would be.
///
/// # Errors
/// When a server runs on the folder ([`DataDirError::Taken`]), or the kernel cannot be asked or does not let go.
pub async fn clean(options: &cli::Cleanup) -> anyhow::Result<Cleaned> {
    let folder = DataDir::locate(options.folder.data_dir.as_deref())?;
    // Held to the end, so that no server begins on the folder meanwhile. A folder that is not there is not made.
    let _lock = lock(&folder)?;
    let mut cleaned = Cleaned::default();
    if !options.dry_run {
        netdev::capability::probe().require_nft()?;
    }
    let found = leftovers::find().await?;
    for tag in found.present {
        cleaned
            .kept
            .push(format!("what is tagged {tag} belongs to a process that runs"));
    }
    for leftover in found.leftovers {
        let line = leftover.to_string();
        if !options.dry_run {
            leftover
                .remove()
                .await
                .map_err(|error| anyhow::anyhow!("{line} could not be removed: {error}"))?;
        }
        cleaned.removed.push(line);
    }
    for line in addresses(&folder, options.dry_run).await? {
        cleaned.removed.push(line);
    }
    Ok(cleaned)
}

fn lock(folder: &DataDir) -> Result<Option<Lock>, DataDirError> {
    match folder.path().try_exists() {
        Ok(true) => folder.as_owner(|| folder.lock())?.map(Some),
        _ => Ok(None),
    }
}

/// Addresses on TAP devices that were there before a server and stay after it. Devices of the server's own went with it.
async fn addresses(folder: &DataDir, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let mut removed = Vec::new();
    let links = Links::new()?;
    for bridge in bridges(folder)? {
        let Some(address) = bridge.address else { continue };
        let (device, ip) = (device_of(&bridge), IpAddr::V4(address.ip()));
        let addresses = links.addresses(&device).await.unwrap_or_default();
        if !addresses
            .iter()
            .any(|other| other.ip == ip && other.prefix == address.prefix())
        {
            continue;
        }
        if !dry_run {
            links.remove_address(&device, ip, address.prefix()).await?;
        }
        removed.push(format!("address {address} of {device}"));
    }
    Ok(removed)
}

fn bridges(folder: &DataDir) -> anyhow::Result<Vec<LocalBridge>> {
    if !folder.file(DATABASE_FILE).try_exists().unwrap_or(false) {
        return Ok(Vec::new());
    }
    let opened = folder.as_owner(|| SqliteStore::open(folder.path()))??;
    Ok(opened.store.local_bridges()?)
}
