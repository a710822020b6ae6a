//! Published hosts: ports of the server's machine that lead to hosts behind it.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
};

use protocol::{
    error::ErrorCode,
    rpc::{
        Named, Nothing,
        dnat::{Dnat, DnatCheck, DnatProtocol, DnatRow, DnatSwitch},
        method::{AddDnat, DeleteDnat, EnableDnat, EnumDnat, SetDnat, TestDnat},
    },
};

use crate::{
    check,
    command::{Command, Scope},
    failure::{Failure, Outcome},
    network,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const NAME: Param = Param::word("name", "The name of the rule.")
    .ask("Name of the rule: ")
    .check(check::not_empty);
const PROTO: Param = Param::named("PROTO", "tcp, udp or tcp+udp.");
const DPORT: Param = Param::named(
    "DPORT",
    "The port of the server's machine, or several, as in 8000-8010.",
);
const TO: Param = Param::named(
    "TO",
    "The host behind and its port, as in 10.0.1.26:80. Of several ports, the first; without one the ports keep their numbers.",
);
const SOURCE: Param = Param::named(
    "SOURCE",
    "Who may come, as in 203.0.113.0/24, or several with commas between; everybody when left out.",
)
.check(is_networks);
const DEST: Param = Param::named(
    "DEST",
    "At which address of the server's machine or of a hub's virtual host; at every one when left out.",
)
.check(check::ipv4_or_none);
const GROUP: Param = Param::named(
    "GROUP",
    "The group of users who alone may come, as HUB/GROUP: the stations of their sessions, for as long as those last.",
)
.check(is_group);
const HOST_NAME: Param = Param::named(
    "NAME",
    "A name by which clients of hubs find it, such as web.private. Only those who may come hear of it.",
);
const CHECK: Param = Param::named(
    "CHECK",
    "tcp to look whether the host behind takes connections; none to leave it alone.",
)
.check(is_check);
const INTERVAL: Param = Param::named(
    "INTERVAL",
    "Seconds between two looks, 1 to 3600; 30 when left out.",
)
.check(check::number_or_none);
const TIMEOUT: Param = Param::named(
    "TIMEOUT",
    "Seconds that the host behind may take to answer, 1 to 60; 3 when left out.",
)
.check(check::number_or_none);

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DnatAdd",
        title: "Publish a host behind the server",
        help: "Leads connections to a port of the server's machine on to a host behind it, such as a web server in a \
               private network. The rule is kept, and is in force again after a restart.\n\
               DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80 publishes a web server. With /GROUP:office/staff only \
               the members of a group reach it, and lose it with their session or when they leave the group.",
        params: &[
            NAME,
            PROTO.ask("Protocol (tcp / udp / tcp+udp): ").check(is_protocol),
            DPORT.ask("Published port: ").check(is_ports),
            TO.ask("Destination (address:port): ").check(is_destination),
            SOURCE,
            DEST,
            GROUP,
            HOST_NAME,
            CHECK,
            INTERVAL,
            TIMEOUT,
        ],
        scope: Scope::Server,
        run: add,
    },
    Command {
        name: "DnatSet",
        title: "Change a published host",
        help: "Changes a rule of DnatList, in one step: what is not named stays as it is, and none takes away what is \
               optional. Connections that exist live on where the rule would still let them in.",
        params: &[
            NAME,
            PROTO.check(is_protocol),
            DPORT.check(is_ports),
            TO.check(is_destination),
            SOURCE,
            DEST,
            GROUP,
            HOST_NAME,
            CHECK,
            INTERVAL,
            TIMEOUT,
        ],
        scope: Scope::Server,
        run: set,
    },
    Command {
        name: "DnatDelete",
        title: "Stop publishing a host",
        help: "Deletes a rule of DnatList. Connections that exist live on until they end.",
        params: &[NAME],
        scope: Scope::Server,
        run: delete,
    },
    Command {
        name: "DnatEnable",
        title: "Put a rule into force that DnatDisable took out of it",
        help: "Publishes a host again. Another rule may have taken its port in the meantime; then it is named.",
        params: &[NAME],
        scope: Scope::Server,
        run: enable,
    },
    Command {
        name: "DnatDisable",
        title: "Take a rule out of force and keep it",
        help: "Stops publishing a host and keeps the rule for DnatEnable. Connections that exist live on until they end.",
        params: &[NAME],
        scope: Scope::Server,
        run: disable,
    },
    Command {
        name: "DnatList",
        title: "List the published hosts",
        help: "Lists the rules that lead ports of the server's machine to hosts behind it, what they have carried in \
               both directions, and whether they are in force. Hosts with /CHECK are shown with what the last look found.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
];

fn protocol(text: &str) -> Option<DnatProtocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(DnatProtocol::Tcp),
        "udp" => Some(DnatProtocol::Udp),
        "tcp+udp" | "udp+tcp" => Some(DnatProtocol::TcpAndUdp),
        _ => None,
    }
}

/// The word for a protocol.
pub(crate) fn protocol_text(protocol: DnatProtocol) -> String {
    match protocol {
        DnatProtocol::Tcp => "tcp".to_owned(),
        DnatProtocol::Udp => "udp".to_owned(),
        DnatProtocol::TcpAndUdp => "tcp+udp".to_owned(),
        DnatProtocol::Other(number) => number.to_string(),
    }
}

/// `80` or `8000-8010`.
fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}

/// An address and a port, 0 for none.
pub(crate) fn destination(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, 0),
    };
    let host: Ipv4Addr = host.parse().ok()?;
    (!host.is_unspecified()).then_some((host, port))
}

/// As [`destination`] reads it.
pub(crate) fn destination_text(rule: &Dnat) -> String {
    match rule.to_port {
        0 => rule.to_ip_address.to_string(),
        port => format!("{}:{port}", rule.to_ip_address),
    }
}

/// Networks without bits behind their masks, in the one way of writing them: in order, none inside another. Empty for
/// everybody.
pub(crate) fn networks(text: &str) -> Option<String> {
    let words = text.split([',', ' ']).filter(|word| !word.is_empty());
    let network = |word: &str| {
        let (address, mask) = network::parse_v4(word)?;
        let bits = mask.to_bits();
        let whole = bits.leading_ones() == bits.count_ones() && address.to_bits() & !bits == 0;
        whole.then_some((address, bits.count_ones(), bits))
    };
    let mut networks: Vec<(Ipv4Addr, u32, u32)> = words.map(network).collect::<Option<_>>()?;
    networks.sort_unstable();
    networks.dedup_by(|(inner, ..), (outer, _, mask)| inner.to_bits() & *mask == outer.to_bits());
    let everybody = networks.iter().any(|(_, length, _)| *length == 0);
    let texts = networks
        .iter()
        .map(|(address, length, _)| format!("{address}/{length}"));
    Some(if everybody {
        String::new()
    } else {
        texts.collect::<Vec<_>>().join(",")
    })
}

fn is_protocol(text: &str) -> Result<(), String> {
    protocol(text)
        .map(drop)
        .ok_or_else(|| "The protocol is tcp, udp or tcp+udp.".to_owned())
}

fn is_ports(text: &str) -> Result<(), String> {
    ports(text)
        .map(drop)
        .ok_or_else(|| "A port is a number from 1 to 65535, or two with - between.".to_owned())
}

fn is_destination(text: &str) -> Result<(), String> {
    destination(text)
        .map(drop)
        .ok_or_else(|| "The destination is an IPv4 address and a port, such as 10.0.1.26:80.".to_owned())
}

fn is_networks(text: &str) -> Result<(), String> {
    networks(text).map(drop).ok_or_else(|| {
        "The source is a network such as 203.0.113.0/24, or several with commas between, without bits behind their masks."
            .to_owned()
    })
}

fn is_group(text: &str) -> Result<(), String> {
    let named = |(hub, group): (&str, &str)| !(hub.is_empty() || group.is_empty() || group.contains('/'));
    if text.is_empty() || text.split_once('/').is_some_and(named) {
        Ok(())
    } else {
        Err("The group is named with its hub, as in office/staff.".to_owned())
    }
}

fn is_check(text: &str) -> Result<(), String> {
    if text.is_empty() || text.eq_ignore_ascii_case("tcp") {
        Ok(())
    } else {
        Err("The check is tcp or none.".to_owned())
    }
}

fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let rule = Dnat {
        name: arguments.text("name").to_owned(),
        ..Dnat::default()
    };
    let rule = changed(rule, arguments)?;
    shell
        .call::<AddDnat>(&rule)
        .map(drop)
        .map_err(|failure| explained(shell, &rule, failure))
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let rule = changed(known(shell, arguments)?, arguments)?;
    shell
        .call::<SetDnat>(&rule)
        .map(drop)
        .map_err(|failure| explained(shell, &rule, failure))
}

/// The rule that a name means.
fn known(shell: &mut Shell, arguments: &Arguments) -> Outcome<Dnat> {
    let name = arguments.text("name");
    let list = shell.call::<EnumDnat>(&Nothing {})?;
    let mut rules = list.rules.into_iter().map(|row| row.rule);
    rules
        .find(|rule| rule.name.eq_ignore_ascii_case(name))
        .ok_or(Failure::Refused(ErrorCode::ObjectNotFound))
}

/// The rule with what a line says of it.
fn changed(mut rule: Dnat, arguments: &Arguments) -> Outcome<Dnat> {
    let unread = || Failure::Invalid("The rule cannot be read.".to_owned());
    if let Some(text) = arguments.given("PROTO") {
        rule.protocol = protocol(text).ok_or_else(unread)?;
    }
    if let Some(text) = arguments.given("DPORT") {
        let ports = ports(text).ok_or_else(unread)?;
        (rule.port_start, rule.port_end) = (u32::from(*ports.start()), u32::from(*ports.end()));
    }
    if let Some(text) = arguments.given("TO") {
        let (host, port) = destination(text).ok_or_else(unread)?;
        (rule.to_ip_address, rule.to_port) = (IpAddr::V4(host), u32::from(port));
    }
    if let Some(text) = arguments.given("SOURCE") {
        rule.sources = networks(text).ok_or_else(unread)?;
    }
    if let Some(text) = arguments.given("DEST") {
        rule.dest_ip_address = IpAddr::V4(text.parse().unwrap_or(Ipv4Addr::UNSPECIFIED));
    }
    if let Some(text) = arguments.given("GROUP") {
        rule.group = text.to_owned();
    }
    if let Some(text) = arguments.given("NAME") {
        rule.host_name = text.to_owned();
    }
    if let Some(text) = arguments.given("CHECK") {
        rule.check = if text.is_empty() {
            DnatCheck::None
        } else {
            DnatCheck::Tcp
        };
    }
    if arguments.given("INTERVAL").is_some() {
        rule.check_interval = arguments.number("INTERVAL");
    }
    if arguments.given("TIMEOUT").is_some() {
        rule.check_timeout = arguments.number("TIMEOUT");
    }
    Ok(rule)
}

/// A refusal's number says little: asks the server which part of the rule, or which other rule, is in the way.
pub(crate) fn explained(shell: &mut Shell, rule: &Dnat, failure: Failure) -> Failure {
    let Failure::Refused(code) = failure else {
        return failure;
    };
    match shell.call::<TestDnat>(rule) {
        Ok(verdict) if !verdict.refusal.is_empty() => Failure::Failed {
            code,
            text: format!("{code} The server says: {}.", verdict.refusal),
        },
        _ => failure,
    }
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DeleteDnat>(&Named {
        name: arguments.text("name").to_owned(),
    })?;
    Ok(())
}

fn enable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    switch(shell, arguments, true)
}

fn disable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    switch(shell, arguments, false)
}

fn switch(shell: &mut Shell, arguments: &Arguments, enable: bool) -> Outcome {
    let name = arguments.text("name").to_owned();
    let Err(failure) = shell.call::<EnableDnat>(&DnatSwitch { name, enable }) else {
        return Ok(());
    };
    let rule = Dnat {
        disabled: !enable,
        ..known(shell, arguments)?
    };
    Err(explained(shell, &rule, failure))
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let list = shell.call::<EnumDnat>(&Nothing {})?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "Name",
        "Protocol",
        "Port",
        "Destination",
        "Source",
        "Address",
        "Group",
        "Host Name",
        "Flows",
        "Packets",
        "Bytes",
        "Health",
        "Status",
    ]);
    for row in list.rules {
        let status = status(&row);
        let rule = row.rule;
        let any = |text: String| if text.is_empty() { "Any".to_owned() } else { text };
        let dest = Some(rule.dest_ip_address).filter(|address| !address.is_unspecified());
        table.row([
            rule.name.clone(),
            protocol_text(rule.protocol),
            if rule.port_start == rule.port_end {
                rule.port_start.to_string()
            } else {
                format!("{}-{}", rule.port_start, rule.port_end)
            },
            destination_text(&rule),
            any(rule.sources.replace(',', ", ")),
            any(dest.map_or(String::new(), |address| address.to_string())),
            any(rule.group),
            rule.host_name,
            text::thousands(row.flows),
            text::thousands(row.packets),
            text::thousands(row.bytes),
            row.health,
            status,
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn status(row: &DnatRow) -> String {
    match row.problem.as_str() {
        _ if row.rule.disabled => "Disabled".to_owned(),
        "" if row.active => "Operating".to_owned(),
        "" => "Stopped".to_owned(),
        problem => format!("Error: {problem}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_rule_are_read() {
        assert_eq!(ports("80"), Some(80..=80));
        assert_eq!(ports("8000-8010"), Some(8000..=8010));
        let host = Ipv4Addr::new(10, 0, 1, 26);
        assert_eq!(destination("10.0.1.26:80"), Some((host, 80)));
        assert_eq!(destination("10.0.1.26"), Some((host, 0)));
        assert_eq!(
            networks("203.0.113.0/24, 203.0.112.0/255.255.255.0 198.51.100.9").as_deref(),
            Some("198.51.100.9/32,203.0.112.0/24,203.0.113.0/24")
        );
        assert_eq!(networks("").as_deref(), Some(""));
        assert_eq!(networks("10.0.0.0/8,0.0.0.0/0").as_deref(), Some(""));
        assert_eq!(networks("10.1.0.0/16,10.0.0.0/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(protocol("UDP+tcp"), Some(DnatProtocol::TcpAndUdp));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "0", "65536", "90-80", "80-", "http"] {
            assert!(is_ports(text).is_err(), "{text}");
        }
        for text in [
            "",
            "10.0.1.26:",
            "10.0.1.26:0",
            "web:80",
            "0.0.0.0:80",
            "[::1]:80",
        ] {
            assert!(is_destination(text).is_err(), "{text}");
        }
        for text in [
            "203.0.113.5/24",
            "203.0.113.0/33",
            "203.0.113.0/255.0.255.0",
            "x",
            "10.0.0.0/8,x",
        ] {
            assert!(is_networks(text).is_err(), "{text}");
        }
        assert!(is_protocol("icmp").is_err() && is_check("ping").is_err());
        for text in ["staff", "office/", "/staff", "a/b/c"] {
            assert!(is_group(text).is_err(), "{text}");
        }
    }
}
