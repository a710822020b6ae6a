//! One rule of an access list: its parameters, its conditions from a command line, its contents in one line.

use std::net::{IpAddr, Ipv4Addr};

use protocol::rpc::access::AccessRule;

use crate::{
    check,
    failure::{Failure, Outcome},
    network,
    params::{Arguments, Param},
    text,
};

const ACTION: Param = Param::word("pass|discard", "Whether what fits passes or is dropped.")
    .ask("Pass or Discard: ")
    .check(check::not_empty);
const MEMO: Param = Param::named("MEMO", "What the rule is for.").ask("Memo: ");
const PRIORITY: Param = Param::named("PRIORITY", "From 1 on; rules with lower numbers are tried first.")
    .ask("Priority: ")
    .check(is_priority);
const SRCUSERNAME: Param =
    Param::named("SRCUSERNAME", "User or group that sends; empty for all.").ask("Source User Name: ");
const DESTUSERNAME: Param = Param::named("DESTUSERNAME", "User or group that receives; empty for all.")
    .ask("Destination User Name: ");
const SRCMAC: Param = Param::named(
    "SRCMAC",
    "MAC address that sends, perhaps with a mask; empty for all.",
)
.ask("Source MAC Address and Mask: ")
.check(is_mac);
const DESTMAC: Param = Param::named(
    "DESTMAC",
    "MAC address that receives, perhaps with a mask; empty for all.",
)
.ask("Destination MAC Address and Mask: ")
.check(is_mac);
const PROTOCOL: Param = Param::named("PROTOCOL", "tcp, udp, icmpv4, icmpv6, ip for all, or a number.")
    .ask("Protocol: ")
    .check(is_protocol);
const SRCPORT: Param = Param::named(
    "SRCPORT",
    "Port that sends, or several, as in 1-1024; empty for all.",
)
.ask("Source Port: ")
.check(is_ports);
const DESTPORT: Param = Param::named(
    "DESTPORT",
    "Port that receives, or several, as in 1-1024; empty for all.",
)
.ask("Destination Port: ")
.check(is_ports);
const TCPSTATE: Param = Param::named("TCPSTATE", "established or unestablished; empty for both.")
    .ask("TCP Connection State: ")
    .check(is_tcp_state);
const DELAY: Param = Param::named(
    "DELAY",
    "Milliseconds that what passes is held back, up to 10000.",
)
.ask("Delay (milliseconds): ")
.check(is_delay);
const JITTER: Param = Param::named("JITTER", "Percent by which the delay varies.")
    .ask("Jitter (percent): ")
    .check(is_percent);
const LOSS: Param = Param::named("LOSS", "Percent of what passes that is dropped.")
    .ask("Packet losses (percent): ")
    .check(is_percent);
const REDIRECTURL: Param = Param::named("REDIRECTURL", "Where HTTP requests are sent instead.");
const SRCIP: Param = Param::named(
    "SRCIP",
    "Addresses that send, as in 10.0.0.0/8; 0.0.0.0/0 for all.",
)
.ask("Source IP Address and Mask: ")
.check(is_v4);
const DESTIP: Param = Param::named(
    "DESTIP",
    "Addresses that receive, as in 10.0.0.0/8; 0.0.0.0/0 for all.",
)
.ask("Destination IP Address and Mask: ")
.check(is_v4);
const SRCIP6: Param = Param::named("SRCIP", "Addresses that send, as in 2001:db8::/32; ::/0 for all.")
    .ask("Source IP Address and Mask: ")
    .check(is_v6);
const DESTIP6: Param = Param::named(
    "DESTIP",
    "Addresses that receive, as in 2001:db8::/32; ::/0 for all.",
)
.ask("Destination IP Address and Mask: ")
.check(is_v6);

pub(super) const PLAIN_V4: &[Param] = &[
    ACTION,
    MEMO,
    PRIORITY,
    SRCUSERNAME,
    DESTUSERNAME,
    SRCMAC,
    DESTMAC,
    SRCIP,
    DESTIP,
    PROTOCOL,
    SRCPORT,
    DESTPORT,
    TCPSTATE,
];
pub(super) const EXTENDED_V4: &[Param] = &[
    ACTION,
    MEMO,
    PRIORITY,
    SRCUSERNAME,
    DESTUSERNAME,
    SRCMAC,
    DESTMAC,
    SRCIP,
    DESTIP,
    PROTOCOL,
    SRCPORT,
    DESTPORT,
    TCPSTATE,
    DELAY,
    JITTER,
    LOSS,
    REDIRECTURL,
];
pub(super) const PLAIN_V6: &[Param] = &[
    ACTION,
    MEMO,
    PRIORITY,
    SRCUSERNAME,
    DESTUSERNAME,
    SRCMAC,
    DESTMAC,
    SRCIP6,
    DESTIP6,
    PROTOCOL,
    SRCPORT,
    DESTPORT,
    TCPSTATE,
];
pub(super) const EXTENDED_V6: &[Param] = &[
    ACTION,
    MEMO,
    PRIORITY,
    SRCUSERNAME,
    DESTUSERNAME,
    SRCMAC,
    DESTMAC,
    SRCIP6,
    DESTIP6,
    PROTOCOL,
    SRCPORT,
    DESTPORT,
    TCPSTATE,
    DELAY,
    JITTER,
    LOSS,
    REDIRECTURL,
];

/// The protocols that have names: word on a command line, number, name in a list.
pub(crate) const PROTOCOLS: &[(&str, u32, &str)] = &[
    ("ip", 0, ""),
    ("tcp", 6, "TCP"),
    ("udp", 17, "UDP"),
    ("icmpv4", 1, "ICMPv4"),
    ("icmpv6", 58, "ICMPv6"),
];

fn says(known: bool, message: &str) -> Result<(), String> {
    if known { Ok(()) } else { Err(message.to_owned()) }
}

pub(super) fn is_priority(text: &str) -> Result<(), String> {
    says(
        text.trim().parse().is_ok_and(|number: u32| number > 0),
        "The priority is a number from 1 on.",
    )
}

fn is_delay(text: &str) -> Result<(), String> {
    says(
        text.trim().parse().is_ok_and(|number: u32| number <= 10_000),
        "The delay is a number from 0 to 10000.",
    )
}

fn is_percent(text: &str) -> Result<(), String> {
    says(
        text.trim().parse().is_ok_and(|number: u32| number <= 100),
        "A percentage is a number from 0 to 100.",
    )
}

fn is_mac(text: &str) -> Result<(), String> {
    says(
        text.is_empty() || mac(text).is_some(),
        "A MAC address is required here, such as 5E-11-22-33-44-55/FF-FF-FF-00-00-00.",
    )
}

pub(super) fn is_v4(text: &str) -> Result<(), String> {
    says(
        network::parse_v4(text).is_some(),
        "An IPv4 address with a mask is required here, such as 10.0.0.0/8.",
    )
}

pub(super) fn is_v6(text: &str) -> Result<(), String> {
    says(
        network::parse_v6(text).is_some(),
        "An IPv6 address with a mask is required here, such as 2001:db8::/32.",
    )
}

fn is_protocol(text: &str) -> Result<(), String> {
    says(
        protocol(text).is_some(),
        "The protocol is ip, tcp, udp, icmpv4, icmpv6 or a number up to 255.",
    )
}

fn is_ports(text: &str) -> Result<(), String> {
    says(
        ports(text).is_some(),
        "A port is a number from 1 to 65535, or two with - between.",
    )
}

fn is_tcp_state(text: &str) -> Result<(), String> {
    says(
        text.is_empty() || established(text).is_some(),
        "The state is established or unestablished.",
    )
}

/// A MAC address and its mask; all ones unless it is there.
pub(crate) fn mac(text: &str) -> Option<([u8; 6], [u8; 6])> {
    match text.split_once('/') {
        Some((address, mask)) => Some((text::parse_mac(address)?, text::parse_mac(mask)?)),
        None => Some((text::parse_mac(text)?, [0xff; 6])),
    }
}

fn starts(word: &str, text: &str) -> bool {
    !text.is_empty()
        && word
            .get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
}

/// The first name that the text begins, or a number; nothing is all of IP.
pub(crate) fn protocol(text: &str) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    let named = PROTOCOLS
        .iter()
        .find(|(word, ..)| starts(word, text))
        .map(|(_, number, _)| *number);
    named.or_else(|| text.trim().parse::<u8>().ok().map(u32::from))
}

/// The first and the last port; both 0 for all.
fn ports(text: &str) -> Option<(u32, u32)> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| {
        text.trim()
            .parse::<u16>()
            .ok()
            .filter(|port| *port > 0)
            .map(u32::from)
    };
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// The stock tool reads both words as `unestablished`; ours reads what is written.
pub(crate) fn established(text: &str) -> Option<bool> {
    if starts("established", text) {
        Some(true)
    } else {
        starts("unestablished", text).then_some(false)
    }
}

/// The parameters were checked; this says so where one was not.
fn given<T>(value: Option<T>, name: &str) -> Outcome<T> {
    value.ok_or_else(|| Failure::Invalid(format!("The parameter /{name} cannot be read.")))
}

pub(super) fn read_v4(arguments: &Arguments) -> Outcome<AccessRule> {
    let mut rule = read(arguments)?;
    let (source, source_mask) = given(network::parse_v4(arguments.text("SRCIP")), "SRCIP")?;
    let (dest, dest_mask) = given(network::parse_v4(arguments.text("DESTIP")), "DESTIP")?;
    (rule.src_ip_address, rule.src_subnet_mask) = (source.into(), source_mask.into());
    (rule.dest_ip_address, rule.dest_subnet_mask) = (dest.into(), dest_mask.into());
    Ok(rule)
}

pub(super) fn read_v6(arguments: &Arguments) -> Outcome<AccessRule> {
    let mut rule = read(arguments)?;
    let (source, source_mask) = given(network::parse_v6(arguments.text("SRCIP")), "SRCIP")?;
    let (dest, dest_mask) = given(network::parse_v6(arguments.text("DESTIP")), "DESTIP")?;
    rule.is_ipv6 = true;
    (rule.src_ip_address6, rule.src_subnet_mask6) = (source.octets(), source_mask.octets());
    (rule.dest_ip_address6, rule.dest_subnet_mask6) = (dest.octets(), dest_mask.octets());
    Ok(rule)
}

/// What rules of both families have.
fn read(arguments: &Arguments) -> Outcome<AccessRule> {
    let none = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (src_port_start, src_port_end) = given(ports(arguments.text("SRCPORT")), "SRCPORT")?;
    let (dest_port_start, dest_port_end) = given(ports(arguments.text("DESTPORT")), "DESTPORT")?;
    let (src_mac, dest_mac) = (mac(arguments.text("SRCMAC")), mac(arguments.text("DESTMAC")));
    let tcp_state = established(arguments.text("TCPSTATE"));
    Ok(AccessRule {
        note: arguments.text("MEMO").to_owned(),
        active: true,
        priority: arguments.number("PRIORITY"),
        // What begins like pass, yes or true passes; everything else does not.
        discard: !arguments
            .text("pass|discard")
            .starts_with(['p', 'P', 'y', 'Y', 't', 'T']),
        src_ip_address: none,
        src_subnet_mask: none,
        dest_ip_address: none,
        dest_subnet_mask: none,
        protocol: given(protocol(arguments.text("PROTOCOL")), "PROTOCOL")?,
        src_port_start,
        src_port_end,
        dest_port_start,
        dest_port_end,
        src_username: arguments.text("SRCUSERNAME").to_owned(),
        dest_username: arguments.text("DESTUSERNAME").to_owned(),
        check_src_mac: src_mac.is_some(),
        src_mac_address: src_mac.unwrap_or_default().0,
        src_mac_mask: src_mac.unwrap_or_default().1,
        check_dest_mac: dest_mac.is_some(),
        dest_mac_address: dest_mac.unwrap_or_default().0,
        dest_mac_mask: dest_mac.unwrap_or_default().1,
        check_tcp_state: tcp_state.is_some(),
        established: tcp_state.unwrap_or(false),
        delay: arguments.number("DELAY"),
        jitter: arguments.number("JITTER"),
        loss: arguments.number("LOSS"),
        redirect_url: arguments.text("REDIRECTURL").to_owned(),
        ..AccessRule::default()
    })
}

/// `(ipv4) SrcIPv4=10.0.0.0/8, Protocol=TCP, DstPort=25`: the conditions that count, and what is done beside.
pub(crate) fn contents(rule: &AccessRule) -> String {
    let mut parts = addresses(rule);
    match PROTOCOLS.iter().find(|(_, number, _)| *number == rule.protocol) {
        Some((_, 0, _)) => {}
        Some((.., name)) => parts.push(format!("Protocol={name}")),
        None => parts.push(format!("Protocol=({})", rule.protocol)),
    }
    for (name, first, last) in [
        ("SrcPort", rule.src_port_start, rule.src_port_end),
        ("DstPort", rule.dest_port_start, rule.dest_port_end),
    ] {
        match (first, last) {
            (0, 0) => {}
            _ if first == last => parts.push(format!("{name}={first}")),
            _ => parts.push(format!("{name}={first}-{last}")),
        }
    }
    for (name, value) in [("SrcUser", &rule.src_username), ("DstUser", &rule.dest_username)] {
        if !value.is_empty() {
            parts.push(format!("{name}={value}"));
        }
    }
    for (name, checked, address, mask) in [
        (
            "SrcMac",
            rule.check_src_mac,
            &rule.src_mac_address,
            &rule.src_mac_mask,
        ),
        (
            "DstMac",
            rule.check_dest_mac,
            &rule.dest_mac_address,
            &rule.dest_mac_mask,
        ),
    ] {
        if checked {
            parts.push(format!("{name}={}/{}", text::mac(address), text::mac(mask)));
        }
    }
    if rule.check_tcp_state {
        parts.push(
            if rule.established {
                "Established"
            } else {
                "Unestablished"
            }
            .to_owned(),
        );
    }
    for (name, value) in [
        ("Delay", rule.delay),
        ("Jitter", rule.jitter),
        ("Loss", rule.loss),
    ] {
        if value > 0 {
            parts.push(format!("{name}={value}"));
        }
    }
    if !rule.redirect_url.is_empty() {
        parts.push(format!("RedirectUrl={}", rule.redirect_url));
    }
    match (parts.is_empty(), rule.is_ipv6) {
        (true, _) => "(ether) *".to_owned(),
        (false, true) => format!("(ipv6) {}", parts.join(", ")),
        (false, false) => format!("(ipv4) {}", parts.join(", ")),
    }
}

fn addresses(rule: &AccessRule) -> Vec<String> {
    let v6 = |bytes: [u8; 16]| IpAddr::from(bytes);
    let pairs = if rule.is_ipv6 {
        [
            ("SrcIPv6", v6(rule.src_ip_address6), v6(rule.src_subnet_mask6)),
            ("DstIPv6", v6(rule.dest_ip_address6), v6(rule.dest_subnet_mask6)),
        ]
    } else {
        [
            ("SrcIPv4", rule.src_ip_address, rule.src_subnet_mask),
            ("DstIPv4", rule.dest_ip_address, rule.dest_subnet_mask),
        ]
    };
    // All zeros is everybody.
    let counts = pairs
        .into_iter()
        .filter(|(_, address, mask)| !(address.is_unspecified() && mask.is_unspecified()));
    counts
        .map(|(name, address, mask)| format!("{name}={}", network::show(address, mask)))
        .collect()
}
