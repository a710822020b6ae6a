//! What a setup should bring about: from the command line, and for the rest from a person.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::str::FromStr;

use super::SetupError;
use super::dialogue::{Person, ask, new_password};
use super::password::Chosen;
use super::present::Present;
use crate::cli::{self, Listen};
use crate::store::{HubName, UserName};

/// The hub of whoever names none.
const HUB: &str = "vpn";
/// The TAP device's address of whoever names none: the network that hubs have from the beginning.
const TAP_ADDRESS: &str = "192.168.30.1/24";
/// Longest name of a device after its `tap_`.
const TAP_NAME: usize = 11;

/// The whole of it.
pub(super) struct Wish {
    /// The administrator password to set.
    pub(super) admin: Option<Chosen>,
    pub(super) hub: HubName,
    /// The first user; with a password unless they are there already.
    pub(super) user: Option<(UserName, Option<Chosen>)>,
    pub(super) network: Network,
    pub(super) published: Option<Published>,
    /// Where to listen; empty leaves it as it is.
    pub(super) listen: Vec<SocketAddr>,
    /// How users reach the server.
    pub(super) address: String,
}

/// Where stations of the hub get their addresses from, and what they reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Network {
    /// That is the administrator's affair.
    AsItIs,
    /// DHCP and NAT by the server.
    SecureNat,
    /// The hub is a network of this machine, which routes; DHCP by the server.
    Tap {
        /// After `tap_`.
        name: String,
        /// This machine's address in it.
        address: TapAddress,
    },
}

/// An address with its network, `192.168.30.1/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// Bits of the network.
    pub bits: u8,
}

impl TapAddress {
    pub(super) fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::MAX << (32 - u32::from(self.bits)))
    }

    /// The station with this number in the network.
    pub(super) fn station(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits((self.address & self.mask()).to_bits() + number)
    }

    /// How many stations it has room for.
    pub(super) fn stations(self) -> u32 {
        !self.mask().to_bits() - 1
    }
}

impl FromStr for TapAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "write an address and its network as in 192.168.30.1/24; the network from /16 to /28";
        let (address, bits) = text.split_once('/').ok_or(WRONG)?;
        let bits = bits
            .parse()
            .ok()
            .filter(|bits| (16..=28).contains(bits))
            .ok_or(WRONG)?;
        let own = Self {
            address: address.parse().map_err(|_| WRONG)?,
            bits,
        };
        let number = own.address.to_bits() & !own.mask().to_bits();
        if (1..=own.stations()).contains(&number) {
            Ok(own)
        } else {
            Err(
                "this address is its network's own or its broadcast address; take the one after it, as in 192.168.30.1/24",
            )
        }
    }
}

impl fmt::Display for TapAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// A host to publish, `80=10.0.1.26:8080` or `53/udp=10.0.1.2:53`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// UDP and not TCP.
    pub udp: bool,
    /// The port of this machine.
    pub port: u16,
    /// The host behind it.
    pub to: SocketAddrV4,
}

impl Published {
    pub(super) fn protocol(self) -> &'static str {
        if self.udp { "udp" } else { "tcp" }
    }

    /// The name of its rule.
    pub(super) fn name(self) -> String {
        format!("{}-{}", self.protocol(), self.port)
    }
}

impl FromStr for Published {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write PORT=ADDRESS:PORT, as in 80=10.0.1.26:8080, or 53/udp=10.0.1.2:53";
        let (port, to) = text.split_once('=').ok_or(WRONG)?;
        let (port, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let udp = match protocol.to_ascii_lowercase().as_str() {
            "tcp" => false,
            "udp" => true,
            _ => return Err(WRONG),
        };
        let to: SocketAddrV4 = to.trim().parse().map_err(|_| WRONG)?;
        let port: u16 = port.trim().parse().map_err(|_| WRONG)?;
        if port == 0 || to.port() == 0 || to.ip().is_unspecified() || to.ip().is_multicast() {
            return Err(WRONG);
        }
        Ok(Self { udp, port, to })
    }
}

impl Wish {
    /// What the command line says, and nothing else.
    pub(super) fn of_options(options: &cli::Setup, present: &Present) -> Result<Self, SetupError> {
        let hub = hub(options.hub.as_deref().unwrap_or(HUB)).map_err(SetupError::Unusable)?;
        let user = match &options.user {
            None => None,
            Some(name) => {
                let name = user(name).map_err(SetupError::Unusable)?;
                let password = if present.has_user(&hub, &name)? {
                    None
                } else {
                    let file = options.user_password_file.as_deref().ok_or_else(|| {
                        SetupError::Unusable(format!(
                            "nobody is there to type {name}'s password, and a generated one would end up in a log: give \
                             --user-password-file FILE; a file that is not there is made"
                        ))
                    })?;
                    Some(Chosen::of_file(file)?)
                };
                Some((name, password))
            }
        };
        let admin = match &options.admin_password_file {
            Some(file) if !present.has_admin_password()? => Some(Chosen::of_file(file)?),
            _ => None,
        };
        let network = match &options.tap {
            Some(name) => Network::Tap {
                name: tap_name(name).map_err(SetupError::Unusable)?,
                address: options.tap_address.unwrap_or_else(usual_tap_address),
            },
            None if options.secure_nat => Network::SecureNat,
            None => Network::AsItIs,
        };
        Ok(Self {
            admin,
            hub,
            user,
            network,
            published: options.publish,
            listen: options.listen.iter().map(|listen| listen.0).collect(),
            address: options.address.clone().unwrap_or_else(own_address),
        })
    }

    /// What a person answers, to whom what the command line says is proposed.
    pub(super) fn of_person(
        person: &mut dyn Person,
        options: &cli::Setup,
        present: &Present,
    ) -> Result<Self, SetupError> {
        person.say(
            "Enter takes what is in brackets. Nothing is changed before the last question; ^C ends it.\n",
        )?;
        let admin = if present.has_admin_password()? {
            person.say("An administrator password is set; it stays.")?;
            None
        } else if let Some(file) = &options.admin_password_file {
            Some(Chosen::of_file(file)?)
        } else {
            Some(Chosen::typed(new_password(person, "the administrator")?))
        };
        let hub = ask(person, "Virtual hub", options.hub.as_deref().unwrap_or(HUB), hub)?;
        if present.has_hub(&hub)? {
            person.say(&format!("The hub {hub} is there already; it stays."))?;
        }
        let user = user_of(person, options, present, &hub)?;
        let network = network(person, options, &hub)?;
        let published = ask(
            person,
            "Publish a host behind this machine, as in 80=10.0.1.26:8080 (- for none)",
            &options.publish.map_or("-".to_owned(), |published| {
                format!("{}/{}={}", published.port, published.protocol(), published.to)
            }),
            |answer| none_or(answer, |answer| answer.parse().map_err(str::to_owned)),
        )?;
        let asked = options.listen.iter().map(|listen| listen.0);
        let listening: Vec<_> = if options.listen.is_empty() {
            present.listening()?
        } else {
            asked.collect()
        };
        let listen = ask(
            person,
            "Listen on which TCP ports; with an address, only there (ADDRESS:PORT)",
            &listed(&listening),
            addresses,
        )?;
        let usual = options.address.clone().unwrap_or_else(own_address);
        let address = ask(
            person,
            "Name or address by which users reach this server",
            &usual,
            |answer| {
                if answer.is_empty() || answer.contains(char::is_whitespace) {
                    return Err("A name or an address, as in vpn.example.org.".to_owned());
                }
                Ok(answer.to_owned())
            },
        )?;
        Ok(Self {
            admin,
            hub,
            user,
            network,
            published,
            listen: if listen == present.listening()? {
                Vec::new()
            } else {
                listen
            },
            address,
        })
    }
}

fn user_of(
    person: &mut dyn Person,
    options: &cli::Setup,
    present: &Present,
    hub: &HubName,
) -> Result<Option<(UserName, Option<Chosen>)>, SetupError> {
    let usual = options.user.as_deref().unwrap_or("-");
    let name = ask(person, "First user (- for none)", usual, |answer| {
        none_or(answer, user)
    })?;
    let Some(name) = name else {
        return Ok(None);
    };
    if present.has_user(hub, &name)? {
        person.say(&format!("The user {name} is there already; the password stays."))?;
        return Ok(Some((name, None)));
    }
    let chosen = match &options.user_password_file {
        Some(file) => Chosen::of_file(file)?,
        None => Chosen::typed(new_password(person, name.as_str())?),
    };
    Ok(Some((name, Some(chosen))))
}

fn network(person: &mut dyn Person, options: &cli::Setup, hub: &HubName) -> Result<Network, SetupError> {
    person.say(
        "How stations of the hub are connected:\n  \
         1  SecureNAT: they get addresses, and reach what this machine reaches\n  \
         2  TAP: the hub is a network of this machine, which routes by its own rules\n  \
         3  not now",
    )?;
    let usual = match options {
        options if options.tap.is_some() => "2",
        _ => "1",
    };
    let choice = ask(person, "1, 2 or 3", usual, |answer| match answer {
        "1" | "2" | "3" => Ok(answer.to_owned()),
        _ => Err("Type 1, 2 or 3.".to_owned()),
    })?;
    Ok(match choice.as_str() {
        "1" => Network::SecureNat,
        "2" => {
            let usual = options.tap.clone().unwrap_or_else(|| tap_of(hub));
            let name = ask(
                person,
                "Name of the TAP device, without its tap_",
                &usual,
                tap_name,
            )?;
            let usual = options.tap_address.unwrap_or_else(usual_tap_address).to_string();
            let address = ask(person, "Address of this machine on it", &usual, |answer| {
                answer.parse().map_err(str::to_owned)
            })?;
            Network::Tap { name, address }
        }
        _ => Network::AsItIs,
    })
}

fn hub(text: &str) -> Result<HubName, String> {
    HubName::parse(text).map_err(|error| error.to_string())
}

fn user(text: &str) -> Result<UserName, String> {
    UserName::parse(text).map_err(|error| error.to_string())
}

fn tap_name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':' | '%');
    if (1..=TAP_NAME).contains(&text.len()) && text.chars().all(legal) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "the name of a TAP device has 1 to {TAP_NAME} letters and digits"
        ))
    }
}

/// A name for the TAP device of a hub.
fn tap_of(hub: &HubName) -> String {
    let letters = hub.as_str().chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.take(TAP_NAME).collect();
    if name.is_empty() { HUB.to_owned() } else { name }
}

fn usual_tap_address() -> TapAddress {
    TAP_ADDRESS.parse().unwrap_or(TapAddress {
        address: Ipv4Addr::new(192, 168, 30, 1),
        bits: 24,
    })
}

fn none_or<T>(answer: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match answer {
        "" | "-" => Ok(None),
        answer => read(answer).map(Some),
    }
}

/// Ports and addresses, separated by comma or blank.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut addresses = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let Listen(address) = word.parse().map_err(|why| format!("{word}: {why}"))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err("A server needs a port, as in 443.".to_owned());
    }
    Ok(addresses)
}

fn listed(addresses: &[SocketAddr]) -> String {
    let word = |address: &SocketAddr| match address.ip() {
        ip if ip.is_unspecified() => address.port().to_string(),
        _ => address.to_string(),
    };
    addresses.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The address that this machine has toward the Internet. Nothing is sent: the kernel looks for a route, to an address that is nobody's
/// (RFC 5737).
fn own_address() -> String {
    let toward = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 443))?;
        Ok(socket.local_addr()?.ip())
    };
    toward().map_or_else(|_| "localhost".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_host_is_read_as_it_is_written() {
        let read = |text: &str| text.parse::<Published>();
        let web = read("80=10.0.1.26:8080").unwrap();
        assert_eq!((web.name().as_str(), web.to.port()), ("tcp-80", 8080));
        assert_eq!(read("53/udp=10.0.1.2:53").unwrap().name(), "udp-53");
        for wrong in [
            "80",
            "80=10.0.1.26",
            "0=10.0.1.26:80",
            "80/icmp=10.0.1.26:80",
            "80=web:80",
            "80=0.0.0.0:80",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_that_no_station_can_have_is_refused() {
        let read = |text: &str| text.parse::<TapAddress>();
        let own = read("192.168.30.1/24").unwrap();
        assert_eq!(own.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(own.station(200), Ipv4Addr::new(192, 168, 30, 200));
        assert_eq!(own.stations(), 254);
        for wrong in [
            "192.168.30.0/24",
            "192.168.30.255/24",
            "192.168.30.1",
            "192.168.30.1/31",
            "x/24",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_and_addresses_may_be_mixed() {
        let read = addresses("443, 192.0.2.1:992").unwrap();
        assert_eq!(listed(&read), "443, 192.0.2.1:992");
        assert!(addresses("443, https").unwrap_err().starts_with("https: "));
        assert!(addresses("").is_err());
    }
}
