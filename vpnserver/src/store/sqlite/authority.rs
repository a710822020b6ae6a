//! The authorities that hubs trust, and the certificates that they no longer take.

use protocol::error::ErrorCode;
use rusqlite::{Connection, Row, params};

use super::row::{check_length, get};
use super::{Action, Noun, Result, StoreError, Write, hub};
use crate::store::{Authority, Id, MAX_CERTIFICATES, Revocation, RevokedCertificate};

/// Bytes of a certificate (protocol §4.3), of a field of a subject, and of a serial number, at most.
const MAX_DER: usize = 100_000;
const MAX_FIELD: usize = 2048;
const MAX_SERIAL: usize = 1024;

pub(super) fn all(connection: &Connection, hub: &str) -> Result<Vec<Authority>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT der FROM authority WHERE hub = ?1 ORDER BY number")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut authorities = Vec::new();
    while let Some(row) = rows.next()? {
        authorities.push(Authority {
            der: get(row, "der")?,
        });
    }
    Ok(authorities)
}

pub(super) fn add(write: &Write<'_>, hub: &str, authority: &Authority) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    if authority.der.is_empty() || authority.der.len() > MAX_DER {
        return Err(StoreError::Invalid(format!(
            "a certificate has 1 to {MAX_DER} bytes"
        )));
    }
    refuse_beyond(write, "authority", hub_id, "trusted authorities")?;
    let added = write.execute(
        "INSERT OR IGNORE INTO authority (hub, key, der) VALUES (?1, ?2, ?3)",
        params![hub_id.as_bytes(), authority.key(), authority.der],
    )?;
    if added == 0 {
        return Ok(());
    }
    write.note(
        Noun::Authority,
        Action::Added,
        &hub_name,
        &authority.key().to_string(),
    )
}

pub(super) fn delete(write: &Write<'_>, hub: &str, key: u32) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let deleted = write.execute(
        "DELETE FROM authority WHERE hub = ?1 AND key = ?2",
        params![hub_id.as_bytes(), key],
    )?;
    if deleted == 0 {
        return Err(StoreError::AuthorityNotFound(key));
    }
    write.note(Noun::Authority, Action::Deleted, &hub_name, &key.to_string())
}

fn refuse_beyond(write: &Write<'_>, table: &str, hub: Id, what: &'static str) -> Result<()> {
    let count: u32 = write.query_row(
        &format!("SELECT count(*) FROM {table} WHERE hub = ?1"),
        [hub.as_bytes()],
        |row| row.get(0),
    )?;
    if (count as usize) < MAX_CERTIFICATES {
        return Ok(());
    }
    Err(StoreError::TooMany {
        what,
        most: MAX_CERTIFICATES,
        code: ErrorCode::TooManyItems,
    })
}

pub(super) fn revocations(connection: &Connection, hub: &str) -> Result<Vec<Revocation>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM revocation WHERE hub = ?1 ORDER BY number")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut revocations = Vec::new();
    while let Some(row) = rows.next()? {
        revocations.push(from_row(row)?);
    }
    Ok(revocations)
}

fn from_row(row: &Row<'_>) -> Result<Revocation> {
    Ok(Revocation {
        key: get(row, "key")?,
        what: RevokedCertificate {
            serial: get(row, "serial")?,
            common_name: get(row, "common_name")?,
            organization: get(row, "organization")?,
            unit: get(row, "unit")?,
            country: get(row, "country")?,
            state: get(row, "state")?,
            locality: get(row, "locality")?,
            md5: get(row, "md5")?,
            sha1: get(row, "sha1")?,
        },
    })
}

pub(super) fn revoke(write: &Write<'_>, hub: &str, what: &RevokedCertificate) -> Result<Revocation> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    check(what)?;
    refuse_beyond(write, "revocation", hub_id, "revocations")?;
    let revocation = Revocation {
        key: free_key(write, hub_id)?,
        what: what.clone(),
    };
    write.execute(
        "INSERT INTO revocation (hub, key) VALUES (?1, ?2)",
        params![hub_id.as_bytes(), revocation.key],
    )?;
    save(write, hub_id, &revocation)?;
    write.note(
        Noun::Revocation,
        Action::Added,
        &hub_name,
        &revocation.key.to_string(),
    )?;
    Ok(revocation)
}

/// Keys are of no meaning, as the stock server's are, so that nobody counts on their order.
fn free_key(write: &Write<'_>, hub: Id) -> Result<u32> {
    loop {
        let key: u32 = rand::random();
        let taken: bool = write.query_row(
            "SELECT EXISTS (SELECT 1 FROM revocation WHERE hub = ?1 AND key = ?2)",
            params![hub.as_bytes(), key],
            |row| row.get(0),
        )?;
        if key != 0 && !taken {
            return Ok(key);
        }
    }
}

pub(super) fn set_revocation(write: &Write<'_>, hub: &str, revocation: &Revocation) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    check(&revocation.what)?;
    if save(write, hub_id, revocation)? == 0 {
        return Err(StoreError::RevocationNotFound(revocation.key));
    }
    let key = revocation.key.to_string();
    write.note(Noun::Revocation, Action::Changed, &hub_name, &key)
}

fn save(write: &Write<'_>, hub: Id, revocation: &Revocation) -> Result<usize> {
    let what = &revocation.what;
    Ok(write.execute(
        "UPDATE revocation SET serial = ?3, common_name = ?4, organization = ?5, unit = ?6, country = ?7, state = ?8,
             locality = ?9, md5 = ?10, sha1 = ?11
         WHERE hub = ?1 AND key = ?2",
        params![
            hub.as_bytes(),
            revocation.key,
            what.serial,
            what.common_name,
            what.organization,
            what.unit,
            what.country,
            what.state,
            what.locality,
            what.md5,
            what.sha1,
        ],
    )?)
}

fn check(what: &RevokedCertificate) -> Result<()> {
    let fields = [
        &what.common_name,
        &what.organization,
        &what.unit,
        &what.country,
        &what.state,
        &what.locality,
    ];
    for field in fields.into_iter().flatten() {
        check_length("field of a subject", field, MAX_FIELD)?;
    }
    if what
        .serial
        .as_ref()
        .is_some_and(|serial| serial.len() > MAX_SERIAL)
    {
        return Err(StoreError::Invalid(format!(
            "a serial number has at most {MAX_SERIAL} bytes"
        )));
    }
    Ok(())
}

pub(super) fn delete_revocation(write: &Write<'_>, hub: &str, key: u32) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let deleted = write.execute(
        "DELETE FROM revocation WHERE hub = ?1 AND key = ?2",
        params![hub_id.as_bytes(), key],
    )?;
    if deleted == 0 {
        return Err(StoreError::RevocationNotFound(key));
    }
    write.note(Noun::Revocation, Action::Deleted, &hub_name, &key.to_string())
}
