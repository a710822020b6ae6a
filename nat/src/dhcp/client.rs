//! Who asks: what a client is known by, and what the link tells of it.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use hub_core::MacAddr;

use super::message::{Message, option};

/// The longest client identifier kept; a longer one counts by its beginning.
const MAX_CLIENT_ID: usize = 64;
/// The longest host name kept, a DNS label's length.
const MAX_HOST_NAME: usize = 63;

/// What the link tells of its stations.
pub trait Link {
    /// Who was heard to use an address, at `since` or later if that is given.
    fn owner(&self, ip: Ipv4Addr, since: Option<Instant>) -> Option<MacAddr>;
    /// The station of this hardware address, if it is on the link now.
    fn station(&self, mac: MacAddr) -> Option<Station>;
}

/// A station on the link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Station {
    /// The user whose session it is behind; none for bridges.
    pub user: Option<String>,
}

/// Finds stations on the hub by their hardware address.
#[derive(Clone)]
pub struct Stations(Arc<dyn Fn(MacAddr) -> Option<Station> + Send + Sync>);

impl Stations {
    /// Stations are found by `find`, which is called with the virtual host locked: it must not call back.
    pub fn new(find: impl Fn(MacAddr) -> Option<Station> + Send + Sync + 'static) -> Self {
        Stations(Arc::new(find))
    }

    /// Nothing is known of stations.
    pub fn unknown() -> Self {
        Stations::new(|_| None)
    }

    pub(crate) fn find(&self, mac: MacAddr) -> Option<Station> {
        (self.0)(mac)
    }
}

impl fmt::Debug for Stations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stations")
    }
}

/// What a client is known by: its identifier (option 61), or else its hardware address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(Box<[u8]>);

impl ClientKey {
    pub(crate) fn new(client_id: Option<&[u8]>, mac: MacAddr) -> Self {
        match client_id {
            Some(id) if !id.is_empty() => ClientKey(id[..id.len().min(MAX_CLIENT_ID)].into()),
            // The form a client that identifies itself by its hardware address uses (RFC 2132 §9.14).
            _ => ClientKey([&[1][..], &mac.octets()].concat().into()),
        }
    }

    /// The key of an address that belongs to no client.
    pub(crate) fn nobody(ip: Ipv4Addr) -> Self {
        ClientKey([&[0xff][..], &ip.octets()].concat().into())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where in the pool the search begins, so that a client finds the same address even after we forgot it.
    pub(crate) fn start(&self) -> u32 {
        self.0.iter().fold(0x811c_9dc5, |hash: u32, &b| {
            (hash ^ u32::from(b)).wrapping_mul(0x0100_0193)
        })
    }
}

/// A client as one of its messages shows it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) key: ClientKey,
    pub(crate) mac: MacAddr,
    /// In lower case: the hub's names do not tell by case.
    pub(crate) user: Option<String>,
    /// What it calls itself, reduced to what is safe in logs and tables.
    pub(crate) host_name: String,
}

impl Client {
    /// The sender of `request`, which came in a frame from `source`. The frame tells the user, because the hub saw to it
    /// that it came from that user's port; the message holds what its sender likes.
    pub(crate) fn of(request: &Message, source: MacAddr, link: &dyn Link) -> Self {
        let id = request.options.get(&option::CLIENT_ID).map(Vec::as_slice);
        let user = link.station(source).and_then(|station| station.user);
        Client {
            key: ClientKey::new(id, request.chaddr),
            mac: request.chaddr,
            user: user.map(|name| name.to_ascii_lowercase()),
            host_name: host_name(request),
        }
    }
}

fn host_name(request: &Message) -> String {
    let bytes = request
        .options
        .get(&option::HOST_NAME)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let harmless = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    bytes
        .iter()
        .filter(harmless)
        .take(MAX_HOST_NAME)
        .map(|b| char::from(*b))
        .collect()
}
