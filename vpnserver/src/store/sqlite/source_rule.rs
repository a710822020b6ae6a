//! Where clients of a hub may come from.

use std::net::IpAddr;

use protocol::error::ErrorCode;
use rusqlite::{Connection, params};

use super::row::{get, parsed};
use super::{Action, Noun, Result, StoreError, Write, hub};
use crate::store::{MAX_SOURCE_RULES, SourceRule};

pub(super) fn all(connection: &Connection, hub: &str) -> Result<Vec<SourceRule>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM source_rule WHERE hub = ?1 ORDER BY position")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut rules = Vec::new();
    while let Some(row) = rows.next()? {
        let mask: Option<String> = get(row, "mask")?;
        rules.push(SourceRule {
            priority: get(row, "priority")?,
            deny: get(row, "deny")?,
            address: parsed(row, "address")?,
            mask: mask
                .map(|mask| mask.parse().map_err(|_| StoreError::Damaged("mask")))
                .transpose()?,
        });
    }
    Ok(rules)
}

pub(super) fn replace(write: &Write<'_>, hub: &str, rules: &[SourceRule]) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    if rules.len() > MAX_SOURCE_RULES {
        return Err(StoreError::TooMany {
            what: "rules about source addresses",
            most: MAX_SOURCE_RULES,
            code: ErrorCode::TooManyItems,
        });
    }
    rules.iter().try_for_each(check)?;
    let mut sorted: Vec<_> = rules.iter().collect();
    sorted.sort_by(|one, other| one.order(other));
    write.execute("DELETE FROM source_rule WHERE hub = ?1", [hub_id.as_bytes()])?;
    let mut insert = write.prepare(
        "INSERT INTO source_rule (hub, position, priority, deny, address, mask) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for (position, rule) in (1_u32..).zip(sorted) {
        insert.execute(params![
            hub_id.as_bytes(),
            position,
            rule.priority,
            rule.deny,
            rule.address.to_string(),
            rule.mask.map(|mask| mask.to_string()),
        ])?;
    }
    write.note(Noun::SourceRules, Action::Changed, &hub_name, "")
}

fn check(rule: &SourceRule) -> Result<()> {
    let same_family = |mask: &IpAddr| mask.is_ipv4() == rule.address.is_ipv4();
    if rule.mask.as_ref().is_none_or(same_family) {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "the mask of a rule about {} must be of the same version of IP",
        rule.address
    )))
}
