//! Published hosts: ports of the server's machine that lead to hosts behind it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    ops::RangeInclusive,
};

use protocol::rpc::{
    Named, Nothing,
    dnat::{Dnat, DnatProtocol},
    method::{AddDnat, DeleteDnat, EnumDnat},
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

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "DnatAdd",
        title: "Publish a host behind the server",
        help: "Leads connections to a port of the server's machine on to a host behind it, such as a web server in a \
               private network. The rule is kept, and is in force again after a restart.\n\
               DnatAdd web /PROTO:tcp /DPORT:80 /TO:10.0.1.26:80 publishes a web server.",
        params: &[
            NAME,
            Param::named("PROTO", "tcp or udp.")
                .ask("Protocol (tcp / udp): ")
                .check(is_protocol),
            Param::named(
                "DPORT",
                "The port of the server's machine, or several, as in 8000-8010.",
            )
            .ask("Published port: ")
            .check(is_ports),
            Param::named(
                "TO",
                "The host behind and its port, as in 10.0.1.26:80. Of several ports, the first.",
            )
            .ask("Destination (address:port): ")
            .check(is_destination),
            Param::named(
                "SOURCE",
                "Who may come, as in 203.0.113.0/24; everybody when left out.",
            )
            .check(is_network),
            Param::named(
                "DEST",
                "At which address of the server's machine; at every one when left out.",
            )
            .check(check::ipv4_or_none),
        ],
        scope: Scope::Server,
        run: add,
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
        name: "DnatList",
        title: "List the published hosts",
        help: "Lists the rules that lead ports of the server's machine to hosts behind it, and whether they are in \
               force.",
        params: &[],
        scope: Scope::Server,
        run: list,
    },
];

fn protocol(text: &str) -> Option<DnatProtocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(DnatProtocol::Tcp),
        "udp" => Some(DnatProtocol::Udp),
        _ => None,
    }
}

/// `80` or `8000-8010`.
fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port != 0);
    let range = port(first)?..=port(last)?;
    (!range.is_empty()).then_some(range)
}

fn destination(text: &str) -> Option<SocketAddrV4> {
    text.parse()
        .ok()
        .filter(|to: &SocketAddrV4| to.port() != 0 && !to.ip().is_unspecified())
}

/// A network without bits behind its mask; empty for everybody.
fn source_network(text: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if text.is_empty() {
        return Some((Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    }
    let (address, mask) = network::parse_v4(text)?;
    let bits = mask.to_bits();
    let whole = bits.leading_ones() == bits.count_ones() && address.to_bits() & !bits == 0;
    whole.then_some((address, mask))
}

fn is_protocol(text: &str) -> Result<(), String> {
    protocol(text)
        .map(drop)
        .ok_or_else(|| "The protocol is tcp or udp.".to_owned())
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

fn is_network(text: &str) -> Result<(), String> {
    source_network(text).map(drop).ok_or_else(|| {
        "The source is a network such as 203.0.113.0/24, without bits behind its mask.".to_owned()
    })
}

fn add(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let rule = rule(arguments).ok_or_else(|| Failure::Invalid("The rule cannot be read.".to_owned()))?;
    shell.call::<AddDnat>(&rule)?;
    Ok(())
}

/// The rule of checked parameters.
fn rule(arguments: &Arguments) -> Option<Dnat> {
    let ports = ports(arguments.text("DPORT"))?;
    let to = destination(arguments.text("TO"))?;
    let (source, mask) = source_network(arguments.text("SOURCE"))?;
    let dest = arguments.text("DEST").parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    Some(Dnat {
        name: arguments.text("name").to_owned(),
        protocol: protocol(arguments.text("PROTO"))?,
        port_start: u32::from(*ports.start()),
        port_end: u32::from(*ports.end()),
        to_ip_address: IpAddr::V4(*to.ip()),
        to_port: u32::from(to.port()),
        src_ip_address: IpAddr::V4(source),
        src_subnet_mask: IpAddr::V4(mask),
        dest_ip_address: IpAddr::V4(dest),
    })
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    shell.call::<DeleteDnat>(&Named {
        name: arguments.text("name").to_owned(),
    })?;
    Ok(())
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
        "Flows",
        "Status",
    ]);
    for row in list.rules {
        let rule = row.rule;
        let status = match row.problem.as_str() {
            _ if row.active => "Operating".to_owned(),
            "" => "Stopped".to_owned(),
            problem => format!("Error: {problem}"),
        };
        let any = |address: IpAddr, text: String| {
            if address.is_unspecified() {
                "Any".to_owned()
            } else {
                text
            }
        };
        table.row([
            rule.name,
            protocol_text(rule.protocol),
            if rule.port_start == rule.port_end {
                rule.port_start.to_string()
            } else {
                format!("{}-{}", rule.port_start, rule.port_end)
            },
            format!("{}:{}", rule.to_ip_address, rule.to_port),
            any(
                rule.src_subnet_mask,
                network::show(rule.src_ip_address, rule.src_subnet_mask),
            ),
            any(rule.dest_ip_address, rule.dest_ip_address.to_string()),
            text::thousands(row.packets),
            status,
        ]);
    }
    shell.console.table(&table);
    Ok(())
}

fn protocol_text(protocol: DnatProtocol) -> String {
    match protocol {
        DnatProtocol::Tcp => "tcp".to_owned(),
        DnatProtocol::Udp => "udp".to_owned(),
        DnatProtocol::Other(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_rule_are_read() {
        assert_eq!(ports("80"), Some(80..=80));
        assert_eq!(ports("8000-8010"), Some(8000..=8010));
        assert_eq!(
            destination("10.0.1.26:80"),
            Some(SocketAddrV4::new(Ipv4Addr::new(10, 0, 1, 26), 80))
        );
        let net = (Ipv4Addr::new(203, 0, 113, 0), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(source_network("203.0.113.0/24"), Some(net));
        assert_eq!(source_network("203.0.113.0/255.255.255.0"), Some(net));
        assert_eq!(
            source_network("203.0.113.9"),
            Some((Ipv4Addr::new(203, 0, 113, 9), Ipv4Addr::BROADCAST))
        );
        assert_eq!(source_network("0.0.0.0/0"), source_network(""));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "0", "65536", "90-80", "80-", "http"] {
            assert!(is_ports(text).is_err(), "{text}");
        }
        for text in ["", "10.0.1.26", "10.0.1.26:0", "web:80", "0.0.0.0:80", "[::1]:80"] {
            assert!(is_destination(text).is_err(), "{text}");
        }
        for text in ["203.0.113.5/24", "203.0.113.0/33", "203.0.113.0/255.0.255.0", "x"] {
            assert!(is_network(text).is_err(), "{text}");
        }
        assert!(is_protocol("icmp").is_err());
    }
}
