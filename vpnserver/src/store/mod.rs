//! The store: every setting of the server, checked, durable, then acknowledged.
//!
//! [`Store`] is what the server knows; [`SqliteStore`] is the one that comes with it. Calls block (a change waits for the
//! disk), so asynchronous code goes through [`Db`], which runs them on tokio's blocking threads.
//!
//! Nobody owns the store for ever: each change has a revision, and readers follow [`Store::changes_since`], woken by
//! [`Store::watch`] for changes of this process.

mod access_rule;
mod admin_option;
mod cascade;
mod change;
mod error;
mod host_address;
mod layer3;
mod name;
mod option;
mod record;
mod server_settings;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
mod trust;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use hub_core::access::Rule;
use tokio::sync::{Semaphore, watch};

use crate::secret::PasswordRecord;
pub use access_rule::{AccessRule, MAX_ACCESS_RULES};
pub use admin_option::{AdminOption, AdminOptions};
pub use cascade::{Cascade, CascadeProof, CascadeProxy, ProxyKind};
pub use change::{Action, Change, Feed, Noun};
pub use error::{OpenError, StoreError};
pub use host_address::{HostAddress, NoHostAddress};
pub use layer3::{Layer3Interface, Layer3Route, Layer3Switch};
pub use name::{HubName, MAX_NAME, NameError, UserName, folded};
pub use nat::dnat::DnatRule;
pub use nat::{KeptLease, LeaseChange};
pub use option::{Effect, HubOption, HubOptions, OptionRow};
pub use record::{
    Backup, Counters, Group, Hub, HubKind, HubSummary, Id, ImportedPassword, Listener, LocalBridge,
    LogSettings, SecureNat, Server, Timestamp, Traffic, Usage, UsageReport, User, UserAuth,
};
pub use server_settings::{KeepAlive, KeepProtocol, ServerCertificate, Syslog};
pub use sqlite::{DATABASE_FILE, KEY_FILE, Opened, SqliteStore};
pub use trust::{
    Authority, MAX_CERTIFICATES, MAX_SOURCE_RULES, Radius, Revocation, RevokedCertificate, SourceRule, admits,
};

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A change to a record, made inside one transaction: read, edited, checked, written. An error leaves all as it was.
/// It may run more than once.
pub type Edit<'a, T> = &'a dyn Fn(&mut T) -> Result<()>;

/// Several changes as one; see [`Store::together`].
pub type Changes<'a> = &'a mut dyn FnMut(&dyn Store) -> Result<()>;

/// Durable settings. A call that returns `Ok` is on the disk; names are looked up ignoring case.
pub trait Store: Send + Sync {
    /// The number of the last change.
    ///
    /// # Errors
    /// As every call: [`StoreError::Database`] when the disk fails.
    fn revision(&self) -> Result<u64>;
    /// What has changed after `revision`.
    fn changes_since(&self, revision: u64) -> Result<Feed>;
    /// Tells the last revision whenever this process made one. Changes of other processes are seen by asking for
    /// [`Store::revision`] now and then.
    fn watch(&self) -> watch::Receiver<u64>;
    /// Makes several changes as one: all of them, or none when `changes` returns an error. The store that it is given sees what
    /// it has changed so far; nobody else sees anything before the end.
    fn together(&self, changes: Changes<'_>) -> Result<()>;

    /// The former states that are kept, newest first.
    fn backups(&self) -> Result<Vec<Backup>>;
    /// Keeps the state as it is now, unless the newest that is kept is this one; says whether it did. States beyond the last 30
    /// are given up.
    fn back_up(&self) -> Result<bool>;
    /// Puts a state back in place of all settings, after keeping the one that is. What users have used and leases stay.
    fn restore(&self, number: u64) -> Result<()>;

    /// The settings of the whole server.
    fn server(&self) -> Result<Server>;
    /// Changes them; the identity stays.
    fn update_server(&self, edit: Edit<'_, Server>) -> Result<Server>;

    /// All listeners by port.
    fn listeners(&self) -> Result<Vec<Listener>>;
    /// Adds one.
    fn add_listener(&self, listener: Listener) -> Result<()>;
    /// Opens or closes one.
    fn set_listener(&self, port: u16, enabled: bool) -> Result<()>;
    /// Removes one.
    fn delete_listener(&self, port: u16) -> Result<()>;

    /// All hubs by name.
    fn hubs(&self) -> Result<Vec<Hub>>;
    /// One hub.
    fn hub(&self, hub: &str) -> Result<Hub>;
    /// Adds one.
    fn add_hub(&self, hub: &Hub) -> Result<()>;
    /// Changes one; identity, name and time of making stay. When `AllowStandardPassword` goes off, the standard hashes of all
    /// its users are deleted in the same transaction.
    fn update_hub(&self, hub: &str, edit: Edit<'_, Hub>) -> Result<Hub>;
    /// Removes one with its users, groups and leases.
    fn delete_hub(&self, hub: &str) -> Result<()>;

    /// How many users and groups a hub has, and how often they logged in, without reading each.
    fn summary(&self, hub: &str) -> Result<HubSummary>;

    /// All users of a hub by name.
    fn users(&self, hub: &str) -> Result<Vec<User>>;
    /// One user.
    fn user(&self, hub: &str, user: &str) -> Result<User>;
    /// Adds one. A standard hash is kept only while the hub's `AllowStandardPassword` is on.
    fn add_user(&self, hub: &str, user: &User) -> Result<()>;
    /// Changes one; identity, name, time of making and counters stay. A standard hash is kept as in [`Store::add_user`].
    fn update_user(&self, hub: &str, user: &str, edit: Edit<'_, User>) -> Result<User>;
    /// Adds one, or replaces the one of this identity, with times and counters as they are given.
    fn put_user(&self, hub: &str, user: &User) -> Result<()>;
    /// Removes one.
    fn delete_user(&self, hub: &str, user: &str) -> Result<()>;
    /// Users with an imported password of which no record has been made yet, some of them.
    fn imported_passwords(&self, most: u32) -> Result<Vec<ImportedPassword>>;
    /// Puts a record in the place of each imported password, unless it has been changed since. Not a change in the feed.
    fn replace_imported(&self, records: &[(ImportedPassword, PasswordRecord)]) -> Result<()>;
    /// Adds to the counters of users, and of the groups that they are in; those of users that are gone are dropped. Not a
    /// change in the feed.
    fn add_usage(&self, reports: &[UsageReport]) -> Result<()>;

    /// All groups of a hub by name.
    fn groups(&self, hub: &str) -> Result<Vec<Group>>;
    /// One group.
    fn group(&self, hub: &str, group: &str) -> Result<Group>;
    /// What its members have used while they were members.
    fn group_traffic(&self, hub: &str, group: &str) -> Result<Traffic>;
    /// Adds one.
    fn add_group(&self, hub: &str, group: &Group) -> Result<()>;
    /// Changes one; identity and name stay.
    fn update_group(&self, hub: &str, group: &str, edit: Edit<'_, Group>) -> Result<Group>;
    /// Removes one; its members stay, without a group.
    fn delete_group(&self, hub: &str, group: &str) -> Result<()>;

    /// All cascades of a hub in the order they were made.
    fn cascades(&self, hub: &str) -> Result<Vec<Cascade>>;
    /// One cascade.
    fn cascade(&self, hub: &str, name: &str) -> Result<Cascade>;
    /// Adds one.
    fn add_cascade(&self, hub: &str, cascade: &Cascade) -> Result<()>;
    /// Changes one, perhaps its name; the identity stays.
    fn update_cascade(&self, hub: &str, name: &str, edit: Edit<'_, Cascade>) -> Result<Cascade>;
    /// Removes one.
    fn delete_cascade(&self, hub: &str, name: &str) -> Result<()>;

    /// All layer 3 switches by name.
    fn layer3_switches(&self) -> Result<Vec<Layer3Switch>>;
    /// One layer 3 switch.
    fn layer3_switch(&self, name: &str) -> Result<Layer3Switch>;
    /// Adds one.
    fn add_layer3_switch(&self, switch: &Layer3Switch) -> Result<()>;
    /// Changes one; the name stays.
    fn update_layer3_switch(&self, name: &str, edit: Edit<'_, Layer3Switch>) -> Result<Layer3Switch>;
    /// Removes one.
    fn delete_layer3_switch(&self, name: &str) -> Result<()>;

    /// All local bridges in the order they were made.
    fn local_bridges(&self) -> Result<Vec<LocalBridge>>;
    /// Adds one. A device is bridged once.
    fn add_local_bridge(&self, bridge: &LocalBridge) -> Result<()>;
    /// Gives the TAP device of one another address, or none.
    fn set_bridge_address(&self, hub: &str, device: &str, address: Option<HostAddress>) -> Result<()>;
    /// Removes one.
    fn delete_local_bridge(&self, hub: &str, device: &str) -> Result<()>;

    /// All DNAT rules by name.
    fn dnat_rules(&self) -> Result<Vec<DnatRule>>;
    /// Adds one.
    fn add_dnat_rule(&self, rule: &DnatRule) -> Result<()>;
    /// Removes one.
    fn delete_dnat_rule(&self, name: &str) -> Result<()>;
    /// Changes one, and all of it but its name.
    fn update_dnat_rule(&self, name: &str, edit: Edit<'_, DnatRule>) -> Result<()>;

    /// The access list of a hub, in the order in which the rules are tried.
    fn access_rules(&self, hub: &str) -> Result<Vec<AccessRule>>;
    /// Adds a rule behind those that come before it or are its equals; all get new positions.
    fn add_access_rule(&self, hub: &str, rule: &Rule) -> Result<()>;
    /// Removes the rule with this key or, below [`MAX_ACCESS_RULES`], at this position.
    fn delete_access_rule(&self, hub: &str, name: u32) -> Result<()>;
    /// Replaces all rules. Keys are kept where they are ones, positions are given anew.
    fn set_access_rules(&self, hub: &str, rules: &[AccessRule]) -> Result<()>;

    /// Where clients of a hub may come from, in the order in which the rules are tried.
    fn source_rules(&self, hub: &str) -> Result<Vec<SourceRule>>;
    /// Replaces these rules.
    fn set_source_rules(&self, hub: &str, rules: &[SourceRule]) -> Result<()>;

    /// The authorities that a hub trusts, oldest first.
    fn authorities(&self, hub: &str) -> Result<Vec<Authority>>;
    /// Trusts one. One that is trusted already stays so.
    fn add_authority(&self, hub: &str, authority: &Authority) -> Result<()>;
    /// Ends the trust in the one with this key.
    fn delete_authority(&self, hub: &str, key: u32) -> Result<()>;

    /// The certificates that a hub no longer takes, oldest entry first.
    fn revocations(&self, hub: &str) -> Result<Vec<Revocation>>;
    /// Adds an entry; its key is new.
    fn add_revocation(&self, hub: &str, what: &RevokedCertificate) -> Result<Revocation>;
    /// Changes the entry with this key.
    fn set_revocation(&self, hub: &str, revocation: &Revocation) -> Result<()>;
    /// Removes the entry with this key.
    fn delete_revocation(&self, hub: &str, key: u32) -> Result<()>;

    /// The leases of a hub's DHCP server by address.
    fn leases(&self, hub: &str) -> Result<Vec<KeptLease>>;
    /// Changes some of them, address by address. Not a change in the feed.
    fn put_leases(&self, hub: &str, changes: &[LeaseChange]) -> Result<()>;
}

/// Calls of the store at once. It does one thing at a time; the others wait here instead of each on a thread of its own.
const CALLS: usize = 2;

/// The store for asynchronous code: cheap to clone, each call on a blocking thread.
#[derive(Clone)]
pub struct Db {
    store: Arc<dyn Store>,
    places: Arc<Semaphore>,
}

impl Db {
    /// Wraps a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self {
            store: Arc::new(store),
            places: Arc::new(Semaphore::new(CALLS)),
        }
    }

    /// The store itself, for code that may block.
    #[must_use]
    pub fn blocking(&self) -> &dyn Store {
        &*self.store
    }

    /// Runs `work` with the store on a blocking thread.
    ///
    /// # Errors
    /// What `work` returns, or [`StoreError::Interrupted`] when the runtime is going down.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Store) -> Result<T> + Send + 'static,
    {
        let outcome = Arc::new(Mutex::new(None));
        let told = outcome.clone();
        self.submit(Box::new(move |store| {
            let done = work(store);
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        }))
        .await?;
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.take().unwrap_or(Err(StoreError::Interrupted))
    }

    /// Has work done on a blocking thread. There are a hundred kinds of it, and this is compiled once for all of them.
    fn submit(&self, work: Work) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            let place = Arc::clone(&self.places)
                .acquire_owned()
                .await
                .map_err(|_| StoreError::Interrupted)?;
            let store = Arc::clone(&self.store);
            let working = tokio::task::spawn_blocking(move || {
                let _place = place; // held to the end of the work, also when the caller has gone away
                work(&*store);
            });
            working.await.map_err(|_| StoreError::Interrupted)
        })
    }
}

/// Something to be done with the store.
type Work = Box<dyn FnOnce(&dyn Store) + Send>;

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}
