//! Keeping the server's own Internet line alive, as an administrator asks for it (SetKeep).

use std::sync::{Mutex, PoisonError};

use protocol::rpc::keep::Keep;
use tokio::task::JoinHandle;
use transport::keep_alive::keep_alive;

use crate::store::KeepAlive;

/// What keeps the line alive, if anything.
#[derive(Default)]
pub struct KeepAliveTask(Mutex<Option<(KeepAlive, JoinHandle<()>)>>);

impl KeepAliveTask {
    /// Does what these settings say from now on. Must be called in the runtime.
    pub fn set(&self, settings: &KeepAlive) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().is_some_and(|(before, _)| before == settings) {
            return;
        }
        if let Some((_, task)) = running.take() {
            task.abort();
        }
        if settings.enabled {
            let message = Keep::from(settings.clone());
            let task = tokio::spawn(async move { keep_alive(&message).await });
            *running = Some((settings.clone(), task));
        }
    }
}

impl Drop for KeepAliveTask {
    fn drop(&mut self) {
        self.set(&KeepAlive::default());
    }
}

/// As administrators are told.
impl From<KeepAlive> for Keep {
    fn from(settings: KeepAlive) -> Self {
        Self {
            enabled: settings.enabled,
            host: settings.host,
            port: settings.port.into(),
            protocol: settings.protocol.code().into(),
            interval: settings.interval,
        }
    }
}
