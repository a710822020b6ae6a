//! Between SQLite's values and ours.

use std::fmt::Display;
use std::str::FromStr;

use protocol::policy::{Policy, Row as PolicyRow, TABLE};
use rusqlite::Row;
use rusqlite::types::FromSql;

use crate::store::{Id, Result, StoreError, Timestamp};

/// SQLite's integers are signed; counters past 2^63 stop there.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn id(row: &Row<'_>, column: &str) -> rusqlite::Result<Id> {
    row.get(column).map(Id::from_stored)
}

pub(super) fn time(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    let millis: Option<i64> = row.get(column)?;
    Ok(millis.and_then(|millis| Timestamp::from_millis(unsigned(millis))))
}

pub(super) fn millis(time: Timestamp) -> i64 {
    signed(time.as_millis())
}

/// A column that holds the text form of a type.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|_| StoreError::Damaged(column))
}

pub(super) fn get<T: FromSql>(row: &Row<'_>, column: &str) -> Result<T> {
    Ok(row.get(column)?)
}

/// A policy as a JSON object of what differs from the defaults: a later release may know more policies.
pub(super) fn policy_text(policy: &Policy) -> String {
    let values = TABLE.iter().filter(|row| row.get(policy) != row.default);
    let object: serde_json::Map<_, _> = values
        .map(|row| (row.name.into(), row.get(policy).into()))
        .collect();
    serde_json::Value::Object(object).to_string()
}

pub(super) fn policy(row: &Row<'_>) -> Result<Option<Policy>> {
    let Some(text) = row.get::<_, Option<String>>("policy")? else {
        return Ok(None);
    };
    let damaged = || StoreError::Damaged("policy");
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).map_err(|_| damaged())?;
    let mut policy = Policy::default();
    for (name, value) in object {
        let value = value
            .as_u64()
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(damaged)?;
        PolicyRow::find(&name)
            .ok_or_else(damaged)?
            .set(&mut policy, value);
    }
    Ok(Some(policy))
}

/// Refuses a text that is too long to be meant.
pub(super) fn check_length(what: &str, text: &str, most: usize) -> Result<()> {
    if text.len() <= most {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "the {what} has {} bytes, at most {most} are kept",
        text.len()
    )))
}

/// Turns another crate's refusal into ours.
pub(super) fn invalid(error: impl Display) -> StoreError {
    StoreError::Invalid(error.to_string())
}
