//! What belongs to a hub's record beside its options: administration options and RADIUS servers.

use protocol::error::ErrorCode;
use rusqlite::{Connection, OptionalExtension, params};

use super::row::{check_length, get};
use super::{Hub, Result, StoreError, Write};
use crate::secret::Sealed;
use crate::store::{AdminOption, AdminOptions, Id, Radius};

/// Bytes of the list of RADIUS servers.
const MAX_SERVERS: usize = 255;

pub(super) fn admin_options(connection: &Connection, hub: Id) -> Result<AdminOptions> {
    let mut query = connection.prepare("SELECT name, value FROM hub_admin_option WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut options = AdminOptions::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        options.set(
            AdminOption::by_name(&name).ok_or(StoreError::Damaged("hub_admin_option"))?,
            row.get(1)?,
        );
    }
    Ok(options)
}

pub(super) fn radius(connection: &Connection, hub: Id) -> Result<Option<Radius>> {
    let mut query = connection.prepare("SELECT * FROM hub_radius WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(Radius {
        servers: get(row, "servers")?,
        port: get(row, "port")?,
        secret: get::<Option<_>>(row, "secret")?.map(Sealed::from_bytes),
        retry_interval: get(row, "retry_interval")?,
    }))
}

pub(super) fn check(hub: &Hub) -> Result<()> {
    let Some(radius) = &hub.radius else { return Ok(()) };
    check_length("list of RADIUS servers", &radius.servers, MAX_SERVERS)?;
    if radius.retry_interval > Radius::MAX_RETRY_INTERVAL {
        return Err(StoreError::Invalid(format!(
            "the interval between two questions to a RADIUS server is {} ms at most",
            Radius::MAX_RETRY_INTERVAL
        )));
    }
    Ok(())
}

pub(super) fn save(write: &Write<'_>, hub: &Hub) -> Result<()> {
    write.execute("DELETE FROM hub_admin_option WHERE hub = ?1", [hub.id.as_bytes()])?;
    for (option, value) in hub.admin_options.changed() {
        write.execute(
            "INSERT INTO hub_admin_option (hub, name, value) VALUES (?1, ?2, ?3)",
            params![hub.id.as_bytes(), option.name(), value],
        )?;
    }
    write.execute("DELETE FROM hub_radius WHERE hub = ?1", [hub.id.as_bytes()])?;
    if let Some(radius) = &hub.radius {
        write.execute(
            "INSERT INTO hub_radius (hub, servers, port, secret, retry_interval) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                hub.id.as_bytes(),
                radius.servers,
                radius.port,
                radius.secret.as_ref().map(Sealed::as_bytes),
                radius.retry_interval,
            ],
        )?;
    }
    Ok(())
}

/// Refuses one more row of `table` than the hub's administration option allows. It holds for every administrator, as on
/// the stock server: it is the hub's size, not a right.
pub(super) fn room_for(write: &Write<'_>, hub: Id, table: &'static str, option: AdminOption) -> Result<()> {
    let limit: Option<u32> = write
        .query_row(
            "SELECT value FROM hub_admin_option WHERE hub = ?1 AND name = ?2",
            params![hub.as_bytes(), option.name()],
            |row| row.get(0),
        )
        .optional()?;
    let Some(most) = limit.filter(|limit| *limit != 0) else {
        return Ok(());
    };
    let count: u32 = write.query_row(
        &format!("SELECT count(*) FROM {table} WHERE hub = ?1"),
        [hub.as_bytes()],
        |row| row.get(0),
    )?;
    if count < most {
        return Ok(());
    }
    let (what, code) = match option {
        AdminOption::MaxGroups => ("groups", ErrorCode::TooManyGroups),
        AdminOption::MaxAccessLists => ("access rules", ErrorCode::TooManyAccessLists),
        _ => ("users", ErrorCode::TooManyUsers),
    };
    Err(StoreError::TooMany {
        what,
        most: most as usize,
        code,
    })
}
