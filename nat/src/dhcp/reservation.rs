//! Addresses that are kept for one client each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use hub_core::MacAddr;

use crate::net::Ipv4Net;

/// Most reservations of a hub.
pub const MAX_RESERVATIONS: usize = 4096;

/// Whom an address is kept for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// The client of this hardware address.
    Mac(MacAddr),
    /// Whoever is behind a session of this user; one station at a time.
    User(String),
}

impl Holder {
    /// As names are compared: the case of a user's name does not count.
    fn folded(&self) -> Self {
        match self {
            Holder::Mac(mac) => Holder::Mac(*mac),
            Holder::User(name) => Holder::User(name.to_ascii_lowercase()),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::Mac(mac) => write!(f, "the MAC address {mac}"),
            Holder::User(name) => write!(f, "the user {name}"),
        }
    }
}

/// One reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The address.
    pub ip: Ipv4Addr,
    /// Whose it is.
    pub holder: Holder,
}

/// Why a reservation cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReservationError {
    /// Not in the network that clients are told.
    #[error("{ip} is no host address of {network}, the network of the DHCP server's clients (DhcpGet)")]
    Network {
        /// The address.
        ip: Ipv4Addr,
        /// The network.
        network: Ipv4Net,
    },
    /// The address of the virtual host, the gateway or a name server.
    #[error("{0} is the address of the virtual host, of the gateway or of a name server (DhcpGet)")]
    Serves(Ipv4Addr),
    /// Another client has the address.
    #[error("{ip} is reserved for {holder} already; DhcpReserveDelete gives it up")]
    Address {
        /// The address.
        ip: Ipv4Addr,
        /// Whose it is.
        holder: Holder,
    },
    /// The client has another address.
    #[error("{holder} has {ip} reserved already; DhcpReserveDelete gives it up")]
    Holder {
        /// The client.
        holder: Holder,
        /// Its address.
        ip: Ipv4Addr,
    },
    /// There is no room for more.
    #[error("a hub may have {MAX_RESERVATIONS} reservations at most")]
    TooMany,
    /// No user's name.
    #[error("a reservation is for a unicast MAC address, or for a user by name")]
    Nobody,
}

/// The reservations of a hub: each address has one holder, and each holder one address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reservations {
    by_ip: BTreeMap<Ipv4Addr, Holder>,
    by_holder: HashMap<Holder, Ipv4Addr>,
}

impl Reservations {
    /// Adds one, unless it clashes with another.
    pub fn add(&mut self, reservation: Reservation) -> Result<(), ReservationError> {
        let Reservation { ip, holder } = reservation;
        match &holder {
            Holder::Mac(mac) if !mac.is_unicast() => return Err(ReservationError::Nobody),
            Holder::User(name) if name.is_empty() => return Err(ReservationError::Nobody),
            _ => {}
        }
        if let Some(other) = self.by_ip.get(&ip) {
            let holder = other.clone();
            return Err(ReservationError::Address { ip, holder });
        }
        if let Some(&ip) = self.by_holder.get(&holder.folded()) {
            return Err(ReservationError::Holder { holder, ip });
        }
        if self.by_ip.len() >= MAX_RESERVATIONS {
            return Err(ReservationError::TooMany);
        }
        self.by_holder.insert(holder.folded(), ip);
        self.by_ip.insert(ip, holder);
        Ok(())
    }

    /// Gives up the one of this address, if there is one.
    pub fn remove(&mut self, ip: Ipv4Addr) -> Option<Reservation> {
        let holder = self.by_ip.remove(&ip)?;
        self.by_holder.remove(&holder.folded());
        Some(Reservation { ip, holder })
    }

    /// All of them by address.
    pub fn iter(&self) -> impl Iterator<Item = Reservation> {
        self.by_ip.iter().map(|(ip, holder)| Reservation {
            ip: *ip,
            holder: holder.clone(),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_ip.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_ip.is_empty()
    }

    /// Whose an address is.
    pub fn holder(&self, ip: Ipv4Addr) -> Option<&Holder> {
        self.by_ip.get(&ip)
    }

    /// The address of a holder.
    pub fn address(&self, holder: &Holder) -> Option<Ipv4Addr> {
        self.by_holder.get(&holder.folded()).copied()
    }

    /// Those whose address is of use.
    pub(crate) fn only(&self, of_use: impl Fn(Ipv4Addr) -> bool) -> Self {
        let mut those = Reservations::default();
        for (ip, holder) in self.by_ip.iter().filter(|(ip, _)| of_use(**ip)) {
            those.by_holder.insert(holder.folded(), *ip);
            those.by_ip.insert(*ip, holder.clone());
        }
        those
    }
}

/// The text form: `address=mac:5E-00-00-00-00-01`, `address=user:alice`, with commas between.
impl fmt::Display for Reservations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (ip, holder)) in self.by_ip.iter().enumerate() {
            let gap = if i == 0 { "" } else { ", " };
            match holder {
                Holder::Mac(mac) => {
                    let digits = mac.octets().map(|octet| format!("{octet:02X}"));
                    write!(f, "{gap}{ip}=mac:{}", digits.join("-"))?;
                }
                Holder::User(name) => write!(f, "{gap}{ip}=user:{name}")?,
            }
        }
        Ok(())
    }
}

/// Why a text is no list of reservations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReservationsError {
    /// An item is malformed.
    #[error(
        "`{0}` is not a reservation; write 192.168.30.50=user:alice or 192.168.30.50=mac:5E-00-00-00-00-01"
    )]
    Item(String),
    /// Two of them clash, or there are too many.
    #[error(transparent)]
    Clash(#[from] ReservationError),
}

impl FromStr for Reservations {
    type Err = ParseReservationsError;

    fn from_str(text: &str) -> Result<Self, ParseReservationsError> {
        let mut reservations = Reservations::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let parsed = parse_reservation(item);
            reservations.add(parsed.ok_or_else(|| ParseReservationsError::Item(item.to_owned()))?)?;
        }
        Ok(reservations)
    }
}

fn parse_reservation(item: &str) -> Option<Reservation> {
    let (ip, holder) = item.split_once('=')?;
    let holder = match holder.split_once(':')? {
        ("mac", mac) => Holder::Mac(mac.parse().ok()?),
        ("user", name) => Holder::User(name.to_owned()),
        _ => return None,
    };
    let ip = ip.parse().ok()?;
    Some(Reservation { ip, holder })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(last: u8, holder: Holder) -> Reservation {
        let ip = Ipv4Addr::new(192, 168, 30, last);
        Reservation { ip, holder }
    }

    fn user(name: &str) -> Holder {
        Holder::User(name.to_owned())
    }

    #[test]
    fn a_clash_is_refused_by_the_name_of_the_other() {
        let mut reservations = Reservations::default();
        reservations.add(reservation(50, user("Alice"))).unwrap();
        let taken = reservations.add(reservation(50, user("bob"))).unwrap_err();
        assert_eq!(
            taken.to_string(),
            "192.168.30.50 is reserved for the user Alice already; DhcpReserveDelete gives it up"
        );
        let second = reservations.add(reservation(51, user("ALICE"))).unwrap_err();
        assert_eq!(
            second.to_string(),
            "the user ALICE has 192.168.30.50 reserved already; DhcpReserveDelete gives it up"
        );
        let ip = Ipv4Addr::new(192, 168, 30, 50);
        assert_eq!(reservations.remove(ip), Some(reservation(50, user("Alice"))));
        reservations.add(reservation(51, user("ALICE"))).unwrap();
        assert_eq!(
            reservations.address(&user("alice")),
            Some(Ipv4Addr::new(192, 168, 30, 51))
        );
    }

    #[test]
    fn the_text_form_is_read_back() {
        let text = "192.168.30.50=user:Alice B, 192.168.30.60=mac:5E-00-00-00-00-01";
        let reservations: Reservations = text.parse().unwrap();
        assert_eq!(reservations.len(), 2);
        assert_eq!(reservations.to_string(), text);
        assert!("".parse::<Reservations>().unwrap().is_empty());
        for wrong in [
            "192.168.30.50",
            "192.168.30.50=alice",
            "x=user:a",
            "1.1.1.1=mac:5E-00",
        ] {
            let refused = wrong.parse::<Reservations>();
            assert_eq!(refused, Err(ParseReservationsError::Item(wrong.to_owned())));
        }
        let twice = "192.168.30.50=user:a, 192.168.30.50=user:b".parse::<Reservations>();
        assert!(matches!(twice, Err(ParseReservationsError::Clash(_))));
    }

    #[test]
    fn nobody_gets_no_reservation() {
        let mut reservations = Reservations::default();
        for holder in [
            user(""),
            Holder::Mac(MacAddr::BROADCAST),
            Holder::Mac(MacAddr::ZERO),
        ] {
            let refused = reservations.add(reservation(50, holder));
            assert_eq!(refused, Err(ReservationError::Nobody));
        }
    }
}
