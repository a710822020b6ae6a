//! What can be declared of hubs, groups, users and SecureNAT: one row per key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use protocol::{
    policy::Policy,
    rpc::{
        Timestamp,
        group::Group,
        hub::{HubRadius, HubSettings},
        securenat::{SecureNatIpv6, SecureNatOption},
        user::{AuthType, User},
    },
};

use crate::{
    command::user::set_auth,
    declare::value::{Access, Field, Object, plain},
    network, text,
};

const ANY: (u32, u32) = (0, u32::MAX);
const LIFETIMES: (u32, u32) = (1200, u32::MAX);

impl Object for HubSettings {
    const FIELDS: &'static [Field<HubSettings>] = &[
        plain!("online", "Whether users can connect.", Flag online),
        plain!("max-sessions", "How many clients it lets in at once; 0 for no limit.", Number max_session, ANY),
        Field {
            key: "listed",
            about: "Whether clients that ask for the list of hubs before they log in see it.",
            access: Access::Flag(|hub| !hub.no_enum, |hub, listed| hub.no_enum = !listed),
        },
    ];
}

impl Object for Group {
    const FIELDS: &'static [Field<Group>] = &[
        Field {
            key: "full-name",
            about: "What it is called.",
            access: Access::Text(
                |group| group.realname.clone(),
                |group, name| put(&mut group.realname, name),
            ),
        },
        Field {
            key: "note",
            about: "What it is for.",
            access: Access::Text(
                |group| group.note.clone(),
                |group, note| put(&mut group.note, note),
            ),
        },
    ];

    fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    fn policy_mut(&mut self) -> Option<&mut Option<Policy>> {
        Some(&mut self.policy)
    }
}

impl Object for User {
    const FIELDS: &'static [Field<User>] = &[
        Field {
            key: "full-name",
            about: "Who it is.",
            access: Access::Text(
                |user| user.realname.clone(),
                |user, name| put(&mut user.realname, name),
            ),
        },
        Field {
            key: "note",
            about: "Anything else.",
            access: Access::Text(|user| user.note.clone(), |user, note| put(&mut user.note, note)),
        },
        Field {
            key: "group",
            about: "The group they belong to; empty for none.",
            access: Access::Text(
                |user| user.group_name.clone(),
                |user, group| put(&mut user.group_name, group),
            ),
        },
        Field {
            key: "expires",
            about: "When they cannot log in any more; \"never\".",
            access: Access::Time(expiry, |user, time| user.expire_time = time),
        },
        Field {
            key: "auth",
            about: "How they prove who they are: password, anonymous, certificate, signed, radius or nt-domain. \
                    What a password or certificate says by itself need not be said.",
            access: Access::Text(|user| auth_name(user.auth_type), set_auth_by_name),
        },
        Field {
            key: "certificate",
            about: "The certificate they log in with: a file, or PEM text.",
            access: Access::Certificate(
                |user| user.user_x.clone().unwrap_or_default(),
                |user, der| user.user_x = Some(der),
            ),
        },
        Field {
            key: "common-name",
            about: "With auth = \"signed\": the common name their certificate must have.",
            access: Access::Text(
                |user| user.common_name.clone().unwrap_or_default(),
                |user, name| put(user.common_name.get_or_insert_default(), name),
            ),
        },
        Field {
            key: "serial",
            about: "With auth = \"signed\": the serial number their certificate must have, in hexadecimal.",
            access: Access::Text(
                |user| text::hex(user.serial.as_deref().unwrap_or_default()),
                set_serial,
            ),
        },
        Field {
            key: "alias",
            about: "With auth = \"radius\" or \"nt-domain\": their name there, if it is another.",
            access: Access::Text(alias, set_alias),
        },
    ];

    fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }

    fn policy_mut(&mut self) -> Option<&mut Option<Policy>> {
        Some(&mut self.policy)
    }
}

/// The ways to log in, by name.
const AUTH: &[(&str, AuthType)] = &[
    ("password", AuthType::Password),
    ("anonymous", AuthType::Anonymous),
    ("certificate", AuthType::UserCertificate),
    ("signed", AuthType::SignedCertificate),
    ("radius", AuthType::Radius),
    ("nt-domain", AuthType::NtDomain),
];

fn put(place: &mut String, text: &str) -> Result<(), String> {
    text.clone_into(place);
    Ok(())
}

/// A time that is no time reads as never: some servers send the epoch.
fn expiry(user: &User) -> Timestamp {
    if user.expire_time.is_none() {
        Timestamp::NONE
    } else {
        user.expire_time
    }
}

/// The name of a way to log in.
#[must_use]
pub fn auth_name(kind: AuthType) -> String {
    AUTH.iter()
        .find(|(_, known)| *known == kind)
        .map_or_else(|| "unknown".to_owned(), |(name, _)| (*name).to_owned())
}

fn set_auth_by_name(user: &mut User, name: &str) -> Result<(), String> {
    let Some((_, kind)) = AUTH.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = AUTH.iter().map(|(name, _)| *name).collect();
        return Err(format!("one of {}", names.join(", ")));
    };
    if user.auth_type == *kind {
        return Ok(());
    }
    set_auth(user, *kind);
    match kind {
        AuthType::Radius => user.radius_username = Some(String::new()),
        AuthType::NtDomain => user.nt_username = Some(String::new()),
        _ => {}
    }
    Ok(())
}

fn set_serial(user: &mut User, digits: &str) -> Result<(), String> {
    let serial = text::parse_hex(digits).ok_or("a number in hexadecimal digits, such as \"0A0B0C\"")?;
    user.serial = Some(serial);
    Ok(())
}

fn alias(user: &User) -> String {
    let name = match user.auth_type {
        AuthType::Radius => &user.radius_username,
        _ => &user.nt_username,
    };
    name.clone().unwrap_or_default()
}

fn set_alias(user: &mut User, name: &str) -> Result<(), String> {
    match user.auth_type {
        AuthType::Radius => user.radius_username = Some(name.to_owned()),
        _ => user.nt_username = Some(name.to_owned()),
    }
    Ok(())
}

impl Object for HubRadius {
    const FIELDS: &'static [Field<HubRadius>] = &[
        Field {
            key: "server",
            about: "The RADIUS server, or several with commas between; empty for none.",
            access: Access::Text(
                |radius| radius.radius_server_name.clone(),
                |radius, name| put(&mut radius.radius_server_name, name),
            ),
        },
        plain!("port", "Its UDP port, 1812 unless it is said.", Number radius_port, (1, 65_535)),
        plain!("retry", "Milliseconds until a question is asked again.", Number radius_retry_interval, (1000, 15_000)),
    ];
}

/// SecureNAT of a hub: the switch and everything behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecureNat {
    /// Whether it runs.
    pub enabled: bool,
    /// Its settings.
    pub option: SecureNatOption,
}

macro_rules! address {
    ($key:literal $about:literal $field:ident) => {
        Field {
            key: $key,
            about: $about,
            access: Access::Text(
                |nat: &SecureNat| shown(nat.option.$field),
                |nat, text| set_address(&mut nat.option.$field, text),
            ),
        }
    };
}

impl Object for SecureNat {
    const FIELDS: &'static [Field<SecureNat>] = &[
        plain!("enabled", "Whether SecureNAT runs.", Flag enabled),
        Field {
            key: "mac",
            about: "The virtual host's MAC address.",
            access: Access::Text(|nat| text::mac(&nat.option.mac_address), set_mac),
        },
        address!("ip" "The virtual host's address." ip),
        address!("mask" "Its subnet mask." mask),
        Field {
            key: "nat",
            about: "Whether it leads the hub's users out.",
            access: Access::Flag(|nat| nat.option.use_nat, |nat, on| nat.option.use_nat = on),
        },
        Field {
            key: "mtu",
            about: "Bytes of a packet, 62 to 1500.",
            access: Access::Number(
                |nat| nat.option.mtu,
                |nat, number| nat.option.mtu = number,
                (62, 1500),
            ),
        },
        Field {
            key: "tcp-timeout",
            about: "Seconds after which a silent TCP connection is forgotten.",
            access: Access::Number(
                |nat| nat.option.nat_tcp_timeout,
                |nat, number| nat.option.nat_tcp_timeout = number,
                (60, 2_000_000),
            ),
        },
        Field {
            key: "udp-timeout",
            about: "Seconds after which a silent UDP flow is forgotten.",
            access: Access::Number(
                |nat| nat.option.nat_udp_timeout,
                |nat, number| nat.option.nat_udp_timeout = number,
                (10, 2_000_000),
            ),
        },
        Field {
            key: "log",
            about: "Whether NAT sessions and leases are logged.",
            access: Access::Flag(|nat| nat.option.save_log, |nat, on| nat.option.save_log = on),
        },
        Field {
            key: "dhcp",
            about: "Whether it gives addresses by DHCP.",
            access: Access::Flag(|nat| nat.option.use_dhcp, |nat, on| nat.option.use_dhcp = on),
        },
        address!("dhcp-start" "The first address of the pool." dhcp_lease_ip_start),
        address!("dhcp-end" "The last address of the pool." dhcp_lease_ip_end),
        address!("dhcp-mask" "The subnet mask of the clients." dhcp_subnet_mask),
        Field {
            key: "dhcp-lease",
            about: "Seconds that a lease lasts.",
            access: Access::Number(
                |nat| nat.option.dhcp_expire_time_span,
                |nat, number| nat.option.dhcp_expire_time_span = number,
                (10, 2_000_000),
            ),
        },
        address!("gateway" "The default gateway of the clients; empty for none." dhcp_gateway_address),
        Field {
            key: "dns",
            about: "The name servers of the clients, up to two.",
            access: Access::List(name_servers, set_name_servers),
        },
        Field {
            key: "domain",
            about: "The domain name of the clients; empty for none.",
            access: Access::Text(
                |nat| nat.option.dhcp_domain_name.clone(),
                |nat, name| put(&mut nat.option.dhcp_domain_name, name),
            ),
        },
        Field {
            key: "routes",
            about: "Networks that clients reach through the VPN: \"10.0.0.0/8 via 192.168.30.1\".",
            access: Access::List(|nat| routes(&nat.option.dhcp_push_routes), set_routes),
        },
        Field {
            key: "reservations",
            about: "Addresses kept for one client: \"192.168.30.50 for user alice\", \"... for mac 5E-00-00-00-00-01\".",
            access: Access::List(reservations, set_reservations),
        },
    ];
}

impl Object for SecureNatIpv6 {
    const FIELDS: &'static [Field<SecureNatIpv6>] = &[
        plain!("enabled", "Whether SecureNAT is an IPv6 router.", Flag enabled),
        Field {
            key: "prefix",
            about: "The network in which users make their addresses, a /64.",
            access: Access::Text(|ipv6| ipv6.prefix.clone(), set_prefix),
        },
        Field {
            key: "dns",
            about: "The name servers of the clients, \"auto\" or \"none\".",
            access: Access::Text(|ipv6| ipv6.name_servers.clone(), set_ipv6_name_servers),
        },
        plain!("preferred", "Seconds for which an address is used.", Number preferred_lifetime, LIFETIMES),
        plain!("valid", "Seconds after which an address is gone.", Number valid_lifetime, LIFETIMES),
    ];
}

/// Written as the server shows it, so that the two can be compared.
fn set_prefix(ipv6: &mut SecureNatIpv6, text: &str) -> Result<(), String> {
    let wrong =
        || "a /64, such as \"fd12:3456:789a::/64\"; leave it out for the one made for the hub".to_owned();
    let (address, "64") = text.split_once('/').ok_or_else(wrong)? else {
        return Err(wrong());
    };
    let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
    let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
    ipv6.prefix = format!("{network}/64");
    Ok(())
}

fn set_ipv6_name_servers(ipv6: &mut SecureNatIpv6, text: &str) -> Result<(), String> {
    if ["auto", "none"].contains(&text) {
        return put(&mut ipv6.name_servers, text);
    }
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let servers: Result<Vec<Ipv6Addr>, _> = words.map(str::parse).collect();
    let servers =
        servers.map_err(|_| "IPv6 addresses with commas between, \"auto\" or \"none\"".to_owned())?;
    let shown: Vec<String> = servers.iter().map(Ipv6Addr::to_string).collect();
    put(&mut ipv6.name_servers, &shown.join(", "))
}

pub(super) fn shown(address: IpAddr) -> String {
    if address.is_unspecified() {
        String::new()
    } else {
        address.to_string()
    }
}

pub(super) fn set_address(place: &mut IpAddr, text: &str) -> Result<(), String> {
    let address = match text {
        "" => Ipv4Addr::UNSPECIFIED,
        text => text
            .parse()
            .map_err(|_| "an IPv4 address, such as \"192.168.30.1\"".to_owned())?,
    };
    *place = IpAddr::V4(address);
    Ok(())
}

fn set_mac(nat: &mut SecureNat, text: &str) -> Result<(), String> {
    nat.option.mac_address = text::parse_mac(text).ok_or("a MAC address, such as \"5E-11-22-33-44-55\"")?;
    Ok(())
}

fn name_servers(nat: &SecureNat) -> Vec<String> {
    [
        nat.option.dhcp_dns_server_address,
        nat.option.dhcp_dns_server_address2,
    ]
    .into_iter()
    .map(shown)
    .filter(|address| !address.is_empty())
    .collect()
}

fn set_name_servers(nat: &mut SecureNat, list: &[String]) -> Result<(), String> {
    if list.len() > 2 {
        return Err("a list of two addresses at most".to_owned());
    }
    let at = |index: usize| list.get(index).map_or("", String::as_str);
    set_address(&mut nat.option.dhcp_dns_server_address, at(0))?;
    set_address(&mut nat.option.dhcp_dns_server_address2, at(1))
}

/// The routes of the wire's form, `network/mask/gateway`, one by one and written for people.
fn routes(text: &str) -> Vec<String> {
    let each = text
        .split([',', ';', ' ', '\t'])
        .filter(|route| !route.is_empty());
    each.map(|route| {
        let (net, gateway) = route.rsplit_once('/').unwrap_or((route, ""));
        match network::parse_v4(net) {
            Some((address, mask)) => format!("{} via {gateway}", network::show(address.into(), mask.into())),
            None => route.to_owned(),
        }
    })
    .collect()
}

fn set_routes(nat: &mut SecureNat, list: &[String]) -> Result<(), String> {
    let route = |text: &String| {
        let (net, gateway) = text.split_once(" via ")?;
        let (address, mask) = network::parse_v4(net)?;
        let gateway: Ipv4Addr = gateway.trim().parse().ok()?;
        Some(format!("{address}/{mask}/{gateway}"))
    };
    let routes: Option<Vec<String>> = list.iter().map(route).collect();
    let routes = routes.ok_or("a list of routes such as \"10.0.0.0/8 via 192.168.30.1\"")?;
    nat.option.dhcp_push_routes = routes.join(", ");
    nat.option.apply_dhcp_push_routes = true;
    Ok(())
}

/// The reservations of the wire's form, `address=user:alice`, one by one and written for people.
fn reservations(nat: &SecureNat) -> Vec<String> {
    let text = nat.option.dhcp_reservations.as_deref().unwrap_or_default();
    let each = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    each.map(|item| item.replacen('=', " for ", 1).replacen(':', " ", 1))
        .collect()
}

fn set_reservations(nat: &mut SecureNat, list: &[String]) -> Result<(), String> {
    let reservation = |text: &String| {
        let (ip, holder) = text.split_once(" for ")?;
        let ip: Ipv4Addr = ip.trim().parse().ok()?;
        match holder.trim().split_once(' ')? {
            ("user", name) if !name.contains([',', '=']) => Some((ip, format!("user:{}", name.trim()))),
            ("mac", mac) => Some((ip, format!("mac:{}", text::mac(&text::parse_mac(mac.trim())?)))),
            _ => None,
        }
    };
    let reservations: Option<Vec<_>> = list.iter().map(reservation).collect();
    let mut reservations = reservations.ok_or(
        "a list of reservations such as \"192.168.30.50 for user alice\" and \"192.168.30.51 for mac 5E-00-00-00-00-01\"",
    )?;
    // In the order in which the server has them, so that another order is no change.
    reservations.sort();
    let items: Vec<_> = reservations
        .iter()
        .map(|(ip, holder)| format!("{ip}={holder}"))
        .collect();
    nat.option.dhcp_reservations = Some(items.join(", "));
    Ok(())
}
