//! What the MAC and the IP table remember, and for how long.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::HubConfig;
use super::port::{PortId, VlanId};
use super::table::{Address, Station};
use crate::MacAddr;
use crate::frame::{FrameView, Network};

/// How long a MAC address is remembered without a frame from it (protocol §9).
pub const MAC_LIFETIME: Duration = Duration::from_secs(600);

/// How long an IP address is remembered without a packet from it (protocol §9).
pub const IP_LIFETIME: Duration = Duration::from_secs(60);

/// The same for an address that a DHCP server was seen to give (protocol §9).
pub const LEASED_IP_LIFETIME: Duration = Duration::from_secs(300);

/// The silence after which an address of another port is free to be taken on a port with
/// [`check_mac`](super::PortConfig::check_mac) (protocol §9).
pub const TAKE_OVER_AFTER: Duration = Duration::from_secs(13);

/// A row of the MAC table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacEntry {
    /// The row's number, by which an administrator can name it.
    pub key: u32,
    /// The address.
    pub mac: MacAddr,
    /// The VLAN it was seen in; the same address in two VLANs is two rows.
    pub vlan: Option<VlanId>,
    /// The port it is behind.
    pub port: PortId,
    /// When it was first seen there.
    pub created: Instant,
    /// When it was last seen there.
    pub updated: Instant,
}

/// A row of the IP table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpEntry {
    /// The row's number, by which an administrator can name it.
    pub key: u32,
    /// The address.
    pub ip: IpAddr,
    /// The station that uses it.
    pub mac: MacAddr,
    /// The port it is behind.
    pub port: PortId,
    /// Whether a DHCP server was seen to give it to the station.
    pub leased: bool,
    /// When it was first seen there.
    pub created: Instant,
    /// When it was last seen there.
    pub updated: Instant,
}

/// An address in a VLAN: 802.1Q's independent learning, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MacKey(u64);

impl MacKey {
    pub(super) fn new(mac: MacAddr, vlan: Option<VlanId>) -> Self {
        Self(u64::from(vlan.map_or(0, VlanId::get)) << 48 | mac.to_u64())
    }

    pub(super) fn mac(self) -> MacAddr {
        let [_, _, octets @ ..] = self.0.to_be_bytes();
        MacAddr::new(octets)
    }

    pub(super) fn vlan(self) -> Option<VlanId> {
        VlanId::new((self.0 >> 48) as u16)
    }
}

impl Hash for MacKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// An IP address that hashes as one word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IpKey(pub(super) IpAddr);

impl Hash for IpKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpAddr::V4(ip) => state.write_u64(ip.to_bits().into()),
            IpAddr::V6(ip) => {
                state.write_u64((ip.to_bits() >> 64) as u64);
                state.write_u64(ip.to_bits() as u64);
            }
        }
    }
}

impl Address for MacKey {}

/// IPv4 and IPv6 have limits of their own.
impl Address for IpKey {
    fn class(&self) -> usize {
        usize::from(self.0.is_ipv6())
    }
}

/// A MAC address carries nothing besides its port.
#[derive(Debug)]
pub(super) struct MacStation;

impl Station for MacStation {
    fn lifetime(&self) -> Duration {
        MAC_LIFETIME
    }

    fn refresh(&mut self, _: Self) {}
}

#[derive(Debug, Clone, Copy)]
pub(super) struct IpStation {
    pub(super) mac: MacAddr,
    pub(super) leased: bool,
}

impl Station for IpStation {
    fn lifetime(&self) -> Duration {
        if self.leased {
            LEASED_IP_LIFETIME
        } else {
            IP_LIFETIME
        }
    }

    /// A lease belongs to the station that got it.
    fn refresh(&mut self, news: Self) {
        let leased = news.leased || (self.leased && self.mac == news.mac);
        *self = Self {
            mac: news.mac,
            leased,
        };
    }
}

/// The IP address that the sender of a frame shows to be its own, if the table lists such addresses.
pub(super) fn shown_ip(view: &FrameView, config: &HubConfig) -> Option<IpAddr> {
    match &view.network {
        Network::Ipv4(ip) => listed_v4(ip.source, config),
        // Whoever speaks for somebody else is forwarded, but not believed.
        Network::Arp(arp) if arp.sender_mac == view.source => listed_v4(arp.sender, config),
        Network::Ipv6(ip) => {
            let one_station = !ip.source.is_unspecified() && !ip.source.is_multicast();
            let local = ip.source.is_unicast_link_local() || ip.source.is_unique_local();
            (one_station && (local || !config.only_local_ipv6)).then_some(IpAddr::V6(ip.source))
        }
        Network::Arp(_) | Network::Other => None,
    }
}

/// `ip`, if the table lists it.
fn listed_v4(ip: Ipv4Addr, config: &HubConfig) -> Option<IpAddr> {
    let one_station = !(ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast() || ip.is_loopback());
    (one_station && (is_private(ip) || !config.only_private_ipv4)).then_some(IpAddr::V4(ip))
}

/// Addresses that mean something on this segment only: RFC 1918, link-local (RFC 3927) and shared (RFC 6598).
fn is_private(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_link_local() || (a == 100 && b & 0xc0 == 64)
}
