//! Cascades of hubs.

use rusqlite::{Connection, Row, named_params};

use super::row::{self, get};
use super::{Action, Cascade, Edit, Noun, Result, StoreError, Write, hub};
use crate::secret::Sealed;
use crate::store::{CascadeProof, CascadeProxy, Id, ProxyKind};

/// The longest name of a cascade, and the longest text in one, bytes.
const MAX_NAME: usize = 255;
const MAX_TEXT: usize = 4096;

pub(super) fn all(connection: &Connection, hub: &str) -> Result<Vec<Cascade>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM cascade WHERE hub = ?1 ORDER BY number")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut cascades = Vec::new();
    while let Some(row) = rows.next()? {
        cascades.push(from_row(row)?);
    }
    Ok(cascades)
}

pub(super) fn load(connection: &Connection, hub: &str, name: &str) -> Result<Cascade> {
    let (id, hub) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM cascade WHERE hub = ?1 AND folded = ?2")?;
    let mut rows = query.query(rusqlite::params![id.as_bytes(), folded(name)])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(StoreError::CascadeNotFound {
            hub,
            name: name.into(),
        }),
    }
}

/// The form in which names compare.
fn folded(name: &str) -> String {
    name.to_lowercase()
}

fn from_row(row: &Row<'_>) -> Result<Cascade> {
    let policy = row::policy(row)?.ok_or(StoreError::Damaged("policy"))?;
    Ok(Cascade {
        id: row::id(row, "id")?,
        name: get(row, "name")?,
        online: get(row, "online")?,
        host: get(row, "host")?,
        port: get(row, "port")?,
        udp_port: get(row, "udp_port")?,
        hub: get(row, "remote_hub")?,
        username: get(row, "username")?,
        proof: proof(row)?,
        proxy: CascadeProxy {
            kind: ProxyKind::from_code(get(row, "proxy")?).ok_or(StoreError::Damaged("proxy"))?,
            host: get(row, "proxy_host")?,
            port: get(row, "proxy_port")?,
            username: get(row, "proxy_username")?,
            password: get::<Option<_>>(row, "proxy_password")?.map(Sealed::from_bytes),
            http_headers: get(row, "proxy_headers")?,
        },
        max_connections: get(row, "max_connections")?,
        additional_interval: get(row, "additional_interval")?,
        connection_life: get(row, "connection_life")?,
        encrypt: get(row, "encrypt")?,
        compress: get(row, "compress")?,
        half_duplex: get(row, "half_duplex")?,
        no_qos: get(row, "no_qos")?,
        no_udp_acceleration: get(row, "no_udp_acceleration")?,
        check_certificate: get(row, "check_certificate")?,
        server_certificate: get(row, "server_certificate")?,
        policy,
    })
}

fn proof(row: &Row<'_>) -> Result<CascadeProof> {
    let secret = || {
        get::<Option<_>>(row, "secret")?
            .map(Sealed::from_bytes)
            .ok_or(StoreError::Damaged("secret"))
    };
    Ok(match get::<u32>(row, "auth")? {
        0 => CascadeProof::Anonymous,
        1 => CascadeProof::Password(secret()?),
        2 => CascadeProof::PlainPassword(secret()?),
        3 => CascadeProof::Certificate {
            der: get(row, "certificate")?,
            key: secret()?,
        },
        _ => return Err(StoreError::Damaged("auth")),
    })
}

pub(super) fn add(write: &Write<'_>, hub: &str, cascade: &Cascade) -> Result<()> {
    let (id, hub) = hub::find(write, hub)?;
    check(cascade)?;
    refuse_twin(write, id, cascade)?;
    save(write, id, cascade)?;
    write.note(Noun::Cascade, Action::Added, &hub, &cascade.name)
}

pub(super) fn update(write: &Write<'_>, hub: &str, name: &str, edit: Edit<'_, Cascade>) -> Result<Cascade> {
    let (id, hub) = hub::find(write, hub)?;
    let before = load(write, &hub, name)?;
    let mut cascade = before.clone();
    edit(&mut cascade)?;
    cascade.id = before.id;
    check(&cascade)?;
    refuse_twin(write, id, &cascade)?;
    save(write, id, &cascade)?;
    write.note(Noun::Cascade, Action::Changed, &hub, &cascade.name)?;
    Ok(cascade)
}

fn check(cascade: &Cascade) -> Result<()> {
    if cascade.name.trim().is_empty() || cascade.name.len() > MAX_NAME {
        return Err(StoreError::Invalid(format!(
            "a cascade has a name of 1 to {MAX_NAME} bytes"
        )));
    }
    let proxy = &cascade.proxy;
    for text in [
        &cascade.host,
        &cascade.hub,
        &cascade.username,
        &proxy.host,
        &proxy.username,
        &proxy.http_headers,
    ] {
        row::check_length("text of a cascade", text, MAX_TEXT)?;
    }
    Ok(())
}

/// Another cascade of the hub with this name, in whatever case, stands in the way.
fn refuse_twin(write: &Write<'_>, hub: Id, cascade: &Cascade) -> Result<()> {
    let exists: bool = write.query_row(
        "SELECT EXISTS (SELECT 1 FROM cascade WHERE hub = ?1 AND folded = ?2 AND id <> ?3)",
        rusqlite::params![hub.as_bytes(), folded(&cascade.name), cascade.id.as_bytes()],
        |row| row.get(0),
    )?;
    if exists {
        return Err(StoreError::CascadeExists(cascade.name.clone()));
    }
    Ok(())
}

fn save(write: &Write<'_>, hub: Id, cascade: &Cascade) -> Result<()> {
    let (secret, certificate) = match &cascade.proof {
        CascadeProof::Anonymous => (None, None),
        CascadeProof::Password(secret) | CascadeProof::PlainPassword(secret) => (Some(secret), None),
        CascadeProof::Certificate { der, key } => (Some(key), Some(der)),
    };
    let proxy = &cascade.proxy;
    write.execute(
        "INSERT INTO cascade (id, hub, folded, name, online, host, port, udp_port, remote_hub, username, auth, secret,
             certificate, proxy, proxy_host, proxy_port, proxy_username, proxy_password, proxy_headers, max_connections,
             additional_interval, connection_life, encrypt, compress, half_duplex, no_qos, no_udp_acceleration,
             check_certificate, server_certificate, policy)
         VALUES (:id, :hub, :folded, :name, :online, :host, :port, :udp_port, :remote_hub, :username, :auth, :secret,
             :certificate, :proxy, :proxy_host, :proxy_port, :proxy_username, :proxy_password, :proxy_headers,
             :max_connections, :additional_interval, :connection_life, :encrypt, :compress, :half_duplex, :no_qos,
             :no_udp_acceleration, :check_certificate, :server_certificate, :policy)
         ON CONFLICT (id) DO UPDATE SET folded = :folded, name = :name, online = :online, host = :host, port = :port,
             udp_port = :udp_port, remote_hub = :remote_hub, username = :username, auth = :auth, secret = :secret,
             certificate = :certificate, proxy = :proxy, proxy_host = :proxy_host, proxy_port = :proxy_port,
             proxy_username = :proxy_username, proxy_password = :proxy_password, proxy_headers = :proxy_headers,
             max_connections = :max_connections, additional_interval = :additional_interval,
             connection_life = :connection_life, encrypt = :encrypt, compress = :compress, half_duplex = :half_duplex,
             no_qos = :no_qos, no_udp_acceleration = :no_udp_acceleration, check_certificate = :check_certificate,
             server_certificate = :server_certificate, policy = :policy",
        named_params! {
            ":id": cascade.id.as_bytes(),
            ":hub": hub.as_bytes(),
            ":folded": folded(&cascade.name),
            ":name": cascade.name,
            ":online": cascade.online,
            ":host": cascade.host,
            ":port": cascade.port,
            ":udp_port": cascade.udp_port,
            ":remote_hub": cascade.hub,
            ":username": cascade.username,
            ":auth": cascade.proof.code(),
            ":secret": secret.map(Sealed::as_bytes),
            ":certificate": certificate,
            ":proxy": proxy.kind.code(),
            ":proxy_host": proxy.host,
            ":proxy_port": proxy.port,
            ":proxy_username": proxy.username,
            ":proxy_password": proxy.password.as_ref().map(Sealed::as_bytes),
            ":proxy_headers": proxy.http_headers,
            ":max_connections": cascade.max_connections,
            ":additional_interval": cascade.additional_interval,
            ":connection_life": cascade.connection_life,
            ":encrypt": cascade.encrypt,
            ":compress": cascade.compress,
            ":half_duplex": cascade.half_duplex,
            ":no_qos": cascade.no_qos,
            ":no_udp_acceleration": cascade.no_udp_acceleration,
            ":check_certificate": cascade.check_certificate,
            ":server_certificate": cascade.server_certificate,
            ":policy": row::policy_text(&cascade.policy),
        },
    )?;
    Ok(())
}

pub(super) fn delete(write: &Write<'_>, hub: &str, name: &str) -> Result<()> {
    let (id, hub) = hub::find(write, hub)?;
    let deleted = write.execute(
        "DELETE FROM cascade WHERE hub = ?1 AND folded = ?2",
        rusqlite::params![id.as_bytes(), folded(name)],
    )?;
    if deleted == 0 {
        return Err(StoreError::CascadeNotFound {
            hub,
            name: name.into(),
        });
    }
    write.note(Noun::Cascade, Action::Deleted, &hub, name)
}
