//! The store in one SQLite file.
//!
//! One connection behind a lock: SQLite has one writer anyway, a change costs one flush of the disk, and a read of a few
//! rows costs microseconds. WAL with `synchronous = FULL` makes a commit durable before it is acknowledged, and lets
//! another process read meanwhile. Each public call is one transaction, but for those inside of [`Store::together`].

mod access;
mod access_rule;
mod authority;
mod backup;
mod cascade;
mod hub;
mod ipv6;
mod layer3;
mod lease;
mod open;
mod published;
mod restriction;
mod row;
mod schema;
mod server;
mod source_rule;
#[cfg(test)]
mod tests;
mod user;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use hub_core::access::Rule;
use rusqlite::Connection;
use tokio::sync::watch;

use self::access::{Access, Write};
use super::{
    AccessRule, Action, Authority, Backup, Cascade, Change, Changes, DnatRule, Edit, Feed, Group,
    HostAddress, Hub, HubSummary, ImportedPassword, KeptLease, Layer3Switch, LeaseChange, Listener,
    LocalBridge, Noun, OpenError, Result, Revocation, RevokedCertificate, Server, SourceRule, Store,
    StoreError, Traffic, UsageReport, User,
};
use crate::secret::PasswordRecord;
pub use open::Opened;

/// The database's name in the data folder.
pub const DATABASE_FILE: &str = "hubward.db";
/// The key's name in the data folder.
pub const KEY_FILE: &str = "secret.key";

/// Changes kept for readers of the feed; one that is further behind starts over.
const FEED_LENGTH: u64 = 10_000;

/// The store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Connection>,
    revision: watch::Sender<u64>,
}

impl SqliteStore {
    /// Opens the data folder, making what is missing. Blocks.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing has been changed then.
    pub fn open(folder: &Path) -> std::result::Result<Opened, OpenError> {
        open::open(folder)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteStore")
    }
}

fn last_revision(connection: &Connection) -> rusqlite::Result<u64> {
    let last: i64 = connection.query_row(
        "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'change'",
        [],
        |row| row.get(0),
    )?;
    Ok(row::unsigned(last))
}

fn changes_since(connection: &Connection, revision: u64) -> Result<Feed> {
    let last = last_revision(connection)?;
    let oldest: Option<i64> =
        connection.query_row("SELECT min(revision) FROM change", [], |row| row.get(0))?;
    let kept_from = oldest.map_or(last + 1, row::unsigned);
    // A reader ahead of the store follows another copy of it (a backup was put back).
    if revision > last || revision + 1 < kept_from {
        return Ok(Feed::Gap);
    }
    let mut query = connection.prepare(
        "SELECT revision, noun, action, hub, name FROM change WHERE revision > ?1 ORDER BY revision",
    )?;
    let mut rows = query.query([row::signed(revision)])?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        let damaged = || StoreError::Damaged("change");
        changes.push(Change {
            revision: row::unsigned(row.get(0)?),
            noun: Noun::from_word(row.get_ref(1)?.as_str().map_err(|_| damaged())?).ok_or_else(damaged)?,
            action: Action::from_word(row.get_ref(2)?.as_str().map_err(|_| damaged())?)
                .ok_or_else(damaged)?,
            hub: row.get(3)?,
            name: row.get(4)?,
        });
    }
    Ok(Feed::Changes(changes))
}

/// The same calls for a transaction of each and for one of several.
impl<A: Access> Store for A {
    fn together(&self, changes: Changes<'_>) -> Result<()> {
        self.as_one(changes)
    }

    fn revision(&self) -> Result<u64> {
        self.read(|connection| Ok(last_revision(connection)?))
    }

    fn changes_since(&self, revision: u64) -> Result<Feed> {
        self.read(|connection| changes_since(connection, revision))
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.news()
    }

    fn backups(&self) -> Result<Vec<Backup>> {
        self.whole()?.list_backups()
    }

    fn back_up(&self) -> Result<bool> {
        self.whole()?.make_backup()
    }

    fn restore(&self, number: u64) -> Result<()> {
        self.whole()?.restore_backup(number)
    }

    fn server(&self) -> Result<Server> {
        self.read(server::load)
    }

    fn update_server(&self, edit: Edit<'_, Server>) -> Result<Server> {
        self.write(|write| server::update(write, edit))
    }

    fn listeners(&self) -> Result<Vec<Listener>> {
        self.read(server::listeners)
    }

    fn add_listener(&self, listener: Listener) -> Result<()> {
        self.write(|write| server::add_listener(write, listener))
    }

    fn set_listener(&self, port: u16, enabled: bool) -> Result<()> {
        self.write(|write| server::set_listener(write, port, enabled))
    }

    fn delete_listener(&self, port: u16) -> Result<()> {
        self.write(|write| server::delete_listener(write, port))
    }

    fn hubs(&self) -> Result<Vec<Hub>> {
        self.read(hub::all)
    }

    fn hub(&self, hub: &str) -> Result<Hub> {
        self.read(|connection| hub::load(connection, hub))
    }

    fn add_hub(&self, hub: &Hub) -> Result<()> {
        self.write(|write| hub::add(write, hub))
    }

    fn update_hub(&self, hub: &str, edit: Edit<'_, Hub>) -> Result<Hub> {
        self.write(|write| hub::update(write, hub, edit))
    }

    fn delete_hub(&self, hub: &str) -> Result<()> {
        self.write(|write| hub::delete(write, hub))
    }

    fn summary(&self, hub: &str) -> Result<HubSummary> {
        self.read(|connection| user::summary(connection, hub))
    }

    fn users(&self, hub: &str) -> Result<Vec<User>> {
        self.read(|connection| user::all(connection, hub))
    }

    fn user(&self, hub: &str, user: &str) -> Result<User> {
        self.read(|connection| user::load(connection, hub, user))
    }

    fn add_user(&self, hub: &str, user: &User) -> Result<()> {
        self.write(|write| user::add(write, hub, user))
    }

    fn update_user(&self, hub: &str, user: &str, edit: Edit<'_, User>) -> Result<User> {
        self.write(|write| user::update(write, hub, user, edit))
    }

    fn put_user(&self, hub: &str, user: &User) -> Result<()> {
        self.write(|write| user::put(write, hub, user))
    }

    fn imported_passwords(&self, most: u32) -> Result<Vec<ImportedPassword>> {
        self.read(|connection| user::imported(connection, most))
    }

    fn replace_imported(&self, records: &[(ImportedPassword, PasswordRecord)]) -> Result<()> {
        self.write(|write| user::replace_imported(write, records))
    }

    fn delete_user(&self, hub: &str, user: &str) -> Result<()> {
        self.write(|write| user::delete(write, hub, user))
    }

    fn add_usage(&self, reports: &[UsageReport]) -> Result<()> {
        self.write(|write| {
            user::add_usage(write, reports)?;
            user::add_group_usage(write, reports)
        })
    }

    fn groups(&self, hub: &str) -> Result<Vec<Group>> {
        self.read(|connection| user::groups(connection, hub))
    }

    fn group(&self, hub: &str, group: &str) -> Result<Group> {
        self.read(|connection| user::load_group(connection, hub, group))
    }

    fn group_traffic(&self, hub: &str, group: &str) -> Result<Traffic> {
        self.read(|connection| user::group_traffic(connection, hub, group))
    }

    fn add_group(&self, hub: &str, group: &Group) -> Result<()> {
        self.write(|write| user::add_group(write, hub, group))
    }

    fn update_group(&self, hub: &str, group: &str, edit: Edit<'_, Group>) -> Result<Group> {
        self.write(|write| user::update_group(write, hub, group, edit))
    }

    fn delete_group(&self, hub: &str, group: &str) -> Result<()> {
        self.write(|write| user::delete_group(write, hub, group))
    }

    fn cascades(&self, hub: &str) -> Result<Vec<Cascade>> {
        self.read(|connection| cascade::all(connection, hub))
    }

    fn cascade(&self, hub: &str, name: &str) -> Result<Cascade> {
        self.read(|connection| cascade::load(connection, hub, name))
    }

    fn add_cascade(&self, hub: &str, cascade: &Cascade) -> Result<()> {
        self.write(|write| cascade::add(write, hub, cascade))
    }

    fn update_cascade(&self, hub: &str, name: &str, edit: Edit<'_, Cascade>) -> Result<Cascade> {
        self.write(|write| cascade::update(write, hub, name, edit))
    }

    fn delete_cascade(&self, hub: &str, name: &str) -> Result<()> {
        self.write(|write| cascade::delete(write, hub, name))
    }

    fn layer3_switches(&self) -> Result<Vec<Layer3Switch>> {
        self.read(layer3::all)
    }

    fn layer3_switch(&self, name: &str) -> Result<Layer3Switch> {
        self.read(|connection| layer3::load(connection, name))
    }

    fn add_layer3_switch(&self, switch: &Layer3Switch) -> Result<()> {
        self.write(|write| layer3::add(write, switch))
    }

    fn update_layer3_switch(&self, name: &str, edit: Edit<'_, Layer3Switch>) -> Result<Layer3Switch> {
        self.write(|write| layer3::update(write, name, edit))
    }

    fn delete_layer3_switch(&self, name: &str) -> Result<()> {
        self.write(|write| layer3::delete(write, name))
    }

    fn local_bridges(&self) -> Result<Vec<LocalBridge>> {
        self.read(server::local_bridges)
    }

    fn add_local_bridge(&self, bridge: &LocalBridge) -> Result<()> {
        self.write(|write| server::add_local_bridge(write, bridge))
    }

    fn set_bridge_address(&self, hub: &str, device: &str, address: Option<HostAddress>) -> Result<()> {
        self.write(|write| server::set_bridge_address(write, hub, device, address))
    }

    fn delete_local_bridge(&self, hub: &str, device: &str) -> Result<()> {
        self.write(|write| server::delete_local_bridge(write, hub, device))
    }

    fn dnat_rules(&self) -> Result<Vec<DnatRule>> {
        self.read(published::rules)
    }

    fn add_dnat_rule(&self, rule: &DnatRule) -> Result<()> {
        self.write(|write| published::add(write, rule))
    }

    fn update_dnat_rule(&self, name: &str, edit: Edit<'_, DnatRule>) -> Result<()> {
        self.write(|write| published::update(write, name, edit))
    }

    fn delete_dnat_rule(&self, name: &str) -> Result<()> {
        self.write(|write| published::delete(write, name))
    }

    fn access_rules(&self, hub: &str) -> Result<Vec<AccessRule>> {
        self.read(|connection| access_rule::all(connection, hub))
    }

    fn add_access_rule(&self, hub: &str, rule: &Rule) -> Result<()> {
        self.write(|write| access_rule::add(write, hub, rule))
    }

    fn delete_access_rule(&self, hub: &str, name: u32) -> Result<()> {
        self.write(|write| access_rule::delete(write, hub, name))
    }

    fn set_access_rules(&self, hub: &str, rules: &[AccessRule]) -> Result<()> {
        self.write(|write| access_rule::replace(write, hub, rules))
    }

    fn source_rules(&self, hub: &str) -> Result<Vec<SourceRule>> {
        self.read(|connection| source_rule::all(connection, hub))
    }

    fn set_source_rules(&self, hub: &str, rules: &[SourceRule]) -> Result<()> {
        self.write(|write| source_rule::replace(write, hub, rules))
    }

    fn authorities(&self, hub: &str) -> Result<Vec<Authority>> {
        self.read(|connection| authority::all(connection, hub))
    }

    fn add_authority(&self, hub: &str, authority: &Authority) -> Result<()> {
        self.write(|write| authority::add(write, hub, authority))
    }

    fn delete_authority(&self, hub: &str, key: u32) -> Result<()> {
        self.write(|write| authority::delete(write, hub, key))
    }

    fn revocations(&self, hub: &str) -> Result<Vec<Revocation>> {
        self.read(|connection| authority::revocations(connection, hub))
    }

    fn add_revocation(&self, hub: &str, what: &RevokedCertificate) -> Result<Revocation> {
        self.write(|write| authority::revoke(write, hub, what))
    }

    fn set_revocation(&self, hub: &str, revocation: &Revocation) -> Result<()> {
        self.write(|write| authority::set_revocation(write, hub, revocation))
    }

    fn delete_revocation(&self, hub: &str, key: u32) -> Result<()> {
        self.write(|write| authority::delete_revocation(write, hub, key))
    }

    fn leases(&self, hub: &str) -> Result<Vec<KeptLease>> {
        self.read(|connection| lease::leases(connection, hub))
    }

    fn put_leases(&self, hub: &str, changes: &[LeaseChange]) -> Result<()> {
        self.write(|write| lease::put_leases(write, hub, changes))
    }
}
