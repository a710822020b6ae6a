//! Stage one: who are you? Each way of proving it looks at the attempt and answers, or passes it on.

use std::net::IpAddr;

use protocol::certificate;
use protocol::error::ErrorCode;
use protocol::handshake::Auth;
use protocol::password::{PasswordHash, user_hash};

use super::hub_password::{ADMINISTRATOR, HubPassword};
use super::trust::Trust;
use super::{Logins, Refused, radius};
use crate::secret::{Account, Identity, PasswordRecord};
use crate::store::{AdminOption, Hub, HubOption, StoreError, User, UserAuth};

/// What someone offers as proof.
pub(super) struct Attempt<'a> {
    pub(super) hub: &'a Hub,
    /// The name as it was given.
    pub(super) name: &'a str,
    /// The user of that name, if there is one.
    pub(super) user: Option<&'a User>,
    pub(super) auth: &'a Auth,
    /// The challenge of the connection.
    pub(super) random: &'a [u8; 20],
    pub(super) peer: IpAddr,
}

impl Attempt<'_> {
    /// Whose password is asked for.
    pub(super) fn account(&self) -> Account {
        Account::new(self.hub.name.as_str(), self.name)
    }
}

/// Who it is.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    /// A user of the hub.
    User(&'a User),
    /// The one who knows the hub's administrator password.
    HubAdministrator,
}

impl Logins {
    pub(super) async fn authenticate<'a>(&self, attempt: &Attempt<'a>) -> Result<Subject<'a>, Refused> {
        // A user without password comes in whatever was sent: the stock clients count on it.
        if let Some(user) = attempt.user
            && matches!(user.auth, UserAuth::Anonymous)
        {
            return Ok(Subject::User(user));
        }
        match attempt.auth {
            Auth::Anonymous => Err(Refused::failed(
                "the user must prove who it is, and the client sent no proof",
            )),
            Auth::Challenge(proof) if is_administrator(attempt.name) => {
                self.administrator_by_challenge(attempt, proof)
            }
            Auth::Challenge(proof) => self.by_challenge(attempt, proof),
            Auth::Plain(password) if is_administrator(attempt.name) => {
                self.administrator_by_password(attempt, password.as_bytes())
            }
            Auth::Plain(password) => match attempt.user.map(|user| (user, &user.auth)) {
                Some((user, UserAuth::Radius { name })) => {
                    let name = name.as_deref().unwrap_or(attempt.name);
                    radius::ask(&self.vault, attempt, name, password).await?;
                    Ok(Subject::User(user))
                }
                _ => self.by_password(attempt, password.as_bytes()).await,
            },
            Auth::Certificate { cert, signature } => self.by_certificate(attempt, cert, signature).await,
            Auth::Ticket(_) => Err(Refused::new(
                ErrorCode::AuthTypeNotSupported,
                "tickets are for members of a cluster",
            )),
        }
    }

    /// The standard password type (protocol §4.2): only where the hash itself is kept.
    fn by_challenge<'a>(&self, attempt: &Attempt<'a>, proof: &[u8; 20]) -> Result<Subject<'a>, Refused> {
        let Some(user) = attempt.user else {
            return Err(unknown(attempt));
        };
        let UserAuth::Password { record, standard } = &user.auth else {
            return Err(other_type(user));
        };
        let Some(standard) = standard else {
            return Err(Refused::failed(why_no_standard_hash(
                attempt.hub,
                user,
                record.is_some(),
            )));
        };
        let hash = self
            .vault
            .open_sealed(&Identity::StandardPassword(user.id), standard)?;
        let hash = <[u8; 20]>::try_from(hash.as_slice()).map_err(|_| StoreError::Damaged("standard"))?;
        if PasswordHash::new(hash).verify(attempt.random, proof) {
            Ok(Subject::User(user))
        } else {
            Err(wrong_password(user))
        }
    }

    /// The password itself, inside TLS. Whoever the user is, Argon2 does its work, so that time tells nothing.
    async fn by_password<'a>(&self, attempt: &Attempt<'a>, password: &[u8]) -> Result<Subject<'a>, Refused> {
        let record = match attempt.user.map(|user| &user.auth) {
            Some(UserAuth::Password { record, .. }) => record.clone(),
            _ => None,
        };
        let has_record = record.is_some();
        let hash = user_hash(password, attempt.name);
        let right = match (
            attempt.user,
            record.as_ref().and_then(PasswordRecord::as_imported),
        ) {
            (Some(user), Some(imported)) => self.check_imported(attempt, user, &imported, hash).await?,
            _ => {
                self.hasher
                    .check(attempt.peer, attempt.account(), hash, record)
                    .await?
            }
        };
        let Some(user) = attempt.user else {
            return Err(unknown(attempt));
        };
        if right {
            return Ok(Subject::User(user));
        }
        if !matches!(user.auth, UserAuth::Password { .. }) {
            return Err(other_type(user));
        }
        Err(if has_record {
            wrong_password(user)
        } else {
            no_password_yet(user)
        })
    }

    /// The very certificate of the user, or one that the hub trusts, and proof of its key.
    async fn by_certificate<'a>(
        &self,
        attempt: &Attempt<'a>,
        cert: &[u8],
        signature: &[u8],
    ) -> Result<Subject<'a>, Refused> {
        // The signature first: it costs the same for every name.
        let signed = certificate::verify(cert, attempt.random, signature);
        let Some(user) = attempt.user else {
            return Err(unknown(attempt));
        };
        if let Err(error) = signed {
            return Err(Refused::failed(format!("user {}: {error}", user.name)));
        }
        let hub = attempt.hub.name.to_string();
        let trust = self.db.run(move |store| Trust::of(store, &hub)).await?;
        trust.check(cert, user)?;
        Ok(Subject::User(user))
    }

    /// `administrator` with the hub's password (protocol §4.3).
    fn administrator_by_challenge<'a>(
        &self,
        attempt: &Attempt<'a>,
        proof: &[u8; 20],
    ) -> Result<Subject<'a>, Refused> {
        let expected = HubPassword::of(&self.vault, attempt.hub)?;
        let hash = expected.unwrap_or_else(HubPassword::empty).session;
        let right = hash.verify(attempt.random, proof);
        administrator(attempt, right)
    }

    fn administrator_by_password<'a>(
        &self,
        attempt: &Attempt<'a>,
        password: &[u8],
    ) -> Result<Subject<'a>, Refused> {
        let expected = HubPassword::of(&self.vault, attempt.hub)?;
        let hash = expected.unwrap_or_else(HubPassword::empty).session;
        // Compared in a time that does not depend on where they differ.
        administrator(attempt, user_hash(password, ADMINISTRATOR) == hash)
    }
}

fn administrator<'a>(attempt: &Attempt<'a>, right: bool) -> Result<Subject<'a>, Refused> {
    match (right, attempt.hub.password.is_some()) {
        (true, true) => Ok(Subject::HubAdministrator),
        // Also from this machine itself, unlike the stock server: what comes through a proxy here is not local.
        (true, false) => Err(Refused::new(
            ErrorCode::EmptyPasswordLocalOnly,
            format!("hub {} has no administrator password", attempt.hub.name),
        )),
        (false, _) => Err(Refused::failed(format!(
            "wrong administrator password for hub {}",
            attempt.hub.name
        ))),
    }
}

/// Refuses users without a password, where the hub says so. From this machine itself they come in, as on the stock server.
pub(super) fn check_not_empty(attempt: &Attempt<'_>, subject: &Subject<'_>) -> Result<(), Refused> {
    let Subject::User(user) = subject else {
        return Ok(());
    };
    if !attempt.hub.admin_options.is_set(AdminOption::DenyEmptyPassword) || attempt.peer.is_loopback() {
        return Ok(());
    }
    let is_empty = match (&user.auth, attempt.auth) {
        (UserAuth::Anonymous, _) => true,
        (_, Auth::Plain(password)) => password.is_empty(),
        (_, Auth::Challenge(proof)) => user_hash(b"", user.name.as_str()).verify(attempt.random, proof),
        _ => false,
    };
    if !is_empty {
        return Ok(());
    }
    Err(Refused::new(
        ErrorCode::EmptyPasswordLocalOnly,
        format!(
            "user {} has no password, and hub {} does not take such users over the network (deny_empty_password)",
            user.name, attempt.hub.name
        ),
    ))
}

fn is_administrator(name: &str) -> bool {
    name.eq_ignore_ascii_case(ADMINISTRATOR)
}

fn unknown(attempt: &Attempt<'_>) -> Refused {
    Refused::failed(format!(
        "hub {} has no user {:?} (from {})",
        attempt.hub.name, attempt.name, attempt.peer
    ))
}

fn wrong_password(user: &User) -> Refused {
    Refused::failed(format!("wrong password for user {}", user.name))
}

fn no_password_yet(user: &User) -> Refused {
    Refused::failed(format!(
        "user {} has no password yet: set one with UserPasswordSet",
        user.name
    ))
}

pub(super) fn other_type(user: &User) -> Refused {
    let how = match user.auth {
        UserAuth::Anonymous => "without a proof",
        UserAuth::Password { .. } => "with a password",
        UserAuth::Certificate { .. } => "with a certificate",
        UserAuth::Signed { .. } => "with a certificate that a trusted authority signed",
        UserAuth::Radius { .. } => "through RADIUS, with the password itself",
        UserAuth::Nt { .. } => "through a Windows domain, which this server cannot ask (RADIUS it can)",
    };
    Refused::failed(format!("user {} is one that logs in {how}", user.name))
}

/// One line that names the option and the other way, because the client is told no more than "authentication failed".
fn why_no_standard_hash(hub: &Hub, user: &User, has_record: bool) -> String {
    if !has_record {
        return no_password_yet(user).reason;
    }
    if !hub.options.is_on(HubOption::AllowStandardPassword) {
        return format!(
            "user {} came with the standard password type, which hub {} does not take: choose \"RADIUS or NT domain\" as \
             the password type in the client, or set the hub's extended option AllowStandardPassword to 1",
            user.name, hub.name
        );
    }
    format!(
        "user {} came with the standard password type, and its hash was not kept when the password was set: set the \
         password again, or log in once with \"RADIUS or NT domain\" as the password type",
        user.name
    )
}
