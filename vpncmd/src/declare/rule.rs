//! The rules of a hub as a file declares them: of its access list, and about the addresses that clients come from.

use std::net::{IpAddr, Ipv4Addr};

use protocol::rpc::access::{AccessRule, SourceRule};

use crate::{
    command::access_rule::{PROTOCOLS, established, mac, protocol},
    declare::value::{Access, Field, Object, plain},
    network, text,
};

const PERCENT: (u32, u32) = (0, 100);

impl Object for AccessRule {
    const FIELDS: &'static [Field<AccessRule>] = &[
        Field {
            key: "action",
            about: "pass or discard.",
            access: Access::Text(
                |rule| if rule.discard { "discard" } else { "pass" }.to_owned(),
                |rule, action| {
                    rule.discard = match action {
                        "pass" => false,
                        "discard" => true,
                        _ => return Err("\"pass\" or \"discard\"".to_owned()),
                    };
                    Ok(())
                },
            ),
        },
        plain!("priority", "From 1 on; lower numbers are tried first.", Number priority, (1, u32::MAX)),
        plain!("enabled", "Whether it counts.", Flag active),
        plain!("note", "What it is for.", Text note),
        plain!("ipv6", "Whether IPv6 is meant, where no address says it.", Flag is_ipv6),
        Field {
            key: "source",
            about: "Addresses that send: \"10.0.0.0/8\", \"2001:db8::/32\"; empty for all.",
            access: Access::Text(
                |rule| addresses(rule).0,
                |rule, text| set_addresses(rule, text, true),
            ),
        },
        Field {
            key: "destination",
            about: "Addresses that receive; empty for all.",
            access: Access::Text(
                |rule| addresses(rule).1,
                |rule, text| set_addresses(rule, text, false),
            ),
        },
        Field {
            key: "protocol",
            about: "ip for all, tcp, udp, icmpv4, icmpv6, or a number in quotes.",
            access: Access::Text(
                |rule| protocol_name(rule.protocol),
                |rule, name| {
                    rule.protocol = protocol(name).ok_or(
                        "\"ip\", \"tcp\", \"udp\", \"icmpv4\", \"icmpv6\" or a number up to \"255\"",
                    )?;
                    Ok(())
                },
            ),
        },
        Field {
            key: "source-port",
            about: "Port that sends, or several; 0 for all.",
            access: Access::Ports(
                |rule| (rule.src_port_start, rule.src_port_end),
                |rule, (first, last)| (rule.src_port_start, rule.src_port_end) = (first, last),
            ),
        },
        Field {
            key: "destination-port",
            about: "Port that receives, or several; 0 for all.",
            access: Access::Ports(
                |rule| (rule.dest_port_start, rule.dest_port_end),
                |rule, (first, last)| (rule.dest_port_start, rule.dest_port_end) = (first, last),
            ),
        },
        plain!("source-user", "User or group that sends; empty for all.", Text src_username),
        plain!("destination-user", "User or group that receives; empty for all.", Text dest_username),
        Field {
            key: "source-mac",
            about: "MAC address that sends, perhaps with /mask; empty for all.",
            access: Access::Text(
                |rule| shown_mac(rule.check_src_mac, rule.src_mac_address, rule.src_mac_mask),
                |rule, text| {
                    let (check, address, mask) = read_mac(text)?;
                    (rule.check_src_mac, rule.src_mac_address, rule.src_mac_mask) = (check, address, mask);
                    Ok(())
                },
            ),
        },
        Field {
            key: "destination-mac",
            about: "MAC address that receives, perhaps with /mask; empty for all.",
            access: Access::Text(
                |rule| shown_mac(rule.check_dest_mac, rule.dest_mac_address, rule.dest_mac_mask),
                |rule, text| {
                    let (check, address, mask) = read_mac(text)?;
                    (rule.check_dest_mac, rule.dest_mac_address, rule.dest_mac_mask) = (check, address, mask);
                    Ok(())
                },
            ),
        },
        Field {
            key: "tcp-state",
            about: "established or unestablished; empty for both.",
            access: Access::Text(
                |rule| {
                    match (rule.check_tcp_state, rule.established) {
                        (false, _) => "",
                        (true, true) => "established",
                        (true, false) => "unestablished",
                    }
                    .to_owned()
                },
                |rule, text| {
                    let state = established(text);
                    if state.is_none() && !text.is_empty() {
                        return Err("\"established\" or \"unestablished\"".to_owned());
                    }
                    (rule.check_tcp_state, rule.established) = (state.is_some(), state.unwrap_or(false));
                    Ok(())
                },
            ),
        },
        plain!("delay", "Milliseconds that what passes is held back.", Number delay, (0, 10_000)),
        plain!("jitter", "Percent by which the delay varies.", Number jitter, PERCENT),
        plain!("loss", "Percent of what passes that is dropped.", Number loss, PERCENT),
        plain!("redirect-url", "Where HTTP requests are sent instead.", Text redirect_url),
    ];
}

impl Object for SourceRule {
    const FIELDS: &'static [Field<SourceRule>] = &[
        Field {
            key: "action",
            about: "allow or deny.",
            access: Access::Text(
                |rule| if rule.deny { "deny" } else { "allow" }.to_owned(),
                |rule, action| {
                    rule.deny = match action {
                        "allow" => false,
                        "deny" => true,
                        _ => return Err("\"allow\" or \"deny\"".to_owned()),
                    };
                    Ok(())
                },
            ),
        },
        plain!("priority", "From 1 on; lower numbers are tried first.", Number priority, (1, u32::MAX)),
        Field {
            key: "from",
            about: "An address or a network.",
            access: Access::Text(from, set_from),
        },
    ];
}

/// The addresses of a rule.
#[must_use]
pub fn from(rule: &SourceRule) -> String {
    if rule.masked {
        network::show(rule.ip_address, rule.subnet_mask)
    } else {
        rule.ip_address.to_string()
    }
}

fn set_from(rule: &mut SourceRule, text: &str) -> Result<(), String> {
    let v4 = network::parse_v4(text).map(|(address, mask)| (IpAddr::from(address), IpAddr::from(mask)));
    let either = v4.or_else(|| network::parse_v6(text).map(|(address, mask)| (address.into(), mask.into())));
    (rule.ip_address, rule.subnet_mask) =
        either.ok_or("an address or a network, such as \"203.0.113.0/24\" or \"2001:db8::/32\"")?;
    rule.masked = match rule.subnet_mask {
        IpAddr::V4(mask) => mask.to_bits() != u32::MAX,
        IpAddr::V6(mask) => mask.to_bits() != u128::MAX,
    };
    Ok(())
}

/// As [`meant`], of a rule about addresses.
#[must_use]
pub fn source_meant(rule: &SourceRule) -> SourceRule {
    SourceRule {
        id: 0,
        subnet_mask: if rule.masked { rule.subnet_mask } else { NOBODY },
        ..rule.clone()
    }
}

const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What a rule is before anything is said of it.
#[must_use]
pub fn blank() -> AccessRule {
    AccessRule {
        active: true,
        src_ip_address: NOBODY,
        src_subnet_mask: NOBODY,
        dest_ip_address: NOBODY,
        dest_subnet_mask: NOBODY,
        ..AccessRule::default()
    }
}

/// A rule with what does not count made equal: two rules that mean the same are the same then.
#[must_use]
pub fn meant(rule: &AccessRule) -> AccessRule {
    let mut meant = AccessRule {
        id: 0,
        unique_id: 0,
        ..rule.clone()
    };
    if meant.is_ipv6 {
        (meant.src_ip_address, meant.src_subnet_mask) = (NOBODY, NOBODY);
        (meant.dest_ip_address, meant.dest_subnet_mask) = (NOBODY, NOBODY);
    } else {
        (meant.src_ip_address6, meant.src_subnet_mask6) = ([0; 16], [0; 16]);
        (meant.dest_ip_address6, meant.dest_subnet_mask6) = ([0; 16], [0; 16]);
    }
    if !meant.check_src_mac {
        (meant.src_mac_address, meant.src_mac_mask) = ([0; 6], [0; 6]);
    }
    if !meant.check_dest_mac {
        (meant.dest_mac_address, meant.dest_mac_mask) = ([0; 6], [0; 6]);
    }
    meant.established &= meant.check_tcp_state;
    meant
}

fn protocol_name(number: u32) -> String {
    PROTOCOLS
        .iter()
        .find(|(_, known, _)| *known == number)
        .map_or_else(|| number.to_string(), |(name, ..)| (*name).to_owned())
}

fn addresses(rule: &AccessRule) -> (String, String) {
    let show = |address: IpAddr, mask: IpAddr| {
        if mask.is_unspecified() {
            String::new()
        } else {
            network::show(address, mask)
        }
    };
    if rule.is_ipv6 {
        (
            show(rule.src_ip_address6.into(), rule.src_subnet_mask6.into()),
            show(rule.dest_ip_address6.into(), rule.dest_subnet_mask6.into()),
        )
    } else {
        (
            show(rule.src_ip_address, rule.src_subnet_mask),
            show(rule.dest_ip_address, rule.dest_subnet_mask),
        )
    }
}

/// An address with its mask says of which family the rule is; two of different families are none.
fn set_addresses(rule: &mut AccessRule, text: &str, source: bool) -> Result<(), String> {
    if let Some((address, mask)) = network::parse_v4(text) {
        if rule.is_ipv6 {
            return Err("an IPv6 network, as the rest of this rule".to_owned());
        }
        if source {
            (rule.src_ip_address, rule.src_subnet_mask) = (address.into(), mask.into());
        } else {
            (rule.dest_ip_address, rule.dest_subnet_mask) = (address.into(), mask.into());
        }
    } else if let Some((address, mask)) = network::parse_v6(text) {
        if !rule.src_subnet_mask.is_unspecified() {
            return Err("an IPv4 network, as the rest of this rule".to_owned());
        }
        rule.is_ipv6 = true;
        if source {
            (rule.src_ip_address6, rule.src_subnet_mask6) = (address.octets(), mask.octets());
        } else {
            (rule.dest_ip_address6, rule.dest_subnet_mask6) = (address.octets(), mask.octets());
        }
    } else if !text.is_empty() {
        return Err("a network, such as \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned());
    }
    Ok(())
}

fn shown_mac(checked: bool, address: [u8; 6], mask: [u8; 6]) -> String {
    match (checked, mask) {
        (false, _) => String::new(),
        (true, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => text::mac(&address),
        (true, _) => format!("{}/{}", text::mac(&address), text::mac(&mask)),
    }
}

fn read_mac(text: &str) -> Result<(bool, [u8; 6], [u8; 6]), String> {
    if text.is_empty() {
        return Ok((false, [0; 6], [0; 6]));
    }
    let wanted = "a MAC address, such as \"5E-11-22-33-44-55\" or \"5E-11-22-00-00-00/FF-FF-FF-00-00-00\"";
    let (address, mask) = mac(text).ok_or(wanted)?;
    Ok((true, address, mask))
}
