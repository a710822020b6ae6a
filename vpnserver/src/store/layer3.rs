//! Virtual layer 3 switches: routers between hubs.

use std::net::Ipv4Addr;

use super::{HubName, Result, StoreError};

/// An interface of a layer 3 switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer3Interface {
    /// The hub, by name: it may not exist yet. No two interfaces of a switch are in one hub.
    pub hub: String,
    /// The switch's address there.
    pub address: Ipv4Addr,
    /// The mask of the network there.
    pub mask: Ipv4Addr,
}

/// A route of a layer 3 switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer3Route {
    /// The network.
    pub network: Ipv4Addr,
    /// Its mask.
    pub mask: Ipv4Addr,
    /// Who takes packets for it.
    pub gateway: Ipv4Addr,
    /// Routes with lower numbers are preferred; at least 1.
    pub metric: u32,
}

/// A layer 3 switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer3Switch {
    /// Its name; the characters are those of hubs.
    pub name: HubName,
    /// Whether it is wanted to run.
    pub active: bool,
    /// Its interfaces, by hub.
    pub interfaces: Vec<Layer3Interface>,
    /// Its routes, by network.
    pub routes: Vec<Layer3Route>,
}

impl Layer3Switch {
    /// Interfaces of one switch, and routes of one switch, at most.
    pub const MOST: usize = 4096;

    /// A switch without interfaces that is not running.
    #[must_use]
    pub fn new(name: HubName) -> Self {
        Self {
            name,
            active: false,
            interfaces: Vec::new(),
            routes: Vec::new(),
        }
    }
}

/// Refuses what may not be kept.
pub(super) fn check(switch: &Layer3Switch) -> Result<()> {
    if switch.interfaces.len() > Layer3Switch::MOST || switch.routes.len() > Layer3Switch::MOST {
        return Err(StoreError::Invalid(format!(
            "a layer 3 switch has at most {} interfaces and as many routes",
            Layer3Switch::MOST
        )));
    }
    Ok(())
}
