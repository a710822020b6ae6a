//! Where a setup does its work: on a running server through its local socket, or else in the store, under the lock that a server would
//! hold.

use std::sync::Arc;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use protocol::rpc::method::{EnumListener, FUNCTION_NAME, GetServerCert};
use protocol::rpc::{Nothing, method};
use transport::admin::{AdminClient, AdminError};
use transport::tls::Fingerprint;

use super::SetupError;
use crate::admin;
use crate::cli::Run;
use crate::data_dir::{DataDir, DataDirError, Lock};
use crate::run::put_together;
use crate::server::Server;

/// A server to set up.
pub(super) enum Place {
    /// One that runs; what is changed is in force at once.
    Running(Box<AdminClient>),
    /// One that does not; what is changed is in force from its start on.
    Stopped {
        server: Arc<Server>,
        /// No server starts in the middle.
        _lock: Lock,
    },
}

impl Place {
    /// Finds it. As root, a folder that belongs to another user is worked in as that user: it is their server.
    pub(super) async fn of(folder: &DataDir, usual_ports: &[u16]) -> Result<Self, SetupError> {
        if folder.holder()?.is_some() {
            let client = AdminClient::local(&folder.control_socket(), None).await;
            return client
                .map(|client| Self::Running(Box::new(client)))
                .map_err(SetupError::from);
        }
        folder.act_as_owner()?;
        let lock = folder.lock()?;
        let server = put_together(&Run::in_folder(folder.path()), folder, usual_ports)
            .map_err(|error| SetupError::Unusable(format!("{error:#}")))?;
        Ok(Self::Stopped { server, _lock: lock })
    }

    /// Makes one call.
    pub(super) async fn call(&mut self, call: &Pack) -> Result<Pack, SetupError> {
        let name = call.str(FUNCTION_NAME).unwrap_or_default().to_owned();
        match self {
            Self::Running(client) => Ok(client.call_pack(&name, call.clone()).await?),
            Self::Stopped { server, .. } => admin::settle(server, &name, call.clone())
                .await
                .map_err(SetupError::Refused),
        }
    }

    /// What clients pin.
    pub(super) async fn fingerprint(&mut self) -> Result<Fingerprint, SetupError> {
        match self {
            Self::Running(client) => {
                let shown = client.call::<GetServerCert>(&Nothing {}).await?;
                let der = shown.cert.ok_or(SetupError::Refused(ErrorCode::Internal))?;
                Ok(Fingerprint::of(&der.into()))
            }
            Self::Stopped { server, .. } => Ok(server.identity().fingerprint()),
        }
    }

    /// Ports of a running server that could not be opened.
    pub(super) async fn closed_ports(&mut self) -> Result<Vec<u32>, SetupError> {
        let Self::Running(client) = self else {
            return Ok(Vec::new());
        };
        let list = client.call::<EnumListener>(&Nothing {}).await?;
        let closed = list.listeners.into_iter().filter(|row| row.enabled && row.error);
        Ok(closed.map(|row| row.port).collect())
    }

    /// Why a running server has not published a host of this name.
    pub(super) async fn not_published(&mut self, name: &str) -> Result<Option<String>, SetupError> {
        let Self::Running(client) = self else {
            return Ok(None);
        };
        let list = client.call::<method::EnumDnat>(&Nothing {}).await?;
        let row = list
            .rules
            .into_iter()
            .find(|row| row.rule.name.eq_ignore_ascii_case(name));
        Ok(row.filter(|row| !row.active).map(|row| row.problem))
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Lets go of it.
    pub(super) async fn leave(self) {
        if let Self::Stopped { server, .. } = self {
            server.shut_down().await;
        }
    }
}

impl From<AdminError> for SetupError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Refused(code) => Self::Refused(code),
            other => Self::Unusable(other.to_string()),
        }
    }
}

impl From<DataDirError> for SetupError {
    fn from(error: DataDirError) -> Self {
        Self::Unusable(error.to_string())
    }
}
