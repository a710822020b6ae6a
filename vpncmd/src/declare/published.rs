//! The keys of a published host.

use std::net::IpAddr;

use protocol::rpc::dnat::{Dnat, DnatCheck, DnatProtocol};

use crate::{
    command::dnat::{destination, destination_text, networks, protocol_text},
    declare::{
        fields::{set_address, shown},
        value::{Access, Field, Object, plain},
    },
};

impl Object for Dnat {
    const FIELDS: &'static [Field<Dnat>] = &[
        Field {
            key: "protocol",
            about: "tcp, udp or tcp+udp.",
            access: Access::Text(
                |rule| protocol_text(rule.protocol),
                |rule, name| {
                    rule.protocol = match name {
                        "tcp" => DnatProtocol::Tcp,
                        "udp" => DnatProtocol::Udp,
                        "tcp+udp" => DnatProtocol::TcpAndUdp,
                        _ => return Err("\"tcp\", \"udp\" or \"tcp+udp\"".to_owned()),
                    };
                    Ok(())
                },
            ),
        },
        Field {
            key: "port",
            about: "The port of the server's machine, or several.",
            access: Access::Ports(
                |rule| (rule.port_start, rule.port_end),
                |rule, (first, last)| (rule.port_start, rule.port_end) = (first, last),
            ),
        },
        Field {
            key: "to",
            about: "The host behind and its port; of several ports, the first. Without one they keep their numbers.",
            access: Access::Text(destination_text, |rule, text| {
                let (host, port) = destination(text)
                    .ok_or_else(|| "an IPv4 address and a port, such as \"10.0.1.26:80\"".to_owned())?;
                (rule.to_ip_address, rule.to_port) = (IpAddr::V4(host), u32::from(port));
                Ok(())
            }),
        },
        Field {
            key: "source",
            about: "Who may come, with commas between networks; empty for everybody.",
            access: Access::Text(
                |rule| rule.sources.clone(),
                |rule, text| {
                    rule.sources = networks(text).ok_or("IPv4 networks, such as \"203.0.113.0/24\"")?;
                    Ok(())
                },
            ),
        },
        Field {
            key: "address",
            about: "At which address of the server's machine or of a hub; empty for every one.",
            access: Access::Text(
                |rule| shown(rule.dest_ip_address),
                |rule, text| set_address(&mut rule.dest_ip_address, text),
            ),
        },
        plain!("group", "The group whose members alone may come, as HUB/GROUP; empty for everybody.", Text group),
        Field {
            key: "name",
            about: "The name by which clients of hubs find it; empty for none.",
            access: Access::Text(
                |rule| rule.host_name.clone(),
                |rule, text| {
                    rule.host_name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
                    Ok(())
                },
            ),
        },
        Field {
            key: "check",
            about: "tcp to look whether the host behind takes connections; empty to leave it alone.",
            access: Access::Text(
                |rule| match rule.check {
                    DnatCheck::None => String::new(),
                    DnatCheck::Tcp => "tcp".to_owned(),
                    DnatCheck::Other(number) => number.to_string(),
                },
                |rule, name| {
                    rule.check = match name {
                        "" => DnatCheck::None,
                        "tcp" => DnatCheck::Tcp,
                        _ => return Err("\"tcp\" or \"\"".to_owned()),
                    };
                    Ok(())
                },
            ),
        },
        plain!("check-interval", "Seconds between two looks; 0 for the usual 30.", Number check_interval, (0, 3600)),
        plain!("check-timeout", "Seconds that the host behind may take to answer; 0 for the usual 3.", Number check_timeout, (0, 60)),
        Field {
            key: "enabled",
            about: "Whether it is in force.",
            access: Access::Flag(|rule| !rule.disabled, |rule, on| rule.disabled = !on),
        },
    ];
}
