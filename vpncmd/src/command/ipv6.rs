//! IPv6 of SecureNAT: the virtual host as a router.

use std::net::Ipv6Addr;

use protocol::rpc::{
    HubRequest,
    method::{GetSecureNATIPv6, SetSecureNATIPv6},
    securenat::SecureNatIpv6,
};

use crate::{
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "SecureNatIPv6Get",
        title: "Show the IPv6 settings of SecureNAT",
        help: "Shows whether the virtual host is an IPv6 router of the hub, in which network, which name servers it \
               announces, and what becomes of it.",
        params: &[],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "SecureNatIPv6Enable",
        title: "Switch IPv6 of SecureNAT on",
        help: "Has the virtual host announce itself as an IPv6 router, as long as SecureNAT itself is on: the hub's users \
               make addresses in its network, and in kernel mode it leads them out by NAT. Policies that keep router \
               advertisements away from users are obeyed.",
        params: &[],
        scope: Scope::Hub,
        run: enable,
    },
    Command {
        name: "SecureNatIPv6Disable",
        title: "Switch IPv6 of SecureNAT off",
        help: "Has the virtual host take back what it announced. Its settings are kept.",
        params: &[],
        scope: Scope::Hub,
        run: disable,
    },
    Command {
        name: "SecureNatIPv6Set",
        title: "Set the IPv6 settings of SecureNAT",
        help: "Sets the network in which the hub's users make their addresses, and what they are told with it. What is \
               left out stays as it is.\n\
               SecureNatIPv6Set /PREFIX:auto uses a network that was made for this hub and is nobody else's.",
        params: &[
            Param::named(
                "PREFIX",
                "The network, as in fd12:3456:789a::/64; auto for the one that was made for this hub.",
            )
            .check(is_prefix),
            Param::named(
                "DNS",
                "The name servers, with commas between; auto for the virtual host, none for none.",
            )
            .check(are_name_servers),
            Param::named(
                "PREFERRED",
                "Seconds for which an address is used after an advertisement, 1200 or more.",
            )
            .check(is_lifetime),
            Param::named(
                "VALID",
                "Seconds after which an address is gone without an advertisement, 1200 or more.",
            )
            .check(is_lifetime),
        ],
        scope: Scope::Hub,
        run: set,
    },
];

const AUTO: &str = "auto";
const NONE: &str = "none";

fn is_prefix(text: &str) -> Result<(), String> {
    let network = || {
        let (address, "64") = text.split_once('/')? else {
            return None;
        };
        address.parse::<Ipv6Addr>().ok()
    };
    if text.is_empty() || text.eq_ignore_ascii_case(AUTO) || network().is_some() {
        return Ok(());
    }
    Err("The network is a /64 of IPv6, such as fd12:3456:789a::/64, or auto.".to_owned())
}

fn are_name_servers(text: &str) -> Result<(), String> {
    let words = [AUTO, NONE, ""];
    let addresses = || {
        text.split([',', ';', ' '])
            .filter(|word| !word.is_empty())
            .all(|word| word.parse::<Ipv6Addr>().is_ok())
    };
    if words.iter().any(|word| text.eq_ignore_ascii_case(word)) || addresses() {
        return Ok(());
    }
    Err("The name servers are IPv6 addresses with commas between, auto, or none.".to_owned())
}

fn is_lifetime(text: &str) -> Result<(), String> {
    if text.is_empty() || text.parse::<u32>().is_ok_and(|seconds| seconds >= 1200) {
        return Ok(());
    }
    Err("A lifetime is a number of seconds, 1200 or more.".to_owned())
}

fn load(shell: &mut Shell) -> Outcome<SecureNatIpv6> {
    let hub_name = shell.hub_name();
    shell.call::<GetSecureNATIPv6>(&HubRequest { hub_name })
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let ipv6 = load(shell)?;
    if shell.json(&ipv6) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("Use IPv6 Router Function", text::yes_no(ipv6.enabled))
        .item("IPv6 Network", ipv6.prefix)
        .item("IPv6 Address", ipv6.address)
        .item("DNS Server Addresses", ipv6.name_servers)
        .item(
            "Preferred Lifetime (Seconds)",
            ipv6.preferred_lifetime.to_string(),
        )
        .item("Valid Lifetime (Seconds)", ipv6.valid_lifetime.to_string())
        .item("Status", ipv6.status);
    shell.console.table(&table);
    Ok(())
}

/// Changes some of the settings and leaves the others.
fn change(shell: &mut Shell, change: impl FnOnce(&mut SecureNatIpv6)) -> Outcome {
    let mut ipv6 = load(shell)?;
    ipv6.hub_name = shell.hub_name();
    change(&mut ipv6);
    shell.call::<SetSecureNATIPv6>(&ipv6)?;
    Ok(())
}

fn enable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |ipv6| ipv6.enabled = true)
}

fn disable(shell: &mut Shell, _: &Arguments) -> Outcome {
    change(shell, |ipv6| ipv6.enabled = false)
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let given = |name| arguments.given(name).filter(|text| !text.is_empty());
    change(shell, |ipv6| {
        for (name, place) in [("PREFIX", &mut ipv6.prefix), ("DNS", &mut ipv6.name_servers)] {
            if let Some(text) = given(name) {
                text.clone_into(place);
            }
        }
        for (name, place) in [
            ("PREFERRED", &mut ipv6.preferred_lifetime),
            ("VALID", &mut ipv6.valid_lifetime),
        ] {
            if given(name).is_some() {
                *place = arguments.number(name);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_the_server_would_refuse_are_asked_for_again() {
        for good in ["auto", "fd12:3456:789a::/64"] {
            is_prefix(good).unwrap();
        }
        for wrong in ["fd12::/48", "fd12::", "10.0.0.0/64", "x"] {
            is_prefix(wrong).unwrap_err();
        }
        for good in ["auto", "None", "fd00::53, 2001:db8::1"] {
            are_name_servers(good).unwrap();
        }
        for wrong in ["10.0.0.1", "auto, fd00::1"] {
            are_name_servers(wrong).unwrap_err();
        }
        is_lifetime("1200").unwrap();
        is_lifetime("1199").unwrap_err();
    }
}
