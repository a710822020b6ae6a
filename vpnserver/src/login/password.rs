//! Users' passwords: set by an administrator, changed by the user, and the standard hash kept where a hub allows it.

use std::net::SocketAddr;

use protocol::error::ErrorCode;
use protocol::handshake::{Auth, ChangePassword};
use protocol::password::{PasswordHash, user_hash};

use super::{Logins, Refused};
use crate::secret::{Identity, Sealed};
use crate::store::{AdminOption, Hub, HubOption, Id, User, UserAuth};

impl Logins {
    /// How a user logs in with the password of this hash: its record, and the hash itself, sealed, for hubs that allow it
    /// (the store drops it elsewhere).
    ///
    /// # Errors
    /// When the cryptographic library fails.
    pub async fn password_auth(&self, user: Id, hash: PasswordHash) -> Result<UserAuth, Refused> {
        let standard = self
            .vault
            .seal(&Identity::StandardPassword(user), hash.as_bytes())?;
        let record = self.hasher.record(hash).await?;
        Ok(UserAuth::Password {
            record: Some(record),
            standard: Some(standard),
        })
    }

    /// The `password` request (protocol §5.6): a user changes the password by proving the old one.
    ///
    /// # Errors
    /// What the client is told, and why.
    pub async fn change_password(
        &self,
        change: &ChangePassword,
        random: &[u8; 20],
        peer: SocketAddr,
    ) -> Result<(), Refused> {
        let account = format!("{}/{}", change.hub, change.user);
        let attempt = self.failures.attempt(peer.ip(), &account).await?;
        let outcome = self.try_change(change, random).await;
        if outcome
            .as_ref()
            .is_err_and(|refused| refused.code == ErrorCode::OldPasswordWrong)
        {
            attempt.fail();
        }
        outcome
    }

    async fn try_change(&self, change: &ChangePassword, random: &[u8; 20]) -> Result<(), Refused> {
        let found = self.find(&change.hub, &change.user).await?;
        // Before the user is looked at, so that the answer tells nothing about users.
        if !found.hub.options.is_on(HubOption::AllowStandardPassword) {
            return Err(Refused::new(
                ErrorCode::NotEnoughRights,
                format!(
                    "users of hub {} cannot change passwords, because that needs its extended option \
                     AllowStandardPassword; an administrator can, with UserPasswordSet",
                    found.hub.name
                ),
            ));
        }
        let wrong = |reason: String| Refused::new(ErrorCode::OldPasswordWrong, reason);
        let user = found
            .user
            .ok_or_else(|| wrong(format!("there is no user {:?}", change.user)))?;
        let UserAuth::Password { standard, .. } = &user.auth else {
            return Err(Refused::new(
                ErrorCode::NotPasswordUser,
                format!("user {} has no password", user.name),
            ));
        };
        if !self.old_password_is_right(&user, standard.as_ref(), random, &change.old_proof.0)? {
            return Err(wrong(format!("the old password of user {} is wrong", user.name)));
        }
        let policy = user
            .policy
            .as_ref()
            .or(found.group.as_ref().and_then(|group| group.policy.as_ref()));
        if policy.is_some_and(|policy| policy.fix_password) {
            return Err(Refused::new(
                ErrorCode::NotEnoughRights,
                format!("the policy of user {} fixes the password", user.name),
            ));
        }
        if found
            .hub
            .admin_options
            .is_set(AdminOption::DenyChangeUserPassword)
        {
            return Err(Refused::new(
                ErrorCode::NotEnoughRights,
                format!(
                    "users of hub {} cannot change passwords (deny_change_user_password)",
                    found.hub.name
                ),
            ));
        }
        let auth = self.password_auth(user.id, change.new_password.clone()).await?;
        self.replace_auth(&found.hub, &user, auth).await
    }

    fn old_password_is_right(
        &self,
        user: &User,
        standard: Option<&Sealed>,
        random: &[u8; 20],
        proof: &[u8; 20],
    ) -> Result<bool, Refused> {
        let Some(sealed) = standard else { return Ok(false) };
        let hash = self
            .vault
            .open_sealed(&Identity::StandardPassword(user.id), sealed)?;
        Ok(<[u8; 20]>::try_from(hash.as_slice())
            .is_ok_and(|hash| PasswordHash::new(hash).verify(random, proof)))
    }

    async fn replace_auth(&self, hub: &Hub, user: &User, auth: UserAuth) -> Result<(), Refused> {
        let (hub, name, id) = (hub.name.to_string(), user.name.to_string(), user.id);
        self.db
            .run(move |store| {
                store.update_user(&hub, &name, &|user| {
                    // Deleted and made anew meanwhile: another user, whose password this is not.
                    if user.id != id {
                        return Err(crate::store::StoreError::Refused(ErrorCode::OldPasswordWrong));
                    }
                    user.auth = auth.clone();
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    /// After a login with the password itself, a hub that allows the standard type keeps the hash for the next one.
    pub(super) async fn keep_standard_hash(&self, hub: &Hub, user: &User, auth: &Auth) {
        let (
            Auth::Plain(password),
            UserAuth::Password {
                record,
                standard: None,
            },
        ) = (auth, &user.auth)
        else {
            return;
        };
        if !hub.options.is_on(HubOption::AllowStandardPassword) {
            return;
        }
        let hash = user_hash(password.as_bytes(), user.name.as_str());
        let kept = match self
            .vault
            .seal(&Identity::StandardPassword(user.id), hash.as_bytes())
        {
            Ok(sealed) => {
                let auth = UserAuth::Password {
                    record: record.clone(),
                    standard: Some(sealed),
                };
                self.replace_unchanged(hub, user, auth).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = kept {
            tracing::warn!(hub = %hub.name, user = %user.name, reason = error.reason, "the standard hash was not kept");
        }
    }

    /// Replaces the auth of a user unless it has changed since it was read: a password set meanwhile wins.
    async fn replace_unchanged(&self, hub: &Hub, user: &User, auth: UserAuth) -> Result<(), Refused> {
        let (hub, before) = (hub.name.to_string(), user.clone());
        let name = user.name.to_string();
        self.db
            .run(move |store| {
                store.update_user(&hub, &name, &|user| {
                    if user.id == before.id && same_record(&user.auth, &before.auth) {
                        user.auth = auth.clone();
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}

fn same_record(one: &UserAuth, other: &UserAuth) -> bool {
    matches!(
        (one, other),
        (UserAuth::Password { record: one, .. }, UserAuth::Password { record: other, .. }) if one == other
    )
}
