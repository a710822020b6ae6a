//! Keeps in the kernel what we put there. A server runs unattended for years; in that time somebody reloads the
//! firewall, which empties every table, or the settings of sysctl.d, which may switch forwarding off.

use std::sync::Arc;
use std::time::Duration;

use nftables::schema::Nftables;
use nftables::types::NfFamily;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::forwarding;
use crate::nft::{self, Script};

/// How often it looks, unless told otherwise.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// Looks after one table, and the kernel settings that are held, until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Keeper(JoinHandle<()>);

impl Keeper {
    /// Looks after `table`, whose content is `document`.
    pub(crate) fn start(table: String, document: Nftables<'static>, every: Duration) -> Self {
        Self::start_in(NfFamily::IP, table, document, every)
    }

    /// The same in another family.
    pub(crate) fn start_in(
        family: NfFamily,
        table: String,
        document: Nftables<'static>,
        every: Duration,
    ) -> Self {
        let document = Arc::new(document);
        Self::looking(every, move || {
            let (table, document) = (table.clone(), Arc::clone(&document));
            async move { put_back_in(family, &table, || Script::Json(Nftables::clone(&document))).await }
        })
    }

    /// Looks after the kernel settings, and does `look`.
    pub(crate) fn looking<F>(every: Duration, look: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Keeper(tokio::spawn(async move {
            loop {
                sleep(every).await;
                forwarding::reassert().await;
                look().await;
            }
        }))
    }

    /// Stops looking. After this it changes nothing any more.
    pub(crate) async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Puts a table back as `script` makes it, if somebody has removed or emptied it.
pub(crate) async fn put_back(table: &str, script: impl Fn() -> Script + Send) {
    put_back_in(NfFamily::IP, table, script).await;
}

/// The same in another family.
async fn put_back_in(family: NfFamily, table: &str, script: impl Fn() -> Script + Send) {
    match nft::comments_in(family, table).await {
        Ok(Some(rules)) if !rules.is_empty() => {}
        Ok(_) => match script().apply().await {
            Ok(()) => tracing::warn!(table, "somebody removed our nftables table; it is back"),
            Err(error) => tracing::error!(table, %error, "somebody removed our nftables table"),
        },
        Err(error) => tracing::debug!(table, %error, "our nftables table could not be looked at"),
    }
}
