//! The settings of a hub's SecureNAT, under the names that the admin protocol gives them.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use hub_core::MacAddr;

use crate::dhcp::{Reservation, ReservationError, Reservations};
use crate::ipv6::{Ipv6Config, Ipv6Error, Ipv6Net};
use crate::net::{Ipv4Net, prefix_of_mask};
use crate::routes::PushRoutes;

/// Bounds of `mtu`, bytes of an IPv4 packet.
pub const MTU: RangeInclusive<u32> = 62..=1500;
/// Bounds of `nat_tcp_timeout`, seconds.
pub const TCP_TIMEOUT: RangeInclusive<u32> = 60..=2_000_000;
/// Bounds of `nat_udp_timeout`, seconds.
pub const UDP_TIMEOUT: RangeInclusive<u32> = 10..=2_000_000;
/// Bounds of `dhcp_expire_time_span`, seconds. A lease shorter than this would be renewed more than it is used.
pub const LEASE_TIME: RangeInclusive<u32> = 10..=2_000_000_000;
/// The largest pool: a /16, so that a typing error cannot make the lease table eat the machine.
pub const MAX_POOL: u32 = 65_536;
/// The longest domain name that DHCP option 15 can carry.
pub const MAX_DOMAIN: usize = 255;

/// Everything an administrator can set about SecureNAT. Unset addresses are `0.0.0.0`, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecureNatConfig {
    /// Hardware address of the virtual host.
    pub mac_address: MacAddr,
    /// Address of the virtual host.
    pub ip: Ipv4Addr,
    /// Mask of the virtual host's network.
    pub mask: Ipv4Addr,
    /// Whether packets of the hub are translated to the outside.
    pub use_nat: bool,
    /// Largest IPv4 packet sent into the hub, bytes.
    pub mtu: u32,
    /// Seconds until an idle TCP connection is given up.
    pub nat_tcp_timeout: u32,
    /// Seconds until an idle UDP or ICMP flow is forgotten.
    pub nat_udp_timeout: u32,
    /// Whether addresses are leased.
    pub use_dhcp: bool,
    /// First address of the pool.
    pub dhcp_lease_ip_start: Ipv4Addr,
    /// Last address of the pool.
    pub dhcp_lease_ip_end: Ipv4Addr,
    /// Mask that clients are told.
    pub dhcp_subnet_mask: Ipv4Addr,
    /// Seconds that a lease lives.
    pub dhcp_expire_time_span: u32,
    /// Default gateway that clients are told, or `0.0.0.0` for none.
    pub dhcp_gateway_address: Ipv4Addr,
    /// First name server that clients are told, or `0.0.0.0`.
    pub dhcp_dns_server_address: Ipv4Addr,
    /// Second name server that clients are told, or `0.0.0.0`.
    pub dhcp_dns_server_address2: Ipv4Addr,
    /// Domain name that clients are told; may be empty.
    pub dhcp_domain_name: String,
    /// Whether leases and flows are written to the log.
    pub save_log: bool,
    /// Routes that clients are told (RFC 3442).
    pub dhcp_push_routes: PushRoutes,
    /// Addresses kept for one client each. Those that the other settings leave no room for are not in force.
    pub dhcp_reservations: Reservations,
    /// IPv6, which the stock server does not have.
    pub ipv6: Ipv6Config,
}

impl SecureNatConfig {
    /// The settings of a new hub. The address `5E-xx-xx-xx-xx-xx` of the virtual host is made from `random`.
    pub fn with_random_mac(random: [u8; 5]) -> Self {
        let [a, b, c, d, e] = random;
        let host = Ipv4Addr::new(192, 168, 30, 1);
        SecureNatConfig {
            mac_address: MacAddr::new([0x5e, a, b, c, d, e]),
            ip: host,
            mask: Ipv4Addr::new(255, 255, 255, 0),
            use_nat: true,
            mtu: 1500,
            nat_tcp_timeout: 1800,
            nat_udp_timeout: 60,
            use_dhcp: true,
            dhcp_lease_ip_start: Ipv4Addr::new(192, 168, 30, 10),
            dhcp_lease_ip_end: Ipv4Addr::new(192, 168, 30, 200),
            dhcp_subnet_mask: Ipv4Addr::new(255, 255, 255, 0),
            dhcp_expire_time_span: 7200,
            dhcp_gateway_address: host,
            dhcp_dns_server_address: host,
            dhcp_dns_server_address2: Ipv4Addr::UNSPECIFIED,
            dhcp_domain_name: String::new(),
            save_log: true,
            dhcp_push_routes: PushRoutes::default(),
            dhcp_reservations: Reservations::default(),
            ipv6: Ipv6Config::new(Ipv6Net::unique_local(&[
                a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ])),
        }
    }

    /// Checks every field against its bounds and the fields against each other.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_host()?;
        in_bounds("MTU", self.mtu, &MTU)?;
        in_bounds("NAT TCP timeout", self.nat_tcp_timeout, &TCP_TIMEOUT)?;
        in_bounds("NAT UDP timeout", self.nat_udp_timeout, &UDP_TIMEOUT)?;
        in_bounds("DHCP lease time", self.dhcp_expire_time_span, &LEASE_TIME)?;
        self.validate_pool()?;
        self.ipv6.validate(self.mtu)?;
        valid_domain(&self.dhcp_domain_name)
    }

    fn validate_host(&self) -> Result<(), ConfigError> {
        if !self.mac_address.is_unicast() {
            return Err(ConfigError::Mac(self.mac_address));
        }
        prefix_of_mask(self.mask).ok_or(ConfigError::Mask(self.mask))?;
        let network = self.network();
        if !is_unicast(self.ip) || !network.is_host(self.ip) {
            return Err(ConfigError::HostAddress { ip: self.ip, network });
        }
        Ok(())
    }

    fn validate_pool(&self) -> Result<(), ConfigError> {
        let (first, last) = (self.dhcp_lease_ip_start, self.dhcp_lease_ip_end);
        let network = Ipv4Net::with_mask(first, self.dhcp_subnet_mask)
            .ok_or(ConfigError::Mask(self.dhcp_subnet_mask))?;
        if first > last {
            return Err(ConfigError::PoolOrder { first, last });
        }
        if !is_unicast(first) || !is_unicast(last) || !network.contains(last) {
            return Err(ConfigError::PoolNetwork { first, last, network });
        }
        let size = last.to_bits() - first.to_bits();
        if size >= MAX_POOL {
            return Err(ConfigError::PoolSize { first, last });
        }
        Ok(())
    }

    /// The virtual host's network. A mask with holes, which `validate` refuses, counts as a single host.
    pub fn network(&self) -> Ipv4Net {
        Ipv4Net::with_mask(self.ip, self.mask).unwrap_or(Ipv4Net::new(self.ip, 32))
    }

    /// The network that clients are told. A mask with holes counts as a single host, as above.
    pub fn client_network(&self) -> Ipv4Net {
        Ipv4Net::with_mask(self.dhcp_lease_ip_start, self.dhcp_subnet_mask)
            .unwrap_or(Ipv4Net::new(self.dhcp_lease_ip_start, 32))
    }

    /// Whether an address is the virtual host's, the gateway's or a name server's.
    fn serves(&self, ip: Ipv4Addr) -> bool {
        ip == self.ip || self.gateway() == Some(ip) || self.dns_servers().any(|dns| dns == ip)
    }

    /// Whether clients can have an address: it names a host of their network, and is not one that serves them.
    pub(crate) fn is_for_clients(&self, ip: Ipv4Addr) -> bool {
        self.client_network().is_host(ip) && !self.serves(ip)
    }

    /// Keeps an address for a client.
    pub fn reserve(&mut self, reservation: Reservation) -> Result<(), ReservationError> {
        self.check_reservation(reservation.ip)?;
        self.dhcp_reservations.add(reservation)
    }

    /// Whether a reservation of this address is in force, and why not.
    pub fn check_reservation(&self, ip: Ipv4Addr) -> Result<(), ReservationError> {
        let network = self.client_network();
        if !network.is_host(ip) || !is_unicast(ip) {
            return Err(ReservationError::Network { ip, network });
        }
        if self.serves(ip) {
            return Err(ReservationError::Serves(ip));
        }
        Ok(())
    }

    /// How long an idle TCP connection lives.
    pub fn tcp_timeout(&self) -> Duration {
        Duration::from_secs(self.nat_tcp_timeout.into())
    }

    /// How long an idle UDP or ICMP flow lives.
    pub fn udp_timeout(&self) -> Duration {
        Duration::from_secs(self.nat_udp_timeout.into())
    }

    /// How long a lease lives.
    pub fn lease_time(&self) -> Duration {
        Duration::from_secs(self.dhcp_expire_time_span.into())
    }

    /// The name servers that clients are told.
    pub fn dns_servers(&self) -> impl Iterator<Item = Ipv4Addr> {
        [self.dhcp_dns_server_address, self.dhcp_dns_server_address2]
            .into_iter()
            .filter(|ip| !ip.is_unspecified())
    }

    /// The default gateway that clients are told.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        Some(self.dhcp_gateway_address).filter(|ip| !ip.is_unspecified())
    }
}

/// Why a setting cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// IPv6.
    #[error(transparent)]
    Ipv6(#[from] Ipv6Error),
    /// The hardware address is a group address or zero.
    #[error("{0} cannot be the virtual host's MAC address; use a unicast one, such as 5E-00-00-00-00-01")]
    Mac(MacAddr),
    /// A mask with holes.
    #[error("{0} is not a subnet mask; write ones before zeros, such as 255.255.255.0")]
    Mask(Ipv4Addr),
    /// The address does not name a host.
    #[error("{ip} cannot be the virtual host's address in {network}; choose a host address of that network")]
    HostAddress {
        /// The address given.
        ip: Ipv4Addr,
        /// The network of the mask given.
        network: Ipv4Net,
    },
    /// A number out of its bounds.
    #[error("{name} {value} is out of range; choose {low} to {high}")]
    Range {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: u32,
        /// The smallest allowed.
        low: u32,
        /// The largest allowed.
        high: u32,
    },
    /// The pool ends before it begins.
    #[error("the DHCP pool ends ({last}) before it begins ({first}); exchange the two")]
    PoolOrder {
        /// First address.
        first: Ipv4Addr,
        /// Last address.
        last: Ipv4Addr,
    },
    /// The pool does not lie in one network.
    #[error("the DHCP pool {first} to {last} does not lie in {network}; widen the mask or narrow the pool")]
    PoolNetwork {
        /// First address.
        first: Ipv4Addr,
        /// Last address.
        last: Ipv4Addr,
        /// The network of the DHCP mask.
        network: Ipv4Net,
    },
    /// The pool is too large.
    #[error("the DHCP pool {first} to {last} is too large; at most {MAX_POOL} addresses")]
    PoolSize {
        /// First address.
        first: Ipv4Addr,
        /// Last address.
        last: Ipv4Addr,
    },
    /// The domain name cannot be sent.
    #[error("`{0}` is not a domain name; use letters, digits, hyphens and dots, at most {MAX_DOMAIN} bytes")]
    Domain(String),
}

fn in_bounds(name: &'static str, value: u32, bounds: &RangeInclusive<u32>) -> Result<(), ConfigError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    Err(ConfigError::Range {
        name,
        value,
        low: *bounds.start(),
        high: *bounds.end(),
    })
}

fn is_unicast(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast() || ip.is_loopback())
}

fn valid_domain(name: &str) -> Result<(), ConfigError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.len() <= MAX_DOMAIN && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(ConfigError::Domain(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> SecureNatConfig {
        SecureNatConfig::with_random_mac([1, 2, 3, 4, 5])
    }

    #[test]
    fn the_settings_of_a_new_hub_are_valid() {
        config().validate().unwrap();
        assert_eq!(config().network().to_string(), "192.168.30.0/24");
        assert_eq!(config().mac_address.octets()[0], 0x5e);
    }

    #[test]
    fn numbers_are_held_to_their_bounds() {
        for (mtu, tcp, udp, lease) in [
            (61, 1800, 60, 7200),
            (1501, 1800, 60, 7200),
            (1500, 59, 60, 7200),
            (1500, 1800, 9, 7200),
            (1500, 1800, 60, 9),
        ] {
            let wrong = SecureNatConfig {
                mtu,
                nat_tcp_timeout: tcp,
                nat_udp_timeout: udp,
                dhcp_expire_time_span: lease,
                ..config()
            };
            assert!(
                matches!(wrong.validate(), Err(ConfigError::Range { .. })),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_pool_must_lie_in_one_network_and_be_in_order() {
        let reversed = SecureNatConfig {
            dhcp_lease_ip_start: Ipv4Addr::new(192, 168, 30, 201),
            ..config()
        };
        assert!(matches!(reversed.validate(), Err(ConfigError::PoolOrder { .. })));
        let across = SecureNatConfig {
            dhcp_lease_ip_end: Ipv4Addr::new(192, 168, 31, 9),
            ..config()
        };
        assert!(matches!(across.validate(), Err(ConfigError::PoolNetwork { .. })));
        let huge = SecureNatConfig {
            dhcp_lease_ip_start: Ipv4Addr::new(10, 0, 0, 1),
            dhcp_lease_ip_end: Ipv4Addr::new(10, 255, 0, 1),
            dhcp_subnet_mask: Ipv4Addr::new(255, 0, 0, 0),
            ..config()
        };
        assert!(matches!(huge.validate(), Err(ConfigError::PoolSize { .. })));
    }

    #[test]
    fn the_virtual_host_needs_a_host_address_and_a_unicast_mac() {
        let network = SecureNatConfig {
            ip: Ipv4Addr::new(192, 168, 30, 0),
            ..config()
        };
        assert!(matches!(network.validate(), Err(ConfigError::HostAddress { .. })));
        let holes = SecureNatConfig {
            mask: Ipv4Addr::new(255, 0, 255, 0),
            ..config()
        };
        assert_eq!(holes.validate(), Err(ConfigError::Mask(holes.mask)));
        let group = SecureNatConfig {
            mac_address: MacAddr::BROADCAST,
            ..config()
        };
        assert!(matches!(group.validate(), Err(ConfigError::Mac(_))));
    }

    #[test]
    fn a_domain_name_with_blanks_is_refused() {
        let wrong = SecureNatConfig {
            dhcp_domain_name: "my company".into(),
            ..config()
        };
        assert!(
            wrong
                .validate()
                .unwrap_err()
                .to_string()
                .contains("letters, digits")
        );
    }
}
