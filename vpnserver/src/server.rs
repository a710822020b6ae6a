//! The server: the store's settings, what runs because of them, and the way from the one to the other.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use nat::Tag;
use nat::dnat::Publisher;
use protocol::error::ErrorCode;
use tokio::sync::{Mutex, Notify};

use crate::access_list;
use crate::audit::Audit;
use crate::connection;
use crate::connections::Connections;
use crate::events::{Event, Events};
use crate::hubs::{Hubs, Wanted};
use crate::identity::{Identity, Material, Source};
use crate::keep_alive::KeepAliveTask;
use crate::listener::Listeners;
use crate::logfile::{Limits, LogFiles};
use crate::login::{Ground, Logins, Occupancy};
use crate::membership::Membership;
use crate::packet_log;
use crate::secret::Vault;
use crate::session::{Session, reason};
use crate::sessions::Sessions;
use crate::store::{self, Action, Change, Db, Feed, KeepAlive, Noun, StoreError, folded};
use crate::tasks::Tasks;
use crate::usage::Usage;

/// How often the store is asked for changes that another process made.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(5);

/// How long the answer to whoever asked for a restart may take.
const ANSWER_TIME: Duration = Duration::from_millis(300);

/// What was said on the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Listen here and not on the stored ports.
    pub listen: Vec<SocketAddr>,
    /// The address that stored ports are opened on: that of all, unless a test wants to stay by itself.
    pub address: IpAddr,
    /// Where SecureNAT works.
    pub nat_mode: nat::Mode,
    /// Whether that mode alone will do.
    pub nat_mode_is_forced: bool,
    /// Whether devices may leave frames unfinished.
    pub offload: bool,
    /// Short text that tells this installation's devices and tables from others'.
    pub tag: String,
    /// The file of the store.
    pub database: PathBuf,
}

impl Settings {
    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.database.parent().unwrap_or(Path::new("."))
    }
}

/// A running server.
pub struct Server {
    /// The settings that last.
    pub db: Db,
    /// The key for what is secret in them.
    pub vault: Vault,
    /// The way in.
    pub logins: Logins,
    /// What happens.
    pub events: Events,
    /// What administrators did.
    pub audit: Audit,
    /// The hubs that run.
    pub hubs: Hubs,
    /// The sessions that are open.
    pub sessions: Sessions,
    /// The TCP connections of this moment.
    pub connections: Connections,
    /// What users have used and the store does not know yet.
    pub usage: Usage,
    /// The open ports.
    pub listeners: Listeners,
    /// What was said on the command line.
    pub settings: Settings,
    /// When it began.
    pub since: SystemTime,
    /// The log files.
    pub logs: LogFiles,
    keep_alive: KeepAliveTask,
    identity: RwLock<Identity>,
    publisher: Publisher,
    pub(crate) membership: Membership,
    publishing_problem: StdMutex<Option<String>>,
    applied: Mutex<Option<u64>>,
    restart: Notify,
    next_connection: AtomicU32,
    /// What the server waits for when it ends.
    pub(crate) tasks: Tasks,
}

/// What of the running server a set of changes touches.
#[derive(Debug, Default)]
struct Touched {
    hubs: BTreeSet<String>,
    listeners: bool,
    published: bool,
    members: bool,
    server: bool,
}

impl Server {
    /// Puts a server together; [`Server::apply`] makes it run.
    #[must_use]
    pub fn new(db: Db, vault: Vault, events: &Events, identity: Identity, settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|server: &std::sync::Weak<Self>| {
            let server = server.clone();
            let serve = move |tcp, pass| {
                if let Some(server) = server.upgrade() {
                    let tasks = server.tasks.clone();
                    tasks.spawn(connection::serve(server, tcp, pass));
                }
            };
            let listeners = Listeners::new(events.clone(), Arc::new(serve));
            Self::with_listeners(db, vault, events.clone(), identity, listeners, settings)
        })
    }

    fn with_listeners(
        db: Db,
        vault: Vault,
        events: Events,
        identity: Identity,
        listeners: Listeners,
        settings: Settings,
    ) -> Self {
        // Without the kernel's NAT, rules still hold for clients of hubs whose SecureNAT is in user mode.
        let tag = Tag::new(&settings.tag);
        let publisher = match settings.nat_mode {
            nat::Mode::Kernel => Publisher::kernel(tag),
            nat::Mode::User => Publisher::hubs_only(tag),
        };
        publisher.on_health({
            let events = events.clone();
            move |change| events.report(&Event::HealthChanged(change))
        });
        let membership = Membership::listening_to(&events);
        let folder = settings.folder();
        Self {
            logs: LogFiles::begin(folder, &events, Limits::default()),
            keep_alive: KeepAliveTask::default(),
            logins: Logins::new(db.clone(), vault.clone()).restricted_by(folder),
            audit: Audit::of(folder),
            db,
            vault,
            events,
            hubs: Hubs::default(),
            sessions: Sessions::default(),
            connections: Connections::default(),
            usage: Usage::default(),
            listeners,
            settings,
            since: SystemTime::now(),
            identity: RwLock::new(identity),
            publisher,
            membership,
            publishing_problem: StdMutex::default(),
            applied: Mutex::new(None),
            restart: Notify::new(),
            next_connection: AtomicU32::new(1),
            tasks: Tasks::default(),
        }
    }

    /// What it shows in TLS.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows another certificate from now on; what is connected stays.
    pub fn set_identity(&self, identity: Identity) {
        *self.identity.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The number of the next connection.
    #[must_use]
    pub fn connection_number(&self) -> u32 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks whoever runs the server to end it and start it anew.
    pub fn ask_for_restart(&self) {
        self.restart.notify_one();
    }

    /// Waits until somebody has asked for that, and as long again as the answer to them may take.
    pub async fn restart_asked(&self) {
        self.restart.notified().await;
        tokio::time::sleep(ANSWER_TIME).await;
    }

    /// The published hosts.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    /// Why published hosts are not in force, if they are not.
    #[must_use]
    pub fn publishing_problem(&self) -> Option<String> {
        self.publishing_problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Brings what runs to what the store says, as far as that has changed since the last time. A change is made by
    /// writing it to the store and calling this.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn apply(&self) -> Result<(), StoreError> {
        let mut applied = self.applied.lock().await;
        let since = *applied;
        let (revision, feed) = self
            .db
            .run(move |store| {
                Ok((
                    store.revision()?,
                    since.map(|since| store.changes_since(since)).transpose()?,
                ))
            })
            .await?;
        let touched = match feed {
            Some(Feed::Changes(changes)) => {
                self.revoke(&changes).await?;
                Some(Touched::by(&changes))
            }
            Some(Feed::Gap) => {
                self.logins.forget_users(None);
                self.judge_again().await?;
                None
            }
            None => None,
        };
        if touched.as_ref().is_none_or(|touched| touched.server) {
            self.apply_settings().await?;
        }
        self.apply_hubs(touched.as_ref().map(|touched| &touched.hubs))
            .await?;
        if touched.as_ref().is_none_or(|touched| touched.published) {
            self.apply_published().await?;
        }
        // Before whoever made the change is told: who left a group is out by then.
        if touched.as_ref().is_none_or(|touched| touched.members) {
            self.membership.forget_users();
            self.bring_members().await;
        }
        // Last, so that whoever comes in finds everything there.
        if touched.as_ref().is_none_or(|touched| touched.listeners) {
            self.apply_listeners().await?;
        }
        *applied = Some(revision);
        Ok(())
    }

    /// Applies what this and other processes change, for ever.
    pub async fn follow(&self) {
        let mut news = self.db.blocking().watch();
        loop {
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(FOLLOW_INTERVAL) => {}
            }
            if let Err(error) = self.apply().await {
                tracing::warn!(%error, "changes could not be applied");
            }
        }
    }

    /// Ends sessions whose hub is gone, also when another one of the same name is there already, and those that no
    /// longer rest on anything. Of users that have changed, it is forgotten which password was right.
    async fn revoke(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut touched: Vec<Arc<Session>> = Vec::new();
        for change in changes {
            match (change.noun, change.action) {
                (Noun::Hub, Action::Deleted) => {
                    self.sessions.end(&change.name, reason::HUB_DELETED, |_| true);
                    self.logins.forget_users(Some(&change.name));
                }
                (Noun::User, _) => self.logins.forget_user(&change.hub, &change.name),
                _ => {}
            }
            let of_hub = || self.sessions.of_hub(&change.hub).into_iter();
            match change.noun {
                Noun::User => touched
                    .extend(of_hub().filter(|session| session.origin.standing.rests_on_user(&change.name))),
                Noun::Group => touched
                    .extend(of_hub().filter(|session| session.origin.standing.rests_on_group(&change.name))),
                Noun::Hub | Noun::SourceRules | Noun::Authority | Noun::Revocation => {
                    touched.extend(of_hub());
                }
                _ => {}
            }
        }
        self.judge(touched).await
    }

    /// Ends all sessions that no longer rest on anything: what holds at a login may cease by time alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn judge_again(&self) -> Result<(), StoreError> {
        self.judge(self.sessions.all()).await
    }

    async fn judge(&self, sessions: Vec<Arc<Session>>) -> Result<(), StoreError> {
        if sessions.is_empty() {
            return Ok(());
        }
        let revoked = self
            .db
            .run(move |store| {
                let mut grounds = BTreeMap::new();
                let mut revoked = Vec::new();
                for session in sessions {
                    let hub = folded(&session.origin.hub);
                    let ground = match grounds.entry(hub) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => match Ground::of(store, &session.origin.hub) {
                            Ok(ground) => new.insert(ground),
                            // Its sessions end with the hub.
                            Err(StoreError::HubNotFound(_)) => continue,
                            Err(error) => return Err(error),
                        },
                    };
                    if let Err(refused) = session.origin.standing.check(store, ground) {
                        revoked.push((session, refused));
                    }
                }
                Ok(revoked)
            })
            .await?;
        for (session, refused) in revoked {
            // A store that fails for a moment is no reason to send anybody away.
            if refused.code == ErrorCode::Internal {
                tracing::warn!(
                    session = session.origin.name,
                    reason = refused.reason,
                    "not judged again"
                );
            } else {
                tracing::info!(session = session.origin.name, reason = refused.reason, "revoked");
                session.end(match refused.code {
                    ErrorCode::ObjectNotFound => reason::USER_REVOKED,
                    _ => reason::ACCESS_REVOKED,
                });
            }
        }
        Ok(())
    }

    async fn apply_listeners(&self) -> Result<(), StoreError> {
        let wanted: BTreeSet<SocketAddr> = if self.settings.listen.is_empty() {
            let stored = self.db.run(|store| store.listeners()).await?;
            stored
                .iter()
                .filter(|listener| listener.enabled)
                .map(|listener| self.stored_address(listener.port))
                .collect()
        } else {
            self.settings.listen.iter().copied().collect()
        };
        for address in self.listeners.addresses() {
            if !wanted.contains(&address) {
                self.listeners.close(address);
            }
        }
        for address in wanted {
            // One that cannot be opened has been reported, and shows as an error in the list of listeners.
            let _ = self.listeners.open(address);
        }
        Ok(())
    }

    async fn apply_settings(&self) -> Result<(), StoreError> {
        let record = self.db.run(|store| store.server()).await?;
        self.apply_identity(&record);
        self.keep_alive.set(&record.keep_alive);
        self.logs.syslog().set(&record.syslog);
        Ok(())
    }

    /// Shows the certificate of the store to whoever connects from now on; what is connected stays.
    fn apply_identity(&self, record: &store::Server) {
        let before = self.identity();
        let kept = match (before.source, &record.certificate) {
            (Source::Store, Some(kept)) => Material::unseal(kept, &self.vault)
                .map_err(Into::into)
                .and_then(|material| material.identity(Source::Store)),
            _ => Ok(before.clone()),
        };
        match kept.and_then(|identity| identity.preferring(record.cipher.as_deref())) {
            Ok(identity) => {
                let fingerprint = identity.fingerprint();
                if fingerprint != before.fingerprint() {
                    self.events.report(&Event::CertificateChanged { fingerprint });
                }
                self.set_identity(identity);
            }
            Err(error) => self.events.report(&Event::PartFailed {
                hub: None,
                part: "the new certificate".to_owned(),
                reason: error.to_string(),
            }),
        }
    }

    async fn apply_published(&self) -> Result<(), StoreError> {
        let rules = self.db.run(|store| store.dnat_rules()).await?;
        let enabled = rules.iter().filter(|rule| rule.enabled).count();
        let part = format!("{enabled} published hosts");
        let outcome = self.publisher.apply(&rules).await;
        let problem = outcome.as_ref().err().map(ToString::to_string);
        problem.clone_into(
            &mut self
                .publishing_problem
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        match outcome {
            Ok(applied) => {
                for warning in applied.warnings {
                    tracing::warn!(warning, "published hosts may not be reachable");
                }
                if enabled > 0 {
                    self.events.report(&Event::PartStarted { hub: None, part });
                }
            }
            Err(error) => {
                self.events.report(&Event::PartFailed {
                    hub: None,
                    part,
                    reason: error.to_string(),
                });
            }
        }
        Ok(())
    }

    async fn apply_hubs(&self, only: Option<&BTreeSet<String>>) -> Result<(), StoreError> {
        // Most changes, such as those of users, touch no hub.
        if only.is_some_and(BTreeSet::is_empty) {
            return Ok(());
        }
        let (records, bridges) = self
            .db
            .run(|store| Ok((store.hubs()?, store.local_bridges()?)))
            .await?;
        for hub in self.hubs.all() {
            if !records
                .iter()
                .any(|record| record.name.as_str().eq_ignore_ascii_case(&hub.name))
            {
                self.hubs.forget(&hub.name);
                self.log_packets_of(&hub);
                self.logs.forget_hub(&hub.name);
                self.sessions.end(&hub.name, reason::HUB_DELETED, |_| true);
                hub.shut_down().await;
            }
        }
        for record in records {
            let touched = |names: &BTreeSet<String>| {
                names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(record.name.as_str()))
            };
            if only.is_some_and(|names| !touched(names)) {
                continue;
            }
            self.logs
                .set_hub(record.name.as_str(), record.logs, packet_log::rule(&record));
            let hub = self.hubs.begin(record.name.as_str(), &self.events);
            // Closed first, then emptied: a login that is under way finds it closed.
            if !record.online {
                hub.close();
                self.sessions.end(&hub.name, reason::HUB_OFFLINE, |_| true);
            }
            let bridges = bridges
                .iter()
                .filter(|bridge| bridge.hub == record.name)
                .cloned()
                .collect();
            let nat_mode = self.settings.nat_mode;
            let tag = self.settings.tag.clone();
            let published = self.publisher.for_hub(record.name.as_str());
            let name = record.name.to_string();
            let access_rules = self.db.run(move |store| store.access_rules(&name)).await;
            hub.bring_to(&Wanted {
                hub: record,
                bridges,
                access_rules: access_rules?.into_iter().map(|rule| rule.rule).collect(),
                user_lists: self.settings.database.with_file_name(access_list::FOLDER),
                nat_mode,
                nat_mode_is_forced: self.settings.nat_mode_is_forced,
                offload: self.settings.offload,
                tag,
                published,
                db: self.db.clone(),
            })
            .await;
        }
        Ok(())
    }

    /// Ends everything in good order: ports, sessions, published hosts, the parts of hubs.
    pub async fn shut_down(&self) {
        self.listeners.close_all();
        // Closed first: a login that is under way finds its hub closed.
        for hub in self.hubs.all() {
            hub.close();
        }
        for session in self.sessions.all() {
            session.end(reason::SHUTDOWN);
        }
        for connection in self.connections.all() {
            connection.hang_up();
        }
        tokio::join!(self.take_back(), self.tasks.finished());
        self.keep_alive.set(&KeepAlive::default());
        self.log_packets();
        self.logs.close().await;
        if let Err(error) = self.settle_usage().await {
            tracing::warn!(%error, "the last of what users have used could not be written");
        }
    }

    /// Takes back what was put into the system: published hosts, bridges, SecureNAT.
    async fn take_back(&self) {
        if let Err(error) = self.publisher.clear().await {
            tracing::warn!(%error, "published hosts could not be taken back");
        }
        for hub in self.hubs.all() {
            hub.shut_down().await;
        }
    }

    /// Where a stored port is opened.
    #[must_use]
    pub fn stored_address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.settings.address, port)
    }
}

impl Touched {
    fn by(changes: &[Change]) -> Self {
        let mut touched = Self::default();
        for change in changes {
            match change.noun {
                Noun::Hub | Noun::LocalBridge | Noun::AccessRules => {
                    touched.hubs.insert(change.hub.clone());
                }
                Noun::Listener => touched.listeners = true,
                Noun::DnatRule => (touched.published, touched.members) = (true, true),
                Noun::User | Noun::Group => touched.members = true,
                Noun::Server => touched.server = true,
                Noun::Cascade
                | Noun::Layer3Switch
                | Noun::SourceRules
                | Noun::Authority
                | Noun::Revocation => {}
            }
        }
        touched
    }
}

impl Occupancy for Server {
    fn sessions_of_hub(&self, hub: &str) -> u32 {
        self.sessions.count_of_hub(hub)
    }

    fn sessions_of_user(&self, hub: &str, user: &str, except: Option<&[u8; 16]>) -> u32 {
        self.sessions.count_of_user(hub, user, except)
    }

    fn sessions_of_kind(&self, hub: &str, bridging: bool) -> u32 {
        self.sessions.count_of_kind(hub, bridging)
    }
}
