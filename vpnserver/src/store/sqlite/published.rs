//! Published hosts.

use nat::dnat::{self, Check};
use rusqlite::{Connection, Row, params};

use super::row::{self, get};
use super::{Action, DnatRule, Edit, Noun, Result, StoreError, Write};

pub(super) fn rules(connection: &Connection) -> Result<Vec<DnatRule>> {
    let mut query = connection.prepare("SELECT * FROM dnat_rule ORDER BY name")?;
    let mut rows = query.query([])?;
    let mut rules = Vec::new();
    while let Some(row) = rows.next()? {
        rules.push(read(row)?);
    }
    Ok(rules)
}

fn read(row: &Row<'_>) -> Result<DnatRule> {
    let text = |column| get::<String>(row, column);
    let optional = |column| Ok::<_, StoreError>(Some(text(column)?).filter(|text| !text.is_empty()));
    let damaged = |_| StoreError::Damaged("dnat_rule");
    let rule = DnatRule::parse(
        &text("name")?,
        &text("protocol")?,
        &text("ports")?,
        &text("target")?,
        &text("source")?,
        &text("dest")?,
    )
    .map_err(damaged)?;
    let interval: Option<u16> = get(row, "check_interval")?;
    let timeout: Option<u16> = get(row, "check_timeout")?;
    Ok(DnatRule {
        enabled: get(row, "enabled")?,
        group: optional("member_group")?
            .map(|name| name.parse())
            .transpose()
            .map_err(damaged)?,
        host_name: optional("host_name")?
            .map(|name| name.parse())
            .transpose()
            .map_err(damaged)?,
        check: interval
            .zip(timeout)
            .map(|(interval, timeout)| Check::new(interval, timeout))
            .transpose()
            .map_err(damaged)?,
        ..rule
    })
}

pub(super) fn add(write: &Write<'_>, rule: &DnatRule) -> Result<()> {
    let mut rules = rules(write)?;
    if rules
        .iter()
        .any(|other| other.name.eq_ignore_ascii_case(&rule.name))
    {
        return Err(StoreError::RuleExists(rule.name.clone()));
    }
    rules.push(rule.clone());
    dnat::check(&rules).map_err(row::invalid)?;
    save(write, rule)?;
    write.note(Noun::DnatRule, Action::Added, "", &rule.name)
}

pub(super) fn update(write: &Write<'_>, name: &str, edit: Edit<'_, DnatRule>) -> Result<()> {
    let mut rules = rules(write)?;
    let rule = rules
        .iter_mut()
        .find(|rule| rule.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| StoreError::RuleNotFound(name.into()))?;
    let known_as = rule.name.clone();
    edit(rule)?;
    rule.name = known_as;
    let rule = rule.clone();
    dnat::check(&rules).map_err(row::invalid)?;
    save(write, &rule)?;
    write.note(Noun::DnatRule, Action::Changed, "", &rule.name)
}

fn save(write: &Write<'_>, rule: &DnatRule) -> Result<()> {
    let optional = |text: Option<String>| text.unwrap_or_default();
    let seconds = |time: std::time::Duration| u16::try_from(time.as_secs()).unwrap_or(u16::MAX);
    write.execute(
        "INSERT OR REPLACE INTO dnat_rule (name, protocol, ports, target, source, dest, enabled, member_group, host_name,
             check_interval, check_timeout) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        params![
            rule.name,
            rule.protocols.to_string(),
            rule.ports.to_string(),
            rule.to.to_string(),
            rule.sources.to_string(),
            optional(rule.dest.map(|ip| ip.to_string())),
            rule.enabled,
            optional(rule.group.as_ref().map(ToString::to_string)),
            optional(rule.host_name.as_ref().map(ToString::to_string)),
            rule.check.map(|check| seconds(check.interval())),
            rule.check.map(|check| seconds(check.timeout())),
        ],
    )?;
    Ok(())
}

pub(super) fn delete(write: &Write<'_>, name: &str) -> Result<()> {
    if write.execute("DELETE FROM dnat_rule WHERE name = ?1", [name])? == 0 {
        return Err(StoreError::RuleNotFound(name.into()));
    }
    write.note(Noun::DnatRule, Action::Deleted, "", name)
}
