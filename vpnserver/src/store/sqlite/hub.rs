//! Hubs with their options and SecureNAT settings.

use hub_core::MacAddr;
use nat::SecureNatConfig;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{self, get, parsed};
use super::{Action, Edit, Hub, Noun, Result, StoreError, Write, ipv6, lease, restriction};
use crate::secret::Sealed;
use crate::store::{HubKind, HubName, HubOption, HubOptions, Id, LogSettings, SecureNat};

/// The longest message of a hub, bytes (as the stock tools allow).
const MAX_MESSAGE: usize = 20_000;
/// The largest numbers of a log's rotation and level (policies §6).
const MAX_SWITCH: u32 = 5;
const MAX_LEVEL: u32 = 2;

const COLUMNS: &str = "SELECT * FROM hub JOIN secure_nat ON secure_nat.hub = hub.id";

pub(super) fn all(connection: &Connection) -> Result<Vec<Hub>> {
    let mut query = connection.prepare(&format!("{COLUMNS} ORDER BY name"))?;
    let mut rows = query.query([])?;
    let mut hubs = Vec::new();
    while let Some(row) = rows.next()? {
        hubs.push(from_row(connection, row)?);
    }
    Ok(hubs)
}

pub(super) fn load(connection: &Connection, name: &str) -> Result<Hub> {
    let mut query = connection.prepare(&format!("{COLUMNS} WHERE name = ?1"))?;
    let mut rows = query.query([name])?;
    match rows.next()? {
        Some(row) => from_row(connection, row),
        None => Err(StoreError::HubNotFound(name.into())),
    }
}

/// Identity and name as stored of the hub that `name` means.
pub(super) fn find(connection: &Connection, name: &str) -> Result<(Id, String)> {
    connection
        .query_row("SELECT id, name FROM hub WHERE name = ?1", [name], |row| {
            Ok((row::id(row, "id")?, row.get("name")?))
        })
        .optional()?
        .ok_or_else(|| StoreError::HubNotFound(name.into()))
}

/// Whether standard hashes may be kept for users of this hub.
pub(super) fn allows_standard_password(connection: &Connection, hub: Id) -> Result<bool> {
    Ok(options(connection, hub)?.is_on(HubOption::AllowStandardPassword))
}

fn from_row(connection: &Connection, row: &Row<'_>) -> Result<Hub> {
    let id = row::id(row, "id")?;
    let classes: [u8; 8] = get(row, "log_classes")?;
    Ok(Hub {
        id,
        name: HubName::stored(get(row, "name")?),
        kind: HubKind::from_code(get(row, "kind")?).ok_or(StoreError::Damaged("kind"))?,
        online: get(row, "online")?,
        password: get::<Option<_>>(row, "password")?.map(Sealed::from_bytes),
        max_sessions: get(row, "max_sessions")?,
        no_enum: get(row, "no_enum")?,
        message: get(row, "message")?,
        secure_nat: SecureNat {
            enabled: get(row, "enabled")?,
            config: secure_nat(connection, id, row)?,
        },
        logs: LogSettings {
            security: get(row, "log_security")?,
            security_switch: get(row, "log_security_switch")?,
            packet: get(row, "log_packet")?,
            packet_switch: get(row, "log_packet_switch")?,
            classes: classes.map(u32::from),
        },
        options: options(connection, id)?,
        admin_options: restriction::admin_options(connection, id)?,
        radius: restriction::radius(connection, id)?,
        created: row::time(row, "created")?.ok_or(StoreError::Damaged("created"))?,
    })
}

fn secure_nat(connection: &Connection, hub: Id, row: &Row<'_>) -> Result<SecureNatConfig> {
    Ok(SecureNatConfig {
        mac_address: MacAddr::new(get(row, "mac")?),
        ip: parsed(row, "ip")?,
        mask: parsed(row, "mask")?,
        use_nat: get(row, "nat")?,
        mtu: get(row, "mtu")?,
        nat_tcp_timeout: get(row, "tcp_timeout")?,
        nat_udp_timeout: get(row, "udp_timeout")?,
        use_dhcp: get(row, "dhcp")?,
        dhcp_lease_ip_start: parsed(row, "lease_start")?,
        dhcp_lease_ip_end: parsed(row, "lease_end")?,
        dhcp_subnet_mask: parsed(row, "lease_mask")?,
        dhcp_expire_time_span: get(row, "lease_time")?,
        dhcp_gateway_address: parsed(row, "gateway")?,
        dhcp_dns_server_address: parsed(row, "dns")?,
        dhcp_dns_server_address2: parsed(row, "dns2")?,
        dhcp_domain_name: get(row, "domain")?,
        save_log: get(row, "save_log")?,
        dhcp_push_routes: parsed(row, "routes")?,
        dhcp_reservations: lease::reservations(connection, hub)?,
        ipv6: ipv6::load(connection, hub)?,
    })
}

fn options(connection: &Connection, hub: Id) -> Result<HubOptions> {
    let mut query = connection.prepare("SELECT name, value FROM hub_option WHERE hub = ?1")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut options = HubOptions::default();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        options.set(
            HubOption::by_name(&name).ok_or(StoreError::Damaged("hub_option"))?,
            row.get(1)?,
        );
    }
    Ok(options)
}

pub(super) fn add(write: &Write<'_>, hub: &Hub) -> Result<()> {
    check(hub)?;
    let exists: bool = write.query_row(
        "SELECT EXISTS (SELECT 1 FROM hub WHERE name = ?1)",
        [hub.name.as_str()],
        |row| row.get(0),
    )?;
    if exists {
        return Err(StoreError::HubExists(hub.name.to_string()));
    }
    save(write, hub)?;
    write.note(Noun::Hub, Action::Added, hub.name.as_str(), hub.name.as_str())
}

pub(super) fn update(write: &Write<'_>, name: &str, edit: Edit<'_, Hub>) -> Result<Hub> {
    let before = load(write, name)?;
    let mut hub = before.clone();
    edit(&mut hub)?;
    (hub.id, hub.name, hub.created) = (before.id, before.name, before.created);
    check(&hub)?;
    save(write, &hub)?;
    if !hub.options.is_on(HubOption::AllowStandardPassword) {
        write.execute(
            "UPDATE user SET standard = NULL WHERE hub = ?1 AND standard IS NOT NULL",
            [hub.id.as_bytes()],
        )?;
    }
    write.note(Noun::Hub, Action::Changed, hub.name.as_str(), hub.name.as_str())?;
    Ok(hub)
}

fn check(hub: &Hub) -> Result<()> {
    restriction::check(hub)?;
    row::check_length("message", &hub.message, MAX_MESSAGE)?;
    hub.secure_nat.config.validate().map_err(row::invalid)?;
    let logs = &hub.logs;
    if logs.security_switch > MAX_SWITCH || logs.packet_switch > MAX_SWITCH {
        return Err(StoreError::Invalid(format!(
            "a log's rotation is a number from 0 to {MAX_SWITCH}"
        )));
    }
    if logs.classes.iter().any(|level| *level > MAX_LEVEL) {
        return Err(StoreError::Invalid(format!(
            "a packet class's log level is a number from 0 to {MAX_LEVEL}"
        )));
    }
    Ok(())
}

fn save(write: &Write<'_>, hub: &Hub) -> Result<()> {
    let logs = &hub.logs;
    let classes = logs.classes.map(|level| u8::try_from(level).unwrap_or(0)); // `check` saw to the range
    write.execute(
        "INSERT INTO hub VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
         ON CONFLICT (id) DO UPDATE SET kind = ?3, online = ?4, password = ?5, max_sessions = ?6, no_enum = ?7,
             message = ?8, log_security = ?10, log_security_switch = ?11, log_packet = ?12, log_packet_switch = ?13,
             log_classes = ?14",
        params![
            hub.id.as_bytes(),
            hub.name.as_str(),
            hub.kind.code(),
            hub.online,
            hub.password.as_ref().map(Sealed::as_bytes),
            hub.max_sessions,
            hub.no_enum,
            hub.message,
            row::millis(hub.created),
            logs.security,
            logs.security_switch,
            logs.packet,
            logs.packet_switch,
            classes,
        ],
    )?;
    save_secure_nat(write, hub)?;
    ipv6::save(write, hub)?;
    restriction::save(write, hub)?;
    write.execute("DELETE FROM hub_option WHERE hub = ?1", [hub.id.as_bytes()])?;
    for (option, value) in hub.options.changed() {
        write.execute(
            "INSERT INTO hub_option (hub, name, value) VALUES (?1, ?2, ?3)",
            params![hub.id.as_bytes(), option.row().name, value],
        )?;
    }
    Ok(())
}

fn save_secure_nat(write: &Write<'_>, hub: &Hub) -> Result<()> {
    let config = &hub.secure_nat.config;
    write.execute(
        "INSERT OR REPLACE INTO secure_nat
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        params![
            hub.id.as_bytes(),
            hub.secure_nat.enabled,
            config.mac_address.octets(),
            config.ip.to_string(),
            config.mask.to_string(),
            config.use_nat,
            config.mtu,
            config.nat_tcp_timeout,
            config.nat_udp_timeout,
            config.use_dhcp,
            config.dhcp_lease_ip_start.to_string(),
            config.dhcp_lease_ip_end.to_string(),
            config.dhcp_subnet_mask.to_string(),
            config.dhcp_expire_time_span,
            config.dhcp_gateway_address.to_string(),
            config.dhcp_dns_server_address.to_string(),
            config.dhcp_dns_server_address2.to_string(),
            config.dhcp_domain_name,
            config.save_log,
            config.dhcp_push_routes.to_string(),
        ],
    )?;
    lease::save_reservations(write, hub.id, &config.dhcp_reservations)
}

pub(super) fn delete(write: &Write<'_>, name: &str) -> Result<()> {
    let (id, name) = find(write, name)?;
    write.execute("DELETE FROM hub WHERE id = ?1", [id.as_bytes()])?;
    write.note(Noun::Hub, Action::Deleted, &name, &name)
}
