//! What belongs to the whole server: its settings, listeners, local bridges.

use rusqlite::{Connection, params};

use super::row::{self, get};
use super::{Action, Edit, Listener, LocalBridge, Noun, Result, Server, StoreError, Write};
use crate::secret::Sealed;
use crate::store::{
    HostAddress, HubName, KeepAlive, KeepProtocol, ServerCertificate, Syslog, server_settings,
};

/// Linux' limit for the name of an interface, and ours for what follows `tap_`.
const MAX_DEVICE: usize = 15;
const MAX_TAP: usize = MAX_DEVICE - "tap_".len();
/// The longest name a server may have (RFC 1035 host names).
const MAX_SERVER_NAME: usize = 253;

pub(super) fn load(connection: &Connection) -> Result<Server> {
    let chain = connection
        .prepare("SELECT der FROM server_certificate ORDER BY place")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut query = connection.prepare("SELECT * FROM server")?;
    let mut rows = query.query([])?;
    let row = rows.next()?.ok_or(StoreError::Damaged("server"))?;
    let sealed = |column| Ok::<_, StoreError>(get::<Option<_>>(row, column)?.map(Sealed::from_bytes));
    Ok(Server {
        id: row::id(row, "id")?,
        name: get(row, "name")?,
        admin_password: sealed("admin_password")?,
        certificate: sealed("tls_key")?.map(|key| ServerCertificate { chain, key }),
        cipher: get(row, "tls_cipher")?,
        keep_alive: KeepAlive {
            enabled: get(row, "keep_enabled")?,
            host: get(row, "keep_host")?,
            port: get(row, "keep_port")?,
            protocol: KeepProtocol::from_code(get(row, "keep_protocol")?)
                .ok_or(StoreError::Damaged("keep_protocol"))?,
            interval: get(row, "keep_interval")?,
        },
        syslog: Syslog {
            level: get(row, "syslog_level")?,
            host: get(row, "syslog_host")?,
            port: get(row, "syslog_port")?,
        },
    })
}

pub(super) fn update(write: &Write<'_>, edit: Edit<'_, Server>) -> Result<Server> {
    let before = load(write)?;
    let mut server = before.clone();
    edit(&mut server)?;
    server.id = before.id;
    row::check_length("server name", &server.name, MAX_SERVER_NAME)?;
    server_settings::check(&server)?;
    let (keep, syslog) = (&server.keep_alive, &server.syslog);
    write.execute(
        "UPDATE server SET name = ?1, admin_password = ?2, tls_key = ?3, tls_cipher = ?4, keep_enabled = ?5,
             keep_host = ?6, keep_port = ?7, keep_protocol = ?8, keep_interval = ?9, syslog_level = ?10,
             syslog_host = ?11, syslog_port = ?12",
        params![
            server.name,
            server.admin_password.as_ref().map(Sealed::as_bytes),
            server.certificate.as_ref().map(|shown| shown.key.as_bytes()),
            server.cipher,
            keep.enabled,
            keep.host,
            keep.port,
            keep.protocol.code(),
            keep.interval,
            syslog.level,
            syslog.host,
            syslog.port,
        ],
    )?;
    if server.certificate != before.certificate {
        save_chain(write, server.certificate.as_ref())?;
    }
    write.note(Noun::Server, Action::Changed, "", "")?;
    Ok(server)
}

fn save_chain(write: &Write<'_>, certificate: Option<&ServerCertificate>) -> Result<()> {
    write.execute("DELETE FROM server_certificate", [])?;
    for (place, der) in (0_u32..).zip(certificate.iter().flat_map(|shown| &shown.chain)) {
        write.execute(
            "INSERT INTO server_certificate (place, der) VALUES (?1, ?2)",
            params![place, der],
        )?;
    }
    Ok(())
}

pub(super) fn listeners(connection: &Connection) -> Result<Vec<Listener>> {
    let mut query = connection.prepare("SELECT port, enabled FROM listener ORDER BY port")?;
    let rows = query.query_map([], |row| {
        Ok(Listener {
            port: row.get(0)?,
            enabled: row.get(1)?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn add_listener(write: &Write<'_>, listener: Listener) -> Result<()> {
    if listener.port == 0 {
        return Err(StoreError::Invalid(
            "a listener has a port from 1 to 65535".into(),
        ));
    }
    let added = write.execute(
        "INSERT INTO listener (port, enabled) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![listener.port, listener.enabled],
    )?;
    if added == 0 {
        return Err(StoreError::ListenerExists(listener.port));
    }
    write.note(Noun::Listener, Action::Added, "", &listener.port.to_string())
}

pub(super) fn set_listener(write: &Write<'_>, port: u16, enabled: bool) -> Result<()> {
    let changed = write.execute(
        "UPDATE listener SET enabled = ?2 WHERE port = ?1",
        params![port, enabled],
    )?;
    if changed == 0 {
        return Err(StoreError::ListenerNotFound(port));
    }
    write.note(Noun::Listener, Action::Changed, "", &port.to_string())
}

pub(super) fn delete_listener(write: &Write<'_>, port: u16) -> Result<()> {
    if write.execute("DELETE FROM listener WHERE port = ?1", [port])? == 0 {
        return Err(StoreError::ListenerNotFound(port));
    }
    write.note(Noun::Listener, Action::Deleted, "", &port.to_string())
}

pub(super) fn local_bridges(connection: &Connection) -> Result<Vec<LocalBridge>> {
    let mut query =
        connection.prepare("SELECT hub, device, tap, address FROM local_bridge ORDER BY number")?;
    let rows = query.query_map([], |row| {
        Ok(LocalBridge {
            hub: HubName::stored(row.get("hub")?),
            device: row.get("device")?,
            tap: row.get("tap")?,
            // What cannot be read is no address, as after a hand in the file; the bridge works without.
            address: row
                .get::<_, Option<String>>("address")?
                .and_then(|text| text.parse().ok()),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn add_local_bridge(write: &Write<'_>, bridge: &LocalBridge) -> Result<()> {
    check_device(bridge)?;
    let exists: bool = write.query_row(
        "SELECT EXISTS (SELECT 1 FROM local_bridge WHERE device = ?1 AND (tap IS NULL) = ?2)",
        params![bridge.device, bridge.tap.is_none()],
        |row| row.get(0),
    )?;
    if exists {
        return Err(StoreError::BridgeExists(bridge.device.clone()));
    }
    if bridge.address.is_some() && bridge.tap.is_none() {
        return Err(only_taps(&bridge.device));
    }
    write.execute(
        "INSERT INTO local_bridge (hub, device, tap, address) VALUES (?1, ?2, ?3, ?4)",
        params![
            bridge.hub.as_str(),
            bridge.device,
            bridge.tap,
            bridge.address.map(|address| address.to_string())
        ],
    )?;
    write.note(
        Noun::LocalBridge,
        Action::Added,
        bridge.hub.as_str(),
        &bridge.device,
    )
}

fn check_device(bridge: &LocalBridge) -> Result<()> {
    let most = if bridge.tap.is_some() { MAX_TAP } else { MAX_DEVICE };
    let allowed = |c: char| c.is_ascii_graphic() && !"/:%\"'\\".contains(c);
    let name = &bridge.device;
    if (1..=most).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    Err(StoreError::Invalid(format!(
        "{name:?} cannot name a device: use 1 to {most} letters, digits, `-`, `_` or `.`"
    )))
}

fn only_taps(device: &str) -> StoreError {
    StoreError::Invalid(format!(
        "{device} is no TAP device made for a bridge: give an interface its address with the system's own tools"
    ))
}

pub(super) fn set_bridge_address(
    write: &Write<'_>,
    hub: &str,
    device: &str,
    address: Option<HostAddress>,
) -> Result<()> {
    let all = local_bridges(write)?;
    let bridge = all
        .iter()
        .find(|bridge| bridge.hub.as_str().eq_ignore_ascii_case(hub) && bridge.device == device)
        .ok_or_else(|| StoreError::BridgeNotFound {
            hub: hub.into(),
            device: device.into(),
        })?;
    if bridge.tap.is_none() {
        return Err(only_taps(device));
    }
    write.execute(
        "UPDATE local_bridge SET address = ?3 WHERE hub = ?1 AND device = ?2",
        params![hub, device, address.map(|address| address.to_string())],
    )?;
    write.note(Noun::LocalBridge, Action::Changed, bridge.hub.as_str(), device)
}

pub(super) fn delete_local_bridge(write: &Write<'_>, hub: &str, device: &str) -> Result<()> {
    if write.execute(
        "DELETE FROM local_bridge WHERE hub = ?1 AND device = ?2",
        [hub, device],
    )? == 0
    {
        return Err(StoreError::BridgeNotFound {
            hub: hub.into(),
            device: device.into(),
        });
    }
    write.note(Noun::LocalBridge, Action::Deleted, hub, device)
}
