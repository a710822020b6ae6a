//! Leases and reservations of a hub's DHCP server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hub_core::MacAddr;
use nat::{Holder, Reservation, Reservations};
use rusqlite::{Connection, Row, params};

use super::hub::find;
use super::row::{self, get, parsed};
use super::{KeptLease, LeaseChange, Result, StoreError, Write};
use crate::store::Id;

pub(super) fn leases(connection: &Connection, hub: &str) -> Result<Vec<KeptLease>> {
    let (hub, _) = find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM lease WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut leases = Vec::new();
    while let Some(row) = rows.next()? {
        leases.push(KeptLease {
            client: get(row, "client")?,
            mac: MacAddr::new(get(row, "mac")?),
            ip: parsed(row, "ip")?,
            user: get(row, "user")?,
            host_name: get(row, "host_name")?,
            since: time(row, "since")?,
            until: time(row, "until")?,
        });
    }
    leases.sort_by_key(|lease| lease.ip);
    Ok(leases)
}

pub(super) fn put_leases(write: &Write<'_>, hub: &str, changes: &[LeaseChange]) -> Result<()> {
    let (hub, _) = find(write, hub)?;
    let mut put = write.prepare(
        "INSERT OR REPLACE INTO lease (hub, ip, client, mac, user, host_name, since, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut strike = write.prepare("DELETE FROM lease WHERE hub = ?1 AND ip = ?2")?;
    for (ip, kept) in changes {
        match kept {
            Some(lease) => put.execute(params![
                hub.as_bytes(),
                ip.to_string(),
                lease.client,
                lease.mac.octets(),
                lease.user,
                lease.host_name,
                millis(lease.since),
                millis(lease.until),
            ])?,
            None => strike.execute(params![hub.as_bytes(), ip.to_string()])?,
        };
    }
    Ok(())
}

pub(super) fn reservations(connection: &Connection, hub: Id) -> Result<Reservations> {
    let mut query = connection.prepare("SELECT ip, mac, user FROM dhcp_reservation WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut reservations = Reservations::default();
    while let Some(row) = rows.next()? {
        let mac: Option<[u8; 6]> = get(row, "mac")?;
        let user: Option<String> = get(row, "user")?;
        let holder = match (mac, user) {
            (Some(mac), _) => Holder::Mac(MacAddr::new(mac)),
            (None, Some(user)) => Holder::User(user),
            (None, None) => return Err(StoreError::Damaged("dhcp_reservation")),
        };
        let ip = parsed(row, "ip")?;
        reservations
            .add(Reservation { ip, holder })
            .map_err(|_| StoreError::Damaged("dhcp_reservation"))?;
    }
    Ok(reservations)
}

/// Replaces them, unless they are the same.
pub(super) fn save_reservations(write: &Write<'_>, hub: Id, wanted: &Reservations) -> Result<()> {
    if reservations(write, hub)? == *wanted {
        return Ok(());
    }
    write.execute("DELETE FROM dhcp_reservation WHERE hub = ?1", [hub.as_bytes()])?;
    let mut add =
        write.prepare("INSERT INTO dhcp_reservation (hub, ip, mac, user) VALUES (?1, ?2, ?3, ?4)")?;
    for Reservation { ip, holder } in wanted.iter() {
        let (mac, user) = match holder {
            Holder::Mac(mac) => (Some(mac.octets()), None),
            Holder::User(name) => (None, Some(name)),
        };
        add.execute(params![hub.as_bytes(), ip.to_string(), mac, user])?;
    }
    Ok(())
}

fn time(row: &Row<'_>, column: &str) -> Result<SystemTime> {
    let millis: i64 = get(row, column)?;
    // Beyond what the clock can say nothing was written by us.
    let since = Duration::from_millis(row::unsigned(millis));
    UNIX_EPOCH.checked_add(since).ok_or(StoreError::Damaged("lease"))
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
