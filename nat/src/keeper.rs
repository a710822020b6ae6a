//! Keeps in the kernel what we put there. A server runs unattended for years; in that time somebody reloads the
//! firewall, which empties every table, or the settings of sysctl.d, which may switch forwarding off.

use std::time::Duration;

use nftables::schema::Nftables;
use nftables::types::NfFamily;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::forwarding;
use crate::nft;

/// How often it looks, unless told otherwise.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// Looks after one table, and the kernel settings that are held, until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Keeper(JoinHandle<()>);

impl Keeper {
    /// Looks after `table`, whose content is `document`.
    pub(crate) fn start(
        family: NfFamily,
        table: String,
        document: Nftables<'static>,
        every: Duration,
    ) -> Self {
        Keeper(tokio::spawn(async move {
            loop {
                sleep(every).await;
                forwarding::reassert();
                put_back(family, &table, &document).await;
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

async fn put_back(family: NfFamily, table: &str, document: &Nftables<'static>) {
    match nft::rules_in(family, table).await {
        Ok(None) => match nft::apply(document).await {
            Ok(()) => tracing::warn!(table, "somebody removed our nftables table; it is back"),
            Err(error) => tracing::error!(table, %error, "somebody removed our nftables table"),
        },
        Ok(Some(_)) => {}
        Err(error) => tracing::debug!(table, %error, "our nftables table could not be looked at"),
    }
}
