//! Layer 3 switches with their interfaces and routes.

use rusqlite::{Connection, OptionalExtension, params};

use super::row::parsed;
use super::{Action, Edit, Layer3Switch, Noun, Result, StoreError, Write};
use crate::store::{HubName, Layer3Interface, Layer3Route};

pub(super) fn all(connection: &Connection) -> Result<Vec<Layer3Switch>> {
    let mut query = connection.prepare("SELECT name FROM layer3_switch ORDER BY name")?;
    let names = query
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    names.iter().map(|name| load(connection, name)).collect()
}

pub(super) fn load(connection: &Connection, name: &str) -> Result<Layer3Switch> {
    let (name, active): (String, bool) = connection
        .query_row(
            "SELECT name, active FROM layer3_switch WHERE name = ?1",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?
        .ok_or_else(|| StoreError::SwitchNotFound(name.into()))?;
    Ok(Layer3Switch {
        interfaces: interfaces(connection, &name)?,
        routes: routes(connection, &name)?,
        name: HubName::stored(name),
        active,
    })
}

fn interfaces(connection: &Connection, switch: &str) -> Result<Vec<Layer3Interface>> {
    let mut query = connection
        .prepare("SELECT hub, address, mask FROM layer3_interface WHERE switch = ?1 ORDER BY hub")?;
    let mut rows = query.query([switch])?;
    let mut interfaces = Vec::new();
    while let Some(row) = rows.next()? {
        interfaces.push(Layer3Interface {
            hub: row.get("hub")?,
            address: parsed(row, "address")?,
            mask: parsed(row, "mask")?,
        });
    }
    Ok(interfaces)
}

fn routes(connection: &Connection, switch: &str) -> Result<Vec<Layer3Route>> {
    let mut query =
        connection.prepare("SELECT network, mask, gateway, metric FROM layer3_route WHERE switch = ?1")?;
    let mut rows = query.query([switch])?;
    let mut routes = Vec::new();
    while let Some(row) = rows.next()? {
        routes.push(Layer3Route {
            network: parsed(row, "network")?,
            mask: parsed(row, "mask")?,
            gateway: parsed(row, "gateway")?,
            metric: row.get("metric")?,
        });
    }
    // As numbers, which their texts do not sort by.
    routes.sort_unstable_by_key(|route| (route.network, route.mask, route.gateway, route.metric));
    Ok(routes)
}

pub(super) fn add(write: &Write<'_>, switch: &Layer3Switch) -> Result<()> {
    crate::store::layer3::check(switch)?;
    let added = write.execute(
        "INSERT INTO layer3_switch (name, active) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![switch.name.as_str(), switch.active],
    )?;
    if added == 0 {
        return Err(StoreError::SwitchExists(switch.name.to_string()));
    }
    fill(write, switch)?;
    write.note(Noun::Layer3Switch, Action::Added, "", switch.name.as_str())
}

pub(super) fn update(write: &Write<'_>, name: &str, edit: Edit<'_, Layer3Switch>) -> Result<Layer3Switch> {
    let before = load(write, name)?;
    let mut switch = before.clone();
    edit(&mut switch)?;
    switch.name = before.name;
    crate::store::layer3::check(&switch)?;
    write.execute(
        "UPDATE layer3_switch SET active = ?2 WHERE name = ?1",
        params![switch.name.as_str(), switch.active],
    )?;
    for table in ["layer3_interface", "layer3_route"] {
        write.execute(
            &format!("DELETE FROM {table} WHERE switch = ?1"),
            [switch.name.as_str()],
        )?;
    }
    fill(write, &switch)?;
    write.note(Noun::Layer3Switch, Action::Changed, "", switch.name.as_str())?;
    Ok(switch)
}

fn fill(write: &Write<'_>, switch: &Layer3Switch) -> Result<()> {
    for interface in &switch.interfaces {
        write.execute(
            "INSERT INTO layer3_interface (switch, hub, address, mask) VALUES (?1, ?2, ?3, ?4)",
            params![
                switch.name.as_str(),
                interface.hub,
                interface.address.to_string(),
                interface.mask.to_string()
            ],
        )?;
    }
    for route in &switch.routes {
        write.execute(
            "INSERT INTO layer3_route (switch, network, mask, gateway, metric) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                switch.name.as_str(),
                route.network.to_string(),
                route.mask.to_string(),
                route.gateway.to_string(),
                route.metric
            ],
        )?;
    }
    Ok(())
}

pub(super) fn delete(write: &Write<'_>, name: &str) -> Result<()> {
    if write.execute("DELETE FROM layer3_switch WHERE name = ?1", [name])? == 0 {
        return Err(StoreError::SwitchNotFound(name.into()));
    }
    write.note(Noun::Layer3Switch, Action::Deleted, "", name)
}
