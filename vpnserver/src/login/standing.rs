//! What a session rests on. It is asked again whenever that may have changed: what is revoked ends at once. (The stock
//! server lets such sessions go on.)

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use protocol::error::ErrorCode;
use protocol::handshake::{Auth, Login};

use super::authenticate::Subject;
use super::trust::Trust;
use super::{Refused, authorise};
use crate::secret::Sealed;
use crate::store::{self, Hub, Id, SourceRule, Store, User, UserAuth, admits};

/// What a session rests on.
#[derive(Clone, Debug)]
pub struct Standing {
    holder: Holder,
    source: IpAddr,
    certificate: Option<Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Holder {
    User {
        id: Id,
        /// The user's name; the record is that of `*` for one who has none of its own.
        record: String,
        group: Option<String>,
        credential: Option<Credential>,
    },
    HubAdministrator(Credential),
}

/// What was proved, as a hash: a session that was opened with a password ends when there is another one.
type Credential = [u8; 32];

/// What the standing of all sessions of a hub is judged by.
pub struct Ground {
    hub: Hub,
    sources: Vec<SourceRule>,
    trust: Trust,
}

impl Ground {
    /// What the store says of a hub now.
    ///
    /// # Errors
    /// When there is no such hub, or the store cannot be read.
    pub fn of(store: &dyn Store, hub: &str) -> store::Result<Self> {
        Ok(Self {
            hub: store.hub(hub)?,
            sources: store.source_rules(hub)?,
            trust: Trust::of(store, hub)?,
        })
    }
}

impl Standing {
    pub(super) fn new(hub: &Hub, subject: &Subject<'_>, login: &Login, source: IpAddr) -> Self {
        let holder = match subject {
            Subject::User(user) => Holder::User {
                id: user.id,
                record: user.name.to_string(),
                group: user.group.as_ref().map(ToString::to_string),
                credential: of_user(&user.auth),
            },
            Subject::HubAdministrator => Holder::HubAdministrator(of_hub(hub)),
        };
        let by_certificate = matches!(
            subject,
            Subject::User(User {
                auth: UserAuth::Certificate { .. } | UserAuth::Signed { .. },
                ..
            })
        );
        let certificate = match &login.auth {
            Auth::Certificate { cert, .. } if by_certificate => Some(cert.clone()),
            _ => None,
        };
        Self {
            holder,
            source,
            certificate,
        }
    }

    /// Whether a change of this user's record may matter to it.
    #[must_use]
    pub fn rests_on_user(&self, name: &str) -> bool {
        matches!(&self.holder, Holder::User { record, .. } if record.eq_ignore_ascii_case(name) || name == "*")
    }

    /// Whether a change of this group may matter to it.
    #[must_use]
    pub fn rests_on_group(&self, name: &str) -> bool {
        matches!(&self.holder, Holder::User { group: Some(group), .. } if group.eq_ignore_ascii_case(name))
    }

    /// Whether it still holds.
    ///
    /// # Errors
    /// Why not; with [`ErrorCode::ObjectNotFound`] when the user is gone.
    pub fn check(&self, store: &dyn Store, ground: &Ground) -> Result<(), Refused> {
        check_source(&ground.hub, &ground.sources, self.source)?;
        let hub = ground.hub.name.as_str();
        let (id, record, credential) = match &self.holder {
            Holder::HubAdministrator(credential) if *credential == of_hub(&ground.hub) => return Ok(()),
            Holder::HubAdministrator(_) => {
                return Err(Refused::failed(format!(
                    "the administrator password of hub {hub} has changed"
                )));
            }
            Holder::User {
                id,
                record,
                credential,
                ..
            } => (id, record, credential),
        };
        let found = match store.user(hub, record) {
            Err(store::StoreError::UserNotFound { .. }) => store.user(hub, "*"),
            found => found,
        };
        let user = match found {
            Ok(user) if user.id == *id => user,
            Ok(_) | Err(store::StoreError::UserNotFound { .. }) => {
                return Err(Refused::new(
                    ErrorCode::ObjectNotFound,
                    format!("user {record} was deleted"),
                ));
            }
            Err(error) => return Err(error.into()),
        };
        if credential.is_some_and(|credential| of_user(&user.auth) != Some(credential)) {
            return Err(Refused::failed(format!("user {record} logs in otherwise now")));
        }
        let group = super::group_of(store, &ground.hub, Some(&user))?;
        authorise::check_access(&Subject::User(&user), group.as_ref())?;
        match &self.certificate {
            Some(certificate) => ground.trust.check(certificate, &user),
            None => Ok(()),
        }
    }
}

/// The stock server asks this before anything but the hub's name, also of the hub's administrator.
pub(super) fn check_source(hub: &Hub, rules: &[SourceRule], source: IpAddr) -> Result<(), Refused> {
    if admits(rules, source) {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::AddressDenied,
        format!(
            "the rules of hub {} about source addresses deny {source}",
            hub.name
        ),
    ))
}

fn of_hub(hub: &Hub) -> Credential {
    hashed(hub.password.as_ref().map_or(&[], Sealed::as_bytes))
}

/// None for an imported password: its record is made anew as soon as there is time, which is no change of the password.
fn of_user(auth: &UserAuth) -> Option<Credential> {
    if let UserAuth::Password {
        record: Some(record), ..
    } = auth
        && record.as_imported().is_some()
    {
        return None;
    }
    let mut text = vec![u8::try_from(auth.code()).unwrap_or(u8::MAX)];
    match auth {
        UserAuth::Anonymous => {}
        // The standard hash comes and goes with the hub's option; the password is the same.
        UserAuth::Password { record, .. } => {
            text.extend(record.iter().flat_map(|record| record.as_str().bytes()));
        }
        UserAuth::Certificate { der } => text.extend(der),
        UserAuth::Signed { common_name, serial } => {
            text.extend(common_name.iter().flat_map(|name| name.bytes()));
            text.push(0);
            text.extend(serial.iter().flatten());
        }
        // Whom a server is asked about is its business; the password is kept there.
        UserAuth::Radius { .. } | UserAuth::Nt { .. } => {}
    }
    Some(hashed(&text))
}

fn hashed(text: &[u8]) -> Credential {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text).as_ref());
    hash
}
