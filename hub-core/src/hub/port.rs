//! The ports of a hub.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Instant;

use super::counters::Counters;
use super::storm::Storms;
use crate::guard::Guards;
use crate::rate::Meter;

/// Names a port of one hub for as long as the hub lives: numbers are not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId {
    /// Which attachment of the slot this is.
    generation: u32,
    slot: u32,
}

impl PortId {
    /// A small number that no other attached port has: an index for tables beside the hub.
    pub(crate) fn slot(self) -> usize {
        self.slot as usize
    }

    /// The port in one word.
    pub(super) fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }
}

impl fmt::Debug for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortId({}.{})", self.slot, self.generation)
    }
}

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PortKind {
    /// A user's VPN session.
    Session,
    /// The hub's virtual NAT and DHCP host.
    SecureNat,
    /// A network interface of this machine.
    LocalBridge,
    /// A hub of another server.
    Cascade,
}

/// A VLAN that a port can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VlanId(NonZeroU16);

impl VlanId {
    /// The VLAN with this number, 1 to 4095 as in the policy `VLanId`.
    pub const fn new(id: u16) -> Option<Self> {
        match NonZeroU16::new(id) {
            Some(number) if id <= 4095 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// What a port may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// What is behind the port.
    pub kind: PortKind,
    /// The session name that tables and logs show, such as `SID-ALICE-1`.
    pub name: String,
    /// The user that access rules can name.
    pub user: Option<String>,
    /// The user's group, likewise.
    pub group: Option<String>,
    /// The port hears every frame of the hub and sends none.
    pub monitor: bool,
    /// The port takes frames that are not [finished](crate::Offload::is_finished). Without it such frames do
    /// not reach the port and are counted as
    /// [`DropReason::OffloadRefused`](super::DropReason::OffloadRefused).
    pub offload: bool,
    /// A MAC address of another port can be taken over only after
    /// [`TAKE_OVER_AFTER`](super::TAKE_OVER_AFTER) of the owner's silence (policy `CheckMac`).
    pub check_mac: bool,
    /// MAC addresses behind the port (policy `MaxMac`; `NoBridge` means 3). A frame from one more is dropped.
    /// Unset: the hub's [`macs_per_port`](super::HubConfig::macs_per_port).
    pub max_macs: Option<u32>,
    /// IPv4 addresses behind the port that the IP table may hold (policy `MaxIP`; `NoRouting` means 4). A frame from one
    /// more is dropped. Unset: the hub's [`ips_per_port`](super::HubConfig::ips_per_port), beyond which frames pass
    /// unlisted.
    pub max_ipv4: Option<u32>,
    /// The same for IPv6 addresses (policies `MaxIPv6` and `NoRoutingV6`).
    pub max_ipv6: Option<u32>,
    /// An IPv4 address of another port can be taken over only after the owner's silence (policy `CheckIP`).
    pub check_ipv4: bool,
    /// The same for IPv6 addresses (policy `CheckIPv6`).
    pub check_ipv6: bool,
    /// Of IPv4 addresses only those may be used that a DHCP server was seen to give to the port (policy `DHCPForce`).
    pub leased_only: bool,
    /// What may not be sent.
    pub guards: Guards,
    /// No frame passes between two ports that both have this (policy `PrivacyFilter`).
    pub private: bool,
    /// Broadcasts are limited when they become a storm (policy `NoBroadcastLimiter` turned round).
    pub storm_limit: bool,
    /// Router advertisements are received as those of a router that is not the default one (policy
    /// `NoIPv6DefaultRouterInRA`).
    pub no_default_router: bool,
    /// What the port is reached over is IPv6.
    pub over_ipv6: bool,
    /// Bits a second that the port may send (policy `MaxUpload`).
    pub upload: Option<u32>,
    /// Bits a second that the port may receive (policy `MaxDownload`).
    pub download: Option<u32>,
    /// The VLAN whose frames the port sends and receives untagged (policy `VLanId`). Unset: the port sees all
    /// frames as they are, tags included.
    pub vlan: Option<VlanId>,
    /// The largest TCP segment size that passes to or from the port, beside the hub's own
    /// [`segment_size`](super::HubConfig::segment_size): for a port whose frames travel a path that longer packets do not
    /// fit (protocol §8.6). Unset: any.
    pub segment_size: Option<u16>,
}

impl PortConfig {
    /// A port without restrictions, but for a local bridge's: stations behind it cannot take over addresses
    /// in use.
    pub fn new(kind: PortKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            user: None,
            group: None,
            monitor: false,
            offload: false,
            check_mac: kind == PortKind::LocalBridge,
            max_macs: None,
            max_ipv4: None,
            max_ipv6: None,
            check_ipv4: false,
            check_ipv6: false,
            leased_only: false,
            guards: Guards::default(),
            private: false,
            storm_limit: kind == PortKind::Session,
            no_default_router: false,
            over_ipv6: false,
            upload: None,
            download: None,
            vlan: None,
            segment_size: None,
        }
    }
}

/// An attached port.
#[derive(Clone, Debug)]
pub struct PortState {
    /// Its name among the hub's ports.
    pub id: PortId,
    /// What it may do.
    pub config: PortConfig,
    /// When it was attached.
    pub attached: Instant,
    /// Its traffic since then.
    pub counters: Counters,
    /// What it may still send and receive.
    pub(super) upload: Option<Meter>,
    pub(super) download: Option<Meter>,
    /// The broadcasts it has sent.
    pub(super) storms: Storms,
}

/// The attached ports, found by number without searching.
#[derive(Debug, Default)]
pub(super) struct Ports {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Those in slots, in no order: a flood goes through what is there, not through what was there once.
    attached: Vec<PortId>,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Where its port is among those that are attached.
    place: u32,
    port: Option<PortState>,
}

impl Ports {
    pub(super) fn insert(&mut self, now: Instant, config: PortConfig) -> PortId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let place = &mut self.slots[slot as usize];
        let id = PortId {
            slot,
            generation: place.generation,
        };
        place.port = Some(PortState {
            id,
            upload: config.upload.map(Meter::new),
            download: config.download.map(Meter::new),
            storms: Storms::default(),
            config,
            attached: now,
            counters: Counters::default(),
        });
        place.place = self.attached.len() as u32;
        self.attached.push(id);
        id
    }

    pub(super) fn remove(&mut self, id: PortId) -> Option<PortState> {
        let place = self
            .slots
            .get_mut(id.slot())
            .filter(|place| place.generation == id.generation)?;
        let port = place.port.take()?;
        let at = place.place as usize;
        // A slot whose generations are used up stays empty.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(id.slot);
        }
        self.attached.swap_remove(at);
        if let Some(moved) = self.attached.get(at) {
            self.slots[moved.slot()].place = at as u32;
        }
        Some(port)
    }

    #[inline]
    pub(super) fn get(&self, id: PortId) -> Option<&PortState> {
        self.slots
            .get(id.slot())?
            .port
            .as_ref()
            .filter(|port| port.id == id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: PortId) -> Option<&mut PortState> {
        self.slots
            .get_mut(id.slot())?
            .port
            .as_mut()
            .filter(|port| port.id == id)
    }

    /// In the order of their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PortState> {
        self.slots.iter().filter_map(|slot| slot.port.as_ref())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut PortState> {
        self.slots.iter_mut().filter_map(|slot| slot.port.as_mut())
    }

    /// How many are attached.
    pub(super) fn count(&self) -> usize {
        self.attached.len()
    }

    /// One of those that are attached, by its place among them.
    pub(super) fn at(&self, place: usize) -> Option<PortId> {
        self.attached.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_goes_through_the_ports_that_are_there() {
        let (mut ports, now) = (Ports::default(), Instant::now());
        let attach = |ports: &mut Ports| ports.insert(now, PortConfig::new(PortKind::Session, "a port"));
        let mut known: Vec<PortId> = (0..1000).map(|_| attach(&mut ports)).collect();
        for step in 0..990 {
            let gone = known.swap_remove(step * 7 % known.len());
            assert_eq!(ports.remove(gone).map(|port| port.id), Some(gone));
            assert!(ports.remove(gone).is_none());
        }
        known.extend((0..5).map(|_| attach(&mut ports)));
        assert_eq!((ports.count(), ports.at(15)), (15, None));
        let mut there: Vec<_> = (0..15).filter_map(|place| ports.at(place)).collect();
        assert!(
            there
                .iter()
                .all(|id| ports.get(*id).is_some_and(|port| port.id == *id))
        );
        there.sort();
        known.sort();
        assert_eq!(there, known);
    }
}
