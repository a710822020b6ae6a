//! The access list of a hub.

use std::net::{IpAddr, Ipv4Addr};

use hub_core::MacAddr;
use hub_core::access::{Addresses, MAX_DELAY_MS, Masked, PortRange, Rule, TcpState};
use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::access::{AccessKey, AccessList, AccessRule as Wire, NewAccessRule};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{AccessRule, AdminOption};

/// What stands in the IPv4 fields of a rule about IPv6 (policies §4): nobody reads them.
const FILLER: Ipv4Addr = Ipv4Addr::new(223, 255, 255, 253);

pub(super) async fn add(
    server: &Server,
    caller: &Administrator,
    request: NewAccessRule,
) -> Reply<NewAccessRule> {
    let rule = rule(&request.rule)?;
    check_right(caller, &[], std::slice::from_ref(&rule))?;
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| store.add_access_rule(&name, &rule))
        .await?;
    Ok(request)
}

pub(super) async fn delete(server: &Server, _: &Administrator, request: AccessKey) -> Reply<AccessKey> {
    let (name, id) = (request.hub_name.clone(), request.id);
    server
        .db
        .run(move |store| store.delete_access_rule(&name, id))
        .await?;
    Ok(request)
}

pub(super) async fn list(server: &Server, _: &Administrator, request: HubRequest) -> Reply<AccessList> {
    let name = request.hub_name.clone();
    let rules = server.db.run(move |store| store.access_rules(&name)).await?;
    Ok(AccessList {
        hub_name: request.hub_name,
        rules: rules.iter().map(wire).collect(),
    })
}

pub(super) async fn set(server: &Server, caller: &Administrator, request: AccessList) -> Reply<AccessList> {
    let rules = request.rules.iter().map(rule).collect::<Reply<Vec<_>>>()?;
    let name = request.hub_name.clone();
    let former = server.db.run(move |store| store.access_rules(&name)).await?;
    check_right(caller, &former, &rules)?;
    let key = |wire: &Wire| match AccessRule::is_key(wire.unique_id) {
        true => wire.unique_id,
        false => 0,
    };
    let keyed = |(wire, rule)| AccessRule {
        key: key(wire),
        ..AccessRule::new(rule)
    };
    let rules: Vec<_> = request.rules.iter().zip(rules).map(keyed).collect();
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| store.set_access_rules(&name, &rules))
        .await?;
    Ok(request)
}

/// A hub's administrator may write back what is there, and add what the options do not forbid. (The stock server takes
/// the rule without the forbidden part, which would leave a rule that says something else.)
fn check_right(caller: &Administrator, former: &[AccessRule], rules: &[Rule]) -> Reply<()> {
    let is_new = |rule: &Rule| !former.iter().any(|former| former.rule == *rule);
    let delays = |rule: &Rule| rule.delay_ms != 0 || rule.jitter_percent != 0 || rule.loss_percent != 0;
    let reads = |rule: &Rule| reads_file(&rule.source_user) || reads_file(&rule.destination_user);
    if rules.iter().any(|rule| delays(rule) && is_new(rule)) {
        caller.refuse_if(AdminOption::NoDelayJitterPacketLoss)?;
    }
    if rules.iter().any(|rule| reads(rule) && is_new(rule)) {
        caller.refuse_if(AdminOption::NoAccessListIncludeFile)?;
    }
    Ok(())
}

fn reads_file(user: &str) -> bool {
    let user = user.to_ascii_lowercase();
    ["include:", "exclude:"]
        .iter()
        .any(|prefix| user.trim_start().starts_with(prefix))
}

fn rule(wire: &Wire) -> Reply<Rule> {
    let addresses = if wire.is_ipv6 {
        let masked = |address: [u8; 16], mask: [u8; 16]| Masked {
            address: address.into(),
            mask: mask.into(),
        };
        Addresses::V6 {
            source: masked(wire.src_ip_address6, wire.src_subnet_mask6),
            destination: masked(wire.dest_ip_address6, wire.dest_subnet_mask6),
        }
    } else {
        let masked = |address, mask| -> Reply<_> {
            Ok(Masked {
                address: v4(address)?,
                mask: v4(mask)?,
            })
        };
        Addresses::V4 {
            source: masked(wire.src_ip_address, wire.src_subnet_mask)?,
            destination: masked(wire.dest_ip_address, wire.dest_subnet_mask)?,
        }
    };
    let mac = |checked: bool, address: [u8; 6], mask: [u8; 6]| {
        checked.then(|| Masked {
            address: MacAddr::new(address),
            mask: MacAddr::new(mask),
        })
    };
    let state = match wire.established {
        true => TcpState::Established,
        false => TcpState::Unestablished,
    };
    Ok(Rule {
        note: wire.note.clone(),
        active: wire.active,
        priority: wire.priority,
        discard: wire.discard,
        addresses,
        protocol: wire.protocol,
        source_ports: ports(wire.src_port_start, wire.src_port_end),
        destination_ports: ports(wire.dest_port_start, wire.dest_port_end),
        source_user: wire.src_username.trim().to_owned(),
        destination_user: wire.dest_username.trim().to_owned(),
        source_mac: mac(wire.check_src_mac, wire.src_mac_address, wire.src_mac_mask),
        destination_mac: mac(wire.check_dest_mac, wire.dest_mac_address, wire.dest_mac_mask),
        tcp_state: wire.check_tcp_state.then_some(state),
        // Brought into range rather than refused, as the stock server does.
        delay_ms: wire.delay.min(MAX_DELAY_MS),
        jitter_percent: wire.jitter.min(100),
        loss_percent: wire.loss.min(100),
        redirect_url: wire.redirect_url.clone(),
    })
}

/// A first port without a last one, or with one before it, is that port alone.
fn ports(start: u32, end: u32) -> PortRange {
    let end = if start == 0 { end } else { end.max(start) };
    PortRange { start, end }
}

fn v4(address: IpAddr) -> Reply<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(ErrorCode::InvalidParameter),
    }
}

fn wire(kept: &AccessRule) -> Wire {
    let rule = &kept.rule;
    let mut wire = Wire {
        id: kept.position,
        note: rule.note.clone(),
        active: rule.active,
        priority: rule.priority,
        discard: rule.discard,
        protocol: rule.protocol,
        src_port_start: rule.source_ports.start,
        src_port_end: rule.source_ports.end,
        dest_port_start: rule.destination_ports.start,
        dest_port_end: rule.destination_ports.end,
        src_username: rule.source_user.clone(),
        dest_username: rule.destination_user.clone(),
        check_src_mac: rule.source_mac.is_some(),
        check_dest_mac: rule.destination_mac.is_some(),
        check_tcp_state: rule.tcp_state.is_some(),
        established: rule.tcp_state == Some(TcpState::Established),
        delay: rule.delay_ms,
        jitter: rule.jitter_percent,
        loss: rule.loss_percent,
        unique_id: kept.key,
        redirect_url: rule.redirect_url.clone(),
        ..Wire::default()
    };
    if let Some(mac) = rule.source_mac {
        (wire.src_mac_address, wire.src_mac_mask) = (mac.address.octets(), mac.mask.octets());
    }
    if let Some(mac) = rule.destination_mac {
        (wire.dest_mac_address, wire.dest_mac_mask) = (mac.address.octets(), mac.mask.octets());
    }
    match rule.addresses {
        Addresses::V4 { source, destination } => {
            (wire.src_ip_address, wire.src_subnet_mask) = (source.address.into(), source.mask.into());
            (wire.dest_ip_address, wire.dest_subnet_mask) =
                (destination.address.into(), destination.mask.into());
        }
        Addresses::V6 { source, destination } => {
            wire.is_ipv6 = true;
            (wire.src_ip_address6, wire.src_subnet_mask6) = (source.address.octets(), source.mask.octets());
            (wire.dest_ip_address6, wire.dest_subnet_mask6) =
                (destination.address.octets(), destination.mask.octets());
            (wire.src_ip_address, wire.src_subnet_mask) = (FILLER.into(), Ipv4Addr::BROADCAST.into());
            (wire.dest_ip_address, wire.dest_subnet_mask) = (FILLER.into(), Ipv4Addr::BROADCAST.into());
        }
    }
    wire
}
