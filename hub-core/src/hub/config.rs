//! What is set for a whole hub.

use crate::guard::HubFilters;

/// The limits and options of a hub.
#[derive(Clone, Copy, Debug)]
pub struct HubConfig {
    /// A random number that the stations on the hub do not know: it decides where table entries lie.
    pub seed: u64,
    /// MAC addresses that the hub remembers. A frame from one more is dropped: what is known stays known, so
    /// that nobody can turn the switch into a repeater by flooding it with addresses.
    pub max_macs: usize,
    /// MAC addresses of one port, where the port does not say otherwise.
    pub macs_per_port: u32,
    /// IP addresses that the hub lists. Packets from others are forwarded all the same.
    pub max_ips: usize,
    /// IPv4 addresses of one port that the hub lists, and as many of IPv6, where the port does not say otherwise.
    pub ips_per_port: u32,
    /// Whether there is an IP table (hub option `NoIpTable` turned round).
    pub ip_table: bool,
    /// Whether only private IPv4 addresses are listed (hub option `ManageOnlyPrivateIP`).
    pub only_private_ipv4: bool,
    /// Whether only link-local and unique local IPv6 addresses are listed (hub option
    /// `ManageOnlyLocalUnicastIPv6`).
    pub only_local_ipv6: bool,
    /// Whether the hub looks into IP packets at all (hub option `DisableIPParsing` turned round). Without it nothing that
    /// is told from an IP packet is in force.
    pub ip_parsing: bool,
    /// Whether access rules about IPv4 addresses match ARP too (hub option `ApplyIPv4AccessListOnArpPacket`).
    pub arp_as_ipv4: bool,
    /// What nobody may send.
    pub filters: HubFilters,
    /// How strict the privacy filter is.
    pub privacy: Privacy,
    /// When broadcasts are a storm.
    pub storm: StormLimit,
    /// The largest TCP segment size that passes (hub option `AdjustTcpMssValue`). Unset: any.
    pub segment_size: Option<u16>,
    /// Whether [`PortConfig::segment_size`](super::PortConfig::segment_size) is in force (hub option `DisableAdjustTcpMss`
    /// turned round).
    pub clamp_ports: bool,
    /// Whether ports whose link is IPv6 receive router advertisements without their default router (hub option
    /// `NoIPv6DefaultRouterInRAWhenIPv6`).
    pub no_default_router_over_ipv6: bool,
    /// Whether local bridges are bound to [`check_mac`](super::PortConfig::check_mac) (hub option
    /// `DisableCheckMacOnLocalBridge` turned round).
    pub bridges_check_mac: bool,
    /// The protocol identifier of VLAN tags (hub option `VlanTypeId`).
    pub vlan_type: u16,
    /// Whether the same address in two VLANs is two stations (hub option `NoManageVlanId` turned round).
    pub vlans_apart: bool,
}

/// What passes between two ports that both have the privacy filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Privacy {
    /// Frames to groups do not (hub option `DropBroadcastsInPrivacyFilterMode`).
    pub drop_broadcasts: bool,
    /// ARP does not (hub option `DropArpInPrivacyFilterMode`).
    pub drop_arp: bool,
}

/// How many broadcasts are a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StormLimit {
    /// Broadcasts a second of one station and one protocol (hub option `BroadcastStormDetectionThreshold`).
    pub per_second: u32,
    /// Whether every one beyond that is dropped, at once (hub option `BroadcastLimiterStrictMode`).
    pub strict: bool,
}

impl StormLimit {
    /// What is allowed where nobody has said otherwise.
    pub const DEFAULT_PER_SECOND: u32 = 32;
}

impl HubConfig {
    /// The defaults, with tables hashed by `seed`. One port can fill a quarter of each table.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            max_macs: 65_536,
            macs_per_port: 16_384,
            max_ips: 65_536,
            ips_per_port: 16_384,
            ip_table: true,
            only_private_ipv4: true,
            only_local_ipv6: true,
            ip_parsing: true,
            arp_as_ipv4: false,
            filters: HubFilters::default(),
            privacy: Privacy {
                drop_broadcasts: true,
                drop_arp: true,
            },
            storm: StormLimit {
                per_second: StormLimit::DEFAULT_PER_SECOND,
                strict: false,
            },
            segment_size: None,
            clamp_ports: true,
            no_default_router_over_ipv6: false,
            bridges_check_mac: true,
            vlan_type: 0x8100,
            vlans_apart: true,
        }
    }
}
