//! Administrators: of the server, or of one hub (admin RPC §1).

use std::net::SocketAddr;

use protocol::error::ErrorCode;
use protocol::password::{PasswordHash, admin_hash};

use super::hub_password::{AdminPassword, HubPassword};
use super::{Logins, Refused};

/// What an administrator may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminRole {
    /// Everything.
    Server,
    /// One hub, by its name as recorded.
    Hub(String),
}

/// What an administrator shows.
pub enum Credential<'a> {
    /// The answer to a challenge.
    Proof {
        /// The challenge.
        random: &'a [u8; 20],
        /// The answer.
        proof: &'a [u8; 20],
    },
    /// The password itself.
    Password(&'a [u8]),
}

impl Logins {
    /// Lets an administrator in over the network, or not. Without a password nobody is: the local socket is the way to set
    /// the first one.
    ///
    /// # Errors
    /// What the tool is told, and why.
    pub async fn admin(
        &self,
        hub: Option<&str>,
        credential: &Credential<'_>,
        peer: SocketAddr,
    ) -> Result<AdminRole, Refused> {
        self.admin_sources.check(peer.ip(), hub).await?;
        let account = format!("{}//administrator", hub.unwrap_or_default());
        let attempt = self
            .failures
            .attempt(peer.ip(), &account)
            .await
            .map_err(|refused| Refused {
                code: ErrorCode::AccessDenied,
                ..refused
            })?;
        let outcome = match hub {
            Some(hub) => self.hub_administrator(hub, credential).await,
            None => self.server_administrator(credential).await,
        };
        if outcome
            .as_ref()
            .is_err_and(|refused| refused.code == ErrorCode::AccessDenied)
        {
            attempt.fail();
        }
        outcome
    }

    async fn server_administrator(&self, credential: &Credential<'_>) -> Result<AdminRole, Refused> {
        let server = self.db.run(|store| store.server()).await?;
        let Some(password) = AdminPassword::of(&self.vault, &server)? else {
            return Err(Refused::new(
                ErrorCode::EmptyPasswordLocalOnly,
                "the server has no administrator password yet: set one on this machine with `vpncmd localhost /SERVER /CMD \
                 ServerPasswordSet`",
            ));
        };
        if credential.opens(password.hash()) {
            return Ok(AdminRole::Server);
        }
        Err(Refused::new(
            ErrorCode::AccessDenied,
            "wrong server administrator password",
        ))
    }

    async fn hub_administrator(&self, hub: &str, credential: &Credential<'_>) -> Result<AdminRole, Refused> {
        let name = hub.to_owned();
        let hub = self.db.run(move |store| store.hub(&name)).await?;
        let Some(password) = HubPassword::of(&self.vault, &hub)? else {
            return Err(Refused::new(
                ErrorCode::EmptyPasswordLocalOnly,
                format!("hub {} has no administrator password", hub.name),
            ));
        };
        if credential.opens(&password.admin) {
            return Ok(AdminRole::Hub(hub.name.to_string()));
        }
        Err(Refused::new(
            ErrorCode::AccessDenied,
            format!("wrong administrator password for hub {}", hub.name),
        ))
    }
}

impl Credential<'_> {
    /// Whether it is right, in a time that does not depend on where it is wrong.
    fn opens(&self, hash: &PasswordHash) -> bool {
        match self {
            Self::Proof { random, proof } => hash.verify(random, proof),
            Self::Password(password) => admin_hash(password) == *hash,
        }
    }
}
