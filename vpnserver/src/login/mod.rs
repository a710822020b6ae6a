//! Login as a pipeline: who are you, second factor, may you.
//!
//! Each stage is one question with one answer. The order of questions is the stock server's (protocol §4.3), because
//! stock clients act on the numbers: unknown hub, hub offline, a user without password whatever was sent, then what was
//! sent.

mod administrator;
mod authenticate;
mod authorise;
mod failures;
mod hub_password;
mod imported;
mod password;
mod radius;
mod second_factor;
mod source;
mod standing;
#[cfg(test)]
mod tests;
mod trust;

use std::net::SocketAddr;
use std::path::Path;

use protocol::error::ErrorCode;
use protocol::handshake::Login;
use protocol::policy::Policy;

use crate::secret::{Account, Hasher, RecordError, SealError, Vault};
use crate::sessions::Room;
use crate::store::{Db, Group, Hub, Id, SourceRule, Store, StoreError, User, UserAuth, UserName};
pub use administrator::{AdminRole, Credential};
use authenticate::{Attempt, Subject};
pub use authorise::Occupancy;
use failures::Failures;
pub use hub_password::{AdminPassword, HubPassword};
use source::AdminSources;
pub use source::FILE as ADMIN_SOURCES_FILE;
pub use standing::{Ground, Standing};

/// A login that may become a session.
#[derive(Clone, Debug)]
pub struct Granted {
    /// The hub's name as recorded.
    pub hub: String,
    /// The user's name as recorded; `Administrator` for the hub's administrator.
    pub user: String,
    /// The user's identity, for the counters; none for the hub's administrator.
    pub user_id: Option<Id>,
    /// The user's group.
    pub group: Option<String>,
    /// What the session may do.
    pub policy: Policy,
    /// How many sessions there may be. Asked for before; whoever books the session asks again under its lock.
    pub room: Room,
    /// What it rests on.
    pub standing: Standing,
    /// What the user is shown.
    pub message: String,
    /// Whether the hub lets frames go by UDP (hub option `DisableUdpAcceleration`).
    pub udp: bool,
}

/// A login or administrator turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the peer is told.
    pub code: ErrorCode,
    /// What the log is told.
    pub reason: String,
}

impl Refused {
    fn new(code: ErrorCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::new(ErrorCode::AuthFailed, reason)
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<RecordError> for Refused {
    fn from(error: RecordError) -> Self {
        let code = match error {
            RecordError::Busy => ErrorCode::ConnectFailed,
            RecordError::Damaged | RecordError::Hashing => ErrorCode::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<SealError> for Refused {
    fn from(error: SealError) -> Self {
        Self::new(ErrorCode::Internal, error.to_string())
    }
}

/// The way in for users and administrators. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logins {
    db: Db,
    vault: Vault,
    hasher: Hasher,
    failures: std::sync::Arc<Failures>,
    admin_sources: AdminSources,
}

/// What the store knows about a login.
struct Found {
    hub: Hub,
    user: Option<User>,
    group: Option<Group>,
    sources: Vec<SourceRule>,
}

impl Logins {
    /// A pipeline over a store.
    #[must_use]
    pub fn new(db: Db, vault: Vault) -> Self {
        Self {
            db,
            vault,
            hasher: Hasher::new(),
            failures: std::sync::Arc::default(),
            admin_sources: AdminSources::default(),
        }
    }

    /// The same, with administrators let in only from where the file [`ADMIN_SOURCES_FILE`] of this folder says.
    #[must_use]
    pub fn restricted_by(mut self, folder: &Path) -> Self {
        self.admin_sources = AdminSources(Some(folder.join(ADMIN_SOURCES_FILE)));
        self
    }

    /// Forgets which password of a user was right, because the user has changed or is no more.
    pub fn forget_user(&self, hub: &str, user: &str) {
        self.hasher.forget(&Account::new(hub, user));
    }

    /// The same for all users of a hub, or of all hubs.
    pub fn forget_users(&self, hub: Option<&str>) {
        self.hasher.forget_all(hub);
    }

    /// The one that makes password records.
    #[must_use]
    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Takes a login through all stages. `random` is the challenge of its connection.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn login(
        &self,
        occupancy: &dyn Occupancy,
        login: &Login,
        random: &[u8; 20],
        peer: SocketAddr,
    ) -> Result<Granted, Refused> {
        let account = format!("{}/{}", login.hub, login.user);
        let attempt = self.failures.attempt(peer.ip(), &account).await?;
        let outcome = self.stages(occupancy, login, random, peer).await;
        if outcome
            .as_ref()
            .is_err_and(|refused| refused.code == ErrorCode::AuthFailed)
        {
            attempt.fail();
        }
        outcome
    }

    async fn stages(
        &self,
        occupancy: &dyn Occupancy,
        login: &Login,
        random: &[u8; 20],
        peer: SocketAddr,
    ) -> Result<Granted, Refused> {
        let found = self.find(&login.hub, &login.user).await?;
        standing::check_source(&found.hub, &found.sources, peer.ip())?;
        if !found.hub.online {
            return Err(Refused::new(
                ErrorCode::HubStopped,
                format!("hub {} is offline", found.hub.name),
            ));
        }
        let attempt = Attempt {
            hub: &found.hub,
            name: &login.user,
            user: found.user.as_ref(),
            auth: &login.auth,
            random,
            peer: peer.ip(),
        };
        let subject = self.authenticate(&attempt).await?;
        second_factor::ask(&subject)?;
        authenticate::check_not_empty(&attempt, &subject)?;
        let case = authorise::Candidate {
            hub: &found.hub,
            subject: &subject,
            group: found.group.as_ref(),
            login,
            source: peer.ip(),
        };
        let granted = authorise::authorise(occupancy, &case)?;
        if let Subject::User(user) = subject {
            self.keep_standard_hash(&found.hub, user, &login.auth).await;
        }
        Ok(granted)
    }

    /// Whether what a login rests on that was granted a moment ago still holds.
    ///
    /// # Errors
    /// When it does not, or the store cannot be read.
    pub async fn ask_again(&self, granted: &Granted) -> Result<(), Refused> {
        let (hub, standing) = (granted.hub.clone(), granted.standing.clone());
        self.db
            .run(move |store| {
                let ground = Ground::of(store, &hub)?;
                Ok(standing.check(store, &ground))
            })
            .await?
            .map_err(|refused| match refused.code {
                // Peers are not told which users there are.
                ErrorCode::ObjectNotFound => Refused::failed(refused.reason),
                _ => refused,
            })
    }

    async fn find(&self, hub: &str, user: &str) -> Result<Found, StoreError> {
        let (hub, user) = (hub.to_owned(), user.to_owned());
        self.db
            .run(move |store| {
                let hub = store.hub(&hub)?;
                let user = match store.user(hub.name.as_str(), &user) {
                    // Nobody is called so.
                    Ok(user) if user.name == *"*" => None,
                    Ok(user) => Some(user),
                    Err(StoreError::UserNotFound { .. }) => stand_in(store, &hub, &user)?,
                    Err(error) => return Err(error),
                };
                let group = group_of(store, &hub, user.as_ref())?;
                let sources = store.source_rules(hub.name.as_str())?;
                Ok(Found {
                    hub,
                    user,
                    group,
                    sources,
                })
            })
            .await
    }
}

/// The user `*` of a hub stands for names that the hub does not have and its RADIUS servers may know. Names of the server
/// itself are none of these. (On the stock server it stands for users of the hub as well whose own password was not right.)
fn stand_in(store: &dyn Store, hub: &Hub, name: &str) -> Result<Option<User>, StoreError> {
    let Ok(name) = UserName::parse(name) else {
        return Ok(None);
    };
    match store.user(hub.name.as_str(), "*") {
        Ok(anybody) if name != *"*" => Ok(Some(User {
            name,
            // Each is asked about under the own name.
            auth: match anybody.auth {
                UserAuth::Radius { .. } => UserAuth::Radius { name: None },
                other => other,
            },
            ..anybody
        })),
        Ok(_) | Err(StoreError::UserNotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn group_of(store: &dyn Store, hub: &Hub, user: Option<&User>) -> Result<Option<Group>, StoreError> {
    let Some(name) = user.and_then(|user| user.group.as_ref()) else {
        return Ok(None);
    };
    store.group(hub.name.as_str(), name.as_str()).map(Some)
}
