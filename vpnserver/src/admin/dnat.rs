//! Published hosts: DNAT rules.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nat::dnat::{self, Check, DnatRule, PortRange, Protocol, Protocols, RuleError, Target};
use protocol::error::ErrorCode;
use protocol::rpc::dnat::{Dnat, DnatCheck, DnatList, DnatProtocol, DnatRow, DnatSwitch, DnatVerdict};
use protocol::rpc::{Named, Nothing};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::StoreError;

pub(super) async fn create(server: &Server, _: &Administrator, request: Dnat) -> Reply<Dnat> {
    let rule = acceptable(server, &request)?;
    server.db.run(move |store| store.add_dnat_rule(&rule)).await?;
    Ok(request)
}

pub(super) async fn set(server: &Server, _: &Administrator, request: Dnat) -> Reply<Dnat> {
    let rule = acceptable(server, &request)?;
    let name = request.name.clone();
    server
        .db
        .run(move |store| {
            store.update_dnat_rule(&name, &|known| {
                *known = rule.clone();
                Ok(())
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn enable(server: &Server, _: &Administrator, request: DnatSwitch) -> Reply<DnatSwitch> {
    let (name, enabled) = (request.name.clone(), request.enable);
    let ports = own_ports(server);
    server
        .db
        .run(move |store| {
            store.update_dnat_rule(&name, &|rule| {
                rule.enabled = enabled;
                match own_port(rule, &ports) {
                    Some(port) => Err(StoreError::Invalid(hides(port))),
                    None => Ok(()),
                }
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: Named) -> Reply<Named> {
    let name = request.name.clone();
    server.db.run(move |store| store.delete_dnat_rule(&name)).await?;
    Ok(request)
}

/// The codes of refusals say little; this says which rule is in the way.
pub(super) async fn test(server: &Server, _: &Administrator, request: Dnat) -> Reply<DnatVerdict> {
    let refusal = match rule(&request) {
        Err(error) => error.to_string(),
        Ok(rule) => match own_port(&rule, &own_ports(server)) {
            Some(port) => hides(port),
            None => refusal_among(server, rule).await?,
        },
    };
    Ok(DnatVerdict { refusal })
}

async fn refusal_among(server: &Server, rule: DnatRule) -> Reply<String> {
    let mut rules = server.db.run(|store| store.dnat_rules()).await?;
    rules.retain(|known| !known.name.eq_ignore_ascii_case(&rule.name));
    rules.push(rule);
    Ok(dnat::check(&rules)
        .err()
        .map_or(String::new(), |error| error.to_string()))
}

pub(super) async fn list(server: &Server, _: &Administrator, _: Nothing) -> Reply<DnatList> {
    let rules = server.db.run(|store| store.dnat_rules()).await?;
    let counters = server.publisher().counters().await.unwrap_or_default();
    let health = server.publisher().health();
    let in_force = server.publisher().rules();
    let problem = server.publishing_problem();
    let row = |rule: DnatRule| {
        let counter = counters.get(&rule.name).copied().unwrap_or_default();
        let active = rule.enabled && in_force.contains(&rule);
        let stopped = rule.enabled && !active;
        DnatRow {
            active,
            flows: counter.connections,
            packets: counter.packets,
            bytes: counter.bytes,
            problem: problem.clone().filter(|_| stopped).unwrap_or_default(),
            health: health.get(&rule.name).map_or(String::new(), ToString::to_string),
            rule: message(&rule),
        }
    };
    Ok(DnatList {
        rules: rules.into_iter().map(row).collect(),
    })
}

/// The rule of a request, if it makes sense by itself.
fn acceptable(server: &Server, request: &Dnat) -> Reply<DnatRule> {
    let rule = rule(request).map_err(|_| ErrorCode::InvalidParameter)?;
    match own_port(&rule, &own_ports(server)) {
        Some(_) => Err(ErrorCode::InvalidParameter),
        None => Ok(rule),
    }
}

/// Where this server listens and the kernel's rules would be before it.
fn own_ports(server: &Server) -> Vec<u16> {
    match server.settings.nat_mode {
        nat::Mode::Kernel => server.listeners.reachable_ports(),
        nat::Mode::User => Vec::new(),
    }
}

/// The port of this server that a rule would take from everybody: nobody could log in any more, the administrator who
/// is to mend it among them.
fn own_port(rule: &DnatRule, own: &[u16]) -> Option<u16> {
    let takes_all = rule.enabled
        && rule.dest.is_none()
        && rule.group.is_none()
        && rule.sources.is_everybody()
        && rule.protocols.contains(Protocol::Tcp);
    own.iter()
        .copied()
        .find(|port| takes_all && rule.ports.contains(*port))
}

fn hides(port: u16) -> String {
    format!(
        "port {port} is where this server listens, and the rule would take it from everybody; publish another port, or close \
         the listener first (ListenerDelete {port}), or name sources or a destination address"
    )
}

fn rule(request: &Dnat) -> Result<DnatRule, RuleError> {
    let ports = || RuleError::Ports(format!("{}-{}", request.port_start, request.port_end));
    let port = |number: u32| u16::try_from(number).map_err(|_| ports());
    let v4 = |address: IpAddr| match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let rule = DnatRule {
        name: request.name.clone(),
        enabled: !request.disabled,
        protocols: match request.protocol {
            DnatProtocol::Tcp => Protocols::Tcp,
            DnatProtocol::Udp => Protocols::Udp,
            DnatProtocol::TcpAndUdp => Protocols::Both,
            DnatProtocol::Other(number) => return Err(RuleError::Protocol(number.to_string())),
        },
        ports: PortRange::new(port(request.port_start)?, port(request.port_end)?).ok_or_else(ports)?,
        to: Target {
            host: v4(request.to_ip_address)
                .ok_or_else(|| RuleError::Target(request.to_ip_address.to_string()))?,
            port: Some(
                u16::try_from(request.to_port).map_err(|_| RuleError::Ports(request.to_port.to_string()))?,
            )
            .filter(|port| *port != 0),
        },
        sources: request.sources.parse()?,
        dest: v4(request.dest_ip_address).filter(|address| !address.is_unspecified()),
        group: optional(&request.group).map(|name| name.parse()).transpose()?,
        host_name: optional(&request.host_name)
            .map(|name| name.parse())
            .transpose()?,
        check: check(request)?,
    };
    rule.validate()?;
    Ok(rule)
}

fn check(request: &Dnat) -> Result<Option<Check>, RuleError> {
    if request.check == DnatCheck::None {
        return Ok(None);
    }
    let seconds = |number: u32, usual: u16| match number {
        0 => usual,
        number => u16::try_from(number).unwrap_or(u16::MAX),
    };
    let interval = seconds(request.check_interval, Check::INTERVAL);
    let timeout = seconds(request.check_timeout, Check::TIMEOUT.min(interval));
    Check::new(interval, timeout).map(Some)
}

fn message(rule: &DnatRule) -> Dnat {
    let seconds = |time: fn(Check) -> Duration| {
        let seconds = rule.check.map_or(0, |check| time(check).as_secs());
        u32::try_from(seconds).unwrap_or(u32::MAX)
    };
    Dnat {
        name: rule.name.clone(),
        protocol: match rule.protocols {
            Protocols::Tcp => DnatProtocol::Tcp,
            Protocols::Udp => DnatProtocol::Udp,
            Protocols::Both => DnatProtocol::TcpAndUdp,
        },
        port_start: rule.ports.first().into(),
        port_end: rule.ports.last().into(),
        to_ip_address: rule.to.host.into(),
        to_port: rule.to.port.unwrap_or_default().into(),
        sources: rule.sources.to_string(),
        dest_ip_address: rule.dest.unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
        group: rule.group.as_ref().map_or(String::new(), ToString::to_string),
        host_name: rule.host_name.as_ref().map_or(String::new(), ToString::to_string),
        check: if rule.check.is_some() {
            DnatCheck::Tcp
        } else {
            DnatCheck::None
        },
        check_interval: seconds(Check::interval),
        check_timeout: seconds(Check::timeout),
        disabled: !rule.enabled,
    }
}
