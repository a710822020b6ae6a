//! What is there already: a setup adds to it and takes nothing away, so that it may be done again.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::SetupError;
use crate::data_dir::DataDir;
use crate::listen;
use crate::run::usual_ports;
use crate::store::{DATABASE_FILE, HubName, SqliteStore, Store, UserName};

/// The settings of a folder, which may have none yet.
pub(super) struct Present {
    store: Option<SqliteStore>,
    /// From the file of addresses, where there is one.
    addresses: Vec<SocketAddr>,
}

impl Present {
    /// Looks; a folder without a store gets none.
    pub(super) fn of(folder: &DataDir) -> Result<Self, SetupError> {
        let store = if folder.file(DATABASE_FILE).exists() {
            // Who reads what belongs to a server does so as that server.
            Some(folder.as_owner(|| SqliteStore::open(folder.path()))??.store)
        } else {
            None
        };
        Ok(Self {
            store,
            addresses: listen::of(folder).map_err(|error| SetupError::Unusable(error.to_string()))?,
        })
    }

    pub(super) fn has_admin_password(&self) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        Ok(store.server()?.admin_password.is_some())
    }

    pub(super) fn has_hub(&self, name: &HubName) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        Ok(store.hubs()?.iter().any(|hub| hub.name == *name))
    }

    pub(super) fn has_user(&self, hub: &HubName, name: &UserName) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        if !self.has_hub(hub)? {
            return Ok(false);
        }
        Ok(store.users(hub.as_str())?.iter().any(|user| user.name == *name))
    }

    pub(super) fn has_secure_nat(&self, name: &HubName) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        let hubs = store.hubs()?;
        Ok(hubs.iter().any(|hub| hub.name == *name && hub.secure_nat.enabled))
    }

    pub(super) fn has_tap(&self, hub: &HubName, device: &str) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        let bridges = store.local_bridges()?;
        Ok(bridges
            .iter()
            .any(|bridge| bridge.hub == *hub && bridge.device == device && bridge.tap.is_some()))
    }

    pub(super) fn has_rule(&self, name: &str) -> Result<bool, SetupError> {
        let Some(store) = &self.store else {
            return Ok(false);
        };
        Ok(store
            .dnat_rules()?
            .iter()
            .any(|rule| rule.name.eq_ignore_ascii_case(name)))
    }

    /// The stored ports.
    pub(super) fn ports(&self) -> Result<Vec<u16>, SetupError> {
        let Some(store) = &self.store else {
            return Ok(usual_ports().to_vec());
        };
        let listeners = store.listeners()?;
        Ok(listeners
            .iter()
            .filter(|listener| listener.enabled)
            .map(|listener| listener.port)
            .collect())
    }

    /// Where the server listens, or will.
    pub(super) fn listening(&self) -> Result<Vec<SocketAddr>, SetupError> {
        if !self.addresses.is_empty() {
            return Ok(self.addresses.clone());
        }
        let everywhere = IpAddr::from(Ipv6Addr::UNSPECIFIED);
        Ok(self
            .ports()?
            .into_iter()
            .map(|port| SocketAddr::new(everywhere, port))
            .collect())
    }
}
