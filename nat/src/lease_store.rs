//! Keeping leases over a restart: what changes is written behind the frames' way, many leases at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::dhcp::{LeaseChange, Moment};
use crate::user::Shared;

/// How long what nobody waits for is collected: renewals, releases.
const COLLECT: Duration = Duration::from_secs(5);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How long the last of it may take when SecureNAT ends.
const LAST: Duration = Duration::from_secs(2);

type Written = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// Where leases are kept.
#[derive(Clone)]
pub struct LeaseStore(Arc<dyn Fn(Vec<LeaseChange>) -> Written + Send + Sync>);

impl LeaseStore {
    /// Leases are kept by `write`, which is done when they are on the disk, all or none.
    pub fn new<F>(write: impl Fn(Vec<LeaseChange>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        LeaseStore(Arc::new(move |changes| Box::pin(write(changes))))
    }
}

impl fmt::Debug for LeaseStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseStore")
    }
}

/// Keeps the leases of one SecureNAT until the future is dropped.
pub(crate) async fn keep(shared: Arc<Shared>, store: LeaseStore) {
    let mut works = true;
    loop {
        let changes = shared.host().has_lease_changes();
        match changes {
            None => {
                shared.leases_changed().await;
                continue;
            }
            Some(true) => {}
            Some(false) => {
                let _ = timeout(COLLECT, shared.client_waits()).await;
            }
        }
        match write(&shared, &store).await {
            Ok(()) if works => {}
            Ok(()) => {
                tracing::info!(network = %shared.host().config().network(), "leases are kept again");
                works = true;
            }
            Err(error) => {
                if std::mem::replace(&mut works, false) {
                    tracing::warn!(
                        network = %shared.host().config().network(),
                        error,
                        "leases cannot be kept: they go on, but a restart now would forget them; it is tried again"
                    );
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Keeps what is left.
pub(crate) async fn finish(shared: &Shared, store: &LeaseStore) {
    let changes = shared.host().has_lease_changes();
    if changes.is_some() && !matches!(timeout(LAST, write(shared, store)).await, Ok(Ok(()))) {
        tracing::warn!(network = %shared.host().config().network(), "the last leases could not be kept");
    }
}

async fn write(shared: &Shared, store: &LeaseStore) -> Result<(), String> {
    let changes = shared.host().take_lease_changes(Moment::present());
    let written = (store.0)(changes.rows.clone()).await;
    let now = Instant::now();
    let mut host = shared.host();
    host.settle_lease_changes(now, &changes, written.is_ok());
    shared.flush(now, host);
    written
}
