//! Published hosts: DNAT rules.

use std::net::{IpAddr, Ipv4Addr};

use nat::Ipv4Net;
use nat::dnat::{DnatRule, PortRange, Protocol, Target};
use protocol::error::ErrorCode;
use protocol::rpc::dnat::{Dnat, DnatList, DnatProtocol, DnatRow};
use protocol::rpc::{Named, Nothing};

use super::{Administrator, Reply};
use crate::server::Server;

pub(super) async fn create(server: &Server, _: &Administrator, request: Dnat) -> Reply<Dnat> {
    let rule = rule(&request)?;
    rule.validate().map_err(|_| ErrorCode::InvalidParameter)?;
    server.db.run(move |store| store.add_dnat_rule(&rule)).await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    let name = request.name.clone();
    server.db.run(move |store| store.delete_dnat_rule(&name)).await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<DnatList> {
    let rules = server.db.run(|store| store.dnat_rules()).await?;
    let counters = server.publisher().counters().await.unwrap_or_default();
    let in_force = server.publisher().rules();
    let problem = server.publishing_problem();
    let row = |rule: DnatRule| {
        let counter = counters.get(&rule.name);
        let active = in_force.contains(&rule);
        DnatRow {
            active,
            packets: counter.map_or(0, |counter| counter.connections),
            bytes: counter.map_or(0, |counter| counter.bytes),
            problem: if active {
                String::new()
            } else {
                problem.clone().unwrap_or_default()
            },
            rule: message(&rule),
            ..DnatRow::default()
        }
    };
    Ok(DnatList {
        rules: rules.into_iter().map(row).collect(),
    })
}

fn rule(request: &Dnat) -> Reply<DnatRule> {
    let wrong = ErrorCode::InvalidParameter;
    let port = |number: u32| u16::try_from(number).map_err(|_| wrong);
    let source = v4(request.src_ip_address).ok_or(wrong)?;
    let mask = v4(request.src_subnet_mask).ok_or(wrong)?;
    Ok(DnatRule {
        name: request.name.clone(),
        protocol: match request.protocol {
            DnatProtocol::Tcp => Protocol::Tcp,
            DnatProtocol::Udp => Protocol::Udp,
            DnatProtocol::Other(_) => return Err(wrong),
        },
        ports: PortRange::new(port(request.port_start)?, port(request.port_end)?).ok_or(wrong)?,
        to: Target {
            host: v4(request.to_ip_address).filter(is_host).ok_or(wrong)?,
            port: Some(port(request.to_port)?).filter(|port| *port != 0),
        },
        source: if mask.is_unspecified() {
            None
        } else {
            Some(Ipv4Net::with_mask(source, mask).ok_or(wrong)?)
        },
        dest: v4(request.dest_ip_address).filter(|address| !address.is_unspecified()),
    })
}

/// Whether there can be a host of this address.
fn is_host(address: &Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
}

fn message(rule: &DnatRule) -> Dnat {
    let protocol = match rule.protocol {
        Protocol::Tcp => DnatProtocol::Tcp,
        Protocol::Udp => DnatProtocol::Udp,
    };
    let source = rule.source.unwrap_or(Ipv4Net::ANY);
    Dnat {
        name: rule.name.clone(),
        protocol,
        port_start: rule.ports.first().into(),
        port_end: rule.ports.last().into(),
        to_ip_address: rule.to.host.into(),
        to_port: rule.to.port.unwrap_or_default().into(),
        src_ip_address: source.address().into(),
        src_subnet_mask: source.mask().into(),
        dest_ip_address: rule.dest.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    }
}
