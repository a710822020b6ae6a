//! IPv6 of a hub's SecureNAT.

use nat::Ipv6Config;
use rusqlite::{Connection, params};

use super::row::{get, parsed};
use super::{Hub, Result, Write};
use crate::store::Id;

pub(super) fn load(connection: &Connection, hub: Id) -> Result<Ipv6Config> {
    let mut query = connection.prepare("SELECT * FROM secure_nat_ipv6 WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(hub.default_ipv6());
    };
    Ok(Ipv6Config {
        enabled: get(row, "enabled")?,
        prefix: parsed(row, "prefix")?,
        name_servers: parsed(row, "name_servers")?,
        preferred: get(row, "preferred")?,
        valid: get(row, "valid")?,
    })
}

pub(super) fn save(write: &Write<'_>, hub: &Hub) -> Result<()> {
    let config = &hub.secure_nat.config.ipv6;
    write.execute(
        "INSERT OR REPLACE INTO secure_nat_ipv6 (hub, enabled, prefix, name_servers, preferred, valid)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            hub.id.as_bytes(),
            config.enabled,
            config.prefix.to_string(),
            config.name_servers.to_string(),
            config.preferred,
            config.valid,
        ],
    )?;
    Ok(())
}
