//! Access lists of hubs.

use std::collections::HashSet;
use std::fmt::Display;
use std::str::FromStr;

use hub_core::MacAddr;
use hub_core::access::{Addresses, Masked, PortRange, Rule, TcpState};
use protocol::error::ErrorCode;
use rusqlite::{Connection, Row, params};

use super::row::{check_length, get, parsed};
use super::{Action, Noun, Result, StoreError, Write, hub, restriction};
use crate::store::{AccessRule, AdminOption, Id, MAX_ACCESS_RULES};

/// Bytes of a note, of a user's or group's name, of a URL. The stock server cuts them there; a rule cut short would say
/// something else, so it is refused.
const MAX_NOTE: usize = 1024;
const MAX_NAME: usize = 255;
const MAX_URL: usize = 255;

pub(super) fn all(connection: &Connection, hub: &str) -> Result<Vec<AccessRule>> {
    let (hub, _) = hub::find(connection, hub)?;
    of(connection, hub)
}

fn of(connection: &Connection, hub: Id) -> Result<Vec<AccessRule>> {
    let mut query = connection.prepare("SELECT * FROM access_rule WHERE hub = ?1 ORDER BY position")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut rules = Vec::new();
    while let Some(row) = rows.next()? {
        rules.push(AccessRule {
            position: get(row, "position")?,
            key: get(row, "key")?,
            rule: rule(row)?,
        });
    }
    Ok(rules)
}

fn rule(row: &Row<'_>) -> Result<Rule> {
    let addresses = if get(row, "ipv6")? {
        Addresses::V6 {
            source: masked(row, "source", "source_mask")?,
            destination: masked(row, "destination", "destination_mask")?,
        }
    } else {
        Addresses::V4 {
            source: masked(row, "source", "source_mask")?,
            destination: masked(row, "destination", "destination_mask")?,
        }
    };
    let ports = |start, end| -> Result<PortRange> {
        Ok(PortRange {
            start: get(row, start)?,
            end: get(row, end)?,
        })
    };
    let state = |established| match established {
        true => TcpState::Established,
        false => TcpState::Unestablished,
    };
    Ok(Rule {
        note: get(row, "note")?,
        active: get(row, "active")?,
        priority: get(row, "priority")?,
        discard: get(row, "discard")?,
        addresses,
        protocol: get(row, "protocol")?,
        source_ports: ports("source_port_start", "source_port_end")?,
        destination_ports: ports("destination_port_start", "destination_port_end")?,
        source_user: get(row, "source_user")?,
        destination_user: get(row, "destination_user")?,
        source_mac: mac(row, "source_mac", "source_mac_mask")?,
        destination_mac: mac(row, "destination_mac", "destination_mac_mask")?,
        tcp_state: get::<Option<bool>>(row, "established")?.map(state),
        delay_ms: get(row, "delay")?,
        jitter_percent: get(row, "jitter")?,
        loss_percent: get(row, "loss")?,
        redirect_url: get(row, "redirect_url")?,
    })
}

fn masked<A: FromStr>(row: &Row<'_>, address: &'static str, mask: &'static str) -> Result<Masked<A>> {
    Ok(Masked {
        address: parsed(row, address)?,
        mask: parsed(row, mask)?,
    })
}

fn mac(row: &Row<'_>, address: &str, mask: &str) -> Result<Option<Masked<MacAddr>>> {
    let address: Option<[u8; 6]> = get(row, address)?;
    let mask: Option<[u8; 6]> = get(row, mask)?;
    Ok(address.zip(mask).map(|(address, mask)| Masked {
        address: MacAddr::new(address),
        mask: MacAddr::new(mask),
    }))
}

pub(super) fn add(write: &Write<'_>, hub: &str, rule: &Rule) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let mut rules = of(write, hub_id)?;
    if rules.len() >= MAX_ACCESS_RULES {
        return Err(too_many(MAX_ACCESS_RULES));
    }
    restriction::room_for(write, hub_id, "access_rule", AdminOption::MaxAccessLists)?;
    check(rule)?;
    let mut taken = rules.iter().map(|rule| rule.key).collect();
    let added = AccessRule {
        position: 0,
        key: fresh_key(&mut taken),
        rule: rule.clone(),
    };
    insert(write, hub_id, std::slice::from_ref(&added))?;
    rules.push(added);
    rules.sort_by(|one, other| one.rule.order(&other.rule));
    let mut place = write.prepare("UPDATE access_rule SET position = ?3 WHERE hub = ?1 AND key = ?2")?;
    for (position, rule) in (1_u32..).zip(&rules) {
        if rule.position != position {
            place.execute(params![hub_id.as_bytes(), rule.key, position])?;
        }
    }
    write.note(Noun::AccessRules, Action::Changed, &hub_name, "")
}

pub(super) fn delete(write: &Write<'_>, hub: &str, name: u32) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let column = if AccessRule::is_key(name) {
        "key"
    } else {
        "position"
    };
    let deleted = write.execute(
        &format!("DELETE FROM access_rule WHERE hub = ?1 AND {column} = ?2"),
        params![hub_id.as_bytes(), name],
    )?;
    if deleted == 0 {
        return Err(StoreError::AccessRuleNotFound(name));
    }
    write.note(Noun::AccessRules, Action::Changed, &hub_name, "")
}

pub(super) fn replace(write: &Write<'_>, hub: &str, rules: &[AccessRule]) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let limit = hub_limit(write, hub_id)?;
    if rules.len() > limit {
        return Err(too_many(limit));
    }
    rules.iter().try_for_each(|rule| check(&rule.rule))?;
    let mut sorted = rules.to_vec();
    sorted.sort_by(|one, other| one.rule.order(&other.rule));
    let mut taken = HashSet::new();
    for (position, rule) in (1_u32..).zip(&mut sorted) {
        rule.position = position;
        if !AccessRule::is_key(rule.key) || !taken.insert(rule.key) {
            rule.key = fresh_key(&mut taken);
        }
    }
    write.execute("DELETE FROM access_rule WHERE hub = ?1", [hub_id.as_bytes()])?;
    insert(write, hub_id, &sorted)?;
    write.note(Noun::AccessRules, Action::Changed, &hub_name, "")
}

fn hub_limit(write: &Write<'_>, hub: Id) -> Result<usize> {
    let own = restriction::admin_options(write, hub)?.limit(AdminOption::MaxAccessLists);
    Ok(own.map_or(MAX_ACCESS_RULES, |own| MAX_ACCESS_RULES.min(own as usize)))
}

fn too_many(most: usize) -> StoreError {
    StoreError::TooMany {
        what: "access rules",
        most,
        code: ErrorCode::TooManyAccessLists,
    }
}

fn fresh_key(taken: &mut HashSet<u32>) -> u32 {
    loop {
        let key = rand::random();
        if AccessRule::is_key(key) && taken.insert(key) {
            return key;
        }
    }
}

fn check(rule: &Rule) -> Result<()> {
    check_length("note", &rule.note, MAX_NOTE)?;
    check_length("sender's name", &rule.source_user, MAX_NAME)?;
    check_length("receiver's name", &rule.destination_user, MAX_NAME)?;
    check_length("URL", &rule.redirect_url, MAX_URL)
}

fn insert(write: &Write<'_>, hub: Id, rules: &[AccessRule]) -> Result<()> {
    let mut insert = write.prepare(
        "INSERT INTO access_rule VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
    )?;
    for AccessRule { position, key, rule } in rules {
        let [source, source_mask, destination, destination_mask] = address_texts(&rule.addresses);
        let established = rule.tcp_state.map(|state| state == TcpState::Established);
        let (source_mac, destination_mac) = (rule.source_mac, rule.destination_mac);
        insert.execute(params![
            hub.as_bytes(),
            position,
            key,
            rule.note,
            rule.active,
            rule.priority,
            rule.discard,
            matches!(rule.addresses, Addresses::V6 { .. }),
            source,
            source_mask,
            destination,
            destination_mask,
            rule.protocol,
            rule.source_ports.start,
            rule.source_ports.end,
            rule.destination_ports.start,
            rule.destination_ports.end,
            rule.source_user,
            rule.destination_user,
            source_mac.map(|mac| mac.address.octets()),
            source_mac.map(|mac| mac.mask.octets()),
            destination_mac.map(|mac| mac.address.octets()),
            destination_mac.map(|mac| mac.mask.octets()),
            established,
            rule.delay_ms,
            rule.jitter_percent,
            rule.loss_percent,
            rule.redirect_url,
        ])?;
    }
    Ok(())
}

/// Address and mask of the sender, address and mask of the receiver.
fn address_texts(addresses: &Addresses) -> [String; 4] {
    fn texts<A: Display>(source: &Masked<A>, destination: &Masked<A>) -> [String; 4] {
        [
            &source.address,
            &source.mask,
            &destination.address,
            &destination.mask,
        ]
        .map(ToString::to_string)
    }
    match addresses {
        Addresses::V4 { source, destination } => texts(source, destination),
        Addresses::V6 { source, destination } => texts(source, destination),
    }
}
